"""Real PostgreSQL servers of these tests: a primary and its streaming standby, and what is done to them."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.engine import make_url

from app.cli.migrate import upgrade
from tests.postgres import PostgresServer, fresh_database


@contextmanager
def pair(settings: dict[str, str] | None = None) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """Run a primary and its streaming standby."""
    primary = PostgresServer(settings=settings)
    try:
        standby = PostgresServer(primary=primary, settings=settings)
        try:
            yield primary, standby
        finally:
            standby.close()
    finally:
        primary.close()


def migrated(server: PostgresServer) -> str:
    """Make a migrated database on a server and return its URL."""
    url = fresh_database(server.url)
    upgrade(url)
    return url


def either(url: str, *servers: PostgresServer) -> str:
    """Return the URL of a database on whichever of some servers may be written."""
    query = {"host": ",".join(str(server.folder) for server in servers), "target_session_attrs": "read-write"}
    return make_url(url).set(query=query).render_as_string(hide_password=False)


def on(url: str, server: PostgresServer) -> str:
    """Return the URL of the same database on another server."""
    return make_url(url).set(query={"host": str(server.folder)}).render_as_string(hide_password=False)


def caught_up(primary: PostgresServer, standby: PostgresServer) -> bool:
    """Say whether a standby has replayed everything."""
    with plain(primary.url) as one, plain(standby.url) as other:
        [(lsn,)] = one.execute("SELECT pg_current_wal_insert_lsn()")
        [(is_there,)] = other.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,))
    return bool(is_there)


def plain(url: str) -> psycopg.Connection:
    """Connect as the superuser."""
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(), autocommit=True)
