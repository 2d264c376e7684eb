"""Rows as they stand on the disk, whatever has happened to them.

`custody fsck` must not stumble over the very damage it looks for: nothing is decoded here, text that is not
UTF-8 comes back escaped, and a table that cannot be read at all becomes a finding.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from app.audit.findings import Findings
from app.db import JsonText, ReadSession, encode_json

Row = tuple[Any, ...]
ROWS_PER_READ = 2000
UNREADABLE = (DBAPIError, UnicodeError)
"""What a damaged database raises; SQLite's own sentence about it may hold the damaged bytes."""


def lenient(session: ReadSession) -> None:
    """Let a session read text that is not UTF-8 instead of failing on it (SQLite; PostgreSQL stores none)."""
    if session.dialect.name == "sqlite":
        raw: Any = session.connection.driver_connection
        raw.text_factory = _decoded


def strict(session: ReadSession) -> None:
    """Undo `lenient` before the connection goes back to its pool."""
    if session.dialect.name == "sqlite":
        raw: Any = session.connection.driver_connection
        raw.text_factory = str


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def rows(session: ReadSession, findings: Findings, table: Table, columns: Sequence[str], order: Sequence[str],
         ledger_id: int, extra: str = "", params: Sequence[object] = ()) -> Iterator[Row]:  # fmt: skip
    """Yield the rows of one ledger's part of a table, as the driver gives them.

    Args:
        session: Reading, `lenient`.
        findings: Gets `unreadable` when the database itself cannot read on.
        table: The table.
        columns: Which columns, by name.
        order: By which columns to sort.
        ledger_id: The ledger.
        extra: More of the condition, with `?` marks.
        params: Values of those marks.
    """
    sql = f"SELECT {', '.join(columns)} FROM {table.name} WHERE ledger_id = ?{extra} ORDER BY {', '.join(order)}"
    if session.dialect.name != "sqlite":
        sql = sql.replace("?", "%s")
    try:
        options = {"yield_per": ROWS_PER_READ}
        with session.exec_driver_sql(sql, (ledger_id, *params), execution_options=options) as result:
            for row in result:
                yield tuple(row)
    except UNREADABLE as error:
        findings.add(table.name, "?", "unreadable", f"The database cannot read this table: {said(error)}")
        if session.dialect.name != "sqlite":
            raise


def said(error: Exception) -> str:
    """Return what the database said."""
    return str(error.orig) if isinstance(error, DBAPIError) else "its own message is not text"


def stored(table: Table, columns: Sequence[str], record: object) -> Row:
    """Return the values that a record has as a row, JSON as the text that is stored."""
    json_columns = {name for name in columns if isinstance(table.c[name].type, JsonText)}
    return tuple(
        encode_json(getattr(record, name)) if name in json_columns else getattr(record, name) for name in columns
    )


def compare_row(findings: Findings, table: Table, row: object, columns: Sequence[str], expected: Row, found: Row,
                leaf: int | None = None) -> None:  # fmt: skip
    """Add a finding for each column that differs."""
    if expected == found:
        return
    for name, want, have in zip(columns, expected, found, strict=True):
        if want != have:
            findings.add(
                table.name, row, "differs", "The column is not what the leaves give.",
                column=name, leaf=leaf, expected=want, found=have, values=True,
            )  # fmt: skip
