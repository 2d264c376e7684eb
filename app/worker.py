"""The process that writes: one recorder, its group writer and the clock's rounds over one ledger, one a host.

`custody serve` starts it as `python -m app.worker FD` and speaks with it over that socket (`app.custody.wire`); a
test may run a `Worker` within its own process instead. Where several processes answer, each has a desk here, and the
sockets come over FD (`--shared`). On PostgreSQL other hosts may write the same ledger (ADR 21). It ends when the other
side has ended, and first records what it was given: nobody is told about that any more, and whoever asks again gets
the same receipt. Signals that stop the service are for its other half, which lets this one finish.
"""

import gc
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import cast

import structlog

from app.clock import Clock, SystemClock
from app.config import Settings
from app.custody.abreast import come_abreast, enter, is_abreast
from app.custody.intake import Intake
from app.custody.lookup import meta_of
from app.custody.receipts import Answer
from app.custody.record import Recorder
from app.custody.rounds import Rounds
from app.custody.serverkeys import ServerKeys
from app.custody.wire import Done, Failed, Open, Ready, Record, frame, messages
from app.db import Database
from app.errors import BusyError, ServiceError
from app.exchange.shard_clock import ShardClock
from app.exchange.stamp_clock import StampClock
from app.exchange.witness_clock import WitnessClock, trust_of
from app.ledger.append import read_head
from app.ledger.highwater import HighWater
from app.logs import configure_logging
from app.recurring import Recurring

log = structlog.get_logger(__name__)

GC_THRESHOLDS = (100_000, 50, 1000)
TIDY_SECONDS = 1.0
ABREAST_SECONDS = 1.0
WAIT_SECONDS = 60
STOP_SECONDS = 30
TELL_SECONDS = 5
"""A process that answers and takes nothing any more for so long is let go of: it must not stop the others."""


class Worker:
    """Everything that writes one ledger."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        db: Database,
        on_group: Callable[[int, list[Answer]], None] | None = None,
        after_write: Callable[[], None] | None = None,
    ) -> None:
        """Open keys and ledger; `start` begins.

        Args:
            settings: How to run.
            clock: For the clock's rounds.
            db: Where to write; the caller closes it.
            on_group: Told the size and the answers of each group after its commit.
            after_write: Called when a group's futures are resolved.

        Raises:
            MissingError: There is no ledger, or a server key is missing.
            TamperError: The tree is smaller than what was signed before or than what a witness has seen, or a key
                file may be read by others.
        """
        self._db = db
        keys = ServerKeys.load(settings.keys_folder())
        with db.read() as session:
            head = read_head(session, settings.ledger)
            meta = meta_of(session, head.ledger_id)
        self.recorder = Recorder(db, settings, keys, HighWater(settings.high_water_file(), head.origin))
        enter(self.recorder)
        self.intake = Intake(self.recorder, settings, on_group, after_write)
        trust = trust_of(settings)
        self.witnesses = (
            WitnessClock(settings, clock, db, head.ledger_id, head.origin, trust) if trust is not None else None
        )
        if self.witnesses is not None:
            try:
                self.witnesses.check()
            except BaseException:
                self.witnesses.stop()
                raise
            self.recorder.fence.also = self.witnesses.check
        self.stamps = StampClock(settings, clock, db, head.ledger_id) if settings.tsa_url else None
        self.shards = ShardClock(settings, clock, db, self.recorder, self.intake) if settings.shard_seconds else None
        self.tidying = Recurring("tidying", self._tidy, first_seconds=TIDY_SECONDS, again_seconds=TIDY_SECONDS)
        self.abreast = Recurring(
            "abreast", self._keep_abreast, first_seconds=ABREAST_SECONDS, again_seconds=ABREAST_SECONDS
        )
        demo = meta is not None and bool(meta.demo)
        self.rounds = Rounds(settings, clock, db, self.recorder, self.intake, demo=demo)

    def start(self) -> None:
        """Start writing, then the clocks."""
        self.intake.start()
        (self.tidying if self._db.is_sqlite else self.abreast).start()
        self.rounds.start()
        for clock in self._clocks():
            clock.start()

    def stop(self) -> None:
        """Stop the clocks, then record what is waiting."""
        for clock in reversed(self._clocks()):
            clock.stop()
        self.rounds.stop()
        self.abreast.stop()
        self.intake.stop()
        self.tidying.stop()

    def _tidy(self) -> float:
        self._db.tidy()
        return TIDY_SECONDS

    def _keep_abreast(self) -> float:
        """Show what another host has signed; while the database is away, try again in a while."""
        with suppress(BusyError):
            if not is_abreast(self.recorder):
                self.intake.call(lambda: come_abreast(self.recorder)).result(WAIT_SECONDS)
        return ABREAST_SECONDS

    def _clocks(self) -> list[WitnessClock | StampClock | ShardClock]:
        """Return the clocks of other machines that these settings ask for."""
        return [clock for clock in (self.witnesses, self.stamps, self.shards) if clock is not None]


class Desk:
    """Takes requests from one process that answers to the intake, and answers back."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the socket; `attach` gives it a worker."""
        self._socket = sock
        self._lock = threading.Condition()
        self._answers: list[tuple[int, list[Answer] | ServiceError]] = []
        self._open = 0
        self._shown = 0
        self._worker: Worker | None = None

    def attach(self, worker: Worker) -> None:
        """Say that a worker writes."""
        self._worker = worker
        published = worker.recorder.published
        self._shown = published[0]
        self._send(Ready(published))

    def take(self, record: Record) -> None:
        """Queue one request."""
        assert self._worker is not None  # noqa: S101 - nothing is taken before `attach`
        with self._lock:
            self._open += 1
        try:
            future = self._worker.intake.submit(
                record.events, proofs=record.proofs, sweep_to_ms=record.sweep_to_ms, bulk=record.bulk
            )
        except BusyError as error:
            self._add(record.number, error)
            self.tell()
            return
        future.add_done_callback(partial(self._note, record.number))

    def _note(self, number: int, future: "Future[list[Answer]]") -> None:
        error = future.exception()
        answer = future.result() if error is None else error
        self._add(number, cast("list[Answer] | ServiceError", answer))

    def _add(self, number: int, answer: list[Answer] | ServiceError) -> None:
        with self._lock:
            self._answers.append((number, answer))

    def tell(self) -> None:
        """Send what became of a group, and the newest checkpoint when there is a newer one.

        What cannot be told ends the connection: the other half then answers everyone who waits.
        """
        try:
            self._tell()
        except Exception:
            log.exception("not_told")
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _tell(self) -> None:
        assert self._worker is not None  # noqa: S101
        with self._lock:
            answers, self._answers = self._answers, []
            published, healthy = self._worker.recorder.published, self._worker.intake.healthy
            if answers or published[0] > self._shown or not healthy:
                self._shown = published[0]
                self._send(Done(published, healthy, answers))
            self._open -= len(answers)
            self._lock.notify_all()

    def _send(self, message: Ready | Done) -> None:
        try:
            self._socket.sendall(frame(message))
        except ConnectionError:  # the other half is gone; what was recorded is recorded
            return

    def wait(self) -> None:
        """Return when everything that was taken is recorded and told."""
        with self._lock:
            while self._open:
                self._lock.wait()


