"""End a ledger: the last commitment, the last leaf, the final checkpoint (ledger reference section 12)."""

from app.canon import JsonValue
from app.custody.committing import commit_heads
from app.custody.record import Recorder
from app.errors import RefusedError


def close_ledger(recorder: Recorder, reason: str, now_ms: int) -> bytes:
    """Commit to every unit's latest event, close the ledger, and return its final checkpoint.

    A frozen ledger may be closed: that is how one that was forked ends. It is not committed to any more then.

    Args:
        recorder: The only writer; no service runs beside it.
        reason: A code that goes on the ledger.
        now_ms: UTC milliseconds.

    Raises:
        RefusedError: `ledger_closed`: it is closed already.
    """
    with recorder.db.read() as session:
        frozen = recorder.head(session).frozen is not None
    while not frozen and commit_heads(recorder, now_ms):
        pass
    with recorder.writing(even_frozen=True) as writing:
        meta = writing.walk.facts.meta
        if meta is not None and meta.closed_index is not None:
            raise RefusedError("This ledger is closed already.", code="ledger_closed")
        details: dict[str, JsonValue] = {"reason": reason}
        recorder.say(writing.walk, writing.group, "ledger.close", details, writing.walk.moment(now_ms))
    return recorder.published[1]
