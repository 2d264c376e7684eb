"""Which checkpoints of other ledgers a national ledger has taken: the newest of each, with the event that says so."""

from sqlalchemy import bindparam, select

from app.audit.places import Answer, utc
from app.custody._tables import EVENT, SHARD
from app.db import Int, ReadSession

MAX_SHARDS = 1000
_NEWEST = (
    select(SHARD.c.origin, SHARD.c.size, SHARD.c.root, SHARD.c.leaf_index, EVENT.c.hash, EVENT.c.received_ms)
    .join(EVENT, (EVENT.c.ledger_id == SHARD.c.ledger_id) & (EVENT.c.leaf_index == SHARD.c.leaf_index))
    .where(SHARD.c.ledger_id == bindparam("ledger", type_=Int))
    .order_by(SHARD.c.origin)
    .limit(MAX_SHARDS)
)


def newest_shards(session: ReadSession, ledger_id: int) -> list[Answer]:
    """Return the newest checkpoint taken of each other ledger, in order of their origins.

    Args:
        session: Reading.
        ledger_id: The ledger.

    Returns:
        Objects with `origin`, `size`, `root`, the leaf `index`, the `event`'s hash and when it was `taken_at`.
    """
    rows = session.execute(_NEWEST, {"ledger": ledger_id})
    return [
        {"origin": origin, "size": size, "root": root, "index": index, "event": event, "taken_at": utc(at_ms)}
        for origin, size, root, index, event, at_ms in rows
    ]
