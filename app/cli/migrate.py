"""`custody migrate`: bring the tables of a database up to this version, as the role that owns them."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import NullPool

import app
from app.db import normal_url

MIGRATIONS = Path(app.__file__).resolve().parent.parent / "migrations"


def upgrade(url: str) -> None:
    """Run every revision that a database lacks; nothing happens when it has them all.

    Args:
        url: URL of the role that owns the tables (or will).
    """
    target = normal_url(url)
    if target.get_backend_name() == "sqlite" and target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(target, poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    with engine.connect() as connection:
        _run(connection)


def _run(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
