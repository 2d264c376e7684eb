"""`custody witness`: cosign the checkpoints of ledgers that this agency does not run.

A program of its own that shares nothing with the ballot service but the source: its folder is the witness. See
docs/ledger.md, "Run a witness in ten minutes".
"""

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import typer
import uvicorn
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.cli import serve as serving
from app.config import Settings
from app.errors import MalformedError, MissingError
from app.ledger.note import SignatureType, VerifierKey
from app.logs import configure_logging
from app.witness.cosign import Witness
from app.witness.folder import Folder, make
from app.witness.pull import Pulled, Puller, refuse_unusable

APPLICATION = "app.web.witness:create_app"
"""Named, not imported: the other commands do without it."""
PORT = 8010
DONE, TROUBLE = 0, 1
PULLED = "pulled.json"

Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The witness's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data.")]


def register(app: typer.Typer) -> None:
    """Add `custody witness` with its commands."""
    commands = typer.Typer(no_args_is_help=True, help="A witness: another agency cosigns what it has verified.")
    for name, command in (
        ("init", init), ("add-ledger", add_ledger), ("remove", remove), ("list", list_), ("serve", serve),
        ("pull", pull), ("status", status), ("evidence", evidence),
    ):  # fmt: skip
        commands.command(name)(command)
    app.add_typer(commands, name="witness")


@contextmanager
def opened(folder: Path) -> Iterator[Witness]:
    """Open a witness, and close it.

    Raises:
        MissingError: There is none.
        TamperError: Its memory is not the newest: it must never sign again.
    """
    witness = Witness(Folder.read(folder))
    try:
        yield witness
    finally:
        witness.close()


