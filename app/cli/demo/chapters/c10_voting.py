"""27 November: every station opens its boxes and counts its kit; the secrecy wall stands from here.

One station misses a bottle of ink. The station at Tihi-Tihi has had no network since yesterday; its phone
signs all the same and sends a day later, and nobody is alarmed.
"""

from functools import partial

from app.cli.demo import documents as doc
from app.cli.demo import irregular
from app.cli.demo.agenda import MINUTE_MS, Agenda, wita
from app.cli.demo.plan import Station
from app.cli.demo.troupe import Troupe

OPENS = wita("2024-11-27 06:30")
BACK_ONLINE = wita("2024-11-27 11:00")


def play(troupe: Troupe) -> None:
    """Open every station within half an hour."""
    agenda = Agenda()
    for n, station in enumerate(troupe.stations):
        at = OPENS + n % 30 * MINUTE_MS
        agenda.at(at, partial(_open, troupe, station))
        agenda.at(at + 8 * MINUTE_MS, partial(_count_kit, troupe, station))
    agenda.at(BACK_ONLINE, partial(_back_online, troupe))
    agenda.play()


def _open(troupe: Troupe, station: Station, at: int) -> None:
    boxes = troupe.goods.boxes_of(station)
    found = [
        {"unit": box, "point": point, "number": number, "finding": "intact"}
        for box in boxes
        for point, number in troupe.goods.seals.get(box, ())
    ]
    told = {"seals": found, "reason": "VOTING"}
    troupe.stage.act(troupe.cast.team(station.place), "unit.open", told, at=at, place=station.place, units=boxes)


def _count_kit(troupe: Troupe, station: Station, at: int) -> None:
    short = station.place == irregular.SHORT_KIT_AT
    lines = [
        {**{name: line[name] for name in ("item", "contest") if name in line},
         "counted": line["quantity"] - (short and line["item"] == irregular.SHORT_ITEM)}
        for line in doc.kit(station)
    ]  # fmt: skip
    team = troupe.cast.team(station.place)
    told = {"basis": "kit", "lines": lines}
    troupe.stage.see(team.first, "count", told, at=at, place=station.place, with_={team.second: "witness"})


def _back_online(troupe: Troupe, at: int) -> None:
    troupe.stage.comes_back(troupe.cast[f"{irregular.OFFLINE_STATION}-1"], at=at)
