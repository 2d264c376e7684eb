"""What a place holds, per agency, item, contest and condition: now, as known at a tree size, or at a moment.

`stock` answers `GET /v1/places/{id}/stock`. One pure function, `lines_of`, counts units; only where they come
from differs: the index over units (now), or a replay of the leaves (then). Contents count where their
outermost container is. `custody` of a line says how the goods stand to the place:

- `held`: here, and an agency answers for them;
- `released`: last held here, on the way elsewhere, not yet accepted;
- `uncertain`: last held here, overdue or reported missing;
- `coming`: released toward here from another place, overdue or not.

`held`, `released` and `uncertain` over all places are everything that is not destroyed, each once.

At a moment, what is certain is told: the leaves received by then. A line is marked `uncertain` when an event
that was signed over a tree of before, and received after, touches what it counts: it may have happened already.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_, select

from app.audit import handovers, past, units
from app.audit.places import Answer, utc
from app.audit.replay import replayer_over
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import HANDOVER
from app.custody.state import Facts, Handover
from app.db import ReadSession
from app.keys.grants import Viewer
from app.units._tables import PLACE, UNIT
from app.units.state import Unit


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What one line of a stock counts together."""

    custody: str
    agency: str
    item: str
    contest: str
    condition: str


@dataclass(slots=True)
class World:
    """Units and open handovers as of one leaf index, from the index or from a replay."""

    units: Mapping[str, Unit]
    handovers: Mapping[str, Handover]
    _tops: dict[str, Unit] = field(default_factory=dict)

    @classmethod
    def of_facts(cls, facts: Facts) -> "World":
        """Take them from complete facts."""
        return cls(facts.kinds[Unit], facts.kinds[Handover])

    def outermost(self, unit: Unit) -> Unit:
        """Return the outermost container of a unit, or the unit itself."""
        trail = []
        while unit.unit not in self._tops and unit.parent is not None:
            trail.append(unit.unit)
            unit = self.units[unit.parent]
        top = self._tops.get(unit.unit, unit)
        self._tops.update(dict.fromkeys(trail, top))
        return top

    def above(self, unit: Unit) -> Iterator[str]:
        """Yield the containers of a unit, innermost first."""
        while unit.parent is not None:
            yield unit.parent
            unit = self.units[unit.parent]


@dataclass(frozen=True, slots=True)
class Here:
    """The places that a stock is asked of, and who asks."""

    scope: Scope
    places: frozenset[str]


def lines_of(world: World, here: Here, among: Iterable[str] | None = None) -> dict[Line, dict[str, int]]:
    """Count what places hold (pure).

    Args:
        world: At least the units whose outermost container is at one of the places or released toward one,
            with everything that contains them, and the handovers that those containers are in.
        here: The places, and who asks: units that he does not see are not counted.
        among: Count these units only.

    Returns:
        By line, the quantity of each unit it counts.
    """
    found: dict[Line, dict[str, int]] = {}
    for unit in world.units.values() if among is None else (world.units[name] for name in among):
        if unit.lifecycle == "destroyed":
            continue
        top = world.outermost(unit)
        for custody in _stands(world, here, unit, top):
            line = Line(custody, top.agency, unit.item, unit.contest or "", unit.condition)
            found.setdefault(line, {})[unit.unit] = unit.quantity
    return found


def _stands(world: World, here: Here, unit: Unit, top: Unit) -> Iterator[str]:
    """Yield how a unit stands to the places: once where it is, and once where it is bound for."""
    viewer = here.scope.viewer
    if top.place in here.places and here.scope.sees_unit(unit, top, here.places):
        yield top.custody
    bound = world.handovers.get(top.handover) if top.handover is not None else None
    if bound is None or bound.to_place not in here.places:
        return
    if viewer.all_agencies or viewer.agency in {bound.agency, bound.to_agency, *unit.agencies}:
        yield "coming"


