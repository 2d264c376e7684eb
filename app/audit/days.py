"""The days of a ledger, the leaves of each in the database, and the keys that signed for it.

A leaf belongs to the UTC day of its receipt. The ledger's time never goes back, so a day is a range of leaves; on a
demonstration's ledger, whose players tell the time, a leaf that goes back belongs to the latest day so far.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select

from app.audit.leaf import read_leaf
from app.audit.rows import DAY_MS, day_of
from app.custody._tables import CHARTER, EVENT, OUTCOME
from app.custody.details import LedgerGenesis, LedgerRekey
from app.db import ReadSession
from app.errors import TamperError
from app.ledger.append import Reader
from app.ledger.note import VerifierKey

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
    return [Day(day_of(n * DAY_MS), at, at + rows) for n, at, rows in found]


def take_time(session: ReadSession) -> None:
    """Let this transaction take as long as it needs, and it alone.

    PostgreSQL ends statements of a minute and transactions that rest as long (`app.postgres`), so that a request that
    hangs holds nobody up. To find the days of a large ledger takes longer, and so does the disk between two pages.
    """
    if session.dialect.name == "postgresql":
        session.exec_driver_sql("SET LOCAL statement_timeout = 0")
        session.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def keys_ever(session: ReadSession, ledger_id: int, size: int) -> list[VerifierKey]:
    """Return the keys that ever signed checkpoints of a ledger: its genesis names one, rotations that came in others.

    A refused rotation names whatever its author liked.

    Args:
        session: A snapshot.
        ledger_id: The ledger.
        size: Of how many leaves; the first is the genesis.

    Raises:
        TamperError: One of those leaves is missing.
    """
    rotations = session.execute(
        select(EVENT.c.leaf_index)
        .outerjoin(OUTCOME, (OUTCOME.c.ledger_id == EVENT.c.ledger_id) & (OUTCOME.c.hash == EVENT.c.hash))
        .where(
            EVENT.c.ledger_id == ledger_id, CHARTER, EVENT.c.type == "ledger.rekey", EVENT.c.leaf_index < size,
            (EVENT.c.result == "accepted") | (OUTCOME.c.outcome == "accepted"),
        )
    )  # fmt: skip
    indexes = [0, *(index for (index,) in rotations)]
    leaves = Reader(ledger_id).leaves_at(session, indexes)
    if leaves.keys() != set(indexes):
        raise TamperError("Leaves that name the ledger's keys are missing; run `custody fsck`.")
    texts: list[str] = []
    for index, leaf in sorted(leaves.items()):
        match read_leaf(index, leaf).event.details:
            case LedgerGenesis(ledger_key=text):
                texts.append(text)
            case LedgerRekey(keys=some):
                texts += some
    return [VerifierKey.parse(text) for text in dict.fromkeys(texts)]


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
