"""The tree's part of `custody fsck`: leaves, tiles, head and checkpoints, each against all others.

Every leaf hash is kept three times: as the hash of the leaf's bytes, in its column, and in a tile. The vector
that leads to a signed root is believed (else what two of three say), so that one damaged byte gives one
finding and not one for everything above it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import starmap

from app.audit.findings import Findings
from app.audit.leaf import Recorded, read_leaf
from app.audit.raw import Row, rows
from app.audit.replaying import GrownTree
from app.custody._tables import EVENT
from app.custody.details import LedgerGenesis
from app.db import ReadSession
from app.errors import ServiceError
from app.ledger._tables import CHECKPOINT, LEAF, LEDGER, TILE
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import Note, VerifierKey, verified_keys
from app.ledger.packing import unpack
from app.ledger.tiles import TILE_WIDTH, touched_tiles
from app.ledger.tree import EMPTY_ROOT, HASH_BYTES, Edge, leaf_hash

Tick = Callable[[int], None]
HEAD_COLUMNS = ("name", "origin", "size", "root", "edge")


@dataclass(slots=True)
class Tree:
    """What the tree's tables say, and which leaf hashes are believed.

    `damaged` are indexes whose leaf bytes are missing or not believed; `made` is when each checkpoint says
    that it was made, and `signers` which of the `keys` that the ledger ever named have signed it, by size.
    """

    size: int
    trusted: list[bytes]
    damaged: set[int]
    genesis: Recorded | None
    keys: list[VerifierKey]
    grown: GrownTree
    made: dict[int, object] = field(default_factory=dict)
    signers: dict[int, frozenset[str]] = field(default_factory=dict)

    def root(self, size: int) -> bytes:
        """Give the tree head at a size."""
        return self.grown.root(size) if size else EMPTY_ROOT


@dataclass(slots=True)
class _Told:
    """Everything as it stands in the tables, before anything is believed."""

    computed: dict[int, bytes]
    column: dict[int, bytes]
    tiles: dict[tuple[int, int], bytes]
    head: Row | None
    checkpoints: list[Row]
    signed: dict[int, bytes]

    def in_tile(self, index: int) -> bytes | None:
        n, i = divmod(index, TILE_WIDTH)
        value = self.tiles.get((0, n), b"")[i * HASH_BYTES : (i + 1) * HASH_BYTES]
        return value if len(value) == HASH_BYTES else None


def check_tree(session: ReadSession, findings: Findings, ledger_id: int, tick: Tick) -> Tree:
    """Check leaves, tiles, head and checkpoints of one ledger against each other and the ledger's key.

    Args:
        session: One snapshot, `lenient`.
        findings: Where damages go.
        ledger_id: The ledger.
        tick: Told how many leaves were read since the last call.
    """
    computed, column = _leaves(session, findings, ledger_id, tick)
    tiles = {
        (row[0], row[1]): bytes(row[2])
        for row in rows(session, findings, TILE, ("level", "n", "bytes"), ("level", "n"), ledger_id)
    }
    head = next(rows(session, findings, LEDGER, HEAD_COLUMNS, ("ledger_id",), ledger_id), None)
    checkpoints = list(rows(session, findings, CHECKPOINT, ("size", "root", "note", "made_ms"), ("size",), ledger_id))
    told = _Told(computed, column, tiles, head, checkpoints, {})
    genesis = _genesis(session, findings, ledger_id, told)
    keys = [*_ledger_keys(genesis), *_later_keys(session, findings, ledger_id)]
    if genesis is not None and keys:
        told.signed = dict(_signed(checkpoints, keys, genesis.event.body.ledger))
    size = _size(told)
    trusted = _believed(told, size)
    grown = GrownTree()
    for value in trusted:
        grown.append(value)
    damaged = {i for i in range(size) if computed.get(i) != trusted[i]}
    tree = Tree(size, trusted, damaged, genesis, keys, grown)
    _check_leaves(findings, told, tree)
    _check_tiles(findings, told, tree)
    _check_head(findings, told, tree)
    _check_checkpoints(findings, told, tree)
    return tree


def _leaves(
    session: ReadSession, findings: Findings, ledger_id: int, tick: Tick
) -> tuple[dict[int, bytes], dict[int, bytes]]:
    computed: dict[int, bytes] = {}
    column: dict[int, bytes] = {}
    for index, digest, data in rows(
        session, findings, LEAF, ("leaf_index", "leaf_hash", "leaf"), ("leaf_index",), ledger_id
    ):
        computed[index] = leaf_hash(unpack(bytes(data)))
        column[index] = bytes(digest)
        if len(computed) % 1000 == 0:
            tick(1000)
    tick(len(computed) % 1000)
    return computed, column


def _genesis(session: ReadSession, findings: Findings, ledger_id: int, told: _Told) -> Recorded | None:
    """Return leaf 0 when its bytes are what the column or the tile says, and read as a genesis."""
    if told.computed.get(0) not in {told.column.get(0), told.in_tile(0)} - {None}:
        return None
    row = next(rows(session, findings, LEAF, ("leaf",), ("leaf_index",), ledger_id, " AND leaf_index = ?", (0,)), None)
    try:
        recorded = read_leaf(0, unpack(bytes(row[0]))) if row else None
    except ServiceError:
        return None
    return recorded if recorded is not None and isinstance(recorded.event.details, LedgerGenesis) else None


def _ledger_keys(named: Recorded | None) -> list[VerifierKey]:
    """Return the keys of checkpoints that a genesis or a rotation names."""
    if named is None:
        return []
    told = named.event.details
    texts = [told.ledger_key] if isinstance(told, LedgerGenesis) else getattr(told, "keys", ())
    with suppress(ServiceError):
        return [VerifierKey.parse(text) for text in texts]
    return []


def _later_keys(session: ReadSession, findings: Findings, ledger_id: int) -> list[VerifierKey]:
    """Return the keys that rotations brought in; whether founders did sign these, replay tells."""
    found: list[VerifierKey] = []
    rotations = rows(
        session, findings, EVENT, ("leaf_index",), ("leaf_index",), ledger_id, " AND type = ?", ("ledger.rekey",)
    )
    for (index,) in list(rotations):
        row = next(
            rows(session, findings, LEAF, ("leaf",), ("leaf_index",), ledger_id, " AND leaf_index = ?", (index,)), None
        )
        with suppress(ServiceError):
            found += _ledger_keys(read_leaf(index, unpack(bytes(row[0]))) if row else None)
    return list(dict.fromkeys(found))


def _signed(checkpoints: list[Row], keys: list[VerifierKey], origin: str) -> Iterator[tuple[int, bytes]]:
    for _, _, note, _ in checkpoints:
        try:
            opened = open_checkpoint(bytes(note), keys, origin)
        except ServiceError:
            continue
        yield opened.size, opened.root


def _size(told: _Told) -> int:
    """Decide how many leaves there are: what most of head, newest checkpoint, leaves and tiles say."""
    in_tiles = sum(len(data) // HASH_BYTES for (level, _), data in told.tiles.items() if level == 0)
    in_leaves = max(told.computed, default=-1) + 1
    claims = [max(told.signed, default=-1), told.head[2] if told.head else -1, in_leaves, in_tiles]
    votes = Counter(claim for claim in claims if isinstance(claim, int) and claim >= 0)
    best = max(votes.values(), default=0)
    winners = [claim for claim, n in votes.items() if n == best]
    size = claims[0] if claims[0] in winners else max(winners, default=0)
    return min(size, max(in_leaves, in_tiles))


def _believed(told: _Told, size: int) -> list[bytes]:
    """Choose the vector of leaf hashes that leads to the signed root, else what most of the three say."""
    votes = [(told.computed.get(i), told.column.get(i), told.in_tile(i)) for i in range(size)]
    most = list(starmap(_most, votes))
    wanted = told.signed.get(size) or (bytes(told.head[3]) if told.head and told.head[2] == size else None)
    for candidate in (most, *(_complete([vote[n] for vote in votes]) for n in (0, 1, 2))):
        if candidate is not None and wanted is not None and _root(candidate) == wanted:
            return candidate
    return most


def _most(computed: bytes | None, column: bytes | None, tile: bytes | None) -> bytes:
    if column == tile and column is not None and len(column) == HASH_BYTES:
        return column
    known = [v for v in (computed, tile, column) if v is not None and len(v) == HASH_BYTES]
    return known[0] if known else bytes(HASH_BYTES)


def _complete(values: list[bytes | None]) -> list[bytes] | None:
    sound = [value for value in values if value is not None and len(value) == HASH_BYTES]
    return sound if len(sound) == len(values) else None


def _root(values: list[bytes]) -> bytes:
    return Edge().extend(values).root()


# -- against what is believed --------------------------------------------------------------------------


def _check_leaves(findings: Findings, told: _Told, tree: Tree) -> None:
    for index in range(tree.size):
        if index not in told.computed:
            findings.add("ledger_leaf", index, "missing", "The leaf is missing; the tree has its hash.",
                         leaf=index, expected=tree.trusted[index])  # fmt: skip
            continue
        for name, value in (("leaf", told.computed[index]), ("leaf_hash", told.column[index])):
            if value != tree.trusted[index]:
                findings.add(
                    "ledger_leaf",
                    index,
                    "differs",
                    "The leaf is not the one in the tree; both values are hashes of it.",
                    column=name,
                    leaf=index,
                    expected=tree.trusted[index],
                    found=value,
                )
    promised = max(told.signed, default=0)
    if promised > tree.size:
        findings.add(
            "ledger_leaf",
            f"{tree.size}..{promised - 1}",
            "missing",
            "These leaves were signed for and are gone, with their tiles.",
            leaf=tree.size,
        )
    for index in sorted(told.computed):
        if not 0 <= index < tree.size:
            findings.add(
                "ledger_leaf", index, "extra", "The tree has no such leaf.", leaf=index, found=told.computed[index]
            )


def _check_tiles(findings: Findings, told: _Told, tree: Tree) -> None:
    places = touched_tiles(0, tree.size)
    for place in places:
        start = place.n * TILE_WIDTH * HASH_BYTES
        want = bytes(tree.grown.levels[8 * place.level][start : start + place.width * HASH_BYTES])
        have = told.tiles.get((place.level, place.n))
        row = (place.level, place.n)
        if have is None:
            findings.add("ledger_tile", row, "missing", "The tile is missing.", expected=want)
        elif have != want:
            offset = next(
                (i for i, (a, b) in enumerate(zip(want, have, strict=False)) if a != b), min(len(want), len(have))
            )
            findings.add(
                "ledger_tile",
                row,
                "differs",
                f"The tile differs from byte {offset} on, hash {offset // HASH_BYTES} of it.",
                column="bytes",
                leaf=(place.n * TILE_WIDTH + offset // HASH_BYTES) << (8 * place.level),
                expected=want,
                found=have,
            )
    for row in sorted(set(told.tiles) - {(place.level, place.n) for place in places}):
        findings.add("ledger_tile", row, "extra", "The tree has no such tile.", found=told.tiles[row])


def _check_head(findings: Findings, told: _Told, tree: Tree) -> None:
    if told.head is None:
        findings.add("ledger", "?", "missing", "The ledger's head row is missing.")
        return
    name, origin, size, root, edge = told.head
    wanted: dict[str, tuple[object, object]] = {
        "size": (tree.size, size), "root": (tree.root(tree.size), bytes(root)),
        "edge": (Edge().extend(tree.trusted).to_bytes(), bytes(edge)),
    }  # fmt: skip
    if tree.genesis is not None:
        wanted |= {"name": (tree.genesis.event.details.name, name), "origin": (tree.genesis.event.body.ledger, origin)}
    for column, (want, have) in wanted.items():
        if want != have:
            findings.add("ledger", name, "differs", "The head row is not what the leaves give.",
                         column=column, expected=want, found=have, values=True)  # fmt: skip


def _check_checkpoints(findings: Findings, told: _Told, tree: Tree) -> None:
    for size, root, note, made in told.checkpoints:
        if not 1 <= size <= tree.size:
            findings.add("ledger_checkpoint", size, "extra", "The ledger never had that size.", found=bytes(note))
            continue
        tree.made[size] = made
        if bytes(root) != tree.root(size):
            findings.add("ledger_checkpoint", size, "differs", "The root is not that of the leaves.",
                         column="root", expected=tree.root(size), found=bytes(root))  # fmt: skip
        problem = _note_problem(bytes(note), size, tree)
        if problem:
            findings.add("ledger_checkpoint", size, "differs", problem, column="note", found=bytes(note))
    if tree.size and tree.size not in {row[0] for row in told.checkpoints}:
        findings.add("ledger_checkpoint", tree.size, "missing", "The newest tree has no signed checkpoint.")


def _note_problem(note: bytes, size: int, tree: Tree) -> str:
    """Say what is wrong with a note; without a ledger key only its text is compared."""
    try:
        if tree.genesis is not None and tree.keys:
            opened = open_checkpoint(note, tree.keys, tree.genesis.event.body.ledger)
            tree.signers[size] = frozenset(key.to_text() for key in verified_keys(Note.parse(note), tree.keys))
        else:
            opened = Checkpoint.parse(Note.parse(note).text)
    except ServiceError as error:
        return f"The signed note is not one of this ledger's key: {error.detail}"
    if (opened.size, opened.root) != (size, tree.root(size)):
        return "The signed note speaks of another tree."
    return ""
