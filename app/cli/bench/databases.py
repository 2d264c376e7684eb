"""Fresh databases for one run: a file each on SQLite, one of its own beside the given one on PostgreSQL."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from app.db import Database, normal_url


@contextmanager
def fresh_database(url: str, folder: Path) -> Iterator[str]:
    """Give the URL of an empty database that nobody else uses; on PostgreSQL it is dropped at the end.

    Args:
        url: A PostgreSQL server where the role may create databases; empty for SQLite.
        folder: Where a SQLite file goes.
    """
    if not url:
        yield f"sqlite:///{folder / 'custody.db'}"
        return
    name, parsed = f"custody_bench_{secrets.token_hex(4)}", normal_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise RuntimeError("--database-url names a PostgreSQL server; without it the benchmark runs on SQLite.")
    server = create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    try:
        yield parsed.set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')


def durability(db: Database) -> str:
    """Say what a commit of the service waits for."""
    db.check_durability()
    with db.write_engine.connect() as connection:
        if db.is_sqlite:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            level = connection.exec_driver_sql("PRAGMA synchronous").scalar()
            return f"SQLite journal_mode={journal} synchronous={'FULL' if level == 2 else level}"
        shown = [
            (n, connection.exec_driver_sql(f"SHOW {n}").scalar()) for n in ("server_version", "synchronous_commit")
        ]
        return "PostgreSQL " + " ".join(f"{name}={value}" for name, value in shown)


def stored_bytes(db: Database) -> int:
    """Return how large the database is, its log not counted."""
    with db.read() as session:
        if db.is_sqlite:
            pages = session.exec_driver_sql("PRAGMA page_count").scalar() or 0
            return int(pages) * int(session.exec_driver_sql("PRAGMA page_size").scalar() or 0)
        return int(session.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0)
