"""The scenario `heads`: one commitment to every unit's latest event, over many units of which a thousand changed.

`heads_old` has the thousand among those that were committed to before, each with an event of its own; `heads_new`
has a thousand new ones among them. What is timed is `commit_heads`, whole: the lock, what changed, the tree, the
signed leaf, the checkpoint, the durable commit. The tree alone is timed over other units, and never stored: what it
reads is as cold for it as for the round.
"""

import secrets
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any

from rich.progress import Progress

from app.canon import b64url_encode
from app.cli.bench.charter import PLACES
from app.cli.bench.defaults import Defaults
from app.cli.bench.figures import Round, summary
from app.cli.bench.world import Founding, blocks
from app.cli.phone import Phone
from app.custody.committing import StoredHeads, commit_heads, newest
from app.custody.heads import amend
from app.ids import new_unit_id

ROUNDS = 21
"""As many as a median needs (`app.cli.bench.figures.QUANTILES`)."""
CHANGED = 1000


@dataclass(slots=True)
class Heads:
    """One ledger under the scenario."""

    founding: Founding
    officer: Phone
    units: list[str] = field(default_factory=list)

    def grow(self, count: int, progress: Progress) -> None:
        """Commission units and commit to them, block by block."""
        task = progress.add_task("commissioning units", total=count)
        for size in blocks(count):
            self.founding.advance([self.officer])
            self.units += self.founding.commission(self.officer, size)
            while commit_heads(self.founding.recorder, self.founding.now_ms):
                pass
            progress.advance(task, size)

    def change_old(self, units: Sequence[str]) -> None:
        """Give these units an event each."""
        self.founding.record([
            self.officer.sign(
                "sighting", {}, units=[unit], at_ms=self.founding.now_ms, place=PLACES[0], capacity="witness"
            )
            for unit in units
        ])  # fmt: skip

    def add_new(self, count: int) -> None:
        """Commission so many more units."""
        self.units += self.founding.commission(self.officer, count)

    def commit(self) -> Round:
        """Time one commitment to all that has changed.

        Raises:
            RuntimeError: It did not take everything in, or is over another number of units.
        """
        recorder = self.founding.recorder
        wall, cpu = time.perf_counter(), time.process_time()
        left = commit_heads(recorder, self.founding.now_ms)
        told = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        with recorder.db.read() as session:
            last = newest(session, recorder.ledger_id)
        if left != 0 or last is None or last.n != len(self.units):
            raise RuntimeError(f"a commitment left {left} leaves and is over {last and last.n} of {len(self.units)}")
        return told

    def tree_seconds(self, units: Sequence[str]) -> float:
        """Time what the tree takes to take units in, as stored now; nothing is kept of it."""
        recorder = self.founding.recorder
        latest = {unit: (1, b64url_encode(secrets.token_bytes(32))) for unit in units}
        with recorder.db.read() as session:
            last = newest(session, recorder.ledger_id)
            if last is None:
                raise RuntimeError("there is no commitment")
            started = time.perf_counter()
            amend(StoredHeads(session, recorder.ledger_id, last.size), last.n, latest)
            return time.perf_counter() - started

    def round_of(self, name: str, count: int) -> Round:
        """Change units, commit, and time the tree over as many others of the same kind."""
        self.founding.advance([self.officer])
        if name == "heads_old":
            chosen = SystemRandom().sample(self.units, 2 * count)
            others = chosen[count:]
            self.change_old(chosen[:count])
        else:
            others = [new_unit_id(secrets.token_bytes(10)) for _ in range(count)]
            self.add_new(count)
        self.founding.recorder.db.tidy()  # as a service does every second, beside its writer
        told = self.commit()
        return {**told, "events": count, "units": len(self.units), "tree_seconds": self.tree_seconds(others)}


def heads(
    folder: Path, url: str, units: int, progress: Progress, *, changed: int = CHANGED, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Make a ledger of so many units and measure rounds of both kinds, in turn.

    Args:
        folder: A fresh one.
        url: An empty database.
        units: How many units the tree is over when the first round begins; at least twice as many as change.
        progress: Shows where the run is.
        changed: How many units change between two commitments.
        rounds: How many rounds of each kind.

    Returns:
        A row for `heads_old` and one for `heads_new`; their events are units taken in.

    Raises:
        RuntimeError: An event was not accepted, or a commitment is not over what it must be.
    """
    founding = Founding(Defaults(data_dir=folder / "data", database_url=url))
    bench = Heads(founding, founding.enrol(1)[0])
    bench.grow(units, progress)
    task = progress.add_task("committing", total=2 * rounds)
    told: dict[str, list[Round]] = {"heads_old": [], "heads_new": []}
    for _ in range(rounds):
        for name, each in told.items():
            each.append(bench.round_of(name, changed))
            progress.advance(task)
    founding.db.close()
    return {name: _row(each) for name, each in told.items()}


def _row(rounds: Sequence[Round]) -> dict[str, Any]:
    walls, trees = ([1000 * told[name] for told in rounds] for name in ("wall_seconds", "tree_seconds"))
    return {
        **summary(rounds), "units": rounds[0]["units"], "p50_ms": round(statistics.median(walls), 2),
        "max_ms": round(max(walls), 2), "tree_p50_ms": round(statistics.median(trees), 2),
        "tree_max_ms": round(max(trees), 2),
    }  # fmt: skip
