"""Reading connections that stay open between requests, for questions that are answered without a thread (SQLite).

Taking a connection from the pool and giving it back costs as much as reading a short history. These are taken once,
each begins and ends its snapshot by a plain statement, and like every reader's they cannot write. One that failed is
closed, not used again; all are closed with the engine.
"""

import resource
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError

from app.db import Database, ReadSession
from app.errors import BusyError

MOST_KEPT = 2
CACHE_KIB = 32 * 1024
"""Four times that of other readers: a page that is not read again is what a short history saves most by."""
SLOW_SECONDS = 0.05
REST_SECONDS = 1.0


class Kept:
    """The connections of one process to one SQLite database; for one event loop and the threads that it starts."""

    def __init__(self, db: Database) -> None:
        """Open nothing yet.

        Args:
            db: A SQLite database.
        """
        self._engine = db.read_engine
        self._free: list[ReadSession] = []
        self._inline_from = 0.0
        self._blocks = _blocks_read()
        event.listen(self._engine, "engine_disposed", self._close)

    @property
    def may_wait(self) -> bool:
        """Say whether a short read may be done where it holds up everybody: not while the disk is slow."""
        return time.monotonic() >= self._inline_from

    def took(self, seconds: float) -> None:
        """Note how long a short read has held up everybody; after a slow one, threads read for a second.

        A slow one is the disk's doing only if something was read from it; a machine that is busy otherwise is not
        helped by threads, which only take more turns.
        """
        if seconds <= SLOW_SECONDS:
            return
        known, self._blocks = self._blocks, _blocks_read()
        if self._blocks > known:
            self._inline_from = time.monotonic() + REST_SECONDS

    def take(self) -> ReadSession:
        """Give a session over one snapshot that cannot write; `give` it back, whatever happens.

        Raises:
            BusyError: The database is locked by another process.
        """
        session = self._free.pop() if self._free else self._open()
        _driver(session).execute("BEGIN")  # takes no lock yet
        return session

    def give(self, session: ReadSession, *, sound: bool = True) -> None:
        """End a session's snapshot, and keep its connection if it is sound and not one too many."""
        if sound and len(self._free) < MOST_KEPT:
            _driver(session).execute("ROLLBACK")
            self._free.append(session)
        else:
            session.close()

    def _open(self) -> ReadSession:
        try:
            session = ReadSession(self._engine.connect())
        except OperationalError as error:
            raise busy(error) from None
        session.detach()
        _driver(session).execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        # SQLAlchemy takes the session to be in a transaction from here on, and so never begins one inside ours.
        session.begin()
        _driver(session).execute("ROLLBACK")
        return session

    def _close(self, *_: object) -> None:
        while self._free:
            with suppress(DBAPIError):
                self._free.pop().close()


def stream(session: ReadSession, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
    """Run one plain statement whose rows are fetched as they are wanted, beside `app.rows.run`, which fetches them all.

    Whoever listens to SQLAlchemy's `before_cursor_execute` hears of it as well.

    Raises:
        sqlite3.Error: Here, or where rows are fetched.
    """
    for listener in session.dispatch.before_cursor_execute:
        listener(session, None, sql, values, None, False)
    return cast("sqlite3.Cursor", _driver(session).execute(sql, values))


def busy(error: DBAPIError | sqlite3.Error) -> Exception:
    """Return what an error of a read is raised as: one that passes is no failure of ours."""
    said = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(said, sqlite3.OperationalError) and "locked" in str(said):
        return BusyError("The database is locked by another process; try again.")
    return error


def _blocks_read() -> int:
    """Return how often this process has waited for a disk to read, as the system counts it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock


def _driver(session: ReadSession) -> Any:
    return session.connection.dbapi_connection
