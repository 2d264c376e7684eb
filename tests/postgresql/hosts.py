"""Hosts that serve one ledger on PostgreSQL, phones that keep sending to them, and what must hold of what was answered.

A host is a folder of its own (the same server keys, a high-water mark of its own) and `custody serve` in processes of
its own. Phones send in closed loops, each to its host; an event that was not acknowledged is sent again, byte for byte,
to whichever host answers. `faults` looks everything over; the mutants of these tests must make it find something.
"""

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.audit.fsck import fsck
from app.canon import b64url_encode
from app.cli.phone import Phone, Signed
from app.clock import rfc3339_ms
from app.db import Database
from app.ledger.append import Reader, read_head
from app.ledger.checkpoint import Checkpoint
from app.ledger.highwater import HighWater
from app.ledger.note import Note
from tests import small
from tests.house import House
from tests.journeys.killing import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT_SECONDS = 60
REST_SECONDS = 0.05
"""Between two events of a phone: while a host starts, the others must not write more than fsck reads in a moment."""
FINE = {200, 201, 503}


class Host:
    """One host of a ledger."""

    def __init__(
        self, house: House, folder: Path, url: str, *, workers: int = 2, program: str = "app.cli", **settings: str
    ) -> None:
        """Make its folder: the house's keys, and a mark as of now."""
        self.folder, self.url, self.program, self.workers = folder, url, program, workers
        self.settings = settings
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        shutil.copytree(house.settings.keys_folder(), folder / "keys")
        self.mark = folder / "high-water.json"
        shutil.copyfile(house.settings.high_water_file(), self.mark)

    @property
    def log(self) -> str:
        """What the host has logged so far."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def start(self, *, ready: bool = True) -> None:
        """Start the service; wait until it is ready, unless it cannot be."""
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "CUSTODY_DATA_DIR": str(self.folder), "CUSTODY_DATABASE_URL": self.url,
            "CUSTODY_LOG_LEVEL": "INFO", "CUSTODY_SWEEP_SECONDS": "1",
            **{f"CUSTODY_{name.upper()}": value for name, value in self.settings.items()},
        }  # fmt: skip
        command = [
            sys.executable,
            "-P",
            "-m",
            self.program,
            "serve",
            "--port",
            str(self.port),
            "--workers",
            str(self.workers),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        if ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the service is ready; it must not end before."""
        process = self.process
        if process is not None:
            until(lambda: self.readiness() == 200, lambda: f"ready: {self.log[-3000:]}", lambda: process.poll() is None)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Ask for something."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def readiness(self) -> int:
        """Return the status of `/readyz`; 0 when nobody answers."""
        try:
            return self.get("/readyz")[0]
        except (OSError, http.client.HTTPException):
            return 0

    def shown(self, name: str) -> Checkpoint:
        """Return the checkpoint that the host shows."""
        status, body = self.get(f"/ledger/{name}/checkpoint")
        assert status == 200, body
        return Checkpoint.parse(Note.parse(body).text)

    def kill(self) -> None:
        """Kill every process of the host in one moment."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """Stop in order and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WAIT_SECONDS)


def until(holds: Callable[[], bool], what: Callable[[], str], alive: Callable[[], bool] = lambda: True) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert alive(), f"ended before it was {what()}"
        assert time.monotonic() < deadline, f"not in time: {what()}"
        time.sleep(0.02)


@dataclass
class Client:
    """A phone that keeps sending to one host, or to the next one when that does not answer."""

    phone: Phone
    home: int
    acknowledged: dict[str, int] = field(default_factory=dict)
    checkpoints: list[str] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    by_host: Counter[int] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    open: Signed | None = None


