"""Tiles and entry bundles, c2sp.org/tlog-tiles: how the tree is stored, addressed and read again.

    tile/<L>/<N>[.p/<W>]         up to 256 hashes of complete subtrees of 256**L leaves each
    tile/entries/<N>[.p/<W>]     up to 256 leaves, each behind its length in two bytes

Knows geometry and encodings; must never know where the bytes lie. A partial tile is always a byte prefix
of the wider one, so one append-only row per tile serves every width that was ever committed.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Generic, TypeAlias, TypeVar

from app.errors import MalformedError, MissingError, TamperError, TooLargeError
from app.ledger.tree import HASH_BYTES, MAX_SIZE, node_hash, range_root, root_of

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEAF_BYTES = 65_535

ReadTile: TypeAlias = Callable[[int, int], bytes]
"""`read_tile(level, n)` gives the stored bytes of a tile, as wide as they are; empty if there are none."""

_MAX_PATH_CHARACTERS = 64
_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True)
class TileCoordinate:
    """One hash tile at one width, 1 to 256; c2sp.org/tlog-tiles "Merkle Tree".

    Raises:
        MalformedError: `tile_path`; no tree has such a tile.
    """

    level: int
    n: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Refuse levels, positions and widths beyond what a tree of 2^63 - 1 leaves can hold."""
        _require_place(self.level, self.n, self.width)

    def path(self) -> str:
        """Write the path below the ledger's prefix."""
        return f"tile/{self.level}/{_spell(self.n, self.width)}"


@dataclass(frozen=True, slots=True)
class BundleCoordinate:
    """One entry bundle at one width, 1 to 256; c2sp.org/tlog-tiles "Log entries".

    Raises:
        MalformedError: `tile_path`; no tree has such a bundle.
    """

    n: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Refuse positions and widths beyond what a tree of 2^63 - 1 leaves can hold."""
        _require_place(0, self.n, self.width)

    def path(self) -> str:
        """Write the path below the ledger's prefix."""
        return f"tile/entries/{_spell(self.n, self.width)}"


Coordinate = TypeVar("Coordinate", TileCoordinate, BundleCoordinate)


def parse_path(path: str) -> TileCoordinate | BundleCoordinate:
    """Parse a path below the ledger's prefix, in its one spelling.

    Raises:
        MalformedError: `tile_path`; anything that `path()` does not write.
    """
    match = _PATH.fullmatch(path) if len(path) <= _MAX_PATH_CHARACTERS else None
    if match is None:
        raise MalformedError("This is no path of a tile.", code="tile_path")
    level, groups, width = match.groups(default=str(TILE_WIDTH))
    n = int(groups.replace("x", "").replace("/", ""))
    place: TileCoordinate | BundleCoordinate
    if level == "entries":
        place = BundleCoordinate(n, int(width))
    else:
        place = TileCoordinate(int(level), n, int(width))
    if place.path() != path:
        raise MalformedError("This is not the one spelling of that tile's path.", code="tile_path")
    return place


