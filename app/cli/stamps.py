"""`custody ledger stamp` and `custody ledger stamps`: the legal time of witnessed checkpoints (RFC 3161)."""

import json
import sys
from typing import Annotated

import typer

from app.cli.fsck import open_database
from app.clock import rfc3339_ms
from app.config import Settings
from app.errors import MissingError, ServiceError
from app.exchange.timestamps import authority_of, stamp_newest
from app.ledger.append import read_head
from app.ledger.stamps import StampTime, list_stamps
from app.ledger.witnessed import newest_witnessed

FAILED, USAGE = 1, 2

Ledger = Annotated[str, typer.Option(help="Name of the ledger; the only one when absent.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to `custody ledger`."""
    commands.command("stamp")(stamp)
    commands.command("stamps")(stamps)


def stamp(ledger: Ledger = "", as_json: AsJson = False) -> None:
    """Have the newest witnessed checkpoint stamped now, unless it is.

    Exit code: 0 stamped now or before, 1 the authority gave no stamp that holds, 2 usage.
    """
    settings = Settings()
    db = open_database(settings)
    try:
        with db.read() as session:
            head = read_head(session, ledger or settings.ledger)
            newest = newest_witnessed(session, head.ledger_id)
        if newest is None:
            raise MissingError("No checkpoint of this ledger is witnessed yet; only those are stamped.")  # noqa: TRY301
        made = stamp_newest(db, head.ledger_id, lambda: authority_of(settings))
    except MissingError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(USAGE) from None
    except ServiceError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(FAILED) from None
    finally:
        db.close()
    if as_json:
        sys.stdout.write(json.dumps({"stamped": made is not None, **(_as_json(made) if made else {})}) + "\n")
    elif made is None:
        sys.stdout.write("The newest witnessed checkpoint is stamped already.\n")
    else:
        sys.stdout.write(f"Stamped: {_as_line(made)}\n")


def stamps(ledger: Ledger = "", as_json: AsJson = False) -> None:
    """List the stamps, the newest checkpoint first. They are shown as kept, not verified."""
    settings = Settings()
    db = open_database(settings)
    try:
        with db.read() as session:
            found = list_stamps(session, read_head(session, ledger or settings.ledger).ledger_id)
    except MissingError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(USAGE) from None
    finally:
        db.close()
    if as_json:
        sys.stdout.write(json.dumps([_as_json(each) for each in found]) + "\n")
    else:
        sys.stdout.write("".join(f"{_as_line(each)}\n" for each in found) or "No checkpoint is stamped yet.\n")


def _as_json(stamp_: StampTime) -> dict[str, object]:
    return {"size": stamp_.size, "at": rfc3339_ms(stamp_.at_ms), "authority": stamp_.authority}


def _as_line(stamp_: StampTime) -> str:
    return f"{rfc3339_ms(stamp_.at_ms)}  {stamp_.size} leaves  {stamp_.authority}"