class Load:
    """Clients that send until told to stop."""

    def __init__(self, house: House, hosts: Sequence[Host], clients: Sequence[Client]) -> None:
        self.house, self.hosts, self.clients = house, hosts, clients
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._send, args=(client,)) for client in clients]

    @property
    def count(self) -> int:
        """The number of events acknowledged so far."""
        return sum(len(client.acknowledged) for client in self.clients)

    def reach(self, more: int) -> None:
        """Wait until so many more are acknowledged."""
        goal = self.count + more
        until(
            lambda: self.count >= goal, lambda: f"{more} more, {self.answers()}, {[h.log[-1500:] for h in self.hosts]}"
        )

    def answers(self) -> Counter[int]:
        """Count all answers by status."""
        return sum((client.answers for client in self.clients), Counter())

    def _send(self, client: Client) -> None:
        at = client.home
        connection = self._connection(at)
        while not self.stopping.is_set():
            signed = client.open or client.phone.sign(
                "sighting", {"source": "camera"}, at_ms=self.house.now_ms, place=small.WAREHOUSE, capacity="witness"
            )
            client.open = signed
            headers = {"Content-Type": "application/json", "Custody-Scenario-Time": rfc3339_ms(self.house.now_ms)}
            try:
                connection.request("POST", "/v1/events", json.dumps(signed.jws), headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                at = (at + 1) % len(self.hosts)  # the next host, with the same event
                connection = self._connection(at)
                self.stopping.wait(0.05)
                continue
            client.answers[answer.status] += 1
            if answer.status in {200, 201}:
                self._note(client, at, signed, json.loads(body))
                self.stopping.wait(REST_SECONDS)
            else:
                if answer.status not in FINE or not answer.getheader("Retry-After"):
                    client.odd.append(f"{answer.status} {body[:300]!r}")
                self.stopping.wait(0.1)
        connection.close()

    def _connection(self, at: int) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.hosts[at].port, timeout=40)

    @staticmethod
    def _note(client: Client, at: int, signed: Signed, receipt: dict) -> None:
        client.acknowledged[signed.hash] = receipt["index"]
        client.by_host[at] += 1
        if "proof" in receipt:
            client.checkpoints.append(receipt["proof"]["checkpoint"])
        client.open = None


@contextmanager
def loaded(house: House, hosts: Sequence[Host], *, each: int = 4) -> Iterator[Load]:
    """Let so many phones send to each host while the block runs."""
    clients = [
        Client(house.enrol(f"OFF-{n}", small.KPU, "LOGISTIK", small.CITY), n % len(hosts))
        for n in range(each * len(hosts))
    ]
    load = Load(house, hosts, clients)
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in load.threads:
            thread.join(WAIT_SECONDS)


@contextmanager
def running(*hosts: Host) -> Iterator[None]:
    """Start hosts, and kill whatever is left of them at the end."""
    try:
        for host in hosts:
            host.start(ready=False)
        for host in hosts:
            host.wait_ready()
        yield
    finally:
        for host in hosts:
            host.kill()


def faults(load: Load, db: Database, name: str) -> list[str]:
    """Return what is wrong after a run: lost, doubled or moved events, odd answers, a fork, findings of fsck."""
    found = [odd for client in load.clients for odd in client.odd]
    with db.read() as session:
        kept = [tuple(row) for row in session.exec_driver_sql("SELECT hash, leaf_index FROM event")]
        head = read_head(session, name)
        nodes = Reader(head.ledger_id).nodes(session)
        places = dict(kept)
        if len(places) != len(kept):
            found.append("an event stands twice")
        told = {event: index for client in load.clients for event, index in client.acknowledged.items()}
        found += [
            f"{event} told at {index}, is at {places.get(event)}"
            for event, index in told.items()
            if places.get(event) != index
        ]
        roots: dict[int, set[str]] = {}
        for text in {text for client in load.clients for text in client.checkpoints}:
            shown = Checkpoint.parse(Note.parse(text.encode()).text)
            roots.setdefault(shown.size, set()).add(b64url_encode(shown.root))
        for size, seen in sorted(roots.items()):
            ours = {b64url_encode(nodes.root(size))} if size <= head.size else set()
            if seen != ours:
                found.append(f"fork at {size}: shown {seen}, held {ours}")
        for host in load.hosts[1:]:
            mark = HighWater(host.mark, head.origin)
            if mark.size > head.size or b64url_encode(nodes.root(mark.size)) != mark.root:
                found.append(f"{host.mark} is not in the tree")
            mark.close()
    report = fsck(db, ledger=name, high_water=load.hosts[0].mark, signatures=False)
    return found + [f"{finding.where}: {finding.what}: {finding.detail}" for finding in report.findings]


def errors(text: str) -> list[str]:
    """Return the tracebacks of a log that nobody wanted."""
    return re.findall(r"Traceback|internal_error", text)
