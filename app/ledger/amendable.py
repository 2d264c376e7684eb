"""A Merkle tree whose leaves may change in place (pure): the tree of RFC 9162 section 2.1.1, stored so that it can.

The ledger's own tree only grows. The tree over every unit's latest event (ledger reference section 14) changes in
the middle as well: a thousand changed leaves of a million must cost a thousand short paths, not a million hashes.
So its hashes lie in tiles of 16 leaves with everything above them, 1 KiB each, as a heap: slot 1 is the tile's
root, slots 2i and 2i + 1 are the children of slot i, slots 16 to 31 the leaves. What is not complete is zero. A full
tile's root is a leaf of the tile above, and a change rewrites one path a tile.

Knows positions and hashes; must never know what a leaf says or where tiles are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

from app.errors import TamperError
from app.ledger.tree import HASH_BYTES, Node

WIDTH = 16
HEIGHT = 4
TILE_BYTES = 2 * WIDTH * HASH_BYTES

ReadTiles: TypeAlias = Callable[[int, Sequence[int]], Mapping[int, bytes]]
"""`read(level, numbers)` gives the stored tiles of a level by number; absent ones are left out."""
Tiles: TypeAlias = dict[tuple[int, int], bytes]
"""Tiles of 1,024 bytes by (level, number)."""

_NOTHING = bytes(HASH_BYTES)
_PLACE = tuple(slice(slot * HASH_BYTES, (slot + 1) * HASH_BYTES) for slot in range(2 * WIDTH))
_CHILDREN = tuple(slice(2 * slot * HASH_BYTES, (2 * slot + 2) * HASH_BYTES) for slot in range(WIDTH))
_ABOVE = tuple(tuple((WIDTH + place) >> height for height in range(1, HEIGHT + 1)) for place in range(WIDTH))


def amend_tiles(changed: Mapping[int, bytes], read: ReadTiles) -> Tiles:
    """Compute every tile that differs once some leaf hashes are set.

    Args:
        changed: Leaf hashes by position; new positions must follow the old ones without a gap.
        read: Asked once a level, for the tiles that are about to change.

    Raises:
        TamperError: A stored tile has another length.
    """
    amended: Tiles = {}
    level, fresh = 0, changed
    while fresh:
        touched: dict[int, dict[int, bytes]] = {}
        for position, value in fresh.items():
            touched.setdefault(position // WIDTH, {})[position % WIDTH] = value
        stored = read(level, sorted(touched))
        above: dict[int, bytes] = {}
        for number, entries in touched.items():
            tile = amended[level, number] = _with(stored.get(number), entries)
            root = tile[_PLACE[1]]
            if root != _NOTHING:
                above[number] = root
        level, fresh = level + 1, above
    return amended


def nodes(read_tile: Callable[[int, int], bytes]) -> Node:
    """Return how to read complete subtrees, as `app.ledger.tree` wants it for roots and paths.

    Args:
        read_tile: Gives the bytes of the tile (level, number).
    """

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        number, within = divmod(index, WIDTH >> height)
        slot = (WIDTH >> height) + within
        value = read_tile(tile_level, number)[slot * HASH_BYTES : (slot + 1) * HASH_BYTES]
        if len(value) != HASH_BYTES or value == _NOTHING:
            raise TamperError("A tile of the tree over units does not hold what its size says.", tile=number)
        return value

    return node


def _with(tile: bytes | None, entries: Mapping[int, bytes]) -> bytes:
    """Set leaves of a tile and hash again whatever lies above them and is complete."""
    row = bytearray(tile if tile is not None else TILE_BYTES)
    if len(row) != TILE_BYTES:
        raise TamperError("A tile of the tree over units has another length.")
    for place, value in entries.items():
        row[_PLACE[WIDTH + place]] = value
    is_full = row[-HASH_BYTES:] != _NOTHING
    for slot in _above(entries):  # a child has a larger number than its parent
        children = row[_CHILDREN[slot]]
        if is_full or children[HASH_BYTES:] != _NOTHING:
            row[_PLACE[slot]] = sha256(b"\x01" + children).digest()
    return bytes(row)


def _above(entries: Mapping[int, bytes]) -> Sequence[int]:
    """Return the slots above some leaves of a tile, each before its parent; most often one leaf has changed."""
    if len(entries) == 1:
        return _ABOVE[next(iter(entries))]
    return sorted({slot for place in entries for slot in _ABOVE[place]}, reverse=True)
