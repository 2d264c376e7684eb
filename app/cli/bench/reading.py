"""The loads of questions: histories and evidence of a ledger of so many events, and the balance of a city."""

import secrets
import subprocess
import sys
import time
from collections.abc import Iterator

from app.cli.bench import charter
from app.cli.bench.defaults import child_environment
from app.cli.bench.figures import Round
from app.cli.bench.grown import Grown
from app.cli.bench.processes import child, waited
from app.cli.bench.sending import mib
from app.cli.bench.stage import Stage, environment_of
from app.cli.bench.stories import LIFE
from app.cli.bench.traffic import Ask, dealt, get, request

READ_CONNECTIONS, BUNDLE_CONNECTIONS, BALANCE_CONNECTIONS = 16, 2, 2
Step = tuple[str, Round]
WARM_UP = 64
ROW = b'"kind":"event"'


def warm(stage: Stage) -> None:
    """Read a few histories of the grown ledger, which nobody counts: a server's first answers are its slowest."""
    made, token = stage.grown()
    asks = [asked(secrets.choice(made.units), token) for _ in range(min(WARM_UP, stage.size.reads))]
    stage.send(dealt(asks, READ_CONNECTIONS), "grown")


def history(stage: Stage) -> Iterator[Step]:
    """Read what happened to units drawn by lot, twelve events each, beside the no-op GET."""
    made, token = stage.grown()
    chosen = [secrets.choice(made.units) for _ in range(stage.size.reads)]
    noop = [get(f"/noop/{unit}", "") for unit in chosen]
    yield "noop_get", stage.send(dealt(noop, READ_CONNECTIONS), "noop")
    told = stage.send(dealt([asked(unit, token) for unit in chosen], READ_CONNECTIONS), "grown")
    stage.notes |= {"history_ledger_leaves": made.size(), "history_events_a_unit": LIFE + 1}
    yield "history", told


def asked(unit: str, token: str) -> Ask:
    """Return the GET of a history, which must tell of all twelve events of that unit."""
    data = request("GET", f"/v1/units/{unit}/history", token)
    return Ask(data, 200, ((ROW, LIFE + 1),), (b'"unit":"' + unit.encode() + b'"',))


def bundle(stage: Stage) -> Iterator[Step]:
    """Take the evidence bundles of units of that ledger away."""
    made, token = stage.grown()
    asks = [_taken(made, token) for _ in range(stage.size.bundles)]
    yield "bundle", stage.send(dealt(asks, BUNDLE_CONNECTIONS), "grown")


def _taken(made: Grown, token: str) -> Ask:
    unit = secrets.choice(made.units)
    return get(f"/v1/units/{unit}/evidence", token, f"evidence-{unit}.zip".encode(), b"PK\x05\x06")


def fsck(stage: Stage) -> Iterator[Step]:
    """Verify that ledger's database with the command that operators have; once in a run, since it takes long.

    Raises:
        RuntimeError: It is not clean.
    """
    if "fsck_leaves" in stage.notes:
        return
    made, _ = stage.grown()
    leaves = stage.notes["fsck_leaves"] = made.size()
    command = [sys.executable, "-P", "-m", "app.cli", "fsck", "--json"]
    env = child_environment(environment_of(made.url, made.folder / "data"))
    started = time.perf_counter()
    with (
        (stage.folder / "fsck.json").open("wb") as out,
        child(command, stdout=out, stderr=subprocess.DEVNULL, env=env) as process,
    ):
        cpu_seconds, peak_bytes = waited(process)
    wall_seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"the ledger is not clean: {(stage.folder / 'fsck.json').read_text()[:1000]}")
    yield "fsck", {
        "events": leaves, "requests": 1, "wall_seconds": wall_seconds, "cpu_seconds": cpu_seconds,
        "peak_rss_mb": mib(peak_bytes),
    }  # fmt: skip


def reconcile(stage: Stage) -> Iterator[Step]:
    """Ask whether the ballots of a city add up: 500 stations, five contests."""
    data = request("GET", "/v1/reconciliation", stage.token)
    inside = tuple(piece for contest in sorted(charter.CONTESTS) for piece in balanced(contest))
    asks = [Ask(data, 200, (), inside) for _ in range(stage.size.balances)]
    stage.notes |= {"reconcile_stations": charter.STATIONS, "reconcile_lots": stage.notes.get("lots", 0)}
    yield "reconcile", stage.send(dealt(asks, BALANCE_CONNECTIONS))


def balanced(contest: str) -> tuple[bytes, ...]:
    """Return what the balance must say of a contest, in this order: each figure's total, and that they add up."""
    ballots = charter.STATIONS * charter.ballots()
    voters = charter.STATIONS * charter.VOTERS
    totals = {"voters": voters, "reserve": ballots - voters, "ordered": ballots, "good": ballots}
    figures = (f'"figure":"{name}","quantity":{total},' for name, total in totals.items())
    adds_up = ('"name":"print_ceiling"', '"difference":0,"holds":true')
    return tuple(piece.encode() for piece in (f'"contest":"{contest}"', *figures, *adds_up))
