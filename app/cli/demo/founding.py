"""The operator's part, before anybody can speak HTTP: a fresh folder, tables, server keys, a signed genesis.

Everything after this is done by clients. The keys of the two founders and the secret of one auditor stay in the
folder, mode 0400, so that later commands and curious people can look around.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.canon import JsonValue
from app.cli.demo import documents as doc
from app.cli.demo.agenda import wita
from app.cli.demo.cast import new_phone
from app.cli.demo.wire import SecretLogin
from app.cli.init import FOUNDER_FILE, found_here
from app.cli.migrate import upgrade
from app.cli.phone import Phone
from app.config import Settings
from app.custody.found import genesis_payload, public_jwk
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import MissingError
from app.ids import new_event_id
from app.keys.clients import add_client
from app.keys.files import write_private
from app.keys.signing import PrivateKey, sign_jws
from app.ledger.append import read_head

LEDGER = "pilkada-2024-64"
ORIGIN = f"demo.custody.localhost/ledger/{LEDGER}"
AT = wita("2024-10-21 08:00")
CLIENT_FILE = "auditor-client.json"


class FolderTakenError(RuntimeError):
    """The data folder holds something already; only `--fresh` moves it aside."""


@dataclass(frozen=True, slots=True)
class Founding:
    """A founded demo ledger."""

    settings: Settings
    founders: tuple[Phone, Phone]
    genesis: str
    checkpoint: str
    moved_to: Path | None
    auditor: SecretLogin

    @property
    def client_file(self) -> Path:
        """Where the auditor's client name and secret are kept."""
        return self.settings.keys_folder() / CLIENT_FILE


def clear_folder(folder: Path, *, fresh: bool) -> Path | None:
    """Make sure that the data folder is empty; return where an old one went.

    Raises:
        FolderTakenError: It is not, and nobody said `--fresh`.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return None
    if not fresh:
        raise FolderTakenError(f"{folder} holds a ledger already. `custody demo --fresh` moves it aside first.")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = folder.with_name(f"{folder.name}.{stamp}")
    n = 1
    while aside.exists():
        n += 1
        aside = folder.with_name(f"{folder.name}.{stamp}-{n}")
    folder.rename(aside)
    return aside


def found_ledger(settings: Settings, *, fresh: bool) -> Founding:
    """Found the demo ledger in a fresh folder.

    Raises:
        FolderTakenError: The folder is taken, or the database holds a ledger of that name already.
    """
    if settings.database_url:
        _refuse_taken_database(settings)
    aside = clear_folder(settings.data_dir, fresh=fresh)
    keys = ServerKeys.make(settings.keys_folder(), ORIGIN)
    founders = (
        new_phone(ORIGIN, "FOUNDER-KPU-64", doc.KPU_PROVINCE, doc.PROVINCE),
        new_phone(ORIGIN, "FOUNDER-KPU-6474", doc.KPU, doc.PROVINCE),
    )
    receipt = found_here(settings, keys, _genesis(keys, founders), AT)
    founders[0].seq, founders[0].prev = 1, receipt.event
    for name, phone in zip((FOUNDER_FILE, "founder-2.jwk"), founders, strict=True):
        write_private(settings.keys_folder() / name, json.dumps(phone.key.to_jwk()) + "\n")
    made = Founding(settings, founders, receipt.event, receipt.checkpoint or "", aside, _auditor(settings))
    told = {"client_id": made.auditor.client_id, "client_secret": made.auditor.client_secret}
    write_private(made.client_file, json.dumps(told) + "\n")
    return made


def _auditor(settings: Settings) -> SecretLogin:
    """Give the supervisor's auditor a client that may read everything and sign nothing."""
    db = Database(settings.url())
    try:
        with db.write() as session:
            head = read_head(session, LEDGER)
            client, secret = add_client(session, head.ledger_id, doc.SUPERVISOR, ["auditor"])
    finally:
        db.close()
    return SecretLogin(client.client, secret)


def _refuse_taken_database(settings: Settings) -> None:
    """Refuse a database that has a demo ledger: it cannot be moved aside like a folder."""
    upgrade(settings.migration_url or settings.url())
    db = Database(settings.url())
    try:
        with db.read() as session:
            read_head(session, LEDGER)
    except MissingError:
        return
    finally:
        db.close()
    raise FolderTakenError(f"The database holds the ledger {LEDGER} already. Name an empty one with --database-url.")


def _genesis(keys: ServerKeys, founders: tuple[Phone, Phone]) -> JsonValue:
    roots = {agency: PrivateKey.generate("Ed25519") for agency in doc.AGENCIES}
    payload = genesis_payload(
        keys, LEDGER,
        [{"officer": phone.officer, "agency": phone.agency, "jwk": public_jwk(phone.key)} for phone in founders],
        [
            {"agency": agency, "name": name, "kind": kind, "jwk": public_jwk(roots[agency])}
            for agency, (name, kind) in doc.AGENCIES.items()
        ],
        author=founders[0].kid, event_id=new_event_id(AT, secrets.token_bytes(10)), at_ms=AT, demo=True,
        policy_signers=2,
    )  # fmt: skip
    return sign_jws(payload, [*(phone.key for phone in founders), *roots.values()])
