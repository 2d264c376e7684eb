"""The fence: a writer signs only on the database that everybody's newest checkpoint is in (ADR 21).

The lock on the head row orders the writers of a ledger, on however many hosts. It says nothing of a database that is
another one than before: a standby that was promoted before it had received everything, a restored backup, an old
primary that came back. A writer that went on there would sign a second history. So, under the lock, before anything
is read, each writer passes the fence:

- The head carries an `epoch`: in which life of which server (`app.postgres.standing`) the ledger is written. A session
  that is elsewhere is refused. Where every commit is confirmed by a standby (`CUSTODY_SYNCHRONOUS_STANDBY`) a promoted
  server holds all that was shown, and the first writer to come moves the epoch on; otherwise a person decides
  (`custody ledger take-over`), since no host knows what the others have shown.
- In each life the writer finds its own high-water mark in the tree again, and asks the witnesses: these before it takes
  the lock, since they may be slow and everybody else waits for it.
- When the head is not as this writer left it, the checkpoint of its mark must be among those of this database.

What a crash leaves behind: the epoch is moved in the transaction that it protects, or not at all.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import structlog

from app.db import Database, WriteSession
from app.errors import BusyError, TamperError
from app.ledger import _store
from app.ledger.append import Head, Reader, read_head
from app.ledger.highwater import HighWater
from app.postgres import same_cluster, standing

log = structlog.get_logger(__name__)

NO_EPOCH = 0
"""Of a ledger that was never written on PostgreSQL, and of every ledger on SQLite."""
LIVES_IN_A_ROW = 5
_DECIDE = (
    "The database was promoted, restored or moved since this ledger was written last, and no standby is asked to "
    "confirm commits: nobody knows whether everything that was shown is in it. Nothing was signed. Compare the "
    "high-water marks of all hosts and the witnesses with it, then `custody ledger take-over`; see docs/postgresql.md."
)
_OLD_SERVER = (
    "This is an old primary: the ledger is written on another server by now. Nothing was signed. Stop the old one; "
    "see docs/postgresql.md."
)


class Fence:
    """What one writer knows of where its ledger is written."""

    def __init__(self, mark: HighWater, *, replicated: bool) -> None:
        """Take the writer's mark; nothing is checked yet.

        Args:
            mark: The largest tree that this host has shown.
            replicated: A standby confirms every commit before it is shown, on every host.
        """
        self._mark, self._replicated = mark, replicated
        self._epoch: int | None = None
        self._asked: int | None = None
        self._left: tuple[int, bytes] | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Told when the database is another one than before: what was remembered of it may not be so."""
        self.also: Callable[[], None] = lambda: None
        """Asked once in each life of the database: compares it with the witnesses, or raises."""

    @contextmanager
    def admitted(self, db: Database, named: str | int) -> Iterator[tuple[WriteSession, Head]]:
        """Open the write transaction and give it with the ledger's head, locked and admitted.

        Args:
            db: Where to write.
            named: Name or number of the ledger.

        Raises:
            BusyError: The database could not be locked, or the witnesses could not be asked; nothing was written.
            TamperError: As `admit`; or a witness has seen more than this database, or another history.
        """
        for _ in range(LIVES_IN_A_ROW):
            with db.write() as session:
                head, here = read_head(session, named, lock=True), standing(session)
                if here in {self._epoch, self._asked}:
                    yield session, self.admit(session, head)
                    return
            self.also()
            self._asked = here
        raise BusyError("The database changes its server again and again; try again.", code="storage")

    def admit(self, session: WriteSession, head: Head) -> Head:
        """Return the head to append to, in the epoch in force, or refuse.

        Args:
            session: The write transaction.
            head: As read in it, locked.

        Raises:
            TamperError: This database is another one, older, or of another history than what was shown; the writer
                must stop, and the text says what to do.
        """
        here = standing(session)
        if here == self._epoch == head.epoch:
            if (head.size, head.root) != self._left:
                find_mark(session, head, self._mark)
                self._left = head.size, head.root
            return head
        return self._enter(session, head, here)

    @property
    def epoch(self) -> int | None:
        """The life of the database that this writer has entered; None before the first."""
        return self._epoch

    def left(self, head: Head) -> None:
        """Remember the head as this writer left it, after the commit."""
        self._left = head.size, head.root

    def _enter(self, session: WriteSession, head: Head, here: int) -> Head:
        """Check everything once for a life of the database, and move the epoch on when nobody has done so yet."""
        known = max((e for e in (self._epoch, head.epoch) if e and same_cluster(e, here)), default=here)
        if here < known:
            raise TamperError(_OLD_SERVER)
        if head.epoch not in {NO_EPOCH, here} and not (self._replicated and same_cluster(head.epoch, here)):
            raise TamperError(_DECIDE)
        find_mark(session, head, self._mark)
        if self._epoch is not None or head.epoch not in {NO_EPOCH, here}:
            self.on_change()
            log.warning("database_changed", epoch=here, before=head.epoch, size=head.size)
        self._epoch, self._left = here, (head.size, head.root)
        return take(session, head)


def find_mark(session: WriteSession, head: Head, mark: HighWater) -> None:
    """Refuse a tree that a mark is not in; read anew, since what is remembered may be of another database.

    Raises:
        TamperError: The database is older than what was shown, or another history.
    """
    known = mark.known
    size = known[0]
    rows = _store.checkpoint_rows(session, head.ledger_id, [size]) if 0 < size <= head.size else []
    root = rows[0][1] if rows else None
    if root is None and 0 < size <= head.size:
        root = Reader(head.ledger_id).nodes(session).root(size)
    mark.refuse_rollback(head.size, root, known)


def take(session: WriteSession, head: Head) -> Head:
    """Say that the ledger is written here from now on; part of the caller's transaction.

    Args:
        session: The write transaction.
        head: As read in it, locked.
    """
    here = standing(session)
    if head.epoch == here:
        return head
    _store.set_epoch(session, head.ledger_id, here)
    return replace(head, epoch=here)
