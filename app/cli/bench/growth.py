"""The scenario `growth`: one ledger grown from ten thousand events on, measured at each half power of ten.

Between the points it grows in this process, by the same rules and with real signatures. At a point the service is
started over it as it is, and measured over HTTP. How much is measured is the same at every point. What a signature
alone costs at that moment is measured beside it, since machines change their speed within the hour a run takes.
"""

import math
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench.databases import stored_bytes
from app.cli.bench.figures import middle, slope
from app.cli.bench.grown import Grown, opened, place
from app.cli.bench.loads import BATCH_CONNECTIONS, signature_us
from app.cli.bench.plot import Panel, svg
from app.cli.bench.processes import DatabaseServer, Server
from app.cli.bench.reading import READ_CONNECTIONS, asked
from app.cli.bench.sending import mib, send
from app.cli.bench.stage import environment_of, token
from app.cli.bench.stories import Stream, streams_of
from app.cli.bench.traffic import Load, batches, dealt, singles
from app.clock import SystemClock
from app.db import Database

FIRST = 10_000
STREAMS, REPEATS = 32, 3
BATCHED, READS, ALONE, WARM_UP = 3200, 600, 128, 320
COSTS = {
    "batch_cpu_us": "a batch of 100: service CPU µs an event", "batch_wall_us": "a batch of 100: µs an event",
    "history_cpu_us": "a history of 12 events: service CPU µs", "history_p50_ms": "a history of 12 events: p50 ms",
    "checkpoint_cpu_us": "one event and its checkpoint: service CPU µs",
    "checkpoint_p50_ms": "one event and its checkpoint: p50 ms",
    "grown_per_second": "events/s while growing to it", "bytes_per_event": "stored bytes an event",
    "rss_mb": "RSS MiB", "peak_rss_mb": "peak RSS MiB",
}  # fmt: skip
PLOTTED = ("batch_cpu_us", "history_cpu_us", "checkpoint_cpu_us", "bytes_per_event")
Point = dict[str, Any]


def growth(folder: Path, database_url: str, keep: Path | None, events: int, progress: Progress) -> list[Point]:
    """Grow a ledger and measure it at each point; what a kept one has measured is not measured again.

    Args:
        folder: Where a ledger goes that is not kept.
        database_url: A PostgreSQL server; empty for SQLite.
        keep: Folder of the ledger that is kept, so that a run can be ended and taken up.
        events: How many events it has at the last point.
        progress: Shows where the run is.

    Raises:
        RuntimeError: An event was not accepted, or an answer was not as expected.
    """
    wanted = targets(events)
    task = progress.add_task("growing", total=wanted[-1])
    with place(folder, database_url, keep) as (own, url):
        while True:
            with opened(own, url) as made:
                left = [at for at in wanted if at not in {point["target"] for point in made.points}]
                if not left:
                    return [point for point in made.points if point["target"] in wanted]
                progress.update(task, description=f"growing to {left[0]:,} events", completed=made.size())
                before, started = made.size(), time.perf_counter()
                made.grow(left[0], lambda size: progress.update(task, completed=size))
                rate = (made.size() - before) / (time.perf_counter() - started)
                progress.update(task, description=f"measuring at {left[0]:,} events")
                point = {"target": left[0], "grown_per_second": round(rate), **_measured(made, folder)}
            # The service has written meanwhile: whoever writes next opens the ledger anew.
            with opened(own, url) as made:
                made.points.append(point)
                made.save()


def targets(events: int) -> list[int]:
    """Return the half powers of ten from ten thousand up to so many, and that number itself as the last."""
    halves = (round(10 ** (half / 2)) for half in range(8, 2 * 12))
    below = [at for at in halves if FIRST <= at < 0.95 * events]
    return [*below, events]


def _measured(made: Grown, folder: Path) -> Point:
    founding = made.founding
    founding.advance(founding.founders)
    phones = founding.enrol(2 * STREAMS)
    units = founding.commission(phones[0], STREAMS)
    founding.advance(phones)
    made.save()
    reader = made.officer()
    streams = streams_of(phones, units, SystemClock().now_ms)
    founding.db.tidy()
    size, db = made.size(), Database(made.url)
    stored = stored_bytes(db) / size
    db.close()
    with Server.service(folder, environment_of(made.url, made.folder / "data"), "grown") as server:
        known = token(server, reader)
        return {"size": size, "bytes_per_event": round(stored, 1), **_over_http(made, server, folder, streams, known)}


def _over_http(made: Grown, server: Server, folder: Path, streams: Sequence[Stream], known: str) -> Point:
    database = DatabaseServer.behind(made.url)

    def sent(load: Load) -> Point:
        return send(load, server, folder, database)

    def batched(count: int) -> Point:
        events = [stream.take(count // len(streams)) for stream in streams]
        return sent(batches(events, 100, known, BATCH_CONNECTIONS[100]))

    def read() -> Point:
        chosen = [secrets.choice(made.units) for _ in range(READS)]
        return sent(dealt([asked(unit, known) for unit in chosen], READ_CONNECTIONS))

    def alone() -> Point:
        return sent(singles([stream.take(ALONE // len(streams)) for stream in streams], known, 1))

    batched(WARM_UP)
    read()
    told = [(batched(BATCHED), read(), alone(), signature_us()) for _ in range(REPEATS)]
    by_batch, by_read, by_one, signatures = zip(*told, strict=True)
    return {
        "batch_cpu_us": _cpu(by_batch), "batch_wall_us": _each(by_batch, "wall_seconds"),
        "history_cpu_us": _cpu(by_read), "history_p50_ms": middle(each["p50_ms"] for each in by_read),
        "checkpoint_cpu_us": _cpu(by_one), "checkpoint_p50_ms": middle(each["p50_ms"] for each in by_one),
        "rss_mb": mib(server.rss_bytes()), "peak_rss_mb": max(each["peak_rss_mb"] for each in (*by_batch, *by_read)),
        "signature_us": round(middle(signatures), 1),
    }  # fmt: skip


def _each(rounds: Sequence[Point], name: str) -> float:
    return round(middle(1e6 * each[name] / each["events"] for each in rounds), 1)


def _cpu(rounds: Sequence[Point]) -> float:
    """Return the CPU of the service and, where we can see it, of its database, µs an event."""
    used = (each["cpu_seconds"] + each.get("database_cpu_seconds", 0.0) for each in rounds)
    return round(middle(1e6 * seconds / each["events"] for seconds, each in zip(used, rounds, strict=True)), 1)


def slopes(points: Sequence[Point]) -> dict[str, dict[str, float]]:
    """Return the slope of each cost over log10 of the ledger's size, and of the same in signatures.

    `percent` is what a tenfold ledger adds. In signatures means: divided by what a signature cost at that point, which
    takes the machine's own changes of speed out.
    """
    found: dict[str, dict[str, float]] = {}
    if len(points) < 2:
        return found
    for name in COSTS:
        found[name] = _rounded([(math.log10(point["size"]), point[name]) for point in points])
        if name.endswith("_us"):
            relative = [(math.log10(p["size"]), p[name] / p["signature_us"]) for p in points]
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
