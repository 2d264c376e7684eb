"""How many events, signatures and links a sample makes, by election and phase, without making any (pure)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from app.cli.simulate import story
from app.cli.simulate.facts import ABROAD, GENERAL, REGIONAL
from app.cli.simulate.nation import ELECTIONS
from app.cli.simulate.sample import Sample, Village, boxes
from app.cli.simulate.story import Act, Grain, Station, Stops

Tally = dict[tuple[str, str], tuple[int, int]]
"""Events and links by phase and type."""
SETTING_UP = "enrol"
ADDED = ("events", "links", "signatures")


@dataclass(slots=True)
class Counts:
    """What a sample makes: things by name, and events, links and signatures by (election, phase)."""

    things: dict[str, int] = field(default_factory=dict)
    phases: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)

    def total(self, what: str) -> int:
        """Return the sum over all phases of `events`, `links` or `signatures`."""
        return sum(counter[what] for counter in self.phases.values())

    def add(self, election: str, tally: Tally, times: int = 1) -> None:
        """Add what some acts make, so many times."""
        for (phase, type_), (events, links) in tally.items():
            counter = self.phases.setdefault((election, phase), Counter())
            counter["events"] += times * events
            counter["links"] += times * links
            counter["signatures"] += times * events * story.SIGNATURES[type_]


def tally(acts: Iterable[Act]) -> Tally:
    """Count acts by phase and type; packing links the container as well."""
    events: Counter[tuple[str, str]] = Counter()
    links: Counter[tuple[str, str]] = Counter()
    for act in acts:
        events[act.phase, act.type] += 1
        links[act.phase, act.type] += len(act.units) + (act.type == "unit.pack")
    return {key: (events[key], links[key]) for key in events}


@lru_cache(maxsize=4096)
def _village(stations: int, boxes_each: int, grain: Grain) -> Tally:
    one = Station("s", ["b"] * boxes_each, "k")
    return tally(story.village_acts(Stops("c", "d", "v"), [one] * stations, grain))


def officers(found: Sample) -> Iterator[tuple[str, int]]:
    """Yield every place of a sample that has officers, with how many; a committee of November is another one."""
    cities = found.cities()
    for hub in sorted({city.province for city in cities}):
        yield hub, story.OFFICERS["hub"]
    for city in cities:
        yield city.code, story.OFFICERS["city"]
    for district in dict.fromkeys(village.district for village in found.villages):
        yield district, story.OFFICERS["district"]
    for village in found.villages:
        yield village.place, story.OFFICERS["village"]
        for election in ELECTIONS:
            for n in range(village.stations[election]):
                yield station_place(village, election, n), story.OFFICERS["station"]


def station_place(village: Village, election: str, number: int) -> str:
    """Return the place of a polling station: the letter says of which election."""
    return f"{village.place}-{'G' if election == GENERAL else 'R'}{number + 1:03}"


def counts(found: Sample, grain: Grain) -> Counts:
    """Return what a sample makes at a grain."""
    told = Counts()
    enrolled = _enrolled(found)
    told.add(GENERAL, {(SETTING_UP, "key.enrol"): (enrolled, 0)})
    shapes = Counter(
        (election, village.stations[election], village.city.boxes_per_station(election))
        for village in found.villages
        for election in ELECTIONS
        if village.stations[election]
    )
    for (election, stations, each), times in shapes.items():
        told.add(election, _village(stations, each, grain), times)
    for count in found.spares.values():
        told.add(GENERAL, tally(story.spare_acts("c", ["b"] * count)))
    for kinds in found.cartons.values():
        for (election, _), count in kinds.items():
            told.add(election, tally(story.carton_acts("h", "c", ["b"] * count)))
    told.things = things(found, enrolled)
    blocks = sum(-(-n // story.LABELS_PER_BLOCK) for n in labels(found).values())
    told.add(GENERAL, {(SETTING_UP, "labels.issue"): (blocks, 0)})
    return told


def _enrolled(found: Sample) -> int:
    """Return how many officers there are: the sum of `officers`, without naming a million committees."""
    cities, stations = found.cities(), sum(found.stations(election) for election in ELECTIONS)
    each = {
        "hub": len({city.province for city in cities}), "city": len(cities),
        "district": len({(v.city.code, v.in_district) for v in found.villages}), "village": len(found.villages),
        "station": stations,
    }  # fmt: skip
    return sum(story.OFFICERS[level] * n for level, n in each.items())


def labels(found: Sample) -> dict[str, int]:
    """Return how many labels each city needs, both elections together."""
    needed: Counter[str] = Counter({city.code: n for city, n in found.spares.items()})
    for city, kinds in found.cartons.items():
        needed[city.code] += sum(kinds.values())
    for village in found.villages:
        for election in ELECTIONS:
            needed[village.city.code] += village.stations[election] * (village.city.boxes_per_station(election) + 1)
    return {code: n for code, n in sorted(needed.items()) if n}


def things(found: Sample, enrolled: int) -> dict[str, int]:
    """Return what there is: places, goods and people."""
    general, regional = (found.stations(election) for election in (GENERAL, REGIONAL))
    cartons = sum(sum(kinds.values()) for kinds in found.cartons.values())
    in_boxes = [boxes(found, election) for election in ELECTIONS]
    cities = found.cities()
    return {
        "provinces": len({city.province for city in cities} - {ABROAD}),
        "cities": len([city for city in cities if city.province != ABROAD]),
        "districts": len({(v.city.code, v.in_district) for v in found.villages}), "villages": len(found.villages),
        "stations_general": general, "stations_regional": regional, "stations": general + regional,
        "boxes_general": in_boxes[0], "boxes_regional": in_boxes[1], "boxes": sum(in_boxes),
        "kits": general + regional, "cartons": cartons, "units": sum(in_boxes) + general + regional + cartons,
        "officers": enrolled,
    }  # fmt: skip
