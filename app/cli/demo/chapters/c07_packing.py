"""14 to 22 November: every station's boxes are packed, voters and 2.5 % reserve rounded up, and sealed.

The first bundle out of one carton is refused: the carton bears the district of Samarinda. It was a wrong label;
province and city correct it together, and the bundle is packed again. One box leaves the table without seals.
On the 15th the police chief and the supervisor inspect the warehouse together, unannounced.
"""

from typing import Any

from app.cli.demo import documents as doc
from app.cli.demo import irregular
from app.cli.demo.agenda import MINUTE_MS, wita
from app.cli.demo.plan import Station
from app.cli.demo.troupe import Troupe

FIRST_DAY = wita("2024-11-14 08:00")
PER_DAY = 35
DAY_MS = 24 * 60 * MINUTE_MS
STEP_MS = 15 * MINUTE_MS
INSPECTED_AFTER = 50
SAMPLE = 12


def play(troupe: Troupe) -> None:
    """Pack station after station; the surprise inspection falls in between."""
    for n, station in enumerate(troupe.stations):
        at = FIRST_DAY + n // PER_DAY * DAY_MS + n % PER_DAY * STEP_MS
        _fill(troupe, station, at)
        _pack(troupe, station, at + 5 * MINUTE_MS)
        _seal(troupe, station, at + 10 * MINUTE_MS)
        if n == INSPECTED_AFTER:
            _inspect(troupe, at + 12 * MINUTE_MS)


def _fill(troupe: Troupe, station: Station, at: int) -> None:
    """Move ballots and kit into the station's own lots."""
    stage, goods, store = troupe.stage, troupe.goods, troupe.cast.team("WH")
    for contest in doc.CONTESTS:
        bundle, wanted = goods.bundles[station.place, contest], station.ballots
        for carton in goods.cartons[contest]:
            part = min(wanted, goods.left[carton])
            if part:
                stage.move(store, (carton, bundle), part, "PACK", at=at, place=doc.WAREHOUSE)
                goods.left[carton] -= part
                wanted -= part
            if not wanted:
                break
    for item, quantity in doc.PER_STATION.items():
        lots = (goods.stock[item], goods.kits[station.place, item])
        stage.move(store, lots, quantity, "PACK", at=at, place=doc.WAREHOUSE)


def _pack(troupe: Troupe, station: Station, at: int) -> None:
    """Put the bundle into the box of its contest, and ink and seals into the governor's box."""
    stage, goods, store = troupe.stage, troupe.goods, troupe.cast.team("WH")
    for contest in doc.CONTESTS:
        box, bundle = goods.boxes[station.place, contest], goods.bundles[station.place, contest]
        kit = [goods.kits[station.place, item] for item in (doc.INK, doc.TIE, doc.STICKER)]
        told = {"parent": box}
        units = [bundle, *kit] if contest == "PILGUB" else [bundle]
        if irregular.is_wrong_district(troupe, station, contest):
            stage.act(store, "unit.pack", told, at=at, place=doc.WAREHOUSE, units=units, expect="dapil_mismatch")
            irregular.correct_district(troupe, bundle, at)
        packed = stage.act(store, "unit.pack", told, at=at, place=doc.WAREHOUSE, units=units)
        stage.packings.append(packed)


def _seal(troupe: Troupe, station: Station, at: int) -> None:
    """Put two numbered seals on each box."""
    goods, lines = troupe.goods, list[dict[str, Any]]()
    for contest in doc.CONTESTS:
        if irregular.is_unsealed(station, contest):
            continue
        box = goods.boxes[station.place, contest]
        goods.seals[box] = [(point, troupe.seal()) for point in (1, 2)]
        lines.extend({"unit": box, "point": point, "number": number} for point, number in goods.seals[box])
    units = list(dict.fromkeys(line["unit"] for line in lines))
    troupe.stage.act(troupe.cast.team("WH"), "seal.apply", {"seals": lines}, at=at, place=doc.WAREHOUSE, units=units)


def _inspect(troupe: Troupe, at: int) -> None:
    """Let police and supervisor look at a sample of packed boxes; what they find is their own signed word."""
    sample = list(troupe.goods.seals)[:: len(troupe.goods.seals) // SAMPLE][:SAMPLE]
    things = [{"what": what, "conform": True} for what in ("LABEL", "SEAL", "STORAGE", "CONDITION")]
    troupe.stage.see(
        troupe.cast["KAPOLRES"], "inspection", {"kind": "surprise", "things": things}, at=at, place=doc.WAREHOUSE,
        units=sample, with_={troupe.cast["BAWASLU-1"]: "witness"},
    )  # fmt: skip
