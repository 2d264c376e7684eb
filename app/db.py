"""One database, two engines, one way to write: SQLite or PostgreSQL from one URL.

What this module promises to every room (design sections 2 and 7; reference codebase.md section 8):

- `Database.write()` opens the one write transaction and commits when its block ends without an error; a
  function that is given a session never commits. An error leaves nothing behind.
- `Database.read()` gives a session that the database itself refuses to write through (`query_only` on
  SQLite, `default_transaction_read_only` on PostgreSQL). Everything read in one block is one snapshot.
- SQLite runs WAL, synchronous=FULL, foreign keys, one write connection, `BEGIN IMMEDIATE`; there is no
  setting to lower that. PostgreSQL must have `synchronous_commit`, `fsync` and `full_page_writes` on.
- `RecordTable` moves frozen dataclasses in and out of a table in bulk: a fixed number of statements for any
  number of records.
- Text columns sort by code point on both databases.

Pool exhaustion and "database is locked" become `BusyError` here and nowhere else.
"""

import dataclasses
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, NewType, TypeVar, cast

import orjson
import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    CursorResult,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy import text as sql_text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.types import TypeDecorator

from app.errors import BusyError

ReadSession = NewType("ReadSession", Connection)
WriteSession = NewType("WriteSession", Connection)
Session = ReadSession | WriteSession

BUSY_TIMEOUT_MS = 5000
WAL_AUTOCHECKPOINT_PAGES = 40_000
"""160 MiB of log: a bound for when nobody calls `tidy`, since a commit that moves it waits for all of it."""
POOL_SIZE = 10
POOL_WAIT_SECONDS = 3
KEYS_PER_STATEMENT = 10_000
COPY_ROWS = 32
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

    def __init__(self, url: str, read_url: str | None = None) -> None:
        """Open both engines; nothing is created or migrated here.

        Args:
            url: SQLAlchemy URL of SQLite or PostgreSQL (`postgresql+psycopg://`).
            read_url: Where readers connect; the same database when absent.
        """
        self.url = normal_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._write_lock = threading.Lock()
        self.write_engine = _write_engine(self.url)
        self.read_engine = _read_engine(normal_url(read_url) if read_url else self.url)

    @contextmanager
    def write(self) -> Iterator[WriteSession]:
        """Give the write session; commit at the end of the block, roll back on any error.

        A crash before the commit returns leaves nothing; after it, everything. A failed commit is raised,
        never retried: the caller does not know, and the client repeats the event under the same id.
        """
        with self._serialised(), _busy_as_error(), self.write_engine.connect() as connection, connection.begin():
            yield WriteSession(connection)

    @contextmanager
    def read(self) -> Iterator[ReadSession]:
        """Give a session over one snapshot that cannot write."""
        with _busy_as_error(), self.read_engine.connect() as connection, connection.begin():
            yield ReadSession(connection)

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
            RuntimeError: Synchronous commits are off; the text says which setting to change.
        """
        with self.write_engine.connect() as connection:
            if self.is_sqlite:
                if connection.exec_driver_sql("PRAGMA synchronous").scalar() != 2:
                    raise RuntimeError("SQLite must run with synchronous=FULL.")
                return
            for name in ("fsync", "full_page_writes"):
                if connection.exec_driver_sql(f"SHOW {name}").scalar() != "on":
                    raise RuntimeError(f"PostgreSQL must run with {name}=on.")
            if connection.exec_driver_sql("SHOW synchronous_commit").scalar() in {"off", "local"}:
                raise RuntimeError("PostgreSQL must run with synchronous_commit=on.")

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


def normal_url(url: str | URL) -> URL:
    """Return the URL with the driver that we ship: psycopg for PostgreSQL."""
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _write_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return _postgres_engine(url, read_only=False)
    engine = create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000, "cached_statements": 256},
    )
    _sqlite_settings(engine, "IMMEDIATE", ("cache_size=-65536",))
    return engine


def _read_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return _postgres_engine(url, read_only=True)
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
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


def _postgres_engine(url: URL, *, read_only: bool) -> Engine:
    options = "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
    if read_only:
        options += " -c default_transaction_read_only=on"
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={"options": options, "connect_timeout": 5},
    )


@contextmanager
def _busy_as_error() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError:
        raise BusyError("Every database connection is in use; try again.") from None
    except OperationalError as error:
        if "locked" in str(error.orig) or "lock timeout" in str(error.orig):
            raise BusyError("The database is locked by another process; try again.") from None
        raise


R = TypeVar("R")


class RecordTable(Generic[R]):
    """Bulk reads and writes of one frozen dataclass kept in one table of the same column names.

    The first column is always `ledger_id`; the key columns follow. Values of record fields whose type is
    tuple or dict are kept as JSON text. Statements go to the driver through the session's own connection.
    """

    def __init__(self, table: Table, record: type[R], key: str) -> None:
        """Bind a dataclass to a table.

        Args:
            table: Has a column `ledger_id` and one column per field of the record.
            record: A dataclass; its fields name the columns.
            key: The single column that, under a ledger, names one record.
        """
        self.table = table
        self.record = record
        self.key = key
        self.names = [field.name for field in dataclasses.fields(cast("Any", record))]
        self._json = frozenset(n for n in self.names if isinstance(table.c[n].type, JsonText))
        self._select = ", ".join(self.names)
        self._values = attrgetter(*self.names)
        self._key_of = attrgetter(key)
        self._json_places = [1 + place for place, name in enumerate(self.names) if name in self._json]
        self._flag_places = [place for place, name in enumerate(self.names) if table.c[name].type is Flag]

    def fetch(
        self, session: Session, ledger_id: int, keys: Iterable[object], *, by: str | None = None, lock: bool = False
    ) -> list[R]:
        """Return the records whose key (or column `by`) is among the keys, in key order.

        Args:
            session: Reading or writing.
            ledger_id: The ledger they belong to.
            keys: Text or integers; may be many; none gives none without a statement.
            by: Another column to match instead of the key.
            lock: Take the rows FOR UPDATE (PostgreSQL; SQLite has one writer).
        """
        wanted = sorted(set(keys))  # type: ignore[type-var]
        found: list[R] = []
        for start in range(0, len(wanted), KEYS_PER_STATEMENT):
            part = wanted[start : start + KEYS_PER_STATEMENT]
            found.extend(self._rows(session, ledger_id, part, by or self.key, lock=lock))
        # Sorted here and not by the database, which would walk the key's index instead of the one on `by`.
        found.sort(key=self._key_of)
        return found

    def _rows(self, session: Session, ledger_id: int, part: list[object], column: str, *, lock: bool) -> list[R]:
        name = self.table.name
        if session.dialect.name == "sqlite":
            sql = (
                f"SELECT {self._select} FROM {name} WHERE ledger_id = ? AND {column} IN "
                "(SELECT value FROM json_each(?))"
            )
            rows = session.exec_driver_sql(sql, (ledger_id, encode_json(part)))
        else:
            tail = f" ORDER BY {self.key} FOR UPDATE" if lock else ""
            sql = f"SELECT {self._select} FROM {name} WHERE ledger_id = %s AND {column} = ANY(%s){tail}"
            rows = session.exec_driver_sql(sql, (ledger_id, part))
        return [self.build(row) for row in rows.all()]

    def everything(self, session: Session, ledger_id: int) -> Iterator[R]:
        """Yield every record of a ledger in key order."""
        mark = "?" if session.dialect.name == "sqlite" else "%s"
        sql = f"SELECT {self._select} FROM {self.table.name} WHERE ledger_id = {mark} ORDER BY {self.key}"
        for row in session.exec_driver_sql(sql, (ledger_id,)):
            yield self.build(row)

    def build(self, row: Sequence[object]) -> R:
        """Make a record of a row whose columns are the record's fields in order."""
        values = list(row)
        for place in self._json_places:
            if values[place - 1] is not None:
                values[place - 1] = decode_json(cast("str", values[place - 1]))
        for place in self._flag_places:
            values[place] = bool(values[place])
        return self.record(*values)

    def store(self, session: WriteSession, ledger_id: int, records: Iterable[R]) -> None:
        """Insert the records or replace those of the same key, in one statement."""
        self._put(session, ledger_id, records, replace=True)

    def insert(self, session: WriteSession, ledger_id: int, records: Iterable[R]) -> None:
        """Insert new records in one statement; a key that exists is an integrity error."""
        self._put(session, ledger_id, records, replace=False)

    def _put(self, session: WriteSession, ledger_id: int, records: Iterable[R], *, replace: bool) -> None:
        rows = [self._row(ledger_id, record) for record in records]
        if rows:
            session.exec_driver_sql(self._put_sql(session, replace=replace), rows)

    def _row(self, ledger_id: int, record: R) -> tuple[object, ...]:
        row = [ledger_id, *self._values(record)]
        for place in self._json_places:
            row[place] = encode_json(row[place])
        return tuple(row)

    def _put_sql(self, session: WriteSession, *, replace: bool) -> str:
        mark = "?" if session.dialect.name == "sqlite" else "%s"
        marks = ", ".join([mark] * (len(self.names) + 1))
        sql = f"INSERT INTO {self.table.name} (ledger_id, {self._select}) VALUES ({marks})"
        if replace:
            changed = ", ".join(f"{n} = excluded.{n}" for n in self.names if n != self.key)
            sql += f" ON CONFLICT (ledger_id, {self.key}) DO UPDATE SET {changed}"
        return sql


