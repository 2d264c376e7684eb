"""What goes wrong, each thing once as in 2024, and the row that each must leave behind.

`EXPECTED` is the contract: a test compares it for equality with `/v1/discrepancies`. Units and releases are
named in the story's words; `Stage.names` knows their ids. A phone that was offline for a day is not in the
table: it raises nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from app.cli.demo import documents as doc
from app.cli.demo.plan import Station
from app.cli.demo.troupe import Troupe

Row = tuple[str, str | None, str | None, str | None]

WRONG_DISTRICT_AT = ("TPS-64.74.01.1001-01", "PILWALI")
UNSEALED_BOX = ("TPS-64.74.02.1003-07", "PILWALI")
UNESCORTED_RUN = 5
STRAY_BOX = ("TPS-64.74.01.1005-12", "PILGUB")
STRAY_SEEN_AT = doc.pps("64.74.01.1002")
UNKNOWN_LABEL_AT = doc.pps("64.74.02.1001")
FAST_DISTRICT = "64.74.03"
FAST_PHONE = f"{doc.ppk(FAST_DISTRICT)}-2"
FAST_MS = 3 * 3_600_000
LATE_VILLAGE = "64.74.02.1005"
OFFLINE_STATION = "TPS-64.74.02.1005-14"
SHORT_KIT_AT = "TPS-64.74.01.1006-05"
SHORT_ITEM = doc.INK


@dataclass(frozen=True, slots=True)
class Expected:
    """One row that must be there: rule, place, and the unit or release in the story's words."""

    rule: str
    place: str
    why: str
    unit: str | None = None
    handover: str | None = None

    def row(self, names: Mapping[str, str]) -> Row:
        """Return what `/v1/discrepancies` must say, with the ids of this performance."""
        unit = names[self.unit] if self.unit else None
        return (self.rule, unit, names[self.handover] if self.handover else None, self.place)


EXPECTED = (
    Expected("OVER", doc.HALL, "PILGUB: 4 sheets more than the waybill"),
    Expected("OVER", doc.HALL, "PILWALI: 359 sheets more than the waybill"),
    Expected("WRONG_DAPIL", WRONG_DISTRICT_AT[0], "another district, refused at packing", unit="wrong bundle"),
    Expected("NO_ESCORT", doc.WAREHOUSE, "a truck left without its escort, by a signed override",
             handover="release without escort"),
    Expected("CLOCK_SUSPECT", doc.ppk(FAST_DISTRICT), "a phone three hours fast"),
    Expected("WRONG_DEST", STRAY_SEEN_AT, "a box of Gunung Elai, seen in Bontang Baru", unit="stray box"),
    Expected("UNKNOWN_LABEL", UNKNOWN_LABEL_AT, "a label that nobody issued", unit="unknown label"),
    Expected("UNSEALED", doc.ppk("64.74.02"), "a box on its way without seals", unit="unsealed box"),
    Expected("LATE", doc.pps(LATE_VILLAGE), "a village supplied after its deadline", handover="late release"),
    Expected("SHORT", SHORT_KIT_AT, "one of two bottles of ink"),
)  # fmt: skip


def rows(discrepancies: Iterable[Mapping[str, Any]]) -> Counter[Row]:
    """Return the rows that the service tells, each with how often."""
    return Counter((row["rule"], row["unit"], row["handover"], row["place"]) for row in discrepancies)


def differences(discrepancies: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> list[str]:
    """Return in words what is missing and what is too much; nothing when the table is met exactly."""
    told, wanted = rows(discrepancies), Counter(expected.row(names) for expected in EXPECTED)
    return [
        *(f"missing: {row}" for row in (wanted - told).elements()),
        *(f"unexpected: {row}" for row in (told - wanted).elements()),
    ]


def is_wrong_district(troupe: Troupe, station: Station, contest: str) -> bool:
    """Say whether this bundle comes out of the mislabelled carton; remember it if so."""
    if (station.place, contest) != WRONG_DISTRICT_AT:
        return False
    troupe.stage.names["wrong bundle"] = troupe.goods.bundles[station.place, contest]
    return True


def correct_district(troupe: Troupe, bundle: str, at: int) -> None:
    """Correct the label of carton and bundle, each by the agency that bound it and a second signer of another role."""
    stage, goods, cast = troupe.stage, troupe.goods, troupe.cast
    secretary = {cast["SEK-KPU-1"]: "second"}
    right = doc.district_of("PILWALI")
    for unit, author in ((goods.cartons["PILWALI"][0], cast["HUB-1"]), (bundle, cast["WH-1"])):
        told = {"target": goods.commissioned[unit], "unit": unit, "field": "district", "value": right}
        stage.say(
            author,
            "correction",
            {**told, "reason": "WRONG_LABEL"},
            at=at,
            place=doc.WAREHOUSE,
            units=[unit],
            with_=secretary,
        )


def is_unsealed(station: Station, contest: str) -> bool:
    """Say whether this box leaves the packing table without seals."""
    return (station.place, contest) == UNSEALED_BOX
