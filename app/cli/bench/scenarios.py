"""The pinned scenarios over HTTP, round by round, with the yardsticks between them: both see the same machine."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench import loads, parts, reading, report
from app.cli.bench.databases import durability, stored_bytes
from app.cli.bench.desk import desk
from app.cli.bench.fieldday import field_day
from app.cli.bench.figures import Round, middle, summary
from app.cli.bench.goals import goals, ratios
from app.cli.bench.stage import Stage, Told, nothing_told
from app.cli.bench.traffic import INCLUDED, STORED, dealt, get, plain, singles
from app.cli.bench.wish import Wish
from app.db import Database

Scenario = Callable[[Stage], Iterator[tuple[str, Round]]]
SCENARIOS: dict[str, Scenario] = {
    "single": loads.single,
    "batch_100": loads.batch_100,
    "batch_1000": loads.batch_1000,
    "two_signatures": loads.two_signatures,
    "hundred_units": loads.hundred_units,
    "field_day": field_day,
    "history": reading.history,
    "bundle": reading.bundle,
    "fsck": reading.fsck,
    "reconcile": reading.reconcile,
    "desk": desk,
    "store": parts.store,
    "labels": parts.labels,
    "verify_edge": parts.verify_edge,
}
YARDSTICKS = frozenset({
    *("bare", "noop_post", "noop_get", "naive", "insert_1000", "insert_1", "qrcode"),
    *("verify_ed25519_libsodium", "verify_ed25519_openssl", "verify_es256_openssl"),
})  # fmt: skip


def run_served(folder: Path, url: str, wish: Wish, progress: Progress) -> dict[str, Any]:
    """Prepare, run every round, and return everything as data.

    Args:
        folder: A fresh one.
        url: An empty database.
        wish: What was asked for.
        progress: Shows where the run is.

    Raises:
        RuntimeError: An answer was not as expected, or a server did not start.
    """
    task = progress.add_task("founding a ledger", total=2 + wish.size.rounds * len(wish.scenarios))
    told = nothing_told()
    with Stage(folder, url, wish, progress) as stage:
        db = Database(url)
        environment = report.environment(folder, durability(db), wish.load_average)
        stage.task, empty = task, stored_bytes(db)
        progress.update(task, advance=1, description="warming up")
        _warm_up(stage)
        for number in range(wish.size.rounds):
            for name in wish.scenarios:
                progress.update(task, advance=1, description=f"round {number + 1} of {wish.size.rounds}: {name}")
                for label, result in SCENARIOS[name](stage):
                    told[label].append(result)
        if wish.profile is not None:
            progress.update(task, description="profiling")
            stage.notes["profile"] = loads.profiled(stage, wish.profile)
        stored = max(stored_bytes(db) - empty, 0) / max(stage.sent_events, 1)
        db.close()
        progress.update(task, advance=1, description="done")
        return _result(stage, told, environment, stored)


def _warm_up(stage: Stage) -> None:
    """Send every server a short load that nobody counts: its first answers are its slowest."""
    events = stage.signed(stage.size.warm_up)
    stage.send(singles(events, stage.token, loads.SINGLE_CONNECTIONS))
    stage.send(plain(events, "/noop", INCLUDED, loads.SINGLE_CONNECTIONS), "noop")
    stage.send(dealt([get(f"/noop/{n}", "") for n in range(len(events))], reading.READ_CONNECTIONS), "noop")
    few = [stream[:1] for stream in events[: loads.SINGLE_CONNECTIONS]]
    stage.send(plain(few, "/naive", STORED, loads.SINGLE_CONNECTIONS), "naive")
    stage.send(stage.in_batches(stage.size.warm_up, stage.size.hundred, loads.HUNDRED_CONNECTIONS)[1])
    if {"history", "bundle", "desk"} & {*stage.wish.scenarios}:
        reading.warm(stage)


def _result(stage: Stage, told: Told, environment: dict[str, Any], stored: float) -> dict[str, Any]:
    rows = {name: summary(rounds) for name, rounds in told.items()}
    if "bare" in rows:
        costs = [1e6 * each["verify_cpu_seconds"] / each["events"] for each in told["bare"]]
        rows["bare"]["verify_cpu_us_per_event"] = round(middle(costs), 1)
    body = stage.sent_bytes / max(stage.sent_events, 1)
    storage = {
        "bytes_per_event": round(stored), "body_bytes": round(body), "stored_vs_body": round(stored / body, 2),
    }  # fmt: skip
    profile = stage.notes.pop("profile", None)
    found = {
        "environment": environment, "rounds": stage.size.rounds,
        "scenarios": {name: row for name, row in rows.items() if name not in YARDSTICKS},
        "yardsticks": {name: row for name, row in rows.items() if name in YARDSTICKS},
        "storage": storage, "notes": stage.notes, **({"profile": profile} if profile else {}),
    }  # fmt: skip
    own_rate = stage.wish.open_rate is not None
    return {**found, "ratios": ratios(told), "goals": goals(found, told, own_rate=own_rate)}
