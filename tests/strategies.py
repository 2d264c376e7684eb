"""Hypothesis strategies that several tests share, and how long they look.

`CUSTODY_LONG=1` looks long and at random (nightly); without it examples are few and always the same ones.
"""

import os
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

LONG = os.environ.get("CUSTODY_LONG") == "1"
T = TypeVar("T")


def effort(examples: int, long_examples: int, **more: Any) -> settings:
    """Return hypothesis settings for a test over real databases.

    Args:
        examples: How many examples an ordinary run tries.
        long_examples: How many with `CUSTODY_LONG=1`.
        **more: Other settings of hypothesis.
    """
    return settings(
        max_examples=long_examples if LONG else examples, deadline=None, derandomize=not LONG, database=None,
        suppress_health_check=list(HealthCheck), print_blob=True, **more,
    )  # fmt: skip


@st.composite
def arrivals(draw: st.DrawFn, count: int) -> list[list[int]]:
    """Draw how events 0 … count-1 arrive: in any order, some more than once, in groups of any size."""
    order = draw(st.permutations(range(count)))
    again = draw(st.lists(st.integers(0, count - 1), max_size=4))
    sent = [*order]
    for event in again:
        sent.insert(draw(st.integers(0, len(sent))), event)
    groups: list[list[int]] = []
    while sent:
        size = draw(st.integers(1, len(sent)))
        groups.append(sent[:size])
        sent = sent[size:]
    return groups


__all__ = ["LONG", "arrivals", "effort"]
