"""The load driver: a process of its own that sends prepared requests and keeps the time, as cheaply as it can.

    python -m app.cli.bench.driver PLAN.json

A closed loop: every connection sends its own requests in order, the next one when the last was answered. The
plan names host, port, a file of complete HTTP requests, and for each connection where its requests lie in it.
The answer is one line of JSON: wall and CPU seconds, every latency's summary, and what was not as expected.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

try:
    from uvloop import new_event_loop
except ImportError:  # not on every platform; the driver is only slower
    from asyncio import new_event_loop  # type: ignore[assignment]

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "


@dataclass(slots=True)
class Tally:
    """What the connections saw."""

    status: bytes
    needed: list[bytes]
    latencies: list[float] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    received_bytes: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection that works through its requests."""

    def __init__(self, data: memoryview, spans: list[tuple[int, int]], tally: Tally) -> None:
        """Take the requests' places in the data."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._data, self._spans, self._tally = data, iter(spans), tally
        self._buffer, self._needed, self._sent_at = b"", 0, 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; `start` sends the first request."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def start(self) -> None:
        """Send the next request, or end."""
        span = next(self._spans, None)
        if self._transport is None or span is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._data[span[0] : span[1]])

    def data_received(self, data: bytes) -> None:
        """Gather one answer; what it says is only searched, not parsed."""
        self._buffer += data
        if not self._needed:
            end = self._buffer.find(HEAD_END)
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(LENGTH)
            length = int(head[at + len(LENGTH) :].split(b"\r", 1)[0]) if at >= 0 else 0
            self._needed = end + len(HEAD_END) + length
        if len(self._buffer) >= self._needed:
            answer, self._buffer, self._needed = self._buffer, b"", 0
            self._answered(answer)

    def _answered(self, answer: bytes) -> None:
        tally = self._tally
        tally.latencies.append(time.perf_counter() - self._sent_at)
        tally.received_bytes += len(answer)
        if answer[9:12] != tally.status and len(tally.bad) < 3:
            tally.bad.append(answer[:2000].decode("utf-8", "replace"))
        for place, needle in enumerate(tally.needed):
            tally.counted[place] += answer.count(needle)
        self.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a connection that went away before its time."""
        if not self.done.done():
            self._tally.bad.append(f"connection lost: {exc}")
            self.done.set_result(None)


async def drive(plan: dict[str, Any], data: memoryview) -> dict[str, Any]:
    """Open every connection, then let all start at once."""
    needed = [needle.encode() for needle in plan["needed"]]
    tally = Tally(str(plan["status"]).encode(), needed, counted=[0] * len(needed))
    loop = asyncio.get_running_loop()
    connections = [Connection(data, [(start, end) for start, end in spans], tally) for spans in plan["connections"]]
    for connection in connections:
        await loop.create_connection(partial(_same, connection), plan["host"], plan["port"])
    wall, cpu = time.perf_counter(), time.process_time()
    for connection in connections:
        connection.start()
    await asyncio.gather(*(connection.done for connection in connections))
    return summary(tally, time.perf_counter() - wall, time.process_time() - cpu)


def _same(connection: Connection) -> Connection:
    return connection


def summary(tally: Tally, wall_seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """Return what happened as data."""
    ordered = sorted(tally.latencies) or [0.0]

    def at(quantile: float) -> float:
        return round(1000 * ordered[min(len(ordered) - 1, int(quantile * len(ordered)))], 3)

    return {
        "requests": len(tally.latencies), "counted": tally.counted, "wall_seconds": wall_seconds,
        "driver_cpu_seconds": cpu_seconds, "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999),
        "received_bytes": tally.received_bytes, "bad": tally.bad,
    }  # fmt: skip


def main() -> None:
    """Read the plan, drive, print one line of JSON."""
    plan = json.loads(Path(sys.argv[1]).read_bytes())
    data = memoryview(Path(plan["requests"]).read_bytes())
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(json.dumps(runner.run(drive(plan, data))))


if __name__ == "__main__":
    main()
