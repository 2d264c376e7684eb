"""The way from the process that answers to the process that writes.

Python runs one thread at a time: an event loop and a writer in one process take turns at every system call and
lose half of their time handing over. So `custody serve` gives the writer a process of its own (ADR 14). This is the
answering side: it starts the writer, sends it what one round of the loop has proven as one message, and resolves
futures on the loop as the commits are told. The other side is `app.worker`. Where several processes answer, each has
such a link to the one writer that all share, and somebody else has started it (`app.cli.workers`).

When the writer ends unasked, everyone who waits gets `BusyError`, `healthy` turns false and `/readyz` fails: restart
the service; the start verifies. An event whose answer was lost that way may be recorded; sending it again is safe.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import structlog

import app
from app.config import Settings
from app.custody.lanes import room
from app.custody.prove import Parcel, ProvenEvent
from app.custody.receipts import Answer
from app.custody.view import View
from app.custody.wire import Done, Failed, Message, Open, Ready, Record, frame, frames
from app.errors import BusyError, ServiceError

log = structlog.get_logger(__name__)
START_SECONDS = 60
STOP_SECONDS = 30
WRITER = "app.worker"
"""Run as a module; rooms do not import entrances."""


class WriterLink(asyncio.Protocol):
    """A writer in a process of its own; use it on one event loop."""

    def __init__(
        self, settings: Settings, view: View, on_group: Callable[[int, list[Answer]], None] | None = None,
        shared: socket.socket | None = None,
    ) -> None:  # fmt: skip
        """Prepare; `start` begins.

        Args:
            settings: Handed to the writer; `queue_events` bounds what may wait for it.
            view: Told each newest checkpoint.
            on_group: Told the size and the answers of each group after its commit.
            shared: Leads to a writer that runs already; without it `start` starts one.
        """
        self._settings, self._view, self._shared = settings, view, shared
        self._on_group = on_group or (lambda _size, _answers: None)
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._ready: asyncio.Future[None] | None = None
        self._over = asyncio.Event()
        self._buffer = bytearray()
        self._open: dict[int, tuple[asyncio.Future[list[Answer]], int]] = {}
        self._outbox: list[Record] = []
        self._number = 0
        self._waiting = 0
        self._healthy = False
        self._stopping = False

    @property
    def healthy(self) -> bool:
        """Say whether events can be recorded."""
        return self._healthy and not self._stopping

    @property
    def waiting(self) -> int:
        """The number of events that wait for their commit."""
        return self._waiting

    async def start(self) -> None:
        """Start the writer and return when it writes.

        Raises:
            Exception: What kept the writer from starting, as `app.worker.Worker` raises it.
            RuntimeError: It ended, or said nothing in time.
        """
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        if self._shared is not None:
            ours = self._shared
        else:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = spawn_writer(theirs)
        await loop.create_unix_connection(lambda: self, sock=ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready
        except TimeoutError:
            await self.stop()
            raise RuntimeError("The writer did not start in time.") from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Let the writer record what it has, end it, and return when it is gone."""
        self._stopping = True
        if self._transport is not None:
            self._flush()
            if self._transport.can_write_eof():
                self._transport.write_eof()
        if self._process is not None:
            await asyncio.to_thread(_ended, self._process)
        elif self._transport is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), STOP_SECONDS)
        if self._transport is not None:
            self._transport.close()

    def submit(
        self, events: Sequence[ProvenEvent], *, proofs: bool = True, sweep_to_ms: int | None = None, bulk: bool = False
    ) -> "asyncio.Future[list[Answer]]":
        """Send proven events to the writer; see `app.custody.intake.Intake.submit`.

        Raises:
            BusyError: Too many events are waiting, or nothing is written any more.
        """
        if not self.healthy:
            raise _cannot_write()
        if self._waiting and self._waiting + len(events) > room(self._settings.queue_events, bulk=bulk):
            raise BusyError("Too many events are waiting; send it again.", retry_after_seconds=1)
        loop = asyncio.get_running_loop()
        self._number += 1
        future: asyncio.Future[list[Answer]] = loop.create_future()
        self._open[self._number] = (future, len(events))
        self._waiting += len(events)
        if not self._outbox:
            loop.call_soon(self._flush)
        self._outbox.append(Record(self._number, Parcel(events), proofs, sweep_to_ms, bulk))
        return future

    def _flush(self) -> None:
        """Send what one round of the loop has brought as one message."""
        sending, self._outbox = self._outbox, []
        if not sending or self._transport is None:
            return
        try:
            self._transport.write(frame(sending))
        except Exception:
            log.exception("not_sent", requests=len(sending))
            for record in sending:
                self._resolve(record.number, BusyError("The events could not be handed over; send them again."))

    # -- what the writer says ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell the writer how to run."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(frame(Open(self._settings)))

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data
        for message in frames(self._buffer):
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case Done(published, healthy, answers):
                self._healthy = healthy
                self._view.published = max(published, self._view.published)
                for number, answer in answers:
                    self._resolve(number, answer)
                told = [one for _, answer in answers if isinstance(answer, list) for one in answer]
                if told:
                    self._on_group(len(told), told)
            case Ready(published):
                self._view.published = max(published, self._view.published)
                self._healthy = True
                self._settle(None)
            case Failed(error):
                self._settle(error)
            case _:
                raise RuntimeError("the writer does not say that")

    def _resolve(self, number: int, answer: list[Answer] | ServiceError) -> None:
        if number not in self._open:  # answered already, when the connection was lost
            return
        future, events = self._open.pop(number)
        self._waiting -= events
        if future.done():  # whoever waited has gone
            return
        if isinstance(answer, ServiceError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    def _settle(self, error: Exception | None) -> None:
        """End the wait for the writer's first word."""
        if self._ready is None or self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer everyone who waits: the writer has ended."""
        del exc
        self._over.set()
        self._settle(RuntimeError("The writer ended before it was ready; its log says why."))
        self._healthy = False
        if not self._stopping:
            log.critical("writer_ended", waiting=self._waiting)
        for number in list(self._open):
            self._resolve(number, _cannot_write())


def _cannot_write() -> BusyError:
    return BusyError("The service cannot write now.", retry_after_seconds=60, code="storage")


def spawn_writer(theirs: socket.socket, *, shared: bool = False) -> "subprocess.Popen[bytes]":
    """Start a writer that listens on a socket: for requests, or, when shared, for sockets that bring requests."""
    command = [sys.executable, "-P", "-m", WRITER, *(["--shared"] if shared else []), str(theirs.fileno())]
    environment = {**os.environ, "PYTHONPATH": str(Path(app.__file__).resolve().parent.parent)}
    return subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)  # noqa: S603


def _ended(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.critical("writer_killed", waited_seconds=STOP_SECONDS)
        process.kill()
        process.wait()
