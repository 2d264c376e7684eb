"""Tiles: their paths, their growth, and the tree that is read out of them again."""

import random
import tracemalloc
from contextlib import suppress
from itertools import islice
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, MissingError, TamperError, TooLargeError
from app.ledger.tiles import (
    BundleCoordinate,
    TileCoordinate,
    TileMemo,
    TileNodes,
    bundle_entry,
    bundle_prefix,
    grow_tiles,
    parse_bundle,
    parse_path,
    prefix,
    tile_width,
    touched_bundles,
    touched_tiles,
)
from app.ledger.tree import EMPTY_ROOT, consistency_path, inclusion_path, leaf_hash, root_of, verify_inclusion
from tests.ledger import oracle
from tests.ledger.vectors import LEAVES, load, named

VECTOR = load("tiles")
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
TREE = oracle.Tree(LEAVES)
MANY = [leaf_hash(str(i).encode()) for i in range(66_000)]  # just beyond one full tile of level 1


class Store:
    """The rows that append.py keeps: one per tile, which may only be extended."""

    def __init__(self):
        self.rows, self.reads, self.size = {}, 0, 0

    def read(self, level, n):
        self.reads += 1
        return self.rows.get((level, n), b"")

    def grow(self, hashes):
        grown = list(grow_tiles(self.size, hashes, self.read))
        new_size = self.size + len(hashes)
        assert [place for place, _ in grown] == list(touched_tiles(self.size, new_size))
        for place, data in grown:
            assert len(data) == 32 * place.width
            assert data.startswith(self.rows.get((place.level, place.n), b""))
            self.rows[place.level, place.n] = data
        self.size = new_size
        return self


@pytest.fixture(scope="module")
def large():
    return Store().grow(MANY)


def test_a_tree_has_the_tiles_that_the_specification_lists():
    for size, paths in VECTOR["trees"].items():
        assert [place.path() for place in touched_tiles(0, int(size))] == paths
    for size, paths in VECTOR["bundles"].items():
        assert [place.path() for place in touched_bundles(0, int(size))] == paths


def test_a_tree_of_70000_has_the_tiles_of_the_specifications_example():
    widths = {}
    for place in touched_tiles(0, 70_000):
        widths.setdefault(place.level, []).append(place.width)
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}


@pytest.mark.parametrize("case", VECTOR["paths"], ids=lambda case: case["path"])
def test_paths_are_written_and_read(case):
    place = (
        BundleCoordinate(case["n"], case["width"])
        if case["level"] is None
        else TileCoordinate(case["level"], case["n"], case["width"])
    )
    assert place.path() == case["path"]
    assert parse_path(case["path"]) == place


@pytest.mark.parametrize("path", named("tile_paths_malformed", "path"))
def test_a_malformed_path_is_refused(path):
    with pytest.raises(MalformedError) as refused:
        parse_path(path)
    assert refused.value.code == "tile_path"


