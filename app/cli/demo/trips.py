"""Who drives what: 532 boxes on nine truck runs of 58 to 60, the rest by boat and, for the prison, by car (pure).

Order of the villages as reported: Loktuan, Guntung, Api-api first, then Bontang Barat. Which stations lie at
sea and how many boxes a run takes beyond "58-60" is our reading, chosen so that 554 boxes go out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.cli.demo import documents as doc
from app.cli.demo.agenda import MINUTE_MS, wita
from app.cli.demo.plan import Station

FIRST = ("64.74.01.1003", "64.74.01.1004", "64.74.01.1006")
THEN = "64.74.03"
LAST = ("64.74.02.1003", "64.74.02.1004", "64.74.02.1006", "64.74.02.1005")
STATIONS_PER_RUN = (30, 30, 29, 30, 30, 29, 30, 29, 29)
START = wita("2024-11-26 08:00")
WAVE_MS, GAP_MS = 210 * MINUTE_MS, 20 * MINUTE_MS
BOAT_START = wita("2024-11-26 07:00")


@dataclass(frozen=True, slots=True)
class Load:
    """What one vehicle brings to one district's committee on one run."""

    run: int
    vehicle: str
    district: str
    to_place: str
    leaves_ms: int
    stations: tuple[Station, ...]


def by_truck(stations: Iterable[Station]) -> list[Load]:
    """Return the loads of the nine runs; a run that serves two districts carries two loads."""
    queue = sorted((s for s in stations if s.village and not s.island), key=_turn)
    loads: list[Load] = []
    for run, size in enumerate(STATIONS_PER_RUN):
        part, queue = queue[:size], queue[size:]
        truck = doc.TRUCKS[run % len(doc.TRUCKS)]
        leaves = START + run // len(doc.TRUCKS) * WAVE_MS + run % len(doc.TRUCKS) * GAP_MS
        for district in dict.fromkeys(str(station.district) for station in part):
            mine = tuple(station for station in part if station.district == district)
            loads.append(Load(run + 1, truck, district, doc.ppk(district), leaves, mine))
    return loads


def _turn(station: Station) -> tuple[int, int, str, int]:
    village = str(station.village)
    if village in FIRST:
        return (0, FIRST.index(village), village, station.number)
    if station.district == THEN:
        return (1, 0, village, station.number)
    late = LAST.index(village) + 1 if village in LAST else 0
    return (2 if station.district == "64.74.01" else 3, late, village, station.number)


def by_boat(stations: Iterable[Station]) -> list[Load]:
    """Return the loads that leave over a port, one a settlement at sea."""
    found: dict[str, list[Station]] = {}
    for station in stations:
        if station.island:
            found.setdefault(station.island, []).append(station)
    return [
        Load(0, boat, str(group[0].district), doc.PORTS[str(group[0].district)], BOAT_START + n * GAP_MS, tuple(group))
        for n, (boat, group) in enumerate(zip(doc.BOATS, found.values(), strict=True))
    ]
