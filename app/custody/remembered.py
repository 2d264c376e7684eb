"""Records as this process's last commit left them, so that the next group need not read them again (pure).

Every record follows from the leaves, and whoever appends leaves moves the head. So as long as the locked head is the
very tree that this process appended last, what it knows is what stands in the tables; the root says so, and no clock
and no guess. When anybody else appended in between, or the database was restored, the roots differ and all is
forgotten. Where a
record was looked for and there was none, that is known as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.canon import b64url_encode
from app.custody.state import EventRef, Handover, Waiting
from app.ledger.tree import EMPTY_ROOT

MAX_RECORDS = 60_000
"""Some 60 MB: half of them were used since the last turn of generations, the others in the one before."""

Kinds = Mapping[type, Mapping[str, Any]]
ABSENT = object()
"""Stands for: looked for, and not there."""
UNIQUE_TO_EVENTS = frozenset({EventRef, Waiting, Handover})
"""Kinds whose keys are hashes of events: nobody asks again for one that is not there."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What this ledger's tree was at a size: its root as base64url, and when its last leaf came (UTC milliseconds)."""

    root: str
    received_ms: int


NO_TREE = Tree(b64url_encode(EMPTY_ROOT), 0)
"""Before the first leaf."""


class Remembered:
    """Records by kind and key, as of one root; those used least recently go first."""

    def __init__(self, most: int = MAX_RECORDS) -> None:
        """Start with nothing.

        Args:
            most: How many records are kept.
        """
        self._most = most
        self._root: bytes | None = None
        self._young: dict[tuple[type, str], Any] = {}
        self._old: dict[tuple[type, str], Any] = {}

    def __len__(self) -> int:
        """Count them; one that was used again counts twice until the next turn."""
        return len(self._young) + len(self._old)

    def stand_at(self, root: bytes) -> None:
        """Forget everything unless it stands at this very tree; to be called under the head's lock."""
        if root != self._root:
            self._root = None
            self._young, self._old = {}, {}

    def get(self, kind: type, key: str) -> Any:
        """Return a record that `stand_at` let stand, or `ABSENT`, or None: then read it."""
        found = self._young.get((kind, key))
        if found is None:
            found = self._old.get((kind, key))
            if found is not None:
                self._young[(kind, key)] = found
        return found

    def keep(self, root: bytes, known: Kinds, changed: Kinds) -> None:
        """Take what a transaction that holds the head's lock is about to commit, and what it read to do so.

        Args:
            root: Of the tree that it makes.
            known: Everything it read, changed records in their newest version.
            changed: Those that are new or changed, and must not stay known as they were.
        """
        for kind, records in changed.items():
            for key in records:
                self._old.pop((kind, key), None)
        for kind, records in known.items():
            for key, record in records.items():
                if record is not None:
                    self._young[(kind, key)] = record
                elif kind not in UNIQUE_TO_EVENTS:
                    self._young[(kind, key)] = ABSENT
        self._root = root
        self._turn()

    def learn(self, kind: type, records: Mapping[str, Any]) -> None:
        """Take what was read under the lock and never changes as long as the tree only grows."""
        self._young.update({(kind, key): record for key, record in records.items()})
        self._turn()

    def _turn(self) -> None:
        if len(self._young) > self._most // 2:
            self._young, self._old = {}, self._young
