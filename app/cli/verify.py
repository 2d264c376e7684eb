"""`custody verify BUNDLE`: check an evidence bundle offline. Needs no database and no network."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.audit.report import Report
from app.audit.verify import EXIT_CODES, read_limited, verify_bundle

USAGE = 2
_COLOURS = {"PASS": typer.colors.GREEN, "FAIL": typer.colors.RED, "INCOMPLETE": typer.colors.YELLOW}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(command)


def command(
    bundle: Annotated[Path, typer.Argument(help="The zip that `…/evidence` gave.")],
    genesis: Annotated[
        str | None, typer.Option(help="Pinned hash of the genesis event; without it never PASS.")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="Pinned origin of the ledger.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Verify an evidence bundle. Exit code: 0 PASS, 1 FAIL, 2 usage, 3 INCOMPLETE."""
    try:
        data = read_limited(bundle)
    except OSError as error:
        typer.echo(f"Cannot read {bundle}: {error.strerror}", err=True)
        raise typer.Exit(USAGE) from None
    report = verify_bundle(data, genesis=genesis, origin=origin)
    if as_json:
        sys.stdout.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        show(report)
    raise typer.Exit(EXIT_CODES[report.result])


def show(report: Report) -> None:
    """Print the report for people, the result in colour where there is a terminal."""
    first, _, rest = report.as_text().partition("\n")
    typer.secho(first, fg=_COLOURS[report.result], bold=True)
    sys.stdout.write(rest)
