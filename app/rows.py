"""Plain statements on the driver's own connection, and records in bulk.

Ground floor, above `app.db`: SQLAlchemy keeps connection, pool and transaction; what it would do beside each statement
costs more than most statements (ADR 24). Errors are raised as SQLAlchemy raises them, and whoever listens to its
`before_cursor_execute` hears of every statement but COPY.

- `run`, `run_many`: one statement, its values marked `?` on either database.
- `RecordTable` moves frozen dataclasses in and out of a table: a fixed number of statements for any number of records.
- `bulk_insert`: rows in one statement; many at once by COPY on PostgreSQL.
"""

import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, TypeVar, cast

import psycopg
from sqlalchemy import Table
from sqlalchemy import text as sql_text
from sqlalchemy.exc import DBAPIError

from app.db import Flag, JsonText, Session, WriteSession, decode_json, encode_json

KEYS_PER_STATEMENT = 10_000
COPY_ROWS = 32

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
        marks = ", ".join(["?"] * (len(self.names) + 1))
        self._insert = f"INSERT INTO {table.name} (ledger_id, {self._select}) VALUES ({marks})"
        changed = ", ".join(f"{name} = excluded.{name}" for name in self.names if name != key)
        self._replace = f"{self._insert} ON CONFLICT (ledger_id, {key}) DO UPDATE SET {changed}"

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
            rows = run(session, sql, ledger_id, encode_json(part))
        else:
            tail = f" ORDER BY {self.key} FOR UPDATE" if lock else ""
            sql = f"SELECT {self._select} FROM {name} WHERE ledger_id = ? AND {column} = ANY(?){tail}"
            rows = run(session, sql, ledger_id, part)
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
        run_many(session, self._replace, [self._row(ledger_id, record) for record in records])

    def insert(self, session: WriteSession, ledger_id: int, records: Iterable[R]) -> None:
        """Insert new records in one statement; a key that exists is an integrity error."""
        run_many(session, self._insert, [self._row(ledger_id, record) for record in records])

    def _row(self, ledger_id: int, record: R) -> tuple[object, ...]:
        row = [ledger_id, *self._values(record)]
        for place in self._json_places:
            row[place] = encode_json(row[place])
        return tuple(row)


def bulk_insert(session: WriteSession, table: Table, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows in one statement of the driver; values must already be of the column's type."""
    if not rows:
        return
    if session.dialect.name != "sqlite" and len(rows) >= COPY_ROWS:
        _copy(session, table, columns, rows)
        return
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join(['?'] * len(columns))})"
    run_many(session, sql, rows)


def _copy(session: WriteSession, table: Table, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Insert rows by PostgreSQL's binary COPY: a third of the client's work, and one round trip."""
    sql = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    try:
        with session.connection.cursor().copy(sql) as copy:
            copy.set_types([table.c[name].type.compile(session.dialect).split()[0].lower() for name in columns])
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise _as_sqlalchemys(session, sql, (), error) from error


class Rows:
    """What one statement gave, as the driver gives it: rows are plain tuples, all fetched."""

    __slots__ = ("_rows", "rowcount")

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        """Take the rows, and how many an UPDATE or INSERT touched."""
        self._rows, self.rowcount = rows, rowcount

    def all(self) -> list[tuple[Any, ...]]:
        """Return every row."""
        return self._rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield every row."""
        return iter(self._rows)

    def first(self) -> tuple[Any, ...] | None:
        """Return the first row, or None."""
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any:
        """Return the first column of the first row, or None."""
        return self._rows[0][0] if self._rows else None


def run(session: Session, sql: str, *values: object) -> Rows:
    """Run one plain statement on the driver's own connection, its values marked `?` on either database.

    SQLAlchemy keeps connection and transaction; what it would do beside them costs more than most statements.
    Whoever listens to its `before_cursor_execute` hears of these as well.

    Raises:
        DBAPIError: As SQLAlchemy raises it.
    """
    return _executed(session, sql, values, many=False)


def run_many(session: WriteSession, sql: str, rows: Sequence[Sequence[object]]) -> None:
    """Run one plain statement once for each row of values; does nothing without rows.

    Raises:
        DBAPIError: As SQLAlchemy raises it.
    """
    if rows:
        _executed(session, sql, rows, many=True)


def _executed(session: Session, sql: str, values: Sequence[Any], *, many: bool) -> Rows:
    spelled = sql if session.dialect.name == "sqlite" else _percent_marks(sql)
    for listener in session.dispatch.before_cursor_execute:
        listener(session, None, spelled, values, None, many)
    driver = cast("Any", session.connection.dbapi_connection)
    try:
        cursor = driver.cursor()
        if many:
            cursor.executemany(spelled, values)
        else:
            cursor.execute(spelled, values)
        return Rows(cursor.fetchall() if cursor.description else [], cursor.rowcount)
    except (sqlite3.Error, psycopg.Error) as error:
        raise _as_sqlalchemys(session, spelled, values, error) from error


def _as_sqlalchemys(session: Session, sql: str, values: Any, error: Exception) -> Exception:
    """Return a driver's error as SQLAlchemy raises it; a connection that is lost goes no further in its pool."""
    lost = session.dialect.is_disconnect(cast("Any", error), session.connection.dbapi_connection, None)
    kind = sqlite3.Error if session.dialect.name == "sqlite" else psycopg.Error
    if lost:
        session.invalidate(error)
    return DBAPIError.instance(sql, values, error, kind, connection_invalidated=lost, dialect=session.dialect)


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
