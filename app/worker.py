"""The process that writes: one recorder, its group writer and the clock's rounds over one ledger.

`custody serve` starts it as `python -m app.worker FD` and speaks with it over that socket (`app.custody.wire`); a
test may run a `Worker` within its own process instead. It ends when the other side has ended, and first records what
it was given: nobody is told about that any more, and whoever asks again gets the same receipt. Signals that stop the
service are for its other half, which lets this one finish.
"""

import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import cast

import structlog

from app.clock import Clock, SystemClock
from app.config import Settings
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
        self.intake = Intake(self.recorder, settings, on_group, after_write)
        trust = trust_of(settings)
        self.witnesses = (
            WitnessClock(settings, clock, db, head.ledger_id, head.origin, trust) if trust is not None else None
        )
        if self.witnesses is not None:
            self.witnesses.check()
        self.stamps = StampClock(settings, clock, db, head.ledger_id) if settings.tsa_url else None
        self.shards = ShardClock(settings, clock, db, self.recorder, self.intake) if settings.shard_seconds else None
        self.tidying = Recurring("tidying", self._tidy, first_seconds=TIDY_SECONDS, again_seconds=TIDY_SECONDS)
        demo = meta is not None and bool(meta.demo)
        self.rounds = Rounds(settings, clock, db, self.recorder, self.intake, demo=demo)

    def start(self) -> None:
        """Start writing, then the clocks."""
        self.intake.start()
        self.tidying.start()
        self.rounds.start()
        for clock in self._clocks():
            clock.start()

    def stop(self) -> None:
        """Stop the clocks, then record what is waiting."""
        for clock in reversed(self._clocks()):
            clock.stop()
        self.rounds.stop()
        self.intake.stop()
        self.tidying.stop()

    def _tidy(self) -> float:
        self._db.tidy()
        return TIDY_SECONDS

    def _clocks(self) -> list[WitnessClock | StampClock | ShardClock]:
        """Return the clocks of other machines that these settings ask for."""
        return [clock for clock in (self.witnesses, self.stamps, self.shards) if clock is not None]


class Desk:
    """Takes requests from the socket to the intake, and answers back."""

    def __init__(self, sock: socket.socket) -> None:
        """Take the socket; `attach` gives it a worker."""
        self._socket = sock
        self._lock = threading.Lock()
        self._answers: list[tuple[int, list[Answer] | ServiceError]] = []
        self._shown = 0
        self._worker: Worker | None = None

    def attach(self, worker: Worker) -> None:
        """Start a worker and say that it writes."""
        self._worker = worker
        self._shown = worker.recorder.published[0]
        worker.start()
        self._send(Ready(worker.recorder.published))

    def take(self, record: Record) -> None:
        """Queue one request."""
        assert self._worker is not None  # noqa: S101 - nothing is taken before `attach`
        try:
            future = self._worker.intake.submit(record.events, proofs=record.proofs, sweep_to_ms=record.sweep_to_ms)
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

        What cannot be told ends the connection, and so this process: the other half then answers everyone who waits.
        """
        try:
            self._tell()
        except Exception:
            log.exception("not_told")
            self._socket.shutdown(socket.SHUT_RDWR)

    def _tell(self) -> None:
        assert self._worker is not None  # noqa: S101
        with self._lock:
            answers, self._answers = self._answers, []
            published, healthy = self._worker.recorder.published, self._worker.intake.healthy
            if answers or published[0] > self._shown or not healthy:
                self._shown = published[0]
                self._send(Done(published, healthy, answers))

    def _send(self, message: Ready | Done) -> None:
        try:
            self._socket.sendall(frame(message))
        except ConnectionError:  # the other half is gone; what was recorded is recorded
            return


def serve(sock: socket.socket) -> None:
    """Write for the process at the other end of a socket until it ends."""
    incoming = messages(sock)
    first = next(incoming, None)
    if not isinstance(first, Open):
        return
    settings = first.settings
    configure_logging(settings)
    db = Database(settings.url(), settings.read_url())
    desk = Desk(sock)
    try:
        worker = Worker(settings, SystemClock(), db, after_write=desk.tell)
    except Exception as error:  # noqa: BLE001 - the other half raises it
        sock.sendall(frame(Failed(error)))
        db.close()
        return
    # Records make no cycles: the collector's frequent rounds find nothing and cost a quarter of the hot path.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    desk.attach(worker)
    for requests in incoming:
        for record in cast("list[Record]", requests):
            desk.take(record)
    worker.stop()
    db.close()


def main() -> None:
    """Run as `python -m app.worker FD`."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as sock:
        serve(sock)


if __name__ == "__main__":
    main()
