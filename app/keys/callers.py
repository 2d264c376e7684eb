"""Who shows a token, in one statement, alone or as the first part of a larger one.

A token counts as long as it has not expired and its key or client still stands: both are read together, in the
snapshot of the question itself, so a revocation counts at once and nothing here is remembered between requests.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.canon import sha256
from app.db import Session, decode_json
from app.errors import UnprovenError
from app.keys.grants import Viewer
from app.rows import run

SHOWN = (
    "SELECT t.subject, t.agency, t.place, t.access, t.expires_ms, k.kid, k.access AS key_access, k.valid_from_ms, "
    "k.valid_until_ms, k.revoked_index, c.client, c.revoked_ms FROM access_token t "
    "LEFT JOIN signing_key k ON k.ledger_id = :ledger AND k.kid = t.subject "
    "LEFT JOIN api_client c ON c.ledger_id = :ledger AND c.client = t.subject "
    "WHERE t.ledger_id = :ledger AND t.token_hash = :token"
)
"""The columns of `Shown`; values by name, for whoever makes it a part of his own statement."""
_ALONE = SHOWN.replace(":ledger", "?").replace(":token", "?")


class Shown(NamedTuple):
    """A token as kept, beside the key or client that it was made for, as they stand."""

    subject: str
    agency: str
    place: str | None
    access: str
    expires_ms: int
    kid: str | None
    key_access: str | None
    valid_from_ms: int | None
    valid_until_ms: int | None
    revoked_index: int | None
    client: str | None
    revoked_ms: int | None


def token_hash(token: str) -> bytes:
    """Return what is kept of a token."""
    return sha256(token.encode("utf-8", "replace"))


def find_viewer(session: Session, ledger_id: int, token: str, now_ms: int, mandate_ms: int) -> Viewer:
    """Return who shows a token; one statement.

    Args:
        session: Reading.
        ledger_id: The ledger.
        token: As shown.
        now_ms: The time that tokens expire by, UTC milliseconds.
        mandate_ms: The time that mandates are judged at: the same, but on a demo ledger the scenario's.

    Raises:
        UnprovenError: `credentials`: unknown, expired, or its key or client was revoked or has lapsed.
    """
    row = run(session, _ALONE, ledger_id, ledger_id, ledger_id, token_hash(token)).first()
    return viewer_shown(row, now_ms, mandate_ms)


def viewer_shown(row: Sequence[Any] | None, now_ms: int, mandate_ms: int) -> Viewer:
    """Return the viewer of a row of `SHOWN`, None for a token that nobody keeps.

    Args:
        row: The columns of `Shown`.
        now_ms: As `find_viewer`.
        mandate_ms: As `find_viewer`.

    Raises:
        UnprovenError: As `find_viewer`.
    """
    shown = Shown._make(row) if row is not None else None
    if shown is None or shown.expires_ms <= now_ms or not _stands(shown, mandate_ms):
        raise UnprovenError("The access token is unknown, expired or revoked.", code="credentials")
    access = decode_json(shown.access)
    assert isinstance(access, tuple)  # noqa: S101 - as `issue_token` wrote it
    return Viewer(shown.subject, shown.agency, shown.place, frozenset(access))


def _stands(shown: Shown, mandate_ms: int) -> bool:
    if shown.kid is None:
        return shown.client is not None and shown.revoked_ms is None
    between = (shown.valid_from_ms or 0, shown.valid_until_ms or 0)
    return counts_at(mandate_ms, shown.revoked_index, between, has_access=shown.key_access != "[]")


def counts_at(mandate_ms: int, revoked_index: int | None, mandate: tuple[int, int], *, has_access: bool) -> bool:
    """Say whether a key may ask for sight of anything: not revoked, within its mandate, with access at all."""
    return revoked_index is None and mandate[0] <= mandate_ms <= mandate[1] and has_access
