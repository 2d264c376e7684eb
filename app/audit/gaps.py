"""The intervals in which nobody plainly held a unit: between a release and its answer, overdue, missing, unasked.

Each has a cause, and ends only by a signed answer; a scan of the goods ends none (domain reference section 8,
"Break in custody"). Rules version 1 has no event that finds what was reported missing: that gap stays open.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.audit.gathered import units_named
from app.audit.timeline import Break, Happened
from app.db import decode_json

BREAKS = {"SHORT": "missing", "UNSOLICITED": "unsolicited_receipt"}
"""Discrepancies that leave the custody of a unit uncertain from their leaf on, and the cause to tell."""


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


def took_effect(event: Happened, known: int) -> bool:
    """Say whether an event had been accepted, at once or later, at a tree size."""
    later = event.outcome == "accepted" and event.outcome_index is not None and event.outcome_index < known
    return event.result == "accepted" or later


def gaps_of(unit: str, found: Sequence[Happened], breaks: Iterable[Break], known: int) -> Iterator[Gap]:
    """Yield the intervals in which a unit was not plainly held, as known at a tree size."""
    for one in found:
        if one.handover_index is not None and one.handover_index < known:
            yield from _handover_gaps(one, one.via or unit, known)
    for each in breaks:
        short = each.rule == "SHORT" and each.handover is not None
        if not short and each.rule != "UNSOLICITED":
            continue
        over = None if short else _cleared(found, each.unit, each.leaf_index, known)
        ended = None if over is None else "quarantine_cleared"
        via = each.unit if each.depth else None
        yield Gap("uncertain", BREAKS[each.rule], each.leaf_index, over, via, each.handover, ended)


def _handover_gaps(one: Happened, moved: str, known: int) -> Iterator[Gap]:
    index, overdue = one.handover_index or 0, one.handover_overdue
    until = one.handover_closed if one.handover_closed is not None and one.handover_closed < known else None
    ended = None
    if until is not None:
        ended = _excepted(one.handover_exceptions).get(moved, one.handover_status)
        ended = "accepted" if ended in {"partial", "damaged"} else ended
    yield Gap("released_not_accepted", "released", index, until, one.via, one.hash, ended)
    if overdue is not None and overdue < known:
        yield Gap("overdue", "due_by_passed", overdue, until, one.via, one.hash, ended)


def _excepted(exceptions: str | None) -> dict[str, str]:
    """Return what an accept said of units that were not plainly received, by unit."""
    rows = decode_json(exceptions or "[]")
    assert isinstance(rows, tuple)  # noqa: S101 - the column's shape
    return {unit: kind for unit, kind, _ in rows}


def _cleared(found: Iterable[Happened], unit: str, since: int, known: int) -> int | None:
    """Return the leaf at which the quarantine of an unsolicited receipt ended."""
    for one in found:
        clears = one.leaf_index > since and one.type == "quarantine.clear" and took_effect(one, known)
        if clears and unit in units_named(one.leaf):
            return one.leaf_index
    return None
