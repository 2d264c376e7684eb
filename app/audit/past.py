"""What was known at a tree size, and what can be proven of a moment.

A tree size is exact: the leaves before it are replayed, and what was derived of them is what anybody knew. A
moment is not: an event lies somewhere between the tree that its phone had seen and our receipt. Those received
by the moment are certain; those received later over a tree of before it may have happened already.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, select

from app.audit.replay import replay_facts
from app.canon import b64url_decode, b64url_encode, sha256
from app.custody._tables import EVENT
from app.custody.rules.clockwork import CLOCK_RULES
from app.custody.state import Facts
from app.db import ReadSession
from app.errors import MissingError
from app.ledger._tables import CHECKPOINT, LEDGER
from app.ledger.append import Reader

LEAVES_PER_READ = 1000


@dataclass(frozen=True, slots=True)
class Moment:
    """How much of a ledger is certain at a moment.

    `certain` is the tree size received by then; `unproven` the indexes of later leaves that moved units and may
    have happened before; `end` the size up to which these reach, at least `certain`.
    """

    certain: int
    unproven: frozenset[int]

    @property
    def end(self) -> int:
        """The tree size that holds every leaf of interest."""
        return max(self.certain, max(self.unproven, default=-1) + 1)


def ledger_size(session: ReadSession, ledger_id: int) -> int:
    """Return the number of leaves."""
    return int(session.execute(select(LEDGER.c.size).where(LEDGER.c.ledger_id == ledger_id)).scalar_one())


def facts_at(session: ReadSession, ledger_id: int, size: int) -> Facts:
    """Return everything known at a tree size.

    Raises:
        MissingError: `size`, the ledger has not had that size.
        TamperError: The leaves do not replay.
    """
    if not 0 <= size <= ledger_size(session, ledger_id):
        raise MissingError("The ledger has not had that size yet.", code="size", size=size)
    return replay_facts(session, ledger_id, until=size)


def leaves(session: ReadSession, ledger_id: int, first: int, end: int | None = None) -> Iterator[bytes]:
    """Yield leaves from an index on, a thousand a statement."""
    reader = Reader(ledger_id)
    while end is None or first < end:
        upto = first + LEAVES_PER_READ if end is None else min(end, first + LEAVES_PER_READ)
        rows = reader.leaves(session, first, upto)
        yield from (data for _, data, _ in rows)
        if len(rows) < LEAVES_PER_READ:
            return
        first = upto


def moment(session: ReadSession, ledger_id: int, at_ms: int) -> Moment:
    """Return what is certain at a moment (UTC milliseconds) and which later leaves may have happened by then.

    An event certainly came later when its phone had seen a published tree larger than what had come by then. The
    service's own word is as late as its leaf, but its verdict on a waiting event tells of that event's time.
    """
    later = select(func.min(EVENT.c.leaf_index)).where(EVENT.c.ledger_id == ledger_id, EVENT.c.received_ms > at_ms)
    certain: int | None = session.execute(later).scalar()
    if certain is None:
        return Moment(ledger_size(session, ledger_id), frozenset())
    published = _published(session, ledger_id, certain)
    proven_later: set[str] = set()
    unproven: set[int] = set()
    for index, data in enumerate(leaves(session, ledger_id, certain), certain):
        leaf = orjson.loads(data)
        payload = b64url_decode(leaf["event"]["payload"])
        body = orjson.loads(payload)
        if _is_later(body, published, proven_later):
            proven_later.add(b64url_encode(sha256(payload)))
        elif leaf["links"]:
            unproven.add(index)
    return Moment(certain, frozenset(unproven))


def _published(session: ReadSession, ledger_id: int, beyond: int) -> dict[int, str]:
    """Return the roots of the published trees larger than a size."""
    rows = session.execute(
        select(CHECKPOINT.c.size, CHECKPOINT.c.root).where(
            CHECKPOINT.c.ledger_id == ledger_id, CHECKPOINT.c.size > beyond
        )
    )
    return {size: b64url_encode(bytes(root)) for size, root in rows}


def _is_later(body: dict[str, Any], published: dict[int, str], proven_later: set[str]) -> bool:
    """Say whether an event that was received after the moment certainly happened after it."""
    if body["type"] == "verdict":
        return body["details"]["code"] in CLOCK_RULES or body["details"]["event"] in proven_later
    root: str = body["checkpoint"]["root"]
    return published.get(body["checkpoint"]["size"]) == root
