"""What a day brought so far: events by place, agency, type and verdict, counted once and then kept up.

A busy day of a province is a million events, and its supervisors look at the overview all day. Rows of events are never
changed, so what was counted up to a leaf stays right for ever: each look reads only the leaves that came since the last
one. The first look at a day after a start reads all of that day, once for everybody. Nothing is stored and nothing is
asked of the writer; a process that is gone takes its memory along.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from sqlalchemy import and_, func, select

from app.audit.past import ledger_size
from app.audit.scope import Scope
from app.custody._tables import EVENT
from app.db import ReadSession
from app.ledger._tables import CHECKPOINT
from app.units._tables import PLACE

DAYS = 8
"""Days that are kept: of the few zones that a country has, today's and those that just ended."""
PLACES_AT_A_TIME = 10_000


class Kind(NamedTuple):
    """What is counted together."""

    place: str
    agency: str
    type: str
    result: str


@dataclass(slots=True)
class _Day:
    """What was counted of one day, up to a tree size."""

    size: int
    counts: Counter[Kind] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)


class Activity:
    """The memory of one answering process, for every thread of it."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._days: dict[tuple[int, int], _Day] = {}
        self._lock = Lock()

    def since(self, session: ReadSession, ledger_id: int, since_ms: int) -> Mapping[Kind, int]:
        """Count the events received since a moment.

        Args:
            session: Reading; one snapshot.
            ledger_id: The ledger.
            since_ms: The beginning of a day, UTC milliseconds.

        Returns:
            How many of each kind; what was recorded after this snapshot may be among them.
        """
        day = self._day(session, ledger_id, since_ms)
        with day.lock:
            size = ledger_size(session, ledger_id)
            if size > day.size:
                day.counts.update(_counted(session, ledger_id, since_ms, day.size, size))
                day.size = size
            return Counter(day.counts)

    def _day(self, session: ReadSession, ledger_id: int, since_ms: int) -> _Day:
        with self._lock:
            known = self._days.get((ledger_id, since_ms))
        if known is not None:
            return known
        begun = _Day(_first_leaf(session, ledger_id, since_ms))
        with self._lock:
            found = self._days.setdefault((ledger_id, since_ms), begun)
            for oldest in sorted(self._days, key=lambda key: key[1])[:-DAYS]:
                del self._days[oldest]
            return found


def _first_leaf(session: ReadSession, ledger_id: int, since_ms: int) -> int:
    """Return a leaf before which nothing is of the day: the last checkpoint before it, and not all leaves, says so."""
    before = select(CHECKPOINT.c.size).where(CHECKPOINT.c.ledger_id == ledger_id, CHECKPOINT.c.made_ms < since_ms)
    return session.execute(before.order_by(CHECKPOINT.c.size.desc()).limit(1)).scalar() or 0


def _counted(session: ReadSession, ledger_id: int, since_ms: int, first: int, size: int) -> dict[Kind, int]:
    """Count what leaves of a range brought; places that the policy does not know are one, so that memory is bounded."""
    here = and_(PLACE.c.ledger_id == ledger_id, PLACE.c.place == EVENT.c.place)
    kinds = (func.coalesce(PLACE.c.place, ""), EVENT.c.agency, EVENT.c.type, EVENT.c.result)
    rows = session.execute(
        select(*kinds, func.count())
        .select_from(EVENT)
        .outerjoin(PLACE, here)
        .where(EVENT.c.ledger_id == ledger_id, EVENT.c.leaf_index >= first, EVENT.c.leaf_index < size)
        .where(EVENT.c.received_ms >= since_ms)
        .group_by(*kinds)
    )
    return {Kind(*row[:4]): row[4] for row in rows}


def seen_by(session: ReadSession, scope: Scope, counts: Mapping[Kind, int]) -> Counter[tuple[str, str]]:
    """Add up, by type and verdict, what happened at the viewer's places: by anybody, or by his own agency."""
    inside = _inside(session, scope, sorted({kind.place for kind in counts}))
    told: Counter[tuple[str, str]] = Counter()
    for kind, count in counts.items():
        ours = scope.viewer.all_agencies or kind.agency == scope.viewer.agency
        if ours and (scope.path == "" or kind.place in inside):
            told[kind.type, kind.result] += count
    return told


def _inside(session: ReadSession, scope: Scope, places: Sequence[str]) -> frozenset[str]:
    """Return those of the places that the viewer sees, a bounded number at a time: databases bound parameters."""
    parts = (places[start : start + PLACES_AT_A_TIME] for start in range(0, len(places), PLACES_AT_A_TIME))
    return frozenset().union(*(scope.inside(session, part) for part in parts))