def bulk_insert(session: WriteSession, table: Table, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows in one statement of the driver; values must already be of the column's type."""
    if not rows:
        return
    if session.dialect.name != "sqlite" and len(rows) >= COPY_ROWS:
        _copy(session, table, columns, rows)
        return
    mark = "?" if session.dialect.name == "sqlite" else "%s"
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join([mark] * len(columns))})"
    session.exec_driver_sql(sql, [tuple(row) for row in rows])


def _copy(session: WriteSession, table: Table, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows by PostgreSQL's binary COPY: a third of the client's work, and one round trip."""
    sql = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    try:
        with session.connection.cursor().copy(sql) as copy:
            copy.set_types([table.c[name].type.compile(session.dialect).split()[0].lower() for name in columns])
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:  # as SQLAlchemy would have raised it, which the writer tells apart
        raise DBAPIError.instance(sql, (), error, psycopg.Error) from error


def run(session: Session, sql: str, *values: object) -> CursorResult[*tuple[Any, ...]]:
    """Run one plain statement, its values marked `?` on either database, without a compiler in between."""
    return session.exec_driver_sql(sql if session.dialect.name == "sqlite" else _percent_marks(sql), values)


@lru_cache(maxsize=256)
def _percent_marks(sql: str) -> str:
    return sql.replace("?", "%s")


def among(session: Session, column: str, keys: Iterable[object]) -> tuple[str, object]:
    """Return the condition that a column is among any number of keys, and the one value bound to it."""
    if session.dialect.name == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(?))", encode_json(list(keys))
    return f"{column} = ANY(?)", list(keys)


def one_value(session: Session, sql: str, **values: object) -> Any:
    """Return the first column of the first row, or None; for the few statements that are plain text."""
    return session.execute(sql_text(sql), values).scalar()
