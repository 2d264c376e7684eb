"""The loads of signed events: one at a time and in batches, closed and open, each beside its yardsticks."""

import json
import math
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.cli.bench.defaults import child_environment
from app.cli.bench.figures import Round
from app.cli.bench.profile import summed, watched
from app.cli.bench.sources import ROOT
from app.cli.bench.stage import Stage
from app.cli.bench.stories import as_sent, exchanges
from app.cli.bench.traffic import (
    INCLUDED,
    STORED,
    Event,
    Load,
    batches,
    dealt,
    plain,
    post,
    shares,
    singles,
)
from app.cli.bench.wish import OPEN_SHARE
from app.cli.phone import Signed
from app.clock import SystemClock
from app.db import Database

YARDSTICKS = ROOT / "scripts" / "yardsticks"
DATABASE = "YARDSTICK_DATABASE"
"""The variable that names a yardstick's database: a URL may hold a password, and arguments are for all to read."""
SINGLE_CONNECTIONS, OPEN_BATCH_CONNECTIONS = 64, 24
HUNDRED_CONNECTIONS, THOUSAND_CONNECTIONS = 8, 4
"""All that they send at a time may wait at a time (`queue_events`, of which batches fill three quarters)."""
EVENTS_PER_BOX = 4
"""There and back: two releases and two accepts, after which a box is where it was."""
Step = tuple[str, Round]


