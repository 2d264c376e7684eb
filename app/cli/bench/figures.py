"""Figures from what was measured: percentiles of times, medians of rounds, a straight line through points (pure)."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999}
CPU = ("cpu", "answers_cpu", "writes_cpu", "database_cpu", "driver_cpu")
"""What is told as CPU time: of the service in all, of its two processes, of PostgreSQL, of the load driver."""
MIDDLE = (
    *("rss_mb", "offered", "late_ms", "others_percent", *QUANTILES),
    *("tree_p50_ms", "tree_max_ms", "units", "signature_us"),
)
HIGHEST = ("max_ms", "peak_rss_mb")
Round = dict[str, Any]


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Return the percentiles of times in milliseconds, by nearest rank, and the longest.

    Nearest rank invents nothing between two measured times; with fewer than a thousand of them, p99.9 is the longest.
    """
    ordered = sorted(seconds) or [0.0]

    def at(quantile: float) -> float:
        return round(1000 * ordered[max(0, math.ceil(quantile * len(ordered)) - 1)], 3)

    return {**{name: at(quantile) for name, quantile in QUANTILES.items()}, "max_ms": round(1000 * ordered[-1], 3)}


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the medians of several rounds of one scenario; rates are events a second, CPU is µs an event."""
    first = rounds[0]
    rates = [told["events"] / told["wall_seconds"] for told in rounds]
    found: dict[str, Any] = {
        "events": first["events"], "requests": first.get("requests", first["events"]),
        "rate": round(middle(rates), 1), "rates": [round(rate, 1) for rate in rates],
    }  # fmt: skip
    for name in CPU:
        if f"{name}_seconds" in first:
            costs = [1e6 * told[f"{name}_seconds"] / told["events"] for told in rounds]
            found[f"{name}_us_per_event"] = round(middle(costs), 1)
    found |= {name: round(middle(told[name] for told in rounds), 3) for name in MIDDLE if name in first}
    found |= {name: max(told[name] for told in rounds) for name in HIGHEST if name in first}
    if "kinds" in first:
        found["kinds"] = {kind: _kind([told["kinds"][kind] for told in rounds]) for kind in first["kinds"]}
    return found


def _kind(rounds: Sequence[Round]) -> dict[str, Any]:
    first = rounds[0]
    return {
        "requests": first["requests"], "events": first["events"],
        **{name: round(middle(told[name] for told in rounds), 3) for name in QUANTILES},
        "max_ms": max(told["max_ms"] for told in rounds),
    }  # fmt: skip


def slope(points: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Fit a straight line by least squares.

    Args:
        points: At least two different x.

    Returns:
        `slope` (per unit of x), `error` (its standard error; 0 with two points), `middle` (the line's value at the
        mean of x) and `percent` (the slope as a percentage of that).
    """
    count, xs, ys = len(points), [x for x, _ in points], [y for _, y in points]
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    spread = sum((x - mean_x) ** 2 for x in xs)
    steep = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    left = sum((y - mean_y - steep * (x - mean_x)) ** 2 for x, y in points)
    error = math.sqrt(left / (count - 2) / spread) if count > 2 else 0.0
    percent = 100 * steep / mean_y if mean_y else 0.0
    return {"slope": steep, "error": error, "middle": mean_y, "percent": percent}
