"""`custody ledger take-over`: a person says that a database which was promoted, restored or moved may be written.

Where every commit is confirmed by a standby nobody needs it (ADR 21). Elsewhere no host knows what another has shown;
the person who does brings the high-water marks of all of them.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.fsck import open_database
from app.clock import SystemClock
from app.config import Settings
from app.errors import RefusedError
from app.ledger import freezing
from app.ledger.append import read_head
from app.ledger.fencing import find_mark, take
from app.ledger.highwater import HighWater


def register(commands: typer.Typer) -> None:
    """Add the command to `custody ledger`."""
    commands.command("take-over")(take_over)


def take_over(
    reason: Annotated[str, typer.Option(help="What happened, in a sentence; it stays among the alarms.")],
    marks: Annotated[
        list[Path] | None, typer.Option("--mark", help="High-water mark of another host; may be repeated.")
    ] = None,
    ledger: Annotated[str, typer.Option(help="Name of the ledger; the only one when absent.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
) -> None:
    """Let the service write a database that was promoted, restored or moved, when every mark is in its tree."""
    settings = Settings()
    db = open_database(settings)
    try:
        if db.is_sqlite:
            raise RefusedError("A database in a file is not promoted: there is nothing to take over.")
        with db.write() as session:
            head = read_head(session, ledger or settings.ledger, lock=True)
            for path in (settings.high_water_file(), *(marks or ())):
                mark = HighWater(path, head.origin)
                try:
                    find_mark(session, head, mark)
                finally:
                    mark.close()
            now_ms = SystemClock().now_ms()
            freezing.raise_alarm(session, head.ledger_id, now_ms, kind="taken_over", source="operator", detail=reason)
            taken = take(session, head)
    finally:
        db.close()
    compared = 1 + len(marks or ())
    if as_json:
        print(json.dumps({"origin": head.origin, "size": head.size, "epoch": taken.epoch, "marks": compared}))
        return
    print(f"{head.origin} may be written here from {head.size} leaves on; {compared} high-water marks are in its tree.")
    print("Every host compares its own mark again when it starts. Stop whatever still serves the old database.")
