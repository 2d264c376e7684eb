"""Three agencies with a witness each: real processes over folders of their own, and the policy that names them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.ledger.note import SignatureType, VerifierKey
from app.ledger.policy import TrustPolicy
from app.witness.cosign import Witness
from app.witness.folder import make
from tests.journeys.killing import ROOT, free_port

NAMES = ("bawaslu", "polri", "univ")
START_SECONDS = 30


@contextmanager
def witnesses(folder: Path, origin: str, key: VerifierKey, names: tuple[str, ...] = NAMES) -> Iterator[TrustPolicy]:
    """Run a witness process for each name; gives the policy "two of them", with their addresses."""
    with ExitStack() as stack:
        lines = [f"log {key.to_text()}"]
        for name in names:
            made = make(folder / name, f"{name}.example/w1", (SignatureType.COSIGNATURE,))
            witness = Witness(made)
            witness.add_ledger(origin, key)
            (vkey,) = witness.vkeys
            witness.close()
            port = stack.enter_context(_serving(folder / name))
            lines.append(f"witness {name} {vkey.to_text()} http://127.0.0.1:{port}")
        lines += [f"group agencies 2 {' '.join(names)}", "quorum agencies"]
        yield TrustPolicy.parse(("\n".join(lines) + "\n").encode())


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-P", "-m", "app.cli", "witness", "serve", str(folder), "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CUSTODY_LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, "the witness ended before it was ready"
            assert time.monotonic() < deadline, "the witness was not ready in time"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                break
        yield port
    finally:
        process.kill()
        process.wait()
