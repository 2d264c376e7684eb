"""One database, two engines, one way to write: SQLite or PostgreSQL from one URL.

What this module promises to every room (design sections 2 and 7; reference codebase.md section 8):

- `Database.write()` opens the one write transaction and commits when its block ends without an error; a
  function that is given a session never commits. An error leaves nothing behind.
- `Database.read()` gives a session that the database itself refuses to write through (`query_only` on
  SQLite, `default_transaction_read_only` on PostgreSQL). Everything read in one block is one snapshot.
- SQLite runs WAL, synchronous=FULL, foreign keys, one write connection, `BEGIN IMMEDIATE`; there is no
  setting to lower that. PostgreSQL must have `synchronous_commit`, `fsync` and `full_page_writes` on.
- Text columns sort by code point on both databases.
- On PostgreSQL a server that went away, a standby in the place of the primary, and a commit that no standby has
  confirmed are told apart from everything else (`app.postgres`, ADR 21). Readers may have a replica of their own;
  whoever must see the newest uses `read_newest`.

Pool exhaustion, "database is locked" and a database that cannot be reached become `BusyError` here and nowhere else.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from typing import Any, NewType, cast

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    create_engine,
    event,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeDecorator

from app.errors import BusyError
from app.postgres import (
    POOL_SIZE,
    POOL_WAIT_SECONDS,
    forget_warnings,
    is_replica,
    reading_engine,
    standbys,
    standing,
    why_unreachable,
    writing_engine,
)

ReadSession = NewType("ReadSession", Connection)
WriteSession = NewType("WriteSession", Connection)
Session = ReadSession | WriteSession

BUSY_TIMEOUT_MS = 5000
WAL_AUTOCHECKPOINT_PAGES = 40_000
"""160 MiB of log: a bound for when nobody calls `tidy`, since a commit that moves it waits for all of it."""
UNREACHABLE_RETRY_SECONDS = 2
REPLICA_TRIES = 10
REPLICA_PAUSE_SECONDS = 0.02
REPLICA_REST_SECONDS = 5
_REMEMBERED_CHARACTERS = 200

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Str = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by code point on both databases."""
Int = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit integer; times are UTC milliseconds."""
Flag = Integer().with_variant(Boolean(), "postgresql")
"""True or false; SQLite's STRICT tables know integers only."""
Blob = LargeBinary()
"""Bytes as received."""


