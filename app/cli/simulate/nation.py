"""The plan of the nation: provinces, cities, districts, villages, stations, boxes, kits and cartons (pure).

Every published total is met exactly (`app.cli.simulate.facts`). Where publications end, this is assumed:

- stations of the 17 provinces without a published number: what is left of the total at home, in proportion to voters;
- districts and villages of a province, and its stations of November: in proportion to its stations of February;
- everything of a city: its even share of the province. Real cities differ by far: the largest has 15,228 stations;
- stations abroad: 128 missions under one committee, one box a contest;
- sheets of a contest: in proportion to the stations that vote in it; of November: voters and reserve;
- boxes that the stations' contests do not explain (88,395): spare and recapitulation boxes of the cities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from app.cli.simulate import facts
from app.cli.simulate.facts import ABROAD, GENERAL, REGIONAL, ROWS, contests
from app.cli.simulate.shares import even, largest_remainder

ELECTIONS = (GENERAL, REGIONAL)


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """A regency or city: how many of everything it has; `stations` by election."""

    code: str
    province: str
    kind: str
    districts: int
    villages: int
    stations: Mapping[str, int]
    spares: int

    def boxes(self, election: str) -> int:
        """Return the boxes of its polling stations."""
        return self.stations[election] * self.boxes_per_station(election)

    def boxes_per_station(self, election: str) -> int:
        """Return how many boxes each of its polling stations gets: one a contest."""
        return len(contests(election, self.province))


@dataclass(frozen=True, slots=True)
class Province:
    """A province, or the missions abroad; `cartons` by election and ballot type."""

    code: str
    name: str
    published: bool
    cities: tuple[City, ...]
    cartons: Mapping[tuple[str, str], int]

    def stations(self, election: str) -> int:
        """Return its polling stations."""
        return sum(city.stations[election] for city in self.cities)

    def boxes(self, election: str) -> int:
        """Return its boxes; the spare ones are of the general election."""
        spares = sum(city.spares for city in self.cities) if election == GENERAL else 0
        return spares + sum(city.boxes(election) for city in self.cities)

    @property
    def districts(self) -> int:
        """Its districts."""
        return sum(city.districts for city in self.cities)

    @property
    def villages(self) -> int:
        """Its villages."""
        return sum(city.villages for city in self.cities)


@dataclass(frozen=True)
class Nation:
    """All provinces, and the missions abroad as the last."""

    provinces: tuple[Province, ...]

    @cached_property
    def stations(self) -> dict[str, int]:
        """Polling stations by election."""
        return {election: sum(p.stations(election) for p in self.provinces) for election in ELECTIONS}

    @cached_property
    def boxes(self) -> dict[str, int]:
        """Boxes by election, spare ones included."""
        return {election: sum(p.boxes(election) for p in self.provinces) for election in ELECTIONS}

    @cached_property
    def cartons(self) -> dict[str, int]:
        """Cartons by election."""
        return {
            election: sum(n for p in self.provinces for (of, _), n in p.cartons.items() if of == election)
            for election in ELECTIONS
        }


@lru_cache(maxsize=1)
def nation() -> Nation:
    """Return the nation of 2024."""
    stations = {GENERAL: _february(), REGIONAL: _november()}
    home = stations[GENERAL]
    districts, villages = largest_remainder(facts.DISTRICTS, home), largest_remainder(facts.VILLAGES, home)
    spares = largest_remainder(_unexplained_boxes(home), home)
    cartons = _cartons(stations)
    made = [
        Province(
            row.code, row.name, row.stations is not None,
            _cities(row.code, (row.regencies, row.cities), districts[n], villages[n],
                    {GENERAL: home[n], REGIONAL: stations[REGIONAL][n]}, spares[n]),
            {key: by_province[n] for key, by_province in cartons.items() if by_province[n]},
        )
        for n, row in enumerate(ROWS)
    ]  # fmt: skip
    far = {GENERAL: facts.STATIONS_ABROAD, REGIONAL: 0}
    missions = City(f"{ABROAD}-01", ABROAD, "missions", 1, facts.MISSIONS, far, 0)
    abroad = {key: by_province[-1] for key, by_province in cartons.items() if by_province[-1]}
    return Nation((*made, Province(ABROAD, "Luar negeri", True, (missions,), abroad)))


def _february() -> list[int]:
    """Return the stations at home by province: published, or the rest by voters."""
    known = sum(row.stations or 0 for row in ROWS)
    rest = largest_remainder(
        facts.STATIONS - facts.STATIONS_ABROAD - known, [0 if row.stations else row.voters for row in ROWS]
    )
    return [row.stations or share for row, share in zip(ROWS, rest, strict=True)]


def _november() -> list[int]:
    february, known = _february(), sum(row.november or 0 for row in ROWS)
    weights = [0 if row.november else n for row, n in zip(ROWS, february, strict=True)]
    rest = largest_remainder(facts.STATIONS_NOVEMBER - known, weights)
    return [row.november or share for row, share in zip(ROWS, rest, strict=True)]


def _unexplained_boxes(home: list[int]) -> int:
    explained = sum(n * len(contests(GENERAL, row.code)) for row, n in zip(ROWS, home, strict=True))
    return facts.BOXES - explained - facts.STATIONS_ABROAD * len(contests(GENERAL, ABROAD))


def _cities(
    province: str, kinds: tuple[int, int], districts: int, villages: int, stations: dict[str, int], spares: int
) -> tuple[City, ...]:
    """Return the cities of a province, each with its even share; regencies come first, as in the official codes."""
    count = sum(kinds)
    shares = [even(n, count) for n in (districts, villages, stations[GENERAL], stations[REGIONAL], spares)]
    return tuple(
        City(f"{province}-{n + 1:02}", province, "regency" if n < kinds[0] else "city", districts_, villages_,
             {GENERAL: february, REGIONAL: november}, spares_)
        for n, (districts_, villages_, february, november, spares_) in enumerate(zip(*shares, strict=True))
    )  # fmt: skip


def _cartons(stations: dict[str, list[int]]) -> dict[tuple[str, str], list[int]]:
    """Return cartons by election and ballot type, and within by province, abroad last."""
    codes = [*(row.code for row in ROWS), ABROAD]
    counts = {
        GENERAL: [*stations[GENERAL], facts.STATIONS_ABROAD],
        REGIONAL: [*stations[REGIONAL], 0],
    }
    voting = {
        (election, contest): [
            n if contest in contests(election, code) else 0 for code, n in zip(codes, counts[election], strict=True)
        ]
        for election, contest in _ballots()
    }
    general = [key for key in voting if key[0] == GENERAL]
    sheets = dict(zip(general, largest_remainder(facts.SHEETS, [sum(voting[k]) for k in general]), strict=True))
    for key, weights in voting.items():
        if key not in sheets:
            voters = -(-facts.VOTERS_NOVEMBER * sum(weights) // facts.STATIONS_NOVEMBER)
            sheets[key] = -(-voters * (1000 + facts.RESERVE_PERMILLE_NOVEMBER) // 1000)
    return {
        key: largest_remainder(-(-sheets[key] // facts.SHEETS_PER_CARTON[key[1]]), weights)
        for key, weights in voting.items()
    }


def _ballots() -> list[tuple[str, str]]:
    february = ("PPWP", "DPR", "DPD", "DPRD_PROV", "DPRD_KAB")
    return [*((GENERAL, c) for c in february), (REGIONAL, "PILGUB"), (REGIONAL, "PILKADA")]
