"""The tiles of one signed tree, each proven against its root before it is given out (pure over a `fetch`).

A full tile's root stands in the tile above it; the partial tiles, one a level, hold between them exactly the
complete subtrees that the root of the whole tree is made of. So one signature vouches for every tile, whoever
carried it: a server, a cache, a disk. This is how readers of c2sp.org/tlog-tiles are meant to read; a mirror and an
offline verification share it.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

from app.errors import MissingError, UnprovenError
from app.ledger.checkpoint import Checkpoint
from app.ledger.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    BundleCoordinate,
    TileCoordinate,
    TileNodes,
    parse_bundle,
    tile_width,
)
from app.ledger.tree import EMPTY_ROOT, HASH_BYTES, leaf_hash, root_of

Fetch: TypeAlias = Callable[[TileCoordinate], bytes]
"""Gives a tile's bytes at exactly the width that is asked for, from anywhere, unproven."""

_KEPT_TILES = 64


class TrustedTree:
    """The tree under one checkpoint, read through a source that nobody has to trust."""

    def __init__(self, checkpoint: Checkpoint, fetch: Fetch) -> None:
        """Begin with the root alone; nothing is fetched yet.

        Args:
            checkpoint: Opened, with every signature that the caller asks for.
            fetch: Where tiles come from; what it raises passes through.
        """
        self.size, self._root = checkpoint.size, checkpoint.root
        self._fetch = fetch
        self._edge: dict[tuple[int, int], bytes] | None = None
        self._full: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def tile(self, level: int, n: int) -> bytes:
        """Return a tile at the width that this tree has it, proven.

        Raises:
            MissingError: The tree has no such tile.
            UnprovenError: `tile`, naming level and n: the source's bytes do not belong to the tree.
        """
        width = tile_width(level, n, self.size)
        if width == 0:
            raise MissingError("The tree has no such tile.")
        if width < TILE_WIDTH:
            return self.edge()[level, n]
        found = self._full.get((level, n))
        if found is None:
            above = self.tile(level + 1, n // TILE_WIDTH)
            found = self._fetch(TileCoordinate(level, n))
            at = n % TILE_WIDTH * HASH_BYTES
            if len(found) != TILE_WIDTH * HASH_BYTES or root_of(_split(found)) != above[at : at + HASH_BYTES]:
                raise _unproven(level, n)
            self._full[level, n] = found
            if len(self._full) > _KEPT_TILES:
                self._full.popitem(last=False)
        self._full.move_to_end((level, n))
        return found

    def edge(self) -> dict[tuple[int, int], bytes]:
        """Return the partial tiles by level and n, proven together by the root.

        Raises:
            UnprovenError: `tile`; one of them does not belong to the tree. Which one, nobody can say: the highest
                is named.
        """
        if self._edge is None:
            edge: dict[tuple[int, int], bytes] = {}
            for level in range(self.size.bit_length() // TILE_HEIGHT + 1):
                n, width = divmod(self.size >> TILE_HEIGHT * level, TILE_WIDTH)
                if width:
                    data = edge[level, n] = self._fetch(TileCoordinate(level, n, width))
                    if len(data) != width * HASH_BYTES:
                        raise _unproven(level, n)
            root = TileNodes(lambda level, n: edge[level, n]).root(self.size) if edge else EMPTY_ROOT
            if root != self._root:
                raise _unproven(*max(edge, default=(0, 0)))
            self._edge = edge
        return self._edge

    def root_at(self, size: int) -> bytes:
        """Compute the root that this tree had at an earlier size, from proven tiles.

        An earlier checkpoint with that root is consistent with this one; with another, the two are a fork.

        Raises:
            UnprovenError: `tile`, as for `tile`.
            MissingError: The tree never had that size.
        """
        if not 0 <= size <= self.size:
            raise MissingError("The tree never had that size.")
        return TileNodes(self.tile).root(size) if size else EMPTY_ROOT

    def leaves(self, place: BundleCoordinate, data: bytes) -> list[bytes]:
        """Split an entry bundle of this tree into its leaves, each proven by its hash in the tree.

        Raises:
            MissingError: The tree has no such bundle at that width.
            MalformedError: `entry_bundle`.
            UnprovenError: `tile`; as for `tile`, or naming the index of the first leaf that is not the tree's.
        """
        if place.width != tile_width(0, place.n, self.size):
            raise MissingError("The tree has no such entry bundle.")
        hashes, leaves = self.tile(0, place.n), parse_bundle(data)
        found = b"".join(map(leaf_hash, leaves))
        if found != hashes:
            pairs = enumerate(zip(_split(found), _split(hashes), strict=False))
            wrong = next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(leaves), place.width))
            index = place.n * TILE_WIDTH + wrong
            raise UnprovenError(f"Leaf {index} is not the one in the signed tree.", code="tile", index=index)
        return leaves


def _split(tile: bytes) -> list[bytes]:
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def _unproven(level: int, n: int) -> UnprovenError:
    return UnprovenError(
        f"Tile {n} of level {level} does not belong to the signed tree.", code="tile", level=level, n=n
    )
