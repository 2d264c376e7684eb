"""The days of a ledger, and the leaves of each in the database.

A leaf belongs to the UTC day of its receipt. The ledger's time never goes back, so a day is a range of leaves; on a
demonstration's ledger, whose players tell the time, a leaf that goes back belongs to the latest day so far.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select

from app.custody._tables import EVENT
from app.db import ReadSession
from app.errors import TamperError
from app.ledger.append import Reader

DAY_MS = 86_400_000
PAGE = 1024


@dataclass(frozen=True, slots=True)
class Day:
    """A day and its leaves, from `first` up to and without `end`. The newest one may still grow."""

    day: str
    first: int
    end: int


def days_of(session: ReadSession, ledger_id: int, size: int) -> list[Day]:
    """Return the days of a ledger's first leaves, in order.

    Args:
        session: A snapshot.
        ledger_id: The ledger.
        size: How many leaves.
    """
    latest = func.max(EVENT.c.received_ms).over(order_by=EVENT.c.leaf_index).label("latest_ms")
    told = select(EVENT.c.leaf_index, latest).where(EVENT.c.ledger_id == ledger_id, EVENT.c.leaf_index < size)
    each = told.subquery()
    day = (each.c.latest_ms // DAY_MS).label("day")
    found = session.execute(select(day, func.min(each.c.leaf_index), func.count()).group_by(day).order_by(day))
    return [Day(datetime.fromtimestamp(n * DAY_MS // 1000, UTC).date().isoformat(), at, at + rows)
            for n, at, rows in found]  # fmt: skip


def leaves_of(session: ReadSession, ledger_id: int, day: Day) -> Iterator[tuple[int, bytes, tuple[str, str]]]:
    """Yield index, leaf, and officer and agency of its author, for every leaf of a day.

    Raises:
        TamperError: A leaf or its event is missing.
    """
    reader = Reader(ledger_id)
    for first in range(day.first, day.end, PAGE):
        end = min(first + PAGE, day.end)
        wanted = (EVENT.c.ledger_id == ledger_id, EVENT.c.leaf_index >= first, EVENT.c.leaf_index < end)
        authors = session.execute(
            select(EVENT.c.officer, EVENT.c.agency).where(*wanted).order_by(EVENT.c.leaf_index)
        ).all()
        leaves = reader.leaves(session, first, end)
        if not len(leaves) == len(authors) == end - first:
            raise TamperError(f"Leaves from {first} on are missing; run `custody fsck`.")
        for (index, leaf, _), (officer, agency) in zip(leaves, authors, strict=True):
            yield index, leaf, (officer, agency)
