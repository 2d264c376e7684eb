"""The group writer: one thread that records what is waiting, as one commit.

Doors put proven events into a bounded queue and wait for a future. The one thread takes what is there (no
timer: an idle service commits a single event at once, a busy one fills its groups by itself), records it as
one group, and resolves the futures after the commit. Everything that appends to the ledger in this process
goes through this thread, the clock's work included, so checkpoints are published in the order of their sizes.

What goes wrong, and who hears of it:

- the database is locked, or its disk is full: nothing was recorded, everyone in the group gets `BusyError`;
- a bug that one event of a group meets: the group is recorded job by job, so that only that one gets
  `TamperError("internal")`;
- the disk fails a sync, or our own tree contradicts itself: nothing further is written by this process.
  `healthy` turns false, `/readyz` fails, every submission gets `BusyError`. Restart it; the start verifies.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

import structlog
from sqlalchemy.exc import DBAPIError

from app.config import Settings
from app.custody.lanes import Lanes, room
from app.custody.prove import ProvenEvent
from app.custody.receipts import Answer
from app.errors import BusyError, ServiceError, TamperError

log = structlog.get_logger(__name__)
T = TypeVar("T")

STORAGE_RETRY_SECONDS = 5
SWEEP_STEP_MS = 60_000
_BROKEN_DISK = ("disk i/o error", "disk image is malformed", "not a database", "could not fsync")


class Writes(Protocol):
    """What the writer thread needs of a recorder."""

    def record(self, proven: Sequence[ProvenEvent], *, proofs: bool = True) -> list[Answer]:
        """Record a group and answer after the commit."""
        ...

    def sweep(self, now_ms: int) -> int:
        """Do the clock's work as of a moment."""
        ...


@dataclass(slots=True)
class _Job:
    """Events of one request, or one piece of other work for the writer thread."""

    events: Sequence[ProvenEvent] = ()
    proofs: bool = True
    work: Callable[[], object] | None = None
    future: "Future[object]" = field(default_factory=Future)
    bulk: bool = False

    @property
    def size(self) -> int:
        """How many events it has."""
        return len(self.events)

    @property
    def kind(self) -> object:
        """Jobs of one kind may share a commit; other work stands alone."""
        return self.proofs if self.work is None else None