def init(
    folder: Dir,
    name: Annotated[str, typer.Option(help="Name on its cosignatures, like bawaslu.example/w1; never used again.")],
    ed25519: Annotated[bool, typer.Option(help="Make Ed25519 cosignatures (0x04).")] = True,
    mldsa: Annotated[bool, typer.Option(help="Make ML-DSA-44 cosignatures (0x06).")] = True,
    mark: Annotated[
        Path | None, typer.Option(help="File that shows an old database; best on another disk. Else DIR.mark.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a witness: keys, an empty memory, and the mark. Once, and never again with that name."""
    wanted = ((SignatureType.COSIGNATURE, ed25519), (SignatureType.MLDSA_COSIGNATURE, mldsa))
    kinds = tuple(kind for kind, yes in wanted if yes)
    if not kinds:
        raise MalformedError("A witness needs a key: leave --ed25519 or --mldsa on.")
    made = make(folder, name, kinds, mark)
    told = {
        "name": made.name, "mark": str(made.mark),
        "vkeys": [key.verifier().to_text() for key in made.signers()],
    }  # fmt: skip
    if as_json:
        print(json.dumps(told))
        return
    console = Console()
    for key in told["vkeys"]:
        console.print(key, soft_wrap=True, highlight=False, markup=False)
    where = f"\nGive these lines to whoever runs the ledger. The mark is {made.mark}."
    console.print(where, soft_wrap=True, markup=False)
    console.print("Never restore this folder from a backup: a witness that forgets is retired.")


def add_ledger(
    folder: Dir,
    vkey: Annotated[str, typer.Argument(metavar="VKEY", help="The ledger's verifier key, type 0x01.")],
    url: Annotated[str | None, typer.Option(help="Where the ledger is published; needed by `pull`.")] = None,
    origin: Annotated[str | None, typer.Option(help="Its origin, when that is not the key's name.")] = None,
) -> None:
    """Trust a ledger's key. A second key of one ledger is for the time of its rotation."""
    key = VerifierKey.parse(vkey)
    if url is not None:
        refuse_unusable(url)
    with opened(folder) as witness:
        witness.add_ledger(origin or key.name, key, url)
        count = len(witness.keys(origin or key.name))
    Console().print(f"{origin or key.name}: {count} trusted keys.", soft_wrap=True, markup=False)


def remove(
    folder: Dir,
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help="The ledger's origin.")],
    key: Annotated[str | None, typer.Option(help="Only this verifier key, after a rotation.")] = None,
) -> None:
    """Trust a ledger, or one of its keys, no longer. What was seen of it is never forgotten."""
    with opened(folder) as witness:
        count = witness.remove_ledger(origin, None if key is None else VerifierKey.parse(key))
        left = len(witness.keys(origin))
    if not count:
        raise MissingError("No such key was trusted for that ledger.")
    Console().print(f"{origin}: {left} trusted keys.", soft_wrap=True, markup=False)


def list_(folder: Dir, as_json: AsJson = False) -> None:
    """List the ledgers and their trusted keys."""
    with opened(folder) as witness:
        rows = [
            {"origin": row.origin, "url": row.url or None, "keys": [key.to_text() for key in witness.keys(row.origin)]}
            for row in witness.ledgers()
        ]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table(_origin(), Column("url", overflow="fold"), Column("trusted keys", overflow="fold"))
    for told in rows:
        keys = "\n".join(told["keys"] or ["none: removed"])
        table.add_row(*map(Text, (str(told["origin"]), str(told["url"] or ""), keys)))
    Console().print(table)


def status(folder: Dir, as_json: AsJson = False) -> None:
    """Say what was cosigned of which ledger, and what came of the last pull.

    Exit code: 0 well, 1 it cannot sign, holds evidence of a fork, or could not pull a ledger last time.
    """
    with opened(folder) as witness:
        counts = witness.evidence_counts()
        told: dict[str, Any] = {
            "name": witness.name,
            "vkeys": [key.to_text() for key in witness.vkeys],
            "failing": witness.failing(),
            "ledgers": [
                {
                    "origin": row.origin, "trusted": bool(witness.keys(row.origin)), "size": row.size,
                    "cosigned_at": row.cosigned_at or None, "checkpoint": f"/{row.hash}/checkpoint",
                    "forks": counts.get((row.origin, "fork"), 0), "unproven": counts.get((row.origin, "unproven"), 0),
                }
                for row in witness.ledgers()
            ],
            "pull": _pulled(folder),
        }  # fmt: skip
    _print_status(told, as_json=as_json)
    forks = sum(ledger["forks"] for ledger in told["ledgers"])
    raise typer.Exit(TROUBLE if told["failing"] or forks or _not_pulled(told) else DONE)


def _not_pulled(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [ledger for ledger in (told["pull"] or {}).get("ledgers", ()) if not ledger.get("fine")]


def _print_status(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told))
        return
    console = Console()
    well = "cannot sign, " + ", ".join(told["failing"]) if told["failing"] else "well"
    if not told["failing"] and _not_pulled(told):
        well = "can sign, and could not pull"
    console.print(f"{told['name']}: {well}", markup=False)
    table = Table(_origin(), "size", _at("cosigned at"), "forks", "unproven", "trusted")
    for row in told["ledgers"]:
        table.add_row(
            Text(row["origin"]), str(row["size"]), _when(row["cosigned_at"]), str(row["forks"]), str(row["unproven"]),
            "yes" if row["trusted"] else "no",
        )  # fmt: skip
    console.print(table)
    for ledger in _not_pulled(told):
        at = _when(told["pull"].get("at"))
        line = f"last pull, {at}: {ledger.get('origin')}: {ledger.get('outcome')}. {ledger.get('detail')}"
        console.print(line, markup=False, soft_wrap=True)


def evidence(
    folder: Dir,
    out: Annotated[Path | None, typer.Option(help="Write each piece into this folder, as files.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the signed checkpoints that contradicted what was held, also of a retired witness. Exit code: 1 if any."""
    rows = list(Folder.read(folder).evidence())
    if out is not None:
        for row in rows:
            place = out / f"{row.id:04d}-{row.finding}-{row.size}"
            place.mkdir(parents=True, exist_ok=True)
            for name, data in (("request", row.body), ("checkpoint", row.note), ("held", row.held_note or b"")):
                (place / name).write_bytes(data)
    if as_json:
        print(json.dumps([
            {"id": row.id, "origin": row.origin, "finding": row.finding, "size": row.size, "kept_at": row.kept_at,
             "held_size": row.held_size, "checkpoint": row.note.decode(),
             "held": None if row.held_note is None else row.held_note.decode()} for row in rows
        ]))  # fmt: skip
    else:
        table = Table("number", _origin(), "finding", "size", "held size", _at("kept at"))
        for row in rows:
            table.add_row(
                str(row.id), Text(row.origin), row.finding, str(row.size), str(row.held_size), _when(row.kept_at)
            )  # fmt: skip
        Console().print(table)
    raise typer.Exit(TROUBLE if rows else DONE)


def serve(
    folder: Dir,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on, 0 for a free one.", min=0, max=65535)] = PORT,
) -> None:
    """Answer ledgers that ask for cosignatures, until SIGTERM or SIGINT."""
    settings = Settings(host=host, port=port)
    configure_logging(settings)
    run(Witness(Folder.read(folder)), settings)


def run(witness: Witness, settings: Settings) -> None:
    """Serve an open witness on the host and port of the settings."""
    listening = serving.listen(settings)
    config = uvicorn.Config(
        resolve_name(APPLICATION)(witness),
        http=resolve_name(serving.HTTP),
        limit_concurrency=serving.MAX_CONNECTIONS,
        timeout_keep_alive=serving.KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=serving.GRACE_SECONDS,
        server_header=False,
        proxy_headers=False,
        ws="none",
        log_config=None,
        access_log=False,
    )
    gc.freeze()
    told = f"Witness {witness.name} on http://{settings.host}:{listening.getsockname()[1]}"
    Console(stderr=True).print(told, soft_wrap=True, highlight=False, markup=False)
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def pull(
    folder: Dir,
    once: Annotated[bool, typer.Option("--once", help="One round, then end: for cron.")] = False,
    every: Annotated[int, typer.Option(help="Seconds between two rounds.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Fetch, verify and cosign every ledger that has a URL, and hand the cosignatures back. For offices behind NAT.

    With --once the exit code is 0 when all went well, else 1.
    """
    with opened(folder) as witness:
        puller = Puller(witness)
        while True:
            results = list(_told(puller.round(anew=once), as_json=as_json))
            _keep_pulled(folder, results)
            if not results:
                typer.echo("No ledger here has a URL to pull from: `custody witness add-ledger … --url`.", err=True)
            if once:
                raise typer.Exit(DONE if all(result.fine for result in results) else TROUBLE)
            time.sleep(every)


def _told(results: Iterator[Pulled], *, as_json: bool) -> Iterator[Pulled]:
    """Print each result as it comes: one line, or one JSON object a line."""
    for result in results:
        told = {"origin": result.origin, "outcome": result.outcome, "size": result.size, "detail": result.detail}
        if as_json:
            print(json.dumps(told), flush=True)
        elif result.outcome != "unchanged":
            size = "" if result.size is None else f" at {result.size}"
            print(f"{result.origin}{size}: {result.outcome}. {result.detail}", flush=True)
        yield result


def _keep_pulled(folder: Path, results: list[Pulled]) -> None:
    """Leave the outcome of the last round where `status` finds it; a crash in between leaves the round before."""
    told = [{"origin": r.origin, "outcome": r.outcome, "fine": r.fine, "detail": r.detail} for r in results]
    half = folder / f".{PULLED}"
    half.write_text(json.dumps({"at": int(time.time()), "ledgers": told}))
    half.replace(folder / PULLED)


def _pulled(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / PULLED).read_text())
    except (OSError, ValueError):
        return None
    return found


def _origin() -> Column:
    return Column("origin", overflow="fold")


def _at(header: str) -> Column:
    return Column(header, no_wrap=True, min_width=20)


def _when(at: int | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "never"
