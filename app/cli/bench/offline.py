"""Scenarios with a ledger of their own, which only run when they are asked for: they take long to make."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench import heads as heads_of
from app.cli.bench import report
from app.cli.bench.backlog import backlog
from app.cli.bench.costs import slopes
from app.cli.bench.databases import durability, fresh_database
from app.cli.bench.figures import summary
from app.cli.bench.growth import growth
from app.cli.bench.heads import heads
from app.cli.bench.reverify import reverify
from app.cli.bench.wish import Wish
from app.db import Database

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is made, and how often it is measured."""

    events: int | None = None
    """Of the ledger that is verified or grown; `EVENTS` (or `FEW`) says how many when absent."""
    is_quick: bool = False
    units: int = 100_000
    rounds: int = 3
    changed: int = heads_of.CHANGED
    commitments: int = heads_of.ROUNDS
    batches: int = 480
    """Batches of a hundred that meet a database that cannot be written."""
    held_seconds: float = 8.0
    queue_events: int = 4096

    def events_of(self, name: str) -> int:
        """Return how many events a scenario's ledger gets."""
        return self.events or (FEW if self.is_quick else EVENTS)[name]


EVENTS = {"reverify": 100_000, "growth": 1_000_000}
FEW = {"reverify": 20_000, "growth": 100_000}
"""With `--quick`."""
QUICK = {"units": 20_000, "commitments": 3, "batches": 240, "held_seconds": 4.0}


def run_offline(name: str, folder: Path, wish: Wish, extent: Extent, progress: Progress) -> Told:
    """Run one scenario; returns the environment and what it adds to the result.

    Args:
        name: One of `OFFLINE`.
        folder: Where it may make a folder of its own name.
        wish: The database, and what is kept.
        extent: How much.
        progress: Shows where the run is.

    Raises:
        RuntimeError: What was made is not as it must be; the text says what.
    """
    own = folder / name
    own.mkdir()
    with fresh_database(wish.database_url, own) as url:
        db = Database(url)
        environment = report.environment(own, durability(db), wish.load_average)
        db.close()
        return {"environment": environment, **OFFLINE[name](own, url, wish, extent, progress)}


def _reverify(own: Path, url: str, wish: Wish, extent: Extent, progress: Progress) -> Told:
    del wish
    told = reverify(own, url, extent.events_of("reverify"), extent.rounds, progress)
    return {"scenarios": {name: summary(rounds) for name, rounds in told.items()}}


def _heads(own: Path, url: str, wish: Wish, extent: Extent, progress: Progress) -> Told:
    del wish
    told = heads(own, url, extent.units, progress, changed=extent.changed, rounds=extent.commitments)
    return {"scenarios": told}


def _growth(own: Path, url: str, wish: Wish, extent: Extent, progress: Progress) -> Told:
    del url  # it may be kept, and so has a database of its own
    points = growth(
        own, wish.database_url, wish.keep, extent.events_of("growth"), progress, wish.load_average
    )  # fmt: skip
    return {"growth": {"points": points, "slopes": slopes(points)}}


def _backlog(own: Path, url: str, wish: Wish, extent: Extent, progress: Progress) -> Told:
    del wish
    return {"backlog": backlog(own, url, extent.batches, extent.held_seconds, extent.queue_events, progress)}


OFFLINE: dict[str, Callable[[Path, str, Wish, Extent, Progress], Told]] = {
    "reverify": _reverify,
    "heads": _heads,
    "growth": _growth,
    "backlog": _backlog,
}
