"""`custody serve --workers`: several processes answer, one writes, on either database; any of them may die."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.cli import workers
from app.cli.workers import MAX_SHORT_LIVES, Workers
from app.config import Settings
from app.db import Database
from tests.house import House
from tests.postgresql.hosts import ROOT, Host, faults, loaded, running, until


def answering(host: Host) -> list[psutil.Process]:
    """Return the processes of a host that answer."""
    assert host.process is not None
    children = psutil.Process(host.process.pid).children()
    return [child for child in children if child.is_running() and "app.cli.answering" in child.cmdline()]


def writers(host: Host) -> list[psutil.Process]:
    """Return the processes of a host that write."""
    assert host.process is not None
    return [child for child in psutil.Process(host.process.pid).children() if "app.worker" in child.cmdline()]


def test_workers_share_one_writer_and_are_replaced_when_they_die(sqlite_url: str, tmp_path: Path) -> None:
    db = Database(sqlite_url)
    house = House(db, tmp_path / "house")
    hosts = [Host(house, tmp_path / "host", sqlite_url, workers=2)]
    with running(*hosts), loaded(house, hosts, each=6) as load:
        load.reach(40)
        first = answering(hosts[0])
        assert (len(first), len(writers(hosts[0]))) == (2, 1)
        first[0].kill()
        load.reach(20)
        until(lambda: len(answering(hosts[0])) == 2, lambda: "another takes its place")
        assert {child.pid for child in answering(hosts[0])} != {child.pid for child in first}
        load.reach(20)
        assert hosts[0].process is not None
        writers(hosts[0])[0].kill()
        assert hosts[0].process.wait(60) == 1, "without its writer a service ends, and is started anew"
        hosts[0].start()
        load.reach(20)
        load.stopping.set()
        everybody = [*answering(hosts[0]), *writers(hosts[0])]
        hosts[0].process.kill()  # the parent alone: whoever it started ends by itself
        hosts[0].process.wait()
        until(lambda: not any(child.is_running() for child in everybody), lambda: "all of them have ended")
    assert faults(load, db, house.settings.ledger) == []
    db.close()


def test_workers_do_not_write_in_threads_of_their_own(sqlite_url: str, tmp_path: Path) -> None:
    house = House(Database(sqlite_url), tmp_path / "house")
    environment = {
        "PYTHONPATH": str(ROOT), "CUSTODY_DATA_DIR": str(house.settings.data_dir), "CUSTODY_DATABASE_URL": sqlite_url,
        "CUSTODY_WRITER": "thread",
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--port", "0", "--workers", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "CUSTODY_WRITER=process" in done.stderr
    house.db.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket to answer on; the signals that `Workers.run` takes are given back."""
    before = {ending: signal.getsignal(ending) for ending in (signal.SIGTERM, signal.SIGINT)}
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock
    for ending, handler in before.items():
        signal.signal(ending, handler)


def test_a_writer_that_ends_between_two_looks_ends_the_service_in_words(
    listening: socket.socket, tmp_path: Path
) -> None:
    """The next process that answers is to get a socket of a writer that is gone."""
    service = Workers(Settings(data_dir=tmp_path, workers=2), listening)
    service._writer.kill()
    service._writer.wait()
    with pytest.raises(RuntimeError, match="The writer ended"):
        service.run()
    assert service._answering == {}


def test_a_worker_that_ends_before_it_has_heard_how_to_run_is_replaced_a_few_times(
    listening: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one that never listens, to settings longer than a pipe holds."""
    monkeypatch.setattr(workers, "ANSWERING", "keyword")  # a module of Python's that has nothing to do
    service = Workers(Settings(data_dir=tmp_path, workers=1, tsa_url="x" * 200_000), listening)
    with pytest.raises(RuntimeError, match="Workers end as soon as they begin"):
        service.run()
    assert service._short_lives == MAX_SHORT_LIVES + 1
