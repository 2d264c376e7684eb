"""Scenarios that need no server, and only run when they are asked for: a million events or units take long to make."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench import heads as heads_of
from app.cli.bench import report
from app.cli.bench.databases import durability, fresh_database
from app.cli.bench.heads import heads
from app.cli.bench.reverify import reverify
from app.db import Database

OFFLINE = ("reverify", "heads")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is made, and how often it is measured."""

    events: int = 100_000
    units: int = 100_000
    rounds: int = 3
    changed: int = heads_of.CHANGED
    commitments: int = heads_of.ROUNDS


def run_offline(
    name: str, folder: Path, database_url: str, extent: Extent, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one scenario over a fresh database; returns the environment and the rows by name.

    Args:
        name: One of `OFFLINE`.
        folder: Where it may make a folder of its own name.
        database_url: A PostgreSQL server; empty for SQLite.
        extent: How much.
        progress: Shows where the run is.

    Raises:
        RuntimeError: What was made is not as it must be; the text says what.
    """
    own = folder / name
    own.mkdir()
    with fresh_database(database_url, own) as url:
        db = Database(url)
        environment = report.environment(own, durability(db))
        db.close()
        if name == "heads":
            return environment, heads(
                own, url, extent.units, progress, changed=extent.changed, rounds=extent.commitments
            )
        return environment, {name: report.summary(reverify(own, url, extent.events, extent.rounds, progress))}
