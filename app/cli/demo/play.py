"""The performance: eleven chapters in the order of the days, and how many events each one sends."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.cli.demo.chapters import (
    c01_documents,
    c02_officers,
    c03_truck,
    c04_sorting,
    c05_stations,
    c06_equipment,
    c07_packing,
    c08_destruction,
    c09_distribution,
    c10_voting,
    c11_return,
)
from app.cli.demo.troupe import Troupe


@dataclass(frozen=True, slots=True)
class Chapter:
    """One chapter: its days, its title, its player, and its number of events, which a test holds it to."""

    when: str
    title: str
    play: Callable[[Troupe], None]
    events: int


CHAPTERS = (
    Chapter("21 Oct", "policy and plan are published", c01_documents.play, 2),
    Chapter("22 Oct", "officers of eight agencies are enrolled", c02_officers.play, 81),
    Chapter("26 Oct", "the truck from Samarinda", c03_truck.play, 15),
    Chapter("28 Oct", "counting and sorting", c04_sorting.play, 25),
    Chapter("08 Nov", "the committees of 277 stations", c05_stations.play, 554),
    Chapter("11 Nov", "boxes, booths, ink and seals", c06_equipment.play, 36),
    Chapter("14 Nov", "packing and sealing", c07_packing.play, 2637),
    Chapter("26 Nov", "407 ballots are destroyed", c08_destruction.play, 3),
    Chapter("26 Nov", "out to the stations", c09_distribution.play, 688),
    Chapter("27 Nov", "opening", c10_voting.play, 555),
    Chapter("27 Nov", "closed, and back", c11_return.play, 891),
)


@dataclass(frozen=True, slots=True)
class Played:
    """What a chapter took."""

    chapter: Chapter
    events: int
    seconds: float


class Audience(Protocol):
    """Who watches: a progress bar, or nobody."""

    def begins(self, chapter: Chapter) -> None:
        """Take note of a chapter that begins."""

    def hears(self, n: int) -> None:
        """Take note of events that were recorded."""

    def ends(self) -> None:
        """Take note that the chapter is over."""


def perform(troupe: Troupe, audience: Audience) -> list[Played]:
    """Play every chapter and return what each took.

    Raises:
        DemoError: An answer was not the one that the story expects.
    """
    found: list[Played] = []
    for chapter in CHAPTERS:
        audience.begins(chapter)
        before, start = troupe.stage.recorded, time.monotonic()
        chapter.play(troupe)
        troupe.stage.flush()
        played = Played(chapter, troupe.stage.recorded - before, time.monotonic() - start)
        found.append(played)
        audience.ends()
    return found
