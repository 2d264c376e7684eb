"""Judge what the service committed to: whether a `heads.commit` is what the leaves before it give (pure).

Replay hands every leaf over in order. What a commitment says of `size` leaves is made again from just these, however
much later it was written.
"""

from collections import deque

from app.audit.ahead import AnyLeaf
from app.canon import b64url_encode
from app.custody.details import HeadsCommit
from app.custody.heads import HeadsInMemory


class HeadsWatch:
    """Every unit's latest event as of the newest commitment."""

    def __init__(self) -> None:
        """Start before the genesis."""
        self.tree = HeadsInMemory()
        self.commits: list[tuple[int, int, int, bytes]] = []
        """What was committed to and follows: (leaf index, size, units, root)."""
        self._since: deque[tuple[int, str, int, str]] = deque()
        self._size = 0

    def take(self, recorded: AnyLeaf) -> bool:
        """Take a leaf; say whether, if it is a commitment, it is the one that follows from the leaves before it."""
        told = recorded.event.details
        follows = True
        if isinstance(told, HeadsCommit) and recorded.verdict.result == "accepted":
            follows = self._follows(recorded.index, told)
        for link in recorded.links:
            self._since.append((recorded.index, link.unit, link.seq, recorded.hash))
        return follows

    def _follows(self, index: int, told: HeadsCommit) -> bool:
        if not self._size <= told.size <= index:
            return False
        latest: dict[str, tuple[int, str]] = {}
        while self._since and self._since[0][0] < told.size:
            _, unit, seq, digest = self._since.popleft()
            latest[unit] = (seq, digest)
        self.tree.take(latest)
        self._size = told.size
        self.commits.append((index, told.size, self.tree.n, self.tree.root))
        return (told.n, told.root) == (self.tree.n, b64url_encode(self.tree.root))
