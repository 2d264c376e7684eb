"""The load driver: a process of its own that sends prepared requests and keeps the time, as cheaply as it can.

    python -m app.cli.bench.driver PLAN.json

One thread, one epoll, plain sockets. It parses nothing but an answer's length, keeps the answers as they came, and
writes them down when the last one is there: whoever started it holds each of them to what it must say, after the clock.

The plan names host, port, a file of complete HTTP requests, and for each connection where its requests lie in it.
Without `due` the loop is closed: each connection sends its next request when the last was answered. With `due`
(seconds from the start, one a request) it is open: a request that falls due while its connection still waits for
another is sent right after that, and its time counts from when it was due. So a server that stalls is charged with
everybody who would have come meanwhile (no coordinated omission). With `repeat_seconds`, which is for closed loops, a
503 that names a time to come again (Retry-After) is no answer yet: the request is sent again then, and its time counts
from when it was sent first.

It prints one line of JSON: wall and CPU seconds of the loop, how busy the whole machine was meanwhile, and how many
requests were sent again. `answers` holds the answers, `times` three doubles for each (due or sent, sent, answered, in
seconds from the start) and `lengths` its length; all in the order of the plan, connection by connection.
"""

import heapq
import json
import select
import socket
import sys
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.cli.bench.busy import busy_seconds

HEAD_END = b"\r\n\r\n"
LENGTHS = (b"\r\ncontent-length: ", b"\r\nContent-Length: ")
RETRY = b"\r\nretry-after: "
RECEIVE_BYTES = 262_144
SILENCE_SECONDS = 60.0
"""So long without one answer, and the run is given up."""


class Connection:
    """One keep-alive connection that works through its requests in order."""

    __slots__ = (
        *("_address", "_at", "_data", "_due", "_have", "_needed", "_parts", "_poll", "_repeat_seconds", "_rest"),
        *("_socket", "_spans", "_started", "_table", "again_at", "answers", "busy", "repeated", "times", "wanted"),
    )

    def __init__(
        self, address: tuple[str, int], data: memoryview, spans: Sequence[tuple[int, int]],
        due: Sequence[float] | None, poll: select.epoll, table: "dict[int, Connection]", repeat_seconds: float = 0.0,
    ) -> None:  # fmt: skip
        """Connect.

        Args:
            address: Host and port.
            data: All requests.
            spans: Where this connection's requests lie in it.
            due: When each is due, seconds from the start; as soon as it can when absent.
            poll: Says when there is something to do.
            table: Connections by file descriptor, which this one enters itself into.
            repeat_seconds: Until when, from the start, whoever is turned away comes again.
        """
        self._address, self._poll, self._table = address, poll, table
        self._data, self._spans, self._due = data, spans, due
        self._at, self._needed, self._have, self._started = 0, 0, 0, 0.0
        self._parts: list[bytes] = []
        self._rest: memoryview | None = None
        self.answers: list[bytes] = []
        self.times = array("d")
        self.busy = False
        self.wanted = len(spans) if due is None else 0
        """How many requests may be sent by now."""
        self._repeat_seconds = repeat_seconds
        self.again_at = 0.0
        """When the request that was turned away is sent again; 0 when none was."""
        self.repeated = 0
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=SILENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._poll.register(self._socket.fileno(), select.EPOLLIN)
        self._table[self._socket.fileno()] = self

    def begin(self, started: float) -> None:
        """Start the clock; a closed loop sends its first request."""
        self._started = started
        self.next()

    def wake(self) -> None:
        """Go on when a moment has come: a request has fallen due, or one that was turned away may come again."""
        if self.again_at:
            self.again_at, self.busy = 0.0, True
            self._open()
            start, end = self._spans[self._at]
            self._send(self._data[start:end])
            return
        self.wanted += 1
        self.next()

    def next(self) -> None:
        """Send the next request that may be sent."""
        if self.busy or self._at >= self.wanted:
            return
        self.busy = True
        self._open()
        start, end = self._spans[self._at]
        now = time.perf_counter() - self._started
        self.times.append(now if self._due is None else self._due[self._at])
        self.times.append(now)
        self._send(self._data[start:end])

    def _open(self) -> None:
        """Connect anew where the server has hung up meanwhile."""
        if self._socket.fileno() < 0:
            self._connect()

    def _send(self, data: memoryview) -> None:
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        waited = self._rest is not None
        self._rest = data[sent:] if sent < len(data) else None
        if waited != (self._rest is not None):
            writing = select.EPOLLOUT if self._rest is not None else 0
            self._poll.modify(self._socket.fileno(), select.EPOLLIN | writing)

    def ready(self, mask: int) -> bool:
        """Go on sending or receiving; says whether an answer was completed."""
        if mask & select.EPOLLOUT and self._rest is not None:
            self._send(self._rest)
        if not mask & ~select.EPOLLOUT:
            return False
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            if self.busy:
                raise ConnectionError(f"a connection was closed after {self._at} of {len(self._spans)} answers")
            self._socket.close()  # it was idle for long, as servers have it; the next request opens it anew
            return False
        self._parts.append(data)
        self._have += len(data)
        if not self._needed:
            self._needed = whole_length(data if len(self._parts) == 1 else b"".join(self._parts))
        if not self._needed or self._have < self._needed:
            return False
        now = time.perf_counter() - self._started
        answer = data if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._needed, self._have, self.busy = [], 0, 0, False
        pause = pause_of(answer) if now < self._repeat_seconds else None
        if pause is not None:
            self.again_at, self.repeated = now + pause, self.repeated + 1
            return False
        self.times.append(now)
        self.answers.append(answer)
        self._at += 1
        self.next()
        return True


