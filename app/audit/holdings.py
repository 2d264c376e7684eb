"""What every part of a place holds, beside what the plan wants there: one level of the tree of places at a time.

Goods count where their outermost container is held; what is on the way or destroyed counts nowhere, as in a stock.
"Missing" is what the kits of the stations below ask for beyond what is there in good condition: a count, never a
reproach, and before the distribution everything is missing everywhere. A fixed number of SQL statements.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, and_, case, func, select

from app.audit.places import Answer, one_place
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.db import ReadSession
from app.keys.grants import Viewer
from app.units._tables import PLACE, UNIT
from app.units.plans import Plan

Line = tuple[str, str]
"""Item and contest, empty for goods of no contest."""


@dataclass(slots=True)
class Part:
    """What one part of a place has and should have."""

    units: int = 0
    stations: int = 0
    held: dict[Line, int] = field(default_factory=dict)
    good: dict[Line, int] = field(default_factory=dict)
    planned: dict[Line, int] = field(default_factory=dict)

    def missing(self, line: Line) -> int:
        """Return how much of a line the plan wants beyond what is there in good condition."""
        return max(0, self.planned.get(line, 0) - self._counting(line))

    def _counting(self, line: Line) -> int:
        """Return what counts for a line of the plan, as `Station.line_for` has it: a line of no contest takes any."""
        item, contest = line
        others = () if contest else (one for one in self.good if one[0] == item and one[1] and one not in self.planned)
        return self.good.get(line, 0) + sum(self.good[one] for one in others)

    def lines(self) -> list[JsonValue]:
        """Tell every line that is held or planned."""
        return [
            {
                "item": line[0], "contest": line[1] or None, "held": self.held.get(line, 0),
                "good": self.good.get(line, 0), "planned": self.planned.get(line, 0), "missing": self.missing(line),
            }
            for line in sorted({*self.held, *self.planned})
        ]  # fmt: skip


def holdings(
    session: ReadSession, ledger_id: int, viewer: Viewer, *, place: str | None, plans: Iterable[Plan] = ()
) -> Answer:
    """Return a place with what it and each of its parts hold, and what the plans in force want there.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        place: The place; the viewer's own when absent, or all that have none above them.
        plans: The plans in force.

    Returns:
        `place` (None over several roots), `lines` of the whole, `items`: each direct part with `units`, `stations`,
        and `missing_lines`, how many lines are not complete there.

    Raises:
        MissingError: There is no such place for this viewer.
    """
    scope = Scope.of(session, ledger_id, viewer)
    chosen = place or viewer.place or _only_root(session, ledger_id)
    told = one_place(session, ledger_id, viewer, chosen) if chosen is not None else None
    here = subtree(session, scope, chosen) if chosen is not None else scope.places()
    rows = session.execute(
        select(PLACE.c.place, PLACE.c.path, PLACE.c.name, PLACE.c.kind, PLACE.c.parent)
        .where(PLACE.c.ledger_id == ledger_id, PLACE.c.place.in_(here))
    ).all()  # fmt: skip
    paths = {row[0]: row[1] for row in rows}
    parts = _parts(session, scope, here, paths, paths[chosen] if chosen is not None else "", plans)
    children = [row for row in rows if row[4] == chosen]
    return {
        "place": told, "lines": _together(parts.values()).lines(),
        "items": [_row(row, parts.get(row[0], Part())) for row in sorted(children, key=lambda row: str(row[0]))],
    }  # fmt: skip


def _only_root(session: ReadSession, ledger_id: int) -> str | None:
    """Return the place above all others, None where there are several."""
    roots = select(PLACE.c.place).where(PLACE.c.ledger_id == ledger_id, PLACE.c.parent.is_(None)).limit(2)
    found = session.execute(roots).scalars().all()
    return found[0] if len(found) == 1 else None


def _row(row: Sequence[Any], part: Part) -> Answer:
    place, _, name, kind, _ = row
    return {
        "place": place, "name": name, "kind": kind, "units": part.units, "stations": part.stations,
        "missing_lines": sum(part.missing(line) > 0 for line in part.planned),
    }  # fmt: skip


def _parts(
    session: ReadSession, scope: Scope, here: Select[str], paths: Mapping[str, str], root: str, plans: Iterable[Plan]
) -> dict[str, Part]:
    """Gather what is held and planned by direct part; the place itself is the part with the empty name."""
    parts: dict[str, Part] = {}

    def part_of(place: str) -> Part:
        return parts.setdefault(paths[place][len(root) :].split("/")[0], Part())

    for place, item, contest, units, quantity, good in session.execute(_held(scope, here)):
        part, line = part_of(place), (item, contest or "")
        part.units += units
        part.held[line] = part.held.get(line, 0) + int(quantity)
        part.good[line] = part.good.get(line, 0) + int(good)
    for place, line, quantity in _planned(plans):
        if place in paths:
            part_of(place).planned[line] = part_of(place).planned.get(line, 0) + quantity
    for place in {station.place for plan in plans for station in plan.stations} & paths.keys():
        part_of(place).stations += 1
    return parts


def _planned(plans: Iterable[Plan]) -> Iterator[tuple[str, Line, int]]:
    for plan in plans:
        for station in plan.stations:
            for line in station.kit:
                yield station.place, (line.item, line.contest or ""), line.quantity


def _together(parts: Iterable[Part]) -> Part:
    whole = Part()
    for part in parts:
        for mine, theirs in ((whole.held, part.held), (whole.good, part.good), (whole.planned, part.planned)):
            for line, quantity in theirs.items():
                mine[line] = mine.get(line, 0) + quantity
    return whole


def _held(scope: Scope, here: Select[str]) -> Select[Any]:
    """Return the query for what is held at each place, contents included, as far as the viewer sees it."""
    top = select(UNIT.c.unit, UNIT.c.place).where(
        UNIT.c.ledger_id == scope.ledger_id, UNIT.c.parent.is_(None), UNIT.c.custody == "held", UNIT.c.place.in_(here)
    )
    inside, child = top.cte("inside", recursive=True), UNIT.alias("child")
    inside = inside.union_all(
        select(child.c.unit, inside.c.place).where(
            child.c.ledger_id == scope.ledger_id, child.c.parent == inside.c.unit
        )
    )
    usable = and_(UNIT.c.condition == "good", UNIT.c.lifecycle != "voided")
    good = func.sum(case((usable, UNIT.c.quantity), else_=0))
    return (
        select(inside.c.place, UNIT.c.item, UNIT.c.contest, func.count(), func.sum(UNIT.c.quantity), good)
        .join(UNIT, and_(UNIT.c.ledger_id == scope.ledger_id, UNIT.c.unit == inside.c.unit))
        .where(UNIT.c.lifecycle != "destroyed", scope.unit_in(UNIT.c.unit))
        .group_by(inside.c.place, UNIT.c.item, UNIT.c.contest)
    )
