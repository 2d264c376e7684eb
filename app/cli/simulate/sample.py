"""A fraction of the nation: which villages, with how many of their stations, and how many cartons and spares (pure).

Stations are taken province by province (`shares.nested`), and within a province whole village after whole village,
since goods travel by village: a sample of one station here and one there would never fill a truck. The order of the
villages is fixed by the seed, spreads over the cities, and is the same for every fraction: the small sample is a
part of the large one.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from app.cli.simulate.facts import GENERAL
from app.cli.simulate.nation import ELECTIONS, City, Nation, Province
from app.cli.simulate.shares import even, nested
from app.errors import MalformedError

WRITTEN = re.compile(r"[0-9]{1,9}/0*[1-9][0-9]{0,11}|[0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,18}")
"""How a fraction is written; a sign, an exponent or a divisor of zero is not of this form."""


@dataclass(frozen=True, slots=True)
class Village:
    """A village of the sample; `stations` by election, the first so many of what it has."""

    city: City
    number: int
    stations: dict[str, int]

    @property
    def in_district(self) -> int:
        """The number of its district in the city."""
        return self.number * self.city.districts // self.city.villages + 1

    @property
    def district(self) -> str:
        """The place of its district."""
        return f"{self.city.code}-D{self.in_district:02}"

    @property
    def place(self) -> str:
        """Its own place."""
        return f"{self.district}-V{self.number + 1:03}"


@dataclass(slots=True)
class Sample:
    """What a fraction holds; spares and cartons lie in the first city of each province's order."""

    fraction: Fraction
    villages: list[Village] = field(default_factory=list)
    spares: dict[City, int] = field(default_factory=dict)
    cartons: dict[City, dict[tuple[str, str], int]] = field(default_factory=dict)

    def stations(self, election: str) -> int:
        """Return its polling stations."""
        return sum(village.stations[election] for village in self.villages)

    def cities(self) -> list[City]:
        """Return its cities, in order of their codes."""
        found = {city.code: city for city in (*self.spares, *self.cartons, *(v.city for v in self.villages))}
        return [found[code] for code in sorted(found)]


def parse_fraction(text: str) -> Fraction:
    """Read `1/2000`, `0.0005` or `1`.

    Raises:
        MalformedError: It is none of these, or not above 0 and at most 1.
    """
    if WRITTEN.fullmatch(text) is None:
        raise MalformedError(f"{text[:40]!r} is no fraction; write 1/2000 or 0.0005.")
    found = Fraction(text)
    if not 0 < found <= 1:
        raise MalformedError(f"A fraction of the nation lies above 0 and is at most 1; {text} does not.")
    return found


def part(fraction: Fraction, whole: int) -> int:
    """Return a fraction of a number, to the nearest, a half upwards."""
    return int(fraction * whole + Fraction(1, 2))


def sample(of: Nation, fraction: Fraction, seed: int) -> Sample:
    """Return a fraction of the nation; it always holds a station of each election.

    Args:
        of: The nation.
        fraction: Above 0, at most 1.
        seed: Fixes the order of the villages.
    """
    found = Sample(fraction)
    wanted = {
        election: nested(
            max(1, part(fraction, of.stations[election])), [p.stations(election) for p in of.provinces]
        )
        for election in ELECTIONS
    }  # fmt: skip
    spares = _portions(fraction, [sum(city.spares for city in p.cities) for p in of.provinces])
    kinds = sorted({kind for province in of.provinces for kind in province.cartons})
    cartons = {kind: _portions(fraction, [p.cartons.get(kind, 0) for p in of.provinces]) for kind in kinds}
    for n, province in enumerate(of.provinces):
        order = _order(province, seed)
        found.villages.extend(_take(order, {election: wanted[election][n] for election in ELECTIONS}))
        if spares[n]:
            found.spares[order[0][0]] = spares[n]
        here = {kind: cartons[kind][n] for kind in kinds if cartons[kind][n]}
        if here:
            found.cartons[order[0][0]] = here
    return found


def _portions(fraction: Fraction, sizes: list[int]) -> list[int]:
    return nested(part(fraction, sum(sizes)), sizes)


def _order(province: Province, seed: int) -> list[tuple[City, int]]:
    """Return every village of a province as city and number, spread over the cities, in the seed's order."""
    draw = random.Random(f"{seed}:{province.code}")  # noqa: S311 - a sample that anybody can draw again, no secret
    placed: list[tuple[float, City, int]] = []
    for city in province.cities:
        offset, numbers = draw.random(), list(range(city.villages))
        draw.shuffle(numbers)
        placed.extend(((n + offset) / city.villages, city, number) for n, number in enumerate(numbers))
    placed.sort(key=lambda entry: (entry[0], entry[1].code))
    return [(city, number) for _, city, number in placed]


def _take(order: list[tuple[City, int]], left: dict[str, int]) -> Iterator[Village]:
    sizes = {
        city.code: {election: even(city.stations[election], city.villages) for election in ELECTIONS}
        for city in {id(city): city for city, _ in order}.values()
    }
    for city, number in order:
        if not any(left.values()):
            return
        stations = {e: min(left[e], sizes[city.code][e][number]) for e in ELECTIONS}
        for election in ELECTIONS:
            left[election] -= stations[election]
        if any(stations.values()):
            yield Village(city, number, stations)


def boxes(found: Sample, election: str) -> int:
    """Return the boxes of a sample, the spare ones with the general election."""
    spares = sum(found.spares.values()) if election == GENERAL else 0
    return spares + sum(v.stations[election] * v.city.boxes_per_station(election) for v in found.villages)
