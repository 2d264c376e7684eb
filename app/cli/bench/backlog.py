"""The scenario `backlog`: a database that cannot be written for a while, and clients that do not stop.

Another process holds the ledger's head, as a slow disk or a stuck replica would: on SQLite the write lock, on
PostgreSQL the row. Clients send far more than may wait (`queue_events`), and whoever is turned away comes again when he
was told to, until the hold ends. What must be seen: the memory of the service stays within bounds, who is not taken is
told so with Retry-After, and whatever was acknowledged is there afterwards, with the same receipt, when everything is
sent again.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench.charter import PLACES
from app.cli.bench.defaults import Defaults, child_environment
from app.cli.bench.processes import Server, child
from app.cli.bench.sending import Answered, exchange, mib
from app.cli.bench.stage import environment_of
from app.cli.bench.stories import as_sent
from app.cli.bench.traffic import Ask, Load, batch_body, request
from app.cli.bench.world import Founding
from app.cli.phone import Phone
from app.db import Database
from app.ledger.append import read_head

CONNECTIONS, EACH = 96, 100
"""So many events may be under way at once: more than twice what may wait."""
FEW = 2
SAMPLE_SECONDS = 0.05
ROUNDS_OF_RESENDING = 60
RETRY = b"\r\nretry-after: "
HELD_DATABASE = "BENCH_HELD_DATABASE"
"""The variable that names the database to hold: a URL may hold a password, and arguments are for all to read."""
Receipts = dict[str, tuple[int, str]]
"""Index and leaf hash by event hash."""


def backlog(
    folder: Path, url: str, batches: int, held_seconds: float, queue_events: int, progress: Progress
) -> dict[str, Any]:
    """Send batches while the ledger cannot be written, then send all of them again until they are in.

    What is acknowledged meanwhile and lost is counted; whoever reads the result decides about it.

    Args:
        folder: A fresh one.
        url: An empty database.
        batches: How many of a hundred events.
        held_seconds: How long nothing can be written.
        queue_events: How many events may wait.
        progress: Shows where the run is.

    Raises:
        RuntimeError: An answer was neither an acknowledgement nor a 503 with Retry-After; or two events lie in one
            leaf; or the events were not taken when the ledger could be written again.
    """
    task = progress.add_task("signing", total=4)
    founding = Founding(Defaults(data_dir=folder / "data", database_url=url))
    phones = founding.enrol(2 * CONNECTIONS + FEW)
    units = founding.commission(phones[0], len(phones))
    founding.close(phones)
    load = _load(phones[FEW:], units[FEW:], batches, founding.now_ms)
    first_load = _load(phones[:FEW], units[:FEW], FEW, founding.now_ms)
    env = {**environment_of(url, folder / "data"), "CUSTODY_QUEUE_EVENTS": str(queue_events)}
    with Server.service(folder, env) as server, _watched(server) as seen:
        _sent(first_load, server, folder)
        before = mib(server.rss_bytes())
        progress.update(task, advance=1, description=f"nothing can be written for {held_seconds:g} seconds")
        with _held(url, held_seconds):
            told, answered = exchange(replace(load, repeat_seconds=held_seconds), server, folder)
        first, refused = _looked_at(answered)
        peak = mib(max(seen))
        progress.update(task, advance=1, description="sending everything again")
        last = _sent(_calmly(load), server, folder)
        after = mib(server.rss_bytes())
    lost = lost_of(first, last, load)
    progress.update(task, advance=2)
    return {
        "events": load.events, "queue_events": queue_events, "held_seconds": held_seconds,
        "wall_seconds": round(told["wall_seconds"], 1), "requests": load.requests,
        "turned_away_and_sent_again": told["repeated"], "requests_refused": refused,
        "acknowledged": len(first), "acknowledged_and_lost": len(lost), "events_in_the_end": len(last),
        "rss_before_mb": before, "rss_peak_mb": peak, "rss_after_mb": after,
        "p50_ms": told["p50_ms"], "p99_ms": told["p99_ms"], "max_ms": told["max_ms"],
    }  # fmt: skip


def _load(phones: Sequence[Phone], units: Sequence[str], batches: int, now_ms: int) -> Load:
    """Return batches of sightings, which depend on nothing, dealt over the connections."""
    lines: list[list[Ask]] = [[] for _ in range(CONNECTIONS)]
    for number in range(batches):
        phone, unit = phones[number % len(phones)], units[number % len(phones)]
        events = [
            as_sent(phone.sign("sighting", {}, units=[unit], at_ms=now_ms, place=PLACES[0], capacity="witness"))
            for _ in range(EACH)
        ]
        data = request("POST", "/v1/events/batch", "", batch_body([event.body for event in events]))
        lines[number % CONNECTIONS].append(Ask(data, 0, events=EACH))
    return Load(lines)


def _calmly(load: Load) -> Load:
    """Return the same batches over so few connections that all of them may wait."""
    return Load([list(chain(*load.connections[first::FEW])) for first in range(FEW)])


@contextmanager
def _held(url: str, seconds: float) -> Iterator[None]:
    """Keep everybody else from writing, from now on for so long."""
    command = [sys.executable, "-P", "-m", "app.cli.bench.backlog", str(seconds)]
    with child(command, env=child_environment({HELD_DATABASE: url}), stdout=subprocess.PIPE) as process:
        _wait_for(process, b"held")
        yield
        process.communicate(timeout=seconds + 30)


def _wait_for(process: "subprocess.Popen[bytes]", word: bytes) -> None:
    """Return when a process has said a word.

    Raises:
        RuntimeError: It said something else, or ended.
    """
    said = process.stdout.readline().strip() if process.stdout is not None else b""
    if said != word:
        raise RuntimeError(f"the ledger could not be held: {said.decode(errors='replace')}")


def hold(url: str, seconds: float) -> None:
    """Hold the ledger's head for so long: the write lock on SQLite, its row on PostgreSQL."""
    db = Database(url)
    with db.write() as session:
        read_head(session, lock=True)
        print("held", flush=True)
        time.sleep(seconds)
    db.close()


