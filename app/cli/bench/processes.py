"""Servers that the benchmark starts, and what each of them used: CPU seconds and memory, as Linux counts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import app

ROOT = Path(app.__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 30
HOST = "127.0.0.1"


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
            env: Variables beside those of this process.
            port: Where it will listen.
        """
        self.name, self.port = name, port
        self._command = [sys.executable, "-P", *command]
        self._folder = folder
        self._env = {**os.environ, **env, "PYTHONPATH": str(ROOT)}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def app(cls, name: str, folder: Path, env: Mapping[str, str] | None = None) -> "Server":
        """Return a server for an ASGI application of the yardsticks."""
        port = free_port()
        module = f"scripts.yardsticks.{name}:app"
        arguments = ["-m", "uvicorn", module, "--host", HOST, "--port", str(port), "--no-access-log"]
        return cls(name, [*arguments, "--log-level", "warning"], folder, env or {}, port)

    @classmethod
    def service(cls, folder: Path, env: Mapping[str, str]) -> "Server":
        """Return the service itself."""
        port = free_port()
        return cls("service", ["-m", "app.cli", "serve", "--host", HOST, "--port", str(port)], folder, env, port)

    @property
    def log(self) -> Path:
        """What the process has said."""
        return self._folder / f"{self.name}.log"

    def __enter__(self) -> Self:
        """Start and wait until it listens.

        Raises:
            RuntimeError: It ended, or does not listen in time; the end of its log is in the text.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._env, stdout=log, stderr=log)  # noqa: S603
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, self.port)) == 0:
                    return self
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"{self.name} does not listen: {self.log.read_text(errors='replace')[-2000:]}")

    def __exit__(self, *_: object) -> None:
        """Stop it, gently first."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process id."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    def cpu_seconds(self) -> float:
        """Return user and system time of the process and its children so far."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Return the memory that is resident now, in the process and its children."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids()]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def peak_rss_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident so far; 0 for one that has ended.

    Read while it runs: what Linux tells of an ended child counts the parent's memory before the exec, too.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