class JsonText(TypeDecorator[object]):
    """JSON kept as compact text with sorted names, read back as tuples and dicts."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: object) -> str | None:
        """Write a value as compact JSON."""
        del dialect
        return None if value is None else encode_json(value)

    def process_result_value(self, value: object, dialect: object) -> object:
        """Read a value back; arrays become tuples."""
        del dialect
        return None if value is None else decode_json(cast("str", value))


def encode_json(value: object) -> str:
    """Write a JSON value compactly with sorted names."""
    if value == ():  # most lists of most records are empty
        return "[]"
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def decode_json(text: str) -> object:
    """Read JSON that `encode_json` wrote; arrays become tuples, at every depth.

    Raises:
        ValueError: The text is not JSON: somebody else wrote it.
    """
    if text == "{}":
        return {}
    if text.startswith("[") and "{" not in text and len(text) <= _REMEMBERED_CHARACTERS:
        return _array(text)
    return _frozen(orjson.loads(text))


@lru_cache(maxsize=4096)
def _array(text: str) -> object:
    """Read an array of scalars and arrays: immutable, and most rows hold one of few, so it is remembered."""
    return _frozen(orjson.loads(text))


def _frozen(value: object) -> object:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return value


class Database:
    """The write engine and the read engine over one database."""

    def __init__(self, url: str, read_url: str | None = None, *, replicated: bool = False) -> None:
        """Open both engines; nothing is created or migrated here.

        Args:
            url: SQLAlchemy URL of SQLite or PostgreSQL (`postgresql+psycopg://`).
            read_url: Where readers connect; the same database when absent.
            replicated: Write only where every commit waits for a standby (PostgreSQL).
        """
        self.url = normal_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._write_lock = threading.Lock()
        self._replicated = replicated and not self.is_sqlite
        self.write_engine = _write_engine(self.url, replicated=replicated)
        self.read_engine = _read_engine(normal_url(read_url) if read_url else self.url)
        has_replica = not self.is_sqlite and bool(read_url) and normal_url(read_url or "") != self.url
        self._newest_engine = _read_engine(self.url) if has_replica else self.read_engine
        self.apart_engine = _read_engine(self.url, pooled=False) if self.is_sqlite else None
        self.is_behind: Callable[[ReadSession], bool] = lambda _: False
        """Asked of a session on a replica: True when it lacks what this process has shown already."""
        self._replica_again_at = 0.0

    @contextmanager
    def write(self) -> Iterator[WriteSession]:
        """Give the write session; commit at the end of the block, roll back on any error.

        A crash before the commit returns leaves nothing; after it, everything. A failed commit is raised,
        never retried: the caller does not know, and the client repeats the event under the same id.
        """
        with self._serialised(), _busy_as_error(writing=True), self.write_engine.connect() as connection:
            with connection.begin():
                if self._replicated and not standbys(connection):  # emptied since this connection was made
                    raise BusyError(
                        "No standby is asked to confirm commits; try again.", code="storage",
                        retry_after_seconds=UNREACHABLE_RETRY_SECONDS,
                    )  # fmt: skip
                yield WriteSession(connection)
                forget_warnings(connection)
            if forget_warnings(connection):
                raise BusyError(
                    "No standby has confirmed the commit; send it again.", code="storage",
                    retry_after_seconds=UNREACHABLE_RETRY_SECONDS,
                )  # fmt: skip

    @contextmanager
    def read(self) -> Iterator[ReadSession]:
        """Give a session over one snapshot that cannot write: of the replica where there is one that keeps up.

        A replica that lacks what this process has shown is waited for a fifth of a second, then left aside; so is
        one that cannot be reached.
        """
        with _busy_as_error():
            if self._newest_engine is not self.read_engine:
                connection = self._abreast()
                if connection is not None:
                    with connection:
                        yield ReadSession(connection)
                    return
            with self._newest_engine.connect() as connection, connection.begin():
                yield ReadSession(connection)

    @contextmanager
    def read_newest(self) -> Iterator[ReadSession]:
        """Give a session over one snapshot that cannot write, of the database that is written: never of a replica.

        Raises:
            BusyError: `storage`: what can be reached is a standby, or was one when it was connected to.
        """
        with _busy_as_error(), self._newest_engine.connect() as connection:
            if not self.is_sqlite and is_replica(connection):
                connection.invalidate()
                raise BusyError(
                    "Only a standby can be reached; try again.", code="storage",
                    retry_after_seconds=UNREACHABLE_RETRY_SECONDS,
                )  # fmt: skip
            with connection.begin():
                yield ReadSession(connection)

    def open_apart(self) -> ReadSession:
        """Open a reading connection of its own, outside the pool, so that nobody is waited for (SQLite).

        The caller closes it. It cannot write, and no snapshot is taken yet.

        Raises:
            BusyError: The database is locked by another process.
        """
        assert self.apart_engine is not None  # noqa: S101 - on SQLite alone
        with _busy_as_error():
            return ReadSession(self.apart_engine.connect())

    def _abreast(self) -> Connection | None:
        """Return a connection to the replica, in a snapshot that is not behind; None when there is none to be had."""
        if time.monotonic() < self._replica_again_at:
            return None
        try:
            connection = self.read_engine.connect()
        except OperationalError:
            self._replica_again_at = time.monotonic() + REPLICA_REST_SECONDS
            return None
        try:
            for _ in range(REPLICA_TRIES):
                connection.begin()
                if not is_replica(connection) or not self.is_behind(ReadSession(connection)):
                    return connection
                connection.rollback()
                time.sleep(REPLICA_PAUSE_SECONDS)
        except BaseException:
            connection.close()
            raise
        connection.close()
        return None

    @contextmanager
    def turn(self, work: str, ledger_id: int) -> Iterator[bool]:
        """Say whether this process may do work that several hosts have on their clocks; nobody else may meanwhile.

        Saves work and money, and carries no correctness: what two would do is harmless, or refused elsewhere.
        """
        if self.is_sqlite:
            yield True
            return
        key = int.from_bytes(sha256(f"{work}/{ledger_id}".encode()).digest()[:8], "big", signed=True)
        with _busy_as_error(), self.write_engine.connect() as plain:
            connection = plain.execution_options(isolation_level="AUTOCOMMIT")
            mine = bool(connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s)", (key,)).scalar())
            try:
                yield mine
            finally:
                if mine:
                    connection.exec_driver_sql("SELECT pg_advisory_unlock(%s)", (key,))

    def reach(self) -> int:
        """Return on which server, in which of its lives, the database is written now (`app.postgres.standing`).

        Raises:
            BusyError: `storage`: it cannot, it is a standby, or no standby is asked to confirm its commits.
        """
        if self.is_sqlite:
            return 0
        with _busy_as_error(writing=True), self.write_engine.connect() as connection:
            return standing(connection)

    @contextmanager
    def _serialised(self) -> Iterator[None]:
        """On SQLite let one writer at a time wait here, in order, and not inside SQLite's busy handler."""
        if not self.is_sqlite:
            yield
            return
        if not self._write_lock.acquire(timeout=BUSY_TIMEOUT_MS / 1000):
            raise BusyError("The database is busy writing; try again.")
        try:
            yield
        finally:
            self._write_lock.release()

    def check_durability(self) -> None:
        """Refuse to run on a database that may lose a commit it has confirmed.

        Raises:
            RuntimeError: Synchronous commits are off, or only local where a standby was asked for; the database cannot
                be reached, is a standby, or asks no standby to confirm. The text says which setting to change.
        """
        with _refused_in_words(), self.write_engine.connect() as connection:
            if self.is_sqlite:
                if connection.exec_driver_sql("PRAGMA synchronous").scalar() != 2:
                    raise RuntimeError("SQLite must run with synchronous=FULL.")
                return
            for name in ("fsync", "full_page_writes"):
                if connection.exec_driver_sql(f"SHOW {name}").scalar() != "on":
                    raise RuntimeError(f"PostgreSQL must run with {name}=on.")
            level = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
            if level in {"off", "local"}:
                raise RuntimeError("PostgreSQL must run with synchronous_commit=on.")
            if self._replicated and level not in {"on", "remote_apply"}:
                raise RuntimeError("CUSTODY_SYNCHRONOUS_STANDBY needs synchronous_commit=on or remote_apply.")

    def tidy(self) -> int:
        """Move what SQLite's log holds into the database file, beside writers and readers; does nothing on PostgreSQL.

        Commits would do it by themselves when the log is long, and wait for it under the ledger's lock.

        Returns:
            How many pages of the log are not moved yet, since somebody still reads what was before them.
        """
        if not self.is_sqlite:
            return 0
        connection = self.read_engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            [(_, pages, moved)] = cursor.fetchall()
        finally:
            connection.close()
        return int(pages - moved)

    def close(self) -> None:
        """Give every connection back to the system."""
        self.write_engine.dispose()
        self.read_engine.dispose()
        self._newest_engine.dispose()
        if self.apart_engine is not None:
            self.apart_engine.dispose()


