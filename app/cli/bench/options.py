"""Whether a command line makes sense: what cannot be meant is refused before the run, and not after an hour."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from sqlalchemy.exc import ArgumentError

from app.cli.bench.databases import kind_of
from app.cli.bench.disk import refuse_unwritable
from app.cli.bench.grown import remembered
from app.cli.bench.growth import FIRST
from app.cli.bench.offline import OFFLINE
from app.cli.bench.profile import need_py_spy
from app.cli.bench.scenarios import SCENARIOS
from app.cli.bench.sources import ROOT
from app.cli.bench.wish import Size, open_loads
from app.errors import MissingError

READ = ("history", "bundle", "fsck", "desk")
"""What reads a ledger that is made for it."""
USED_BY = {
    "--keep-world": (*READ, "growth"), "--events": (*READ, "reverify", "growth"), "--units": ("heads",),
    "--open": ("single", "batch_100"), "--plot": ("growth",), "--profile": tuple(SCENARIOS),
}  # fmt: skip
"""The scenarios that an option is for."""


def check(wanted: Sequence[str], given: Mapping[str, object], files: Sequence[Path | None], database_url: str) -> None:
    """Refuse what cannot be meant or cannot be done.

    Args:
        wanted: The scenarios.
        given: Values of options by name; None for those that were not given.
        files: That will be written, where they were asked for.
        database_url: A PostgreSQL server; empty for SQLite.

    Raises:
        typer.BadParameter: The text says what does not fit.
        MissingError: The yardsticks or py-spy are not here.
        RuntimeError: A kept ledger cannot be opened.
    """
    if unknown := set(wanted) - {*SCENARIOS, *OFFLINE}:
        raise typer.BadParameter(f"There is no scenario {', '.join(sorted(unknown))}.")
    for option, scenarios in USED_BY.items():
        if given.get(option) is not None and not {*scenarios} & {*wanted}:
            named = "a scenario over HTTP" if option == "--profile" else " or ".join(scenarios)
            raise typer.BadParameter(f"{option} is for {named}, which is not asked for.")
    events = given.get("--events")
    if "growth" in wanted and isinstance(events, int) and events < FIRST:
        raise typer.BadParameter(f"`growth` begins at {FIRST:,} events.")
    refuse_unwritable(*files)
    refuse_other_server(database_url)
    if isinstance(keep := given.get("--keep-world"), Path):
        if keep.exists() and not keep.is_dir():
            raise typer.BadParameter(f"{keep} is no folder.")
        remembered(keep, kind_of(database_url))
    _need_tools(wanted, profiled=given.get("--profile") is not None)


def refuse_other_server(database_url: str) -> None:
    """Refuse a URL that names no PostgreSQL server; it may hold a password, and is not shown.

    Raises:
        typer.BadParameter: It does not.
    """
    try:
        fits = not database_url or kind_of(database_url) == "postgresql"
    except ArgumentError:
        fits = False
    if not fits:
        raise typer.BadParameter("--database-url names a PostgreSQL server; without it the run is on SQLite.")


def _need_tools(wanted: Sequence[str], *, profiled: bool) -> None:
    if {*wanted} - {"heads", "backlog"} and not (ROOT / "scripts" / "yardsticks").is_dir():
        raise MissingError("The yardsticks are not installed: run `custody bench` from a checkout of the source.")
    if profiled:
        need_py_spy()


def open_seconds(wanted: Sequence[str], size: Size, events_per_second: float) -> float:
    """Return how long the open loads of all rounds take at a rate that was named."""
    return size.rounds * sum(open_loads(wanted, size).values()) / events_per_second


def spoken(seconds: float) -> str:
    """Return a time as people say it."""
    return f"{seconds:,.0f} seconds" if seconds < 120 else f"{seconds / 60:,.0f} minutes"
