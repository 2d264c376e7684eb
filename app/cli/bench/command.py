"""`custody bench`: how fast, beside the bare pipeline, a no-op route and the naive service, in the same run."""

import gc
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from app.cli.bench.costs import drawn
from app.cli.bench.databases import fresh_database
from app.cli.bench.defaults import without_settings
from app.cli.bench.disk import parent_of_run
from app.cli.bench.ending import Interrupted, ended_by_signals
from app.cli.bench.goals import own_goals
from app.cli.bench.heads import CHANGED
from app.cli.bench.markdown import between, markdown, shown
from app.cli.bench.offline import OFFLINE, Extent, run_offline
from app.cli.bench.offline import QUICK as QUICK_EXTENT
from app.cli.bench.options import check, open_seconds, spoken
from app.cli.bench.report import machine, show, tables
from app.cli.bench.scenarios import SCENARIOS, run_served
from app.cli.bench.wish import FULL, QUICK, Wish

GC_THRESHOLDS = (100_000, 50, 1000)
"""Those of the process that writes (`app.worker`)."""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def bench(
        quick: Annotated[
            bool, typer.Option(help="One round, and smaller loads and ledgers; fewer percentiles can be told then.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
        database_url: Annotated[
            str,
            typer.Option(
                help="A PostgreSQL server, where databases of its own are made and dropped; a password may come from "
                "PGPASSWORD. SQLite when absent."
            ),
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
            typer.Option(
                "--open",
                help="Events a second of open loads; when absent 70 % of the closed rate, as the goals say.",
                min=1,
            ),
        ] = None,
        events: Annotated[
            int | None,
            typer.Option(
                help="Events of the ledger that `history`, `bundle`, `fsck` and `desk` read (100,000 when absent, with "
                "--quick 12,000), that `reverify` verifies (100,000, 20,000) and that `growth` grows to (a million, "
                "100,000).",
                min=1,
            ),
        ] = None,
        units: Annotated[
            int | None,
            typer.Option(
                help="Units that the commitments of `heads` are over; 100,000 when absent, with --quick 20,000.",
                min=2 * CHANGED,
            ),
        ] = None,
        folder: Annotated[
            Path | None,
            typer.Option(
                help="Where the run makes its own folder, and removes it again; the system's folder for temporary "
                "files when absent, unless that is memory."
            ),
        ] = None,
        keep_world: Annotated[
            Path | None,
            typer.Option(
                help="Folder of the ledger that `history`, `bundle`, `fsck` and `desk` read or `growth` grows: it is "
                "kept, and the next run goes on with it."
            ),
        ] = None,
        profile: Annotated[
            Path | None,
            typer.Option(
                help="Folder for profiles, for speedscope: when the rounds are over, single events and batches of a "
                "hundred are sent once more with a profiler at both processes of the service; needs py-spy."
            ),
        ] = None,
        document: Annotated[
            Path | None, typer.Option("--markdown", help="Document whose marks `<!-- bench:begin -->` get the tables.")
        ] = None,
        mark: Annotated[str, typer.Option(help="Name in those marks: `<!-- bench:NAME:begin -->`.")] = "",
        plot: Annotated[Path | None, typer.Option(help="SVG file for the plot of `growth`.")] = None,
    ) -> None:
        """Measure this machine: events, histories and audits, beside yardsticks that do only what they must.

        Everything but what is named here is at its default: settings of the service in the environment (CUSTODY_…) are
        not read, so no run ever touches a database that they name.
        """
        wanted, size = tuple(scenario or SCENARIOS), QUICK if quick else FULL
        wish = Wish(
            wanted, replace(size, events=events or size.events), database_url, open_rate, keep_world, profile
        )  # fmt: skip
        given = {
            "--keep-world": keep_world, "--events": events, "--units": units, "--open": open_rate, "--plot": plot,
            "--profile": profile,
        }  # fmt: skip
        check(wanted, given, (document, plot), database_url)
        parent = parent_of_run(folder, is_ours=not database_url)
        if document is not None:
            _with_tables(document, mark, "")  # refuse a document without marks now, not after an hour
        if open_rate is not None:
            seconds = open_seconds(wanted, wish.size, open_rate)
            typer.echo(f"The open loads take {spoken(seconds)} at {open_rate:,g} events a second.", err=True)
        told = _guarded(parent, wish, extent_of(size.rounds, events, units, quick=quick))
        if as_json:
            print(json.dumps(told, indent=2))
        else:
            show(told)
        _write(told, document, mark, plot)
        if lost := told.get("backlog", {}).get("acknowledged_and_lost"):
            raise RuntimeError(f"{lost} events that were acknowledged are lost, or have another receipt now.")


def extent_of(rounds: int, events: int | None, units: int | None, *, quick: bool) -> Extent:
    """Return how much is made for the scenarios that only run when they are named."""
    smaller: dict[str, Any] = QUICK_EXTENT if quick else {}
    found = Extent(**{"events": events, "is_quick": quick, "rounds": rounds, **smaller})
    return found if units is None else replace(found, units=units)


def _guarded(parent: Path, wish: Wish, extent: Extent) -> dict[str, Any]:
    """Run in a folder of its own, without the operator's settings; a signal ends the run and leaves nothing behind."""
    progress = Progress(console=Console(stderr=True), transient=True)
    try:
        with (
            ended_by_signals(), without_settings(), _like_the_writer(),
            tempfile.TemporaryDirectory(prefix="custody-bench-", dir=parent) as name, progress,
        ):  # fmt: skip
            return run(Path(name), wish, extent, progress)
    except Interrupted as ended:
        raise typer.Exit(128 + ended.number) from None
    except Exception as error:
        for note in getattr(error, "__notes__", ()):  # what the servers said last; the error itself is one line
            typer.echo(note, err=True)
        raise


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
    if plot is not None:
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
    """Let the collector rest as in the process that writes: part of the writer's work is measured in this one."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
