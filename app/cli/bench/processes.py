"""Servers that the benchmark starts, and what each of them used: CPU seconds and memory, as Linux counts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from app.cli.bench.busy import TICKS
from app.cli.bench.defaults import child_environment
from app.cli.bench.ending import undisturbed

START_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.1
HOST = "127.0.0.1"
LAST_LINES, LAST_BYTES = 20, 64 * 1024
REQUEST_LINE = '"event":"request"'
"""What the service logs of each request that it answered; says nothing of why a run failed."""


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Server:
    """One server process; use it as a context."""

    def __init__(self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str], port: int) -> None:
        """Prepare; entering the context starts it.

        Args:
            name: For messages and the name of its log file.
            command: Arguments after the Python interpreter.
            folder: Where it runs and logs.
            env: Variables beside those of this process, of which no setting of the service is handed on.
            port: Where it will listen.
        """
        self.name, self.port = name, port
        self._command = [sys.executable, "-P", *command]
        self._folder = folder
        self._env = child_environment(env)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def app(cls, name: str, folder: Path, env: Mapping[str, str] | None = None) -> "Server":
        """Return a server for an ASGI application of the yardsticks."""
        port = free_port()
        module = f"scripts.yardsticks.{name}:app"
        arguments = ["-m", "uvicorn", module, "--host", HOST, "--port", str(port), "--no-access-log"]
        return cls(name, [*arguments, "--log-level", "warning"], folder, env or {}, port)

    @classmethod
    def service(cls, folder: Path, env: Mapping[str, str], name: str = "service") -> "Server":
        """Return the service itself."""
        port = free_port()
        return cls(name, ["-m", "app.cli", "serve", "--host", HOST, "--port", str(port)], folder, env, port)

    @property
    def log(self) -> Path:
        """What the process has said."""
        return self._folder / f"{self.name}.log"

    def __enter__(self) -> Self:
        """Start and wait until it listens.

        Raises:
            RuntimeError: It ended, or does not listen in time; the end of its log is in the text.
        """
        try:
            with self.log.open("ab") as log, undisturbed():
                self._process = subprocess.Popen(  # noqa: S603 - our own
                    self._command, cwd=self._folder, env=self._env, stdout=log, stderr=log
                )
            self._wait(self._process)
        except BaseException:  # Ctrl-C, too: nobody else would stop it
            self.__exit__()
            raise
        return self

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen: {self.last_words()}")

    def __exit__(
        self, type_: type[BaseException] | None = None, error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:  # fmt: skip
        """Stop it, gently first; an error of the run is told what the server said last."""
        del type_, trace
        if isinstance(error, Exception) and (words := self.last_words()):
            error.add_note(f"{self.log.name} ends:\n{words}")
        if self._process is None or self._process.poll() is not None:
            return
        with undisturbed():
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def last_words(self) -> str:
        """Return the last lines of its log, but for those of requests that were answered."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LAST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if REQUEST_LINE not in line][-LAST_LINES:])

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def cpu_seconds(self) -> dict[str, float]:
        """Return user and system time so far: `answers` is the process itself, `writes` its children, the writer."""
        children = _children(self.pid)
        return {"answers": _seconds([self.pid]), **({"writes": _seconds(children)} if children else {})}

    def rss_bytes(self) -> int:
        """Return the memory that is resident now, in the process and its children."""
        return sum(rss_bytes(pid) for pid in self._pids())

    def peak_rss_bytes(self) -> int:
        """Return the sum of what each process had resident at most since `forget_peak`: no less than their peak."""
        return sum(peak_rss_bytes(pid) for pid in self._pids())

    def forget_peak(self) -> None:
        """Let the peaks of memory begin anew; where Linux does not let us, they stand since the start."""
        for pid in self._pids():
            with suppress(OSError):
                Path(f"/proc/{pid}/clear_refs").write_text("5")

    def processes(self) -> dict[str, int]:
        """Return the process ids by name: `answers` and, for the service, `writes`."""
        return dict(zip(("answers", "writes"), self._pids(), strict=False))

    def _pids(self) -> list[int]:
        return [self.pid, *_children(self.pid)]


class DatabaseServer:
    """The PostgreSQL server behind a URL, where it runs on this machine: what all its processes used."""

    def __init__(self, postmaster: int) -> None:
        """Take the process id of its first process."""
        self._postmaster = postmaster

    @classmethod
    def behind(cls, url: str) -> "DatabaseServer | None":
        """Find the server by the process that answers us; None for SQLite and for a server elsewhere."""
        if url.startswith("sqlite"):
            return None
        with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            backend = int(row[0]) if row else 0
            with suppress(OSError):
                if Path(f"/proc/{backend}/comm").read_text().startswith("postgres"):
                    return cls(int(_stat(backend)[1]))
        return None

    def cpu_seconds(self) -> float:
        """Return user and system time of the server, its living children, and those that have ended."""
        fields = _stat(self._postmaster)
        ended = (int(fields[13]) + int(fields[14])) / TICKS
        return ended + _seconds([self._postmaster, *_children(self._postmaster)])


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _family(pid: int) -> list[int]:
    """Return a process and everything that came of it and lives; whoever has just ended has no children."""
    try:
        return [pid, *(each for child in _children(pid) for each in _family(child))]
    except OSError:
        return [pid]


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's line in /proc from its state on (proc(5): the third)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _seconds(pids: Iterable[int]) -> float:
    ticks = 0
    for pid in pids:
        with suppress(OSError):  # it has just ended
            fields = _stat(pid)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def rss_bytes(pid: int) -> int:
    """Return the memory that a process has resident now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_rss_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident so far; 0 for one that has ended.

    Read while it runs: what Linux tells of an ended child counts the parent's memory before the exec, too.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@contextmanager
def child(command: Sequence[str], **how: Any) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a command that does not outlive the block: whatever ends that early kills it, and waits for its end.

    Args:
        command: The program and its arguments.
        how: Further arguments of `subprocess.Popen`.
    """
    process: subprocess.Popen[bytes] | None = None
    try:
        with undisturbed():
            process = subprocess.Popen(command, **how)  # noqa: S603 - our own
        yield process
    finally:
        if process is not None:
            with undisturbed():
                if process.poll() is None:
                    process.kill()
                    process.wait()
                for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
                    pipe.close()


def waited(process: "subprocess.Popen[bytes]") -> tuple[float, int]:
    """Wait for a child to end; returns the CPU seconds and the memory, bytes, that it and its own children took.

    CPU is that of the whole time, start-up included. Memory is the sum of what each process had resident at most: no
    less than what all of them had at one time, and what they share is counted for each.
    """
    peaks: dict[int, int] = {}
    while True:
        for pid in _family(process.pid):
            with suppress(OSError):
                peaks[pid] = max(peaks.get(pid, 0), peak_rss_bytes(pid))
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime, sum(peaks.values())
        time.sleep(POLL_SECONDS)
