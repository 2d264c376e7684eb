"""What this process wrote last, so that a commitment to every unit's latest event need not read it again (pure).

`RecentLinks` is one unbroken run of leaves: when somebody else appended in between, or too much has gathered, a new run
begins, and what is not in it is read from the ledger. `UpperTiles` are those of the tree over units that nearly every
commitment touches; another process's commitment makes them worthless.
"""

from collections.abc import Iterable, Mapping

from app.custody.chain import Link
from app.ledger.amendable import Tiles

MAX_UNITS = 100_000
MAX_TILES = 65_536
"""64 MiB: a tree over sixteen million units."""


class RecentLinks:
    """The newest link of each unit that the leaves of one run named, in the order in which they first did."""

    def __init__(self) -> None:
        """Begin with an empty run."""
        self._first = self._end = 0
        self._latest: dict[str, tuple[int, bytes]] = {}

    def add(self, index: int, leaves: Iterable[tuple[Iterable[Link], bytes]]) -> None:
        """Take appended leaves.

        Args:
            index: Of the first of them.
            leaves: The links and the leaf hash of each, in order.
        """
        if index != self._end or len(self._latest) > MAX_UNITS:
            self.restart(index)
        for links, digest in leaves:
            self._end += 1
            for link in links:
                self._latest[link.unit] = (link.seq, digest)

    def restart(self, index: int, end: int | None = None) -> None:
        """Begin a run at a leaf to come, or at an earlier one when none from there to `end` links a unit."""
        self._first, self._end = index, index if end is None else end
        self._latest.clear()

    def between(self, first: int, end: int) -> Mapping[str, tuple[int, bytes]] | None:
        """Return (seq, leaf hash) of each unit's newest link in a range of leaves, and perhaps of earlier ones beside.

        Returns:
            None when the run does not cover the range, or goes on behind it.
        """
        return self._latest if self._first <= first and self._end == end else None


class UpperTiles:
    """Tiles above the lowest level, as the commitment at one leaf left them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._commit = -1
        self._tiles: Tiles = {}

    def of(self, commit: int) -> Tiles:
        """Return what is known of the tree of a commitment, which is named by its leaf index."""
        if commit != self._commit:
            self._tiles = {}
        return self._tiles

    def keep(self, commit: int, amended: Tiles) -> None:
        """Take the tiles that a commitment changed, on top of those that `of` gave for the one before."""
        if len(self._tiles) > MAX_TILES:
            self._tiles = {}
        self._tiles |= {place: tile for place, tile in amended.items() if place[0]}
        self._commit = commit
