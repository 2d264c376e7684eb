"""Alarms over the ledger itself, and freezing it: nothing is written until a person has looked.

An alarm is what was seen, with its evidence, and is never taken back. A frozen ledger still answers every question;
its writers are told `ledger_frozen` and keep their events.
"""

from dataclasses import dataclass

from app.db import Session, WriteSession
from app.ledger import _store

MAX_ALARMS_OF_A_SOURCE = 256


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was seen: `kind` is stable, `source` who said it, `body` the evidence as received."""

    number: int
    at_ms: int
    kind: str
    source: str
    detail: str
    body: bytes | None


def raise_alarm(
    session: WriteSession, ledger_id: int, at_ms: int, *, kind: str, source: str, detail: str, body: bytes | None = None
) -> int:
    """Keep an alarm and return its number.

    Args:
        session: The transaction.
        ledger_id: The ledger.
        at_ms: UTC milliseconds.
        kind: `fork`, `rollback`, `claim`, `shard_fork`, `operator`, stable.
        source: Which witness or ledger, or `operator`.
        detail: One sentence for people.
        body: The evidence as received.
    """
    return _store.insert_alarm(session, ledger_id, at_ms, (kind, source, detail), body)


def raise_once(
    session: WriteSession, ledger_id: int, at_ms: int, *, kind: str, source: str, detail: str, body: bytes
) -> bool:
    """Keep an alarm that somebody else's machine gave rise to, unless it is there already.

    The same evidence by the same source is no news, and one source has at most 256 alarms of a kind: a machine that
    says something new every few seconds must not fill the disk.

    Args:
        session: The transaction.
        ledger_id: The ledger.
        at_ms: UTC milliseconds.
        kind: As for `raise_alarm`, and so `source` and `detail`.
        source: Whose word or signature it is.
        detail: One sentence for people.
        body: The evidence.

    Returns:
        Whether it was kept.
    """
    known, count = _store.alarms_by(session, ledger_id, kind, source, body)
    if known or count >= MAX_ALARMS_OF_A_SOURCE:
        return False
    raise_alarm(session, ledger_id, at_ms, kind=kind, source=source, detail=detail, body=body)
    return True


def alarms(session: Session, ledger_id: int) -> list[Alarm]:
    """Return every alarm, oldest first."""
    return [Alarm(*row) for row in _store.alarm_rows(session, ledger_id)]


def count(session: Session, ledger_id: int) -> int:
    """Return how many alarms there have been."""
    return _store.alarm_count(session, ledger_id)


def freeze(session: WriteSession, ledger_id: int, reason: str) -> None:
    """Stop every writer from its next transaction on."""
    _store.freeze(session, ledger_id, reason)


def thaw(session: WriteSession, ledger_id: int) -> None:
    """Let writers go on; a person has looked."""
    _store.freeze(session, ledger_id, None)
