"""The clock of the witnesses: a thread of the process that writes, which starts a round every few seconds.

Rounds wait for other agencies' machines and never for the ledger's lock: whatever a witness does, events are
recorded. A checkpoint that too few have cosigned for a minute, or for ten, is told in the log; `/metrics` shows it.
"""

import httpx
import structlog

from app.clock import Clock
from app.config import Settings
from app.custody.lookup import meta_of
from app.db import Database
from app.errors import BusyError, MalformedError, MissingError
from app.exchange.witnessing import Witnessing
from app.ledger.note import MAX_NOTE_BYTES, VerifierKey
from app.ledger.policy import TrustPolicy
from app.ledger.witnessed import newest_witnessed
from app.recurring import Recurring

log = structlog.get_logger(__name__)
LATE_SECONDS = (60, 600)
ROOM_BYTES = 2048
"""For the checkpoint's own text and signatures, two of them while its key rotates."""


def trust_of(settings: Settings) -> TrustPolicy | None:
    """Return the trust policy in the settings, if any, fit to be asked for cosignatures.

    Raises:
        MissingError: The file is not there.
        MalformedError: `tlog_policy`; it is no policy, its cosignatures would not fit on a checkpoint, or an address
            is none.
    """
    if settings.witness_policy is None:
        return None
    try:
        policy = TrustPolicy.parse(settings.witness_policy.read_bytes())
    except OSError as error:
        raise MissingError(f"The policy of witnesses cannot be read: {error}.", code="tlog_policy") from None
    if policy.note_bytes > MAX_NOTE_BYTES - ROOM_BYTES:
        raise MalformedError(
            "A checkpoint with the cosignatures of all these witnesses would be larger than 64 KiB, which no reader "
            "takes: name fewer with ML-DSA-44 keys (3.3 kB each).", code="tlog_policy",
        )  # fmt: skip
    for witness in policy.witnesses:
        if witness.url and not _is_address(witness.url):
            raise MalformedError(
                f"The address of {witness.name} in the policy of witnesses is no http address.", code="tlog_policy"
            )
    return policy


def _refuse_other_logs(policy: TrustPolicy, keys: list[VerifierKey]) -> None:
    named = {log.key for log in policy.logs}
    if named and not named & set(keys):
        raise MalformedError(
            "The policy of witnesses names another ledger, or a key of this one that is not in force: put the "
            "verifier key that /v1/ledger shows on its `log` line.", code="tlog_policy",
        )  # fmt: skip


def _is_address(url: str) -> bool:
    try:
        parts = httpx.URL(url)
        return parts.scheme in {"http", "https"} and bool(parts.host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        return False


class WitnessClock:
    """Starts rounds over the witnesses of one ledger."""

    def __init__(
        self, settings: Settings, clock: Clock, db: Database, ledger_id: int, origin: str, policy: TrustPolicy
    ) -> None:
        """Prepare; `start` begins.

        Args:
            settings: How often, how long.
            clock: The machine's time, which cosignatures are compared with.
            db: The ledger's database.
            ledger_id: The ledger.
            origin: Its origin.
            policy: Whose cosignatures count.
        """
        self._settings, self._clock, self._db, self._ledger_id = settings, clock, db, ledger_id
        self.witnessing = Witnessing(
            db, ledger_id, origin, policy, timeout_seconds=settings.witness_timeout_seconds,
            recosign_seconds=settings.recosign_seconds,
        )  # fmt: skip
        self._lagging_since_ms = 0
        self._told = 0
        self._unheard: dict[str, str] = {}
        every = settings.witness_seconds
        self._thread = Recurring("witnesses", self._turn, first_seconds=every, again_seconds=every)

    def check(self) -> None:
        """Compare this database with what every witness has seen, and the policy with the ledger.

        Asked at the start, and again in each life of the database: whatever is raised, rounds can go on.

        Raises:
            BusyError: The database cannot be read just now.
            TamperError: It is an old copy, or another history.
            MalformedError: `tlog_policy`; the policy names ledgers, and none of them by a key of this one in force.
        """
        keys = self._keys()
        _refuse_other_logs(self.witnessing.policy, keys)
        unheard = self.witnessing.refuse_rollback(keys)
        if unheard:
            log.warning("witnesses_unheard", witnesses=unheard)

    def start(self) -> None:
        """Start the thread."""
        if self.witnessing.reachable:
            self._thread.start()

    def stop(self) -> None:
        """End the thread after the round that it is in."""
        self._thread.stop()
        self.witnessing.close()

    def round(self) -> None:
        """Ask the witnesses once."""
        now_ms = self._clock.now_ms()
        done = self.witnessing.round(now_ms, self._keys())
        if done is not None and done.unavailable != self._unheard:
            self._unheard = done.unavailable
            log.warning("witnesses_unavailable", witnesses=done.unavailable)
        self._tell_lag(done.size if done is not None else 0, now_ms)

    def _turn(self) -> float:
        """Do a round; one that the database has no time for comes again."""
        try:
            with self._db.turn("witnesses", self._ledger_id) as is_ours:
                if is_ours:
                    self.round()
        except BusyError:
            log.info("witness_round_postponed")
        return self._settings.witness_seconds

    def _keys(self) -> list[VerifierKey]:
        with self._db.read() as session:
            meta = meta_of(session, self._ledger_id)
        return [VerifierKey.parse(text) for text in meta.ledger_keys] if meta is not None else []

    def _tell_lag(self, size: int, now_ms: int) -> None:
        with self._db.read() as session:
            found = newest_witnessed(session, self._ledger_id)
        if not size or (found is not None and found[0] >= size):
            self._lagging_since_ms, self._told = 0, 0
            return
        self._lagging_since_ms = self._lagging_since_ms or now_ms
        late = (now_ms - self._lagging_since_ms) // 1000
        for level, seconds in enumerate(LATE_SECONDS, 1):
            if late >= seconds and self._told < level:
                self._told = level
                log.error("not_witnessed", size=size, seconds=late)
