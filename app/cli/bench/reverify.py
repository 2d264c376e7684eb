"""The scenario `reverify`: a ledger of so many events, exported, and verified again from its files alone.

Everything that `custody ledger verify` checks is checked, by that very command: tiles, signatures, chains, verdicts,
the commitments to every unit's latest event, under a pinned genesis. It runs in one process (`reverify`: one core) and,
in turn with that, in two (`reverify_2`). An answer other than PASS ends the run. Making the ledger is not measured.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.cli.bench.defaults import Defaults, child_environment
from app.cli.bench.figures import Round
from app.cli.bench.loads import signature_us
from app.cli.bench.processes import child, waited
from app.cli.bench.sending import mib
from app.cli.bench.stories import Stream, streams_of
from app.cli.bench.world import Founding
from app.cli.ledger import export_tree
from app.cli.phone import Phone
from app.custody.committing import commit_heads
from app.ledger.append import read_head

STREAMS = 64
EVENTS_PER_UNIT = 16
GROUP = 1024
GROUPS_PER_COMMITMENT = 4
PROCESSES = {"reverify": 1, "reverify_2": 2}
"""With how many processes each row is verified."""


def reverify(folder: Path, url: str, events: int, rounds: int, progress: Progress) -> dict[str, list[Round]]:
    """Make the ledger, export it, and verify the files so many times.

    Args:
        folder: A fresh one.
        url: An empty database.
        events: How many events the phones sign, beside those of the preparation.
        rounds: How often the files are verified, each time with one process and with two.
        progress: Shows where the run is.

    Returns:
        The rounds by the names of `PROCESSES`.

    Raises:
        RuntimeError: An event was not accepted, or the files do not verify.
    """
    founding = Founding(Defaults(data_dir=folder / "data", database_url=url))
    tree = folder / "tree"
    _fill(founding, events, progress)
    task = progress.add_task("exporting the tree", total=None)
    with founding.db.read() as session:
        export_tree(session, read_head(session), tree, documents=True)
    founding.db.close()
    progress.update(task, description=f"verifying {events:,} events, {rounds} time(s)", total=rounds * len(PROCESSES))
    told: dict[str, list[Round]] = {name: [] for name in PROCESSES}
    for _ in range(rounds):
        for name, processes in PROCESSES.items():
            signature = signature_us()
            found = verified(tree, founding.vkey, founding.genesis, folder / "report.json", processes)
            told[name].append({**found, "signature_us": signature})
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


def verified(tree: Path, vkey: str, genesis: str, answer: Path, processes: int = 1) -> dict[str, Any]:
    """Verify exported files with the command that everybody has, and return what its processes took.

    Args:
        tree: The files.
        vkey: The ledger's pinned key.
        genesis: The pinned hash of its genesis.
        answer: A file for what the command prints.
        processes: How many verify; their memory is summed.

    Raises:
        RuntimeError: The answer was not PASS.
    """
    command = [sys.executable, "-P", "-m", "app.cli", "ledger", "verify", str(tree), "--json"]
    command += ["--vkey", vkey, "--genesis", genesis, "--processes", str(processes)]
    with answer.open("wb") as out, child(command, stdout=out, env=child_environment()) as process:
        cpu_seconds, peak_bytes = waited(process)
    report = json.loads(answer.read_bytes() or b"{}")
    if report.get("result") != "PASS" or process.returncode:
        raise RuntimeError(f"the exported ledger does not verify: {json.dumps(report)[:2000]}")
    return {
        "events": report["size"], "wall_seconds": report["milliseconds"] / 1000,
        "cpu_seconds": cpu_seconds, "peak_rss_mb": mib(peak_bytes), "processes": processes,
    }  # fmt: skip