def pause_of(answer: bytes) -> float | None:
    """Return after how many seconds whoever was answered so shall come again; None when the answer is a last one."""
    if answer[9:12] != b"503":
        return None
    head = answer[: answer.find(HEAD_END) + 2].lower()
    at = head.find(RETRY)
    return float(head[at + len(RETRY) : head.index(b"\r", at + len(RETRY))]) if at >= 0 else None


def whole_length(data: bytes) -> int:
    """Return how long an answer is, head and body, or 0 while its head is not complete.

    Raises:
        ValueError: The head tells no length.
    """
    end = data.find(HEAD_END)
    if end < 0:
        return 0
    for name in LENGTHS:
        at = data.find(name, 0, end)
        if at >= 0:
            return end + len(HEAD_END) + int(data[at + len(name) : data.index(b"\r", at + len(name))])
    raise ValueError(f"an answer without a length: {data[:end][:300]!r}")


def drive(plan: dict[str, Any], data: memoryview) -> tuple[dict[str, Any], list[Connection]]:
    """Open every connection, let all start at once, and return when every request was answered.

    Raises:
        ConnectionError: A connection ended before its time.
        TimeoutError: Nobody answered for a minute.
    """
    poll = select.epoll()
    due = plan["due"] or [None] * len(plan["connections"])
    address, by_fd = (plan["host"], plan["port"]), dict[int, Connection]()
    connections = [
        Connection(address, data, spans, moments, poll, by_fd, plan["repeat_seconds"] or 0.0)
        for spans, moments in zip(plan["connections"], due, strict=True)
    ]
    busy, wall, cpu = busy_seconds(), time.perf_counter(), time.process_time()
    _loop(poll, by_fd, connections, plan["due"], wall, sum(map(len, plan["connections"])))
    told = {
        "wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
        "busy_seconds": busy_seconds() - busy, "repeated": sum(each.repeated for each in connections),
    }  # fmt: skip
    return told, connections


def _loop(
    poll: select.epoll, by_fd: dict[int, Connection], connections: Sequence[Connection],
    due: Sequence[Sequence[float]] | None, started: float, left: int,
) -> None:  # fmt: skip
    # When which connection goes on; the number keeps those of one moment in the order of the plan.
    moments = zip(range(len(connections)), due or (), strict=False)
    agenda = [(moment, number) for number, times in moments for moment in times]
    heapq.heapify(agenda)
    place = {id(connection): number for number, connection in enumerate(connections)}
    for connection in connections:
        connection.begin(started)
    quiet_since = started
    while left:
        now = time.perf_counter()
        while agenda and agenda[0][0] <= now - started:
            connections[heapq.heappop(agenda)[1]].wake()
        timeout = max(0.0, agenda[0][0] - (now - started)) if agenda else 1.0
        for fd, mask in poll.poll(timeout):
            connection = by_fd[fd]
            if connection.ready(mask):
                left, quiet_since = left - 1, now
            elif connection.again_at:
                heapq.heappush(agenda, (connection.again_at, place[id(connection)]))
        if now - quiet_since > SILENCE_SECONDS and any(connection.busy for connection in connections):
            raise TimeoutError(f"nobody answered for {SILENCE_SECONDS:.0f} seconds; {left} answers are missing")


def keep(plan: dict[str, Any], connections: Sequence[Connection]) -> None:
    """Write down what was answered, and when."""
    lengths = array("Q", [len(answer) for each in connections for answer in each.answers])
    with Path(plan["answers"]).open("wb") as file:
        for each in connections:
            file.writelines(each.answers)
    with Path(plan["times"]).open("wb") as file:
        for each in connections:
            each.times.tofile(file)
    with Path(plan["lengths"]).open("wb") as file:
        lengths.tofile(file)


def main() -> None:
    """Read the plan, drive, keep what was answered, print one line of JSON."""
    plan = json.loads(Path(sys.argv[1]).read_bytes())
    data = memoryview(Path(plan["requests"]).read_bytes())
    try:
        told, connections = drive(plan, data)
    except (ConnectionError, TimeoutError, ValueError) as error:
        sys.exit(f"the load driver gave up: {error}")
    keep(plan, connections)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
