"""The tree against its vectors, an oracle written otherwise, and everything that is not a proof."""

import random
from contextlib import suppress
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, UnprovenError
from app.ledger.tree import (
    EMPTY_ROOT,
    MAX_SIZE,
    Edge,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    range_root,
    root_of,
    subtree_decomposition,
    verify_consistency,
    verify_inclusion,
)
from tests.ledger import oracle
from tests.ledger.vectors import LEAVES, load

HASHES = [leaf_hash(leaf) for leaf in LEAVES]
TREE = oracle.Tree(LEAVES)
SOME_SIZES = (255, 256, 257, 300, 511, 512, 513, 600)
hashes = st.binary(min_size=32, max_size=32)
any_bytes = st.one_of(hashes, st.binary(max_size=40))
any_int = st.one_of(st.integers(-3, 70), st.integers(-(2**70), 2**70), st.integers())


@cache
def node(level: int, index: int) -> bytes:
    return root_of(HASHES[index << level : (index + 1) << level])


def test_the_worked_leaf_hashes_as_published():
    vector = load("leaf")
    leaf = vector["leaf"].encode()
    assert len(leaf) == vector["bytes"]
    assert leaf_hash(leaf).hex() == vector["leaf_hash"]


def test_the_worked_tree_has_the_published_hashes():
    vector = load("tree")
    assert leaf_hash(b"e0").hex() == vector["leaf_e0"]
    assert node_hash(HASHES[0], HASHES[1]).hex() == vector["node_e0_e1"]
    assert vector["roots"]["0"] == EMPTY_ROOT.hex()
    for size, root in vector["roots"].items():
        assert root_of(HASHES[: int(size)]).hex() == root


def test_every_way_to_a_root_agrees_at_every_size():
    edge = Edge()
    for size in range(601):
        root = TREE.mth(0, size)
        assert root == root_of(HASHES[:size]) == edge.root() == range_root(0, size, node)
        assert edge.size == size
        assert edge == Edge().extend(HASHES[:size]) == Edge.from_bytes(edge.to_bytes())
        edge = edge.append(HASHES[size])


@pytest.mark.parametrize("sizes", [range(1, 100), SOME_SIZES], ids=["small", "around tiles"])
def test_every_inclusion_path_is_the_oracles_and_verifies(sizes):
    for size in sizes:
        root = TREE.mth(0, size)
        for index in range(size):
            path = inclusion_path(index, size, node)
            assert path == TREE.path(index, 0, size)
            verify_inclusion(index, size, HASHES[index], path, root)
            assert oracle.included(index, size, HASHES[index], path, root)


@pytest.mark.parametrize("sizes", [range(1, 100), SOME_SIZES], ids=["small", "around tiles"])
def test_every_consistency_path_is_the_oracles_and_verifies(sizes):
    for new in sizes:
        for old in range(1, new + 1):
            path = consistency_path(old, new, node)
            assert path == TREE.proof(old, new)
            verify_consistency(old, new, TREE.mth(0, old), TREE.mth(0, new), path)
            assert oracle.consistent(old, new, TREE.mth(0, old), TREE.mth(0, new), path)


def partly_known(*boundaries: int):
    """A tree of any size: subtrees are opaque unless a boundary lies strictly inside or is their leaf."""

    def read(level: int, index: int) -> bytes:
        start, end = index << level, (index + 1) << level
        if level and any(start < boundary < end for boundary in boundaries):
            return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))
        return sha256(f"{level} {index}".encode()).digest()

    return read


@given(st.integers(1, MAX_SIZE), st.data())
def test_proofs_hold_in_trees_of_any_size(size, data):
    index = data.draw(st.integers(0, size - 1))
    read = partly_known(index, index + 1)
    path = inclusion_path(index, size, read)
    verify_inclusion(index, size, read(0, index), path, range_root(0, size, read))
    assert oracle.included(index, size, read(0, index), path, range_root(0, size, read))

    old = index + 1
    read = partly_known(old)
    roots = range_root(0, old, read), range_root(0, size, read)
    proof = consistency_path(old, size, read)
    verify_consistency(old, size, *roots, proof)
    assert oracle.consistent(old, size, *roots, proof)


def damaged(path: list[bytes], rng: random.Random) -> list[list[bytes]]:
    """The path shorter, longer, reordered, and with one bit flipped anywhere."""
    bad = [path[:-1], path[1:], path[::-1], [*path, bytes(32)], [bytes(32), *path], [*path, *path], []]
    for i, value in enumerate(path):
        flipped = bytearray(value)
        flipped[rng.randrange(32)] ^= 1 << rng.randrange(8)
        bad += [[*path[:i], bytes(flipped), *path[i + 1 :]], [*path[:i], value[:-1], *path[i + 1 :]]]
        bad += [[*path[:i], *path[i + 1 :]], [*path[:i], value, *path[i:]]]
    return [each for each in bad if each != path]


