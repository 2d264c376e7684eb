"""26 October: one truck of PT Pos brings 70 + 70 cartons from Samarinda, under the escort of the provincial police.

Loaded at 08:00, released at 12:30, in Bontang at 17:10. The same truck also carried the ballots of Kutai Timur
and Berau; those are other cities' loads and stay out of this story. One carton bears the label of Samarinda's
own district by mistake; nobody notices yet.
"""

from typing import Any

from app.cli.demo import documents as doc
from app.cli.demo.agenda import wita
from app.cli.demo.plan import evenly
from app.cli.demo.troupe import Troupe

WAYBILL = "SJ-64/DEMO/2024-10-26"
MISLABELLED = 0
"""Which carton of PILWALI bears the wrong district."""
WRONG_DISTRICT = "64.72"
DAY = "2024-10-26"


def play(troupe: Troupe) -> None:
    """Commission cartons at the hub, load, drive, receive."""
    loads = _load(troupe)
    _drive(troupe, loads)
    _receive(troupe, loads)


def _load(troupe: Troupe) -> list[str]:
    stage, hub = troupe.stage, troupe.cast.team("HUB")
    labels = stage.labels(hub.first, 150, at=wita(f"{DAY} 06:30"), place=doc.HUB)
    loads = [labels.pop() for _ in doc.CONTESTS]
    for contest in doc.CONTESTS:
        _commission(troupe, contest, labels)
    lines = [{"unit": load, "item": doc.LOAD} for load in loads]
    stage.commission(hub, lines, at=wita(f"{DAY} 07:30"), place=doc.HUB)
    for load, contest in zip(loads, doc.CONTESTS, strict=True):
        cartons = troupe.goods.cartons[contest]
        stage.act(hub, "unit.pack", {"parent": load}, at=wita(f"{DAY} 08:00"), place=doc.HUB, units=cartons)
    return loads


def _commission(troupe: Troupe, contest: str, labels: list[str]) -> None:
    """Give each carton of a contest its label: how many sheets, of which district."""
    november, goods = troupe.figures["election_nov_2024"], troupe.goods
    counts = evenly(november["ballots_ordered"][contest], november["cartons"][contest])
    lines: list[dict[str, Any]] = [
        {
            "unit": labels.pop(), "item": doc.BALLOT, "contest": contest, "quantity": quantity, "source": "print",
            "district": doc.district_of(contest),
        }
        for quantity in counts
    ]  # fmt: skip
    if contest == "PILWALI":
        lines[MISLABELLED]["district"] = WRONG_DISTRICT
    goods.cartons[contest] = [line["unit"] for line in lines]
    goods.left.update({line["unit"]: line["quantity"] for line in lines})
    told = troupe.stage.commission(
        troupe.cast.team("HUB"), lines, at=wita(f"{DAY} 07:00"), place=doc.HUB, waybill=WAYBILL
    )
    goods.commissioned.update({line["unit"]: told[0] for line in lines})


def _drive(troupe: Troupe, loads: list[str]) -> None:
    stage, cast, escort = troupe.stage, troupe.cast, troupe.cast["POLDA-1"]
    handed = stage.hand_over(
        cast.team("HUB"), cast.team("POS"), loads, (doc.CARRIER, doc.POST_TRUCK), at=wita(f"{DAY} 12:30"),
        place=doc.HUB, minutes=5, hours=1, escort=escort, vehicle=doc.POST_TRUCK, waybill=WAYBILL,
    )  # fmt: skip
    details = {"release": handed.release, "vehicle": doc.POST_TRUCK}
    for type_, clock in (("departed", "12:40"), ("arrived", "17:10")):
        stage.see(
            escort, type_, details, at=wita(f"{DAY} {clock}"), place=doc.POST_TRUCK, units=loads, after=[handed.release]
        )


def _receive(troupe: Troupe, loads: list[str]) -> None:
    stage, cast, goods = troupe.stage, troupe.cast, troupe.goods
    store = cast.team("WH")
    stage.hand_over(
        cast.team("POS"), store, loads, (doc.KPU, doc.WAREHOUSE), at=wita(f"{DAY} 17:12"), place=doc.POST_TRUCK,
        minutes=8, hours=1, escort=cast["POLDA-1"], waybill=WAYBILL,
    )  # fmt: skip
    lines = [
        {"unit": load, "counted": len(goods.cartons[contest]), "expected": len(goods.cartons[contest])}
        for load, contest in zip(loads, doc.CONTESTS, strict=True)
    ]
    told = {"basis": "waybill", "lines": lines}
    stage.see(store.first, "count", told, at=wita(f"{DAY} 17:30"), place=doc.WAREHOUSE, units=loads)
    for load, contest in zip(loads, doc.CONTESTS, strict=True):
        stage.act(
            store, "unit.unpack", {"parent": load}, at=wita(f"{DAY} 17:45"), place=doc.WAREHOUSE,
            units=goods.cartons[contest],
        )  # fmt: skip
