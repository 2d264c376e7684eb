"""The clock of time stamps: a thread of the process that writes, which has the newest witnessed checkpoint stamped.

An authority that is down, dear or wrong stops nothing: a failure is a line in the log, and it is asked again a minute
later. Between two stamps at least `tsa_seconds` pass, over restarts too, for authorities count what they sell.
"""

import structlog

from app.clock import Clock
from app.config import Settings
from app.db import Database
from app.errors import ServiceError
from app.exchange.timestamps import authority_of, stamp_newest
from app.ledger.stamps import newest_stamped
from app.recurring import Recurring

log = structlog.get_logger(__name__)
FIRST_SECONDS = 10
AGAIN_SECONDS = 60


class StampClock:
    """Has the checkpoints of one ledger stamped."""

    def __init__(self, settings: Settings, clock: Clock, db: Database, ledger_id: int) -> None:
        """Prepare; `start` begins.

        Args:
            settings: Whom to ask, and how often.
            clock: The machine's time.
            db: The ledger's database.
            ledger_id: The ledger.

        Raises:
            MissingError: The settings name an authority and no roots, or these cannot be read; and so what
                `authority_of` raises.
        """
        authority_of(settings).close()
        self._settings, self._clock, self._db, self._ledger_id = settings, clock, db, ledger_id
        self._every = settings.tsa_seconds
        first = min(FIRST_SECONDS, self._every)
        self._thread = Recurring("stamps", self._turn, first_seconds=first, again_seconds=AGAIN_SECONDS)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the round that it is in."""
        self._thread.stop()

    def _turn(self) -> float:
        """Do a round, unless another host is at it."""
        with self._db.turn("stamps", self._ledger_id) as is_ours:
            return self.round() if is_ours else min(AGAIN_SECONDS, self._every)

    def round(self) -> float:
        """Have the newest witnessed checkpoint stamped when it is time; return the seconds until the next look."""
        wait = self._wait_seconds()
        if wait > 0:
            return wait
        again = min(AGAIN_SECONDS, self._every)
        try:
            made = stamp_newest(self._db, self._ledger_id, lambda: authority_of(self._settings))
        except ServiceError as error:
            log.error("not_stamped", code=error.code, detail=error.detail)  # noqa: TRY400 - the sentence says it all
            return again
        if made is None:
            return again
        log.info("stamped", size=made.size, authority=made.authority, at_ms=made.at_ms)
        return self._every

    def _wait_seconds(self) -> float:
        """Return how long the last stamp is young enough, by the authority's clock and ours; never more than once."""
        with self._db.read() as session:
            last = newest_stamped(session, self._ledger_id)
        if last is None:
            return 0
        return min(last.at_ms / 1000 + self._every - self._clock.now_ms() / 1000, self._every)
