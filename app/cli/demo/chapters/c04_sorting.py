"""28 October to 2 November: in the sort hall every sheet is counted and looked at.

The count says four PILGUB and 359 PILWALI more than the waybill: the surplus gets labels of its own and is set
apart as excess. Eight and thirty-six damaged sheets are set apart by reason.
"""

from app.cli.demo import documents as doc
from app.cli.demo.agenda import MINUTE_MS, wita
from app.cli.demo.troupe import Troupe

HOUR_MS = 60 * MINUTE_MS
DAMAGED: dict[str, tuple[tuple[str, int], ...]] = {
    "PILGUB": (("COLOR_UNEVEN", 3), ("STAIN", 2), ("TORN", 2), ("CRUMPLED", 1)),
    "PILWALI": (("STAIN", 12), ("TORN", 9), ("CUT", 8), ("COLOR_UNEVEN", 5), ("UNCLEAR", 2)),
}
"""Damaged sheets by reason; the sums are published, the split over reasons is synthetic."""
FIRST_DAMAGED = 5
"""The carton where the first damaged sheets lie; each further reason is found five cartons on."""


def play(troupe: Troupe) -> None:
    """Bring the cartons into the hall, count, inspect, sort, and bring them back."""
    stage, cast, goods = troupe.stage, troupe.cast, troupe.goods
    store, hall = cast.team("WH"), cast.team("SORLIP")
    for contest in doc.CONTESTS:
        stage.hand_over(
            store, hall, goods.cartons[contest], (doc.KPU, doc.HALL), at=wita("2024-10-28 08:00"), place=doc.WAREHOUSE,
            minutes=0, internal=True,
        )  # fmt: skip
    _count(troupe)
    _sort(troupe)
    for contest in doc.CONTESTS:
        apart = [goods.apart[contest, condition] for condition in ("damaged", "excess")]
        stage.hand_over(
            hall, store, [*goods.cartons[contest], *apart], (doc.KPU, doc.WAREHOUSE), at=wita("2024-11-02 16:00"),
            place=doc.HALL, minutes=0, internal=True,
        )  # fmt: skip


def _count(troupe: Troupe) -> None:
    """Count every sheet against the waybill, then inspect: usable from here."""
    stage, cast, goods = troupe.stage, troupe.cast, troupe.goods
    november = troupe.figures["election_nov_2024"]
    ordered, over = november["ballots_ordered"], november["excess_destroyed"]
    lines = [
        {"item": doc.BALLOT, "contest": c, "counted": ordered[c] + over[c], "expected": ordered[c]}
        for c in doc.CONTESTS
    ]
    hall, at = cast.team("SORLIP"), wita("2024-10-28 17:00")
    supervisor = {cast["BAWASLU-1"]: "witness"}
    told = {"basis": "waybill", "lines": lines}
    stage.see(hall.first, "count", told, at=at, place=doc.HALL, with_={hall.second: "witness", **supervisor})
    things = [{"what": what, "conform": True} for what in ("LABEL", "KIND", "PAPERS", "CONDITION")]
    for contest in doc.CONTESTS:
        stage.see(
            hall.first, "inspection", {"kind": "receipt", "things": things}, at=at + 30 * MINUTE_MS, place=doc.HALL,
            units=goods.cartons[contest], with_=supervisor,
        )  # fmt: skip


def _sort(troupe: Troupe) -> None:
    """Give the surplus and the damaged sheets lots of their own."""
    stage, goods, hall = troupe.stage, troupe.goods, troupe.cast.team("SORLIP")
    excess = troupe.figures["election_nov_2024"]["excess_destroyed"]
    at = wita("2024-10-29 08:00")
    labels = stage.labels(troupe.cast.team("WH").first, 10, at=at, place=doc.WAREHOUSE)
    for contest in doc.CONTESTS:
        same = {"item": doc.BALLOT, "contest": contest}
        lines = [
            {**same, "unit": labels.pop(), "quantity": excess[contest], "source": "surplus", "condition": "excess",
             "district": doc.district_of(contest)},
            {**same, "unit": labels.pop(), "quantity": 0, "source": "empty", "condition": "damaged"},
        ]  # fmt: skip
        goods.apart[contest, "excess"], goods.apart[contest, "damaged"] = (str(line["unit"]) for line in lines)
        stage.commission(hall, lines, at=at, place=doc.HALL)
    for contest in doc.CONTESTS:
        for n, (reason, quantity) in enumerate(DAMAGED[contest]):
            carton = goods.cartons[contest][FIRST_DAMAGED + 5 * n]
            at += 3 * HOUR_MS
            stage.move(
                hall, (carton, goods.apart[contest, "damaged"]), quantity, f"DAMAGED_{reason}", at=at, place=doc.HALL
            )
            goods.left[carton] -= quantity
    _count_sorted(troupe)


def _count_sorted(troupe: Troupe) -> None:
    """End the sorting with a count of every carton, equal to the ledger's."""
    stage, goods, hall = troupe.stage, troupe.goods, troupe.cast.team("SORLIP")
    for contest in doc.CONTESTS:
        cartons = goods.cartons[contest]
        lines = [{"unit": carton, "counted": goods.left[carton]} for carton in cartons]
        stage.see(
            hall.first, "count", {"basis": "stock", "lines": lines}, at=wita("2024-11-02 14:00"), place=doc.HALL,
            units=cartons, with_={hall.second: "witness"},
        )  # fmt: skip