@contextmanager
def _watched(server: Server) -> Iterator[list[int]]:
    """Look at the memory of the server's processes again and again."""
    seen, done = [server.rss_bytes()], threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_SECONDS):
            try:
                seen.append(server.rss_bytes())
            except OSError:  # it is ending
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _looked_at(answered: Sequence[Answered]) -> tuple[Receipts, int]:
    """Return what was acknowledged, and how many requests were refused.

    Raises:
        RuntimeError: An answer was neither.
    """
    found: Receipts = {}
    refused = 0
    for each in answered:
        head, _, body = each.answer.partition(b"\r\n\r\n")
        if each.answer[9:12] == b"503" and RETRY in head.lower():
            refused += 1
            continue
        if each.answer[9:12] != b"200":
            raise RuntimeError(f"a client was answered {each.answer[:1000].decode('utf-8', 'replace')}")
        for result in json.loads(body)["results"]:
            if (receipt := result.get("receipt")) and "proof" in receipt:
                found[receipt["event"]] = (receipt["index"], receipt["leaf_hash"])
            elif result["status"] != 503:
                raise RuntimeError(f"an event was answered {json.dumps(result)[:1000]}")
    return found, refused


def _sent(load: Load, server: Server, folder: Path) -> Receipts:
    """Send until everything is in, and return every receipt.

    Raises:
        RuntimeError: It was never taken.
    """
    found: Receipts = {}
    for _ in range(ROUNDS_OF_RESENDING):
        again, _ = _looked_at(exchange(load, server, folder)[1])
        found |= again
        if len(found) == load.events:
            return found
        time.sleep(1)
    raise RuntimeError(f"{load.events - len(found)} events were not taken when the ledger could be written again")


def lost_of(first: Receipts, last: Receipts, load: Load) -> list[str]:
    """Return the events that were acknowledged and are not there any more, or have another receipt.

    Raises:
        RuntimeError: Two events share a leaf; the text says how many there are.
    """
    leaves = {index for index, _ in chain(last.values())}
    if len(leaves) != load.events:
        raise RuntimeError(f"{load.events} events lie in {len(leaves)} leaves")
    return [event for event, receipt in first.items() if last.get(event) != receipt]


if __name__ == "__main__":
    hold(os.environ[HELD_DATABASE], float(sys.argv[1]))
