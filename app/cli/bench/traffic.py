"""Requests made before the clock starts, and the driver process that sends them."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.cli.bench.processes import HOST, ROOT, Server

INCLUDED, ACCEPTED = '"state":"included"', '"result":"accepted"'


@dataclass(frozen=True, slots=True)
class Load:
    """What every connection sends in order, how many events that is, and what each answer must hold."""

    connections: list[list[bytes]]
    events: int
    status: int
    needed: tuple[str, ...] = ()


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """Return a complete HTTP/1.1 request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    if token:
        head += f"Authorization: Bearer {token}\r\n"
    if method == "POST":
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def singles(streams: Sequence[Sequence[bytes]], path: str, token: str, needed: tuple[str, ...]) -> Load:
    """Return one POST an event, one connection a stream."""
    made = [[request("POST", path, token, event) for event in stream] for stream in streams]
    return Load(made, sum(map(len, streams)), 201, needed)


def batches(streams: Sequence[Sequence[bytes]], size: int, token: str, connections: int) -> Load:
    """Return batches of `size`: each connection carries its own share of the streams, in turn."""
    made: list[list[bytes]] = []
    for first in range(connections):
        mine = [event for step in zip(*streams[first::connections], strict=True) for event in step]
        parts = [mine[start : start + size] for start in range(0, len(mine), size)]
        made.append([request("POST", "/v1/events/batch", token, batch_body(part)) for part in parts])
    return Load(made, sum(map(len, streams)), 200, (INCLUDED, ACCEPTED))


def batch_body(events: Sequence[bytes]) -> bytes:
    """Return the body of a batch."""
    return b'{"events":[' + b",".join(events) + b"]}"


def reads(paths: Sequence[str], token: str, connections: int) -> Load:
    """Return one GET a path, dealt over connections."""
    made = [[request("GET", path, token) for path in paths[first::connections]] for first in range(connections)]
    return Load(made, len(paths), 200)


def send(load: Load, server: Server, folder: Path) -> dict[str, Any]:
    """Send a load from a process of its own and return what it and the server's process took.

    Raises:
        RuntimeError: An answer was not as expected; the text shows it.
    """
    told = drive(load, server.port, folder, before=server.cpu_seconds())
    told["cpu_seconds"] = server.cpu_seconds() - told.pop("cpu_before")
    told["rss_mb"] = round(server.rss_bytes() / 2**20, 1)
    return told


def drive(load: Load, port: int, folder: Path, *, before: float = 0.0) -> dict[str, Any]:
    """Run the driver over a load and hold every answer to what the load expects."""
    requests, plan, spans, at = folder / "requests.bin", folder / "plan.json", [], 0
    with requests.open("wb") as file:
        for connection in load.connections:
            mine = []
            for each in connection:
                file.write(each)
                mine.append((at, at + len(each)))
                at += len(each)
            spans.append(mine)
    plan.write_text(json.dumps({
        "host": HOST, "port": port, "requests": str(requests), "connections": spans, "status": load.status,
        "needed": list(load.needed),
    }))  # fmt: skip
    command = [sys.executable, "-P", "-m", "app.cli.bench.driver", str(plan)]
    done = subprocess.run(command, capture_output=True, check=False, env={"PYTHONPATH": str(ROOT)})  # noqa: S603
    requests.unlink()
    if done.returncode:
        raise RuntimeError(f"the load driver failed: {done.stderr.decode()[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    _hold(load, told)
    return {**told, "events": load.events, "cpu_before": before}


def _hold(load: Load, told: dict[str, Any]) -> None:
    sent = sum(map(len, load.connections))
    if told["bad"] or told["requests"] != sent or any(count != load.events for count in told["counted"]):
        raise RuntimeError(
            f"{told['requests']} of {sent} requests were answered, {told['counted']} of {load.events} events "
            f"as expected; for example: {told['bad'][:1]}"
        )
