"""`custody verify BUNDLE`: check an evidence bundle offline. Needs no database and no network.

Exit code 1 is a word about the bundle alone. What the caller pinned and cannot be used, a list of ledgers that its key
did not sign included, is exit code 2 with one sentence, and no report: the bundle was not looked at.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn, TypedDict

import orjson
import typer

from app.audit.bundle import read_bundle
from app.audit.report import Report
from app.audit.verify import EXIT_CODES, check_pins, read_limited, verify_bundle
from app.errors import ServiceError
from app.ledger.directory import LedgerList, open_list
from app.ledger.note import VerifierKey

USAGE = 2
_COLOURS = {"PASS": typer.colors.GREEN, "FAIL": typer.colors.RED, "INCOMPLETE": typer.colors.YELLOW}


class Beside(TypedDict, total=False):
    """What is pinned beside the genesis."""

    policy: bytes | None
    tsa_roots: bytes | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(command)


def command(
    bundle: Annotated[Path, typer.Argument(help="The zip that `…/evidence` gave.")],
    genesis: Annotated[
        str | None, typer.Option(help="Pinned hash of the genesis event; without it never PASS.")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="Pinned origin of the ledger.")] = None,
    ledgers: Annotated[
        Path | None, typer.Option(help="A signed list of ledgers, which pins genesis and origin instead.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Pinned trust policy (tlog-policy); without its quorum INCOMPLETE.")
    ] = None,
    tsa_roots: Annotated[
        Path | None, typer.Option(help="PEM file of the time-stamping authorities' root certificates.")
    ] = None,
    ledgers_key: Annotated[str | None, typer.Option(help="The pinned verifier key of that list.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Verify an evidence bundle. Exit code: 0 PASS, 1 FAIL, 2 usage, 3 INCOMPLETE."""
    is_listed = ledgers is not None
    if is_listed != (ledgers_key is not None) or (is_listed and (genesis, origin) != (None, None)):
        _usage("--ledgers and --ledgers-key go together, and stand instead of --genesis and --origin.")
    try:
        data = read_limited(bundle)
        more = Beside(
            policy=read_limited(policy) if policy is not None else None,
            tsa_roots=read_limited(tsa_roots) if tsa_roots is not None else None,
        )
        check_pins(genesis=genesis, policy=more["policy"], tsa_roots=more["tsa_roots"])
        listed = _opened(ledgers, ledgers_key) if ledgers is not None and ledgers_key is not None else None
    except OSError as error:
        _usage(f"Cannot read {error.filename}: {error.strerror}.")
    except ServiceError as error:
        _usage(f"{error.detail} [{error.code}]")
    if listed is None:
        report = verify_bundle(data, genesis=genesis, origin=origin, **more)
    else:
        report = verify_listed(data, listed, more)
    if as_json:
        sys.stdout.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        show(report)
    raise typer.Exit(EXIT_CODES[report.result])


def _opened(file: Path, vkey: str) -> LedgerList:
    """Open a signed list, and say that an error is its own: a checkpoint gives some of the same codes."""
    try:
        return open_list(read_limited(file), VerifierKey.parse(vkey))
    except ServiceError as error:
        raise type(error)(f"The list of ledgers: {error.detail}", code=error.code) from None


def _usage(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(USAGE)


def verify_listed(data: bytes, ledgers: LedgerList, more: Beside | None = None) -> Report:
    """Verify a bundle under what a verified list says of its ledger; a ledger that is not listed is no ledger.

    The genesis that the list names fixes the keys of checkpoints, too: those in it, and those that its founders brought
    in since. So a bundle from before a rotation still verifies under a list from after it.
    """
    try:
        origin = read_bundle(data).ledger
    except ServiceError:
        return verify_bundle(data)  # which says what is wrong with it
    listed = ledgers.of(origin)
    if listed is None:
        report = Report(ledger=origin)
        report.tell("fail", "ledger_not_listed", "The bundle's ledger is not on the signed list of ledgers.")
        return report
    return verify_bundle(data, genesis=listed.genesis, origin=listed.origin, **(more or {}))


def show(report: Report) -> None:
    """Print the report for people, the result in colour where there is a terminal."""
    first, _, rest = report.as_text().partition("\n")
    typer.secho(first, fg=_COLOURS[report.result], bold=True)
    sys.stdout.write(rest)
