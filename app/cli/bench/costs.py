"""What growth is told by: its costs by name, their slopes over the ledger's size, and the plot of both (pure)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.bench.figures import slope
from app.cli.bench.plot import Panel, svg

COSTS = {
    "batch_cpu_us": "a batch of 100: CPU of service and database, µs an event",
    "batch_wall_us": "a batch of 100: µs an event",
    "history_cpu_us": "a history of 12 events: CPU of service and database, µs",
    "history_p50_ms": "a history of 12 events: p50 ms",
    "checkpoint_cpu_us": "one event and its checkpoint: CPU of service and database, µs",
    "checkpoint_p50_ms": "one event and its checkpoint: p50 ms",
    "grown_per_second": "events/s recorded while growing to it", "bytes_per_event": "stored bytes an event",
    "rss_mb": "RSS MiB", "peak_rss_mb": "peak RSS MiB",
}  # fmt: skip
"""PostgreSQL's CPU is counted where its server runs on this machine; SQLite's is always within the service's own."""
PLOTTED = ("batch_cpu_us", "history_cpu_us", "checkpoint_cpu_us", "bytes_per_event")
Point = dict[str, Any]


def slopes(points: Sequence[Point]) -> dict[str, dict[str, float]]:
    """Return the slope of each cost over log10 of the ledger's size, and of the same in signatures.

    `percent` is what a tenfold ledger adds. In signatures means: divided by what a signature cost at that point, which
    takes the machine's own changes of speed out. A point that does not know a cost is left out of that one.
    """
    found: dict[str, dict[str, float]] = {}
    for name in COSTS:
        known = [point for point in points if point[name] is not None]
        if len({point["size"] for point in known}) < 2:
            continue
        found[name] = _rounded([(math.log10(point["size"]), point[name]) for point in known])
        if name.endswith("_us"):
            relative = [(math.log10(p["size"]), p[name] / p["signature_us"]) for p in known]
            found[f"{name.removesuffix('_us')}_in_signatures"] = _rounded(relative)
    return found


def _rounded(points: Sequence[tuple[float, float]]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in slope(points).items()}


def drawn(told: Mapping[str, Any]) -> str:
    """Return the plot of a run: what an event, a history and a checkpoint cost, and how much an event takes."""
    panels = [_panel(name, told["points"], told["slopes"].get(name)) for name in PLOTTED]
    return svg("Costs by size of the ledger", "events in the ledger", panels)


def _panel(name: str, points: Sequence[Point], fitted: Mapping[str, float] | None) -> Panel:
    places = tuple((float(point["size"]), float(point[name])) for point in points)
    if fitted is None:
        return Panel(COSTS[name], "", places)
    xs = [math.log10(x) for x, _ in places]
    ends = tuple(fitted["middle"] + fitted["slope"] * (x - sum(xs) / len(xs)) for x in (xs[0], xs[-1]))
    note = f"{_plain(fitted['slope'], '+')} ± {_plain(fitted['error'])} a decade ({fitted['percent']:+.1f} %)"
    return Panel(COSTS[name], note, places, (max(0.0, ends[0]), max(0.0, ends[1])))


def _plain(value: float, sign: str = "") -> str:
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.2g}"
