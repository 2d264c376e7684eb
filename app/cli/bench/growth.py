"""The scenario `growth`: one ledger grown from ten thousand events on, measured at each half power of ten.

Between the points it grows in this process, by the same rules and with real signatures. At a point the service is
started over it as it is, and measured over HTTP. How much is measured is the same at every point, and it grows the
ledger, too: a point's size is the mean of what it was during its loads. What a signature alone costs at that moment is
measured beside it, since machines change their speed within the hour a run takes.

A run may be ended and taken up again, days later. So each point says when and where it was measured, and by which code;
points of different code are not put into one table.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from app.cli.bench.costs import Point
from app.cli.bench.databases import durability, stored_bytes
from app.cli.bench.figures import middle, middle_or_none
from app.cli.bench.grown import Grown, opened, place
from app.cli.bench.loads import HUNDRED_CONNECTIONS, signature_us
from app.cli.bench.processes import DatabaseServer, Server
from app.cli.bench.reading import READ_CONNECTIONS, asked
from app.cli.bench.report import environment
from app.cli.bench.sending import mib, send
from app.cli.bench.sources import code_version
from app.cli.bench.stage import environment_of
from app.cli.bench.stories import Stream, streams_of
from app.cli.bench.tokens import Pass, pass_of
from app.cli.bench.traffic import Load, batches, dealt, singles
from app.clock import SystemClock
from app.db import Database
from app.ledger.note import VerifierKey

FIRST = 10_000
STREAMS, REPEATS = 32, 3
BATCHED, READS, ALONE, WARM_UP = 3200, 600, 128, 320
HUNDRED = 100


@dataclass(slots=True)
class Pace:
    """How fast a ledger grows: from the first recorded group on, so that neither enrolment nor start-up counts."""

    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None

    def at(self, size: int, seconds: float) -> None:
        """Note the size after a group was recorded."""
        self.last = size, seconds
        self.first = self.first or self.last

    def rate(self) -> int | None:
        """Return events a second; None when no second group was recorded."""
        if self.first is None or self.last is None or self.last[0] <= self.first[0]:
            return None
        return round((self.last[0] - self.first[0]) / (self.last[1] - self.first[1]))


def growth(
    folder: Path, database_url: str, keep: Path | None, events: int, progress: Progress, load_average: float = 0.0
) -> list[Point]:
    """Grow a ledger and measure it at each point; what a kept one has measured is not measured again.

    Args:
        folder: Where a ledger goes that is not kept.
        database_url: A PostgreSQL server; empty for SQLite.
        keep: Folder of the ledger that is kept, so that a run can be ended and taken up.
        events: How many events it has at the last point.
        progress: Shows where the run is.
        load_average: Of the machine before the run began.

    Raises:
        RuntimeError: An event was not accepted, or an answer was not as expected. Or a kept ledger was measured by
            other code, or is larger than the next point already; the text says what to do.
    """
    wanted = targets(events)
    task = progress.add_task("growing", total=wanted[-1])
    with place(folder, database_url, keep) as (own, url):
        while True:
            with opened(own, url) as made:
                refuse_other_code(made)
                left = [at for at in wanted if at not in {point["target"] for point in made.points}]
                if not left:
                    return [point for point in made.points if point["target"] in wanted]
                refuse_larger(made, left[0])
                progress.update(task, description=f"growing to {left[0]:,} events", completed=made.size())
                pace = Pace()

                def tell(size: int, pace: Pace = pace) -> None:
                    pace.at(size, time.perf_counter())
                    progress.update(task, completed=size)

                made.grow(left[0], tell)
                progress.update(task, description=f"measuring at {left[0]:,} events")
                found = _measured(made, folder)
                where = environment(own, durability(made.founding.db), load_average)
                point = {"target": left[0], "grown_per_second": pace.rate(), **found, "environment": where}
            # The service has written meanwhile: whoever writes next opens the ledger anew.
            with opened(own, url) as made:
                made.points.append(point)
                made.save()


def targets(events: int) -> list[int]:
    """Return the half powers of ten from ten thousand up to so many, and that number itself as the last.

    One that lies so close below it that measuring there would grow the ledger beyond it is left out.
    """
    halves = (round(10 ** (half / 2)) for half in range(8, 2 * 12))
    return [*(at for at in halves if at >= FIRST and at + added() < events), events]


def added() -> int:
    """Return how many events measuring at a point adds: what is sent, and the officers and units for it."""
    return WARM_UP + REPEATS * (BATCHED + ALONE) + 2 * STREAMS + STREAMS + 8


def refuse_other_code(made: Grown) -> None:
    """Refuse a kept ledger whose points were measured by other code than this.

    Raises:
        RuntimeError: The text says what to do.
    """
    for point in made.points:
        code = point["environment"]["code"]
        if code != code_version():
            raise RuntimeError(
                f"The ledger in {made.folder} was measured by other code at {point['target']:,} events ({code} on "
                f"{point['environment']['at']}; this is {code_version()}), and points of both would say nothing "
                "together: name another folder with --keep-world, or go back to that code."
            )


def refuse_larger(made: Grown, target: int) -> None:
    """Refuse a kept ledger that is larger than its next point already; what a run left that was ended there may be.

    Raises:
        RuntimeError: The text says what to do.
    """
    if made.size() > target + added():
        raise RuntimeError(
            f"The ledger in {made.folder} has {made.size():,} events already and was not measured at {target:,}: name "
            "another folder with --keep-world, where it grows from the first point on."
        )


def _measured(made: Grown, folder: Path) -> Point:
    founding = made.founding
    phones = made.enrol(2 * STREAMS)
    units = founding.commission(phones[0], STREAMS)
    founding.advance(phones)
    reader = made.officer()
    streams = streams_of(phones, units, SystemClock().now_ms)
    founding.db.tidy()
    with Server.service(folder, environment_of(made.url, made.folder / "data"), "grown") as server:
        return _over_http(made, server, folder, streams, pass_of(server, reader))


def _over_http(made: Grown, server: Server, folder: Path, streams: Sequence[Stream], known: Pass) -> Point:
    database, key = DatabaseServer.behind(made.url), VerifierKey.parse(made.founding.vkey)

    def sent(load: Load) -> Point:
        return send(load, server, folder, database, key)

    def batched(count: int) -> Point:
        events = [stream.take(count // len(streams)) for stream in streams]
        return sent(batches(events, HUNDRED, known.text, HUNDRED_CONNECTIONS))

    def read() -> Point:
        chosen = [secrets.choice(made.units) for _ in range(READS)]
        return sent(dealt([asked(unit, known.text) for unit in chosen], READ_CONNECTIONS))

    def alone() -> Point:
        return sent(singles([stream.take(ALONE // len(streams)) for stream in streams], known.text, 1))

    batched(WARM_UP)
    read()
    before, bytes_before = _stands(made)
    told = [(batched(BATCHED), read(), alone(), signature_us()) for _ in range(REPEATS)]
    after, bytes_after = _stands(made)
    by_batch, by_read, by_one, signatures = zip(*told, strict=True)
    return {
        "size": round((before + after) / 2), "bytes_per_event": round((bytes_before + bytes_after) / 2, 1),
        "batch_cpu_us": _cpu(by_batch), "batch_wall_us": _each(by_batch, "wall_seconds"),
        "history_cpu_us": _cpu(by_read), "history_p50_ms": middle_or_none(each["p50_ms"] for each in by_read),
        "checkpoint_cpu_us": _cpu(by_one), "checkpoint_p50_ms": middle_or_none(each["p50_ms"] for each in by_one),
        "rss_mb": mib(server.rss_bytes()), "peak_rss_mb": max(each["peak_rss_mb"] for each in (*by_batch, *by_read)),
        "signature_us": round(middle(signatures), 1), "rounds": REPEATS,
        "every_round": {"batch": by_batch, "history": by_read, "checkpoint": by_one, "signature_us": signatures},
    }  # fmt: skip


def _stands(made: Grown) -> tuple[int, float]:
    """Return how many leaves there are while the service writes, and how many bytes are stored for each."""
    db = Database(made.url)
    try:
        size = made.size()
        return size, stored_bytes(db) / size
    finally:
        db.close()


def _each(rounds: Sequence[Point], name: str) -> float:
    return round(middle(1e6 * each[name] / each["events"] for each in rounds), 1)


def _cpu(rounds: Sequence[Point]) -> float:
    """Return the CPU of the service and, where we can see it, of its database, µs an event."""
    used = (each["cpu_seconds"] + each.get("database_cpu_seconds", 0.0) for each in rounds)
    return round(middle(1e6 * seconds / each["events"] for seconds, each in zip(used, rounds, strict=True)), 1)
