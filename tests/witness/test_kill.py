"""kill -9, two hundred times, while two histories of one ledger compete: no two roots are ever signed for one size."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from app.ledger.checkpoint import Checkpoint, open_checkpoint, sign
from app.ledger.policy import cosigned
from app.ledger.tree import consistency_path, leaf_hash, root_of
from app.witness.cosign import Witness
from tests.ledger.vectors import LEDGER_KEY, ORIGIN
from tests.strategies import LONG

ROOT = Path(__file__).resolve().parents[2]
KILLS = 1000 if LONG else 200
BY_COMMAND = 50
"""Every so many starts is by the whole command."""
START_SECONDS = 30
HASH = sha256(ORIGIN.encode()).hexdigest()


class Client:
    """Sends both histories, and remembers every cosignature that it was ever given."""

    def __init__(self, vkeys, port):
        self.vkeys = vkeys
        self.port = port
        self.signed: dict[int, set[bytes]] = {}

    def ask(self, method, path, body=b""):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""  # it was killed
        finally:
            connection.close()

    def send(self, leaves, old):
        """Send the checkpoint over these leaf hashes as an extension of its first `old` ones."""
        checkpoint = Checkpoint(ORIGIN, len(leaves), root_of(leaves))
        note = sign(checkpoint, LEDGER_KEY)
        node = lambda level, i: root_of(leaves[i << level : (i + 1) << level])  # noqa: E731
        proof = "".join(f"{b64encode(value).decode()}\n" for value in consistency_path(old, len(leaves), node))
        status, lines = self.ask("POST", "/add-checkpoint", f"old {old}\n{proof}\n".encode() + note)
        if status == 200:
            self.remember(note + lines, checkpoint)
        return status

    def remember(self, note, checkpoint):
        """Count a checkpoint as signed when all keys of the witness did sign it."""
        assert cosigned(note, self.vkeys).keys() == set(self.vkeys)
        self.signed.setdefault(checkpoint.size, set()).add(checkpoint.root)

    def held(self):
        """Return size and root of the newest cosigned checkpoint; that, too, is a signature that was given."""
        status, note = self.ask("GET", f"/{HASH}/checkpoint")
        if status == 404:
            return 0, root_of([])
        assert status == 200, status
        checkpoint = open_checkpoint(note, [LEDGER_KEY.verifier()], ORIGIN)
        self.remember(note, checkpoint)
        return checkpoint.size, checkpoint.root


class Torture:
    """One folder, many processes."""

    def __init__(self, folder, kind="real"):
        self.folder = folder
        self.kind = kind
        self.port = free_port()
        witness = Witness(folder)
        self.client = Client(witness.vkeys, self.port)
        witness.close()
        self.history: list[bytes] = []
        self.outcomes: Counter[str] = Counter()
        self.violations: list[str] = []
        command = [sys.executable, "-P", "-m", "tests.witness.zygote"]
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUSTODY_LOG_LEVEL": "ERROR"}
        self.zygote = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self):
        self.zygote.stdin.close()
        self.zygote.wait(START_SECONDS)
        self.zygote.stdout.close()

    def start(self, *, by_command):
        """Start a witness and return how to kill it."""
        if by_command:
            command = [
                sys.executable,
                "-P",
                "-m",
                "app.cli",
                "witness",
                "serve",
                str(self.folder.path),
                "--port",
                str(self.port),
            ]
            process = subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL)
            kill = lambda: (process.kill(), process.wait())  # noqa: E731
        else:
            self.zygote.stdin.write(json.dumps([str(self.folder.path), self.port, self.kind]) + "\n")
            self.zygote.stdin.flush()
            pid = int(self.zygote.stdout.readline())
            kill = lambda: end(pid)  # noqa: E731
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.002)
            else:
                return kill
        kill()
        raise AssertionError(Path(f"{self.folder.path}.log").read_text()[-2000:])

    def race(self, kill, wait):
        """Let two histories compete for the next size, and kill the witness in the middle."""
        size = len(self.history)
        rivals = [[*self.history, leaf_hash(f"{name} {size}".encode())] for name in ("left", "right")]
        random.shuffle(rivals)
        barrier = threading.Barrier(3)

        def send(leaves):
            barrier.wait()
            self.client.send(leaves, size)

        threads = [threading.Thread(target=send, args=(leaves,)) for leaves in rivals]
        for thread in threads:
            thread.start()
        barrier.wait()
        time.sleep(wait)
        kill()
        for thread in threads:
            thread.join()
        return rivals

    def settle(self, rivals):
        """After the restart: what was signed is still held, and the other history is refused."""
        answered = set(self.client.signed.get(len(rivals[0]), set()))
        size, root = self.client.held()
        if size < len(rivals[0]):
            self.outcomes["nothing was kept"] += 1
            if answered:
                self.violations.append(f"signed size {len(rivals[0])}, and forgot it")
            # The one that was signed goes last: a witness that forgot would sign the other.
            for leaves in sorted(rivals, key=lambda each: root_of(each) in answered):
                self.client.send(leaves, len(self.history))
            while size < len(rivals[0]):  # the mutant takes its time
                size, root = self.client.held()
        else:
            self.outcomes["kept and answered" if answered else "kept, not answered"] += 1
        [winner] = [leaves for leaves in rivals if root_of(leaves) == root]
        for leaves in rivals:
            if leaves != winner:
                statuses = self.client.send(leaves, len(self.history)), self.client.send(leaves, len(leaves))
                if statuses != (409, 422):
                    self.violations.append(f"the other history of size {size} got {statuses}")
        self.history = winner
        self.violations += [f"two roots of size {n}" for n, roots in self.client.signed.items() if len(roots) > 1]


def end(pid):
    """Kill a process and wait until it is gone: its socket would still accept for a moment."""
    os.kill(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        while True:
            os.kill(pid, 0)
            time.sleep(0.001)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def torture(folder, kind, rounds, *, until_violated=False):
    told = Torture(folder, kind)
    rivals = None
    try:
        for n in range(rounds + 1):
            kill = told.start(by_command=kind == "real" and n % BY_COMMAND == 1)
            try:
                if rivals:
                    told.settle(rivals)
                if n < rounds and not (until_violated and told.violations):
                    rivals = told.race(kill, random.uniform(0, 0.02))
                    continue
            except BaseException:
                kill()
                raise
            kill()
            break
    finally:
        told.close()
    return told


@pytest.mark.slow
def test_no_two_roots_of_one_size_are_signed_however_often_it_is_killed(folder):
    told = torture(folder, "real", KILLS)
    print(dict(told.outcomes))
    assert told.violations == []
    assert len(told.history) == KILLS
    assert all(len(roots) == 1 for roots in told.client.signed.values())
    assert set(told.client.signed) == set(range(1, KILLS + 1))
    witness = Witness(folder)
    assert {row.finding for row in witness.evidence()} == {"fork"}
    witness.close()


@pytest.mark.slow
def test_a_witness_that_signs_before_it_commits_is_caught_by_the_same_test(folder):
    """Control: it keeps its memory straight, and only a kill shows that it writes too late."""
    told = torture(folder, "write-behind", KILLS, until_violated=True)
    assert told.violations
    assert any(len(roots) > 1 for roots in told.client.signed.values())
