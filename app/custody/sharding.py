"""Take other ledgers' checkpoints in: `shard.checkpoint` leaves of the service (ledger reference section 12).

How a small national ledger binds all the others: one root to publish, print and stamp. What is taken has been fetched
and found consistent by the caller (`app.exchange.shards`); the rules judge it again under the lock, so one that
contradicts the last one taken is recorded as refused, with both trees in evidence. What a crash leaves behind: the
leaves of a whole call, or none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.canon import JsonValue, b64url_encode
from app.custody import _store
from app.custody.record import Recorder
from app.custody.state import Shard
from app.db import Session
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import VerifierKey


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint of another ledger: opened with that key, and the note that bears that key's signature alone."""

    key: VerifierKey
    checkpoint: Checkpoint
    note: bytes

    def details(self) -> dict[str, JsonValue]:
        """Return what the leaf says."""
        told = self.checkpoint
        return {
            "origin": told.origin, "size": told.size, "root": b64url_encode(told.root), "key": self.key.to_text(),
            "note": self.note.decode(),
        }  # fmt: skip


def taken(session: Session, ledger_id: int, origins: Sequence[str]) -> Mapping[str, Shard]:
    """Return the newest checkpoint that was taken of each of these ledgers, by origin."""
    return {shard.origin: shard for shard in _store.SHARDS.fetch(session, ledger_id, origins)} if origins else {}


def take_checkpoints(recorder: Recorder, seen: Sequence[Seen], now_ms: int) -> dict[str, str]:
    """Record checkpoints in one transaction.

    Args:
        recorder: The writer; call this on its thread.
        seen: One of each ledger at most.
        now_ms: UTC milliseconds.

    Returns:
        By origin: empty where it was accepted, else the code of the refusal. Nothing on a closed ledger.

    Raises:
        BusyError: The ledger could not be locked, or is frozen.
    """
    codes: dict[str, str] = {}
    with recorder.writing(also={Shard: [one.checkpoint.origin for one in seen]}) as writing:
        meta = writing.walk.facts.meta
        if meta is None or meta.closed_index is not None:
            return {}
        for one in seen:
            moment = writing.walk.moment(now_ms)
            said = recorder.say(writing.walk, writing.group, "shard.checkpoint", one.details(), moment)
            codes[one.checkpoint.origin] = said.code
    return codes