def single(stage: Stage) -> Iterator[Step]:
    """One event a request, closed beside the no-op and the naive service; then open at a part of that rate."""
    events = stage.signed(stage.size.single)
    yield "noop_post", stage.send(plain(events, "/noop", INCLUDED, SINGLE_CONNECTIONS), "noop")
    closed = stage.send(singles(events, stage.token, SINGLE_CONNECTIONS))
    yield "single", closed
    few = [stream[: max(1, stage.size.naive // len(events))] for stream in events[: stage.size.naive]]
    yield "naive", stage.send(plain(few, "/naive", STORED, SINGLE_CONNECTIONS), "naive")
    ahead = stage.signed(stage.size.single)
    rate = wanted_rate(stage, closed, 1)
    yield "single_open", stage.send_open("single_open", singles(ahead, stage.token, len(ahead)), rate)


def batch_100(stage: Stage) -> Iterator[Step]:
    """A hundred events a request, closed beside the bare pipeline; then open at a part of that rate."""
    size = stage.size.hundred
    events, load = stage.in_batches(stage.size.batch_100, size, HUNDRED_CONNECTIONS)
    yield "bare", bare(stage, [event.body for stream in events for event in stream])
    closed = tidied(stage, stage.send(load))
    yield "batch_100", closed
    _, ahead = stage.in_batches(stage.size.batch_100_open, size, OPEN_BATCH_CONNECTIONS)
    yield "batch_100_open", stage.send_open("batch_100_open", ahead, wanted_rate(stage, closed, size))


def batch_1000(stage: Stage) -> Iterator[Step]:
    """A thousand events a request."""
    _, load = stage.in_batches(stage.size.batch_1000, stage.size.thousand, THOUSAND_CONNECTIONS)
    yield "batch_1000", tidied(stage, stage.send(load))


def tidied(stage: Stage, told: Round) -> Round:
    """Add to a load what is left to do after it: SQLite's log goes into the file, as at the end of the bare pipeline.

    The service does that every second beside its writer; what the last second left is done here, by its own function.
    """
    db = Database(stage.url)
    wall, cpu = time.perf_counter(), time.process_time()
    db.tidy()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    db.close()
    return {
        **told, "wall_seconds": told["wall_seconds"] + wall, "cpu_seconds": told["cpu_seconds"] + cpu,
        "tidy_seconds": wall,
    }  # fmt: skip


def two_signatures(stage: Stage) -> Iterator[Step]:
    """Releases and accepts that two officers sign on each side, one at a time and in batches of a hundred."""
    teams = list(zip(stage.streams[::2], stage.streams[1::2], strict=True))
    each = len(stage.boxes) // len(teams)
    stories = [
        exchanges(
            ((one.here, two.here), (one.there, two.there)),  # of either algorithm one
            [[unit] for unit in stage.boxes[n * each : (n + 1) * each]], SystemClock().now_ms,
        )
        for n, (one, two) in enumerate(teams)
    ]  # fmt: skip
    # The boxes go there and back within each load, so that the next one finds them where this one did.
    way = EVENTS_PER_BOX * each
    size, connections = stage.size.hundred, min(HUNDRED_CONNECTIONS, len(stories))
    count = _multiple(stage.size.two_signatures / len(stories), way)
    events = _taken(stage, stories, count)
    yield "two_signatures", stage.send(singles(events, stage.token, SINGLE_CONNECTIONS))
    carried, step = shares(len(stories), connections, size)
    used = stories[: carried * connections]
    count = _multiple(stage.size.two_signatures_100 / len(used), math.lcm(way, step))
    yield "two_signatures_100", stage.send(batches(_taken(stage, used, count), size, stage.token, connections))


def _multiple(wanted: float, of: int) -> int:
    """Return the multiple of a number that is nearest to what is wanted, at least one."""
    return max(1, round(wanted / of)) * of


def _taken(stage: Stage, stories: Sequence[Iterator[Signed]], count: int) -> list[list[Event]]:
    events = [[as_sent(next(story)) for _ in range(count)] for story in stories]
    stage.note(events)
    return events


def hundred_units(stage: Stage) -> Iterator[Step]:
    """Releases and accepts of a hundred units in one event, one after the other."""
    stories = [
        exchanges(((stream.here,), (stream.there,)), [heap], SystemClock().now_ms)
        for stream, heap in zip(stage.streams, stage.heaps, strict=False)
    ]
    count = max(1, stage.size.hundred_units // len(stories) // 4) * 4  # there and back
    events: list[list[Event]] = [[as_sent(next(story)) for _ in range(count)] for story in stories]
    stage.note(events)
    load: Load = dealt([post(event, stage.token) for step in zip(*events, strict=True) for event in step], 1)
    told = stage.send(load)
    yield "hundred_units", {**told, "units": 100}


def profiled(stage: Stage, folder: Path) -> dict[str, Any]:
    """Send single events and batches of a hundred once more, with a profiler at both processes of the service.

    Returns:
        Per load and process the shares of self time; the files are in the folder.
    """
    size, found = stage.size, dict[str, Any]()
    for name in ("single", "batch_100"):
        load = (
            singles(stage.signed(size.single), stage.token, SINGLE_CONNECTIONS)
            if name == "single"
            else stage.in_batches(size.batch_100, size.hundred, HUNDRED_CONNECTIONS)[1]
        )
        with watched(stage.server().processes(), folder, name) as files:
            stage.send(load)
        found |= {f"{name}, {part}": {"file": file.name, **summed(file)} for part, file in files.items()}
    return found


def wanted_rate(stage: Stage, closed: Round, events_per_request: int) -> float:
    """Return how many requests a second an open load asks for."""
    events = stage.wish.open_rate or OPEN_SHARE * closed["events"] / closed["wall_seconds"]
    return events / events_per_request


def bare(stage: Stage, events: Sequence[bytes]) -> Round:
    """Run the bare pipeline over the same events, in a process and a database of its own."""
    lines = stage.folder / "events.jsonl"
    lines.write_bytes(b"\n".join(events))
    target = stage.beside(f"bare-{secrets.token_hex(4)}")
    return yardstick("bare", "--keys", str(stage.keys), "--events", str(lines), database=target)


def yardstick(name: str, *arguments: str, database: str = "") -> dict[str, Any]:
    """Run a yardstick that is a command, and return what it tells.

    Args:
        name: Its file.
        arguments: What it is told.
        database: URL of its database, where it has one.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, str(YARDSTICKS / f"{name}.py"), *arguments]
    env = child_environment({DATABASE: database} if database else None)
    done = subprocess.run(command, capture_output=True, check=False, env=env)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"the yardstick {name} failed: {done.stderr.decode()[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def signature_us(count: int = 4000) -> float:
    """Return what verifying a signature alone costs now, µs of CPU: the mean of the two that the service verifies with.

    Machines change their speed within the hour; what was measured beside this can be told in signatures.
    """
    told = yardstick("signatures", "--count", str(count))
    used = [told["verify_ed25519_libsodium"], told["verify_es256_openssl"]]
    return sum(1e6 * float(each["cpu_seconds"]) / int(each["events"]) for each in used) / len(used)
