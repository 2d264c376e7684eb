"""A second, naive implementation of RFC 6962/9162, written from the recursive definitions.

It shares no line with `app.ledger`: no levels, no shifts, no stored nodes. A proof is checked by
rebuilding the tree's shape with holes and filling them from the path.
"""

from collections.abc import Sequence
from hashlib import sha256


def _h(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def half(n: int) -> int:
    """The largest power of two smaller than n, by doubling."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Tree:
    """MTH, PATH and PROOF over leaves (not hashes), with the ranges remembered."""

    def __init__(self, leaves: Sequence[bytes]):
        self.leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}

    def mth(self, a: int, b: int) -> bytes:
        if a == b:
            return _h()
        if (a, b) not in self._known:
            if b - a == 1:
                value = _h(b"\0", self.leaves[a])
            else:
                m = a + half(b - a)
                value = _h(b"\1", self.mth(a, m), self.mth(m, b))
            self._known[a, b] = value
        return self._known[a, b]

    def path(self, m: int, a: int, b: int) -> list[bytes]:
        if b - a == 1:
            return []
        k = half(b - a)
        if m < k:
            return [*self.path(m, a, a + k), self.mth(a + k, b)]
        return [*self.path(m - k, a + k, b), self.mth(a, a + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        return self._subproof(m, 0, n, whole=True)

    def _subproof(self, m: int, a: int, b: int, *, whole: bool) -> list[bytes]:
        if m == b - a:
            return [] if whole else [self.mth(a, b)]
        k = half(b - a)
        if m <= k:
            return [*self._subproof(m, a, a + k, whole=whole), self.mth(a + k, b)]
        return [*self._subproof(m - k, a + k, b, whole=False), self.mth(a, a + k)]


def included(m: int, n: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the path leads from leaf m of n to the root."""
    rest = list(path)

    def climb(m: int, n: int) -> bytes:
        if n == 1:
            return leaf
        k = half(n)
        if m < k:
            left = climb(m, k)
            return _h(b"\1", left, rest.pop(0))
        right = climb(m - k, n - k)
        return _h(b"\1", rest.pop(0), right)

    try:
        return 0 <= m < n and climb(m, n) == root and not rest
    except IndexError:
        return False


def consistent(m: int, n: int, old: bytes, new: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof joins the roots of the first m and of all n leaves, 0 < m <= n."""
    rest = list(proof)

    def climb(m: int, n: int, whole: bool) -> tuple[bytes, bytes]:
        if m == n:
            both = old if whole else rest.pop(0)
            return both, both
        k = half(n)
        if m <= k:
            a, b = climb(m, k, whole)
            return a, _h(b"\1", b, rest.pop(0))
        a, b = climb(m - k, n - k, False)
        left = rest.pop(0)
        return _h(b"\1", left, a), _h(b"\1", left, b)

    try:
        return 0 < m <= n and climb(m, n, True) == (old, new) and not rest
    except IndexError:
        return False
