"""Every unit's latest event, committed to: "this is the last one", and "there is no such unit" (pure).

A Merkle log proves that something is there, never that nothing follows. So the service signs from time to time a
`heads.commit` event with `{size, root, n}`: the root of a tree over one record for each of the n units that the
ledger's first `size` leaves know (design section 7, ledger reference section 14, ADR 16).

    record = unit || 0x00 || seq (8 bytes, big-endian) || leaf hash of the unit's latest link (32) || next unit

Records stand in the order in which their units came to the ledger, behind a first one without a unit. `next` is
the next larger unit id of all, empty at the largest: each record is itself the pair of neighbours between which no
unit exists. A unit that is new changes two records and moves none, whatever their number. Anyone who holds the
leaves can make the tree again; `custody fsck` and the mirror do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.canon import JsonValue, b64url_decode, b64url_encode
from app.custody.sortednames import SortedNames
from app.errors import MalformedError, ServiceError, UnprovenError
from app.ids import is_unit_id
from app.ledger.amendable import Tiles, amend_tiles, nodes
from app.ledger.tree import EMPTY_ROOT, HASH_BYTES, inclusion_path, leaf_hash, range_root, verify_inclusion

ZERO = b64url_encode(bytes(HASH_BYTES))
MAX_SEQ = 2**53 - 1
MAX_PATH = 63

Place = tuple[int, str]
"""(position, next unit): the part of a record that changes only when a neighbour is new."""
Latest = Mapping[str, tuple[int, str]]
"""A unit's newest link, (seq, leaf hash as base64url), in the order in which units are first named."""


@dataclass(frozen=True, slots=True)
class Head:
    """The record of one unit: where it stands in the tree, its latest link, and the next larger unit id."""

    unit: str
    position: int
    seq: int
    hash: str
    next: str

    def to_bytes(self) -> bytes:
        """Return the bytes that the tree is over."""
        told = self.unit.encode("ascii"), b"\0", self.seq.to_bytes(8, "big"), b64url_decode(self.hash, length=32)
        return b"".join((*told, self.next.encode("ascii")))

    def lies_around(self, unit: str) -> bool:
        """Say whether no unit of this id can exist beside this record: it would stand between the two that it names."""
        return self.unit < unit and (not self.next or unit < self.next)


FIRST = Head("", 0, 0, ZERO, "")
"""What stands before the smallest unit."""


class HeadStore(Protocol):
    """Where the records and tiles of one ledger are kept."""

    def places(self, units: Sequence[str]) -> Mapping[str, Place]:
        """Return where these units stand and what comes next; unknown ones are left out."""
        ...

    def before(self, units: Sequence[str]) -> Mapping[str, Head]:
        """Return for each unit the record of the largest one below it."""
        ...

    def tiles(self, level: int, numbers: Sequence[int]) -> Mapping[int, bytes]:
        """Return stored tiles of a level by number."""
        ...


@dataclass(frozen=True, slots=True)
class Amendment:
    """What changes with a commitment: records by unit, places that are new, tiles, the number of units, the root."""

    heads: dict[str, Head]
    placed: dict[str, Place]
    tiles: Tiles
    n: int
    root: bytes


def amend(store: HeadStore, n: int, latest: Latest) -> Amendment:
    """Take newer links into the tree.

    Args:
        store: Records and tiles as they were committed to last; empty before the first commitment.
        n: How many units that was over; -1 before the first commitment.
        latest: What has changed since; each unit's newest link only.

    Raises:
        TamperError: The stored tiles contradict n.
    """
    changed: dict[str, Head] = {} if n >= 0 else {"": FIRST}
    known = store.places(list(latest))
    fresh = [unit for unit in latest if unit not in known]
    n = max(n, 0)
    for unit, (seq, digest) in latest.items():
        if unit in known:
            position, following = known[unit]
            changed[unit] = Head(unit, position, seq, digest, following)
        else:
            n += 1
            changed[unit] = Head(unit, n, seq, digest, "")
    touched = _insert(changed, {} if "" in changed else store.before(sorted(fresh)), sorted(fresh))
    placed = {unit: (changed[unit].position, changed[unit].next) for unit in touched or ({""} & changed.keys())}
    hashes = {head.position: leaf_hash(head.to_bytes()) for head in changed.values()}
    tiles = amend_tiles(dict(sorted(hashes.items())), store.tiles)
    return Amendment(changed, placed, tiles, n, _root(store, tiles, n))


def _insert(changed: dict[str, Head], before: Mapping[str, Head], fresh: Iterable[str]) -> set[str]:
    """Hang new units, in order, between their neighbours; return those whose neighbour is new."""
    touched: set[str] = set()
    last: tuple[str, str] | None = None  # the stored neighbour that the last one came behind, and the last one
    for unit in fresh:
        below = before.get(unit, FIRST).unit
        left = last[1] if last is not None and last[0] == below else below
        neighbour = changed.get(left) or before[unit]
        own = changed[unit]
        changed[unit] = Head(unit, own.position, own.seq, own.hash, neighbour.next)
        changed[left] = Head(left, neighbour.position, neighbour.seq, neighbour.hash, unit)
        touched |= {left, unit}
        last = (below, unit)
    return touched


