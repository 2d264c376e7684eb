"""Databases for one run: a file each on SQLite, one of its own beside the given one on PostgreSQL."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool

from app.cli.bench.ending import undisturbed
from app.db import Database, normal_url

OTHERS = "bare|naive|raw|bench"
"""How tables of the yardsticks begin, which on PostgreSQL lie in the same database."""


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
    name, parsed, server = _new_name(), *_server(url)
    try:
        with undisturbed(), server.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        yield parsed.set(database=name).render_as_string(hide_password=False)
    finally:
        with undisturbed(), server.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def kept_database(url: str, folder: Path, kept: dict[str, Any] | None) -> Iterator[str]:
    """Give the URL of a database that stays: the one that `kept` names, else a new one.

    Args:
        url: A PostgreSQL server; empty for SQLite.
        folder: Where a SQLite file is.
        kept: What was written down of it.
    """
    if not url:
        yield f"sqlite:///{folder / 'custody.db'}"
        return
    parsed, server = _server(url)
    name = str(kept["database"]) if kept else _new_name()
    if kept is None:
        with server.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    yield parsed.set(database=name).render_as_string(hide_password=False)


def kind_of(url: str) -> str:
    """Return the kind of database that a URL names, `sqlite` or `postgresql`; an empty one means SQLite."""
    return normal_url(url).get_backend_name() if url else "sqlite"


def _new_name() -> str:
    return f"custody_bench_{secrets.token_hex(4)}"


def _server(url: str) -> tuple[URL, Engine]:
    parsed = normal_url(url)
    if parsed.get_backend_name() != "postgresql":
        raise RuntimeError("--database-url names a PostgreSQL server; without it the benchmark runs on SQLite.")
    return parsed, create_engine(parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT")


def durability(db: Database) -> str:
    """Say what a commit of the service waits for."""
    db.check_durability()
    with db.write_engine.connect() as connection:
        if db.is_sqlite:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            level = connection.exec_driver_sql("PRAGMA synchronous").scalar()
            return f"SQLite journal_mode={journal} synchronous={'FULL' if level == 2 else level}"
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
        shown = [(name, connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in names]
        return "PostgreSQL " + " ".join(f"{name}={value}" for name, value in shown)


def stored_bytes(db: Database) -> int:
    """Return how large the service's tables and indexes are; SQLite's log is not counted."""
    with db.read() as session:
        if db.is_sqlite:
            pages = session.exec_driver_sql("PRAGMA page_count").scalar() or 0
            return int(pages) * int(session.exec_driver_sql("PRAGMA page_size").scalar() or 0)
        sizes = session.exec_driver_sql(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
            f"'public'::regnamespace AND relname !~ '^({OTHERS})'"
        )
        return int(sizes.scalar() or 0)
