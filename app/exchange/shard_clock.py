"""The clock of a national ledger: a thread of the process that writes, which takes the other ledgers' checkpoints in.

Every `shard_seconds` each ledger of the signed list is asked; those that grew become leaves, all in one transaction.
A ledger that shows another history raises an alarm, once, with its note as evidence, and is not taken any more: what
happens to it is for people. Nothing here stops anything else.
"""

from collections.abc import Sequence

import structlog

from app.clock import Clock
from app.config import Settings
from app.custody.intake import Intake
from app.custody.record import Recorder
from app.custody.sharding import Seen, take_checkpoints, taken
from app.db import Database
from app.errors import BusyError, MissingError
from app.exchange.shards import Looked, look
from app.ledger import freezing
from app.ledger.directory import LedgerList, open_list
from app.ledger.note import MAX_NOTE_BYTES, VerifierKey
from app.recurring import Recurring

log = structlog.get_logger(__name__)
WAIT_SECONDS = 60
ALARM = "shard_fork"
FORKS = frozenset({"forked", "twin"})


def list_of(settings: Settings) -> tuple[bytes, LedgerList] | None:
    """Read and verify the signed list of ledgers in the settings, if any.

    Returns:
        The signed note, and what it says.

    Raises:
        MissingError: The file is not there, or the settings name no key for it.
        MalformedError: It is no such list, or the key is no key.
        UnprovenError: `note_signature`: that key has not signed it.
    """
    if settings.ledgers is None:
        return None
    if not settings.ledgers_key:
        raise MissingError("CUSTODY_LEDGERS needs CUSTODY_LEDGERS_KEY, the verifier key of that list.")
    try:
        with settings.ledgers.open("rb") as file:
            data = file.read(MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise MissingError(f"The list of ledgers cannot be read: {error}.", code="ledger_list") from None
    return data, open_list(data, VerifierKey.parse(settings.ledgers_key))


class ShardClock:
    """Takes the checkpoints of other ledgers into one ledger."""

    def __init__(self, settings: Settings, clock: Clock, db: Database, recorder: Recorder, intake: Intake) -> None:
        """Prepare; `start` begins.

        Args:
            settings: The list, its key, and how often.
            clock: The machine's time.
            db: The ledger's database.
            recorder: Records, on the writer's thread.
            intake: The way to that thread.

        Raises:
            MissingError: As `list_of`, and so the others; or there is no list at all.
        """
        self._settings, self._clock, self._db = settings, clock, db
        self._recorder, self._intake = recorder, intake
        self._listed()
        self._trouble: dict[str, str] = {}
        every = settings.shard_seconds
        self._thread = Recurring("shards", self._turn, first_seconds=every, again_seconds=every)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the round that it is in."""
        self._thread.stop()

    def round(self) -> list[Looked]:
        """Ask every other ledger once, and take what grew.

        The list is read anew each time: a province may be added, or go on under a successor, without a restart.
        """
        ledgers = [listed for listed in self._listed().ledgers if listed.origin != self._recorder.origin]
        with self._db.write() as session:  # a replica may lag: growth is held to what was taken last, not before that
            last = taken(session, self._recorder.ledger_id, [listed.origin for listed in ledgers])
        looked = look(ledgers, last)
        told = {one.origin for one in looked if one.state in FORKS and self._raise_alarm(one)}
        # Two roots for one size are judged on the ledger, too: its refusal and discrepancy are evidence for all.
        due = [one for one in looked if one.state == "fresh" or (one.state == "twin" and one.origin in told)]
        self._take([one.seen for one in due if one.seen is not None])
        self._tell(looked)
        return looked

    def _listed(self) -> LedgerList:
        found = list_of(self._settings)
        if found is None:
            raise MissingError("CUSTODY_SHARD_SECONDS needs CUSTODY_LEDGERS, the signed list of ledgers.")
        return found[1]

    def _take(self, seen: Sequence[Seen]) -> None:
        if not seen:
            return
        now_ms = self._clock.now_ms()
        codes = self._intake.call(lambda: take_checkpoints(self._recorder, seen, now_ms)).result(WAIT_SECONDS)
        refused = {origin: code for origin, code in codes.items() if code}
        log.info("checkpoints_taken", ledgers=len(codes) - len(refused))
        if refused:
            log.error("checkpoints_refused", ledgers=refused)

    def _raise_alarm(self, one: Looked) -> bool:
        """Raise an alarm about another ledger's fork; False when this very checkpoint raised one before."""
        note = one.seen.note if one.seen else b""
        with self._db.write() as session:
            is_new = freezing.raise_once(
                session, self._recorder.ledger_id, self._clock.now_ms(), kind=ALARM, source=one.origin,
                detail=one.detail, body=note,
            )  # fmt: skip
        if is_new:
            log.critical("shard_forked", ledger=one.origin, detail=one.detail)
        return is_new

    def _tell(self, looked: Sequence[Looked]) -> None:
        """Say whom this round could not take, when that is another list than before."""
        trouble = {one.origin: one.detail for one in looked if one.state not in {"fresh", "same"}}
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("ledgers_not_taken", ledgers=trouble)

    def _turn(self) -> float:
        """Do a round; one that the ledger has no time for comes again."""
        try:
            with self._db.turn("shards", self._recorder.ledger_id) as is_ours:
                if is_ours:
                    self.round()
        except BusyError:
            log.info("shard_round_postponed")
        return self._settings.shard_seconds
