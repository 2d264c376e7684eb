"""Statements of the keys room; nothing outside this room sees them."""

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite

from app.db import WriteSession
from app.keys._tables import ASSERTION, CLIENT, DEVICE, ENROLMENT, KEY, OFFICER_NAME, TOKEN
from app.keys.access import Client, Enrolment, OfficerName, Token
from app.keys.state import Device, Key
from app.rows import RecordTable

KEYS = RecordTable(KEY, Key, "kid")
DEVICES = RecordTable(DEVICE, Device, "kid")
CLIENTS = RecordTable(CLIENT, Client, "client")
TOKENS = RecordTable(TOKEN, Token, "token_hash")
ENROLMENTS = RecordTable(ENROLMENT, Enrolment, "enrolment")
NAMES = RecordTable(OFFICER_NAME, OfficerName, "officer")


def delete_tokens_of(session: WriteSession, ledger_id: int, subject: str) -> None:
    """Delete every token of a key or client."""
    session.execute(delete(TOKEN).where(TOKEN.c.ledger_id == ledger_id, TOKEN.c.subject == subject))


def delete_token(session: WriteSession, ledger_id: int, token_hash: bytes) -> None:
    """Delete one token."""
    session.execute(delete(TOKEN).where(TOKEN.c.ledger_id == ledger_id, TOKEN.c.token_hash == token_hash))


def revoke_client(session: WriteSession, ledger_id: int, client: str, now_ms: int) -> None:
    """Note when a client was revoked."""
    session.execute(
        update(CLIENT)
        .where(CLIENT.c.ledger_id == ledger_id, CLIENT.c.client == client, CLIENT.c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms)
    )


def insert_assertion(session: WriteSession, ledger_id: int, jti_hash: bytes, expires_ms: int) -> bool:
    """Insert the id of an assertion; False when it is there already."""
    insert = sqlite.insert if session.dialect.name == "sqlite" else postgresql.insert
    statement = insert(ASSERTION).values(ledger_id=ledger_id, jti_hash=jti_hash, expires_ms=expires_ms)
    # Rows, not `rowcount`: SQLAlchemy keeps none for an INSERT on PostgreSQL.
    kept = session.execute(statement.on_conflict_do_nothing().returning(ASSERTION.c.jti_hash))
    return kept.first() is not None


def claim_enrolment(session: WriteSession, ledger_id: int, claimed: Enrolment) -> bool:
    """Note what a phone claimed; False when another was first."""
    changed = session.execute(
        update(ENROLMENT)
        .where(
            ENROLMENT.c.ledger_id == ledger_id,
            ENROLMENT.c.enrolment == claimed.enrolment,
            ENROLMENT.c.status == "open",
        )
        .values(
            status="claimed", jwk=claimed.jwk, signature=claimed.signature, match_code=claimed.match_code,
            expires_ms=claimed.expires_ms,
        )
    )  # fmt: skip
    return changed.rowcount == 1


def approve_enrolment(session: WriteSession, ledger_id: int, enrolment: str, event: str) -> None:
    """Note the event that enrolled the key."""
    session.execute(
        update(ENROLMENT)
        .where(ENROLMENT.c.ledger_id == ledger_id, ENROLMENT.c.enrolment == enrolment)
        .values(status="approved", event=event)
    )


def erase_name(session: WriteSession, ledger_id: int, officer: str, now_ms: int) -> None:
    """Forget a name and note when."""
    session.execute(
        update(OFFICER_NAME)
        .where(OFFICER_NAME.c.ledger_id == ledger_id, OFFICER_NAME.c.officer == officer)
        .values(name=None, erased_ms=now_ms)
    )


def purge(session: WriteSession, ledger_id: int, now_ms: int) -> int:
    """Delete expired tokens and assertions, and unfinished enrolments a day after they expired."""
    day_ms = 86_400_000
    gone = 0
    for statement in (
        delete(TOKEN).where(TOKEN.c.ledger_id == ledger_id, TOKEN.c.expires_ms <= now_ms),
        delete(ASSERTION).where(ASSERTION.c.ledger_id == ledger_id, ASSERTION.c.expires_ms <= now_ms - day_ms),
        delete(ENROLMENT).where(
            ENROLMENT.c.ledger_id == ledger_id,
            ENROLMENT.c.status != "approved",
            ENROLMENT.c.expires_ms <= now_ms - day_ms,
        ),
    ):
        gone += session.execute(statement).rowcount
    return gone
