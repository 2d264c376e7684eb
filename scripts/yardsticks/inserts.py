"""The driver's best insert with the service's durability: SQLite's executemany, PostgreSQL's binary COPY.

    YARDSTICK_DATABASE=sqlite:////path/raw.db python scripts/yardsticks/inserts.py --rows 1000 --commits 30

Rows have the columns of a signed event and a body of 1,100 bytes. SQLite's log is moved into the file at the end, and
that counts. With `--rows 1` it tells what one durable commit takes, and nothing else counts. It imports nothing of the
service, whose settings of SQLite are repeated here; a test holds them against each other. The answer is one line of
JSON.
"""

import argparse
import json
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg

BODY_BYTES = 1100
PRAGMAS = (
    *("page_size=8192", "journal_mode=WAL", "synchronous=FULL", "cell_size_check=ON", "foreign_keys=ON"),
    *("wal_autocheckpoint=40000", "cache_size=-65536"),
)
"""Of the service's writer; the page size comes first, since only an empty file takes one."""
COLUMNS = "leaf_index {i} PRIMARY KEY, hash {b} NOT NULL UNIQUE, event_id text NOT NULL, type text NOT NULL, author text NOT NULL, leaf_hash {b} NOT NULL, body {b} NOT NULL"  # noqa: E501 - one statement
TYPES = ["int8", "bytea", "text", "text", "text", "bytea", "bytea"]
Row = tuple[int, bytes, str, str, str, bytes, bytes]


class Store(NamedTuple):
    """Inserts a group and commits it durably; moves the log that this left into the database."""

    commit: Callable[[Sequence[Row]], None]
    tidy: Callable[[], None]


def rows(first: int, count: int) -> list[Row]:
    """Make rows of random hashes."""
    body = secrets.token_bytes(BODY_BYTES)
    return [
        (n, secrets.token_bytes(32), secrets.token_hex(18), "custody.release", "author", secrets.token_bytes(32), body)
        for n in range(first, first + count)
    ]


def opened(path: str) -> sqlite3.Connection:
    """Open a SQLite file as the service does."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def sqlite(path: str) -> Store:
    """Open SQLite with an empty table."""
    connection = opened(path)
    connection.execute("DROP TABLE IF EXISTS raw_event")
    connection.execute(f"CREATE TABLE raw_event ({COLUMNS.format(i='INTEGER', b='BLOB')})")

    def commit(group: Sequence[Row]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO raw_event VALUES (?, ?, ?, ?, ?, ?, ?)", group)
        connection.execute("COMMIT")

    def tidy() -> None:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    return Store(commit, tidy)


def postgres(url: str) -> Store:
    """Open PostgreSQL, whose synchronous_commit stays as the server has it, and whose log is its own affair."""
    connection = psycopg.connect(url)
    connection.execute("DROP TABLE IF EXISTS raw_event")
    connection.execute(f"CREATE TABLE raw_event ({COLUMNS.format(i='bigint', b='bytea')})")
    connection.commit()

    def commit(group: Sequence[Row]) -> None:
        if len(group) == 1:
            connection.execute("INSERT INTO raw_event VALUES (%s, %s, %s, %s, %s, %s, %s)", group[0])
        else:
            with connection.cursor().copy("COPY raw_event FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(TYPES)
                for row in group:
                    copy.write_row(row)
        connection.commit()

    return Store(commit, lambda: None)


def measure(store: Store, count: int, commits: int) -> dict[str, Any]:
    """Insert and commit so often, after a few that are not counted."""
    groups = [rows(number * count, count) for number in range(commits + 3)]
    for group in groups[:3]:
        store.commit(group)
    store.tidy()
    wall, cpu = time.perf_counter(), time.process_time()
    for group in groups[3:]:
        store.commit(group)
    if count > 1:
        store.tidy()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"events": commits * count, "requests": commits, "wall_seconds": wall, "cpu_seconds": cpu}


def main() -> None:
    """Read the arguments, run, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--commits", type=int, default=30)
    told, database = parser.parse_args(), os.environ["YARDSTICK_DATABASE"]
    store = (
        sqlite(database.removeprefix("sqlite:///"))
        if database.startswith("sqlite:///")
        else postgres(database.replace("postgresql+psycopg://", "postgresql://"))
    )
    print(json.dumps(measure(store, told.rows, told.commits)))


if __name__ == "__main__":
    main()
