"""A real Citus cluster: what `stand_in.sql` cannot prove.

Run it against a coordinator whose role may create databases and extensions, with at least one worker:

    CUSTODY_CITUS_URL=postgresql://postgres@coordinator/postgres python -m pytest tests/citus/test_cluster.py

Each test gets a database of its own on the coordinator. Citus wants the database and the extension on every node:
CUSTODY_CITUS_WORKERS names the workers' URLs, separated by spaces, each with a role that may do the same; without it
the coordinator alone holds the shards. Databases are dropped at the end. Without CUSTODY_CITUS_URL every test here is
skipped, and the summary says so: then nothing in this file has been proven.
"""

import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.audit.fsck import fsck
from app.cli.citus import distributed
from app.cli.migrate import upgrade
from app.db import Database, metadata, normal_url
from tests import small
from tests.house import House

COORDINATOR = os.environ.get("CUSTODY_CITUS_URL", "")
WORKERS = os.environ.get("CUSTODY_CITUS_WORKERS", "").split()
pytestmark = [
    pytest.mark.citus,
    pytest.mark.skipif(
        not COORDINATOR, reason="no Citus cluster: CUSTODY_CITUS_URL names none, so Citus itself is unproven here"
    ),
]
EVENTS = 12


def _raw(url: str) -> psycopg.Connection[tuple[object, ...]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    """A database with the extension on every node, migrated."""
    name = f"custody_{secrets.token_hex(6)}"
    nodes = [COORDINATOR, *WORKERS]
    try:
        for node in nodes:
            with _raw(node) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            with _raw(_of(node, name)) as connection:
                connection.execute("CREATE EXTENSION citus")
        with _raw(_of(COORDINATOR, name)) as connection:
            own = make_url(COORDINATOR)
            connection.execute("SELECT citus_set_coordinator_host(%s, %s)", (own.host or "localhost", own.port or 5432))
            for worker in map(make_url, WORKERS):
                connection.execute("SELECT citus_add_node(%s, %s)", (worker.host, worker.port or 5432))
            if not WORKERS:
                connection.execute(
                    "SELECT citus_set_node_property(%s, %s, 'shouldhaveshards', true)",
                    (own.host or "localhost", own.port or 5432),
                )
        upgrade(_of(COORDINATOR, name))
        yield _of(COORDINATOR, name)
    finally:
        for node in nodes:
            with _raw(node) as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _of(url: str, name: str) -> str:
    return normal_url(url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def houses(cluster_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[House]]:
    """Two ledgers in one database, that have recorded events at the same time, and what they sent to it."""
    db = Database(cluster_url)
    found = [House(db, tmp_path_factory.mktemp(name), name=name) for name in ("one", "two")]
    phones = [house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY) for house in found]
    failed: list[BaseException] = []

    def work(house: House, number: int) -> None:
        try:
            units = house.labels(phones[number], EVENTS)
            assert len(units) == EVENTS
            for n in range(EVENTS):
                house.enrol(f"OFF-{n + 2}", small.KPU, "LOGISTIK", small.CITY)
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(house, n)) for n, house in enumerate(found)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    yield found
    db.close()


def test_the_migration_distributes_every_table(cluster_url):
    engine = create_engine(normal_url(cluster_url), poolclass=NullPool)
    with engine.connect() as connection:
        assert set(metadata.tables) <= distributed(connection)
    upgrade(cluster_url)


def test_two_ledgers_record_at_the_same_time_and_the_examination_is_clean(houses):
    assert fsck(houses[0].db).clean
    for house in houses:
        with house.db.read() as session:
            size = house.recorder.head(session).size
            told = session.exec_driver_sql(
                "SELECT count(*), min(leaf_index), max(leaf_index) FROM event WHERE ledger_id = %s",
                (house.recorder.ledger_id,),
            ).one()
        assert tuple(told) == (size, 0, size - 1)


def test_one_ledgers_rows_lie_on_one_node(houses):
    """Every table's shard of a ledger has the same place."""
    with houses[0].db.write_engine.connect() as connection:
        for house in houses:
            places = set()
            for table in (t.name for t in metadata.tables.values() if t.info["citus"] == "ledger_id"):
                places.add(tuple(connection.exec_driver_sql(
                    "SELECT nodename, nodeport FROM citus_shards s "
                    "WHERE s.shardid = get_shard_id_for_distribution_column(%s::regclass, %s)",
                    (table, house.recorder.ledger_id),
                ).one()))  # fmt: skip
            assert len(places) == 1


def test_every_statement_of_a_group_and_of_a_reader_is_one_task(houses):
    """EXPLAIN says of each statement that was sent for one event, and for reading it back, that it has one task."""
    house, sent = houses[0], []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.lstrip()[:6].upper() in {"SELECT", "INSERT", "UPDATE", "DELETE"} and "pg_" not in statement:
            sent.append((statement, parameters))

    engines = (house.db.write_engine, house.db.read_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    house.enrol("OFF-LAST", small.KPU, "LOGISTIK", small.CITY)
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)
    assert len(sent) > 10
    tasks = 0
    with house.db.write_engine.connect() as connection:
        for statement, parameters in sent:
            values = parameters[0] if isinstance(parameters, list) else parameters
            plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values))
            connection.rollback()
            if "Task Count:" in plan:
                tasks += 1
                assert "Task Count: 1" in plan, (statement, plan)
    assert tasks > 10


def test_a_lock_without_its_ledger_is_refused(houses):
    """Control: Citus itself refuses the head lock as it was before."""
    with pytest.raises(DBAPIError), houses[0].db.write() as session:
        session.exec_driver_sql("SELECT ledger_id FROM ledger WHERE name = 'one' FOR UPDATE")


def test_an_auditor_may_ask_all_ledgers(houses):
    with houses[0].db.read() as session:
        rows = session.exec_driver_sql(
            "SELECT ledger_id, count(*), count(DISTINCT officer), max(received_ms) FROM event GROUP BY ledger_id"
        ).all()
    assert {row[0] for row in rows} == {house.recorder.ledger_id for house in houses}


def test_a_name_is_given_once_in_the_whole_database(houses, tmp_path: Path):
    with pytest.raises(Exception, match=r"name|exists|duplicate"):
        House(houses[0].db, tmp_path / "again", name="one")


def test_what_was_written_stays_for_whoever_is_not_the_owner(houses):
    with houses[0].db.write() as session:
        session.exec_driver_sql("CREATE ROLE custody_citus_probe")
        session.exec_driver_sql("GRANT SELECT, INSERT ON event TO custody_citus_probe")
    try:
        with houses[0].db.write() as session:
            session.exec_driver_sql("SET LOCAL ROLE custody_citus_probe")
            with pytest.raises(DBAPIError, match="permission denied"):
                session.exec_driver_sql("DELETE FROM event WHERE ledger_id = 1")
            session.rollback()
    finally:
        with houses[0].db.write() as session:
            session.exec_driver_sql("DROP OWNED BY custody_citus_probe")
            session.exec_driver_sql("DROP ROLE custody_citus_probe")
