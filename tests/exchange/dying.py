"""A mirror that is killed at every single file operation, and the run after it: `dying.py URL VKEY FOLDER`.

A process of its own, since it forks: each child counts the file operations that change something by Python's audit events and kills itself
with SIGKILL at one of them. The next child has to complete what is left; the copy must then be the whole ledger. One
line of JSON says how many points there were and what went wrong.
"""

import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from app.exchange.mirror import Mirror, Wanted
from app.exchange.remote import RemoteLedger
from app.ledger.folder import TileFolder
from app.ledger.note import VerifierKey
from app.ledger.trust import Trust
from tests.exchange.shelf import files_of

WATCHED = frozenset({"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "fcntl.flock"})


def run(url: str, vkey: str, folder: Path, die_at: int) -> None:
    """Do one round; die at an operation on the folder, counted from 1, or not at all for 0."""
    done = 0

    def count(event: str, args: tuple[object, ...]) -> None:
        nonlocal done
        reads = event == "open" and args[1] == "rb"
        if event in WATCHED and not reads and str(folder) in str(args[0]):
            done += 1
            if done == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    files = TileFolder(folder)
    with closing(RemoteLedger(url)) as source, files.locked():
        Mirror(source, files, Trust((VerifierKey.parse(vkey),)), Wanted(rules=False)).once()


def forked(*told: object) -> int:
    """Run a round in a child and return how it ended."""
    child = os.fork()
    if child == 0:
        try:
            run(*told)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001 - told by the exit code
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Kill at the first operation, then at the second, until a round comes through."""
    url, vkey, base = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    whole = base / "whole"
    assert forked(url, vkey, whole, 0) == 0
    wanted, wrong, point = files_of(whole), [], 0
    while True:
        point += 1
        folder = base / f"killed-{point}"
        ended = forked(url, vkey, folder, point)
        if ended == 0:
            break
        if ended != -signal.SIGKILL:
            wrong.append(f"{point}: ended with {ended}")
        note = TileFolder(folder).checkpoint()
        if (
            note is not None
            and {name: data for name, data in files_of(folder).items() if ".part" not in name} != wanted
        ):
            wrong.append(f"{point}: the checkpoint is there before its files")
        if forked(url, vkey, folder, 0) != 0:
            wrong.append(f"{point}: the next run did not complete it")
        left = {name: data for name, data in files_of(folder).items() if not name.endswith(".part")}
        if left != wanted:
            wrong.append(f"{point}: the copy is not the ledger: {sorted(set(left) ^ set(wanted))}")
    print(json.dumps({"points": point - 1, "wrong": wrong}))


if __name__ == "__main__":
    main()
