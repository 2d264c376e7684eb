"""`custody bench`: how fast, beside the bare pipeline, a no-op route and the naive service, in the same run."""

import gc
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from app.cli.bench.databases import fresh_database
from app.cli.bench.goals import own_goals
from app.cli.bench.growth import FIRST, drawn
from app.cli.bench.heads import CHANGED
from app.cli.bench.markdown import between, markdown, shown
from app.cli.bench.offline import OFFLINE, Extent, run_offline
from app.cli.bench.processes import ROOT
from app.cli.bench.profile import need_py_spy
from app.cli.bench.report import machine, show, tables
from app.cli.bench.scenarios import SCENARIOS, run_served
from app.cli.bench.wish import FULL, QUICK, Wish
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
        open_rate: Annotated[
            float | None,
            typer.Option("--open", help="Events a second of open loads; 70 % of the closed rate when absent.", min=1),
        ] = None,
        events: Annotated[
            int | None,
            typer.Option(
                help="Events of the ledger that `history`, `bundle` and `fsck` read, `reverify` verifies and `growth` "
                "grows to; 100,000 when absent, and a million for `growth`.",
                min=1,
            ),
        ] = None,
        units: Annotated[
            int, typer.Option(help="Units that the commitments of `heads` are over.", min=2 * CHANGED)
        ] = 100_000,
        keep_world: Annotated[
            Path | None,
            typer.Option(help="Folder of the ledger that is read or grown: kept, and used again by the next run."),
        ] = None,
        profile: Annotated[
            Path | None,
            typer.Option(help="Folder for profiles of both processes of the service, for speedscope; needs py-spy."),
        ] = None,
        document: Annotated[
            Path | None, typer.Option("--markdown", help="Document whose marks `<!-- bench:begin -->` get the tables.")
        ] = None,
        mark: Annotated[str, typer.Option(help="Name in those marks: `<!-- bench:NAME:begin -->`.")] = "",
        plot: Annotated[Path | None, typer.Option(help="SVG file for the plot of `growth`.")] = None,
    ) -> None:
        """Measure this machine: events, histories and audits, beside yardsticks that do only what they must."""
        wanted = tuple(scenario or SCENARIOS)
        if unknown := set(wanted) - {*SCENARIOS, *OFFLINE}:
            raise typer.BadParameter(f"There is no scenario {', '.join(sorted(unknown))}.")
        if "growth" in wanted and events is not None and events < FIRST:
            raise typer.BadParameter(f"`growth` begins at {FIRST:,} events.")
        if {*SCENARIOS, "growth"} & {*wanted} and not (ROOT / "scripts" / "yardsticks").is_dir():
            raise MissingError("The yardsticks are not installed: run `custody bench` from a checkout of the source.")
        if profile is not None:
            need_py_spy()
        if document is not None:
            _with_tables(document, mark, "")  # refuse a document without marks now, not after an hour
        size = QUICK if quick else FULL
        wish = Wish(
            wanted, replace(size, events=events or size.events), database_url, open_rate, keep_world, profile
        )  # fmt: skip
        progress = Progress(console=Console(stderr=True), transient=True)
        with _like_the_writer(), tempfile.TemporaryDirectory(prefix="custody-bench-") as name, progress:
            told = run(Path(name), wish, Extent(events, units, size.rounds), progress)
        _write(told, document, mark, plot)
        if as_json:
            print(json.dumps(told, indent=2))
        else:
            show(told)


def run(folder: Path, wish: Wish, extent: Extent, progress: Progress) -> dict[str, Any]:
    """Run scenarios of both kinds, those with a server first, and return everything as data.

    Args:
        folder: A fresh one.
        wish: What was asked for.
        extent: How much is made for the scenarios that only run when they are named.
        progress: Shows where the run is.

    Raises:
        RuntimeError: An answer was not as expected, or what was made is not as it must be; the text says what.
    """
    told: dict[str, Any] = {
        "environment": None, "rounds": wish.size.rounds, "scenarios": {}, "yardsticks": {}, "ratios": {}, "goals": [],
    }  # fmt: skip
    if served := tuple(name for name in wish.scenarios if name in SCENARIOS):
        with fresh_database(wish.database_url, folder) as url:
            told = run_served(folder, url, replace(wish, scenarios=served), progress)
    for name in OFFLINE:
        if name in wish.scenarios:
            found = run_offline(name, folder, wish, extent, progress)
            told["environment"] = told["environment"] or found["environment"]
            told["scenarios"] |= found.pop("scenarios", {})
            told = {**found, **told}
    return {**told, "goals": [*told["goals"], *own_goals(told)]}


def _write(told: Mapping[str, Any], document: Path | None, mark: str, plot: Path | None) -> None:
    """Write what was measured where it was asked for."""
    if plot is not None and "growth" in told:
        plot.write_text(drawn(told["growth"]), encoding="utf-8")
    if document is not None:
        command = " ".join(["scripts/custody", *shown(sys.argv[1:])])
        text = f"`{command}`. {machine(told)}\n\n{markdown(tables(told))}"
        document.write_text(_with_tables(document, mark, text), encoding="utf-8")


def _with_tables(document: Path, mark: str, text: str) -> str:
    try:
        return between(document.read_text(encoding="utf-8"), mark, text)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{document}: {error}") from None


@contextmanager
def _like_the_writer() -> Iterator[None]:
    """Let the collector rest as in the process that writes, and SIGTERM end the run through every `finally`.

    Part of the writer's work is measured in this process. Whoever is ended stops its servers and drops its database.
    """
    before, thresholds = signal.signal(signal.SIGTERM, _interrupted), gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        signal.signal(signal.SIGTERM, before)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """End as Ctrl-C does; a second signal does not keep it from ending."""
    del frame
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)
