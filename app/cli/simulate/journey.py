"""Acts become signed events: what each type says, by whose phones, of which units.

Unit ids and seal numbers are drawn from the seed, by place, so that a unit of the small sample is the same unit in
the large one. A lane is a list of events that must reach the ledger in order: a city's goods, since its officers
author one event after the other; or a committee's own day, which its phone sends at once.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.cli.bench.traffic import Event
from app.cli.phone import Phone, Signed, ids_commitment
from app.cli.simulate import documents as doc
from app.cli.simulate import story
from app.cli.simulate.cast import DAY_MS, Cast
from app.cli.simulate.counts import station_place
from app.cli.simulate.facts import GENERAL, SHEETS_PER_CARTON, contests
from app.cli.simulate.nation import City
from app.cli.simulate.sample import Sample, Village
from app.cli.simulate.story import Act, Grain, Station, Stops
from app.clock import rfc3339_ms
from app.ids import new_unit_id

OBSERVATIONS = frozenset({"count", "inspection", "seal.inspect"})
POINTS = (1, 2)
CONFORM = [{"what": what, "conform": True} for what in ("COUNT", "KIND", "LABEL", "CONDITION")]
SHEETS_PER_BOX = {GENERAL: 254}
"""Ballots in a box: voters of an average station and 2 % more; of November 468 and 2.5 %."""
SHEETS_PER_BOX_NOVEMBER = 480


@dataclass(slots=True)
class Goods:
    """Every unit by what binds it to its label, and the acts of each city by election."""

    lines: dict[str, dict[str, Any]] = field(default_factory=dict)
    sheets: dict[str, int] = field(default_factory=dict)
    acts: dict[tuple[str, str], list[Act]] = field(default_factory=dict)

    def units_of(self, city: str) -> list[str]:
        """Return every unit whose label a city issues."""
        return [
            unit
            for (_, code), acts in self.acts.items()
            if code == city
            for act in acts
            if act.type == "unit.commission"
            for unit in act.units
        ]


def goods_of(found: Sample, grain: Grain, seed: int) -> Goods:
    """Return what there is in a sample, and everything that is done with it."""
    goods = Goods()
    for city, kinds in found.cartons.items():
        for (election, ballot), count in kinds.items():
            units = _ids(goods, f"{seed}:{election}:{city.province}:{ballot}", count)
            for unit in units:
                goods.lines[unit] = {
                    "item": doc.BALLOT, "contest": ballot, "quantity": SHEETS_PER_CARTON[ballot], "source": "print",
                }  # fmt: skip
                goods.sheets[unit] = SHEETS_PER_CARTON[ballot]
            _acts(goods, election, city).extend(story.carton_acts(city.province, city.code, units))
    for city, count in found.spares.items():
        units = _ids(goods, f"{seed}:{city.province}:spare", count)
        goods.lines.update((unit, {"item": doc.BOX}) for unit in units)
        _acts(goods, GENERAL, city).extend(story.spare_acts(city.code, units))
    for village in found.villages:
        for election, count in village.stations.items():
            stations = [_station(goods, village, election, n, seed) for n in range(count)]
            way = Stops(village.city.code, village.district, village.place)
            _acts(goods, election, village.city).extend(story.village_acts(way, stations, grain))
    return goods


def _acts(goods: Goods, election: str, city: City) -> list[Act]:
    return goods.acts.setdefault((election, city.code), [])


def _ids(goods: Goods, named: str, count: int) -> list[str]:
    draw = random.Random(named)  # noqa: S311 - the ids of a simulation, the same for the same seed
    made: list[str] = []
    while len(made) < count:
        unit = new_unit_id(draw.randbytes(10))
        if unit not in goods.lines:
            goods.lines[unit] = {}
            made.append(unit)
    return made


def _station(goods: Goods, village: Village, election: str, number: int, seed: int) -> Station:
    place = station_place(village, election, number)
    voted = contests(election, village.city.province)
    *boxes, kit = _ids(goods, f"{seed}:{place}", len(voted) + 1)
    for box, contest in zip(boxes, voted, strict=True):
        goods.lines[box] = {"item": doc.BOX, "contest": contest, "destination": place}
        goods.sheets[box] = SHEETS_PER_BOX.get(election, SHEETS_PER_BOX_NOVEMBER)
    goods.lines[kit] = {"item": doc.KIT, "destination": place}
    return Station(place, boxes, kit)


@dataclass(slots=True)
class Journey:
    """Signs the acts of one election."""

    cast: Cast
    goods: Goods
    election: str
    now_ms: int
    releases: dict[tuple[str, str], str] = field(default_factory=dict)

    def lanes(self, phase: str) -> list[list[Act]]:
        """Return the acts of a phase as lanes, the longest first."""
        made: list[list[Act]] = []
        for (election, _), acts in self.goods.acts.items():
            mine = [act for act in acts if act.phase == phase] if election == self.election else []
            if phase == "station_day":
                by_station: dict[str, list[Act]] = {}
                for act in mine:
                    by_station.setdefault(act.by, []).append(act)
                made.extend(by_station.values())
            elif mine:
                made.append(mine)
        return sorted(made, key=len, reverse=True)

    def sign(self, act: Act) -> Event:
        """Sign an act as its officers would; the acts of one phone must be signed in their order."""
        side = self.cast.sides[act.by]
        details, after = self._details(act)
        beside: dict[Phone, str] = {}
        if act.type not in OBSERVATIONS:
            beside[side.second] = "second"
        if act.type == "custody.release":
            beside[self.cast.escorts[act.by[:5]] if side.level != "hub" else self._escort_of(act.to)] = "escort"
        capacity = "witness" if act.type in OBSERVATIONS else "taker" if act.type == "custody.accept" else "giver"
        signed = side.first.sign(
            act.type, details, at_ms=self.now_ms, units=act.units, capacity=capacity, with_=beside,
            place=doc.depot(side.level, act.by), after=after, election=self.election,
        )  # fmt: skip
        if act.type == "custody.release":
            self.releases[act.handover, act.units[0]] = signed.hash
        return event_of(signed)

    def _escort_of(self, city: str) -> Phone:
        return self.cast.escorts[city[:5]]

    def _details(self, act: Act) -> tuple[dict[str, Any], Sequence[str]]:
        if act.type == "custody.release":
            level = self.cast.sides[act.to].level
            return {
                "to_agency": doc.agency(act.to[:2]), "to_place": doc.depot(level, act.to),
                "due_by": rfc3339_ms(self.now_ms + DAY_MS),
            }, ()  # fmt: skip
        if act.type == "custody.accept":
            release = self.releases.pop((act.handover, act.units[0]))
            return {
                "release": release, "scanned": {"n": len(act.units), "hash": ids_commitment(act.units)},
            }, (release,)  # fmt: skip
        return self._said(act), ()

    def _said(self, act: Act) -> dict[str, Any]:
        goods = self.goods
        match act.type:
            case "unit.commission":
                return {"lines": [{"act": "bind", "unit": unit, **goods.lines[unit]} for unit in act.units]}
            case "unit.pack":
                return {"parent": act.to}
            case "count":
                return {"basis": "stock", "lines": [_counted(unit, goods.sheets[unit]) for unit in act.units]}
            case "inspection":
                return {"kind": "receipt" if act.phase == "cartons" else "full", "things": CONFORM}
            case "seal.apply":
                return {"seals": list(_seals(act.units, "A"))}
            case "unit.close":
                return {"seals": list(_seals(act.units, "B"))}
            case "seal.inspect" | "unit.open":
                found = [{**line, "finding": "intact"} for line in _seals(act.units, "A")]
                return {"seals": found, **({"reason": "VOTING"} if act.type == "unit.open" else {})}
            case _:
                raise ValueError(f"the story has no {act.type}")


def _counted(unit: str, sheets: int) -> dict[str, Any]:
    return {"unit": unit, "counted": sheets, "expected": sheets}


def _seals(units: Sequence[str], series: str) -> Iterator[dict[str, Any]]:
    """Yield two numbered seals a unit; the number comes from the unit's own id, so that none is used twice."""
    for unit in units:
        for point in POINTS:
            yield {"unit": unit, "point": point, "number": f"{series}{unit[:13]}{point}"}


def event_of(signed: Signed) -> Event:
    """Return a signed event as it is sent."""
    return Event(signed.hash.encode(), orjson.dumps(signed.jws))
