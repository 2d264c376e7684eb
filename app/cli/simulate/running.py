"""Where a simulation runs: whether it fits, in which folder, over which database, and what an interruption leaves."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.cli.bench.databases import fresh_database
from app.cli.bench.defaults import without_settings
from app.cli.bench.ending import ended_by_signals
from app.cli.simulate.counts import Counts
from app.cli.simulate.documents import MAX_PLACES, MAX_STATIONS, places
from app.cli.simulate.driven import Run
from app.cli.simulate.nation import ELECTIONS
from app.cli.simulate.sample import Sample
from app.cli.simulate.story import Grain
from app.cli.simulate.tables import size
from app.errors import RefusedError

BYTES_PER_EVENT = 12_000
"""Of disk that a run may need. Measured are 2.7 to 4.9 kB an event that stay in the tables (docs/capacity.md); the rest
is room for SQLite's log, the service's own, and requests and answers of the wave under way."""
ASK_ABOVE_BYTES = 4 * 2**30
FREE_SHARE = 0.8
EXIT_INTERRUPTED = 130


def refuse_too_large(found: Sequence[Sample]) -> None:
    """Refuse a fraction that one ledger's documents cannot hold.

    Raises:
        RefusedError: It cannot; the text says how much there would be.
    """
    for one in found:
        count = sum(1 for _ in places(one))
        stations = max(one.stations(election) for election in ELECTIONS)
        if count > MAX_PLACES or stations > MAX_STATIONS:
            raise RefusedError(
                f"{one.fraction} of the nation has {count:,} places and {stations:,} stations in one election; a "
                f"ledger's policy holds {MAX_PLACES:,} places and a plan {MAX_STATIONS:,} stations. Take 1/50 or less: "
                "the nation itself is many ledgers (see --dry-run)."
            )


def check_disk(folder: Path, counted: Sequence[Counts], *, yes: bool) -> None:
    """Refuse a run that does not fit the disk, and ask before a large one.

    Raises:
        RefusedError: It does not fit, nobody can be asked, or somebody said no.
    """
    needed = BYTES_PER_EVENT * sum(one.total("events") for one in counted)
    free = shutil.disk_usage(folder).free
    said = f"The run may need {size(needed)} of disk in {folder}; {size(free)} are free."
    if needed > FREE_SHARE * free:
        raise RefusedError(f"{said} Take smaller fractions.")
    if needed > ASK_ABOVE_BYTES and not yes:
        if not sys.stdin.isatty():
            raise RefusedError(f"{said} Say --yes to go on.")
        if not typer.confirm(f"{said} Go on?", err=True):
            raise RefusedError("Nothing was done.")


@contextmanager
def working_folder(data: Path | None, parent: Path | None = None) -> Iterator[Path]:
    """Give the folder of the runs; one of our own goes when all is well, and stays when it was interrupted.

    Within the block no setting of the service stands in the environment, and the first signal ends it: clean-up is not
    disturbed by a second one. What servers said last is told with an error.

    Args:
        data: The folder; one of our own when absent.
        parent: Where that is made.

    Raises:
        RefusedError: The one that was named is not empty.
    """
    if data is not None:
        if data.exists() and (not data.is_dir() or any(data.iterdir())):
            raise RefusedError(f"{data} is not an empty folder.")
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = data or Path(tempfile.mkdtemp(prefix="custody-simulate-", dir=parent))
    try:
        with ended_by_signals(), without_settings():
            try:
                yield folder
            except Exception as error:
                for note in getattr(error, "__notes__", ()):  # the error itself is one line
                    typer.echo(note, err=True)
                raise
    except KeyboardInterrupt:
        kept = f"What was made is in {folder} (databases on PostgreSQL are dropped); remove it when you like."
        Console(stderr=True).print(f"Interrupted: nothing is running any more. {kept}", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BaseException:
        _clear(folder, data)
        raise
    _clear(folder, data)


def _clear(folder: Path, data: Path | None) -> None:
    if data is None:
        shutil.rmtree(folder, ignore_errors=True)


def drive(
    folder: Path, database_url: str, found: Sequence[Sample], grain: Grain, seed: int, load_average: float
) -> list[dict[str, Any]]:
    """Drive every fraction, each over a database of its own, with bars where a person is looking."""
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(),
    )  # fmt: skip
    runs = []
    with bars:
        for n, one in enumerate(found, 1):
            own = folder / f"fraction-{n}"
            own.mkdir()
            with fresh_database(database_url, own) as url:
                run = Run(own, url if database_url else "", one, grain, seed, bars, load_average=load_average)
                runs.append(run.drive())
    return runs
