"""Units, labels, seals, containment and documents in bulk, for who holds a session.

Reads take rows as they stand; the ledger's head lock, which every writer takes first, orders changes.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from app.db import Session, WriteSession
from app.rows import RecordTable
from app.units import _store
from app.units.documents import Plan, Policy, document_hash, parse_document
from app.units.state import Alias, Containment, Label, Seal, Stowage, Supply, Unit

_TABLES: dict[type, RecordTable[Any]] = {
    Unit: _store.UNITS, Label: _store.LABELS, Alias: _store.ALIASES, Seal: _store.SEALS,
    Containment: _store.CONTAINMENTS, Stowage: _store.STOWAGES, Supply: _store.SUPPLIES,
}  # fmt: skip
KINDS: tuple[type, ...] = tuple(_TABLES)


def fetch(session: Session, ledger_id: int, kind: type, keys: Iterable[str], *, by: str | None = None) -> list[object]:
    """Return the records of a kind among these keys (or values of another column)."""
    return _TABLES[kind].fetch(session, ledger_id, keys, by=by)


def everything(session: Session, ledger_id: int, kind: type) -> Iterator[object]:
    """Yield every record of a kind, in key order."""
    return _TABLES[kind].everything(session, ledger_id)


def store(session: WriteSession, ledger_id: int, kind: type, records: Iterable[object]) -> None:
    """Store new versions of records of a kind."""
    _TABLES[kind].store(session, ledger_id, records)


def keep_document(session: WriteSession, ledger_id: int, kind: str, data: bytes) -> str:
    """Keep a document under its content address; keeping it twice is the same. Returns the hash."""
    content_hash = document_hash(data)
    _store.insert_document(session, ledger_id, content_hash, kind, data)
    return content_hash


def read_document(session: Session, ledger_id: int, content_hash: str) -> bytes | None:
    """Return a document's bytes as received, or None."""
    return _store.document(session, ledger_id, content_hash)


@lru_cache(maxsize=64)
def parsed(data: bytes) -> Policy | Plan:
    """Return the parsed document; the newest 64 stay parsed, since every event asks for the same few."""
    return parse_document(data)


def index_places(session: WriteSession, ledger_id: int, policy: Policy) -> None:
    """Write the index over a policy's places: one row each, with the path from the root for subtree queries."""
    _store.replace_places(session, ledger_id, (
        {
            "place": place.id, "name": place.name, "kind": place.kind, "parent": place.parent, "zone": place.zone,
            "region": place.region, "registered": place.registered,
            "path": "/".join(reversed(list(policy.ancestry(place.id)))) + "/",
        }
        for place in policy.places
    ))  # fmt: skip
