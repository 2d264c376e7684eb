"""Scenario time, and what is to happen when: many people act at once, the ledger has one order (pure)."""

import heapq
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

WITA = timezone(timedelta(hours=8), "WITA")
MINUTE_MS = 60_000


def wita(text: str) -> int:
    """Return a Bontang time such as `2024-10-26 08:00` as UTC milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=WITA).timestamp()) * 1000


def in_wita(ms: int) -> str:
    """Return an instant as the payload writes it: `2024-11-26T08:30:00+08:00`."""
    return datetime.fromtimestamp(ms // 1000, WITA).isoformat()


class Agenda:
    """Acts by time; each may put later ones on. Acts of one moment keep the order in which they were put."""

    def __init__(self) -> None:
        """Start empty."""
        self._acts: list[tuple[int, int, Callable[[int], None]]] = []
        self._n = 0

    def at(self, ms: float, act: Callable[[int], None]) -> None:
        """Put an act on; it will be called with its time."""
        self._n += 1
        heapq.heappush(self._acts, (int(ms), self._n, act))

    def play(self) -> None:
        """Call every act in the order of time."""
        while self._acts:
            ms, _, act = heapq.heappop(self._acts)
            act(ms)
