"""What a run starts never outlives it, hears nothing of the operator's settings, and shows no password."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

from app.cli.bench import backlog as backlog_of
from app.cli.bench import databases, loads, profile
from app.cli.bench.defaults import Defaults, child_environment, without_settings
from app.cli.bench.ending import Interrupted, ended_by_signals, undisturbed
from app.cli.bench.processes import Server, child, waited
from app.cli.bench.tokens import Pass

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
SECRET = "postgresql://user:hush@host/database"


def me(number):
    """Send a signal to this process; returns when Python has handled it."""
    os.kill(os.getpid(), number)
    time.sleep(0.01)


# -- the operator's settings -----------------------------------------------------------------------------


def test_settings_of_the_shell_reach_neither_this_process_nor_its_children(tmp_path, monkeypatch):
    for name in ("CUSTODY_MIGRATION_URL", "Custody_Ledger", "CUSTODY_GROUP_EVENTS", "CUSTODY_KEYS_DIR"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("PGPASSWORD", "hush")
    settings = Defaults(data_dir=tmp_path, database_url="sqlite:///x.db")
    assert (settings.migration_url, settings.ledger, settings.group_events) == ("", "", 512)
    assert settings.keys_folder() == tmp_path / "keys"
    for env in (child_environment(), Server.service(tmp_path, {})._env, Server.app("noop", tmp_path)._env):
        assert not [name for name in env if name.upper().startswith("CUSTODY_")]
        assert env["PGPASSWORD"] == "hush"
    given = Server.service(tmp_path, {"CUSTODY_DATABASE_URL": "sqlite:///mine.db"})._env
    assert [name for name in given if name.upper().startswith("CUSTODY_")] == ["CUSTODY_DATABASE_URL"]
    with without_settings():
        assert not [name for name in os.environ if name.upper().startswith("CUSTODY_")]
    assert os.environ["CUSTODY_GROUP_EVENTS"] == "7"


# -- passwords -------------------------------------------------------------------------------------------


def test_no_process_has_a_database_url_among_its_arguments(tmp_path, monkeypatch):
    started = []

    def run(command, **how):
        started.append((command, how["env"]))
        return subprocess.CompletedProcess(command, 0, b"{}", b"")

    @contextmanager
    def begun(command, **how):
        started.append((command, how["env"]))
        with subprocess.Popen([sys.executable, "-c", "print('held')"], stdout=subprocess.PIPE) as process:
            yield process

    monkeypatch.setattr(loads.subprocess, "run", run)
    monkeypatch.setattr(backlog_of, "child", begun)
    loads.yardstick("inserts", "--rows", "1", database=SECRET)
    with backlog_of._held(SECRET, 0):
        pass
    assert len(started) == 2
    for command, env in started:
        assert "hush" not in " ".join(command)
        assert SECRET in env.values()


def test_the_yardsticks_take_no_url_as_an_argument():
    for name in ("bare", "inserts"):
        told = subprocess.run(
            [sys.executable, str(loads.YARDSTICKS / f"{name}.py"), "--help"], capture_output=True, text=True
        )
        assert "--database" not in told.stdout


# -- endings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_ends_a_run_and_later_ones_do_not_disturb_its_clean_up(number):
    before, cleaned = signal.getsignal(number), []

    @contextmanager
    def cleaning():
        try:
            yield
        finally:
            for again in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                me(again)
                cleaned.append(again)

    with pytest.raises(Interrupted) as ended, ended_by_signals(), cleaning():
        me(number)
    assert ended.value.number == number
    assert len(cleaned) == 3
    assert signal.getsignal(number) is before


def test_what_must_be_done_whole_is_ended_after_it():
    done = []

    def whole():
        with undisturbed():
            with undisturbed():
                me(signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        done.append("never")

    with pytest.raises(Interrupted), ended_by_signals():
        whole()
    assert done == ["inner", "outer"]
    with ended_by_signals(), undisturbed():  # and nothing is left of it for the next run
        done.append("next")


def test_a_signal_that_the_shell_told_us_to_ignore_is_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            me(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


class Dropping:
    """A server of databases; before it drops one, somebody loses his patience."""

    def __init__(self):
        self.done = []

    @contextmanager
    def connect(self):
        yield self

    def exec_driver_sql(self, statement):
        if statement.startswith("DROP"):
            me(signal.SIGTERM)
        self.done.append(statement.split()[0])


@pytest.mark.parametrize("ended_before", [True, False])
def test_a_database_is_dropped_although_a_signal_comes_while_it_is(tmp_path, monkeypatch, ended_before):
    server = Dropping()
    monkeypatch.setattr(databases, "_server", lambda url: (make_url(url), server))
    numbers = [signal.SIGINT] if ended_before else []
    with pytest.raises(Interrupted), ended_by_signals(), databases.fresh_database(SECRET, tmp_path):
        list(map(me, numbers))
    assert server.done == ["CREATE", "DROP"]


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt(), ValueError()])
def test_a_child_does_not_outlive_whoever_waits_for_it(error):
    with pytest.raises(type(error)), child(SLEEP) as process:
        raise error
    assert process.returncode is not None
    assert not psutil.pid_exists(process.pid)


def test_an_interrupted_wait_for_a_child_ends_the_child():
    """As when `fsck` or the verification of a tree is waited for."""
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGHUP))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(Interrupted), ended_by_signals(), child(SLEEP) as process:
            waited(process)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not psutil.pid_exists(process.pid)


@pytest.mark.parametrize("when", ["at once", "in the block"])
def test_a_profiler_does_not_outlive_a_run_that_fails(tmp_path, monkeypatch, when):
    tool = tmp_path / "py-spy"
    tool.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    tool.chmod(0o700)
    monkeypatch.setattr(profile, "need_py_spy", lambda: str(tool))
    monkeypatch.setattr(profile, "START_SECONDS", 0)
    if when == "at once":
        monkeypatch.setattr(profile, "START_SECONDS", -1)  # time.sleep refuses it, after the profilers have started
    processes = {"answers": os.getpid(), "writes": os.getpid()}
    with pytest.raises(ValueError, match=r"negative|enough"), profile.watched(processes, tmp_path / "out", "single"):
        raise ValueError("enough")
    assert [each for each in psutil.Process().children() if str(tool) in each.cmdline()] == []


def test_memory_is_that_of_a_child_and_of_its_own_children():
    held = "held = bytearray(40 * 2**20); import time; time.sleep(0.6)"
    both = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held!r}]); {held}"
    with child([sys.executable, "-c", both]) as process:
        _, peak_bytes = waited(process)
    assert process.returncode == 0
    assert peak_bytes > 80 * 2**20


# -- what is told of a failure ---------------------------------------------------------------------------

TALKING = """
import socket, sys
print('{"event":"request","ms":1}', flush=True)
print("the disk is full", file=sys.stderr, flush=True)
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
listening.accept()
listening.accept()
"""


def talking(folder):
    from app.cli.bench.processes import free_port  # noqa: PLC0415 - a port just before it is used

    port = free_port()
    return Server("service", ["-c", TALKING, str(port)], folder, {}, port)


def test_an_error_is_told_what_the_server_said_last(tmp_path):
    with pytest.raises(RuntimeError, match="wrong") as failed, talking(tmp_path):
        raise RuntimeError("wrong")
    assert failed.value.__notes__ == ["service.log ends:\nthe disk is full"]


def test_an_interruption_is_told_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt) as ended, talking(tmp_path) as server:
        raise KeyboardInterrupt
    assert not hasattr(ended.value, "__notes__")
    assert not psutil.pid_exists(server.pid)


def test_the_end_of_a_long_log_is_read_without_its_requests(tmp_path):
    server = talking(tmp_path)
    assert server.last_words() == ""
    lines = ["early", *['{"event":"request"}'] * 10_000, *map(str, range(30))]
    Path(server.log).write_text("\n".join(lines))
    assert server.last_words().splitlines() == [str(n) for n in range(10, 30)]


# -- tokens ----------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_anew_when_it_has_lived_half_of_its_life():
    asked, now = [], [100.0]

    def ask():
        asked.append(now[0])
        return f"token {len(asked)}", 60.0

    found = Pass(ask, lambda: now[0])
    assert asked == []
    assert [found.text, found.text] == ["token 1"] * 2
    now[0] += 29.9
    assert found.text == "token 1"
    now[0] += 0.1
    assert found.text == "token 2"
    assert asked == [100.0, 130.0]
