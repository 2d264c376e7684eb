"""How a whole is dealt to parts, in whole numbers (pure).

Two ways, for two needs. `largest_remainder` splits a published total so that the parts add up to it. `nested` takes
a sample from parts whose sizes are known: with largest remainders a part may lose a seat when the whole grows, and a
small sample would not lie inside a large one.
"""

import heapq
from collections.abc import Sequence


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total in proportion to weights; the sum is exact, and ties go to whoever comes first.

    Args:
        total: What is dealt, not negative.
        weights: Not negative, at least one above zero.
    """
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in by_rest[: total - sum(parts)]:
        parts[place] += 1
    return parts


def nested(wanted: int, sizes: Sequence[int]) -> list[int]:
    """Return how many of each part belong to a sample of so many in all.

    No part ever gives less when more are wanted, each is within one of its exact share, and all of them give all when
    all are wanted. Ties go to whoever comes first.

    Args:
        wanted: At most the sum of the sizes.
        sizes: How many each part has.

    Source: Balinski and Young, "The quota method of apportionment", American Mathematical Monthly 82 (1975).
    """
    whole, taken = sum(sizes), [0] * len(sizes)
    if wanted == whole:  # what the method comes to as well, in a million steps
        return list(sizes)
    # Who may give without passing its share rounded up, by size over one more; and from when on the others may.
    ready = [(-float(size), place) for place, size in enumerate(sizes) if size]
    waiting: list[tuple[int, int]] = []
    heapq.heapify(ready)
    for step in range(1, wanted + 1):
        while waiting and waiting[0][0] <= step:
            place = heapq.heappop(waiting)[1]
            heapq.heappush(ready, (-sizes[place] / (taken[place] + 1), place))
        place = heapq.heappop(ready)[1]
        taken[place] += 1
        heapq.heappush(waiting, (taken[place] * whole // sizes[place] + 1, place))
    return taken


def even(total: int, parts: int) -> list[int]:
    """Split a total as evenly as whole numbers allow, larger parts first."""
    return [total // parts + (place < total % parts) for place in range(parts)]
