"""What is asked of a run: how much is sent, and what the command line wants."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent: rounds, streams, and events (or questions) per scenario and round.

    What is sent in batches is rounded to whole ones (`app.cli.bench.traffic.shares`). An open load of batches is large
    enough that its p99 is worth telling (`app.cli.bench.figures.QUANTILES`).
    """

    rounds: int = 3
    streams: int = 256
    units: int = 4
    hundred: int = 100
    thousand: int = 1000
    """Events in a batch of the scenarios that are named so; a test has smaller ones."""
    single: int = 6400
    batch_100: int = 25600
    batch_100_open: int = 103200
    batch_1000: int = 24000
    naive: int = 640
    reads: int = 4000
    warm_up: int = 2560
    field_day: int = 20000
    single_4: int = 1600
    two_signatures: int = 2048
    two_signatures_100: int = 12800
    hundred_units: int = 60
    bundles: int = 40
    balances: int = 20
    pages: int = 200
    labels: int = 480
    events: int = 100_000
    """Leaves of the ledger whose histories are read."""


FULL = Size()
QUICK = Size(
    rounds=1, single=2560, batch_100=12800, batch_100_open=12000, batch_1000=8000, naive=320, reads=1600, warm_up=1280,
    field_day=6000, single_4=1280, two_signatures_100=6400, hundred_units=30, bundles=20, balances=6, pages=60,
    labels=120, events=12_000,
)  # fmt: skip
OPEN_SHARE = 0.7
"""What part of the closed load's rate an open load asks for."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line.

    Attributes:
        scenarios: Names.
        size: How much.
        database_url: A PostgreSQL server; empty for SQLite.
        open_rate: Events a second of every open load; `OPEN_SHARE` of the closed load when absent.
        keep: Folder of a ledger that is kept for the next run.
        profile: Folder for profiles.
        load_average: Of the machine before the run began, which is a load itself.
    """

    scenarios: tuple[str, ...]
    size: Size
    database_url: str = ""
    open_rate: float | None = None
    keep: Path | None = None
    profile: Path | None = None
    load_average: float = field(default_factory=lambda: os.getloadavg()[0])


def open_loads(wanted: Sequence[str], size: Size) -> dict[str, int]:
    """Return the events of a round's open loads, by the name of their row."""
    found = {"single": ("single_open", size.single), "batch_100": ("batch_100_open", size.batch_100_open)}
    return dict(row for name, row in found.items() if name in wanted)
