"""Keys and devices in bulk, for who holds a session: the walk, the doors, replay.

Reads take rows as they stand; the ledger's head lock, which every writer takes first, orders changes.
"""

from collections.abc import Iterable, Iterator

from app.canon import b64url_decode
from app.db import ReadSession, Session, WriteSession
from app.keys._store import DEVICES, KEYS
from app.keys.state import Device, Key
from app.keys.verify import PublicKey


def keys_by_kid(session: Session, ledger_id: int, kids: Iterable[str]) -> list[Key]:
    """Return the enrolled keys among these key ids."""
    return KEYS.fetch(session, ledger_id, kids)


def keys_of_officers(session: Session, ledger_id: int, officers: Iterable[str]) -> list[Key]:
    """Return every key of these officers."""
    return KEYS.fetch(session, ledger_id, officers, by="officer")


def devices_by_kid(session: Session, ledger_id: int, kids: Iterable[str]) -> list[Device]:
    """Return the device states of these keys."""
    return DEVICES.fetch(session, ledger_id, kids)


def all_keys(session: ReadSession, ledger_id: int) -> Iterator[Key]:
    """Yield every key of a ledger in order of its id."""
    return KEYS.everything(session, ledger_id)


def all_devices(session: ReadSession, ledger_id: int) -> Iterator[Device]:
    """Yield every device of a ledger in order of its key id."""
    return DEVICES.everything(session, ledger_id)


def store(session: WriteSession, ledger_id: int, keys: Iterable[Key], devices: Iterable[Device]) -> None:
    """Store new versions of keys and devices."""
    KEYS.store(session, ledger_id, keys)
    DEVICES.store(session, ledger_id, devices)


def public_key(key: Key) -> PublicKey:
    """Return the public key that verifies a record's signatures."""
    return PublicKey.from_raw(key.alg, b64url_decode(key.raw))  # type: ignore[arg-type]
