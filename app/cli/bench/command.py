"""`custody bench`: how fast, beside the bare pipeline, a no-op route and the naive service, in the same run."""

import gc
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from app.cli.bench.databases import fresh_database
from app.cli.bench.heads import CHANGED
from app.cli.bench.offline import OFFLINE, Extent, run_offline
from app.cli.bench.processes import ROOT
from app.cli.bench.report import show
from app.cli.bench.scenarios import FULL, QUICK, SCENARIOS, Bench, Size
from app.errors import MissingError

GC_THRESHOLDS = (100_000, 50, 1000)
"""Those of the process that writes (`app.worker`)."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def bench(
        quick: Annotated[bool, typer.Option(help="One round and fewer events.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
        database_url: Annotated[
            str,
            typer.Option(help="A PostgreSQL server; a database of its own is made and dropped. SQLite when absent."),
        ] = "",
        scenario: Annotated[
            list[str] | None,
            typer.Option(
                help=f"One of {', '.join(SCENARIOS)}, or of {', '.join(OFFLINE)}, which only run when they are named; "
                "may be given several times."
            ),
        ] = None,
        events: Annotated[int, typer.Option(help="Events of the ledger that `reverify` verifies.", min=1)] = 100_000,
        units: Annotated[
            int, typer.Option(help="Units that the commitments of `heads` are over.", min=2 * CHANGED)
        ] = 100_000,
    ) -> None:
        """Measure this machine: single events, batches and history, beside yardsticks that do only what they must."""
        wanted = tuple(scenario or SCENARIOS)
        if unknown := set(wanted) - {*SCENARIOS, *OFFLINE}:
            raise typer.BadParameter(f"There is no scenario {', '.join(sorted(unknown))}.")
        if {*SCENARIOS} & {*wanted} and not (ROOT / "scripts" / "yardsticks").is_dir():
            raise MissingError("The yardsticks are not installed: run `custody bench` from a checkout of the source.")
        _collect_like_the_writer()
        size = QUICK if quick else FULL
        progress = Progress(console=Console(stderr=True), transient=True)
        with tempfile.TemporaryDirectory(prefix="custody-bench-") as name, progress:
            told = run(Path(name), database_url, size, wanted, Extent(events, units, size.rounds), progress)
        if as_json:
            print(json.dumps(told, indent=2))
        else:
            show(told)


def run(
    folder: Path, database_url: str, size: Size, wanted: Sequence[str], extent: Extent, progress: Progress
) -> dict[str, Any]:
    """Run scenarios of both kinds, those with a server first, and return everything as data.

    Args:
        folder: A fresh one.
        database_url: A PostgreSQL server; empty for SQLite.
        size: How much is sent to a server.
        wanted: Names of scenarios.
        extent: How much is made for the others.
        progress: Shows where the run is.
    """
    told: dict[str, Any] = {
        "environment": None, "rounds": size.rounds, "connections": {}, "scenarios": {}, "yardsticks": {}, "ratios": {},
    }  # fmt: skip
    if served := [name for name in wanted if name in SCENARIOS]:
        with fresh_database(database_url, folder) as url:
            told = Bench(folder, url, size, served).run(progress)
    for name in OFFLINE:
        if name in wanted:
            environment, rows = run_offline(name, folder, database_url, extent, progress)
            told["environment"] = told["environment"] or environment
            told["scenarios"] |= rows
    return told


def _collect_like_the_writer() -> None:
    """Let the collector rest as in the process that writes, part of whose work is measured in this one."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
