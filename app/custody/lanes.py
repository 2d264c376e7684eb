"""The order in which requests come to their commit: live handovers before bulk sync, neither starved (pure).

Two officers at a tailgate wait for their answer; a phone that sends what it gathered in a day does not mind a second
more. So a request of one event is live and goes first; batches are bulk. A group that takes live requests takes some
bulk along, so that its commit stays short; and when bulk found no place in one group, the next begins with it.
Whole requests only, in the order of their lane, and only such as ask for the same in a group (design section 2).
"""

from collections import deque
from typing import Generic, Protocol, TypeVar

BULK_SHARE = 0.75
"""Part of the queue that bulk may fill: live requests find room when it cannot."""
BULK_BESIDE_LIVE = 128
"""Events of bulk that ride along with live ones, or one request: some ten milliseconds that these wait longer."""


class Waiting(Protocol):
    """What a lane must know of a request."""

    @property
    def size(self) -> int:
        """How many events it has."""
        ...

    @property
    def kind(self) -> object:
        """Requests of one kind may share a group; None: it stands alone."""
        ...

    @property
    def bulk(self) -> bool:
        """Whether it can wait."""
        ...


J = TypeVar("J", bound=Waiting)


class Lanes(Generic[J]):
    """Two queues that give groups."""

    def __init__(self, group: int) -> None:
        """Start empty; `group` is the most events in one group, but for a request that alone has more."""
        self._group = group
        self._live: deque[J] = deque()
        self._bulk: deque[J] = deque()
        self._bulk_is_due = False

    def __len__(self) -> int:
        """Count the requests that wait."""
        return len(self._live) + len(self._bulk)

    def add(self, request: J) -> None:
        """Queue one."""
        (self._bulk if request.bulk else self._live).append(request)

    def take(self) -> list[J]:
        """Return the next group and take it out; there must be something waiting."""
        bulk_first = bool(self._bulk) and (self._bulk_is_due or not self._live)
        order = (self._bulk, self._live) if bulk_first else (self._live, self._bulk)
        mixed = bool(self._live) and bool(self._bulk)
        taken: list[J] = []
        for lane in order:
            most = BULK_BESIDE_LIVE if mixed and lane is self._bulk else self._group
            self._fill(taken, lane, most)
        self._bulk_is_due = bool(self._bulk) and not any(each.bulk for each in taken)
        return taken

    def _fill(self, taken: list[J], lane: deque[J], most: int) -> None:
        """Take from the front of one lane what still fits: so many events of this lane, and the group as a whole."""
        size, added = sum(each.size for each in taken), 0
        while lane:
            request = lane[0]
            alone = request.kind is None
            if taken and (alone or request.kind != taken[0].kind or size + request.size > self._group):
                return
            if added and added + request.size > most:
                return
            taken.append(lane.popleft())
            if alone:
                return
            size, added = size + request.size, added + request.size


def room(limit: int, *, bulk: bool) -> int:
    """Return how many events may wait when one more request comes, of a queue with a limit."""
    return int(limit * BULK_SHARE) if bulk else limit
