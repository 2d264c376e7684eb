"""Several processes that answer, and the one that writes: what `custody serve --workers N` keeps alive.

    this process ──┬── answering 1 … N    `python -m app.cli.answering`: HTTP and signatures, on one listening socket
                   └── the writer         `python -m app.worker --shared`: the only one of this host (ADR 14)

Each answering process has a socket to the writer, made here and handed over, so nobody else can speak to it. One that
dies is replaced. When the writer dies, everything ends, as with one worker: the supervisor of the machine starts the
service anew, and the start verifies. When this process is killed, all of them notice and end: the answering ones by
their standard input, the writer by the socket that it is sent desks over.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import structlog

import app
from app.config import Settings
from app.custody.link import spawn_writer
from app.custody.wire import Open, frame

log = structlog.get_logger(__name__)
ANSWERING = "app.cli.answering"
LOOK_SECONDS = 0.1
STOP_SECONDS = 60
"""More than an answering process takes to drain, and then to wait for the writer."""
SHORT_LIFE_SECONDS = 5
MAX_SHORT_LIVES = 5
WRITER_ENDED = "The writer ended; its log says why. Start the service again: the start verifies."


class Workers:
    """The processes of one service on one host."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        """Prepare; `run` begins.

        Args:
            settings: How to run; `workers` says how many answer.
            listening: Listens already; all of them accept from it.
        """
        self._settings, self._listening = settings, listening
        self._control, theirs = socket.socketpair()
        with theirs:
            self._writer = spawn_writer(theirs, shared=True)
        self._answering: dict[subprocess.Popen[bytes], float] = {}
        self._short_lives = 0
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; returns when everything is drained and gone.

        Raises:
            RuntimeError: The writer ended by itself, or answering processes end as soon as they begin.
        """
        for ending in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ending, self._asked_to_stop)
        trouble = ""
        try:
            for _ in range(self._settings.workers):
                self._start()
            while not self._stopping and not trouble:
                time.sleep(LOOK_SECONDS)
                trouble = self._look()
        finally:
            self._stop()
        if trouble:
            raise RuntimeError(trouble)

    def _asked_to_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> None:
        """Start one answering process and send its socket to the writer.

        Raises:
            RuntimeError: The writer takes no socket any more; nothing was started.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            except ConnectionError:  # it ended since it was looked at last, or could not begin and is ending now
                log.critical("writer_ended", code=self._writer.poll())
                raise RuntimeError(WRITER_ENDED) from None
            fds = [self._listening.fileno(), ours.fileno()]
            command = [sys.executable, "-P", "-m", ANSWERING, *map(str, fds)]
            environment = {**os.environ, "PYTHONPATH": str(Path(app.__file__).resolve().parent.parent)}
            process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=fds, env=environment)  # noqa: S603
        self._answering[process] = time.monotonic()  # it may not listen, and is ours all the same
        assert process.stdin is not None  # noqa: S101 - asked for
        with suppress(BrokenPipeError):  # it has ended by now: `_look` will see that
            process.stdin.write(frame(Open(self._settings)))
            process.stdin.flush()  # and left open: its end tells that we have ended

    def _look(self) -> str:
        """Replace answering processes that ended; say what cannot be mended."""
        if self._writer.poll() is not None:
            log.critical("writer_ended", code=self._writer.returncode)
            return WRITER_ENDED
        for process, since in list(self._answering.items()):
            if process.poll() is None:
                continue
            del self._answering[process]
            _ended(process, time.monotonic())
            is_short = time.monotonic() - since < SHORT_LIFE_SECONDS
            self._short_lives = self._short_lives + 1 if is_short else 0
            log.error("worker_ended", code=process.returncode)
            if self._short_lives > MAX_SHORT_LIVES:
                return "Workers end as soon as they begin; the log says why."
            if not self._stopping:
                self._start()
        return ""

    def _stop(self) -> None:
        """Let the answering processes drain, then the writer record what it has."""
        for process in self._answering:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._answering:
            _ended(process, deadline)
        self._control.close()
        _ended(self._writer, deadline)


def _ended(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        log.critical("worker_killed", pid=process.pid)
        process.kill()
        process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):  # of what it never took
            process.stdin.close()
