"""Statements of the units room; nothing outside this room sees them."""

from collections.abc import Iterable

from sqlalchemy import delete, insert, select

from app.db import Session, WriteSession
from app.rows import RecordTable
from app.units._tables import ALIAS, CONTAINMENT, DOCUMENT, LABEL, PLACE, SEAL, STOWAGE, SUPPLY, UNIT
from app.units.state import Alias, Containment, Label, Seal, Stowage, Supply, Unit

UNITS = RecordTable(UNIT, Unit, "unit")
LABELS = RecordTable(LABEL, Label, "label")
ALIASES = RecordTable(ALIAS, Alias, "code")
SEALS = RecordTable(SEAL, Seal, "number")
CONTAINMENTS = RecordTable(CONTAINMENT, Containment, "id")
STOWAGES = RecordTable(STOWAGE, Stowage, "unit")
SUPPLIES = RecordTable(SUPPLY, Supply, "id")


def insert_document(session: WriteSession, ledger_id: int, content_hash: str, kind: str, data: bytes) -> bool:
    """Insert a document unless it is there; say whether it was new."""
    if document(session, ledger_id, content_hash) is not None:
        return False
    session.execute(insert(DOCUMENT).values(ledger_id=ledger_id, hash=content_hash, kind=kind, bytes=data))
    return True


def document(session: Session, ledger_id: int, content_hash: str) -> bytes | None:
    """Return a document's bytes."""
    found = session.execute(
        select(DOCUMENT.c.bytes).where(DOCUMENT.c.ledger_id == ledger_id, DOCUMENT.c.hash == content_hash)
    ).scalar()
    return bytes(found) if found is not None else None


def replace_places(session: WriteSession, ledger_id: int, rows: Iterable[dict[str, object]]) -> None:
    """Replace the index over the places of the policy in force."""
    session.execute(delete(PLACE).where(PLACE.c.ledger_id == ledger_id))
    values = [{"ledger_id": ledger_id, **row} for row in rows]
    if values:
        session.execute(insert(PLACE), values)
