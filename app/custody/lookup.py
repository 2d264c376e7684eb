"""What the doors look up before anything is recorded: the ledger's own state, and who issued a block.

Reading only; who may see the answer is the door's to decide.
"""

from dataclasses import dataclass

from app.custody import _store
from app.custody.events import Event, parse_event
from app.custody.record import payload_of
from app.custody.state import EventRef, Meta
from app.db import Session
from app.ledger.append import Reader
from app.rows import one_value


def meta_of(session: Session, ledger_id: int) -> Meta | None:
    """Return the ledger's own state: founders, service, policy and plans in force; None before the genesis."""
    return next(iter(_store.METAS.fetch(session, ledger_id, ["ledger"])), None)


def newest_ms(session: Session, ledger_id: int) -> int:
    """Return when the newest event was received, UTC milliseconds; 0 before the genesis."""
    sql = "SELECT received_ms FROM event WHERE ledger_id = :ledger_id ORDER BY leaf_index DESC LIMIT 1"
    return int(one_value(session, sql, ledger_id=ledger_id) or 0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded event beside its index entry."""

    ref: EventRef
    event: Event


def recorded(session: Session, reader: Reader, event_hash: str) -> Recorded | None:
    """Return a recorded event by its hash, read from its leaf."""
    ref = next(iter(_store.refs(session, reader.ledger_id, "hash", [event_hash])), None)
    if ref is None:
        return None
    leaf = reader.leaves_at(session, [ref.leaf_index])[ref.leaf_index]
    return Recorded(ref, parse_event(payload_of(leaf)))
