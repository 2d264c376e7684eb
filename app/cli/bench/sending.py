"""One load sent: the driver's process, what every process used meanwhile, and each answer held to what it must say."""

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from app.cli.bench.defaults import child_environment
from app.cli.bench.figures import Round, latencies
from app.cli.bench.processes import HOST, DatabaseServer, Server
from app.cli.bench.proofs import verify_sample
from app.cli.bench.traffic import Ask, Load
from app.ledger.note import VerifierKey

SHOWN = 1500
CPUS = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Answered:
    """One request, its answer as it came, and its seconds from the start: due (or sent), sent, answered."""

    ask: Ask
    answer: bytes
    due: float
    sent: float
    done: float

    @property
    def seconds(self) -> float:
        """How long it took, from when the request was due."""
        return self.done - self.due


def send(
    load: Load, server: Server, folder: Path, database: DatabaseServer | None = None, key: VerifierKey | None = None
) -> Round:
    """Send a load from a process of its own and return what it and the server's processes took.

    Args:
        load: What is sent.
        server: Whose processes are watched.
        folder: For the files of the driver.
        database: The PostgreSQL server, where there is one that we can see.
        key: The key that the server's ledger signs with, where there is a ledger; its receipts are verified by it.

    Raises:
        RuntimeError: An answer was not as expected, or none came; the text shows it.
    """
    told, answered = exchange(load, server, folder, database)
    hold(answered, key)
    return told


def exchange(
    load: Load, server: Server, folder: Path, database: DatabaseServer | None = None
) -> tuple[Round, list[Answered]]:
    """Send a load and return what it took, and the answers, which nobody has looked at yet.

    Raises:
        RuntimeError: The driver gave up.
    """
    server.forget_peak()
    before, behind = server.cpu_seconds(), database.cpu_seconds() if database else 0.0
    driven = _driven(load, server.port, folder)
    used = {name: seconds - before.get(name, 0.0) for name, seconds in server.cpu_seconds().items()}
    answered = list(_answers(load, folder))
    told: Round = {
        "events": load.events, "requests": load.requests, "wall_seconds": driven["wall_seconds"],
        "cpu_seconds": sum(used.values()), "driver_cpu_seconds": driven["cpu_seconds"],
        "rss_mb": mib(server.rss_bytes()), "peak_rss_mb": mib(server.peak_rss_bytes()),
        **{f"{name}_cpu_seconds": seconds for name, seconds in used.items()},
        **latencies([each.seconds for each in answered]),
    }  # fmt: skip
    if database is not None:
        told["database_cpu_seconds"] = database.cpu_seconds() - behind
    ours = sum(used.values()) + driven["cpu_seconds"] + told.get("database_cpu_seconds", 0.0)
    told["others_percent"] = others_percent(driven["busy_seconds"] - ours, driven["wall_seconds"])
    if load.repeat_seconds is not None:
        told["repeated"] = int(driven["repeated"])
    kinds = sorted({each.ask.kind for each in answered} - {""})
    if kinds:
        told["kinds"] = {kind: _of_kind(answered, kind) for kind in kinds}
    if load.due is not None:
        told["offered"] = load.requests / (max(chain.from_iterable(load.due)) or told["wall_seconds"])
        told["late_ms"] = latencies([each.sent - each.due for each in answered])["p99_ms"]
    return told, answered


def mib(size_bytes: float) -> float:
    """Return bytes as MiB."""
    return round(size_bytes / 2**20, 1)


def _of_kind(answered: Sequence[Answered], kind: str) -> dict[str, Any]:
    mine = [each for each in answered if each.ask.kind == kind]
    return {
        "requests": len(mine), "events": sum(each.ask.events for each in mine),
        **latencies([each.seconds for each in mine]),
    }  # fmt: skip


def others_percent(seconds: float, wall_seconds: float) -> float:
    """Return the share of the machine that CPU seconds of nobody's here are, within the driver's own loop."""
    return round(max(0.0, 100 * seconds / (CPUS * wall_seconds)), 1)


def hold(answered: Sequence[Answered], key: VerifierKey | None = None) -> None:
    """Hold every answer to what it must say, and verify a sample of the receipts where the ledger's key is given.

    Raises:
        RuntimeError: One was not as expected; the text counts them and shows the first. Or a receipt does not verify.
    """
    bad = [each for each in answered if not as_expected(each.ask, each.answer)]
    if bad:
        head, _, body = bad[0].answer.partition(b"\r\n\r\n")
        shown = (head.split(b"\r\n", 1)[0] + b" " + body)[:SHOWN].decode("utf-8", "replace")
        raise RuntimeError(f"{len(bad)} of {len(answered)} answers are not as expected; the first of them: {shown}")
    if key is not None:
        verify_sample([(each.ask, each.answer) for each in answered], key)


def as_expected(ask: Ask, answer: bytes) -> bool:
    """Say whether an answer has its status, everything as often as it must, and every hash in order."""
    if answer[9:12] != str(ask.status).encode() or any(answer.count(piece) != times for piece, times in ask.needed):
        return False
    at = 0
    for piece in ask.inside:
        at = answer.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True


def _driven(load: Load, port: int, folder: Path) -> dict[str, float]:
    spans, at = [], 0
    with (folder / "requests.bin").open("wb") as file:
        for asks in load.connections:
            mine = []
            for ask in asks:
                file.write(ask.data)
                mine.append((at, at + len(ask.data)))
                at += len(ask.data)
            spans.append(mine)
    files = {name: str(folder / f"{name}.bin") for name in ("requests", "answers", "times", "lengths")}
    plan = folder / "plan.json"
    how = {"due": load.due, "repeat_seconds": load.repeat_seconds}
    plan.write_text(json.dumps({"host": HOST, "port": port, **files, "connections": spans, **how}))
    command = [sys.executable, "-P", "-m", "app.cli.bench.driver", str(plan)]
    done = subprocess.run(command, capture_output=True, check=False, env=child_environment())  # noqa: S603
    (folder / "requests.bin").unlink()
    if done.returncode:
        raise RuntimeError(f"the load could not be sent: {done.stderr.decode()[-2000:]}")
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _answers(load: Load, folder: Path) -> Iterator[Answered]:
    times, lengths = array("d"), array("Q")
    times.frombytes((folder / "times.bin").read_bytes())
    lengths.frombytes((folder / "lengths.bin").read_bytes())
    data, at = (folder / "answers.bin").read_bytes(), 0
    for place, ask in enumerate(chain.from_iterable(load.connections)):
        yield Answered(ask, data[at : at + lengths[place]], *times[3 * place : 3 * place + 3])
        at += lengths[place]
    if at != len(data):
        raise RuntimeError("the driver kept more answers than there were requests")
