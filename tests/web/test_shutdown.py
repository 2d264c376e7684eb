"""SIGTERM drains: every request that was under way is answered, and what was answered is on the ledger."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.cli.init import found_here, single_founder
from app.cli.phone import Phone
from app.clock import SystemClock
from app.config import Settings
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.keys.files import make_jwk_file
from app.ledger.highwater import HighWater

ORIGIN = "drain.localhost/ledger/drain"
NAME = "drain"


@pytest.fixture
def served(database_url, tmp_path):
    """A founded ledger served by `custody serve` in a process of its own; yields the process and its address."""
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    keys = ServerKeys.make(tmp_path / "keys", ORIGIN)
    founder = make_jwk_file(tmp_path / "keys" / "founder.jwk")
    now_ms = SystemClock().now_ms()
    found_here(settings, keys, single_founder(keys, founder, NAME, demo=False, now_ms=now_ms), now_ms)
    environment = {
        **os.environ, "CUSTODY_DATA_DIR": str(tmp_path), "CUSTODY_DATABASE_URL": database_url, "PYTHONPATH": str(Path.cwd()),
        "CUSTODY_GROUP_EVENTS": "1", "CUSTODY_LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stderr.readline()
    address = line.strip().rsplit(" ", 1)[1]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{address}/readyz").raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(0.05)
    yield process, address, founder, settings
    if process.poll() is None:
        process.kill()
    process.stderr.close()
    process.wait()


def test_a_term_signal_answers_what_is_under_way(served):
    process, address, founder, settings = served
    answered, dropped, stop = [], [], threading.Event()

    def send(number):
        phone = Phone(founder, "ADM-1", "OPERATOR", ORIGIN, "FOUNDING", "FOUNDING", seq=number * 1000)
        with httpx.Client(base_url=address, timeout=20) as client:
            while not stop.is_set():
                signed = phone.sign(
                    "access", {"act": "open", "purpose": "X"}, at_ms=SystemClock().now_ms(), capacity="witness"
                )
                try:
                    answer = client.post("/v1/events", json=signed.jws)
                except httpx.TransportError as error:
                    dropped.append(error)
                    return
                (answered if answer.status_code == 201 else dropped).append(signed.hash)
                assert answer.status_code in {201, 409, 503}, answer.text
                if answer.status_code != 201:
                    return

    threads = [threading.Thread(target=send, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    while len(answered) <= 10 and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) in {0, -signal.SIGTERM}
    stop.set()
    for thread in threads:
        thread.join(20)
    kinds = {type(error).__name__ for error in dropped if isinstance(error, Exception)}
    assert kinds <= {"ConnectError", "RemoteProtocolError", "ReadError"}, kinds
    assert len(answered) > 10
    db = Database(settings.url())
    with db.read() as session:
        kept = set(session.exec_driver_sql("SELECT hash FROM event").scalars())
    assert set(answered) <= kept
    Recorder(db, settings, ServerKeys.load(settings.keys_folder()), HighWater(settings.high_water_file(), ORIGIN))
    db.close()


def test_the_server_says_in_one_line_why_it_does_not_start(tmp_path):
    def serve(**more):
        environment = {**os.environ, "CUSTODY_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(Path.cwd()), **more}
        return subprocess.run(
            [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0"], env=environment, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip

    nothing = serve()
    assert nothing.returncode == 1
    assert nothing.stderr.count("\n") == 1
    assert "custody init" in nothing.stderr
    unusable = serve(CUSTODY_PORT_="1", CUSTODY_QUEUE_EVENTS="none")
    assert unusable.returncode == 1
    assert "queue_events" in unusable.stderr
    assert "Traceback" not in unusable.stderr
    init = [sys.executable, "-P", "-m", "app.cli", "init", "--json"]
    environment = {**os.environ, "CUSTODY_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(Path.cwd())}
    told = json.loads(subprocess.run(init, env=environment, capture_output=True, text=True, check=True).stdout)
    assert set(told) == {"origin", "genesis", "ledger_key", "service_key", "admission_key"}
    (tmp_path / "data" / "keys" / "service.jwk").chmod(0o444)
    readable = serve()
    assert readable.returncode == 1
    assert "chmod 400" in readable.stderr
