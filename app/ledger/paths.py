"""Inclusion paths for many leaves of one tree (pure).

A group of events is answered with one proof each under one checkpoint. Neighbouring leaves share nearly all of
their path, so each node is read, and spelled as text, once a group. The paths are those of RFC 9162 section
2.1.3.1, read level by level: the sibling at each level, complete or cut short by the right edge, and nothing
where a node has no sibling. `tests/ledger/test_paths.py` holds them against `tree.inclusion_path`.
"""

from app.canon import b64url_encode
from app.ledger.tree import Node, range_root


class Paths:
    """The inclusion paths of a tree of one size."""

    def __init__(self, size: int, node: Node) -> None:
        """Read complete subtrees through `node`; it must know every one of a tree of `size` leaves."""
        self.size = size
        self._node = node
        self._spelled: dict[tuple[int, int], str] = {}

    def path(self, index: int) -> tuple[str, ...]:
        """Return the path of a leaf as base64url text, the leaf's sibling first.

        Raises:
            RuntimeError: The tree has no such leaf.
        """
        if not 0 <= index < self.size:
            raise RuntimeError(f"leaf {index} is not in a tree of {self.size}")
        path = []
        level, last = 0, self.size - 1
        while last:
            sibling = index ^ 1
            if sibling <= last:
                path.append(self._spelled.get((level, sibling)) or self._spell(level, sibling))
            level, index, last = level + 1, index >> 1, last >> 1
        return tuple(path)

    def _spell(self, level: int, sibling: int) -> str:
        start, end = sibling << level, (sibling + 1) << level
        found = self._node(level, sibling) if end <= self.size else range_root(start, self.size, self._node)
        spelled = self._spelled[(level, sibling)] = b64url_encode(found)
        return spelled
