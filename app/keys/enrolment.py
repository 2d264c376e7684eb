"""Enrolment of a phone, up to the signed event that a registrar and an approver make of it.

1. A registrar asks for it: a one-time token, a challenge, and a pseudonym for the officer.
2. The phone claims it, once: its public key, and a signature over the challenge that proves possession.
3. Both screens show the same six digits, made of the key and the challenge: a photographed QR is useless.
4. Registrar and approver sign `key.enrol` with exactly what was asked for and claimed; that event enrols.

Nothing here gives anybody any authority: only the event does, and the rules judge it. What is kept here is
exempt from the ledger.

Spec: design section 6, field-app reference section 3, security reference section 2 ("Possession").
"""

import hmac
import secrets
from dataclasses import dataclass, replace
from typing import Any

from app.canon import JsonValue, b64url_decode, b64url_encode, sha256
from app.db import Session, WriteSession
from app.errors import ConflictError, MissingError, RefusedError, ServiceError, UnprovenError
from app.ids import ALPHABET
from app.keys import _store
from app.keys.access import Enrolment, OfficerName
from app.keys.records import keys_by_kid
from app.keys.verify import PublicKey, verify_signature

TOKEN_BYTES = 16
CHALLENGE_BYTES = 32
APPROVAL_MS = 7 * 86_400_000
"""How long a claimed enrolment may wait for its approval."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a registrar asks for: who, for which agency, as what, where, when, and what it may read."""

    agency: str
    role: str
    place: str
    access: tuple[str, ...]
    valid_from: str
    valid_until: str
    officer: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A fresh enrolment with its one-time token, which is kept nowhere."""

    enrolment: Enrolment
    token: str


def possession_message(origin: str, challenge: str, kid: str) -> bytes:
    """Return the bytes that a new key signs; the same as the rule of `key.enrol` verifies."""
    return f"custody-enrol\n{origin}\n{challenge}\n{kid}\n".encode()


def match_code(kid: str, challenge: str) -> str:
    """Return the six digits that both screens show."""
    digest = sha256(f"custody-match\n{kid}\n{challenge}\n".encode())
    return f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}"


def new_officer() -> str:
    """Return a fresh pseudonym."""
    return "OFF-" + "".join(secrets.choice(ALPHABET) for _ in range(8))


def open_enrolment(session: WriteSession, ledger_id: int, wanted: Wanted, requested_by: str, expires_ms: int) -> Opened:
    """Open an enrolment; the name, where one is given, is kept apart from everything that is signed."""
    token = b64url_encode(secrets.token_bytes(TOKEN_BYTES))
    officer = wanted.officer or new_officer()
    made = Enrolment(
        enrolment=b64url_encode(secrets.token_bytes(12)), token_hash=sha256(token.encode()), officer=officer,
        agency=wanted.agency, role=wanted.role, place=wanted.place, access=wanted.access, valid_from=wanted.valid_from,
        valid_until=wanted.valid_until, challenge=b64url_encode(secrets.token_bytes(CHALLENGE_BYTES)), status="open",
        jwk=None, signature=None, match_code=None, requested_by=requested_by, expires_ms=expires_ms, event=None,
    )  # fmt: skip
    _store.ENROLMENTS.insert(session, ledger_id, [made])
    if wanted.name:
        _store.NAMES.store(session, ledger_id, [OfficerName(officer, wanted.agency, wanted.name)])
    return Opened(made, token)


def read_enrolment(session: Session, ledger_id: int, enrolment: str) -> Enrolment:
    """Return an enrolment.

    Raises:
        MissingError: There is none of that id.
    """
    found = next(iter(_store.ENROLMENTS.fetch(session, ledger_id, [enrolment])), None)
    if found is None:
        raise MissingError("There is no such enrolment.")
    return found


def claim(
    session: WriteSession, ledger_id: int, origin: str, enrolment: str, token: str, jwk: JsonValue, signature: str,
    now_ms: int,
) -> Enrolment:  # fmt: skip
    """Let a phone claim an enrolment, once: it shows the token and proves that it holds its key.

    A wrong token, a wrong id and a used one look the same. A wrong possession does not use the token up.

    Raises:
        UnprovenError: `enrolment_token`.
        RefusedError: `enrolment_expired`; `possession`, the signature is not over this challenge by this key.
        ConflictError: `key_reused`, that key is on the ledger already.
        MalformedError: `jwk` or `weak_key`.
    """
    found = next(iter(_store.ENROLMENTS.fetch(session, ledger_id, [enrolment])), None)
    kept = found.token_hash if found is not None else bytes(32)
    same = hmac.compare_digest(kept, sha256(token.encode("utf-8", "replace")))
    if not same or found is None or found.status != "open":
        raise UnprovenError("The enrolment token is unknown or was used.", code="enrolment_token")
    if found.expires_ms <= now_ms:
        raise RefusedError("The enrolment has expired; ask for another.", code="enrolment_expired")
    key = PublicKey.from_jwk(jwk)
    _prove_possession(key, possession_message(origin, found.challenge, key.kid), signature)
    if keys_by_kid(session, ledger_id, [key.kid]):
        raise ConflictError("That key is enrolled already; a device makes a fresh one.", code="key_reused")
    claimed = replace(
        found, status="claimed", jwk=dict(key.jwk()), signature=signature,
        match_code=match_code(key.kid, found.challenge), expires_ms=now_ms + APPROVAL_MS,
    )  # fmt: skip
    if not _store.claim_enrolment(session, ledger_id, claimed):
        raise UnprovenError("The enrolment token is unknown or was used.", code="enrolment_token")
    return claimed


def _prove_possession(key: PublicKey, message: bytes, signature: str) -> None:
    try:
        verify_signature(key, message, b64url_decode(signature, length=64))
    except ServiceError:
        raise RefusedError("The key's possession is not proven.", code="possession") from None


def details_of(claimed: Enrolment) -> dict[str, Any]:
    """Return the details of the `key.enrol` that approves a claimed enrolment, member by member."""
    return {
        "jwk": claimed.jwk, "officer": claimed.officer, "agency": claimed.agency, "role": claimed.role,
        "place": claimed.place, "access": list(claimed.access), "valid_from": claimed.valid_from,
        "valid_until": claimed.valid_until,
        "possession": {"challenge": claimed.challenge, "signature": claimed.signature},
    }  # fmt: skip


def refuse_difference(claimed: Enrolment, details: dict[str, Any], now_ms: int) -> None:
    """Refuse an approval that says anything else than what was asked for and claimed.

    Raises:
        ConflictError: `enrolment_state`, not claimed or approved already; `claim_mismatch` naming the members.
        RefusedError: `enrolment_expired`.
    """
    if claimed.status != "claimed":
        raise ConflictError(f"This enrolment is {claimed.status}.", code="enrolment_state", state=claimed.status)
    if claimed.expires_ms <= now_ms:
        raise RefusedError("The claim has expired; start again.", code="enrolment_expired")
    right = details_of(claimed)
    different = sorted(name for name in right if details.get(name) != right[name])
    if different:
        raise ConflictError("The event differs from what was claimed.", code="claim_mismatch", members=different)


def note_approval(session: WriteSession, ledger_id: int, enrolment: str, event: str) -> None:
    """Note the event that enrolled the key."""
    _store.approve_enrolment(session, ledger_id, enrolment, event)
