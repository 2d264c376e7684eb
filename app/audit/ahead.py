"""Read leaves and prove their signatures ahead of the rules, in this process or in another one (pure).

Rules and chains go leaf after leaf; reading and signatures need no order. What a process has read travels to the one
that judges as plain values (`pack`, `unpack`: some 350 bytes a leaf, since the leaf itself is there already), and
nothing is decided on the way:

- a signature is proven under the key that its `kid` is the thumbprint of. Whoever knows the key's bytes can do that,
  whether the key is enrolled or not; the judging process looks up whether it was, before it counts;
- a leaf that cannot be read, or whose signatures could not be proven, is left to the judging process, which reads
  and refuses it in its turn. So the answer is that of one process alone, in the same words.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from app.audit.leaf import Recorded, RecordedVerdict, read_leaf
from app.canon import JsonValue, b64url_decode
from app.custody.chain import Link
from app.custody.details import AgencyJoin, FoundersChange, KeyEnrol, LedgerGenesis
from app.custody.events import Event, read_again
from app.custody.newkeys import genesis_keys, introduced, keys_of
from app.errors import MalformedError, ServiceError, UnprovenError
from app.keys.verify import Jws, PublicKey, prove
from app.quick import quick

READ_AHEAD = 64
"""Leaves that are read, then proven, together: code and data of one kind of work stay in the processor's caches."""
_PAYLOAD_STARTS = len(b'{"event":{"payload":"')

KeyOf: TypeAlias = Callable[[str], PublicKey | None]
Packed: TypeAlias = tuple[Any, ...]
"""Plain values: text, numbers, bytes and tuples of them."""


@quick
@dataclass(frozen=True, slots=True)
class Arrived:
    """A leaf that another process has read, and proven if it could; it has what `Recorded` has.

    What the judging process asks for with nearly every leaf is here; the envelope is read from the leaf when it is
    asked for. `proven_by` names key and algorithm of each signature that was proven: all of the leaf's, or none.
    """

    index: int
    data: bytes
    hash: str
    event: Event
    verdict: RecordedVerdict
    links: tuple[Link, ...]
    received_ms: int
    proven_by: tuple[tuple[str, str], ...]

    @property
    def value(self) -> JsonValue:
        """The envelope as it stands in the leaf."""
        return read_leaf(self.index, self.data).value

    @property
    def jws(self) -> Jws:
        """The envelope, read."""
        return read_leaf(self.index, self.data).jws

    @property
    def payload(self) -> bytes:
        """The signed bytes of the event."""
        return _payload_of(self.data)


AnyLeaf: TypeAlias = Recorded | Arrived


def read_each(first: int, leaves: Iterable[bytes]) -> list[Recorded]:
    """Read leaves up to the first that is none.

    Args:
        first: The index of the first of them.
        leaves: Their bytes.
    """
    read: list[Recorded] = []
    with suppress(ServiceError):
        for index, data in enumerate(leaves, first):
            read.append(read_leaf(index, data))
    return read


def prove_each(leaves: Iterable[Recorded], key_of: KeyOf) -> list[Recorded]:
    """Return the leaves whose every signature verifies under a key that is known; of the others nothing is said.

    Signatures of one kind after each other find code and tables in the caches: they cost a fifth less than mixed.
    """
    proven = []
    for recorded in sorted(leaves, key=lambda leaf: leaf.jws.signatures[0].alg):
        with suppress(UnprovenError):
            prove(recorded.jws, key_of)
            proven.append(recorded)
    return proven


class Reader:
    """Reads leaves for somebody else; keys stay known from one round to the next, since their names are hashes."""

    def __init__(self) -> None:
        """Start with no key."""
        self._keys: dict[str, PublicKey] = {}

    def learn(self, keys: Iterable[tuple[Any, bytes]]) -> None:
        """Take keys that other processes read, as algorithm and bytes; each gets its name from these again."""
        for alg, raw in keys:
            with suppress(MalformedError):
                key = PublicKey.from_raw(alg, raw)
                self._keys[key.kid] = key

    def read(self, first: int, leaves: Sequence[bytes], *, signatures: bool) -> tuple[list[Packed], list[Packed]]:
        """Read leaves up to the first that is none, and prove them where asked.

        Args:
            first: The index of the first of them.
            leaves: Their bytes.
            signatures: Prove their signatures.

        Returns:
            The leaves for `unpack`, and the keys that they bring in for `learn`.
        """
        packed: list[Packed] = []
        fresh: list[Packed] = []
        for start in range(0, len(leaves), READ_AHEAD):
            some = leaves[start : start + READ_AHEAD]
            read = read_each(first + start, some)
            fresh += [each for recorded in read for each in self._met(recorded.event)]
            proven = {leaf.index for leaf in prove_each(read, self._keys.get)} if signatures else ()
            packed += [pack(recorded, proven=recorded.index in proven) for recorded in read]
            if len(read) < len(some):
                break
        return packed, fresh

    def _met(self, event: Event) -> list[Packed]:
        fresh = {kid: key for kid, key in keys_told(event).items() if kid not in self._keys}
        self._keys |= fresh
        return [(key.alg, key.raw) for key in fresh.values()]


def keys_told(event: Event) -> dict[str, PublicKey]:
    """Return the keys whose bytes an event tells, by key id; whether they come in is for the rules."""
    match event.details:
        case KeyEnrol(jwk=jwk):
            return keys_of([jwk])
        case LedgerGenesis() as genesis:
            return genesis_keys(genesis)
        case AgencyJoin() | FoundersChange():
            return introduced(event)
        case _:
            return {}


def pack(recorded: Recorded, *, proven: bool) -> Packed:
    """Return what was read of a leaf as plain values, for `unpack`."""
    event, said = recorded.event, recorded.verdict
    signers = tuple((each.kid, each.alg) for each in recorded.jws.signatures) if proven else ()
    return (
        recorded.hash, event.hash, event.type.name, event.at_ms, (said.result, said.code, said.rules, said.policy),
        tuple((link.unit, link.seq, link.prev) for link in recorded.links), recorded.received_ms, signers,
    )  # fmt: skip


def unpack(index: int, data: bytes, packed: Packed) -> Arrived:
    """Return a leaf that `pack` packed; the bytes are those that were read then."""
    digest, event_hash, type_name, at_ms, verdict, links, received_ms, signers = packed
    return Arrived(
        index, data, digest, read_again(_payload_of(data), type_name, event_hash, at_ms),
        _verdict(*verdict), tuple([Link(*link) for link in links]), received_ms, signers,
    )  # fmt: skip


_verdict = lru_cache(maxsize=1024)(RecordedVerdict)
"""One verdict for all that are the same, as `read_leaf` has it."""


def _payload_of(data: bytes) -> bytes:
    """Return the payload of a leaf that was read before: canonical JSON has it in one place."""
    return b64url_decode(data[_PAYLOAD_STARTS : data.index(b'"', _PAYLOAD_STARTS)].decode("ascii"))
