"""Paths for many leaves equal the paths of RFC 9162, leaf by leaf."""

import json

import pytest

from app.canon import b64url_encode
from app.ledger.paths import Paths
from app.ledger.tree import inclusion_path, leaf_hash, root_of

LEAVES = [leaf_hash(str(i).encode()) for i in range(600)]


def node(level: int, index: int) -> bytes:
    """Return a complete subtree of the test's tree."""
    return root_of(LEAVES[index << level : (index + 1) << level])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 8, 9, 31, 33, 255, 256, 257, 300, 513, 600])
def test_every_path_of_a_tree_is_the_rfcs(size: int) -> None:
    paths = Paths(size, node)
    for index in range(size):
        told = json.loads(paths.path(index))
        assert told == list(map(b64url_encode, inclusion_path(index, size, node)))


@pytest.mark.parametrize("index", [-1, 5, 6])
def test_a_leaf_outside_the_tree_has_no_path(index: int) -> None:
    with pytest.raises(RuntimeError, match="not in a tree"):
        Paths(5, node).path(index)