def stock(
    session: ReadSession, ledger_id: int, viewer: Viewer, place: str, *,
    include_below: bool = True, size: int | None = None, at_ms: int | None = None,
) -> Answer:  # fmt: skip
    """Return what a place holds and what is on the way to it.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        place: The place.
        include_below: Count every place below it, too.
        size: As known at this tree size, rebuilt from leaves.
        at_ms: At this moment, UTC milliseconds, by provable intervals; wins over `size`.

    Returns:
        `lines` in order of custody, agency, item, contest, condition, each with `units` (labelled things) and
        `quantity`; with `at_ms` also `uncertain` per line, and `size`, the tree size that is certain.

    Raises:
        MissingError: There is no such place for this viewer; `size` beyond the ledger.
        TamperError: The leaves do not replay.
    """
    scope = Scope.of(session, ledger_id, viewer)
    chosen = subtree(session, scope, place)
    chosen = chosen if include_below else chosen.where(PLACE.c.place == place)
    here = Here(scope, frozenset(session.execute(chosen).scalars()))
    answer: Answer = {"place": place, "subtree": include_below, "size": size, "at": utc(at_ms)}
    if at_ms is not None:
        return {**answer, **_at(session, here, at_ms)}
    world = (
        _now(session, ledger_id, chosen) if size is None else World.of_facts(past.facts_at(session, ledger_id, size))
    )
    return {**answer, "lines": [_line(key, counted) for key, counted in sorted(lines_of(world, here).items())]}


def _line(line: Line, counted: Mapping[str, int]) -> dict[str, JsonValue]:
    return {
        "custody": line.custody, "agency": line.agency, "item": line.item, "contest": line.contest or None,
        "condition": line.condition, "units": len(counted), "quantity": sum(counted.values()),
    }  # fmt: skip


# -- now -------------------------------------------------------------------------------------------------


def _now(session: ReadSession, ledger_id: int, places: Select[str]) -> World:
    """Read the units at the places or bound for one, contents included, and the handovers toward them."""
    bound = and_(HANDOVER.c.ledger_id == ledger_id, HANDOVER.c.status == "open", HANDOVER.c.to_place.in_(places))
    coming = select(HANDOVER.c.release).where(bound)
    found = [Unit(*row) for row in session.execute(_with_contents(ledger_id, places, coming))]
    rows = session.execute(select(*handovers.COLUMNS).where(bound))
    return World({unit.unit: unit for unit in found}, {h.release: h for h in map(handovers.handover, rows)})


def _with_contents(ledger_id: int, places: Select[str], coming: Select[Any]) -> Select[Any]:
    here: ColumnElement[bool] = or_(UNIT.c.place.in_(places), UNIT.c.handover.in_(coming))
    top = select(UNIT.c.unit).where(UNIT.c.ledger_id == ledger_id, UNIT.c.parent.is_(None), here)
    inside, child = top.cte("inside", recursive=True), UNIT.alias("child")
    inside = inside.union_all(
        select(child.c.unit).where(child.c.ledger_id == ledger_id, child.c.parent == inside.c.unit)
    )
    return select(*units.COLUMNS).join(inside, inside.c.unit == UNIT.c.unit).where(UNIT.c.ledger_id == ledger_id)


# -- at a moment -----------------------------------------------------------------------------------------


def _at(session: ReadSession, here: Here, at_ms: int) -> Answer:
    """Tell what was certain at a moment, and which lines events of unproven time may have changed already."""
    moment = past.moment(session, here.scope.ledger_id, at_ms)
    replayer = replayer_over(session, here.scope.ledger_id)
    lines: dict[Line, dict[str, int]] = {}
    unsure: set[Line] = set()
    for data in past.leaves(session, here.scope.ledger_id, 0, moment.end):
        step = replayer.take(data).step
        if replayer.size == moment.certain:
            lines = lines_of(World.of_facts(replayer.facts), here)
        elif replayer.size - 1 in moment.unproven:
            world = World.of_facts(replayer.facts)
            touched = _with_inside(world, {link.unit for link in step.leaf.links})
            unsure.update(lines_of(world, here, touched))
            unsure.update(line for line, counted in lines.items() if not touched.isdisjoint(counted))
    told = [{**_line(line, lines.get(line, {})), "uncertain": line in unsure} for line in sorted({*lines, *unsure})]
    return {"size": moment.certain, "lines": list(told)}


def _with_inside(world: World, moved: set[str]) -> set[str]:
    """Return units with everything inside them, at every depth."""
    found = set(moved)
    if any(world.units[name].children for name in moved):
        found.update(unit.unit for unit in world.units.values() if any(a in moved for a in world.above(unit)))
    return found
