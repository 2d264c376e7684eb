"""What the doors keep about callers, as immutable records (pure): exempt from the ledger, and erasable.

Nothing here follows from leaves: an operator may lose all of it and the ledger is the same.
"""

from dataclasses import dataclass
from typing import Any, Literal

from app.keys.grants import Viewer


@dataclass(frozen=True, slots=True)
class Client:
    """A system that may ask for tokens: of which agency, below which place, with which access roles."""

    client: str
    secret_hash: bytes
    agency: str
    place: str | None
    access: tuple[str, ...]
    revoked_ms: int | None = None

    def viewer(self) -> Viewer:
        """Return what a token of this client lets see."""
        return Viewer(self.client, self.agency, self.place, frozenset(self.access))


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as kept: never itself, only its hash."""

    token_hash: bytes
    subject: str
    agency: str
    place: str | None
    access: tuple[str, ...]
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A phone on its way to being enrolled: asked for, claimed by the phone, approved by a signed event."""

    enrolment: str
    token_hash: bytes
    officer: str
    agency: str
    role: str
    place: str
    access: tuple[str, ...]
    valid_from: str
    valid_until: str
    challenge: str
    status: Literal["open", "claimed", "approved"]
    jwk: dict[str, Any] | None
    signature: str | None
    match_code: str | None
    requested_by: str
    expires_ms: int
    event: str | None


@dataclass(frozen=True, slots=True)
class OfficerName:
    """The person behind a pseudonym, as long as nobody erased it."""

    officer: str
    agency: str
    name: str | None
    erased_ms: int | None = None
