"""Access tokens: opaque, short-lived, kept as hashes; and the assertions that earn them (RFC 6749, RFC 7523).

A token opens doors for reading; it signs nothing. What it may see is fixed when it is made, except that its key
or client is looked at again each time it is shown: a revocation counts at once, in every process, which is why
nothing here is cached. The busiest doors take signed events and ask for no token.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from app.canon import JsonValue, b64url_decode, b64url_encode, parse_json, sha256
from app.db import Session, WriteSession
from app.errors import MalformedError, ServiceError, UnprovenError
from app.keys import _store
from app.keys.access import Token
from app.keys.callers import counts_at, token_hash
from app.keys.callers import find_viewer as find_viewer  # noqa: PLC0414 - asked for here by the doors
from app.keys.grants import Viewer
from app.keys.records import keys_by_kid, public_key
from app.keys.state import Key
from app.keys.verify import parse_compact, prove

ASSERTION_TYP = "JWT"
MAX_ASSERTION_MS = 300_000
CLOCK_LEEWAY_MS = 60_000
MAX_ASSERTION_CHARACTERS = 4096


def issue_token(session: WriteSession, ledger_id: int, viewer: Viewer, expires_ms: int) -> str:
    """Make a token for a viewer and return it; only its hash is kept."""
    token = b64url_encode(secrets.token_bytes(32))
    kept = Token(
        token_hash(token), viewer.subject, viewer.agency, viewer.place, tuple(sorted(viewer.access)), expires_ms
    )
    _store.TOKENS.insert(session, ledger_id, [kept])
    return token


def revoke_token(session: WriteSession, ledger_id: int, token: str) -> None:
    """End a token at once; one that nobody keeps is ended already."""
    _store.delete_token(session, ledger_id, token_hash(token))


def counts_now(key: Key, mandate_ms: int) -> bool:
    """Say whether a key may ask for sight of anything now: not revoked, within its mandate, with access at all."""
    mandate = (key.valid_from_ms, key.valid_until_ms)
    return counts_at(mandate_ms, key.revoked_index, mandate, has_access=bool(key.access))


def viewer_of_key(key: Key) -> Viewer:
    """Return what a token of this key lets see."""
    return Viewer(key.kid, key.agency, key.place, frozenset(key.access))


@dataclass(frozen=True, slots=True)
class Assertion:
    """A proven client assertion: whose, and how to recognise it when it comes again."""

    key: Key
    jti_hash: bytes
    expires_ms: int


def prove_assertion(
    session: Session, ledger_id: int, text: str, audiences: Collection[str], now_ms: int, mandate_ms: int
) -> Assertion:
    """Prove a `private_key_jwt` assertion by an enrolled key; whether it is a replay is `spend_assertion`'s.

    Closed grammar: the header has exactly `alg`, `kid`, `typ: JWT`, and `alg` is the enrolled key's own.
    `iss` and `sub` are the key id, `aud` this service, `exp` at most five minutes ahead, `jti` present.

    Raises:
        UnprovenError: `credentials`, whatever is wrong; the detail says no more than a caller may know.

    Spec: RFC 7523 section 3.
    """
    if len(text) > MAX_ASSERTION_CHARACTERS or not text.isascii():
        raise _unproven("The assertion is too long.")
    try:
        jws = parse_compact(text, typ=ASSERTION_TYP)
        kid = jws.signatures[0].kid
        key = next(iter(keys_by_kid(session, ledger_id, [kid])), None)
        if key is None or not counts_now(key, mandate_ms):
            raise _unproven("The assertion's key is not enrolled, or no longer.")
        prove(jws, lambda _: public_key(key))
        claims = parse_json(jws.payload, max_bytes=MAX_ASSERTION_CHARACTERS)
    except UnprovenError as error:
        raise error if error.code == "credentials" else _unproven("The assertion does not verify.") from None
    except ServiceError:
        raise _unproven("The assertion is not one of ours to read.") from None
    return _claimed(claims, key, audiences, now_ms)


def _claimed(claims: JsonValue, key: Key, audiences: Collection[str], now_ms: int) -> Assertion:
    if not isinstance(claims, dict) or claims.get("iss") != key.kid or claims.get("sub") != key.kid:
        raise _unproven("Issuer and subject must be the key's id.")
    named = claims.get("aud")
    given = named if isinstance(named, list) else [named]
    if not any(isinstance(one, str) and one in audiences for one in given):
        raise _unproven("The assertion is meant for somebody else.")
    expires, jti = claims.get("exp"), claims.get("jti")
    if not isinstance(expires, int) or isinstance(expires, bool) or not 0 < expires < 2**40:
        raise _unproven("The assertion has no time at which it expires.")
    expires_ms = expires * 1000
    if not now_ms < expires_ms <= now_ms + MAX_ASSERTION_MS + CLOCK_LEEWAY_MS:
        raise _unproven("The assertion has expired, or lasts longer than five minutes.")
    for name in ("nbf", "iat"):
        moment = claims.get(name, 0)
        if not isinstance(moment, int) or moment * 1000 > now_ms + CLOCK_LEEWAY_MS:
            raise _unproven("The assertion comes from the future.")
    if not isinstance(jti, str) or not 8 <= len(jti) <= 200:
        raise _unproven("The assertion has no id of its own.")
    return Assertion(key, sha256(f"{key.kid}\n{jti}".encode()), expires_ms)


def _unproven(detail: str) -> UnprovenError:
    return UnprovenError(detail, code="credentials")


def spend_assertion(session: WriteSession, ledger_id: int, assertion: Assertion) -> None:
    """Take an assertion once.

    Raises:
        UnprovenError: `credentials`: it was used before.
    """
    if not _store.insert_assertion(session, ledger_id, assertion.jti_hash, assertion.expires_ms):
        raise _unproven("The assertion was used before.")


def narrowed(viewer: Viewer, scope: str) -> Viewer:
    """Return the viewer with fewer access roles, as a `scope` asks for.

    Raises:
        MalformedError: `role`: a role that the caller does not have.
    """
    wanted = frozenset(scope.split())
    if not wanted:
        return viewer
    if not wanted <= viewer.access:
        raise MalformedError("The scope names an access role that the caller does not have.", code="role")
    return Viewer(viewer.subject, viewer.agency, viewer.place, wanted)


def purge(session: WriteSession, ledger_id: int, now_ms: int) -> int:
    """Forget tokens and assertions that have expired, and the secrets of enrolments that nobody finished."""
    return _store.purge(session, ledger_id, now_ms)


def cursor_key(signature: bytes) -> bytes:
    """Return the secret that page cursors are signed with, from a signature that only this service can make."""
    return sha256(b"custody-cursor\n" + signature)


def decode_basic(header: str) -> tuple[str, str] | None:
    """Return name and secret of an `Authorization: Basic` header, or None."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64url_decode(encoded.strip().rstrip("=").translate(str.maketrans("+/", "-_"))).decode("utf-8")
    except (ServiceError, UnicodeDecodeError):
        return None
    name, _, secret = text.partition(":")
    return name, secret
