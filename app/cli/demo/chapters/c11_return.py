"""27 and 28 November: closed after the count with new seals, and back: station, village, district, city."""

from functools import partial

from app.cli.demo import documents as doc
from app.cli.demo.agenda import MINUTE_MS, Agenda, wita
from app.cli.demo.plan import Station
from app.cli.demo.stage import Handed, Team
from app.cli.demo.troupe import Troupe

CLOSES = wita("2024-11-27 17:00")
TO_DISTRICT = wita("2024-11-27 23:00")
TO_CITY = wita("2024-11-28 08:00")


def play(troupe: Troupe) -> None:
    """Close every station, then collect village by village."""
    agenda = Agenda()
    for n, station in enumerate(troupe.stations):
        agenda.at(CLOSES + n % 90 * 2 * MINUTE_MS, partial(_close, troupe, agenda, station))
    for n, village in enumerate(troupe.by_village(troupe.stations)):
        agenda.at(TO_DISTRICT + n * MINUTE_MS, partial(_to_district, troupe, village))
        agenda.at(TO_CITY + n * 5 * MINUTE_MS, partial(_to_city, troupe, village))
    agenda.play()


def _close(troupe: Troupe, agenda: Agenda, station: Station, at: int) -> None:
    """Seal the boxes again and sign them out, to the village or, from the prison, to the city."""
    boxes, team = troupe.goods.boxes_of(station), troupe.cast.team(station.place)
    lines = [{"unit": box, "point": point, "number": troupe.seal()} for box in boxes for point in (1, 2)]
    troupe.stage.act(team, "unit.close", {"seals": lines}, at=at, place=station.place, units=boxes)
    agenda.at(at + 20 * MINUTE_MS, partial(_give_back, troupe, agenda, station))


def _give_back(troupe: Troupe, agenda: Agenda, station: Station, at: int) -> None:
    place = doc.pps(station.village) if station.village else doc.WAREHOUSE
    taker = troupe.cast.team(place if station.village else "WH")
    handed = troupe.stage.release(
        troupe.cast.team(station.place), troupe.goods.boxes_of(station), (doc.KPU, place), at=at, place=station.place,
        escort=troupe.cast[f"POL-{station.village or doc.PRISON}"],
    )  # fmt: skip
    agenda.at(at + 15 * MINUTE_MS, partial(_take_back, troupe, taker, handed))


def _take_back(troupe: Troupe, taker: Team, handed: Handed, at: int) -> None:
    troupe.stage.accept(taker, handed, at=at)


def _boxes(troupe: Troupe, village: str) -> list[str]:
    return [box for station in troupe.of_village(village) for box in troupe.goods.boxes_of(station)]


def _to_district(troupe: Troupe, village: str, at: int) -> None:
    district = troupe.of_village(village)[0].district
    place = doc.ppk(str(district))
    troupe.stage.hand_over(
        troupe.cast.team(doc.pps(village)), troupe.cast.team(place), _boxes(troupe, village), (doc.KPU, place), at=at,
        place=doc.pps(village), minutes=0, hours=3, escort=troupe.cast[f"POL-{village}"],
    )  # fmt: skip


def _to_city(troupe: Troupe, village: str, at: int) -> None:
    """Bring a village's boxes from the district to the city's warehouse, where they stay."""
    place = doc.ppk(str(troupe.of_village(village)[0].district))
    troupe.stage.hand_over(
        troupe.cast.team(place), troupe.cast.team("WH"), _boxes(troupe, village), (doc.KPU, doc.WAREHOUSE), at=at,
        place=place, minutes=4, hours=3, escort=troupe.cast[f"POL-{village}"],
    )  # fmt: skip
