"""The driver's best insert with the service's durability: SQLite's executemany, PostgreSQL's binary COPY.

    python scripts/yardsticks/inserts.py --database sqlite:////path/raw.db --rows 1000 --commits 30

Rows have the columns of a signed event and a body of 1,100 bytes. With `--rows 1` it tells what one durable commit
takes. It imports nothing of the service. The answer is one line of JSON.
"""

import argparse
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

BODY_BYTES = 1100
COLUMNS = "leaf_index bigint PRIMARY KEY, hash {b} NOT NULL UNIQUE, event_id text NOT NULL, type text NOT NULL, author text NOT NULL, leaf_hash {b} NOT NULL, body {b} NOT NULL"  # noqa: E501 - one statement
TYPES = ["int8", "bytea", "text", "text", "text", "bytea", "bytea"]
Row = tuple[int, bytes, str, str, str, bytes, bytes]
Commit = Callable[[Sequence[Row]], None]


def rows(first: int, count: int) -> list[Row]:
    """Make rows of random hashes."""
    body = secrets.token_bytes(BODY_BYTES)
    return [
        (n, secrets.token_bytes(32), secrets.token_hex(18), "custody.release", "author", secrets.token_bytes(32), body)
        for n in range(first, first + count)
    ]


def sqlite(path: str) -> Commit:
    """Open SQLite as the service does: WAL, synchronous=FULL."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("DROP TABLE IF EXISTS raw_event")
    connection.execute(f"CREATE TABLE raw_event ({COLUMNS.format(b='BLOB')})")

    def commit(group: Sequence[Row]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO raw_event VALUES (?, ?, ?, ?, ?, ?, ?)", group)
        connection.execute("COMMIT")

    return commit


def postgres(url: str) -> Commit:
    """Open PostgreSQL, whose synchronous_commit stays as the server has it."""
    connection = psycopg.connect(url)
    connection.execute("DROP TABLE IF EXISTS raw_event")
    connection.execute(f"CREATE TABLE raw_event ({COLUMNS.format(b='bytea')})")
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

    return commit


def measure(commit: Commit, count: int, commits: int) -> dict[str, Any]:
    """Insert and commit so often, after a few that are not counted."""
    groups = [rows(number * count, count) for number in range(commits + 3)]
    for group in groups[:3]:
        commit(group)
    wall, cpu = time.perf_counter(), time.process_time()
    for group in groups[3:]:
        commit(group)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"events": commits * count, "requests": commits, "wall_seconds": wall, "cpu_seconds": cpu}


def main() -> None:
    """Read the arguments, run, print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--commits", type=int, default=30)
    told = parser.parse_args()
    commit = (
        sqlite(told.database.removeprefix("sqlite:///"))
        if told.database.startswith("sqlite:///")
        else postgres(told.database.replace("postgresql+psycopg://", "postgresql://"))
    )
    print(json.dumps(measure(commit, told.rows, told.commits)))


if __name__ == "__main__":
    main()
