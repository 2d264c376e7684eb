"""PostgreSQL's side of `app.db`: its connections, what they learn of their server, and which errors mean "not now".

Everything here is about servers that come, go and take each other's place (ADR 21). A write connection knows from
its first moment which server it is on, in which of its lives (`standing`); it is refused on a standby and, where the
settings ask for a standby that confirms every commit, on a server that asks none.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

POOL_SIZE = 10
POOL_WAIT_SECONDS = 3
CONNECT_SECONDS = 3
ALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""A server whose machine vanished is noticed after some eleven seconds, and not after two hours."""

_STANDING, _REPLICA, _WARNED = "custody.standing", "custody.replica", "custody.warned"
_CLUSTERS = 1 << 32
_GONE = ("08", "57P", "53300", "25P03")
"""SQLSTATE of connections that failed, of servers that stop, crash, recover or are full, and of sessions ended."""


def writing_engine(url: URL, *, replicated: bool) -> Engine:
    """Return the engine whose connections may write.

    Args:
        url: With psycopg as its driver; several hosts and `target_session_attrs` as libpq has them.
        replicated: Refuse a server that does not wait for a standby at each commit.
    """
    engine = _engine(url, read_only=False)
    event.listen(engine, "connect", lambda raw, record: _enter(raw, record.info, replicated=replicated))
    return engine


def reading_engine(url: URL) -> Engine:
    """Return the engine whose connections the database itself refuses to write through; it may be of a standby."""
    engine = _engine(url, read_only=True)
    event.listen(engine, "connect", _look)
    return engine


def standing(session: Connection) -> int:
    """Return on which server, in which of its lives, a write session is: 0 on SQLite.

    A promoted standby and a restored backup go on in a new timeline, another cluster has another identity; either
    gives another number. A server's own restart does not. Timelines of one cluster count up, and so do their numbers.
    Two standbys that were promoted apart, neither following the other, get the same number: they are told apart by the
    high-water marks of those who wrote to either, and by the witnesses.
    """
    return int(session.info.get(_STANDING, 0))


def same_cluster(one: int, other: int) -> bool:
    """Say whether two standings are of one cluster, whose timelines can be compared."""
    return one % _CLUSTERS == other % _CLUSTERS


def standbys(connection: Connection) -> str:
    """Return which standbys the server waits for at each commit, as of now; empty for none."""
    return str(connection.exec_driver_sql("SHOW synchronous_standby_names").scalar() or "")


def is_replica(connection: Connection) -> bool:
    """Say whether a read connection was made to a standby."""
    return bool(connection.info.get(_REPLICA))


def forget_warnings(connection: Connection) -> bool:
    """Say whether the server has warned on a write connection since this was asked last."""
    return bool(connection.info.pop(_WARNED, False))


def why_unreachable(error: DBAPIError, *, writing: bool) -> str:
    """Say why PostgreSQL cannot answer just now; empty when the error is of another kind."""
    if not isinstance(error.orig, psycopg.Error):
        return ""
    state = error.orig.sqlstate or ""
    if state.startswith(_GONE) or (not state and isinstance(error, OperationalError)):
        return "The database cannot be reached; try again."
    if isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction) and writing:
        return "The database is a standby now; try again."
    if isinstance(error.orig, psycopg.errors.QueryCanceled | psycopg.errors.SerializationFailure):
        return "The database had no time for this; try again."
    return ""


def _engine(url: URL, *, read_only: bool) -> Engine:
    # A process that was stopped inside a transaction holds the head: others wait no longer than this for it.
    options = "-c statement_timeout=60000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=20000"
    if read_only:
        options = options.replace("session_timeout=20000", "session_timeout=60000")
        options += " -c default_transaction_read_only=on"
        if url.query.get("target_session_attrs") == "read-write":  # a session that is read only never is
            url = url.update_query_dict({"target_session_attrs": "primary"})
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={"options": options, "connect_timeout": CONNECT_SECONDS, **ALIVE},
    )


def _enter(raw: Any, info: dict[str, Any], *, replicated: bool) -> None:
    """Learn which server a new write connection is on, and refuse one where nothing may be written.

    Raises:
        psycopg.OperationalError: A standby; or no standby is asked to confirm commits, and one is wanted.
    """
    sql = (
        "SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()), "
        "CASE WHEN pg_is_in_recovery() THEN '' ELSE pg_walfile_name(pg_current_wal_insert_lsn()) END, "
        "current_setting('synchronous_standby_names')"
    )
    is_standby, cluster, segment, standbys = _asked(raw, sql)
    refusal = "the server is a standby" if is_standby else ""
    if replicated and not standbys and not is_standby:
        refusal = "synchronous_standby_names is empty on the server, and CUSTODY_SYNCHRONOUS_STANDBY asks for a standby"
    if refusal:
        raw.close()
        raise psycopg.OperationalError(refusal)
    own = int.from_bytes(sha256(str(cluster).encode()).digest()[:4], "big")
    info[_STANDING] = int(segment[:8], 16) * _CLUSTERS + own
    raw.add_notice_handler(lambda notice: _note_warning(info, notice))


def _note_warning(info: dict[str, Any], notice: Any) -> None:
    """Remember a warning: during a commit it says that somebody cancelled the wait for the standby."""
    if notice.severity_nonlocalized == "WARNING":
        info[_WARNED] = True


def _look(raw: Any, record: Any) -> None:
    """Learn whether a new read connection is on a replica."""
    record.info[_REPLICA] = _asked(raw, "SELECT pg_is_in_recovery()")[0]


def _asked(raw: Any, sql: str) -> Sequence[Any]:
    try:
        with raw.cursor() as cursor:
            row: Sequence[Any] = cursor.execute(sql).fetchone()
        raw.rollback()
    except BaseException:
        raw.close()  # the pool does not know it yet
        raise
    return row
