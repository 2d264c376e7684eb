"""Steps 1 and 2 of a scan's walk: bytes to envelope to proven event, before any lock (design section 2).

A `Prover` reads the public keys of enrolled devices and nothing else. What it lets pass is well formed and signed
by every key that it names; whether those keys may act is judged later, under the lock. Malformed and unproven
events are not recorded, by anybody.

Proven events can travel to another process of this service (`app.custody.link`) in a `Parcel`: they take their bytes
along and are read again there by the model of their type; the strict parse and the signatures are not repeated.
"""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast, overload

from app.canon import JsonValue, b64url_decode
from app.custody.events import Event, parse_event, read_again
from app.custody.newkeys import genesis_keys, introduced, keys_of
from app.custody.private import PrivateContent
from app.db import Database
from app.errors import MalformedError
from app.keys import records as key_records
from app.keys.verify import Jws, PublicKey, parse_jws, prove
from app.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class ProvenEvent:
    """An event whose every signature verifies under the key its header names; not yet judged.

    `value` is the JWS object as received; `private` what travels beside it; `received_ms` the server's time.
    """

    event: Event
    value: JsonValue
    received_ms: int
    private: tuple[PrivateContent, ...] = ()
    documents: dict[str, bytes] = field(default_factory=dict)


class Parcel(Sequence[ProvenEvent]):
    """Proven events on their way to the process that writes; they become events again when somebody looks at them.

    What travels are plain values and the events' own bytes: half the cost of carrying the parsed models. The thread
    that writes opens a parcel when its turn has come, since Python runs one thread at a time, and one that read for it
    would take its turns from it.
    """

    __slots__ = ("_data", "_size")

    def __init__(self, events: Sequence[ProvenEvent]) -> None:
        """Pack events."""
        told = [
            (e.event.type.name, e.event.hash, e.event.at_ms, e.value, e.received_ms,
             [(p.name, p.salt, p.body) for p in e.private], e.documents)
            for e in events
        ]  # fmt: skip
        self._data, self._size = pickle.dumps(told, protocol=pickle.HIGHEST_PROTOCOL), len(events)

    def __len__(self) -> int:
        """Count the events; the parcel stays closed."""
        return self._size

    def __iter__(self) -> Iterator[ProvenEvent]:
        """Open the parcel; each time anew."""
        return iter([_arrived(*told) for told in pickle.loads(self._data)])  # noqa: S301 - packed by our other half

    @overload
    def __getitem__(self, index: int) -> ProvenEvent: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ProvenEvent]: ...
    def __getitem__(self, index: int | slice) -> ProvenEvent | Sequence[ProvenEvent]:
        """Open the parcel for one event, or some."""
        return list(self)[index]


def _arrived(
    type_name: str, hash_: str, at_ms: int, value: JsonValue, received_ms: int,
    private: list[tuple[str, bytes, bytes]], documents: dict[str, bytes],
) -> ProvenEvent:  # fmt: skip
    event = read_again(b64url_decode(cast("dict[str, str]", value)["payload"]), type_name, hash_, at_ms)
    return ProvenEvent(event, value, received_ms, tuple([PrivateContent(*told) for told in private]), documents)


@quick
@dataclass(frozen=True, slots=True)
class Claim:
    """A well-formed event beside its envelope: what it says that it is, before a signature was looked at."""

    event: Event
    jws: Jws
    value: JsonValue
    private: tuple[PrivateContent, ...]


class Prover:
    """Proves events of one ledger; remembers the public keys that it has seen enrolled."""

    def __init__(self, db: Database, ledger_id: int, origin: str) -> None:
        """Start with no key remembered.

        Args:
            db: Read only.
            ledger_id: The ledger's number.
            origin: Its origin, which every event must name.
        """
        self._db = db
        self._ledger_id = ledger_id
        self._origin = origin
        self._known: dict[str, PublicKey] = {}

    def prove(self, value: JsonValue, received_ms: int, *, offered: dict[str, PublicKey] | None = None) -> ProvenEvent:
        """Turn a parsed body into a proven event, or raise; nothing is recorded of what fails here.

        Args:
            value: The JWS object, or `{"event": JWS, "private": {...}}`.
            received_ms: The server's time, UTC milliseconds.
            offered: Keys that earlier events of the same batch enrol; they count if those are accepted.

        Raises:
            MalformedError: Shape, payload or private contents are wrong; `wrong_ledger` for another origin.
            UnprovenError: A signature does not verify, or its key is not enrolled here (`unknown_key`).
            TooLargeError: The payload exceeds 16 KiB.
        """
        return self.verify(self.read(value), received_ms, offered=offered)

    def read(self, value: JsonValue) -> Claim:
        """Read a parsed body: the half of `prove` that looks at no signature.

        Raises:
            MalformedError: As for `prove`.
            TooLargeError: As for `prove`.
        """
        jws_value, private_value = _split_body(value)
        jws = parse_jws(jws_value)
        event = parse_event(jws.payload)
        if event.body.ledger != self._origin:
            raise MalformedError("That event is for another ledger.", code="wrong_ledger", ledger=self._origin)
        _check_signature_set(event, jws)
        return Claim(event, jws, jws_value, PrivateContent.parse_all(private_value, event.body.private))

    def verify(self, claim: Claim, received_ms: int, *, offered: dict[str, PublicKey] | None = None) -> ProvenEvent:
        """Verify every signature of a well-formed event: the other half of `prove`.

        Raises:
            UnprovenError: As for `prove`.
        """
        keys = {**(offered or {}), **introduced(claim.event)}
        prove(claim.jws, lambda kid: self._public_key(kid, keys))
        return ProvenEvent(claim.event, claim.value, received_ms, claim.private)

    def forget(self, kid: str) -> None:
        """Look a key up again next time: the ledger does not know it, or not any more."""
        self._known.pop(kid, None)

    def _public_key(self, kid: str, offered: dict[str, PublicKey]) -> PublicKey | None:
        known = self._known.get(kid) or offered.get(kid)
        if known is not None:
            return known
        with self._db.read_newest() as session:  # a replica may not know yet who was enrolled a moment ago
            found = key_records.keys_by_kid(session, self._ledger_id, [kid])
        if not found:
            return None
        self._known[kid] = key_records.public_key(found[0])
        return self._known[kid]


def _split_body(value: JsonValue) -> tuple[JsonValue, JsonValue]:
    if isinstance(value, dict) and "event" in value:
        if not set(value) <= {"event", "private"}:
            raise MalformedError("Beside `event` only `private` may travel.", code="body_shape")
        return value["event"], value.get("private")
    return value, None


def _check_signature_set(event: Event, jws: Jws) -> None:
    signed = [signature.kid for signature in jws.signatures]
    if len(signed) != len(event.body.signers) or set(signed) != set(event.body.signers):
        raise MalformedError(
            "The envelope's signatures are not exactly those that the event names.",
            code="signature_set",
            missing=sorted(set(event.body.signers) - set(signed)),
            unexpected=sorted(set(signed) - set(event.body.signers)),
        )


def offered_keys(events: Iterable[Event]) -> dict[str, PublicKey]:
    """Return the keys that these events would bring in, for proving what comes with them in one batch.

    They count for signatures only: whether they are enrolled is judged under the lock.
    """
    keys: dict[str, PublicKey] = {}
    for event in events:
        if event.type.name == "key.enrol":
            keys |= keys_of([event.details.jwk])  # an unsound key is the rule's to refuse; it signs nothing
        keys |= genesis_keys(event.details) if event.type.name == "ledger.genesis" else introduced(event)
    return keys
