"""`custody init`: found a ledger in the data folder, by one founder made here or by a genesis that many signed."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from app.canon import JsonValue, b64url_decode, b64url_encode, parse_json
from app.cli.migrate import upgrade
from app.clock import SystemClock
from app.config import Settings
from app.custody.details import Jwk
from app.custody.events import parse_event
from app.custody.found import found, genesis_payload, public_jwk
from app.custody.receipts import Receipt
from app.custody.serverkeys import ServerKeys
from app.db import Database, normal_url
from app.errors import RefusedError
from app.ids import new_event_id
from app.keys.files import make_jwk_file
from app.keys.signing import PrivateKey, sign_jws
from app.keys.verify import parse_jws
from app.ledger.append import is_taken
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import MAX_NOTE_BYTES, Note, VerifierKey
from app.ledger.tree import HASH_BYTES

FOUNDER_FILE = "founder.jwk"
MAX_GENESIS_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Old:
    """The ledger that a new one goes on from, as the command line names it."""

    note: Path
    genesis: str
    key: str

    def cited(self, origin: str) -> dict[str, JsonValue]:
        """Return what the genesis says of it: origin, genesis, and the final tree.

        Args:
            origin: The new ledger's, which is another.

        Raises:
            MalformedError: The file is no checkpoint, or the hash no hash.
            UnprovenError: `note_signature`: the key that was given has not signed it, or is not named like its origin.
            RefusedError: The new ledger would have the old one's origin.
        """
        with self.note.open("rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
        told = open_checkpoint(data, [VerifierKey.parse(self.key)], Checkpoint.parse(Note.parse(data).text).origin)
        if told.origin == origin:
            raise RefusedError("A successor has another origin than the ledger that it goes on from.")
        b64url_decode(self.genesis, length=HASH_BYTES)
        return {
            "origin": told.origin, "genesis": self.genesis, "size": told.size, "root": b64url_encode(told.root),
        }  # fmt: skip


def found_here(settings: Settings, keys: ServerKeys, genesis: JsonValue, now_ms: int) -> Receipt:
    """Migrate the database and record a signed genesis as leaf 0.

    A crash before the genesis stands leaves an empty ledger, key files and a high-water mark of 0: remove the folder
    and start again.
    """
    upgrade(settings.migration_url or settings.url())
    db = Database(settings.url())
    try:
        db.check_durability()
        return found(db, settings, keys, genesis, now_ms)[1]
    finally:
        db.close()


def single_founder(
    keys: ServerKeys, founder: PrivateKey, name: str, *, demo: bool, now_ms: int,
    succeeds: dict[str, JsonValue] | None = None,
) -> JsonValue:  # fmt: skip
    """Return the genesis of a ledger with one founder, signed by that founder."""
    founders: list[dict[str, Any]] = [{"officer": "ADM-1", "agency": "OPERATOR", "jwk": public_jwk(founder)}]
    event_id = new_event_id(now_ms, secrets.token_bytes(10))
    payload = genesis_payload(
        keys, name, founders, [], author=founder.kid, event_id=event_id, at_ms=now_ms, demo=demo, succeeds=succeeds
    )
    return sign_jws(payload, [founder])


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def init(
        name: Annotated[
            str, typer.Option(help="Name of the ledger, as in its address; CUSTODY_LEDGER, else `ledger`.")
        ] = "",
        host: Annotated[
            str, typer.Option(help="Host of the origin `<host>/ledger/<name>`; it never changes.")
        ] = "custody.localhost",
        genesis: Annotated[Path | None, typer.Option(help="A genesis signed by founders and agencies, JSON.")] = None,
        keys_only: Annotated[
            bool, typer.Option(help="Make the server keys and print what a genesis must name.")
        ] = False,
        demo: Annotated[bool, typer.Option(help="Allow injected scenario time on this ledger, for ever.")] = False,
        succeeds: Annotated[
            Path | None,
            typer.Option(
                help="Final checkpoint of the ledger that this one goes on from, as `custody ledger close` printed it. "
                "Whether that ledger was closed cannot be seen from a checkpoint."
            ),
        ] = None,
        succeeds_genesis: Annotated[str, typer.Option(help="Hash of that ledger's genesis; with --succeeds.")] = "",
        succeeds_key: Annotated[
            str, typer.Option(help="That ledger's verifier key, from a source that you trust; with --succeeds.")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print data.")] = False,
    ) -> None:
        """Found a ledger: server keys, database, genesis."""
        settings, now_ms = Settings(), SystemClock().now_ms()
        name = _name(name, settings)
        origin, folder = f"{host}/ledger/{name}", settings.keys_folder()
        if len({bool(succeeds), bool(succeeds_genesis), bool(succeeds_key)}) > 1:
            raise RefusedError("A successor names --succeeds FILE, --succeeds-genesis HASH and --succeeds-key VKEY.")
        cited = Old(succeeds, succeeds_genesis, succeeds_key).cited(origin) if succeeds else None
        keys = ServerKeys.load(folder) if genesis else _fresh_keys(settings, folder, name, origin)
        told: dict[str, Any] = {"succeeds": cited} if cited else {}
        if keys_only:
            _print({"origin": origin, **server_keys(keys), **told}, as_json=as_json)
            return
        if genesis:
            signed = parse_json(genesis.read_bytes(), max_bytes=MAX_GENESIS_BYTES)
            _check_names_ours(signed, keys)
            _check_cites(signed, cited)
        else:
            founder = make_jwk_file(folder / FOUNDER_FILE)
            signed = single_founder(keys, founder, name, demo=demo, now_ms=now_ms, succeeds=cited)
        receipt = found_here(settings, keys, signed, now_ms)
        _print({"origin": keys.ledger.name, "genesis": receipt.event, **server_keys(keys), **told}, as_json=as_json)


def _name(told: str, settings: Settings) -> str:
    """Return the ledger's name: what is served later by the same settings must be what is founded by them now."""
    if told and settings.ledger and told != settings.ledger:
        raise RefusedError("--name and CUSTODY_LEDGER name two ledgers; give each its own settings.")
    return told or settings.ledger or "ledger"


