"""`custody init`: found a ledger in the data folder, by one founder made here or by a genesis that many signed."""

import json
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from app.canon import JsonValue, parse_json
from app.cli.migrate import upgrade
from app.clock import SystemClock
from app.config import Settings
from app.custody.details import Jwk
from app.custody.events import parse_event
from app.custody.found import found, genesis_payload, public_jwk
from app.custody.receipts import Receipt
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import RefusedError
from app.ids import new_event_id
from app.keys.files import make_jwk_file
from app.keys.signing import PrivateKey, sign_jws
from app.keys.verify import parse_jws

FOUNDER_FILE = "founder.jwk"
MAX_GENESIS_BYTES = 128 * 1024


def found_here(settings: Settings, keys: ServerKeys, genesis: JsonValue, now_ms: int) -> Receipt:
    """Migrate the database and record a signed genesis as leaf 0.

    A crash before the genesis stands leaves an empty ledger and key files: remove the folder and start again.
    """
    upgrade(settings.migration_url or settings.url())
    db = Database(settings.url())
    try:
        db.check_durability()
        return found(db, settings, keys, genesis, now_ms)[1]
    finally:
        db.close()


def single_founder(keys: ServerKeys, founder: PrivateKey, name: str, *, demo: bool, now_ms: int) -> JsonValue:
    """Return the genesis of a ledger with one founder, signed by that founder."""
    founders: list[dict[str, Any]] = [{"officer": "ADM-1", "agency": "OPERATOR", "jwk": public_jwk(founder)}]
    event_id = new_event_id(now_ms, secrets.token_bytes(10))
    payload = genesis_payload(keys, name, founders, [], author=founder.kid, event_id=event_id, at_ms=now_ms, demo=demo)
    return sign_jws(payload, [founder])


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def init(
        name: Annotated[str, typer.Option(help="Name of the ledger, as in its address.")] = "ledger",
        host: Annotated[
            str, typer.Option(help="Host of the origin `<host>/ledger/<name>`; it never changes.")
        ] = "custody.localhost",
        genesis: Annotated[Path | None, typer.Option(help="A genesis signed by founders and agencies, JSON.")] = None,
        keys_only: Annotated[
            bool, typer.Option(help="Make the server keys and print what a genesis must name.")
        ] = False,
        demo: Annotated[bool, typer.Option(help="Allow injected scenario time on this ledger, for ever.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
    ) -> None:
        """Found a ledger: server keys, database, genesis."""
        settings, now_ms, origin = Settings(), SystemClock().now_ms(), f"{host}/ledger/{name}"
        folder = settings.keys_folder()
        keys = ServerKeys.load(folder) if genesis else _fresh_keys(folder, origin)
        if keys_only:
            _print({"origin": origin, **server_keys(keys)}, as_json=as_json)
            return
        if genesis:
            signed = parse_json(genesis.read_bytes(), max_bytes=MAX_GENESIS_BYTES)
            _check_names_ours(signed, keys)
        else:
            signed = single_founder(keys, make_jwk_file(folder / FOUNDER_FILE), name, demo=demo, now_ms=now_ms)
        receipt = found_here(settings, keys, signed, now_ms)
        _print({"origin": keys.ledger.name, "genesis": receipt.event, **server_keys(keys)}, as_json=as_json)


def _fresh_keys(folder: Path, origin: str) -> ServerKeys:
    try:
        return ServerKeys.make(folder, origin)
    except FileExistsError:
        raise RefusedError(
            f"There are server keys in {folder} already; a ledger is founded once. Choose another CUSTODY_DATA_DIR."
        ) from None


def _check_names_ours(genesis: JsonValue, keys: ServerKeys) -> None:
    """Refuse a genesis that names other server keys than those in the folder: it could never be served."""
    told = parse_event(parse_jws(genesis).payload).details
    ours = server_keys(keys)
    named = {name: getattr(told, name, None) for name in ours}
    shown = {
        name: value.model_dump(exclude_none=True) if isinstance(value, Jwk) else value for name, value in named.items()
    }
    if shown != ours:
        raise RefusedError("The genesis names other server keys than those in the keys folder.")


def server_keys(keys: ServerKeys) -> dict[str, Any]:
    """Return the public parts of the server keys, as a genesis names them."""
    return {
        "ledger_key": keys.ledger.verifier().to_text(),
        "service_key": public_jwk(keys.service),
        "admission_key": public_jwk(keys.admission),
    }


def _print(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told))
        return
    console = Console()
    for name, value in told.items():
        console.print(f"[bold]{name:14}[/] {value if isinstance(value, str) else json.dumps(value)}", soft_wrap=True)
    if "genesis" in told:
        console.print("\nGive the genesis hash to everybody who will verify: `custody verify BUNDLE --genesis HASH`.")
