"""What witnesses said of this ledger's checkpoints: cosignatures, and which checkpoints met the policy.

They come after a checkpoint is signed and shown, and stand beside it: the ledger never waits for a witness
(fail-open, ledger reference section 11). Nothing here is believed for being stored: a note that is put together from
these rows is verified by whoever uses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Session, WriteSession
from app.errors import MissingError, UnprovenError
from app.ledger import _store
from app.ledger.note import Note, NoteSignature, VerifierKey
from app.ledger.policy import TrustPolicy, cosigned


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one witness key has come: the largest size that it cosigned, and when last, POSIX seconds."""

    key: str
    size: int
    at_s: int


def key_text(key: VerifierKey) -> str:
    """Return the short name under which a witness key's cosignatures are kept: its name and key id."""
    return f"{key.name}+{key.key_id.hex()}"


def keep(
    session: WriteSession, ledger_id: int, policy: TrustPolicy, size: int, lines: Sequence[NoteSignature], now_ms: int
) -> list[VerifierKey]:
    """Keep the cosignatures by the policy's witnesses that are right; note it when the policy is met.

    Args:
        session: The transaction.
        ledger_id: The ledger.
        policy: Whose cosignatures count; signatures by any other key are ignored.
        size: The checkpoint's size.
        lines: As received.
        now_ms: UTC milliseconds.

    Returns:
        The keys whose cosignatures were right.

    Raises:
        MissingError: The ledger has no checkpoint of that size.
        UnprovenError: `cosignature`; a cosignature by one of the policy's keys is wrong.
    """
    note = _signed(session, ledger_id, size)
    by_name = {(key.name, key.key_id): key for key in policy.cosigners}
    fresh: dict[VerifierKey, NoteSignature] = {}
    for line in lines:
        key = by_name.get((line.name, line.key_id))
        if key is None:
            continue
        if not key.accepts(note.text, line.blob):
            raise UnprovenError("A cosignature by a known witness is wrong.", code="cosignature", witness=key.name)
        fresh[key] = line
    if fresh:
        rows = [(key_text(key), line.to_text(), line.cosigned_at()) for key, line in fresh.items()]
        _store.put_cosignatures(session, ledger_id, size, rows)
        if policy.is_met_by(cosigned(cosigned_note(session, ledger_id, size), policy.cosigners).keys()):
            _store.mark_witnessed(session, ledger_id, size, now_ms)
    return list(fresh)


def cosigned_note(session: Session, ledger_id: int, size: int) -> bytes:
    """Return the checkpoint of a size with every cosignature that was gathered for it.

    Raises:
        MissingError: The ledger has no checkpoint of that size.
    """
    note = _signed(session, ledger_id, size)
    lines = [NoteSignature.parse(line) for line in _store.cosignature_lines(session, ledger_id, size)]
    return Note(note.text, (*note.signatures, *lines)).to_bytes()


def newest_witnessed(session: Session, ledger_id: int) -> tuple[int, int] | None:
    """Return (size, made_ms) of the newest checkpoint that met the policy; None while there is none."""
    return _store.witnessed_from(session, ledger_id, 0, newest=True)


def first_witnessed_from(session: Session, ledger_id: int, size: int) -> int | None:
    """Return the size of the first checkpoint of at least so many leaves that met the policy."""
    found = _store.witnessed_from(session, ledger_id, size, newest=False)
    return found[0] if found else None


def progress(session: Session, ledger_id: int) -> dict[str, Progress]:
    """Return how far each witness key has come, by `key_text`."""
    return {key: Progress(key, size, at_s) for key, size, at_s in _store.newest_by_key(session, ledger_id)}


def lag_ms(session: Session, ledger_id: int, now_ms: int) -> int:
    """Return how long the oldest checkpoint beyond the newest witnessed one has waited; 0 when none does.

    Args:
        session: Reading.
        ledger_id: The ledger.
        now_ms: UTC milliseconds, by the clock that the ledger goes by.
    """
    found = newest_witnessed(session, ledger_id)
    waiting = _store.made_from(session, ledger_id, found[0] + 1 if found else 1)
    return max(0, now_ms - waiting) if waiting is not None else 0


def standing(session: Session, ledger_id: int, policy: TrustPolicy | None) -> dict[str, Any]:
    """Return how far the witnesses of a policy have come, JSON-ready: the newest size that met it, and each one's."""
    found = newest_witnessed(session, ledger_id)
    known = progress(session, ledger_id)
    told = []
    for witness in policy.witnesses if policy is not None else ():
        seen = known.get(key_text(witness.key))
        told.append({
            "name": witness.name, "key": key_text(witness.key), "size": seen.size if seen else None,
            "cosigned_at": seen.at_s if seen else None,
        })  # fmt: skip
    return {"witnessed_size": found[0] if found else None, "witnesses": told}


def _signed(session: Session, ledger_id: int, size: int) -> Note:
    data = _store.note_of(session, ledger_id, size)
    if data is None:
        raise MissingError("This ledger has no checkpoint of that size.", code="no_checkpoint")
    return Note.parse(data)