def test_no_damaged_inclusion_proof_verifies():
    rng = random.Random(257)
    for size in (1, 2, 3, 7, 8, 9, 255, 256, 300):
        root = TREE.mth(0, size)
        for index in {0, 1, size // 2, size - 2, size - 1} & set(range(size)):
            path = TREE.path(index, 0, size)
            arguments = [(index, size, HASHES[index], bad, root) for bad in damaged(path, rng)]
            arguments += [(other, size, HASHES[index], path, root) for other in range(-2, size + 3) if other != index]
            arguments += [
                (index, size, HASHES[index + 1], path, root),
                (index, size, HASHES[index], path, root[:-1]),
            ]
            arguments += [(index, size, HASHES[index], path, TREE.mth(0, size + 1))]
            for each in arguments:
                with pytest.raises(UnprovenError) as refused:
                    verify_inclusion(*each)
                assert refused.value.code == "inclusion_proof"


def test_no_damaged_consistency_proof_verifies():
    rng = random.Random(300)
    for old, new in (
        (1, 2),
        (1, 8),
        (2, 3),
        (3, 7),
        (4, 8),
        (6, 8),
        (128, 300),
        (255, 300),
        (256, 300),
        (7, 7),
    ):
        path, old_root, new_root = TREE.proof(old, new), TREE.mth(0, old), TREE.mth(0, new)
        arguments = [(old, new, old_root, new_root, bad) for bad in damaged(path, rng)]
        arguments += [(old, new, bytes(32), new_root, path), (old, new, old_root, bytes(32), path)]
        arguments += [(old + 1, new, old_root, new_root, path), (old - 1, new, old_root, new_root, path)]
        arguments += [(new, old, new_root, old_root, path)] if old < new else []
        for each in arguments:
            with pytest.raises(UnprovenError) as refused:
                verify_consistency(*each)
            assert refused.value.code == "consistency_proof"


def test_a_proof_does_not_bind_a_size_only_a_signed_root_does():
    """From 1 to 7 and from 1 to 8 the path has one shape: sizes are believed because they are signed."""
    path, roots = TREE.proof(1, 8), (TREE.mth(0, 1), TREE.mth(0, 8))
    verify_consistency(1, 7, *roots, path)
    assert oracle.consistent(1, 7, *roots, path)


def test_a_proof_from_size_zero_is_empty_and_the_verifier_refuses_it():
    assert consistency_path(0, 5, node) == []
    for path in ([], [TREE.mth(0, 5)]):
        with pytest.raises(UnprovenError):
            verify_consistency(0, 5, EMPTY_ROOT, TREE.mth(0, 5), path)


@given(any_int, any_int, any_bytes, any_bytes, st.lists(any_bytes, max_size=80))
def test_the_verifiers_raise_nothing_but_unproven(first, second, a, b, path):
    for verifier, arguments in (
        (verify_inclusion, (first, second, a, path, b)),
        (verify_consistency, (first, second, a, b, path)),
    ):
        try:
            verifier(*arguments)
        except UnprovenError:
            continue
        judge = oracle.included if verifier is verify_inclusion else oracle.consistent
        assert judge(*arguments)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3), st.data())
def test_the_verifiers_agree_with_the_oracle_on_arbitrary_small_proofs(first, second, length, data):
    """Few distinct hashes, so that wrong proofs come close to right ones."""
    pool = st.sampled_from([HASHES[0], HASHES[1], TREE.mth(0, 2), TREE.mth(0, 3), TREE.mth(2, 4), TREE.mth(0, 4)])
    a, b, *path = [data.draw(pool) for _ in range(length + 2)]
    for verifier, judge, arguments in (
        (verify_inclusion, oracle.included, (first, second, a, path, b)),
        (verify_consistency, oracle.consistent, (first, second, a, b, path)),
    ):
        try:
            verifier(*arguments)
            verdict = True
        except UnprovenError:
            verdict = False
        assert verdict == judge(*arguments)


@given(st.binary(max_size=120))
def test_an_edge_is_read_strictly(data):
    with suppress(MalformedError):
        assert Edge.from_bytes(data).to_bytes() == data


def test_an_edge_that_no_tree_has_is_refused():
    whole = Edge().extend(HASHES[:7]).to_bytes()
    sizes = (0, 1, 8, 15, 2**63)
    for bad in (
        b"",
        whole[:-1],
        whole + b"\0",
        whole[8:],
        *(n.to_bytes(8, "big") + whole[8:] for n in sizes),
    ):
        with pytest.raises(MalformedError):
            Edge.from_bytes(bad)
    for size, roots in (
        (1, (b"short",)),
        (-1, ()),
        (MAX_SIZE + 1, (HASHES[0],)),
        (2, (HASHES[0], HASHES[1])),
    ):
        with pytest.raises(MalformedError):
            Edge(size, roots)


def test_our_own_misuse_is_a_runtime_error():
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(RuntimeError):
            inclusion_path(index, size, node)
    for old, new in ((-1, 3), (4, 3)):
        with pytest.raises(RuntimeError):
            consistency_path(old, new, node)
    for start, end in ((1, 3), (3, 5), (3, 2), (-1, 0)):
        with pytest.raises(RuntimeError):
            subtree_decomposition(start, end)
    with pytest.raises(RuntimeError):
        Edge().append(b"a leaf, not its hash")


def test_a_range_is_cut_into_complete_subtrees():
    assert subtree_decomposition(0, 0) == []
    assert subtree_decomposition(0, 7) == [(2, 0), (1, 2), (0, 6)]
    assert subtree_decomposition(256, 300) == [(5, 8), (3, 36), (2, 74)]
