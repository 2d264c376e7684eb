"""What the chapters share: the stage, the cast, the stations, and where each thing is in the story."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.cli.demo.cast import Cast
from app.cli.demo.documents import CONTESTS
from app.cli.demo.plan import Station
from app.cli.demo.stage import Stage


@dataclass(slots=True)
class Goods:
    """Unit ids by what they are in the story.

    `cartons` per contest, in packing order, and `left` the sheets in each; `commissioned` the event that bound
    a lot; `boxes` and `bundles` by (station, contest); `kits` by (station, item); `stock` by item; `apart` by
    (contest, condition); `seals` by box.
    """

    cartons: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    commissioned: dict[str, str] = field(default_factory=dict)
    boxes: dict[tuple[str, str], str] = field(default_factory=dict)
    spare_boxes: list[str] = field(default_factory=list)
    bundles: dict[tuple[str, str], str] = field(default_factory=dict)
    kits: dict[tuple[str, str], str] = field(default_factory=dict)
    stock: dict[str, str] = field(default_factory=dict)
    apart: dict[tuple[str, str], str] = field(default_factory=dict)
    seals: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def boxes_of(self, station: Station) -> list[str]:
        """Return the boxes of a station, one per contest."""
        return [self.boxes[station.place, contest] for contest in CONTESTS]


@dataclass(slots=True)
class Troupe:
    """Stage, cast and goods of one performance."""

    stage: Stage
    cast: Cast
    figures: dict[str, Any]
    stations: list[Station]
    goods: Goods = field(default_factory=Goods)
    spare_labels: list[str] = field(default_factory=list)
    seal_number: int = 0

    def of_village(self, village: str) -> list[Station]:
        """Return the stations of a village."""
        return [station for station in self.stations if station.village == village]

    def label(self) -> str:
        """Take a blank label of an issued block."""
        return self.spare_labels.pop()

    def seal(self) -> str:
        """Take the next plastic seal."""
        self.seal_number += 1
        return f"BTG-{self.seal_number:06}"

    def by_village(self, units: Iterable[Station]) -> dict[str, list[Station]]:
        """Group stations by village, in order."""
        grouped: dict[str, list[Station]] = {}
        for station in units:
            if station.village:
                grouped.setdefault(station.village, []).append(station)
        return grouped
