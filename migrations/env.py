"""Run migrations online, on SQLite or PostgreSQL, as the role that owns the tables.

The URL is `CUSTODY_MIGRATION_URL` when set, else the service's own. Each revision is one transaction on both
databases. PostgreSQL gets a lock timeout, so that a migration behind a long reader fails instead of blocking
every writer behind it.
"""

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

import app.custody._tables
import app.keys._tables
import app.ledger._tables
import app.units._tables  # noqa: F401 - each fills the metadata
from app.cli.migrate import is_declared
from app.config import Settings
from app.db import metadata, normal_url

LOCK_TIMEOUT = "5s"


def migrate(connection: Connection) -> None:
    """Run the revisions over one connection."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        include_name=is_declared,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Connect with the URL in force, or use the connection that a caller put into the configuration."""
    given = context.config.attributes.get("connection")
    if given is not None:
        migrate(given)
        return
    settings = Settings()
    url = normal_url(settings.migration_url or settings.url())
    if url.get_backend_name() == "sqlite":
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    with engine.connect() as connection:
        migrate(connection)


main()
