"""The intervals in which nobody plainly held a unit: between a release and its answer, overdue, missing, unasked.

Each has a cause, and ends only by a signed answer; a scan of the goods ends none (domain reference section 8,
"Break in custody"). Rules version 1 has no event that finds what was reported missing: that gap stays open.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select

from app.audit.events import Told
from app.custody._tables import DISCREPANCY
from app.custody.state import Handover
from app.db import Int, ReadSession

END = 2**62
"""The leaf index that no ledger reaches: the open end of an interval."""
BREAKS = {"SHORT": "missing", "UNSOLICITED": "unsolicited_receipt"}
"""Discrepancies that leave the custody of a unit uncertain from their leaf on, and the cause to tell."""

_NOTED = (DISCREPANCY.c.unit, DISCREPANCY.c.rule, DISCREPANCY.c.leaf_index, DISCREPANCY.c.handover)
_BREAKS = select(*_NOTED).where(
    DISCREPANCY.c.ledger_id == bindparam("ledger", type_=Int),
    DISCREPANCY.c.unit.in_(bindparam("units", expanding=True)),
)


@dataclass(frozen=True, slots=True)
class Window:
    """An interval of leaf indexes, both ends exclusive, in which the unit lay in a container, at some depth.

    The ends are exclusive because what put the unit in, or took it out, names the unit itself. The unit's own
    window has depth 0 and is the whole ledger.
    """

    unit: str
    since: int
    until: int
    depth: int

    def holds(self, index: int, known: int) -> bool:
        """Say whether a leaf lies in the window and was known at a tree size."""
        return self.since < index < min(self.until, known)


@dataclass(frozen=True, slots=True)
class Found:
    """One event of the history: through which container it reached the unit, and its place in the chain."""

    event: Told
    via: str | None
    seq: int | None
    handover: Handover | None


@dataclass(frozen=True, slots=True)
class Gap:
    """An interval of leaf indexes in which custody was not plainly held; `until` is None while it is open."""

    kind: str
    cause: str
    since: int
    until: int | None
    via: str | None
    handover: str | None
    ended_by: str | None


def took_effect(event: Told, known: int) -> bool:
    """Say whether an event had been accepted, at once or later, at a tree size."""
    ref = event.ref
    later = ref.outcome == "accepted" and ref.outcome_index is not None and ref.outcome_index < known
    return ref.result == "accepted" or later


def gaps_of(
    session: ReadSession, ledger_id: int, windows: list[Window], found: Sequence[Found], known: int
) -> Iterator[Gap]:
    """Yield the intervals in which the unit was not plainly held, as known at a tree size."""
    for one in found:
        if one.handover is not None and one.handover.leaf_index < known:
            yield from _handover_gaps(one.handover, one.via or windows[0].unit, one.via, known)
    yield from _uncertain(session, ledger_id, windows, found, known)


def _handover_gaps(handover: Handover, moved: str, via: str | None, known: int) -> Iterator[Gap]:
    over = handover.closed_index is not None and handover.closed_index < known
    until = handover.closed_index if over else None
    excepted = {unit: kind for unit, kind, _ in handover.exceptions}
    ended = excepted.get(moved, handover.status) if over else None
    ended = "accepted" if ended in {"partial", "damaged"} else ended
    yield Gap("released_not_accepted", "released", handover.leaf_index, until, via, handover.release, ended)
    if handover.overdue_index is not None and handover.overdue_index < known:
        yield Gap("overdue", "due_by_passed", handover.overdue_index, until, via, handover.release, ended)


def _uncertain(
    session: ReadSession, ledger_id: int, windows: list[Window], found: Sequence[Found], known: int
) -> Iterator[Gap]:
    """Yield what was reported missing, or came without a release; rules version 1 ends the first never."""
    units = sorted({window.unit for window in windows})
    rows = session.execute(_BREAKS, {"ledger": ledger_id, "units": units}).all()
    for window in windows:
        for unit, rule, index, handover in rows:
            short = rule == "SHORT" and handover is not None
            if unit != window.unit or not window.holds(index, known) or not (short or rule == "UNSOLICITED"):
                continue
            over = None if short else _cleared(found, unit, index, known)
            ended = None if over is None else "quarantine_cleared"
            yield Gap("uncertain", BREAKS[rule], index, over, unit if window.depth else None, handover, ended)


def _cleared(found: Iterable[Found], unit: str, since: int, known: int) -> int | None:
    """Return the leaf at which the quarantine of an unsolicited receipt ended."""
    return next(
        (
            one.event.ref.leaf_index
            for one in found
            if one.event.ref.leaf_index > since
            and one.event.ref.type == "quarantine.clear"
            and took_effect(one.event, known)
            and unit in one.event.units
        ),
        None,
    )
