"""Reading connections that stay open between requests, for questions that are answered without a thread (SQLite).

Taking a connection from the pool and giving it back costs as much as reading a short history. These are taken once,
each begins and ends its snapshot by a plain statement, and like every reader's they cannot write. One that failed is
closed, not used again; all are closed with the engine. They stand outside the pool, so that nobody who waits for that
holds up the event loop, and are so few that they leave file descriptors to everybody else.
"""

import resource
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from app.db import Database, ReadSession
from app.errors import BusyError

MOST_KEPT = 2
MOST_OPEN = 8
"""At once, those that are given out included; whoever comes then goes the ordinary way, where readers queue."""
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
        self._db = db
        self._free: list[ReadSession] = []
        self._given = 0
        self._inline_from = 0.0
        event.listen(db.read_engine, "engine_disposed", self._close)

    @property
    def may_wait(self) -> bool:
        """Say whether a short read may be done where it holds up everybody: not while reads are slow."""
        return time.monotonic() >= self._inline_from

    @property
    def has_room(self) -> bool:
        """Say whether one more may be taken."""
        return self._given < MOST_OPEN

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Watch a read that holds up everybody; after a slow one, threads read for a second.

        A slow one counts when the disk was read meanwhile, or when the read itself had that much to do; a machine
        that is busy otherwise is not helped by threads, which only take more turns.
        """
        began, worked, blocks = time.perf_counter(), time.thread_time(), _blocks_read()
        try:
            yield
        finally:
            if time.perf_counter() - began > SLOW_SECONDS and (
                _blocks_read() > blocks or time.thread_time() - worked > SLOW_SECONDS / 2
            ):
                self._inline_from = time.monotonic() + REST_SECONDS

    def take(self) -> ReadSession:
        """Give a session over one snapshot that cannot write; `give` it back, whatever happens.

        Raises:
            BusyError: The database is locked by another process.
        """
        session = self._free.pop() if self._free else self._open()
        _driver(session).execute("BEGIN")  # takes no lock yet
        self._given += 1
        return session

    def give(self, session: ReadSession, *, sound: bool = True) -> None:
        """End a session's snapshot, and keep its connection if it is sound and not one too many."""
        self._given -= 1
        if sound and len(self._free) < MOST_KEPT:
            _driver(session).execute("ROLLBACK")
            self._free.append(session)
        else:
            session.close()

    def _open(self) -> ReadSession:
        session = self._db.open_apart()
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
