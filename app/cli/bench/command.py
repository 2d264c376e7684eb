"""`custody bench`: how fast, beside the bare pipeline, a no-op route and the naive service, in the same run."""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from app.cli.bench.databases import fresh_database
from app.cli.bench.processes import ROOT
from app.cli.bench.report import show
from app.cli.bench.scenarios import FULL, QUICK, SCENARIOS, Bench
from app.errors import MissingError


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
            list[str] | None, typer.Option(help=f"One of {', '.join(SCENARIOS)}; may be given several times.")
        ] = None,
    ) -> None:
        """Measure this machine: single events, batches and history, beside yardsticks that do only what they must."""
        wanted = tuple(scenario or SCENARIOS)
        if unknown := set(wanted) - set(SCENARIOS):
            raise typer.BadParameter(f"There is no scenario {', '.join(sorted(unknown))}.")
        if not (ROOT / "scripts" / "yardsticks").is_dir():
            raise MissingError("The yardsticks are not installed: run `custody bench` from a checkout of the source.")
        progress = Progress(console=Console(stderr=True), transient=True)
        with tempfile.TemporaryDirectory(prefix="custody-bench-") as name, progress:
            folder = Path(name)
            with fresh_database(database_url, folder) as url:
                told = Bench(folder, url, QUICK if quick else FULL, wanted).run(progress)
        if as_json:
            print(json.dumps(told, indent=2))
        else:
            show(told)
