"""`custody demo`: plays the demonstration into a fresh data folder and prints how it ends."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.cli.demo import show
from app.cli.demo.founding import found_ledger
from app.cli.demo.run import run
from app.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        as_json: Annotated[bool, typer.Option("--json", help="Print the ending as data, and nothing else.")] = False,
        fresh: Annotated[bool, typer.Option("--fresh", help="Move an existing data folder aside first.")] = False,
        data: Annotated[Path | None, typer.Option(help="Data folder; ./custody-data unless configured.")] = None,
        database_url: Annotated[str | None, typer.Option(help="Another database than SQLite in the folder.")] = None,
    ) -> None:
        """Play the election of November 2024 in Bontang, over HTTP, and print what an auditor would ask."""
        told = play_demo(chosen(data, database_url), fresh=fresh, as_json=as_json)
        if not told["good"]:
            raise typer.Exit(1)


def chosen(data: Path | None, database_url: str | None) -> Settings:
    """Return the settings with what the command line overrides."""
    given: dict[str, Any] = {"data_dir": data, "database_url": database_url}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def play_demo(settings: Settings, *, fresh: bool = False, as_json: bool = False) -> dict[str, Any]:
    """Found a demo ledger in the data folder, play, print, and return the ending as data.

    Raises:
        FolderTakenError: The folder holds something and `fresh` is not set.
        DemoError: The story did not go as it must.
    """
    founding = found_ledger(settings, fresh=fresh)
    if as_json:
        told = run(founding, show.Silence())
        print(json.dumps(told, ensure_ascii=False, indent=2))
        return told
    out: Console = show.console()
    show.head(out, founding)
    with show.Bars(out) as bars:
        told = run(founding, bars)
    show.tail(out, told)
    return told
