"""Time stamps of witnessed checkpoints, kept as authorities gave them (RFC 3161).

A stamp joins the ledger to a legal clock: an authority that has nothing to do with the election saw these bytes at
that time. It stands beside the checkpoint and comes after it, and the ledger never waits for one. What is kept is the
authority's whole answer and the exact bytes that it is about, for cosignatures of the same checkpoint are renewed.
Rows are never changed. Nothing here is believed for being stored: `app.audit.stamped` verifies.
"""

from dataclasses import dataclass

from app.db import Session, WriteSession
from app.ledger import _store

MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class KeptStamp:
    """A stamp of the checkpoint of one size; `at_ms` is the authority's time, UTC milliseconds."""

    authority: str
    at_ms: int
    token: bytes
    stamped: bytes


@dataclass(frozen=True, slots=True)
class StampTime:
    """When an authority stamped the checkpoint of a size, UTC milliseconds of its clock."""

    size: int
    authority: str
    at_ms: int


def keep(session: WriteSession, ledger_id: int, size: int, stamp: KeptStamp) -> bool:
    """Keep a stamp that has been verified; False when that authority has stamped that size already."""
    return _store.put_stamp(
        session, ledger_id, size, stamp.authority, stamp.token, stamp.stamped, stamp.at_ms
    )  # fmt: skip


def stamps_of(session: Session, ledger_id: int, size: int) -> list[KeptStamp]:
    """Return the stamps of the checkpoint of a size, in the order of authorities."""
    return [KeptStamp(*row) for row in _store.stamp_rows(session, ledger_id, size)]


def newest_stamped(session: Session, ledger_id: int) -> StampTime | None:
    """Return the stamp of the largest stamped checkpoint; None while there is none."""
    return next(iter(list_stamps(session, ledger_id, 1)), None)


def list_stamps(session: Session, ledger_id: int, limit: int = MAX_LISTED) -> list[StampTime]:
    """Return when which checkpoints were stamped, the largest first."""
    return [StampTime(*row) for row in _store.stamp_times(session, ledger_id, limit)]
