"""`custody migrate`: bring the tables of a database up to this version, as the role that owns them."""

import os
from contextlib import suppress
from pathlib import Path

import typer
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

import app
from app.config import Settings
from app.db import normal_url

MIGRATIONS = Path(app.__file__).resolve().parent.parent / "migrations"


def upgrade(url: str) -> None:
    """Run every revision that a database lacks; nothing happens when it has them all.

    Args:
        url: URL of the role that owns the tables (or will).
    """
    target = normal_url(url)
    if target.get_backend_name() == "sqlite" and target.database:
        _make_private(Path(target.database))
    engine = create_engine(target, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    with engine.connect() as connection:
        _run(connection)


def _make_private(path: Path) -> None:
    """Make the file of a new database readable by its owner alone; SQLite gives its log files the same mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _run(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


INSERT_ONLY = ("event", "event_unit", "ledger_leaf", "ledger_checkpoint", "tally", "document")
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
            for table in INSERT_ONLY:
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
    def migrate() -> None:
        """Bring the database up to this version; on PostgreSQL grant the service's role its privileges."""
        settings = Settings()
        owner = settings.migration_url or settings.url()
        upgrade(owner)
        writer, reader = other_roles(settings)
        if writer or reader:
            grant(owner, writer, reader)
        typer.echo("The database is up to date.")
