"""Trusted trees and folders of tiles: nothing is given out or written over that the root does not vouch for."""

import pytest

from app.errors import MissingError, TamperError, TooLargeError, UnprovenError
from app.ledger.checkpoint import Checkpoint
from app.ledger.folder import TileFolder
from app.ledger.tiles import (
    BundleCoordinate,
    TileCoordinate,
    bundle_entry,
    grow_tiles,
    tile_width,
    touched_bundles,
    touched_tiles,
)
from app.ledger.tree import EMPTY_ROOT, leaf_hash, root_of
from app.ledger.trusted import TrustedTree

LEAVES = [str(n).encode() for n in range(1000)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def tiles_of(size):
    return {place.path(): data for place, data in grow_tiles(0, HASHES[:size], lambda _level, _n: b"")}


def tree_of(size, tiles=None):
    files = tiles_of(size) if tiles is None else tiles
    checkpoint = Checkpoint("trusted.example/l", size, root_of(HASHES[:size]))
    return TrustedTree(checkpoint, lambda place: files[place.path()])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 1000])
def test_every_tile_and_every_earlier_root_is_given(size):
    files, tree = tiles_of(size), tree_of(size)
    for place in touched_tiles(0, size):
        assert tree.tile(place.level, place.n) == files[place.path()]
    for earlier in {0, 1, 2, 3, size // 2, size - 1, size}:
        if earlier <= size:
            assert tree.root_at(earlier) == root_of(HASHES[:earlier])
    for outside in (-1, size + 1):
        with pytest.raises(MissingError):
            tree.root_at(outside)
    for level, n in ((0, size // 256 + 1), (5, 0)):
        with pytest.raises(MissingError):
            tree.tile(level, n)


@pytest.mark.parametrize("size", [1, 255, 256, 300, 1000])
def test_no_changed_byte_of_any_tile_is_given_out(size):
    for path, data in tiles_of(size).items():
        for at in (0, 31, len(data) // 2, len(data) - 1):
            changed = bytearray(data)
            changed[at] ^= 0x80
            for bad in (bytes(changed), data[:-1], data[:-32], data + b"x", data + bytes(32), b""):
                tree = tree_of(size, {**tiles_of(size), path: bad})
                with pytest.raises(UnprovenError) as caught:
                    [tree.tile(place.level, place.n) for place in touched_tiles(0, size)]
                assert caught.value.code == "tile"


def test_the_empty_tree_has_one_root():
    none = TrustedTree(Checkpoint("trusted.example/l", 0, EMPTY_ROOT), lambda _: b"")
    assert (none.edge(), none.root_at(0)) == ({}, EMPTY_ROOT)
    with pytest.raises(UnprovenError):
        TrustedTree(Checkpoint("trusted.example/l", 0, bytes(32)), lambda _: b"").edge()


def bundle(n, width):
    return b"".join(map(bundle_entry, LEAVES[256 * n : 256 * n + width]))


def test_leaves_are_those_of_the_tree():
    tree = tree_of(1000)
    for place in touched_bundles(0, 1000):
        first = 256 * place.n
        assert tree.leaves(place, bundle(place.n, place.width)) == LEAVES[first : first + place.width]
    place = BundleCoordinate(3, tile_width(0, 3, 1000))
    for data, index in (
        (bundle(2, place.width), 768),
        (bundle(3, place.width - 1), 999),
        (bundle(3, place.width) + bundle_entry(b"more"), 1000),
        (bundle(3, place.width).replace(b"\x00\x03900", b"\x00\x03901"), 900),
    ):
        with pytest.raises(UnprovenError) as caught:
            tree.leaves(place, data)
        assert caught.value.facts["index"] == index
    with pytest.raises(MissingError):
        tree.leaves(BundleCoordinate(3), bundle(3, 232))


def test_a_file_is_kept_once_and_never_over_another(tmp_path):
    folder, place = TileFolder(tmp_path), TileCoordinate(0, 1234067, 3)
    assert folder.read(place) is None
    assert folder.keep(place, bytes(96))
    assert not folder.keep(place, bytes(96))
    assert (tmp_path / "tile/0/x001/x234/067.p/3").read_bytes() == bytes(96)
    for other in (bytes(95), b"x" * 96, bytes(97), b""):
        with pytest.raises(TamperError):
            folder.keep(place, other)
    assert folder.read(place) == bytes(96)


def test_a_file_that_no_tile_can_be_is_not_read(tmp_path):
    folder = TileFolder(tmp_path)
    for name, read in (
        ("checkpoint", folder.checkpoint),
        ("tile/0/000", lambda: folder.read(TileCoordinate(0, 0))),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(70_000))
        with pytest.raises(TooLargeError):
            read()
    assert folder.document("../checkpoint") is None


def test_narrow_tiles_go_when_their_tile_is_full(tmp_path):
    folder = TileFolder(tmp_path)
    for size in (3, 255, 256, 300):
        for place, data in grow_tiles(0, HASHES[:size], lambda _level, _n: b""):
            folder.keep(place, data)
    folder.drop_narrow(0, 300)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"}
