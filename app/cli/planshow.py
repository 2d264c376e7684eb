"""How `custody plan` tells what it found: tables for people, data for machines."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.units.plancheck import Finding, Need
from app.units.plandiff import Change
from app.units.plansheet import Reading


def show_faults(file: Path, reading: Reading, most: int) -> None:
    """Print what is wrong with a table, and that nothing was written."""
    table = Table("row", "column", "what is wrong", "what to do")
    for fault in reading.faults[:most]:
        row = (str(fault.row) if fault.row else "", fault.column, f"it {fault.what}", fault.todo)
        table.add_row(*map(Text, row))
    console = Console(stderr=True)
    console.print(table)
    and_more(reading.count, most, console)
    console.print(f"{file} was not taken: {reading.count} to correct. Nothing was written.", soft_wrap=True)


def faults_json(reading: Reading, most: int) -> str:
    """Return the same as data; `count` counts what is not listed, too."""
    faults = [
        {"row": fault.row, "column": fault.column, "what": fault.what, "todo": fault.todo}
        for fault in reading.faults[:most]
    ]
    return json.dumps({"faults": faults, "count": reading.count}) + "\n"


def show_found(found: list[Finding], need: list[Need], most: int) -> None:
    """Print what has to be printed, and on what plan and policy disagree."""
    console = Console()
    to_print = Table("contest", "stations", "voters", "reserve", "re-vote", "to print")
    for one in need:
        numbers = (one.stations, one.voters, one.reserve, one.revote, one.total)
        to_print.add_row(Text(one.contest), *(f"{number}" for number in numbers))
    console.print(to_print)
    table = Table("station", "finding", "what", "facts")
    for finding in found[:most]:
        facts = ", ".join(f"{name} {value}" for name, value in finding.facts.items())
        table.add_row(*map(Text, (finding.station or "the plan", finding.code, finding.detail, facts)))
    console.print(table if found else "The plan agrees with the policy.")
    and_more(len(found), most, console)


def found_json(found: list[Finding], need: list[Need], most: int) -> dict[str, Any]:
    """Return the same as data."""
    return {
        "findings": [
            {"code": one.code, "station": one.station, "detail": one.detail, "facts": one.facts} for one in found[:most]
        ],
        "count": len(found),
        "needs": [
            {
                "contest": one.contest, "stations": one.stations, "voters": one.voters, "reserve": one.reserve,
                "revote": one.revote, "total": one.total,
            }
            for one in need
        ],
    }  # fmt: skip


def changes_json(changes: tuple[Change, ...]) -> list[dict[str, Any]]:
    """Return changes as data."""
    return [{"member": one.member, "before": one.before, "after": one.after} for one in changes]


def word(value: str | int | bool | None) -> str:
    """Return a member as a person reads it."""
    return "" if value is None else str(value)


def and_more(count: int, most: int, console: Console | None = None) -> None:
    """Say how many there are beyond those that were shown."""
    if count > most:
        (console or Console()).print(f"and {count - most} more; --most shows up to 1000, --json gives data")
