"""One of several processes that answer HTTP: `python -m app.cli.answering LISTENING WRITER`, started by `workers`.

The two arguments are file descriptors: the socket that listens, and the one that leads to the shared writer. How to
run comes over standard input, which then stays open for as long as the process that started this one lives.
"""

import pickle
import socket
import sys
import threading
from typing import cast

import uvicorn

from app.cli.serve import server
from app.custody.wire import HEAD_BYTES, Open
from app.logs import configure_logging


def _end_with_parent(serving: uvicorn.Server) -> None:
    """Drain and end when standard input ends: whoever started this process is gone."""
    sys.stdin.buffer.read()
    serving.should_exit = True


def main() -> None:
    """Serve until SIGTERM, SIGINT, or the end of standard input."""
    size = int.from_bytes(sys.stdin.buffer.read(HEAD_BYTES), "big")
    told = cast("Open", pickle.loads(sys.stdin.buffer.read(size)))  # noqa: S301 - by the process that started this one
    configure_logging(told.settings)
    with socket.socket(fileno=int(sys.argv[1])) as listening, socket.socket(fileno=int(sys.argv[2])) as writer:
        serving = server(told.settings, writer)
        threading.Thread(target=_end_with_parent, args=(serving,), daemon=True).start()
        serving.run(sockets=[listening])


if __name__ == "__main__":
    main()
