"""The story of boxes, kits and cartons as acts: who does what with which units, in which phase (pure).

It is told once and used twice: `journey` signs the acts of a sample, `counts` counts those of the whole nation. So
what is reckoned is what was driven.

Grains. At `field` an event carries what is handled together: a lorry takes the boxes of a village, a committee seals
the boxes of its station at once. At `box` every box has its own event, as in the reference model: pack, seal, three
hops out and three back with two sides each, two checks make 16; binding the label, opening and closing come on top.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar

Grain = Literal["field", "box"]
GRAINS: tuple[Grain, ...] = ("field", "box")
PHASES = ("cartons", "bind", "pack", "to_district", "to_village", "to_station", "station_day", "return")
"""In order; `to_station` is the last hop out, `station_day` what a committee's phone keeps until it has a network."""
LABELS_PER_BLOCK = 10_000
LINES_PER_BIND = 60
"""Labels in one `unit.commission`: their lines must fit a payload of 16 KiB."""
LORRY = 200
"""Most units in one event; the limit is 256."""
SIGNATURES = {
    "unit.commission": 2, "unit.pack": 2, "count": 1, "seal.apply": 2, "inspection": 1, "custody.release": 3,
    "custody.accept": 2, "seal.inspect": 1, "unit.open": 2, "unit.close": 2, "labels.issue": 1, "key.enrol": 2,
}  # fmt: skip
"""Of one event: goods of class `accountable` need two officers a side, and an escort."""
OFFICERS = {"hub": 2, "city": 3, "district": 2, "village": 2, "station": 2}
"""Who is enrolled where; the third of a city is the police who escort."""

One = TypeVar("One")


class Station(NamedTuple):
    """A polling station's goods in one election: its place, boxes and kit."""

    place: str
    boxes: Sequence[str]
    kit: str


class Act(NamedTuple):
    """One event: its phase, type, whose phone makes it, its units, and where the goods go (or came from).

    `handover` names the release that an accept answers.
    """

    phase: str
    type: str
    by: str
    units: Sequence[str]
    to: str = ""
    handover: str = ""


class Stops(NamedTuple):
    """The places of a village's way: city, district, village."""

    city: str
    district: str
    village: str


def pieces(units: Sequence[One], size: int) -> Iterator[Sequence[One]]:
    """Yield units in pieces of at most so many."""
    for start in range(0, len(units), size):
        yield units[start : start + size]


def village_acts(way: Stops, stations: Sequence[Station], grain: Grain) -> Iterator[Act]:
    """Yield every act of a village's goods in one election; within a phase the order counts.

    Args:
        way: Its places.
        stations: Its polling stations.
        grain: How many boxes share an event.
    """
    size = LORRY if grain == "field" else 1
    every = [box for station in stations for box in station.boxes]
    for station in stations:
        yield Act("bind", "unit.commission", way.city, [*station.boxes, station.kit], station.place)
        yield Act("pack", "unit.pack", way.city, [station.kit], station.boxes[0])
        for type_ in ("count", "seal.apply"):
            yield from (Act("pack", type_, way.city, part) for part in pieces(station.boxes, size))
    yield from (Act("pack", "inspection", way.city, part) for part in pieces(every, size))
    yield from _hop("to_district", way.city, way.district, every, size)
    yield from _hop("to_village", way.district, way.village, every, size)
    for station in stations:
        yield from _hop("to_station", way.village, station.place, station.boxes, size)
        for type_ in ("seal.inspect", "unit.open", "unit.close"):
            yield from (Act("station_day", type_, station.place, part) for part in pieces(station.boxes, size))
        yield from _hop("return", station.place, way.village, station.boxes, size, leaves="station_day")
    yield from _hop("return", way.village, way.district, every, size)
    yield from _hop("return", way.district, way.city, every, size)


def _hop(
    phase: str, giver: str, taker: str, units: Sequence[str], size: int, *, leaves: str | None = None
) -> Iterator[Act]:
    """Yield release and accept of each load; the release may belong to an earlier phase."""
    for n, part in enumerate(pieces(units, size)):
        handover = f"{giver}>{taker}:{n}"
        yield Act(leaves or phase, "custody.release", giver, part, taker, handover)
        yield Act(phase, "custody.accept", taker, part, giver, handover)


def carton_acts(hub: str, city: str, cartons: Sequence[str]) -> Iterator[Act]:
    """Yield the acts of a city's cartons of one ballot type: bound, sent, taken, inspected, and counted when opened."""
    for part in pieces(cartons, LINES_PER_BIND):
        yield Act("cartons", "unit.commission", hub, part)
    yield from _hop("cartons", hub, city, cartons, LORRY)
    for type_ in ("inspection", "count"):
        yield from (Act("cartons", type_, city, part) for part in pieces(cartons, LORRY))


def spare_acts(city: str, boxes: Sequence[str]) -> Iterator[Act]:
    """Yield the acts of a city's spare boxes: bound and inspected, and there they stay."""
    for part in pieces(boxes, LINES_PER_BIND):
        yield Act("bind", "unit.commission", city, part)
    yield from (Act("bind", "inspection", city, part) for part in pieces(boxes, LORRY))
