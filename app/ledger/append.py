"""Append leaves to a ledger: tree, tiles and signed checkpoint, inside the caller's transaction.

Step 8 of a scan's walk. The room takes finished leaf bytes and knows nothing of what they say. The head row
is locked first and orders every writer of a ledger, in whatever process. What a crash leaves behind: before
the commit nothing; after it leaves, tiles, head and checkpoint together, since one transaction holds all.

Before a checkpoint is signed its root is computed a second way, from the tiles as they are about to be
stored, and the verifiers of strangers are run on the growth and on one random new leaf (ledger reference
section 10, "Verify before signing"; Yeti 2022 is why).
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from app.db import Session, WriteSession
from app.errors import BusyError, MissingError, TamperError, UnprovenError
from app.ledger import _store
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import SignerKey
from app.ledger.tiles import ReadTile, TileMemo, TileNodes, grow_tiles
from app.ledger.tree import (
    EMPTY_ROOT,
    Edge,
    consistency_path,
    inclusion_path,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

MEMO_TILES = 64
"""Of one append: two levels of the right edge, and the tiles that a thousand leaves begin."""


@dataclass(frozen=True, slots=True)
class Head:
    """A ledger's name, origin and tree; read under the lock it is the state to append to."""

    ledger_id: int
    name: str
    origin: str
    edge: Edge
    root: bytes
    epoch: int
    frozen: str | None = None
    """Why nothing may be written, when the ledger was frozen."""

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self.edge.size


@dataclass(frozen=True, slots=True)
class Appended:
    """What one append made: the new head, its signed checkpoint, and the tiles that changed."""

    head: Head
    first_index: int
    leaf_hashes: tuple[bytes, ...]
    note: bytes
    tiles: dict[tuple[int, int], bytes]
    memo: TileMemo
    """What was hashed of the tree's right edge, for the next append."""


def is_taken(session: Session, name: str, origin: str) -> bool:
    """Say whether a ledger of that name or that origin is in this database."""
    return _store.has_ledger(session, name, origin)


def create_ledger(session: WriteSession, name: str, origin: str) -> Head:
    """Insert an empty ledger; its genesis is the first leaf and comes from the caller."""
    ledger_id = _store.next_ledger_id(session)
    edge = Edge()
    _store.insert_ledger(session, ledger_id, name, origin, EMPTY_ROOT, edge.to_bytes())
    return Head(ledger_id, name, origin, edge, EMPTY_ROOT, 0)


def read_head(session: Session, named: str | int = "", *, lock: bool = False) -> Head:
    """Return a ledger's head by name or number, or of the only ledger.

    Args:
        session: Reading, or writing when the head is to be locked.
        named: Name of the ledger, or its number; empty for the only one of the database.
        lock: Take the row FOR UPDATE: from here to the commit nobody else appends.

    Raises:
        MissingError: There is no such ledger, or several and no name was given.
        TamperError: The stored edge does not give the stored root.
    """
    number = named if isinstance(named, int) else _store.ledger_named(session, named or None)
    row = _store.head_row(session, number, lock=lock) if number is not None else None
    if row is None:
        several = _store.ledger_names(session)
        if not named and several:
            raise MissingError(
                f"There are {len(several)} ledgers in this database: name one with CUSTODY_LEDGER.", code="no_ledger"
            )
        raise MissingError("There is no such ledger here; `custody init` makes one.", code="no_ledger")
    told = cast("tuple[int, str, str, int, bytes, bytes, int, str | None]", row)
    ledger_id, found, origin, size, root, edge_bytes, epoch, frozen = told
    edge = Edge.from_bytes(bytes(edge_bytes))
    if edge.size != size or edge.root() != bytes(root):
        raise TamperError("The ledger's head row contradicts itself.")
    return Head(int(ledger_id), str(found), str(origin), edge, bytes(root), int(epoch), frozen)


