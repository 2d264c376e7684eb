"""What witnesses said of this ledger's checkpoints: cosignatures, and which checkpoints met the policy.

They come after a checkpoint is signed and shown, and stand beside it: the ledger never waits for a witness
(fail-open, ledger reference section 11). Nothing here is believed for being stored: a note that is put together from
these rows is verified by whoever uses it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Session, WriteSession
from app.errors import MissingError, UnprovenError
from app.ledger import _store
from app.ledger.note import Note, NoteSignature, VerifierKey
from app.ledger.policy import TrustPolicy


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one witness key has come: the largest size that it cosigned, and when last, POSIX seconds."""

    key: str
    size: int
    at_s: int


def key_text(key: VerifierKey) -> str:
    """Return the short name under which a witness key's cosignatures are kept: its name and key id."""
    return f"{key.name}+{key.key_id.hex()}"


def proven(text: str, policy: TrustPolicy, lines: Sequence[NoteSignature]) -> dict[VerifierKey, NoteSignature]:
    """Verify the cosignatures by a policy's witnesses; needs no database, so that no lock is held meanwhile.

    One line of each witness is looked at, the one with the latest time: whoever repeats a line a hundred times has it
    verified once.

    Args:
        text: The checkpoint's text.
        policy: Whose cosignatures count; lines by any other key are ignored.
        lines: As received.

    Raises:
        UnprovenError: `cosignature`; a cosignature by one of the policy's keys is wrong.
    """
    by_name = {(key.name, key.key_id): key for key in policy.cosigners}
    latest: dict[VerifierKey, NoteSignature] = {}
    for line in lines:
        key = by_name.get((line.name, line.key_id))
        if key is not None and (key not in latest or line.cosigned_at() > latest[key].cosigned_at()):
            latest[key] = line
    for key, line in latest.items():
        if not key.accepts(text, line.blob):
            raise UnprovenError("A cosignature by a known witness is wrong.", code="cosignature", witness=key.name)
    return latest


def are_new(session: Session, ledger_id: int, size: int, lines: Mapping[VerifierKey, NoteSignature]) -> bool:
    """Say whether one of these cosignatures is later than what is kept for that size."""
    known = _store.cosignature_times(session, ledger_id, size)
    return any(line.cosigned_at() > known.get(key_text(key), -1) for key, line in lines.items())


def keep(
    session: WriteSession, ledger_id: int, policy: TrustPolicy, size: int,
    lines: Mapping[VerifierKey, NoteSignature], now_ms: int,
) -> None:  # fmt: skip
    """Keep proven cosignatures, later ones in the place of earlier ones; note it when the policy is met.

    Args:
        session: The transaction.
        ledger_id: The ledger.
        policy: Whose cosignatures count.
        size: The checkpoint's size.
        lines: By key, from `proven` over that checkpoint's text.
        now_ms: UTC milliseconds.
    """
    rows = [(key_text(key), line.to_text(), line.cosigned_at()) for key, line in lines.items()]
    if not rows:
        return
    _store.put_cosignatures(session, ledger_id, size, rows)
    kept = _store.cosignature_times(session, ledger_id, size)
    if policy.is_met_by({key for key in policy.cosigners if key_text(key) in kept}):
        _store.mark_witnessed(session, ledger_id, size, now_ms)


def checkpoint_text(session: Session, ledger_id: int, size: int) -> str:
    """Return the text that was signed at a size.

    Raises:
        MissingError: The ledger has no checkpoint of that size.
    """
    return _signed(session, ledger_id, size).text


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


def first_to_be_witnessed(session: Session, ledger_id: int, size: int) -> int | None:
    """Return the size of the checkpoint of at least so many leaves that met the policy before any other such did.

    Cosignatures of a smaller tree may come in later; what was first stays first.
    """
    return _store.first_witnessed(session, ledger_id, size)


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
