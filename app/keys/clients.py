"""API clients: systems of agencies that hold a secret instead of a signing key.

A secret is 256 random bits, shown once and kept as its SHA-256 (nothing to guess, so nothing to slow down).
Whoever runs the service adds and revokes clients (`custody client`); a revoked client loses its tokens at once.
"""

import hmac
import secrets
from collections.abc import Iterable

from app.canon import b64url_encode, sha256
from app.db import Session, WriteSession
from app.errors import MalformedError, MissingError
from app.keys import _store
from app.keys.access import Client
from app.keys.grants import ACCESS_ROLES

CLIENT_PREFIX = "client-"


def add_client(
    session: WriteSession, ledger_id: int, agency: str, access: Iterable[str], place: str | None = None
) -> tuple[Client, str]:
    """Add a client and return it with its secret, which is kept nowhere.

    Raises:
        MalformedError: No access role, or an unknown one.
    """
    roles = tuple(sorted(set(access)))
    if not roles or not set(roles) <= set(ACCESS_ROLES):
        raise MalformedError(f"Access roles are among {', '.join(ACCESS_ROLES)}.", code="role")
    secret = b64url_encode(secrets.token_bytes(32))
    name = CLIENT_PREFIX + secrets.token_hex(8)
    client = Client(name, sha256(secret.encode()), agency, place, roles)
    _store.CLIENTS.insert(session, ledger_id, [client])
    return client, secret


def find_client(session: Session, ledger_id: int, name: str) -> Client | None:
    """Return a client by name, revoked or not."""
    return next(iter(_store.CLIENTS.fetch(session, ledger_id, [name])), None)


def all_clients(session: Session, ledger_id: int) -> list[Client]:
    """Return every client in order of its name."""
    return list(_store.CLIENTS.everything(session, ledger_id))


def prove_secret(session: Session, ledger_id: int, name: str, secret: str) -> Client | None:
    """Return the client whose secret this is, or None; takes the same time for a wrong name and a wrong secret."""
    client = find_client(session, ledger_id, name)
    kept = client.secret_hash if client is not None else bytes(32)
    same = hmac.compare_digest(kept, sha256(secret.encode("utf-8", "replace")))
    return client if same and client is not None and client.revoked_ms is None else None


def revoke_client(session: WriteSession, ledger_id: int, name: str, now_ms: int) -> None:
    """End a client and its tokens.

    Raises:
        MissingError: There is no such client.
    """
    if find_client(session, ledger_id, name) is None:
        raise MissingError("There is no such client.")
    _store.revoke_client(session, ledger_id, name, now_ms)
    _store.delete_tokens_of(session, ledger_id, name)
