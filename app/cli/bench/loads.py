"""The loads of signed events: one at a time and in batches, closed and open, each beside its yardsticks."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from app.cli.bench.figures import Round
from app.cli.bench.processes import ROOT
from app.cli.bench.profile import summed, watched
from app.cli.bench.stage import Stage
from app.cli.bench.stories import as_sent, exchanges
from app.cli.bench.traffic import (
    INCLUDED,
    STORED,
    Event,
    Load,
    at_rate,
    batches,
    dealt,
    plain,
    post,
    singles,
)
from app.cli.bench.wish import OPEN_SHARE
from app.clock import SystemClock

YARDSTICKS = ROOT / "scripts" / "yardsticks"
SINGLE_CONNECTIONS, OPEN_BATCH_CONNECTIONS = 64, 24
BATCH_CONNECTIONS = {100: 8, 1000: 4}
"""All that they send at a time may wait at a time (`queue_events`, of which batches fill three quarters)."""
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
    yield "single_open", stage.send(at_rate(singles(ahead, stage.token, len(ahead)), wanted_rate(stage, closed, 1)))


def batch_100(stage: Stage) -> Iterator[Step]:
    """A hundred events a request, closed beside the bare pipeline; then open at a part of that rate."""
    events = stage.signed(stage.size.batch_100)
    yield "bare", bare(stage, [event.body for stream in events for event in stream])
    closed = stage.send(batches(events, 100, stage.token, BATCH_CONNECTIONS[100]))
    yield "batch_100", closed
    ahead = stage.signed(stage.size.batch_100)
    load = batches(ahead, 100, stage.token, min(OPEN_BATCH_CONNECTIONS, len(ahead)))
    yield "batch_100_open", stage.send(at_rate(load, wanted_rate(stage, closed, 100)))


def batch_1000(stage: Stage) -> Iterator[Step]:
    """A thousand events a request."""
    events = stage.signed(stage.size.batch_1000)
    yield "batch_1000", stage.send(batches(events, 1000, stage.token, BATCH_CONNECTIONS[1000]))


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
    # The boxes go there and back within a round, so that the next round finds them where this one did.
    count = max(1, stage.size.two_signatures // len(stories) // (4 * each)) * 4 * each
    half = count // 2
    for name in ("two_signatures", "two_signatures_100"):
        events = [[as_sent(next(story)) for _ in range(half)] for story in stories]
        stage.note(events)
        connections = SINGLE_CONNECTIONS if name == "two_signatures" else BATCH_CONNECTIONS[100]
        load = (
            singles(events, stage.token, connections)
            if name == "two_signatures"
            else batches(events, 100, stage.token, connections)
        )
        yield name, stage.send(load)


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
        events = stage.signed(size.single if name == "single" else size.batch_100)
        load = (
            singles(events, stage.token, SINGLE_CONNECTIONS)
            if name == "single"
            else batches(events, 100, stage.token, BATCH_CONNECTIONS[100])
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
    return yardstick("bare", "--keys", str(stage.keys), "--events", str(lines), "--database", target)


def yardstick(name: str, *arguments: str) -> dict[str, Any]:
    """Run a yardstick that is a command, and return what it tells.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, str(YARDSTICKS / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
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