class Intake:
    """A bounded queue before the one thread that writes a ledger."""

    def __init__(
        self,
        recorder: Writes,
        settings: Settings,
        on_group: Callable[[int, list[Answer]], None] | None = None,
        after_write: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            recorder: Records groups; called from the writer thread alone.
            settings: `queue_events` bounds the queue, `group_events` one group.
            on_group: Told the size and the answers of each group after its commit.
            after_write: Called when the futures of a group, or of other work, are all resolved.
        """
        self.recorder = recorder
        self._limit = settings.queue_events
        self._on_group = on_group or (lambda _size, _answers: None)
        self._after_write = after_write or (lambda: None)
        self._jobs: Lanes[_Job] = Lanes(settings.group_events)
        self._waiting = 0
        self._swept_ms = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._broken = ""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def healthy(self) -> bool:
        """Say whether events can be recorded: the thread runs and nothing fatal happened."""
        return self._thread.is_alive() and not self._broken and not self._stopping

    @property
    def waiting(self) -> int:
        """The number of events in the queue."""
        return self._waiting

    def start(self) -> None:
        """Start the writer thread."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, record what is waiting, and return when it is done."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(
        self, events: Sequence[ProvenEvent], *, proofs: bool = True, sweep_to_ms: int | None = None, bulk: bool = False
    ) -> "Future[list[Answer]]":
        """Queue proven events; the future gives one answer each, in order, after their commit.

        Args:
            events: Proven, in the order in which they are to be judged; never split over two groups.
            proofs: Put proof and checkpoint into the receipts.
            sweep_to_ms: On a ledger with scenario time: let the clock's work up to then come first.
            bulk: They can wait a little for others (`app.custody.lanes`).

        Raises:
            BusyError: The queue is full, or this process writes no more.
        """
        job = _Job(events, proofs, bulk=bulk)
        with self._changed:
            self._refuse_unless_ready()
            if self._waiting and self._waiting + len(job.events) > room(self._limit, bulk=bulk):
                raise BusyError("Too many events are waiting; send it again.", retry_after_seconds=1)
            if sweep_to_ms is not None and sweep_to_ms >= self._swept_ms + SWEEP_STEP_MS:
                self._swept_ms = sweep_to_ms
                self._jobs.add(_Job(work=lambda: self.recorder.sweep(sweep_to_ms), bulk=bulk))
            self._enqueue(job)
        return cast("Future[list[Answer]]", job.future)

    def call(self, work: Callable[[], T]) -> "Future[T]":
        """Queue other work that appends to the ledger; the future gives what it returns.

        Raises:
            BusyError: This process writes no more.
        """
        job = _Job(work=work)
        with self._changed:
            self._refuse_unless_ready()
            self._enqueue(job)
        return cast("Future[T]", job.future)

    def _refuse_unless_ready(self) -> None:
        if self._stopping:
            raise BusyError("The service is stopping; send it again.", retry_after_seconds=STORAGE_RETRY_SECONDS)
        if self._broken or (self._thread.ident is not None and not self._thread.is_alive()):
            raise BusyError("The service cannot write now.", retry_after_seconds=60, code="storage")

    def _enqueue(self, job: _Job) -> None:
        job.future.set_running_or_notify_cancel()  # from here on nobody can withdraw it: it may be in a commit
        self._jobs.add(job)
        self._waiting += len(job.events)
        self._changed.notify()

    # -- the writer thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._stopping:
                    self._changed.wait()
                if not self._jobs:
                    return
                jobs = self._take()
            self._write(jobs)
            self._after_write()

    def _take(self) -> list[_Job]:
        """Take the next jobs that share one commit."""
        taken = self._jobs.take()
        self._waiting -= sum(job.size for job in taken)
        return taken

    def _write(self, jobs: list[_Job]) -> None:
        try:
            if self._broken:
                raise BusyError("The service cannot write now.", retry_after_seconds=60, code="storage")  # noqa: TRY301
            if jobs[0].work is not None:
                _resolve(jobs[0], jobs[0].work())
                return
            answers = self.recorder.record([e for job in jobs for e in job.events], proofs=jobs[0].proofs)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._failed(jobs, error)
            return
        rest = iter(answers)
        for job in jobs:
            _resolve(job, [next(rest) for _ in job.events])
        self._on_group(len(answers), answers)

    def _failed(self, jobs: list[_Job], error: Exception) -> None:
        """Answer a group that was not recorded as a whole."""
        if isinstance(error, BusyError):
            if error.code == "storage":
                log.error("storage_failed", jobs=len(jobs), exc_info=error)
            _fail(jobs, error)
        elif isinstance(error, OSError | TamperError) or _is_broken_disk(error):
            log.critical("writer_stopped", jobs=len(jobs), exc_info=error)
            self._broken = type(error).__name__
            _fail(jobs, BusyError("The service cannot write now.", retry_after_seconds=60, code="storage"))
        elif isinstance(error, DBAPIError) and _is_storage(error):
            log.error("storage_failed", jobs=len(jobs), exc_info=error)
            retry = STORAGE_RETRY_SECONDS
            _fail(jobs, BusyError("The database cannot take this now.", retry_after_seconds=retry, code="storage"))
        elif len(jobs) > 1:
            log.warning("group_split", jobs=len(jobs), error=type(error).__name__)
            for job in jobs:
                self._write([job])
        else:
            self._one_failed(jobs[0], error)

    def _one_failed(self, job: _Job, error: Exception) -> None:
        """Answer a request that alone cannot be recorded; try its events one by one."""
        if len(job.events) > 1:
            single = [_Job([event], job.proofs) for event in job.events]
            for each in single:
                self._write([each])
            _resolve(job, [_outcome(each) for each in single])
            return
        log.error("event_not_recorded", error=type(error).__name__, exc_info=error)
        known = error if isinstance(error, ServiceError) else None
        _fail([job], known or TamperError("The event could not be recorded.", code="internal"))


def _is_storage(error: DBAPIError) -> bool:
    return type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError"}


def _is_broken_disk(error: Exception) -> bool:
    text = str(error.orig).lower() if isinstance(error, DBAPIError) else ""
    return any(sign in text for sign in _BROKEN_DISK)


def _outcome(job: _Job) -> object:
    error = job.future.exception()
    if isinstance(error, ServiceError):
        return error
    if error is not None:
        raise error
    return cast("list[Answer]", job.future.result())[0]


def _resolve(job: _Job, value: object) -> None:
    job.future.set_result(value)


def _fail(jobs: Sequence[_Job], error: ServiceError) -> None:
    for job in jobs:
        job.future.set_exception(error)
