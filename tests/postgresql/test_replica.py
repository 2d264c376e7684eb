"""Reading from a replica: audit is answered there, and never against what this service has shown (ADR 21)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests import small
from tests.postgres import PostgresServer
from tests.postgresql.hosts import until
from tests.postgresql.servers import caught_up, migrated, on, pair, plain
from tests.web.live import Live, living

pytestmark = pytest.mark.postgres


@contextmanager
def paused(standby: PostgresServer) -> Iterator[psycopg.Connection]:
    """Let a standby receive everything and show nothing new for a while."""
    with plain(standby.url) as connection:
        connection.execute("SELECT pg_wal_replay_pause()")
        sql = "SELECT pg_get_wal_replay_pause_state()"
        until(lambda: connection.execute(sql).fetchone() == ("paused",), lambda: "paused")
        try:
            yield connection
        finally:
            connection.execute("SELECT pg_wal_replay_resume()")


def reads_replica(live: Live) -> bool:
    """Say where an audit door reads now."""
    with live.services.db.read() as session:
        return bool(session.exec_driver_sql("SELECT pg_is_in_recovery()").scalar())


def contradictions(live: Live, phone, unit: str) -> list[str]:
    """Record something and ask for it at once, in every way; return what was answered as if it were not there."""
    receipt = live.ok(live.sighting(phone, unit))
    size, name = receipt["proof"]["tree_size"], live.services.view.name
    wide = f".p/{size % 256}" if size < 256 else ""
    asked = {
        f"/v1/events/{receipt['event']}": lambda body: body["index"] == receipt["index"],
        f"/v1/units/{unit}/history": lambda body: body["items"][-1]["index"] == receipt["index"],
        "/v1/ledger": lambda body: body["size"] == size,
        f"/ledger/{name}/checkpoint": None,
        f"/ledger/{name}/tile/0/000{wide}": None,
        f"/ledger/{name}/tile/entries/000{wide}": None,
        "/readyz": None,
    }
    found = []
    headers = live.headers("auditor", agency=small.BWS)
    for path, holds in asked.items():
        answer = live.http.get(path, headers=headers)
        if answer.status_code != 200 or (holds is not None and not holds(answer.json())):
            found.append(f"{path}: {answer.status_code} {answer.text[:200]}")
    return found


def test_a_replica_answers_the_auditor_and_never_less_than_was_shown(tmp_path: Path) -> None:
    with pair() as (primary, standby):
        url = migrated(primary)
        with living(url, tmp_path / "data", read_database_url=on(url, standby)) as live:
            phone = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"))
            [unit] = live.boxes(phone, [small.TPS1])
            until(lambda: caught_up(primary, standby), lambda: "caught up")
            assert reads_replica(live)
            assert contradictions(live, phone, unit) == []
            with paused(standby):
                fresh = live.headers("auditor", agency=small.BWS, place="made-while-paused")
                assert live.http.get(f"/v1/units/{unit}", headers=fresh).status_code != 401, "a token counts at once"
                assert contradictions(live, phone, unit) == []
                assert not reads_replica(live), "a replica that is behind is left aside"
                is_behind = live.services.db.is_behind
                live.services.db.is_behind = lambda _: False
                assert contradictions(live, phone, unit), "control: nothing depends on what is behind"
                live.services.db.is_behind = is_behind
            until(lambda: reads_replica(live), lambda: "the replica is used again")
            standby.crash()
            assert contradictions(live, phone, unit) == [], "a replica that is gone is left aside, too"
