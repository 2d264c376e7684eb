"""The clock's rounds: what happens because time passes, in the process that writes.

Several hosts may write one ledger; one of them at a time does a round. Every round: cancels that fall due, goods that
are overdue, events that wait too long; expired tokens. Every `heads_seconds`: a commitment to every unit's latest
event, in parts when much has changed. On a demo ledger time is that of
its newest event, never the machine's: a story that was told last month does not go on by itself. What the clock
writes goes through the intake like everything else.
"""

import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from app.clock import Clock
from app.config import Settings
from app.custody import _store
from app.custody.committing import commit_heads, newest
from app.custody.intake import Intake
from app.custody.lookup import newest_ms
from app.custody.record import Recorder
from app.db import Database
from app.errors import BusyError
from app.keys.tokens import purge
from app.recurring import Recurring

log = structlog.get_logger(__name__)
WAIT_SECONDS = 60
PURGE_EVERY = 60
YOUNG = 0.9
"""Part of `heads_seconds`: clocks of hosts differ, and our own round comes a little late."""


class Rounds:
    """One thread that wakes every `sweep_seconds`."""

    def __init__(
        self, settings: Settings, clock: Clock, db: Database, recorder: Recorder, intake: Intake, *, demo: bool
    ) -> None:
        """Prepare; `start` begins.

        Args:
            settings: `sweep_seconds` is the pause between two rounds.
            clock: Tells the time; not asked on a demo ledger.
            db: For what is no event: expired tokens.
            recorder: Does the clock's work, on the writer's thread.
            intake: The way to that thread.
            demo: The genesis says so.
        """
        self._settings, self._clock, self._db = settings, clock, db
        self._recorder, self._intake, self._demo = recorder, intake, demo
        self._rounds = 0
        self._next_commit = time.monotonic() + settings.heads_seconds
        every = settings.sweep_seconds
        self._thread = Recurring("clock", self._turn, first_seconds=every, again_seconds=every)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the round it is in."""
        self._thread.stop()

    def _turn(self) -> float:
        """Do a round, unless another host of this ledger is at it."""
        with suppress(BusyError), self._db.turn("clock", self._recorder.ledger_id) as is_ours:
            for work in (self.sweep, self.commit, self.purge) if is_ours else ():
                self._guarded(work)
        return self._settings.sweep_seconds

    def _guarded(self, work: Callable[[], object]) -> None:
        """Do one piece of work; what fails is logged and tried again in the next round."""
        try:
            work()
        except BusyError:
            log.info("round_postponed", work=work.__name__)
        except Exception:
            log.exception("round_failed", work=work.__name__)

    def sweep(self) -> int:
        """Write the verdicts that are due now; returns how many."""
        now_ms = self._now_ms()
        written = self._intake.call(lambda: self._recorder.sweep(now_ms)).result(WAIT_SECONDS)
        if written:
            log.info("verdicts_written", verdicts=written)
        return written

    def commit(self) -> int:
        """Commit to every unit's latest event when it is time; returns how many commitments were made.

        What is too much for one goes into several: one after the other while nobody waits for the writer, else one
        a round.
        """
        if not self._settings.heads_seconds or time.monotonic() < self._next_commit:
            return 0
        rest = self._rest_seconds()
        if rest > 0:  # another host has made one
            self._next_commit = time.monotonic() + rest
            return 0
        made, left = 0, 1
        while left and not self._thread.stopping and (not made or not self._intake.waiting):
            now_ms = self._now_ms()
            done = self._intake.call(lambda: commit_heads(self._recorder, now_ms)).result(WAIT_SECONDS)  # noqa: B023 - called at once
            made += done is not None
            left = done or 0
        if not left:
            self._next_commit = time.monotonic() + self._settings.heads_seconds
        return made

    def _rest_seconds(self) -> float:
        """Return how long the newest commitment is young enough; a ledger whose time is told has one host only."""
        if self._demo:
            return 0
        with self._db.read_newest() as session:
            last = newest(session, self._recorder.ledger_id)
            if last is None or last.size < last.leaf_index:  # the last one was a part
                return 0
            made_ms = _store.times(session, self._recorder.ledger_id, [last.leaf_index])[last.leaf_index]
        return self._settings.heads_seconds * YOUNG - (self._clock.now_ms() - made_ms) / 1000

    def _now_ms(self) -> int:
        """Return the ledger's present: that of its newest event on a demo ledger."""
        if not self._demo:
            return self._clock.now_ms()
        with self._db.read() as session:
            return newest_ms(session, self._recorder.ledger_id)

    def purge(self) -> int:
        """Forget what has expired, once in many rounds; returns how many rows went."""
        self._rounds += 1
        if self._rounds % PURGE_EVERY != 1:
            return 0
        with self._db.write() as session:
            return purge(session, self._recorder.ledger_id, self._clock.now_ms())
