"""The Merkle tree of RFC 9162 section 2.1 (the same tree as RFC 6962) over SHA-256.

Knows hashes and positions; must never know what a leaf says, where hashes are stored or who signed a
root. Proofs are built from a `Node` function, so the same code reads tiles, a list or a remote mirror.
The two verifiers are transcribed step by step from the RFC and share nothing with the builders: what
builds a proof here is never what judges it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self, TypeAlias

from app.errors import MalformedError, UnprovenError

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

Node: TypeAlias = Callable[[int, int], bytes]
"""`node(level, i)` is the hash of the complete subtree over leaves [i * 2**level, (i + 1) * 2**level)."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash one leaf: SHA-256(0x00 || leaf), RFC 9162 section 2.1.1."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children: SHA-256(0x01 || left || right), RFC 9162 section 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """Compute the tree head straight from the definition of MTH, RFC 9162 section 2.1.1.

    The second way to a root: it shares neither state nor shortcuts with `Edge` and the tiles.

    Args:
        leaf_hashes: Leaf hashes of 32 bytes, not leaves, in the order of their indices.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    if len(leaf_hashes) == 1:
        return leaf_hashes[0]
    k = _split(len(leaf_hashes))
    return node_hash(root_of(leaf_hashes[:k]), root_of(leaf_hashes[k:]))


def subtree_decomposition(start: int, end: int) -> list[tuple[int, int]]:
    """Cut the leaves [start, end) into complete subtrees, largest and leftmost first.

    These are the left children that MTH of RFC 9162 section 2.1.1 splits off, one after the other.
    `start` must be a multiple of the first one's width, as it is wherever that recursion arrives.

    Returns:
        Pairs (level, index) in the sense of `Node`.

    Raises:
        RuntimeError: The range is not one that the recursion visits: our own mistake.
    """
    if not 0 <= start <= end or (start and start % _largest_power(end - start)):
        raise RuntimeError(f"[{start}, {end}) is no subtree of a Merkle tree")
    pieces = []
    while start < end:
        level = (end - start).bit_length() - 1
        pieces.append((level, start >> level))
        start += 1 << level
    return pieces


def range_root(start: int, end: int, node: Node) -> bytes:
    """Compute MTH(D[start:end]) from complete subtrees, RFC 9162 section 2.1.1.

    Reads at most one node for each bit of `end - start`; `range_root(0, size, node)` is the tree head.
    """
    return _fold([node(level, index) for level, index in subtree_decomposition(start, end)])


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """Build PATH(index, D[size]), RFC 9162 section 2.1.3.1.

    Args:
        index: The leaf, counted from 0.
        size: The size of the tree in which it is proven; every complete subtree of it must be readable.
        node: Reads complete subtrees.

    Returns:
        Hashes of 32 bytes, the leaf's sibling first and the root's child last.

    Raises:
        RuntimeError: The tree has no such leaf; callers ask for leaves they know.
    """
    if not 0 <= index < size:
        raise RuntimeError(f"leaf {index} is not in a tree of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(range_root(middle, end, node))
            end = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    return path[::-1]


def consistency_path(old: int, new: int, node: Node) -> list[bytes]:
    """Build PROOF(old, D[new]), RFC 9162 section 2.1.4.1.

    For old 0 the path is empty: every tree extends the empty one, as c2sp.org/tlog-witness has it. The
    verifier below refuses old 0, so a protocol that allows it must say so itself.

    Raises:
        RuntimeError: `old` exceeds `new`; callers order the sizes.
    """
    if not 0 <= old <= new:
        raise RuntimeError(f"a tree of {old} cannot grow into one of {new}")
    path = []
    start, end = 0, new if old else 0
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(range_root(middle, end, node))
            end = middle
        else:
            path.append(range_root(start, middle, node))
            start = middle
    if start:
        path.append(range_root(start, end, node))
    return path[::-1]


def verify_inclusion(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> None:
    """Verify an inclusion proof, RFC 9162 section 2.1.3.2; the numbers below are the RFC's steps.

    Does not check who vouches for `root`, nor that `leaf` is the hash of anything.

    Args:
        index: The claimed leaf index.
        size: The tree size that belongs to `root`.
        leaf: The leaf hash.
        path: The hashes from the leaf's sibling to the root's child.
        root: The tree head to arrive at.

    Raises:
        UnprovenError: `inclusion_proof`; nothing else is raised for any integers and bytes.
    """
    if not 0 <= index < size <= MAX_SIZE:  # 1
        raise _unproven("inclusion_proof", "The leaf index lies outside the tree.")
    _require_hashes("inclusion_proof", leaf, root, *path)
    fn, sn = index, size - 1  # 2
    r = leaf  # 3
    for p in path:  # 4
        if sn == 0:  # 4.1
            raise _unproven("inclusion_proof", "The inclusion proof is longer than the tree is high.")
        if fn & 1 or fn == sn:  # 4.2
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1  # 4.3
    if sn != 0 or r != root:  # 5
        raise _unproven("inclusion_proof", "The inclusion proof does not lead to the root.")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Verify a consistency proof, RFC 9162 section 2.1.4.2; the numbers below are the RFC's steps.

    Equal sizes, which the RFC leaves out, need an empty path and equal roots. Old 0 is refused: it
    proves nothing, and a protocol that allows it decides so before it comes here.

    Args:
        old: The earlier tree size, at least 1.
        new: The later tree size.
        old_root: The tree head at `old`.
        new_root: The tree head at `new`.
        path: The hashes as `consistency_path` orders them.

    Raises:
        UnprovenError: `consistency_proof`; nothing else is raised for any integers and bytes.
    """
    if not 0 < old <= new <= MAX_SIZE:
        raise _unproven("consistency_proof", "The tree sizes are not in order.")
    _require_hashes("consistency_proof", old_root, new_root, *path)
    if old == new:
        if path or old_root != new_root:
            raise _unproven("consistency_proof", "Two trees of one size have different roots.")
        return
    if not path:  # 1
        raise _unproven("consistency_proof", "The consistency proof is empty.")
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)  # 2
    fn, sn = old - 1, new - 1  # 3
    while fn & 1:  # 4
        fn, sn = fn >> 1, sn >> 1
    fr = sr = hashes[0]  # 5
    for c in hashes[1:]:  # 6
        if sn == 0:  # 6.1
            raise _unproven("consistency_proof", "The consistency proof is longer than the tree is high.")
        if fn & 1 or fn == sn:  # 6.2
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1  # 6.3
    if fr != old_root or sr != new_root or sn != 0:  # 7
        raise _unproven("consistency_proof", "The consistency proof does not join the two roots.")


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: all that is needed to append to it and to know its root.

    Holds the stack of RFC 9162 section 2.1.2: the roots of complete subtrees, largest first, one for each
    bit set in `size`. A value: appending gives a new edge, so a transaction that fails leaves the old one.

    Raises:
        MalformedError: `ledger_edge`; the number or length of the roots does not fit the size.
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an edge that no tree has."""
        fits = 0 <= self.size <= MAX_SIZE and len(self.roots) == self.size.bit_count()
        if not fits or any(len(root) != HASH_BYTES for root in self.roots):
            raise MalformedError("The roots of this edge do not fit its size.", code="ledger_edge")

    def append(self, leaf: bytes) -> Self:
        """Give the edge after one more leaf hash, RFC 9162 section 2.1.2."""
        return self.extend((leaf,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Self:
        """Give the edge after more leaf hashes, in order, RFC 9162 section 2.1.2.

        Raises:
            RuntimeError: A leaf hash is not 32 bytes long: a leaf was passed instead of its hash.
        """
        roots, size = list(self.roots), self.size
        for leaf in leaf_hashes:
            if len(leaf) != HASH_BYTES:
                raise RuntimeError("an edge takes leaf hashes of 32 bytes, not leaves")
            roots.append(leaf)
            merges = size
            while merges & 1:
                right = roots.pop()
                roots.append(node_hash(roots.pop(), right))
                merges >>= 1
            size += 1
        return type(self)(size, tuple(roots))

    def root(self) -> bytes:
        """Give the tree head at `size`, RFC 9162 section 2.1.1."""
        return _fold(self.roots)

    def to_bytes(self) -> bytes:
        """Encode as the size in 8 bytes, big-endian, followed by the roots."""
        return self.size.to_bytes(8, "big") + b"".join(self.roots)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Decode what `to_bytes` wrote, and nothing else.

        Raises:
            MalformedError: `ledger_edge`; the length does not fit the size.
        """
        size, rest = int.from_bytes(data[:8], "big"), data[8:]
        if len(data) != 8 + HASH_BYTES * size.bit_count():
            raise MalformedError("The length of this edge does not fit its size.", code="ledger_edge")
        return cls(size, tuple(rest[i : i + HASH_BYTES] for i in range(0, len(rest), HASH_BYTES)))


def _split(width: int) -> int:
    """Give the largest power of two below `width`: k in RFC 9162 section 2.1.1."""
    return _largest_power(width - 1)


def _largest_power(width: int) -> int:
    """Give the largest power of two that is at most `width`, and 1 for 0."""
    return 1 << max(width.bit_length() - 1, 0)


def _fold(roots: Sequence[bytes]) -> bytes:
    """Hash the roots of complete subtrees, largest first, into the root over all of them."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def _require_hashes(code: str, *hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise _unproven(code, "A hash in the proof is not 32 bytes long.")


def _unproven(code: str, detail: str) -> UnprovenError:
    return UnprovenError(detail, code=code)