def tile_width(level: int, n: int, size: int) -> int:
    """Give how many hashes tile `n` of `level` has in a tree of `size`: 0 (no such tile) to 256."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - TILE_WIDTH * n))


class Places(Generic[Coordinate]):
    """Places in their order, each made when its turn comes: how many there are is known before, and costs nothing.

    A size is only what somebody has signed. A list of the tiles of 2^40 leaves would fill the memory of whoever asks
    for it, long before the first tile could show that there is no such tree.
    """

    def __init__(self, rows: Sequence[range], make: Callable[[int, int], Coordinate]) -> None:
        """Take the positions by level, and what makes a place of both."""
        self._rows = rows
        self._make: Callable[[int, int], Coordinate] = make

    def __len__(self) -> int:
        """Count them without making any."""
        return sum(map(len, self._rows))

    def __iter__(self) -> Iterator[Coordinate]:
        """Make one after the other."""
        return (self._make(level, n) for level, row in enumerate(self._rows) for n in row)


def touched_tiles(old_size: int, new_size: int, *, lowest: int = 0) -> Places[TileCoordinate]:
    """Tell the tiles that grow when a tree grows, with their new widths, lowest level first.

    From size 0 these are all tiles of the tree.

    Args:
        old_size: The size of the tree before.
        new_size: Its size after.
        lowest: Leave out the levels below this one.
    """
    rows: list[range] = []
    old, new = old_size, new_size
    while old < new:
        rows.append(_grown(old, new) if len(rows) >= lowest else range(0))
        old, new = old >> TILE_HEIGHT, new >> TILE_HEIGHT
    return Places(rows, lambda level, n: TileCoordinate(level, n, tile_width(level, n, new_size)))


def touched_bundles(old_size: int, new_size: int) -> Places[BundleCoordinate]:
    """Tell the entry bundles that grow when a tree grows, with their new widths."""
    rows = [_grown(old_size, new_size)] if old_size < new_size else []
    return Places(rows, lambda level, n: BundleCoordinate(n, tile_width(level, n, new_size)))


def _grown(old: int, new: int) -> range:
    """Give the positions of the tiles over hashes [old, new) of a level."""
    return range(old // TILE_WIDTH, -(-new // TILE_WIDTH))


def grow_tiles(
    old_size: int, leaf_hashes: Iterable[bytes], read_tile: ReadTile
) -> Iterator[tuple[TileCoordinate, bytes]]:
    """Compute the new bytes of every tile that `touched_tiles` tells, in that order.

    A tile that becomes full gives its root to the level above, c2sp.org/tlog-tiles "Partial Tiles". The
    bytes begin with the old ones, so storing them only ever extends a row.

    Args:
        old_size: The size of the tree before.
        leaf_hashes: The hashes of the new leaves, in order.
        read_tile: Asked once per level at most, for the tile that was partial at `old_size`.

    Raises:
        TamperError: A stored partial tile is narrower than `old_size` demands.
    """
    level, old, fresh = 0, old_size, list(leaf_hashes)
    while fresh:
        n, width = divmod(old, TILE_WIDTH)
        row = _hashes(read_tile(level, n), level, n, width)[:width] if width else []
        row += fresh
        fresh = []
        for start in range(0, len(row), TILE_WIDTH):
            tile = row[start : start + TILE_WIDTH]
            yield TileCoordinate(level, n + start // TILE_WIDTH, len(tile)), b"".join(tile)
            if len(tile) == TILE_WIDTH:
                fresh.append(root_of(tile))
        level, old = level + 1, old >> TILE_HEIGHT


def prefix(tile: bytes, width: int) -> bytes:
    """Cut a stored tile to the partial one of `width` hashes.

    Raises:
        MissingError: The tile has not grown that wide; the door answers 404, as tile clients expect.
    """
    if not 1 <= width <= len(tile) // HASH_BYTES:
        raise MissingError("This tile has not grown to that width.")
    return tile[: width * HASH_BYTES]


def bundle_entry(leaf: bytes) -> bytes:
    """Encode one leaf for a bundle: its length in two bytes, big-endian, and the leaf.

    Raises:
        TooLargeError: `leaf_too_large`; more than 65,535 bytes.
    """
    if len(leaf) > MAX_LEAF_BYTES:
        raise TooLargeError(f"A leaf has at most {MAX_LEAF_BYTES} bytes.", code="leaf_too_large")
    return len(leaf).to_bytes(2, "big") + leaf


def parse_bundle(bundle: bytes) -> list[bytes]:
    """Split a bundle into its leaves.

    Raises:
        MalformedError: `entry_bundle`; a record is cut short, or there are more than 256.
    """
    return [bundle[start + 2 : end] for start, end in _records(bundle)]


def bundle_prefix(bundle: bytes, width: int) -> bytes:
    """Cut a stored bundle to the partial one of `width` leaves.

    Raises:
        MissingError: The bundle has not grown that wide.
        MalformedError: `entry_bundle`, as for `parse_bundle`.
    """
    ends = [end for _, end in _records(bundle)]
    if not 1 <= width <= len(ends):
        raise MissingError("This entry bundle has not grown to that width.")
    return bundle[: ends[width - 1]]


class TileMemo:
    """Hashes of complete subtrees inside tiles, kept for the tiles used last; safe between threads.

    A complete subtree never changes, so nothing here grows stale. That holds for committed tiles alone:
    a transaction that may still roll back needs a memo of its own. It may take over from the one before, tile by tile,
    what was hashed of the very same bytes.
    """

    def __init__(self, max_tiles: int = 400, before: "TileMemo | None" = None) -> None:
        """Start with nothing.

        Args:
            max_tiles: Bounds the memory: a full tile holds 510 hashes, some 40 KB.
            before: Hashed earlier states of the tiles that this one will see, or states that were never committed;
                it is asked only by `widen`, for a tile that begins with exactly the hashes that it knows.
        """
        self._max_tiles = max_tiles
        self._before = before.held() if before is not None else {}
        self._tiles: OrderedDict[tuple[int, int], list[list[bytes]]] = OrderedDict()
        self._lock = Lock()

    def get(self, level: int, n: int, height: int, i: int) -> bytes | None:
        """Give the root over hashes [i * 2**height, (i + 1) * 2**height) of a tile, if it is known."""
        with self._lock:
            rows = self._tiles.get((level, n))
            if rows is None or i >= len(rows[height]):
                return None
            self._tiles.move_to_end((level, n))
            return rows[height][i]

    def widen(self, level: int, n: int, hashes: Sequence[bytes]) -> list[list[bytes]]:
        """Add a tile, or what has been appended to it since; at most 255 hashings.

        Returns:
            All that is known of the tile by height, as `get` indexes it; to be read only.
        """
        with self._lock:
            rows = self._tiles.get((level, n))
            if rows is None:
                rows = self._tiles[(level, n)] = self._taken_over((level, n), hashes)
            rows[0].extend(hashes[len(rows[0]) :])
            for lower, upper in pairwise(rows):
                for i in range(len(upper), len(lower) // 2):
                    upper.append(node_hash(lower[2 * i], lower[2 * i + 1]))
            self._tiles.move_to_end((level, n))
            while len(self._tiles) > self._max_tiles:
                self._tiles.popitem(last=False)
            return rows

    def held(self) -> dict[tuple[int, int], list[list[bytes]]]:
        """Return what is known by tile; to be read only."""
        with self._lock:
            return dict(self._tiles)

    def _taken_over(self, place: tuple[int, int], hashes: Sequence[bytes]) -> list[list[bytes]]:
        """Return what the memo before this one knew of a tile that begins with these hashes, or nothing."""
        rows = self._before.get(place)
        if rows is None or rows[0] != hashes[: len(rows[0])]:
            return [[] for _ in range(TILE_HEIGHT)]
        return [list(row) for row in rows]


class TileNodes:
    """Reads a tree from its tiles: `node` is a `tree.Node` for proofs, `root` the tree head.

    With a fresh memo, `root` is the second way to a root that is computed before signing: it sees the
    stored tiles and nothing else.
    """

    def __init__(self, read_tile: ReadTile, memo: TileMemo | None = None) -> None:
        """Read through `read_tile`, and through a memo that may be shared between readers of one ledger."""
        self._read_tile = read_tile
        self._memo = TileMemo() if memo is None else memo

    def node(self, level: int, index: int) -> bytes:
        """Give the hash of a complete subtree; the tile is read only when the memo does not reach.

        Raises:
            TamperError: The stored tile does not hold this subtree, though the tree should.
        """
        tile_level, height = divmod(level, TILE_HEIGHT)
        n, i = divmod(index, TILE_WIDTH >> height)
        found = self._memo.get(tile_level, n, height, i)
        if found is None:
            hashes = _hashes(self._read_tile(tile_level, n), tile_level, n, (i + 1) << height)
            found = self._memo.widen(tile_level, n, hashes)[height][i]
        return found

    def root(self, size: int) -> bytes:
        """Give the tree head at `size` from one tile and at most 255 hashings per level.

        Raises:
            TamperError: A stored tile is narrower than `size` demands.
        """
        return range_root(0, size, self.node)


def _spell(n: int, width: int) -> str:
    """Spell N in groups of three digits, all but the last behind an x, and the width if partial."""
    digits = str(n)
    groups = f"{n:0{-(-len(digits) // 3) * 3}d}"
    spelled = "/".join(f"x{groups[i : i + 3]}" for i in range(0, len(groups) - 3, 3))
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return f"{spelled}/{groups[-3:]}{suffix}".lstrip("/")


def _require_place(level: int, n: int, width: int) -> None:
    if not (0 <= level <= 63 and n >= 0 and 1 <= width <= TILE_WIDTH):
        raise MalformedError("A tile has level 0 to 63 and width 1 to 256.", code="tile_path")
    if n << TILE_HEIGHT * (level + 1) > MAX_SIZE:
        raise MalformedError("No tree reaches that tile.", code="tile_path")


def _hashes(tile: bytes, level: int, n: int, at_least: int) -> list[bytes]:
    """Split a stored tile, which must hold whole hashes and at least so many."""
    if len(tile) % HASH_BYTES or not at_least * HASH_BYTES <= len(tile) <= TILE_WIDTH * HASH_BYTES:
        raise TamperError("A stored tile does not hold what the tree says.", level=level, n=n)
    return [tile[i : i + HASH_BYTES] for i in range(0, len(tile), HASH_BYTES)]


def _records(bundle: bytes) -> list[tuple[int, int]]:
    """Find where each record of a bundle starts and ends."""
    records: list[tuple[int, int]] = []
    start = 0
    while start < len(bundle):
        end = start + 2 + int.from_bytes(bundle[start : start + 2], "big")
        if end > len(bundle) or len(records) == TILE_WIDTH:
            raise MalformedError("An entry bundle is cut short or too long.", code="entry_bundle")
        records.append((start, end))
        start = end
    return records
