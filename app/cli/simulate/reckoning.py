"""From two measured fractions to the nation: bytes, peaks and machines, with what is not known about them (pure).

How many events the nation makes is counted, not extrapolated (`app.cli.simulate.counts`). What an event costs is
measured. Bytes of each family of tables follow a straight line through both fractions, whose part that does not grow
is told apart; the ledger as founded is a third point, and how far the line misses it is the residual. A range is the
least and the most of three ways to reckon: that line, the larger fraction in proportion, and a line over another
driver. With two points nothing can be said of curvature.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.cli.simulate.counts import ADDED, Counts
from app.cli.simulate.facts import CITIES, GENERAL, LARGEST_CITY_STATIONS, STATIONS

Told = dict[str, Any]

DRIVERS = {
    "events": ("events", "links"), "ledger": ("events", "links"), "units": ("units", "links"),
    "people": ("officers", "stations"), "documents": ("stations", "villages"), "heads": ("units", "events"),
    "other": ("events", "stations"),
}  # fmt: skip
"""What each family of tables grows with, and what it might grow with instead."""
UTILISATION = 0.5
"""Share of a core that a plan may use at the peak; the other half is for bursts, checkpoints, a failing neighbour."""
TICK_SECONDS = 0.01
SPARE_DISK = 1.3
"""Room for dead rows, vacuum and the next weeks."""


class Window(NamedTuple):
    """A time within which one phase must be over: hours, how much the peak is above the mean, and why."""

    name: str
    phase: str
    hours: float
    factor: float


WINDOWS = (
    Window("enrolment, 30 days of 8 h", "enrol", 240, 3),
    Window("packing, 25 days of 10 h", "pack", 250, 4),
    Window("last hop, 12 h", "to_station", 12, 3),
    Window("phones flush, 1 h", "station_day", 1, 1),
    Window("phones flush, 30 min", "station_day", 0.5, 1),
    Window("return, 24 h", "return", 24, 4),
)


class Line(NamedTuple):
    """A straight line: what does not grow, and what each one adds."""

    fixed: float
    each: float

    def at(self, x: float) -> float:
        """Return its value."""
        return self.fixed + self.each * x


def line(first: tuple[float, float], second: tuple[float, float]) -> Line:
    """Return the line through two points; through one x it is level, and nothing shrinks as the nation grows."""
    (x1, y1), (x2, y2) = first, second
    each = max(0.0, (y2 - y1) / (x2 - x1)) if x1 != x2 else 0.0
    return Line(y2 - each * x2, each)


def size_of(run: Told, driver: str) -> float:
    """Return how much of a driver a run had: of what was sent, or of the things in it."""
    return float(run["sent"].get(driver, run["things"].get(driver, 0)))


def reckon(runs: Sequence[Told], nation: Told) -> Told:
    """Return everything that two runs say of the nation.

    Args:
        runs: Two, the smaller fraction first.
        nation: `things`, `sent` and `phases` of the whole, as a run tells them.
    """
    small, large = runs
    families = {name: _bytes(name, small, large, nation) for name in small["stored"]["full"]}
    storage = {
        "families": families,
        **{name: sum(row[name] for row in families.values()) for name in ("nation", "low", "high", "residual")},
        "per_event": [_per_event(run) for run in runs],
    }
    if large["log_bytes"] is not None:
        storage["log"] = _log(small, large, nation)
    peaks = [_peak(window, small, large, nation) for window in WINDOWS]
    return {"storage": storage, "peaks": peaks, "machines": machines(storage, peaks, large, nation)}


def _bytes(name: str, small: Told, large: Told, nation: Told) -> Told:
    """Return one family's bytes: the line, its residual at the ledger as founded, and the nation's range."""
    driver, other = DRIVERS.get(name, DRIVERS["other"])
    ys = [run["stored"]["full"][name] for run in (small, large)]

    def fitted(by: str) -> Line:
        return line((size_of(small, by), ys[0]), (size_of(large, by), ys[1]))

    main = fitted(driver)
    whole = size_of(nation, driver)
    ways = (main.at(whole), ys[1] * whole / max(1.0, size_of(large, driver)), fitted(other).at(size_of(nation, other)))
    return {
        "driver": driver, "measured": ys, "each": main.each, "fixed": main.fixed,
        "residual": main.fixed - large["stored"]["empty"][name],
        "nation": ways[0], "low": min(ways), "high": max(ways),
    }  # fmt: skip


def _log(small: Told, large: Told, nation: Told) -> Told:
    fitted = line(*((size_of(run, "events"), run["log_bytes"]) for run in (small, large)))
    whole = size_of(nation, "events")
    ways = (fitted.at(whole), large["log_bytes"] * whole / size_of(large, "events"))
    return {"each": fitted.each, "fixed": fitted.fixed, "nation": ways[0], "low": min(ways), "high": max(ways)}


def _per_event(run: Told) -> float:
    grown = sum(run["stored"]["full"].values()) - sum(run["stored"]["empty"].values())
    return float(grown / run["sent"]["events"])


def cost(run: Told, phase: str, what: str = "cpu_seconds") -> float | None:
    """Return what an event of a phase of the general election costs, microseconds; None when it was not measured."""
    row = _row(run, phase)
    return 1e6 * row[what] / row["events"] if row is not None and what in row else None


def _row(run: Told, phase: str) -> Told | None:
    found = (row for row in run["phases"] if (row["election"], row["phase"]) == (GENERAL, phase))
    return next(found, None)


def _peak(window: Window, small: Told, large: Told, nation: Told) -> Told:
    whole, measured = _row(nation, window.phase), _row(large, window.phase)
    if whole is None or measured is None:
        raise ValueError(f"no run has the phase {window.phase}")
    needed = whole["events"] * window.factor / (3600 * window.hours)
    each, before = cost(large, window.phase) or 0.0, cost(small, window.phase) or 0.0
    # The system counts in hundredths of a second: what took less was not nothing, and bounds nobody to nothing.
    least = 1e6 * TICK_SECONDS / measured["events"]
    writes = cost(large, window.phase, "writes_cpu_seconds") or each or least
    database = cost(large, window.phase, "database_cpu_seconds")
    return {
        **window._asdict(), "events": whole["events"], "needed": needed,
        "measured": measured["events"] / measured["wall_seconds"], "cpu_us": each, "cpu_us_small": before,
        "error": abs(each - before) / each if each else 0.0, "database_us": database,
        "cores": needed * each / 1e6 / UTILISATION,
        "database_cores": needed * database / 1e6 / UTILISATION if database is not None else None,
        "ledger_limit": 1e6 * UTILISATION / writes, "ledgers": math.ceil(needed * writes / 1e6 / UTILISATION),
        "megabit": 8e-6 * needed * measured["sent_bytes"] / measured["events"],
    }  # fmt: skip


def worst_of(peaks: Sequence[Told]) -> Told:
    """Return the peak that needs most cores, service and database together; of equal ones that of most events."""
    return max(peaks, key=lambda peak: (peak["cores"] + (peak["database_cores"] or 0.0), peak["needed"]))


def machines(storage: Told, peaks: Sequence[Told], large: Told, nation: Told) -> list[Told]:
    """Return what an average city, the largest one and the nation need: disk, and cores at the worst of the peaks.

    Memory is that of the one service that was measured, over one ledger of its size. The nation has many of both, and
    nothing is said of what they need.
    """
    scales = (
        ("city of average size", 1 / CITIES), ("largest city", LARGEST_CITY_STATIONS / STATIONS), ("nation", 1.0),
    )  # fmt: skip
    worst = worst_of(peaks)
    memory = max(row.get("peak_rss_mb", 0) for row in large["phases"]) * 2**20
    return [
        {
            "where": where, "stations": round(STATIONS * share), "events": round(size_of(nation, "events") * share),
            "bytes": storage["nation"] * share, "low": storage["low"] * share, "high": storage["high"] * share,
            "disk": storage["high"] * share * SPARE_DISK,
            "log": storage["log"]["high"] * share if "log" in storage else None,
            "peak": worst["name"], "needed": worst["needed"] * share, "cores": worst["cores"] * share,
            "database_cores": None if worst["database_cores"] is None else worst["database_cores"] * share,
            "memory": memory if share < 1 else None,
            "hot": storage["families"]["units"]["high"] * share,
        }
        for where, share in scales
    ]  # fmt: skip


def whole_of(counted: Counts) -> Told:
    """Return the nation's counts in the shape of a run."""
    return {
        "things": counted.things,
        "sent": {what: counted.total(what) for what in ADDED},
        "phases": [
            {"election": election, "phase": phase, **counter} for (election, phase), counter in counted.phases.items()
        ],
    }
