"""11 and 12 November: boxes, booths, ink and seals arrive; damaged ballots are replaced one for one.

554 of the 560 boxes get the label of their station and contest; six stay spare. What is counted rather than
labelled arrives as one lot an item, and every station gets small lots of its own. The 2,000 ballots for a
re-vote are set apart from the last cartons.
"""

from typing import Any

from app.cli.demo import documents as doc
from app.cli.demo.agenda import wita
from app.cli.demo.troupe import Troupe

DAY = "2024-11-11"


def play(troupe: Troupe) -> None:
    """Receive, label, inspect, replace, set apart."""
    stage, store = troupe.stage, troupe.cast.team("WH")
    wanted = len(troupe.stations) * (len(doc.CONTESTS) * 2 + len(doc.PER_STATION)) + 100
    at = wita(f"{DAY} 08:00")
    troupe.spare_labels = stage.labels(store.first, wanted, at=at, place=doc.WAREHOUSE)
    _boxes(troupe)
    _stock(troupe)
    _lots_of_stations(troupe)
    _replacements(troupe)
    _revote(troupe)


def _boxes(troupe: Troupe) -> None:
    goods, received = troupe.goods, troupe.figures["election_nov_2024"]["equipment_received"]
    lines: list[dict[str, Any]] = []
    for station in troupe.stations:
        for contest in doc.CONTESTS:
            unit = goods.boxes[station.place, contest] = troupe.label()
            lines.append({"unit": unit, "item": doc.BOX, "contest": contest, "destination": station.place})
    spare = received[doc.BOX] - len(lines)
    goods.spare_boxes = [troupe.label() for _ in range(spare)]
    lines.extend({"unit": unit, "item": doc.BOX} for unit in goods.spare_boxes)
    _receive(troupe, lines, "09:00")


def _stock(troupe: Troupe) -> None:
    goods, received = troupe.goods, troupe.figures["election_nov_2024"]["equipment_received"]
    goods.stock = {item: troupe.label() for item in doc.PER_STATION}
    lines = [{"unit": unit, "item": item, "quantity": received[item]} for item, unit in goods.stock.items()]
    _receive(troupe, lines, "10:00")


def _lots_of_stations(troupe: Troupe) -> None:
    """Bind an empty lot for every station, contest and item; packing fills them."""
    goods = troupe.goods
    lines: list[dict[str, Any]] = []
    for station in troupe.stations:
        for contest in doc.CONTESTS:
            unit = goods.bundles[station.place, contest] = troupe.label()
            lines.append({"unit": unit, "item": doc.BALLOT, "contest": contest, "quantity": 0, "source": "empty"})
        for item in doc.PER_STATION:
            unit = goods.kits[station.place, item] = troupe.label()
            line = {"unit": unit, "item": item, "quantity": 0, "source": "empty"}
            lines.append({**line, "destination": station.place} if item == doc.BOOTH else line)
    _receive(troupe, lines, "11:00")


def _receive(troupe: Troupe, lines: list[dict[str, Any]], clock: str) -> None:
    told = troupe.stage.commission(
        troupe.cast.team("WH"), lines, at=wita(f"{DAY} {clock}"), place=doc.WAREHOUSE, waybill="BTTB-6474/DEMO/560"
    )
    size = -(-len(lines) // len(told))
    for n, line in enumerate(lines):
        troupe.goods.commissioned[line["unit"]] = told[min(n // size, len(told) - 1)]


def _replacements(troupe: Troupe) -> None:
    """Replace what was damaged, one for one, and check it before use."""
    stage, goods, store = troupe.stage, troupe.goods, troupe.cast.team("WH")
    damaged = troupe.figures["election_nov_2024"]["damaged_destroyed"]
    for contest in doc.CONTESTS:
        unit, quantity = troupe.label(), damaged[contest]
        line = {
            "unit": unit, "item": doc.BALLOT, "contest": contest, "quantity": quantity, "source": "replacement",
            "district": doc.district_of(contest),
        }  # fmt: skip
        at = wita("2024-11-12 09:00")
        stage.commission(store, [line], at=at, place=doc.WAREHOUSE, waybill="GANTI-6474/DEMO/44")
        things = [{"what": what, "conform": True} for what in ("COUNT", "KIND", "CONDITION")]
        stage.see(
            store.first, "inspection", {"kind": "receipt", "things": things}, at=at, place=doc.WAREHOUSE, units=[unit]
        )
        goods.cartons[contest].append(unit)
        goods.left[unit] = quantity


def _revote(troupe: Troupe) -> None:
    """Set the re-vote stock of the mayor's election apart, from the last cartons."""
    stage, goods, store = troupe.stage, troupe.goods, troupe.cast.team("WH")
    at, wanted = wita("2024-11-12 10:00"), troupe.figures["election_nov_2024"]["ballots_breakdown"]["revote_PILWALI"]
    unit = goods.apart["PILWALI", "revote"] = troupe.label()
    lot = {"unit": unit, "item": doc.BALLOT, "contest": "PILWALI", "quantity": 0, "source": "empty"}
    stage.commission(store, [{**lot, "condition": "revote"}], at=at, place=doc.WAREHOUSE)
    for carton in reversed(goods.cartons["PILWALI"][:-1]):
        part = min(wanted, goods.left[carton])
        stage.move(store, (carton, unit), part, "REVOTE_STOCK", at=at, place=doc.WAREHOUSE)
        goods.left[carton] -= part
        wanted -= part
        if not wanted:
            return
