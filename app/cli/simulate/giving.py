"""What a simulation gives: tables or data on the screen, and files that are put in place as a whole."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from app.cli.bench.report import disk
from app.cli.simulate.tables import Sheet, between, sentences
from app.cli.simulate.tables import markdown as as_markdown

WIDEST = 400


def give(
    told: dict[str, Any], sheets: Sequence[Sheet], name: str, *, as_json: bool, out: Path | None,
    markdown: Path | None,
) -> None:  # fmt: skip
    """Print, then write the files that were asked for: what was measured is never lost to a file.

    Args:
        told: All figures.
        sheets: The tables.
        name: Of the section in a Markdown file with prose around it.
        as_json: Print data instead of tables.
        out: A file for the data.
        markdown: A file for the tables; one that exists needs the section's marks.

    Raises:
        RefusedError: It lacks them.
    """
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        _show(told, sheets)
    if out is not None:
        _write(out, json.dumps(told, indent=1) + "\n")
    if markdown is not None:
        said = "".join(f"- {sentence}\n" for sentence in _sentences(told))
        section = _head(told) + (f"{said}\n" if said else "") + as_markdown(sheets)
        given = markdown.read_text(encoding="utf-8") if markdown.exists() else None
        _write(markdown, between(given, name, section) if given is not None else section)


def _show(told: dict[str, Any], sheets: Sequence[Sheet]) -> None:
    console = Console()
    wide = Console(width=WIDEST)
    console.print(_head(told).strip(), highlight=False, soft_wrap=True)
    for sheet in sheets:
        table = Table()
        for place, column in enumerate(sheet.columns):
            table.add_column(column, justify="right" if place else "left", no_wrap=True)
        for row in sheet.rows:
            table.add_row(*row)
        # A figure that is cut off is a wrong one: a narrow screen wraps the lines of the table instead.
        console.print(f"\n[bold]{sheet.title}[/]")
        wide.print(table)
        if sheet.note:
            console.print(sheet.note, highlight=False)
    for sentence in _sentences(told):
        console.print(f"\n{sentence}", highlight=False)


def _sentences(told: dict[str, Any]) -> list[str]:
    return sentences(told) if "reckoned" in told else []


def _head(told: dict[str, Any]) -> str:
    """Say when, where and how the figures came about."""
    day = told["made_at"][:10]
    if "runs" not in told:
        return f"Counted on {day}, grain `{told['grain']}`, seed {told['seed']}.\n\n"
    env = told["runs"][-1]["environment"]
    fractions = " and ".join(run["fraction"] for run in told["runs"])
    return (
        f"Measured on {day}: {fractions} of the nation, grain `{told['grain']}`, seed {told['seed']}; {env['cpu']}, "
        f"{env['usable_cpus']} CPUs, Python {env['python']}, code {env['code']}; {env['durability']}; {disk(env)}load "
        f"{env['load_average']:.1f} before it began. Service, database and load driver share the machine.\n\n"
    )


def _write(path: Path, text: str) -> None:
    """Put a file in place as a whole: what was there before stays until the new one is complete."""
    with tempfile.NamedTemporaryFile("w", dir=path.absolute().parent, encoding="utf-8", delete=False) as file:
        file.write(text)
    temporary = Path(file.name)
    temporary.chmod(path.stat().st_mode if path.exists() else 0o644)
    temporary.replace(path)
