"""`custody migrate`: bring the tables of a database up to this version, as the role that owns them."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

import app
from app.cli.citus import spread
from app.config import Settings
from app.db import normal_url
from app.errors import BusyError

SQLITE_PAGE_BYTES = 8192
"""Seven leaves to a page and not two: a page of SQLite's default size would stay a third empty."""
RANGES_AHEAD = 1
"""Ranges of leaves that stand ready beyond the largest ledger; what finds none goes into the rest, and is as safe."""
LOCK_TIMEOUT = "5s"
"""As for a revision (`migrations/env.py`): while we wait for a table, nobody else gets to it."""
LOCK_NOT_AVAILABLE = "55P03"
RANGE_NAME = re.compile(r"ledger_leaf_(\d+|rest)")
"""What PostgreSQL's ranges of leaves are called."""
MIGRATIONS = Path(app.__file__).resolve().parent.parent / "migrations"


def upgrade(url: str, *, distribute: bool = False) -> None:
    """Run every revision that a database lacks; nothing happens when it has them all.

    On PostgreSQL ranges of leaves are made ahead, and on Citus what is not distributed yet is.

    Args:
        url: URL of the role that owns the tables (or will).
        distribute: On Citus, move the ledgers that are there to the nodes, too.

    Raises:
        BusyError: On PostgreSQL, somebody held a table for longer than we wait. What was done before stays, whole, and
            another try goes on from there.
        NotSpreadError: On Citus, there are ledgers that are not distributed and `distribute` does not ask for it.
    """
    target = normal_url(url)
    if target.get_backend_name() == "sqlite" and target.database:
        _make_private(Path(target.database))
    engine = create_engine(target, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(engine, "connect", _sqlite_connection)
    with _locks_in_words():
        with engine.connect() as connection:
            _run(connection)
        if engine.dialect.name == "postgresql":
            _make_ranges(engine)
            spread(url, with_rows=distribute)


def _make_ranges(engine: Engine) -> None:
    """Make ranges of leaves ahead, all that are due or none.

    A new range locks all leaves against everybody. Behind a long export that would wait, and every reader and writer
    behind it, for as long as the export takes.
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        connection.exec_driver_sql("SELECT custody_leaf_ranges(%s)", (RANGES_AHEAD,))


@contextmanager
def _locks_in_words() -> Iterator[None]:
    """Say to the operator what a lock timeout means; the transaction that met it has left nothing behind."""
    try:
        yield
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise BusyError(
            "Somebody holds a table that must be changed, perhaps a long export. No step was left half done. Try again "
            "when that has ended: `custody migrate`."
        ) from error


def _sqlite_connection(raw: Any, _record: object) -> None:
    """Leave transactions to us, and give a file that is new its page size; one that exists keeps its own."""
    raw.isolation_level = None
    raw.execute(f"PRAGMA page_size={SQLITE_PAGE_BYTES}")


def is_declared(name: str | None, kind: str, _parents: object) -> bool:
    """Say whether a table is one of the metadata's own, and not a range of one (Alembic's `include_name`)."""
    return kind != "table" or not RANGE_NAME.fullmatch(name or "")


def _make_private(path: Path) -> None:
    """Make the file of a new database readable by its owner alone; SQLite gives its log files the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _run(connection: Connection) -> None:
    command.upgrade(configuration(connection), "head")


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


INSERT_ONLY = (
    "event", "event_unit", "ledger_leaf", "ledger_checkpoint", "ledger_alarm", "ledger_stamp", "head_commit", "tally",
    "document", "ledger_name",
)  # fmt: skip
EXTEND_ONLY = ("ledger_tile",)


def grant(migration_url: str, writer: str | None, reader: str | None = None) -> None:
    """Give the service's roles what they need on PostgreSQL, and no more.

    Args:
        migration_url: URL of the role that owns the tables.
        writer: Role of the service: it inserts events, leaves and documents, and never changes or deletes one.
        reader: Role of the reading connections, when it is another: it only selects.
    """
    engine = create_engine(normal_url(migration_url), poolclass=NullPool)
    quote = engine.dialect.identifier_preparer.quote
    with engine.begin() as connection:
        if writer:
            name = quote(writer)
            connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}")
            ranges = connection.exec_driver_sql(
                "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = ANY(%s)",
                (list(INSERT_ONLY),),
            ).scalars()
            for table in (*INSERT_ONLY, *ranges.all()):  # a range could be named in the place of its table
                connection.exec_driver_sql(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {name}")
            for table in EXTEND_ONLY:
                connection.exec_driver_sql(f"REVOKE DELETE, TRUNCATE ON {table} FROM {name}")
        if reader:
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {quote(reader)}")
        for role in filter(None, (writer, reader)):
            connection.exec_driver_sql(f"REVOKE ALL ON alembic_version FROM {quote(role)}")


def other_roles(settings: Settings) -> tuple[str | None, str | None]:
    """Return the writing and the reading role, where they are on PostgreSQL and not the owner."""
    owner = normal_url(settings.migration_url or settings.url())
    if owner.get_backend_name() != "postgresql":
        return None, None
    writer, reader = normal_url(settings.url()).username, normal_url(settings.read_url()).username
    return (
        writer if writer != owner.username else None,
        reader if reader not in {owner.username, writer} else None,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def migrate(
        distribute: bool = typer.Option(False, help="On Citus, move the ledgers of this database to the nodes."),
    ) -> None:
        """Bring the database up to this version; on PostgreSQL grant the service's role its privileges."""
        settings = Settings()
        owner = settings.migration_url or settings.url()
        upgrade(owner, distribute=distribute)
        writer, reader = other_roles(settings)
        if writer or reader:
            grant(owner, writer, reader)
        typer.echo("The database is up to date.")