@given(st.integers(0, 7), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_every_place_comes_back_from_its_path(level, n, width):
    tile = TileCoordinate(level, n >> 8 * level, width)
    assert parse_path(tile.path()) == tile
    assert parse_path(BundleCoordinate(n, width).path()) == BundleCoordinate(n, width)


@given(st.one_of(st.text(max_size=40), st.text(st.sampled_from("tile/entries0x12.p"), max_size=30)))
def test_garbage_is_no_path(garbage):
    for path in (garbage, f"tile/{garbage}", f"tile/0/{garbage}", f"tile/entries/{garbage}"):
        with suppress(MalformedError):
            assert parse_path(path).path() == path


@pytest.mark.parametrize(
    "place", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 2**55, 1), (7, 1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_a_place_that_no_tree_has_is_refused(place):
    with pytest.raises(MalformedError):
        TileCoordinate(*place)


@given(st.integers(0, 70_000), st.integers(0, 3_000))
def test_the_tiles_that_grow_are_those_whose_width_changes(old, more):
    new = old + more
    touched = touched_tiles(old, new)
    assert all(tile_width(t.level, t.n, old) < t.width == tile_width(t.level, t.n, new) for t in touched)
    assert sum(t.width - tile_width(t.level, t.n, old) for t in touched) == sum(
        (new >> 8 * level) - (old >> 8 * level) for level in range(4)
    )
    bundles = touched_bundles(old, new)
    assert [(b.n, b.width) for b in bundles] == [(t.n, t.width) for t in touched if t.level == 0]


@given(st.integers(0, 70_000), st.integers(0, 3_000), st.integers(0, 4))
def test_the_number_of_tiles_that_grow_is_known_before_they_are_made(old, more, lowest):
    tiles, bundles = touched_tiles(old, old + more, lowest=lowest), touched_bundles(old, old + more)
    assert list(tiles) == [each for each in touched_tiles(old, old + more) if each.level >= lowest]
    assert (len(tiles), len(bundles)) == (len(list(tiles)), len(list(bundles)))


def test_the_tiles_of_a_size_that_is_only_claimed_cost_nothing():
    tracemalloc.start()
    first = list(islice(touched_tiles(0, 2**26), 2)), list(islice(touched_bundles(0, 2**26), 2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert first == ([TileCoordinate(0, 0), TileCoordinate(0, 1)], [BundleCoordinate(0), BundleCoordinate(1)])
    assert peak < 1_000_000
    assert len(touched_tiles(0, 2**62)) == sum(-(-(2**62 >> 8 * level) // 256) for level in range(8))
    assert len(touched_bundles(1, 2**62)) == 2**54


def test_tiles_grown_leaf_by_leaf_are_those_grown_at_once_and_only_ever_extended():
    single, grouped, rng = Store(), Store(), random.Random(64)
    while grouped.size < 600:
        grouped.grow(HASHES[grouped.size : min(600, grouped.size + rng.randrange(1, 300))])
    for value in HASHES[:600]:
        single.grow([value])
        assert TileNodes(single.read).root(single.size) == TREE.mth(0, single.size)
    assert single.rows == grouped.rows == Store().grow(HASHES[:600]).rows
    assert single.rows[1, 0] == TREE.mth(0, 256) + TREE.mth(256, 512)


def test_the_root_from_tiles_is_the_root_from_leaves_at_every_size():
    store, memo = Store().grow(HASHES[:600]), TileMemo()
    for size in range(601):
        assert TileNodes(store.read, memo).root(size) == root_of(HASHES[:size])
    assert TileNodes(Store().read).root(0) == EMPTY_ROOT


def test_the_root_of_a_large_tree_needs_one_tile_per_level(large):
    for size in (65_535, 65_536, 65_537, 66_000):
        large.reads = 0
        assert TileNodes(large.read).root(size) == root_of(MANY[:size])
        assert large.reads <= 3


def test_proofs_from_tiles_are_the_oracles():
    nodes = TileNodes(Store().grow(HASHES[:600]).read)
    for size in (1, 2, 255, 256, 257, 300, 512, 513, 600):
        for index in range(size):
            assert inclusion_path(index, size, nodes.node) == TREE.path(index, 0, size)
            assert consistency_path(index + 1, size, nodes.node) == TREE.proof(index + 1, size)


def test_proofs_in_a_large_tree_read_each_tile_once(large):
    nodes, root = TileNodes(large.read), root_of(MANY)
    large.reads = 0
    for index in [*range(300), 32_768, 65_535, 65_536, 65_999]:
        path = inclusion_path(index, 66_000, nodes.node)
        verify_inclusion(index, 66_000, MANY[index], path, root)
    assert large.reads <= len({i >> 8 for i in (*range(300), 32_768, 65_535, 65_536)}) + 4


def test_a_memo_follows_a_tile_that_grows_and_stays_within_its_bound():
    store, memo = Store(), TileMemo(max_tiles=2)
    for size in range(1, 601):
        store.grow([HASHES[size - 1]])
        nodes = TileNodes(store.read, memo)
        assert inclusion_path(size // 2, size, nodes.node) == TREE.path(size // 2, 0, size)
        assert len(memo._tiles) <= 2


def test_a_memo_shared_between_threads_stays_right():
    store, memo, wrong = Store().grow(HASHES[:600]), TileMemo(max_tiles=2), []

    def prove(seed):
        rng = random.Random(seed)
        for _ in range(150):
            size = rng.randrange(1, 601)
            index = rng.randrange(size)
            if inclusion_path(index, size, TileNodes(store.read, memo).node) != TREE.path(index, 0, size):
                wrong.append((index, size))

    threads = [Thread(target=prove, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_stored_tile_that_is_too_narrow_or_ragged_raises_the_alarm():
    whole = Store().grow(HASHES[:300])
    for place, data in (((0, 1), whole.rows[0, 1][:-32]), ((0, 1), whole.rows[0, 1][:-1]), ((1, 0), b"")):
        store = Store()
        store.rows = {**whole.rows, place: data}
        with pytest.raises(TamperError):
            TileNodes(store.read).root(300)
    store = Store()
    store.rows, store.size = {(0, 0): b"".join(HASHES[:4])}, 5
    with pytest.raises(TamperError):
        list(grow_tiles(5, HASHES[5:6], store.read))


def test_a_flipped_bit_in_a_tile_changes_the_root():
    store = Store().grow(HASHES[:300])
    flipped = bytearray(store.rows[0, 1])
    flipped[500] ^= 4
    store.rows[0, 1] = bytes(flipped)
    assert TileNodes(store.read).root(300) != TREE.mth(0, 300)


def test_growing_overwrites_what_a_wider_row_held_beyond_the_size():
    """A row wider than the committed size is cut to it: only the size says what is committed."""
    ahead = Store().grow(HASHES[:10])
    [(place, data)] = grow_tiles(5, HASHES[100:102], ahead.read)
    assert (place, data) == (TileCoordinate(0, 0, 7), b"".join(HASHES[:5] + HASHES[100:102]))


def test_every_partial_tile_is_a_prefix():
    tile = b"".join(HASHES[:256])
    for width in (1, 44, 255, 256):
        assert prefix(tile, width) == b"".join(HASHES[:width])
    for stored, width in ((tile, 0), (tile, 257), (tile, -1), (tile[:320], 11), (b"", 1)):
        with pytest.raises(MissingError):
            prefix(stored, width)


def test_the_worked_bundle_and_its_prefixes():
    bundle = bytes.fromhex(VECTOR.get("bundle_e0_e1", load("tree")["bundle_e0_e1"]))
    assert bundle_entry(b"e0") + bundle_entry(b"e1") == bundle
    assert parse_bundle(bundle) == [b"e0", b"e1"]
    assert bundle_prefix(bundle, 1) == bundle_entry(b"e0")
    assert bundle_prefix(bundle, 2) == bundle
    for width in (0, 3, -1):
        with pytest.raises(MissingError):
            bundle_prefix(bundle, width)


@given(st.lists(st.binary(max_size=300), max_size=20), st.binary(min_size=1, max_size=3))
def test_a_bundle_comes_back_and_nothing_may_follow_or_lack(leaves, junk):
    bundle = b"".join(map(bundle_entry, leaves))
    assert parse_bundle(bundle) == leaves
    for width in range(1, len(leaves) + 1):
        assert parse_bundle(bundle_prefix(bundle, width)) == leaves[:width]
    for bad in (bundle + b"\xff" + junk, bundle[:-1] if leaves else b"\0"):
        with pytest.raises(MalformedError):
            parse_bundle(bad)


def test_the_limits_of_bundles_are_exact():
    assert parse_bundle(bundle_entry(bytes(65_535))) == [bytes(65_535)]
    with pytest.raises(TooLargeError):
        bundle_entry(bytes(65_536))
    assert len(parse_bundle(bundle_entry(b"") * 256)) == 256
    with pytest.raises(MalformedError):
        parse_bundle(bundle_entry(b"") * 257)
