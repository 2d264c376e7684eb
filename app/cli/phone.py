"""A phone in somebody's hand, as a client sees it: a key, a sequence, and the last checkpoint it saw.

The demo, the benchmark and the tests make events with it and send them as any phone would. It imports only
what a phone has: keys, canonical bytes and ids; it never sees a database.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.canon import JsonValue, b64url_encode, jcs, sha256
from app.clock import rfc3339_ms
from app.ids import new_event_id
from app.keys.signing import PrivateKey, sign_jws

ZERO_HASH = b64url_encode(bytes(32))
EMPTY_ROOT = b64url_encode(sha256(b""))


@dataclass(frozen=True, slots=True)
class Signed:
    """An event ready to send: the JWS and its hash."""

    hash: str
    jws: JsonValue


@dataclass(slots=True)
class Phone:
    """One officer's device on one ledger."""

    key: PrivateKey
    officer: str
    agency: str
    origin: str
    election: str
    place: str
    seq: int = 0
    prev: str = ZERO_HASH
    seen: tuple[int, str] = (0, EMPTY_ROOT)
    clock_offset_ms: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def kid(self) -> str:
        """The key's id."""
        return self.key.kid

    def sign(
        self, type_: str, details: Mapping[str, Any], *, at_ms: int, units: Sequence[str] = (), capacity: str = "giver",
        with_: Mapping["Phone", str] | None = None, place: str | None = None, after: Sequence[str] = (),
        private: Mapping[str, str] | None = None, election: str | None = None,
    ) -> Signed:  # fmt: skip
        """Make and sign the next event of this device; co-signers sign the same bytes with their own keys.

        Args:
            type_: Type of the event.
            details: Its details, JSON-ready.
            at_ms: True time, UTC milliseconds; the phone's own offset is added to what it says.
            units: Unit ids.
            capacity: As what the author signs.
            with_: Co-signers and their capacities.
            place: Where it happens; the phone's place when absent.
            after: Hashes of the events it depends on.
            private: Commitments by name.
            election: Another election than the phone's own.
        """
        others = dict(with_ or {})
        signers: dict[str, JsonValue] = {
            self.kid: capacity,
            **{phone.kid: as_what for phone, as_what in others.items()},
        }
        self.seq += 1
        payload = jcs({
            "v": 1, "event_id": new_event_id(at_ms, secrets.token_bytes(10)), "type": type_, "ledger": self.origin,
            "election": election or self.election, "place": place or self.place, "author": self.kid, "signers": signers,
            "units": list(units), "after": list(after), "at": rfc3339_ms(at_ms + self.clock_offset_ms),
            "checkpoint": {"size": self.seen[0], "root": self.seen[1]}, "device": {"seq": self.seq, "prev": self.prev},
            "details": dict(details), "private": dict(private or {}),
        }, check=False)  # fmt: skip
        self.prev = b64url_encode(hashlib.sha256(payload).digest())
        return Signed(self.prev, sign_jws(payload, [self.key, *(phone.key for phone in others)]))

    def sees(self, checkpoint: str) -> None:
        """Remember a checkpoint from a receipt (the signed note's first three lines are origin, size, root)."""
        _, size, root = checkpoint.split("\n", 3)[:3]
        if int(size) > self.seen[0]:
            self.seen = (int(size), root.replace("+", "-").replace("/", "_").rstrip("="))

    def __hash__(self) -> int:
        """Phones are told apart by their key."""
        return hash(self.kid)

    def __eq__(self, other: object) -> bool:
        """Phones are told apart by their key."""
        return isinstance(other, Phone) and other.kid == self.kid


def ids_commitment(ids: Sequence[str]) -> str:
    """Return the SHA-256 of the sorted ids, one a line, base64url: what `scanned` and `labels.issue` carry."""
    return b64url_encode(sha256("".join(f"{unit}\n" for unit in sorted(ids)).encode()))


def possession(key: PrivateKey, origin: str, challenge: str) -> dict[str, JsonValue]:
    """Return the proof that a phone holds a new key, as `key.enrol` carries it."""
    message = f"custody-enrol\n{origin}\n{challenge}\n{key.kid}\n".encode()
    return {"challenge": challenge, "signature": b64url_encode(key.sign(message))}
