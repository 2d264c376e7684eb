"""The tree whose leaves may change in place: always the tree of its present leaves, and read back as one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TamperError
from app.ledger.amendable import TILE_BYTES, amend_tiles, nodes
from app.ledger.tree import inclusion_path, leaf_hash, range_root, root_of, verify_inclusion


class Shelf:
    """Tiles in memory."""

    def __init__(self):
        self.tiles, self.leaves = {}, []

    def set(self, changed):
        for position, value in sorted(changed.items()):
            self.leaves[position : position + 1] = [value]
        self.tiles |= amend_tiles(
            changed, lambda level, ns: {n: self.tiles[level, n] for n in ns if (level, n) in self.tiles}
        )

    @property
    def node(self):
        return nodes(lambda level, n: self.tiles.get((level, n), b""))

    def root(self):
        return range_root(0, len(self.leaves), self.node)


def value(number):
    return leaf_hash(str(number).encode())


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 40)), min_size=1, max_size=12))
def test_it_is_the_tree_of_its_present_leaves(steps):
    shelf, number = Shelf(), 0
    for where, many in steps:
        first = min(where, len(shelf.leaves))
        changed = {first + i: value(number := number + 1) for i in range(many)}
        shelf.set(changed)
        assert shelf.root() == root_of(shelf.leaves)
    for index in range(0, len(shelf.leaves), 7):
        path = inclusion_path(index, len(shelf.leaves), shelf.node)
        verify_inclusion(index, len(shelf.leaves), shelf.leaves[index], path, shelf.root())


@pytest.mark.parametrize("size", [1, 15, 16, 17, 255, 256, 257, 4096, 4097])
def test_it_is_the_tree_at_the_edges_of_tiles(size):
    shelf = Shelf()
    shelf.set({i: value(i) for i in range(size)})
    assert shelf.root() == root_of(shelf.leaves)
    shelf.set({size - 1: value("last"), 0: value("first")})
    assert shelf.root() == root_of(shelf.leaves)


def test_a_change_rewrites_one_tile_a_level():
    shelf = Shelf()
    shelf.set({i: value(i) for i in range(16**3)})
    asked = []

    def read(level, numbers):
        asked.append((level, list(numbers)))
        return {n: shelf.tiles[level, n] for n in numbers if (level, n) in shelf.tiles}

    amended = amend_tiles({1000: value("x")}, read)
    assert sorted(amended) == [(0, 62), (1, 3), (2, 0), (3, 0)]
    assert asked == [(0, [62]), (1, [3]), (2, [0]), (3, [0])]


def test_a_tile_that_was_cut_is_told():
    shelf = Shelf()
    shelf.set({i: value(i) for i in range(20)})
    whole = shelf.tiles[0, 0]
    for damaged in (whole[:-1], b"", whole[: TILE_BYTES // 2]):
        shelf.tiles[0, 0] = damaged
        with pytest.raises(TamperError):
            shelf.node(0, 15)
    with pytest.raises(TamperError):
        amend_tiles({0: value(0)}, lambda _level, _ns: {0: whole[:-1]})
    with pytest.raises(TamperError):
        nodes(lambda _level, _n: bytes(TILE_BYTES))(0, 3)


def test_without_the_path_upward_it_would_be_another_tree():
    """Control: what sets a leaf and hashes nothing above it does not give the root."""
    shelf = Shelf()
    shelf.set({i: value(i) for i in range(40)})
    tile = bytearray(shelf.tiles[0, 1])
    start = (16 + 3) * 32
    tile[start : start + 32] = value("new")
    shelf.tiles[0, 1] = bytes(tile)
    shelf.leaves[19] = value("new")
    assert shelf.root() != root_of(shelf.leaves)


def test_many_random_changes_agree_with_hashing_everything():
    dice = random.Random(7)
    shelf = Shelf()
    shelf.set({i: value(i) for i in range(3000)})
    for round_ in range(5):
        shelf.set({dice.randrange(3000): value((round_, i)) for i in range(100)})
        assert shelf.root() == root_of(shelf.leaves)
