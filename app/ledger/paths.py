"""Inclusion paths for many leaves of one tree (pure).

A group of events is answered with one proof each under one checkpoint. Neighbouring leaves share nearly all of
their path, so each node is read, and each stretch of a path spelled as text, once a group. The paths are those of
RFC 9162 section 2.1.3.1, read level by level: the sibling at each level, complete or cut short by the right edge,
and nothing where a node has no sibling. `tests/ledger/test_paths.py` holds them against `tree.inclusion_path`.
"""

from app.canon import b64url_encode
from app.ledger.tree import Node, range_root


class Paths:
    """The inclusion paths of a tree of one size, as they stand in a receipt."""

    def __init__(self, size: int, node: Node) -> None:
        """Read complete subtrees through `node`; it must know every one of a tree of `size` leaves."""
        self.size = size
        self._node = node
        self._above: dict[tuple[int, int], str] = {}

    def path(self, index: int) -> str:
        """Return the path of a leaf, its sibling first: the text of a JSON array of base64url hashes.

        Raises:
            RuntimeError: The tree has no such leaf.
        """
        if not 0 <= index < self.size:
            raise RuntimeError(f"leaf {index} is not in a tree of {self.size}")
        return f"[{self._from(0, index, self.size - 1)[1:]}]"

    def _from(self, level: int, index: int, last: int) -> str:
        """Return the path of a node up to the root, each hash behind a comma; `last` is its level's last node."""
        if not last:
            return ""
        # Kept by parent, whose path both children share.
        above = self._above.get((level, index >> 1))
        if above is None:
            above = self._above[(level, index >> 1)] = self._from(level + 1, index >> 1, last >> 1)
        sibling = index ^ 1
        return f',"{self._spell(level, sibling)}"{above}' if sibling <= last else above

    def _spell(self, level: int, sibling: int) -> str:
        start, end = sibling << level, (sibling + 1) << level
        found = self._node(level, sibling) if end <= self.size else range_root(start, self.size, self._node)
        return b64url_encode(found)