def append(
    session: WriteSession, head: Head, leaves: Sequence[bytes], keys: Sequence[SignerKey], made_ms: int,
    before: TileMemo | None = None,
) -> Appended:  # fmt: skip
    """Append finished leaves and sign the checkpoint of the grown tree.

    Args:
        session: The transaction in which `head` was read with `lock=True`.
        head: The head to grow.
        leaves: At least one leaf, each at most 65,535 bytes.
        keys: The ledger's own key; both of them while it rotates.
        made_ms: When the checkpoint is made, UTC milliseconds; kept beside it, not in it.
        before: The memo of the last append, whether it was committed or not; saves hashing the same bytes again.

    Raises:
        TamperError: The second way gives another root; nothing is signed and the transaction must fail.
        BusyError: Another writer moved the head although it was locked (a fenced-off sequencer).
    """
    hashes = tuple(leaf_hash(leaf) for leaf in leaves)
    edge = head.edge.extend(hashes)
    root = edge.root()
    stored = _stored_tiles(session, head.ledger_id)
    tiles = {(place.level, place.n): data for place, data in grow_tiles(head.size, hashes, stored)}
    memo = TileMemo(MEMO_TILES, before)
    _verify_growth(head, hashes, edge.size, root, TileNodes(_overlaid(tiles, stored), memo))
    _store.insert_leaves(session, head.ledger_id, head.size, leaves, hashes)
    _store.put_tiles(session, head.ledger_id, [(level, n, data) for (level, n), data in tiles.items()])
    if not _store.move_head(session, head.ledger_id, (head.size, head.epoch), (edge.size, root, edge.to_bytes())):
        raise BusyError("Another writer moved the ledger's head; try again.")
    note = sign(Checkpoint(head.origin, edge.size, root), *keys)
    _store.insert_checkpoint(session, head.ledger_id, edge.size, root, note, made_ms)
    grown = Head(head.ledger_id, head.name, head.origin, edge, root, head.epoch)
    return Appended(grown, head.size, hashes, note, tiles, memo)


def _stored_tiles(session: Session, ledger_id: int) -> ReadTile:
    return lambda level, n: _store.read_tile(session, ledger_id, level, n)


def _overlaid(tiles: dict[tuple[int, int], bytes], stored: ReadTile) -> ReadTile:
    return lambda level, n: tiles[(level, n)] if (level, n) in tiles else stored(level, n)


def _verify_growth(head: Head, hashes: Sequence[bytes], size: int, root: bytes, nodes: TileNodes) -> None:
    """Compute the root a second way and run the public verifiers on our own growth."""
    try:
        if nodes.root(size) != root:
            raise TamperError("The tiles do not give the root that was about to be signed.")
        if head.size:
            verify_consistency(head.size, size, head.root, root, consistency_path(head.size, size, nodes.node))
        pick = secrets.randbelow(len(hashes))
        index = head.size + pick
        verify_inclusion(index, size, hashes[pick], inclusion_path(index, size, nodes.node), root)
    except UnprovenError as error:
        raise TamperError("The grown tree fails its own proofs; nothing was signed.") from error


class Reader:
    """Reads a ledger's published parts for one process: tiles, proofs, checkpoints, leaves."""

    def __init__(self, ledger_id: int) -> None:
        """Share one memo of committed tiles between all readers of this process."""
        self.ledger_id = ledger_id
        self._memo = TileMemo()

    def forget(self) -> None:
        """Remember no tile any more: the database is another one than they were read from."""
        self._memo = TileMemo()

    def nodes(self, session: Session) -> TileNodes:
        """Return the committed tree as a session sees it."""
        return TileNodes(_stored_tiles(session, self.ledger_id), self._memo)

    def nodes_from(self, read_tile: ReadTile) -> TileNodes:
        """Return the tree as read through a function that gives committed tiles."""
        return TileNodes(read_tile, self._memo)

    def tile(self, session: Session, level: int, n: int) -> bytes:
        """Return the stored bytes of a tile, empty when there is none."""
        return _store.read_tile(session, self.ledger_id, level, n)

    def leaves(self, session: Session, first: int, end: int) -> list[tuple[int, bytes, bytes]]:
        """Return (index, leaf, leaf hash) for first ≤ index < end."""
        return _store.leaf_rows(session, self.ledger_id, first, end)

    def leaves_at(self, session: Session, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return leaves by index."""
        return _store.leaves_at(session, self.ledger_id, indexes)

    def leaf_hashes_at(self, session: Session, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return leaf hashes by index."""
        return _store.leaf_hashes_at(session, self.ledger_id, indexes)

    def checkpoint_from(self, session: Session, size: int) -> tuple[int, bytes] | None:
        """Return (size, note) of the first checkpoint whose tree has at least that many leaves."""
        return _store.first_checkpoint_from(session, self.ledger_id, size)

    def last_checkpoint(self, session: Session, *, until_ms: int | None = None) -> tuple[int, bytes, int] | None:
        """Return (size, note, made_ms) of the newest checkpoint, or of the newest made until a time."""
        return _store.last_checkpoint(session, self.ledger_id, until_ms=until_ms)

    def roots_at(self, session: Session, sizes: Sequence[int], limit: int) -> dict[int, tuple[bytes, int]]:
        """Return (root, made_ms) for each of the sizes that this tree has had, up to a limit size.

        Published sizes come from the kept checkpoints in one statement; any other is computed from tiles and
        takes the time of the checkpoint before it.
        """
        wanted = sorted({size for size in sizes if 0 < size <= limit})
        known = {size: (root, made) for size, root, made in _store.checkpoint_rows(session, self.ledger_id, wanted)}
        for size in wanted:
            if size not in known:
                known[size] = (self.nodes(session).root(size), 0)
        known[0] = (EMPTY_ROOT, 0)
        return known