def normal_url(url: str | URL) -> URL:
    """Return the URL with the driver that we ship: psycopg for PostgreSQL."""
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _write_engine(url: URL, *, replicated: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        return writing_engine(url, replicated=replicated)
    engine = create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "cached_statements": 256},
    )
    _sqlite_settings(engine, "IMMEDIATE", ("cache_size=-65536",))
    return engine


def _read_engine(url: URL, *, pooled: bool = True) -> Engine:
    if url.get_backend_name() != "sqlite":
        return reading_engine(url)
    sized = {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": POOL_WAIT_SECONDS}
    engine = create_engine(
        url,
        **(sized if pooled else {"poolclass": NullPool}),
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "cached_statements": 256},
    )
    # Small caches: there are several readers, and what they read stands in the system's cache. No memory mapping:
    # each reader would map the file for itself, and a disk that fails would end the process by a signal.
    _sqlite_settings(engine, "DEFERRED", ("query_only=ON", "cache_size=-8192"))
    return engine


def _sqlite_settings(engine: Engine, begin: str, extra: Sequence[str]) -> None:
    pragmas = (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        "trusted_schema=OFF",
        "cell_size_check=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"wal_autocheckpoint={WAL_AUTOCHECKPOINT_PAGES}",
        *extra,
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves; the driver's own is deferred
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")


@contextmanager
def _refused_in_words() -> Iterator[None]:
    """At the start, say to the operator in which way the database cannot be written."""
    try:
        yield
    except OperationalError as error:
        raise RuntimeError(f"The database cannot be written: {str(error.orig).strip()}") from None


@contextmanager
def _busy_as_error(*, writing: bool = False) -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError:
        raise BusyError("Every database connection is in use; try again.") from None
    except DBAPIError as error:
        if isinstance(error, OperationalError) and ("locked" in str(error.orig) or "lock timeout" in str(error.orig)):
            raise BusyError("The database is locked by another process; try again.") from None
        again = why_unreachable(error, writing=writing)
        if again:
            raise BusyError(again, code="storage", retry_after_seconds=UNREACHABLE_RETRY_SECONDS) from error
        raise