class Office:
    """One worker, opened as the first process that answers asks for, and the desk of each such process."""

    def __init__(self) -> None:
        """Nothing is open before the first desk."""
        self._opening = threading.Lock()
        self._desks: list[Desk] = []
        self._db: Database | None = None
        self._worker: Worker | None = None
        self.failed = False

    def attend(self, sock: socket.socket) -> None:
        """Serve one process that answers until it ends; what it brought is recorded first."""
        incoming = messages(sock)
        first = next(incoming, None)
        if not isinstance(first, Open):
            return
        desk = Desk(sock)
        try:
            with self._opening:
                worker = self._worker or self._open(first.settings)
        except Exception as error:  # noqa: BLE001 - the other half raises it
            self.failed = True
            sock.sendall(frame(Failed(error)))
            return
        desk.attach(worker)
        self._desks.append(desk)
        desk.tell()  # of what was published since `attach`
        for requests in incoming:
            for record in cast("list[Record]", requests):
                desk.take(record)
        desk.wait()
        self._desks.remove(desk)

    def _open(self, settings: Settings) -> Worker:
        configure_logging(settings)
        self._db = Database(settings.url(), replicated=settings.synchronous_standby)
        self._worker = Worker(settings, SystemClock(), self._db, after_write=self._tell)
        # Records make no cycles: the collector's frequent rounds find nothing and cost a quarter of the hot path.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self._worker.start()
        return self._worker

    def _tell(self) -> None:
        for desk in list(self._desks):
            desk.tell()

    def close(self) -> None:
        """Record what is waiting, and end."""
        if self._worker is not None:
            self._worker.stop()
        if self._db is not None:
            self._db.close()


def serve(sock: socket.socket) -> None:
    """Write for the process at the other end of a socket until it ends."""
    office = Office()
    office.attend(sock)
    office.close()


def serve_all(control: socket.socket) -> None:
    """Write for every process whose socket comes over this one, until whoever sends them ends."""
    office, threads = Office(), []

    def attend(sock: socket.socket) -> None:
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", TELL_SECONDS, 0))
            office.attend(sock)
        if office.failed:
            control.shutdown(socket.SHUT_RDWR)

    while True:
        _, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not fds:
            break
        threads.append(threading.Thread(target=attend, args=(socket.socket(fileno=fds[0]),), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join(STOP_SECONDS)
    office.close()


def main() -> None:
    """Run as `python -m app.worker FD`, or `--shared FD` for several processes that answer."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[-1])) as sock:
        (serve_all if "--shared" in sys.argv else serve)(sock)


if __name__ == "__main__":
    main()
