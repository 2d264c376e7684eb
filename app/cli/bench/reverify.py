"""The scenario `reverify`: a ledger of so many events, exported, and verified again from its files alone.

Everything that `custody ledger verify` checks is checked, by that very command in a process of its own: tiles,
signatures, chains, verdicts, the commitments to every unit's latest event, under a pinned genesis. An answer other
than PASS ends the run. Making the ledger is not measured.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench.loads import signature_us
from app.cli.bench.processes import ROOT, waited
from app.cli.bench.stories import Stream, streams_of
from app.cli.bench.world import Founding
from app.cli.ledger import export_tree
from app.cli.phone import Phone
from app.config import Settings
from app.custody.committing import commit_heads
from app.ledger.append import read_head

STREAMS = 64
EVENTS_PER_UNIT = 16
GROUP = 1024
GROUPS_PER_COMMITMENT = 4


def reverify(folder: Path, url: str, events: int, rounds: int, progress: Progress) -> list[dict[str, Any]]:
    """Make the ledger, export it, and verify the files so many times.

    Args:
        folder: A fresh one.
        url: An empty database.
        events: How many events the phones sign, beside those of the preparation.
        rounds: How often the files are verified.
        progress: Shows where the run is.

    Raises:
        RuntimeError: An event was not accepted, or the files do not verify.
    """
    founding = Founding(Settings(data_dir=folder / "data", database_url=url))
    tree = folder / "tree"
    _fill(founding, events, progress)
    task = progress.add_task("exporting the tree", total=None)
    with founding.db.read() as session:
        export_tree(session, read_head(session), tree, documents=True)
    founding.db.close()
    progress.update(task, description=f"verifying {events:,} events, {rounds} time(s)", total=rounds)
    told = []
    for _ in range(rounds):
        signature = signature_us()
        told.append({
            **verified(tree, founding.vkey, founding.genesis, folder / "report.json"), "signature_us": signature,
        })  # fmt: skip
        progress.advance(task)
    return told


def _fill(founding: Founding, events: int, progress: Progress) -> None:
    count = max(1, min(STREAMS, events // EVENTS_PER_UNIT))
    phones = founding.enrol(2 * count)
    units = founding.commission(phones[0], count * max(1, events // (count * EVENTS_PER_UNIT)))
    streams = streams_of(phones, units, lambda: founding.now_ms)
    task, recorded, groups = progress.add_task("recording events", total=events), 0, 0
    while recorded < events:
        taken = _group(founding, phones, streams, min(GROUP, events - recorded))
        recorded, groups = recorded + taken, groups + 1
        progress.advance(task, taken)
        if groups % GROUPS_PER_COMMITMENT == 0 or recorded >= events:
            while commit_heads(founding.recorder, founding.now_ms):
                pass


def _group(founding: Founding, phones: Sequence[Phone], streams: Sequence[Stream], most: int) -> int:
    """Record the next events of every stream as one group; returns how many, each stream giving as many."""
    founding.advance(phones)
    signed = [event for stream in streams for event in stream.sign(-(-most // len(streams)))]
    founding.record(signed, group=len(signed))
    return len(signed)


def verified(tree: Path, vkey: str, genesis: str, answer: Path) -> dict[str, Any]:
    """Verify exported files with the command that everybody has, and return what its process took.

    Args:
        tree: The files.
        vkey: The ledger's pinned key.
        genesis: The pinned hash of its genesis.
        answer: A file for what the command prints.

    Raises:
        RuntimeError: The answer was not PASS.
    """
    command = [sys.executable, "-P", "-m", "app.cli", "ledger", "verify", str(tree), "--json"]
    command += ["--vkey", vkey, "--genesis", genesis]
    with answer.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env={**os.environ, "PYTHONPATH": str(ROOT)})  # noqa: S603
    cpu_seconds, peak_bytes = waited(process)
    report = json.loads(answer.read_bytes() or b"{}")
    if report.get("result") != "PASS" or process.returncode:
        raise RuntimeError(f"the exported ledger does not verify: {json.dumps(report)[:2000]}")
    return {
        "events": report["size"], "wall_seconds": report["milliseconds"] / 1000,
        "cpu_seconds": cpu_seconds, "rss_mb": round(peak_bytes / 2**20, 1),
    }  # fmt: skip
