"""The service itself, in a process of its own on a free port, for the length of the demonstration."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import app
from app.cli.demo.founding import LEDGER
from app.cli.demo.wire import DemoError
from app.config import Settings

START_SECONDS = 60
STOP_SECONDS = 30
LOG_FILE = "demo-service.log"


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(settings: Settings, port: int = 0) -> Iterator[str]:
    """Run `custody serve` over the data folder and give its address; at the end it drains and stops.

    Raises:
        DemoError: It does not come up; the text holds the end of its log.
    """
    port = port or free_port()
    log = settings.data_dir / LOG_FILE
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app.cli", "serve"],
            env=environment(settings, port), stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, log)
            yield url
        finally:
            _stop(process)


def environment(settings: Settings, port: int) -> dict[str, str]:
    """Return the environment of a service over the same data."""
    own = {
        "CUSTODY_DATA_DIR": str(settings.data_dir.resolve()), "CUSTODY_DATABASE_URL": settings.database_url,
        "CUSTODY_HOST": "127.0.0.1", "CUSTODY_PORT": str(port), "CUSTODY_PRODUCTION": "false",
        "CUSTODY_LEDGER": LEDGER,
    }  # fmt: skip
    root = str(Path(app.__file__).resolve().parent.parent)
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, **own, "PYTHONPATH": path}


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    with httpx.Client(trust_env=False, timeout=2) as client:
        while process.poll() is None and time.monotonic() < end:
            try:
                if client.get(f"{url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    raise DemoError(f"The service did not start ({log}): {last[-500:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