def _refuse_taken(settings: Settings, name: str, origin: str) -> None:
    """Refuse a name that is in the database already, before any key is made for it."""
    url = normal_url(settings.url())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return
    upgrade(settings.migration_url or settings.url())
    db = Database(settings.url())
    try:
        with db.read() as session:
            if is_taken(session, name, origin):
                raise RefusedError(f"There is a ledger {name} in this database already; choose another name and host.")
    finally:
        db.close()


def _fresh_keys(settings: Settings, folder: Path, name: str, origin: str) -> ServerKeys:
    if not folder.exists():
        _refuse_taken(settings, name, origin)
    try:
        return ServerKeys.make(folder, origin)
    except FileExistsError:
        raise RefusedError(
            f"There are server keys in {folder} already; a ledger is founded once. Choose another CUSTODY_DATA_DIR, "
            "or another CUSTODY_KEYS_DIR for another ledger in the same database."
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


def _check_cites(genesis: JsonValue, cited: dict[str, JsonValue] | None) -> None:
    """Refuse a genesis that says otherwise than the command line whether, and from what, this ledger goes on."""
    told = getattr(parse_event(parse_jws(genesis).payload).details, "succeeds", None)
    if cited is not None and (told is None or told.model_dump() != cited):
        raise RefusedError("The genesis does not cite the final checkpoint that --succeeds names.")


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
        shown = Text(value if isinstance(value, str) else json.dumps(value))
        console.print(Text.assemble((f"{name:14}", "bold"), " ", shown), soft_wrap=True)
    if "genesis" in told:
        console.print("\nGive the genesis hash to everybody who will verify: `custody verify BUNDLE --genesis HASH`.")
