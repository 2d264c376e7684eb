"""Figures from what was measured: percentiles of times, medians of rounds, a straight line through points (pure)."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

QUANTILES = {"p50_ms": (0.5, 20), "p90_ms": (0.9, 100), "p99_ms": (0.99, 1000), "p999_ms": (0.999, 10_000)}
"""Each with how many requests carry it: ten beyond it, or else one stray request decides."""
CPU = ("cpu", "answers_cpu", "writes_cpu", "database_cpu", "driver_cpu")
"""What is told as CPU time: of the service in all, of its two processes, of PostgreSQL, of the load driver."""
MIDDLE = (
    *("rss_mb", "offered", "late_ms", "others_percent", *QUANTILES),
    *("tree_p50_ms", "tree_max_ms", "units", "signature_us"),
)
HIGHEST = ("max_ms", "peak_rss_mb")
DISTURBED_PERCENT = 10
"""Of the machine's CPU that somebody else took while a load ran: above it, a row's figures are not to be trusted."""
Round = dict[str, Any]


def latencies(seconds: Sequence[float]) -> dict[str, float | None]:
    """Return the percentiles of times in milliseconds, by nearest rank, and the longest.

    Nearest rank invents nothing between two measured times. A percentile that so few times cannot carry is None.
    """
    ordered = sorted(seconds)
    found: dict[str, float | None] = {}
    for name, (quantile, least) in QUANTILES.items():
        rank = max(0, math.ceil(quantile * len(ordered)) - 1)
        found[name] = _ms(ordered[rank]) if len(ordered) >= least else None
    return {**found, "max_ms": _ms(ordered[-1]) if ordered else None}


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 3)


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def middle_or_none(values: Iterable[float | None]) -> float | None:
    """Return the median, rounded; None when one value is not known."""
    known = list(values)
    return None if None in known else round(middle(value for value in known if value is not None), 3)


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the medians of several rounds of one scenario, and the rounds themselves.

    Rates are events a second, CPU is µs an event; a round that says so (`per_request`) is told by the request.
    """
    first = rounds[0]
    rates = [told["events"] / told["wall_seconds"] for told in rounds]
    found: dict[str, Any] = {
        "rounds": len(rounds), "events": first["events"], "requests": first.get("requests", first["events"]),
        "rate": round(middle(rates), 1), "rates": [round(rate, 1) for rate in rates],
    }  # fmt: skip
    what = "request" if first.get("per_request") else "event"
    for name in CPU:
        if f"{name}_seconds" in first:
            costs = [1e6 * told[f"{name}_seconds"] / told[f"{what}s"] for told in rounds]
            found[f"{name}_us_per_{what}"] = round(middle(costs), 1)
    found |= {name: middle_or_none(told[name] for told in rounds) for name in MIDDLE if name in first}
    found |= {name: max(told[name] for told in rounds) for name in HIGHEST if name in first}
    if "others_percent" in found:
        found["disturbed"] = found["others_percent"] > DISTURBED_PERCENT
    if "kinds" in first:
        found["kinds"] = {kind: _kind([told["kinds"][kind] for told in rounds]) for kind in first["kinds"]}
    return {**found, "every_round": list(rounds)}


def _kind(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = rounds[0]
    return {
        "requests": first["requests"], "events": first["events"],
        **{name: middle_or_none(told[name] for told in rounds) for name in QUANTILES},
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
