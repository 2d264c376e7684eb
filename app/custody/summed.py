"""Which running sums an event may change or be judged by: what the loader brings, and no rule asks for more (pure).

Packing and acceptance are judged by sums (`Stowage`, `Supply`), so that what an event costs does not grow with what
was packed before it. The loader asks here after it has the units of a group; a unit that only comes into being within
the group has its destination from the event that binds it, or from the container that it is put into.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.custody.details import BindLine, Correction, CustodyAccept, UnitPack, UnitUnpack
from app.custody.events import Event
from app.custody.state import Facts, Handover
from app.units.state import Label, Stowage, Supply, Unit, supply_id

ACCOUNTED = frozenset({
    "unit.commission", "unit.pack", "unit.unpack", "lot.move", "unit.void", "unit.destroy", "custody.accept",
    "correction", "condition",
})  # fmt: skip
"""Types of event that may change a sum."""


def sums_of(events: Iterable[Event], facts: Facts, bodies: Mapping[str, Event]) -> dict[type, list[str]]:
    """Return the keys of the sums that these events may need.

    Args:
        events: Whose units are loaded.
        facts: Where they are.
        bodies: Every event of the group by hash: an accept may answer a release that comes with it.
    """
    wanted: dict[type, list[str]] = {Supply: [], Stowage: []}
    for event in events:
        if event.type.name in ACCOUNTED:
            for kind, key in _sums_of(event, facts, bodies):
                wanted[kind].append(key)
    return {kind: keys for kind, keys in wanted.items() if keys}


def _sums_of(event: Event, facts: Facts, bodies: Mapping[str, Event]) -> Iterator[tuple[type, str]]:
    told = event.details
    packing = isinstance(told, UnitPack | UnitUnpack)
    arriving = isinstance(told, CustodyAccept)
    excepted = {line.unit for line in told.exceptions} if isinstance(told, CustodyAccept) else set()
    if isinstance(told, Correction):
        yield Supply, supply_id(event.body.election, told.value)
    for line in getattr(told, "lines", ()):
        if isinstance(line, BindLine) and line.destination:
            yield Supply, supply_id(event.body.election, line.destination)
    for unit in _units(event, facts, bodies):
        if unit.destination and (not arriving or unit.destination == event.body.place or unit.unit in excepted):
            yield Supply, supply_id(unit.election, unit.destination)
            if isinstance(told, Correction):
                yield Supply, supply_id(unit.election, told.value)
        if arriving and unit.destination == event.body.place:
            yield Stowage, unit.unit
    if packing:
        yield from ((Stowage, name) for name in _chain(event, facts))


def _units(event: Event, facts: Facts, bodies: Mapping[str, Event]) -> Iterator[Unit]:
    """Yield the units that an event may move, as far as they are loaded."""
    for name in _names(event, facts, bodies):
        unit: Unit | None = facts.kinds[Unit].get(_resolved(facts, name))
        if unit is not None:
            yield unit


def _names(event: Event, facts: Facts, bodies: Mapping[str, Event]) -> Iterator[str]:
    told: Any = event.details
    yield from event.body.units
    for name in ("parent", "source", "target", "unit"):
        value = getattr(told, name, None)
        if isinstance(value, str):
            yield value
    release = getattr(told, "release", None)
    if release is not None:
        handover: Handover | None = facts.kinds[Handover].get(release)
        body = bodies.get(release)
        yield from handover.units if handover is not None else ()
        yield from body.body.units if body is not None else ()


def _resolved(facts: Facts, name: str) -> str:
    """Return the unit that a label stands for; within a group a label may be bound only later, under its own name."""
    label: Label | None = facts.kinds[Label].get(name)
    return label.unit if label is not None and label.unit is not None else name


def _chain(event: Event, facts: Facts) -> Iterator[str]:
    """Yield every container that a packing may change: what is named, and all that contains it."""
    for name in (event.details.parent, *event.body.units):
        node: str | None = _resolved(facts, name)
        seen: set[str] = set()
        while node is not None and node not in seen:
            yield node
            seen.add(node)
            unit: Unit | None = facts.kinds[Unit].get(node)
            node = unit.parent if unit is not None else None
