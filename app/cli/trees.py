"""`custody ledgers verify`: the trees of all ledgers of a signed list, side by side, a process each.

Below one folder each tree has a folder of any name, as `custody ledger export` or `mirror` wrote it; whose it is, its
checkpoint says. Every ledger of the list is verified under the genesis and the key that the list names, by the very
command `custody ledger verify`. A ledger without a tree is INCOMPLETE, and so is one whose process ends without an
answer; a tree of a ledger that is not on the list is told, and decides nothing.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

import app as package
from app.cli.mirror import EXIT_CODES, usable_cores
from app.cli.pace import Pace
from app.errors import MissingError, ServiceError
from app.ledger.checkpoint import Checkpoint
from app.ledger.directory import LedgerList, Listed
from app.ledger.folder import TileFolder
from app.ledger.note import Note

_WORST = ("FAIL", "INCOMPLETE", "PASS")


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder with a checkpoint, and what that says of itself; nothing is verified."""

    folder: Path
    origin: str
    size: int


def verify_listed(found: LedgerList, folder: Path, processes: int | None, *, as_json: bool) -> int:
    """Verify the tree of every listed ledger and print what came of each.

    Args:
        found: The list, opened.
        folder: Where the trees are, a folder each.
        processes: How many work at a time; None for the cores there are.
        as_json: Print data.

    Returns:
        The exit code of the worst result.

    Raises:
        MissingError: There is no such folder.
    """
    trees = list(_trees(folder))
    listed = {one.origin: one for one in found.ledgers}
    known = sorted((tree for tree in trees if tree.origin in listed), key=lambda tree: -tree.size)
    reports = [_absent(origin) for origin in listed if origin not in {tree.origin for tree in known}]
    with Pace(quiet=as_json) as pace:
        for tree, report in _verified(known, listed, processes or usable_cores()):
            reports.append({**report, "folder": str(tree.folder)})
            pace.tick("ledgers", 1, len(known))
            pace.tick("events", tree.size, sum(one.size for one in known))
    reports.sort(key=lambda report: (_WORST.index(report["result"]), report["origin"]))
    strangers = [{"origin": tree.origin, "folder": str(tree.folder)} for tree in trees if tree.origin not in listed]
    result = reports[0]["result"] if reports else "INCOMPLETE"
    told = {"result": result, "ledgers": reports, "not_listed": strangers}
    sys.stdout.write(json.dumps(told, indent=2) + "\n" if as_json else _as_text(told))
    return EXIT_CODES[result]


def _trees(folder: Path) -> Iterator[Tree]:
    if not folder.is_dir():
        raise MissingError(f"There is no folder {folder}.")
    for each in sorted(path for path in folder.iterdir() if path.is_dir()):
        try:
            note = TileFolder(each).checkpoint()
            checkpoint = Checkpoint.parse(Note.parse(note).text) if note is not None else None
        except ServiceError:
            typer.echo(f"{each / 'checkpoint'} cannot be read as a checkpoint; that folder was left out.", err=True)
            continue
        if checkpoint is not None:
            yield Tree(each, checkpoint.origin, checkpoint.size)


def _verified(
    trees: list[Tree], listed: dict[str, Listed], processes: int
) -> Iterator[tuple[Tree, dict[str, Any]]]:  # fmt: skip
    """Verify trees side by side, the largest first; whatever ends this ends every process."""
    running: list[subprocess.Popen[bytes]] = []
    each = max(1, processes // max(1, len(trees)))
    with ThreadPoolExecutor(max_workers=processes) as pool:
        waiting = {pool.submit(_verify_one, tree, listed[tree.origin], each, running): tree for tree in trees}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in tuple(running):  # which their threads take away from
                process.kill()


def _verify_one(
    tree: Tree, one: Listed, processes: int, running: list["subprocess.Popen[bytes]"]
) -> dict[str, Any]:  # fmt: skip
    command = [sys.executable, "-P", "-m", "app.cli", "ledger", "verify", str(tree.folder), "--json"]
    command += ["--vkey", one.key.to_text(), "--genesis", one.genesis, "--processes", str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).resolve().parent.parent)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603
    running.append(process)
    out, _ = process.communicate()
    running.remove(process)
    try:
        report = json.loads(out)
        if EXIT_CODES[report["result"]] == process.returncode and report["origin"] == one.origin:
            return dict(report)
    except (ValueError, KeyError, TypeError):
        pass
    how = f"by signal {-process.returncode}" if process.returncode < 0 else f"with {process.returncode}"
    return _left_open(one.origin, f"The process that verified it ended {how} and without an answer.")


def _absent(origin: str) -> dict[str, Any]:
    return _left_open(origin, "There is no tree of this ledger here.")


def _left_open(origin: str, why: str) -> dict[str, Any]:
    return {"result": "INCOMPLETE", "origin": origin, "size": 0, "root": "", "findings": [], "not_checked": [why]}


def _as_text(told: dict[str, Any]) -> str:
    lines = []
    for report in told["ledgers"]:
        lines.append(f"{report['result']}: {report['origin']}, {report['size']} leaves, root {report['root']}")
        lines += [f"  leaf {one['index']}: {one['code']}: {one['detail']}" for one in report["findings"]]
        lines += [f"  not checked: {what}" for what in report["not_checked"]]
    lines += [f"not on the list: {one['origin']} in {one['folder']}" for one in told["not_listed"]]
    return "\n".join([*lines, f"{told['result']}: {len(told['ledgers'])} ledgers"]) + "\n"
