"""A service under load that is killed without warning, and what its clients were told.

Each client has a phone of its own, signs its next observation and sends it; an event counts as acknowledged
when a 2xx receipt was read whole. An event without an answer is sent again, byte for byte, after the restart.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.cli.phone import Phone, Signed
from app.clock import rfc3339_ms
from tests import small
from tests.house import House

ROOT = Path(__file__).resolve().parent.parent.parent
CLIENTS = 6
START_SECONDS = 30


@dataclass(slots=True)
class Client:
    """One phone that keeps sending."""

    phone: Phone
    acknowledged: dict[str, int] = field(default_factory=dict)
    open: Signed | None = None


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    house: House, url: str, program: str = "app.cli", **settings: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the service over a house's files and give its process and port, once it is ready."""
    port = free_port()
    env = {
        **os.environ,
        "CUSTODY_DATA_DIR": str(house.settings.data_dir),
        "CUSTODY_DATABASE_URL": url,
        "CUSTODY_LOG_LEVEL": "ERROR",
        "CUSTODY_WRITER": "process" if program == "app.cli" else "thread",
        "PYTHONPATH": str(ROOT),
        **{f"CUSTODY_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", program, "serve", "--port", str(port)]
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_ready(process, port)
        yield process, port
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes], *, writer_too: bool = True) -> None:
    """Kill the service without warning: both of its processes in one moment, or the one that answers alone."""
    if process.poll() is None and writer_too:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the service ended before it was ready"
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
                connection.request("GET", "/readyz")
                ready = connection.getresponse().status == 200
        except OSError:
            ready = False
        if ready:
            return
        threading.Event().wait(0.02)
    raise AssertionError("the service was not ready in time")


def send(client: Client, port: int, now_ms: int, stop: threading.Event) -> None:
    """Sign and send one event after the other until told to stop or cut off."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        while not stop.is_set():
            signed = client.open or client.phone.sign(
                "sighting", {"source": "camera"}, at_ms=now_ms, place=small.WAREHOUSE, capacity="witness"
            )
            client.open = signed
            headers = {"Content-Type": "application/json", "Custody-Scenario-Time": rfc3339_ms(now_ms)}
            connection.request("POST", "/v1/events", json.dumps(signed.jws), headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in {200, 201}, (answer.status, body[:300])
            client.acknowledged[signed.hash] = json.loads(body)["index"]
            client.open = None
    except (OSError, http.client.HTTPException):
        return  # killed in the middle: the open event is sent again after the restart
    finally:
        connection.close()


def cycle(house: House, url: str, clients: list[Client], random_: random.Random, program: str = "app.cli") -> None:
    """Start the service, load it, and kill it somewhere in the middle."""
    with running(house, url, program) as (process, port):
        stop = threading.Event()
        threads = [threading.Thread(target=send, args=(c, port, house.now_ms, stop)) for c in clients]
        for thread in threads:
            thread.start()
        threading.Event().wait(random_.uniform(0.1, 0.5))
        kill(process, writer_too=random_.random() < 0.75)
        stop.set()
        for thread in threads:
            thread.join()


def lost(house: House, clients: list[Client]) -> list[str]:
    """Return what was acknowledged and is not in the ledger at the index that was told."""
    with house.db.read() as session:
        kept = {row[0]: row[1] for row in session.exec_driver_sql("SELECT hash, leaf_index FROM event")}
    told = {name: index for client in clients for name, index in client.acknowledged.items()}
    return [name for name, index in told.items() if kept.get(name) != index]
