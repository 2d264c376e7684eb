"""What is asked of a run: how much is sent, and what the command line wants."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Size:
    """How much is sent: rounds, streams, and events (or questions) per scenario and round."""

    rounds: int = 3
    streams: int = 256
    units: int = 4
    single: int = 6400
    batch_100: int = 25600
    batch_1000: int = 16000
    naive: int = 640
    reads: int = 4000
    warm_up: int = 2560
    field_day: int = 20000
    two_signatures: int = 2560
    hundred_units: int = 60
    bundles: int = 40
    balances: int = 20
    labels: int = 480
    events: int = 100_000
    """Leaves of the ledger whose histories are read."""


FULL = Size()
QUICK = Size(
    rounds=1, single=2560, batch_100=12800, batch_1000=8000, naive=320, reads=1600, warm_up=1280, field_day=6000,
    two_signatures=1280, hundred_units=30, bundles=12, balances=6, labels=120, events=12_000,
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
    """

    scenarios: tuple[str, ...]
    size: Size
    database_url: str = ""
    open_rate: float | None = None
    keep: Path | None = None
    profile: Path | None = None
