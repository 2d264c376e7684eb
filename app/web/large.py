"""How much of large requests may be in memory at a time: a batch, a plan, a list of labels (design section 8).

A request holds its share from before its body is read until its answer has gone, since answers to batches are as
large as the batches. So memory is bounded by what is promised here and not by how many clients come at once; who
finds no room is told when to come again. Small requests need no share: their number is bounded by the connections.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import BusyError

FIRST_SECONDS, LAST_SECONDS = 1, 5
"""Who is sent away comes again after a time drawn between these, or all would come at once."""


class Large:
    """The bytes of large bodies that are under way in this process; used on one event loop."""

    def __init__(self, limit: int) -> None:
        """Start with none.

        Args:
            limit: So many bytes at a time; one body that alone has more is let through.
        """
        self._limit = limit
        self.held = 0
        """Bytes that are held now."""

    @contextmanager
    def share(self, size: int) -> Iterator[None]:
        """Hold so many bytes for the time of a block.

        Raises:
            BusyError: There is no room now.
        """
        if self.held and self.held + size > self._limit:
            seconds = random.randint(FIRST_SECONDS, LAST_SECONDS)  # noqa: S311 - nobody gains by guessing it
            raise BusyError("Too many large requests are under way; send it again.", retry_after_seconds=seconds)
        self.held += size
        try:
            yield
        finally:
            self.held -= size
