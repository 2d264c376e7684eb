"""How tests run `scripts/postgres` and the `custody` command."""

import os
import subprocess
import sys
from pathlib import Path

from tests.postgres import PostgresServer

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "scripts/postgres"


def run(
    server: PostgresServer, script: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script with the server's own programs on the path."""
    path = f"{server.binaries}:{os.environ['PATH']}"
    return subprocess.run(
        [str(script), *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "PATH": path, **environment}, timeout=120,
    )  # fmt: skip


def custody(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the `custody` command."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, timeout=120,
    )  # fmt: skip
