"""Starts witnesses quickly: imports once, then forks one serving process per line of its input.

A line is a JSON array [folder, port, kind]; the answer is the process id. What a child runs is `app.cli.witness.run`,
the very function behind `custody witness serve`; only the imports, a second and a half each time, are shared.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from app.cli.witness import APPLICATION, run
from app.config import Settings
from app.web.http import BoundedHttp
from app.web.witness import create_app
from app.witness.cosign import Witness
from app.witness.decide import Held, refusal
from app.witness.folder import Folder

PRELOADED = (APPLICATION, BoundedHttp, create_app)
LATE_SECONDS = 0.03


class WriteBehind(Witness):
    """Mutant: consistent in memory, signs at once, and commits a moment later."""

    def _persist(self, request, body):
        held = vars(self).setdefault("memory", {})
        with self._store.write() as change:
            kept = change.ledger(request.checkpoint.origin).held
        refused = refusal(request, held.get(request.checkpoint.origin, kept))
        if refused is not None:
            return refused, 0
        held[request.checkpoint.origin] = Held(request.checkpoint.size, request.checkpoint.root)
        at = self._clock.now_ms() // 1000
        threading.Timer(LATE_SECONDS, self._late, (request, at)).start()
        return None, at

    def _late(self, request, at):
        with self._lock:
            with self._store.write() as change:
                change.accept(request, at)
            self._advance()


KINDS = {"real": Witness, "write-behind": WriteBehind}


def child(folder: str, port: int, kind: str) -> None:
    """Serve until killed; whatever goes wrong is in the log beside the folder."""
    quiet = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(quiet, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    run(KINDS[kind](Folder.read(Path(folder))), Settings(host="127.0.0.1", port=port, log_level="ERROR"))


def main() -> None:
    """Fork on demand until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who were killed
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                child(*json.loads(line))
            finally:
                os._exit(1)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
