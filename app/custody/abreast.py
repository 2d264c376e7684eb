"""Keep abreast of writers on other hosts: show the checkpoint that one of them signed last (ADR 21).

Several hosts may write one ledger on PostgreSQL, in turns that the head's lock gives. A host that has nothing to write
would go on to show its own last checkpoint, and its high-water mark would stay behind. So every second each host looks,
and takes what is new into its mark before it shows it, as if it had written it.
"""

from app.custody.record import Recorder
from app.errors import TamperError
from app.ledger.append import read_head


def is_abreast(recorder: Recorder) -> bool:
    """Say whether the database is the one that was written last, and its tree the one whose checkpoint is shown.

    A tree without a checkpoint is no tree that is shown: `come_abreast` then says what is wrong, on the thread that it
    stops.
    """
    if recorder.db.reach() != recorder.fence.epoch:
        return False
    with recorder.db.read_newest() as session:
        head, last = read_head(session, recorder.ledger_id), recorder.reader.last_checkpoint(session)
    return head.size == (last[0] if last is not None else 0) == recorder.published[0]


def come_abreast(recorder: Recorder) -> int:
    """Show the newest checkpoint of the ledger; call this on the recorder's thread.

    It is read under the lock, in a transaction that ends as a group's does: where a standby confirms every commit, it
    has then confirmed that checkpoint, too.

    Returns:
        The size that is shown now; 0 of a ledger that has no leaf yet.

    Raises:
        BusyError: The database could not be locked, or cannot be reached.
        TamperError: It is another database than the one that was written, see `app.ledger.fencing`; or no signed
            checkpoint stands over its newest leaves, which no commit of ours leaves behind.
    """
    with recorder.fence.admitted(recorder.db, recorder.ledger_id) as (session, head):
        last = recorder.reader.last_checkpoint(session)
    if head.size != (last[0] if last is not None else 0):
        raise TamperError("The newest tree has no signed checkpoint.")
    if last is not None and head.size > recorder.published[0]:
        recorder.show(head, last[1])
    return head.size


def enter(recorder: Recorder) -> None:
    """Pass the fence once before anything is written, so that a database that must not be written refuses the start.

    Raises:
        BusyError: The database could not be locked, or cannot be reached.
        TamperError: See `app.ledger.fencing`.
    """
    with recorder.fence.admitted(recorder.db, recorder.ledger_id):
        pass
