"""`custody ledgers`: the signed list of ledgers that verifiers pin, and the trees of all of them.

`key` makes its key, `sign` signs, `show` reads, `verify` verifies the tree of every ledger of a list. Whoever is
trusted to say which ledgers there are (a commission, a supervisor) keeps the key, apart from every ledger.
See docs/ledger.md, "Several ledgers".
"""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.mirror import USAGE, Processes
from app.cli.trees import verify_listed
from app.errors import MissingError, RefusedError, ServiceError
from app.keys.files import read_private, write_private
from app.ledger.directory import LedgerList, Listed, open_list, sign_list
from app.ledger.note import MAX_NOTE_BYTES, SignatureType, SignerKey, VerifierKey

AsJson = Annotated[bool, typer.Option("--json", help="Print data.")]


def register(app: typer.Typer) -> None:
    """Add `custody ledgers` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="The signed list of ledgers.")
    commands.command("key")(key)
    commands.command("sign")(sign)
    commands.command("show")(show)
    commands.command("verify")(verify)
    app.add_typer(commands, name="ledgers")


def key(
    name: Annotated[str, typer.Argument(help="Name of the list, like kpu.example/ledgers.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes; never overwritten.")],
) -> None:
    """Make the key of a list and print its verifier key, which everybody pins."""
    made = SignerKey(name, SignatureType.NOTE, secrets.token_bytes(32))
    try:
        write_private(file, made.to_text() + "\n")
    except FileExistsError:
        raise RefusedError(f"{file} exists; a key is never overwritten.") from None
    sys.stdout.write(made.verifier().to_text() + "\n")


def sign(
    ledgers: Annotated[Path, typer.Argument(metavar="LIST.txt", help="The list's text, its header line first.")],
    key_file: Annotated[Path, typer.Option("--key", metavar="FILE", help="The list's private key.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the signed list goes; replaced as a whole.")],
) -> None:
    """Sign a list of ledgers."""
    text = _read(ledgers).decode("utf-8", "replace")
    data = sign_list(LedgerList.parse(text), SignerKey.parse(read_private(key_file)))
    _replace(out, data)
    sys.stdout.write(f"{out}: {len(LedgerList.parse(text).ledgers)} ledgers\n")


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed list.")],
    vkey: Annotated[str, typer.Option(help="The list's pinned verifier key.")],
    as_json: AsJson = False,
) -> None:
    """Verify a signed list and print what it says. Exit code: 0 verified, 1 not."""
    found = read_list(file, vkey)
    if as_json:
        sys.stdout.write(json.dumps({"ledgers": [_told(one) for one in found.ledgers]}) + "\n")
        return
    for one in found.ledgers:
        sys.stdout.write("".join(f"{name:8} {value}\n" for name, value in _told(one).items() if value) + "\n")


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed list.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the trees are, a folder of any name each.")],
    vkey: Annotated[str, typer.Option(help="The list's pinned verifier key.")],
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Verify the trees of all listed ledgers side by side, as `custody ledger verify` does each.

    Exit code: 0 PASS, 1 FAIL, 2 usage, 3 INCOMPLETE; that of the worst.
    """
    try:
        code = verify_listed(read_list(file, vkey), folder, processes, as_json=as_json)
    except ServiceError as error:
        typer.echo(error.detail, err=True)
        raise typer.Exit(USAGE) from None
    raise typer.Exit(code)


def read_list(file: Path, vkey: str) -> LedgerList:
    """Read and verify a signed list.

    Raises:
        MissingError: The file cannot be read.
        MalformedError: It is no such list, or the key is no key.
        UnprovenError: `note_signature`: the key has not signed it.
    """
    return open_list(_read(file), VerifierKey.parse(vkey))


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as source:
            return source.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise MissingError(f"Cannot read {file}: {error.strerror}.") from None


def _replace(out: Path, data: bytes) -> None:
    """Write a file beside its place and move it there: whoever serves it reads the old list or the new one."""
    beside = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def _told(one: Listed) -> dict[str, Any]:
    return {"origin": one.origin, "genesis": one.genesis, "key": one.key.to_text(), "url": one.url}