def _root(store: HeadStore, tiles: Tiles, n: int) -> bytes:
    def read(level: int, number: int) -> bytes:
        amended = tiles.get((level, number))
        return amended if amended is not None else store.tiles(level, [number]).get(number, b"")

    return range_root(0, n + 1, nodes(read))


# -- proofs --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeadProof:
    """A record with its path in the tree of a `heads.commit` event, which is named by its leaf index."""

    commit: int
    head: Head
    path: tuple[bytes, ...]

    def as_json(self) -> dict[str, JsonValue]:
        """Return the proof as it stands in a bundle."""
        head = self.head
        record: dict[str, JsonValue] = {"unit": head.unit, "seq": head.seq, "hash": head.hash, "next": head.next}
        return {
            "commit": self.commit, "position": head.position, "record": record,
            "path": [b64url_encode(value) for value in self.path],
        }  # fmt: skip

    @classmethod
    def parse(cls, value: JsonValue) -> "HeadProof":
        """Read a proof as `as_json` writes it.

        Raises:
            MalformedError: `heads`; anything else.
        """
        try:
            return _parsed(value)
        except ServiceError as error:
            raise MalformedError("The proof of a unit's latest event is not one.", code="heads") from error

    def verify(self, root: bytes, n: int) -> None:
        """Verify that this record is in the tree of a commitment over n units.

        Raises:
            UnprovenError: `heads`.
        """
        try:
            digest = leaf_hash(self.head.to_bytes())
            verify_inclusion(self.head.position, n + 1, digest, self.path, root)
        except UnprovenError as error:
            raise UnprovenError(
                "The record of a unit's latest event is not in the committed tree.", code="heads"
            ) from error


def prove_head(store: HeadStore, head: Head, n: int, commit: int) -> HeadProof:
    """Build the proof of a stored record under the newest commitment.

    Args:
        store: Records and tiles as committed to last.
        head: The record.
        n: How many units the commitment is over.
        commit: The leaf index of the `heads.commit` event.
    """
    read = nodes(lambda level, number: store.tiles(level, [number]).get(number, b""))
    return HeadProof(commit, head, tuple(inclusion_path(head.position, n + 1, read)))


def _parsed(value: Any) -> HeadProof:
    match value:
        case {
            "commit": int(commit), "position": int(position), "path": list(path),
            "record": {"unit": str(unit), "seq": int(seq), "hash": str(digest), "next": str(following), **more},
            **rest,
        } if not rest and not more:  # fmt: skip
            numbers = (commit, position, seq)
            fits = all(not isinstance(number, bool) and 0 <= number <= MAX_SEQ for number in numbers)
            names = all(not name or is_unit_id(name) for name in (unit, following))
            if fits and names and len(path) <= MAX_PATH and all(isinstance(each, str) for each in path):
                b64url_decode(digest, length=HASH_BYTES)
                hashes = tuple(b64url_decode(each, length=HASH_BYTES) for each in path)
                return HeadProof(commit, Head(unit, position, seq, digest, following), hashes)
    raise MalformedError("This is no proof of a unit's latest event.", code="heads")


# -- in memory -----------------------------------------------------------------------------------------


class HeadsInMemory:
    """The whole tree in memory, made from links as they come: how replay judges a commitment."""

    def __init__(self) -> None:
        """Start with no unit."""
        self.n = -1
        self.root = EMPTY_ROOT
        self._heads: dict[str, Head] = {}
        self._order = SortedNames()
        self._tiles: Tiles = {}

    def take(self, latest: Latest) -> None:
        """Take newer links in."""
        done = amend(self, self.n, latest)
        self._order.add(unit for unit in done.heads if unit not in self._heads)
        self._heads.update(done.heads)
        self._tiles.update(done.tiles)
        self.n, self.root = done.n, done.root

    def places(self, units: Sequence[str]) -> Mapping[str, Place]:
        """Return where these units stand."""
        return {unit: (head.position, head.next) for unit, head in self.heads(units).items()}

    def heads(self, units: Sequence[str]) -> Mapping[str, Head]:
        """Return the records of these units."""
        return {unit: self._heads[unit] for unit in units if unit in self._heads}

    def before(self, units: Sequence[str]) -> Mapping[str, Head]:
        """Return for each unit the record of the largest one below it."""
        return {unit: self._heads[self._order.below(unit)] for unit in units}

    def tiles(self, level: int, numbers: Sequence[int]) -> Mapping[int, bytes]:
        """Return tiles of a level by number."""
        return {number: self._tiles[(level, number)] for number in numbers if (level, number) in self._tiles}

    def everything(self) -> tuple[Mapping[str, Head], Tiles]:
        """Return all records and all tiles, to compare stored ones with."""
        return self._heads, self._tiles
