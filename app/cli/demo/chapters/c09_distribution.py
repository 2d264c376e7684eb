"""26 November: out to the polling stations. Office, district, village, station: each step a signed handover.

Nine truck runs, four boats on the tide, a car to the prison; police sign as escort at every step. On this day
most of what can go wrong does (`irregular`), and every village but one has its boxes by six in the evening.
"""

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.cli.demo import documents as doc
from app.cli.demo import irregular, trips
from app.cli.demo.agenda import MINUTE_MS, Agenda, wita
from app.cli.demo.plan import Station
from app.cli.demo.stage import Handed, Team
from app.cli.demo.troupe import Troupe
from app.ids import new_unit_id

LATE_BY_MS = wita("2024-11-26 19:42")


@dataclass(slots=True)
class Distribution:
    """The day's doings, put on one agenda."""

    troupe: Troupe
    agenda: Agenda
    clock_seen: bool = False

    def leave(self, load: trips.Load, unit: str, at: int) -> None:
        """Pack the load, sign it out under escort, and let it go."""
        stage, cast = self.troupe.stage, self.troupe.cast
        store, escort = cast.team("WH"), cast[f"POL-{load.vehicle}"]
        goods = self._goods(load.stations)
        stage.act(store, "unit.pack", {"parent": unit}, at=at, place=doc.WAREHOUSE, units=goods)
        if load.run == irregular.UNESCORTED_RUN:
            handed = self._leave_alone(store, unit, load, at)
        else:
            handed = stage.release(
                store, [unit], (doc.KPU, load.to_place), at=at, place=doc.WAREHOUSE, escort=escort,
                vehicle=load.vehicle, waybill=f"SJ-6474/DEMO/{load.run}",
            )  # fmt: skip
            told = {"release": handed.release, "vehicle": load.vehicle}
            stage.see(escort, "departed", told, at=at, place=doc.WAREHOUSE, units=[unit], after=[handed.release])
        self.agenda.at(at + 30 * MINUTE_MS, partial(self.arrive, load, handed))

    def _leave_alone(self, store: Team, unit: str, load: trips.Load, at: int) -> Handed:
        return self.troupe.stage.release(
            store, [unit], (doc.KPU, load.to_place), at=at, place=doc.WAREHOUSE, vehicle=load.vehicle,
            override={"reason": "ESCORT_DELAYED"}, name="release without escort",
        )  # fmt: skip

    def arrive(self, load: trips.Load, handed: Handed, at: int) -> None:
        """Take the load over at the district's committee and open it."""
        stage, ppk = self.troupe.stage, self.troupe.cast.team(doc.ppk(load.district))
        if load.district == irregular.FAST_DISTRICT and not self.clock_seen:
            self.clock_seen = True
            self._fast_phone(handed, load, at)
        stage.accept(ppk, handed, at=at)
        goods = self._goods(load.stations)
        stage.act(ppk, "unit.unpack", {"parent": handed.units[0]}, at=at, place=load.to_place, units=goods)
        for n, group in enumerate(self.troupe.by_village(load.stations).values()):
            self.agenda.at(at + (15 + 10 * n) * MINUTE_MS, partial(self.to_village, load, group))

    def _fast_phone(self, handed: Handed, load: trips.Load, at: int) -> None:
        phone = self.troupe.cast[irregular.FAST_PHONE]
        phone.clock_offset_ms = irregular.FAST_MS
        told = {"release": handed.release, "vehicle": load.vehicle}
        how = {"place": load.to_place, "units": handed.units, "after": [handed.release]}
        self.troupe.stage.see(phone, "arrived", told, at=at, **how)
        phone.clock_offset_ms = 0

    def to_village(self, load: trips.Load, group: list[Station], at: int) -> None:
        """Release a village's boxes and booths to its committee."""
        stage, village = self.troupe.stage, str(group[0].village)
        late = village == irregular.LATE_VILLAGE and not group[0].island
        handed = stage.release(
            self.troupe.cast.team(doc.ppk(load.district)), self._goods(group), (doc.KPU, doc.pps(village)), at=at,
            place=load.to_place, vehicle=load.vehicle, escort=self.troupe.cast[f"POL-{village}"],
            name="late release" if late else "",
        )  # fmt: skip
        here = {station.place for station in group}
        if irregular.STRAY_BOX[0] in here:
            self.agenda.at(at + 8 * MINUTE_MS, self.stray)
        arrives = LATE_BY_MS if late else at + 25 * MINUTE_MS
        self.agenda.at(arrives, partial(self.in_village, load, group, handed))

    def stray(self, at: int) -> None:
        """Let another village's committee find a box that was unloaded at the wrong door."""
        stage, box = self.troupe.stage, self.troupe.goods.boxes[irregular.STRAY_BOX]
        stage.names["stray box"] = box
        place = irregular.STRAY_SEEN_AT
        stage.see(self.troupe.cast[f"{place}-1"], "sighting", {"source": "camera"}, at=at, place=place, units=[box])

    def in_village(self, load: trips.Load, group: list[Station], handed: Handed, at: int) -> None:
        """Take over in the village, then hand out station by station."""
        village = str(group[0].village)
        self.troupe.stage.accept(self.troupe.cast.team(doc.pps(village)), handed, at=at)
        for n, station in enumerate(group):
            self.agenda.at(at + (10 + 3 * n) * MINUTE_MS, partial(self.to_station, load, station))

    def to_station(self, load: trips.Load, station: Station, at: int) -> None:
        """Release a station's boxes to its committee, by boat where it lies at sea."""
        stage, cast, village = self.troupe.stage, self.troupe.cast, str(station.village)
        boat: dict[str, Any] = {"vehicle": load.vehicle} if station.island else {}
        handed = stage.release(
            cast.team(doc.pps(village)), self._goods([station]), (doc.KPU, station.place), at=at,
            place=doc.pps(village), escort=cast[f"POL-{village}"],
            hours=32 if station.place == irregular.OFFLINE_STATION else 6, **boat,
        )  # fmt: skip
        if station.place == irregular.OFFLINE_STATION:
            stage.goes_offline(cast[f"{station.place}-1"])
        minutes = 70 if station.island else 12
        self.agenda.at(at + minutes * MINUTE_MS, partial(self.at_station, station, handed))

    def at_station(self, station: Station, handed: Handed, at: int) -> None:
        """Take over at the polling station, a day before it opens."""
        self.troupe.stage.accept(self.troupe.cast.team(station.place), handed, at=at)

    def to_prison(self, station: Station, at: int) -> None:
        """Bring a prison station's boxes straight from the city's warehouse."""
        cast = self.troupe.cast
        handed = self.troupe.stage.release(
            cast.team("WH"), self._goods([station]), (doc.KPU, station.place), at=at, place=doc.WAREHOUSE,
            escort=cast[f"POL-{doc.PRISON}"],
        )  # fmt: skip
        self.agenda.at(at + 35 * MINUTE_MS, partial(self.at_station, station, handed))

    def unknown_label(self, at: int) -> None:
        """Let a village's committee scan a label that nobody issued."""
        stage, place = self.troupe.stage, irregular.UNKNOWN_LABEL_AT
        label = stage.names["unknown label"] = new_unit_id(secrets.token_bytes(10))
        stage.see(self.troupe.cast[f"{place}-1"], "sighting", {"source": "camera"}, at=at, place=place, units=[label])

    def _goods(self, stations: list[Station] | tuple[Station, ...]) -> list[str]:
        goods = self.troupe.goods
        boxes = [box for station in stations for box in goods.boxes_of(station)]
        return [*boxes, *(goods.kits[station.place, doc.BOOTH] for station in stations)]


def play(troupe: Troupe) -> None:
    """Put the day's departures on the agenda and let them run."""
    day = Distribution(troupe, Agenda())
    troupe.stage.names["unsealed box"] = troupe.goods.boxes[irregular.UNSEALED_BOX]
    loads = [*trips.by_boat(troupe.stations), *trips.by_truck(troupe.stations)]
    units = [troupe.label() for _ in loads]
    lines = [{"unit": unit, "item": doc.LOAD} for unit in units]
    troupe.stage.commission(troupe.cast.team("WH"), lines, at=wita("2024-11-26 06:45"), place=doc.WAREHOUSE)
    for load, unit in zip(loads, units, strict=True):
        day.agenda.at(load.leaves_ms, partial(day.leave, load, unit))
    for n, station in enumerate(s for s in troupe.stations if s.village is None):
        day.agenda.at(wita("2024-11-26 09:00") + n * 5 * MINUTE_MS, partial(day.to_prison, station))
    day.agenda.at(wita("2024-11-26 13:50"), day.unknown_label)
    day.agenda.play()
