"""Migrations: one head, both databases, models equal the schema, and the guards stand."""

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import app.custody._tables
import app.keys._tables
import app.ledger._tables
import app.units._tables  # noqa: F401 - each fills the metadata
from app.audit.fsck import fsck
from app.cli.migrate import INSERT_ONLY as GRANTED_INSERT_ONLY
from app.cli.migrate import SQLITE_PAGE_BYTES, configuration, grant, is_declared, upgrade
from app.custody.receipts import Receipt
from app.db import Database, metadata, normal_url
from app.errors import BusyError
from tests.custody.town import Town
from tests.house import House

INSERT_ONLY = (
    "event", "event_unit", "ledger_leaf", "ledger_checkpoint", "document", "tally", "ledger_alarm", "ledger_stamp",
    "head_commit",
)  # fmt: skip


def _open(url: str) -> Connection:
    return create_engine(normal_url(url), poolclass=NullPool).connect()


def test_the_migrated_schema_is_the_models(database_url: str) -> None:
    with _open(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_declared})
        assert compare_metadata(context, metadata) == []


def test_every_key_of_a_ledgers_table_begins_with_the_ledger(database_url: str) -> None:
    with _open(database_url) as connection:
        look = inspect(connection)
        for table in look.get_table_names():
            if table in {"alembic_version", "ledger", "ledger_name"}:  # the directory is nobody's
                continue
            assert look.get_pk_constraint(table)["constrained_columns"][0] == "ledger_id", table
            for unique in look.get_unique_constraints(table):
                assert unique["column_names"][0] == "ledger_id", (table, unique)
            for foreign in look.get_foreign_keys(table):
                assert foreign["constrained_columns"][0] == "ledger_id", (table, foreign)


def test_no_column_could_hold_a_voter_or_the_time_of_a_single_sheet(database_url: str) -> None:
    """Design section 4: no voter, queue number or per-sheet issue time exists anywhere in the schema."""
    with _open(database_url) as connection:
        look = inspect(connection)
        columns = {column["name"] for table in look.get_table_names() for column in look.get_columns(table)}
    assert not [name for name in columns if any(word in name for word in ("voter", "pemilih", "queue", "sheet", "nik"))]


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("act", ["UPDATE {} SET ledger_id = 99", "DELETE FROM {}"])
def test_rows_that_are_written_stay(house: House, table: str, act: str) -> None:
    _some_rows(house)
    _refused(house.db, act.format(table))


def _some_rows(house: House) -> None:
    """Fill the tables that a fresh house leaves empty: a row trigger needs a row."""
    with house.db.write() as session:
        session.exec_driver_sql("INSERT INTO event_unit (ledger_id, unit, leaf_index) VALUES (1, 'U', 0)")
        session.exec_driver_sql(
            "INSERT INTO tally (ledger_id, id, leaf_index, event, figure, election, item, unit, quantity) "
            "VALUES (1, 'x', 0, 'e', 'f', 'E', 'I', 'U', 1)"
        )
        session.exec_driver_sql(
            "INSERT INTO ledger_alarm (ledger_id, id, at_ms, kind, source, detail) VALUES (1, 1, 0, 'k', 's', 'd')"
        )
        empty = "x''" if house.db.is_sqlite else "''"
        session.exec_driver_sql(
            "INSERT INTO ledger_stamp (ledger_id, size, authority, token, stamped, at_ms) "
            f"VALUES (1, 1, 'a', {empty}, {empty}, 0)"
        )
        session.exec_driver_sql(
            f"INSERT INTO head_commit (ledger_id, leaf_index, size, n, root) VALUES (1, 99, 0, 0, {empty})"
        )


def _refused(db: Database, sql: str) -> None:
    with pytest.raises(DBAPIError), db.write() as session:
        session.exec_driver_sql(sql)


def test_tiles_only_grow(house: House) -> None:
    _refused(house.db, "DELETE FROM ledger_tile")
    _refused(house.db, "UPDATE ledger_tile SET n = n + 1")
    _refused(house.db, f"UPDATE ledger_tile SET bytes = {_blob(house.db, 'substr(bytes, 1, 32)')}")
    with house.db.write() as session:
        session.exec_driver_sql(f"UPDATE ledger_tile SET bytes = {_blob(house.db, 'bytes || bytes')}")


def _blob(db: Database, expression: str) -> str:
    return f"CAST({expression} AS BLOB)" if db.is_sqlite else expression


@pytest.mark.postgres
def test_truncation_is_refused_and_the_owner_has_no_privilege_left(postgres_url: str) -> None:
    engine = create_engine(normal_url(postgres_url), poolclass=NullPool)
    with engine.connect() as connection:
        for table in (*INSERT_ONLY, "ledger_tile"):
            privileges = connection.exec_driver_sql(
                "SELECT has_table_privilege('public', %s, 'UPDATE'), relacl::text FROM pg_class WHERE relname = %s",
                (table, table),
            ).one()
            assert not privileges[0]
            assert "D" not in str(privileges[1]).split("=")[1].split("/")[0], "TRUNCATE is revoked"
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql(f"TRUNCATE {table} CASCADE")
            connection.rollback()
    engine.dispose()


def test_without_the_guard_an_update_goes_through(sqlite_url: str) -> None:
    """Control: it is the trigger that refuses, nothing else."""
    with _open(sqlite_url) as connection:
        connection.exec_driver_sql("INSERT INTO ledger_name VALUES (1, 'n', 'o')")
        connection.exec_driver_sql("INSERT INTO ledger VALUES (1, 'n', 'o', 0, x'00', x'00', 0, NULL)")
        connection.exec_driver_sql("INSERT INTO document VALUES (1, 'h', 'policy', x'00')")
        change: Callable[[], object] = lambda: connection.exec_driver_sql("UPDATE document SET kind = 'plan'")  # noqa: E731
        with pytest.raises(DBAPIError):
            change()
        connection.exec_driver_sql("DROP TRIGGER document_freeze")
        change()


# -- going on from the revision before, and back ------------------------------------------------------------------

BEFORE = "2026_11_24_witnessed"


def _to(url: str, revision: str) -> None:
    engine = create_engine(normal_url(url), poolclass=NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.connect() as connection:
        command.downgrade(configuration(connection), revision)


def _all_rows(url: str, table: str) -> set[tuple[object, ...]]:
    with _open(url) as connection:
        rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
    return {tuple(bytes(v) if isinstance(v, memoryview) else v for v in row) for row in rows}


@pytest.fixture
def town(db: Database, tmp_path: Path) -> Town:
    """A settled town in which goods have moved: leaves of several signers, links, tallies, a handover, a refusal."""
    town = Town(db, tmp_path / "town").settle()
    box, _ = town.sealed_box()
    load = town.load()
    town.ok(town.pack(load, box))
    town.ok(town.release([load]))
    answer = town.send(town.release([load]))
    assert isinstance(answer, Receipt)
    assert answer.result == "refused"
    return town


def test_a_database_of_the_revision_before_goes_on_with_every_row(town: Town, database_url: str) -> None:
    house, leaves = town, _leaves(town)
    kept = {name: _all_rows(database_url, name) for name in metadata.tables if name not in NEW_FORM}
    house.db.close()

    _to(database_url, BEFORE)
    with _open(database_url) as connection:
        before = connection.exec_driver_sql("SELECT leaf_index, leaf FROM ledger_leaf").all()
        assert {index: bytes(leaf) for index, leaf in before} == leaves, "leaves are spelled out again"
        links = connection.exec_driver_sql("SELECT leaf_index, unit, prev FROM event_unit WHERE seq IS NOT NULL").all()
        told = [(i, link["unit"], link["prev"]) for i, leaf in leaves.items() for link in json.loads(leaf)["links"]]
        assert sorted(map(tuple, links)) == sorted(told)
        assert "ledger_name" not in inspect(connection).get_table_names()
    for name, rows in kept.items():
        assert _all_rows(database_url, name) == rows, name
    _refused_by(database_url, ("event", "event_unit", "ledger_leaf"))

    upgrade(database_url)
    for name, rows in kept.items():
        assert _all_rows(database_url, name) == rows, name
    _refused_by(database_url, ("event", "event_unit", "ledger_leaf"))
    with _open(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_declared})
        assert compare_metadata(context, metadata) == []
    house.db = house.recorder.db = Database(database_url)
    assert fsck(house.db).clean
    town.ok(town.inspected([town.load()]))
    assert fsck(house.db).clean
    house.db.close()


NEW_FORM = {
    "ledger_leaf",
    "ledger_name",
    "event_unit",
    "discrepancy",
    "gap",
    "incident",
    "inspection",
    "stowage",
    "supply",
}


def _leaves(house: House) -> dict[int, bytes]:
    with house.db.read() as session:
        return {index: leaf for index, leaf, _ in house.recorder.reader.leaves(session, 0, 10_000)}


def _refused_by(url: str, tables: tuple[str, ...]) -> None:
    """The guards stand, whatever the tables were made of anew."""
    for table in tables:
        for act in (f"UPDATE {table} SET ledger_id = 99", f"DELETE FROM {table}"):
            with _open(url) as connection, pytest.raises(DBAPIError):
                connection.exec_driver_sql(act)


def test_a_new_file_has_large_pages_and_an_old_one_keeps_its_own(tmp_path: Path, sqlite_url: str) -> None:
    old = f"sqlite:///{tmp_path / 'old.db'}"
    with _open(old) as connection:
        connection.exec_driver_sql("CREATE TABLE other (x)")
        connection.commit()
    upgrade(old)
    pages = {}
    for name, url in (("new", sqlite_url), ("old", old)):
        with _open(url) as connection:
            pages[name] = connection.exec_driver_sql("PRAGMA page_size").scalar()
    assert pages == {"new": SQLITE_PAGE_BYTES, "old": 4096}


# -- ranges of leaves ---------------------------------------------------------------------------------------------

RANGE = 1 << 24


def _leaf_at(session: object, index: int) -> None:
    session.exec_driver_sql(  # type: ignore[attr-defined]
        "INSERT INTO ledger_leaf (ledger_id, leaf_index, leaf_hash, leaf) VALUES (1, %s, '', '')", (index,)
    )


def _ranges(connection: Connection) -> dict[str, str]:
    rows = connection.exec_driver_sql(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid "
        "WHERE i.inhparent = 'ledger_leaf'::regclass"
    )
    return {str(name): str(bound) for name, bound in rows.all()}


def _lies_in(connection: Connection, index: int) -> str:
    sql = "SELECT tableoid::regclass::text FROM ledger_leaf WHERE ledger_id = 1 AND leaf_index = %s"
    return str(connection.exec_driver_sql(sql, (index,)).scalar())


@pytest.mark.postgres
def test_no_leaf_finds_no_place(postgres_url: str, tmp_path: Path) -> None:
    """Each lies in its range, and beyond the ranges that were made ahead in the rest; the key holds over all."""
    db = Database(postgres_url)
    House(db, tmp_path)
    places = {
        3_000: "ledger_leaf_0",
        RANGE: "ledger_leaf_1",
        2 * RANGE - 1: "ledger_leaf_1",
        2 * RANGE: "ledger_leaf_rest",
    }
    with db.write() as session:
        for index in places:
            _leaf_at(session, index)
    with _open(postgres_url) as connection:
        assert {index: _lies_in(connection, index) for index in places} == places
    for index in places:
        with pytest.raises(DBAPIError, match="duplicate key"), db.write() as session:
            _leaf_at(session, index)
    with db.write() as session:
        session.exec_driver_sql("ALTER TABLE ledger_leaf DETACH PARTITION ledger_leaf_rest")
    with pytest.raises(DBAPIError, match="no partition"), db.write() as session:
        _leaf_at(session, 2 * RANGE + 1)  # control: it is the default range that takes it
    db.close()


@pytest.mark.postgres
def test_ranges_are_made_ahead_of_the_largest_ledger_and_leave_alone_what_lies_in_the_rest(
    postgres_url: str, tmp_path: Path
) -> None:
    db = Database(postgres_url)
    House(db, tmp_path)
    with db.write() as session:
        _leaf_at(session, 3 * RANGE + 5)
        session.exec_driver_sql("UPDATE ledger SET size = %s", (3 * RANGE + 6,))
    db.close()
    upgrade(postgres_url)
    upgrade(postgres_url)
    with _open(postgres_url) as connection:
        assert sorted(_ranges(connection)) == [
            *(f"ledger_leaf_{n}" for n in (0, 1, 2, 4)), "ledger_leaf_rest",
        ]  # fmt: skip
        assert _lies_in(connection, 3 * RANGE + 5) == "ledger_leaf_rest"
        assert _ranges(connection)["ledger_leaf_4"] == f"FOR VALUES FROM ('{4 * RANGE}') TO ('{5 * RANGE}')"


@pytest.mark.postgres
def test_a_ledger_of_more_than_one_range_goes_on_from_the_revision_before(postgres_url: str, tmp_path: Path) -> None:
    """The whole table becomes the range of its newest leaf and of all before; nothing is made inside it."""
    db = Database(postgres_url)
    House(db, tmp_path)
    db.close()
    _to(postgres_url, BEFORE)
    with _open(postgres_url) as connection:
        _leaf_at(connection, RANGE + 5)
        connection.exec_driver_sql("UPDATE ledger SET size = %s", (RANGE + 6,))
        connection.commit()
    upgrade(postgres_url)
    places = {0: "ledger_leaf_1", RANGE + 5: "ledger_leaf_1", 2 * RANGE: "ledger_leaf_2"}
    with _open(postgres_url) as connection:
        _leaf_at(connection, 2 * RANGE)
        connection.exec_driver_sql("UPDATE ledger SET size = %s", (2 * RANGE + 1,))
        connection.commit()
        assert {index: _lies_in(connection, index) for index in places} == places
        assert sorted(_ranges(connection)) == ["ledger_leaf_1", "ledger_leaf_2", "ledger_leaf_rest"]
        assert _ranges(connection)["ledger_leaf_1"] == f"FOR VALUES FROM (MINVALUE) TO ('{2 * RANGE}')"
    upgrade(postgres_url)
    with _open(postgres_url) as connection:
        assert sorted(_ranges(connection)) == [*(f"ledger_leaf_{n}" for n in (1, 2, 3)), "ledger_leaf_rest"]
    _refused_by(postgres_url, ("ledger_leaf",))


@pytest.mark.postgres
def test_a_range_that_was_put_away_does_not_come_back_empty(postgres_url: str, tmp_path: Path) -> None:
    db = Database(postgres_url)
    House(db, tmp_path)
    with db.write() as session:
        session.exec_driver_sql("ALTER TABLE ledger_leaf DETACH PARTITION ledger_leaf_0")
        session.exec_driver_sql("ALTER TABLE ledger_leaf_0 RENAME TO old_leaves")
    db.close()
    upgrade(postgres_url)
    with _open(postgres_url) as connection:
        assert sorted(_ranges(connection)) == ["ledger_leaf_1", "ledger_leaf_rest"]


@pytest.mark.postgres
def test_a_range_waits_a_moment_for_a_long_export_and_then_says_so(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever came after would wait behind it, for as long as the export takes."""
    db = Database(postgres_url)
    House(db, tmp_path)
    with db.write() as session:
        session.exec_driver_sql("UPDATE ledger SET size = %s", (RANGE + 1,))
        session.exec_driver_sql(f"ALTER DATABASE {db.url.database} SET statement_timeout = '5s'")  # nobody waits longer
    db.close()
    monkeypatch.setattr("app.cli.migrate.LOCK_TIMEOUT", "100ms")
    with _open(postgres_url) as export:
        export.exec_driver_sql("SELECT count(*) FROM ledger_leaf")
        with pytest.raises(BusyError, match="Try again when that has ended"):
            upgrade(postgres_url)
        assert "ledger_leaf_2" not in _ranges(export)
    upgrade(postgres_url)
    with _open(postgres_url) as connection:
        assert "ledger_leaf_2" in _ranges(connection)


@pytest.mark.postgres
def test_a_range_is_guarded_under_its_own_name(postgres_url: str, tmp_path: Path) -> None:
    db = Database(postgres_url)
    House(db, tmp_path)
    db.close()
    with _open(postgres_url) as connection:
        parts = list(_ranges(connection))
        connection.exec_driver_sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO CURRENT_USER")
        connection.commit()
        for part in parts:
            acts = [f"TRUNCATE {part}"] + [f"DELETE FROM {part}", f"UPDATE {part} SET leaf = ''"] * (
                part == "ledger_leaf_0"
            )
            for act in acts:
                with pytest.raises(DBAPIError, match="never changed or deleted"):
                    connection.exec_driver_sql(act)
                connection.rollback()
        connection.exec_driver_sql("ALTER TABLE ledger_leaf_0 DISABLE TRIGGER USER")  # control
        connection.exec_driver_sql("DELETE FROM ledger_leaf_0")


@pytest.mark.postgres
def test_the_services_role_may_not_change_what_is_insert_only_under_any_name(postgres_url: str) -> None:
    """Privileges alone, since a spread database has no triggers."""
    role = f"custody_{secrets.token_hex(4)}"
    with _open(postgres_url) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role}")
        connection.commit()
        try:
            grant(postgres_url, role)
            may = "SELECT has_table_privilege(%s, %s, %s)"
            for table in (*INSERT_ONLY, *GRANTED_INSERT_ONLY, *_ranges(connection)):
                for act in ("UPDATE", "DELETE", "TRUNCATE"):
                    assert not connection.exec_driver_sql(may, (role, table, act)).scalar(), (table, act)
            assert connection.exec_driver_sql(may, (role, "ledger_leaf", "INSERT")).scalar()
            assert connection.exec_driver_sql(may, (role, "unit", "DELETE")).scalar(), "control"
        finally:
            connection.rollback()
            connection.exec_driver_sql(f"DROP OWNED BY {role}")
            connection.exec_driver_sql(f"DROP ROLE {role}")
            connection.commit()


@pytest.mark.postgres
def test_a_range_can_be_taken_off_and_put_back(house_on_postgres: House, postgres_url: str) -> None:
    """What an operator does with an old range; meanwhile the ledger goes on and the examination says what is gone."""
    house = house_on_postgres
    with _open(postgres_url) as connection:
        connection.exec_driver_sql("ALTER TABLE ledger_leaf DETACH PARTITION ledger_leaf_0")
        connection.commit()
        assert not fsck(house.db).clean
        connection.exec_driver_sql(
            f"ALTER TABLE ledger_leaf ATTACH PARTITION ledger_leaf_0 FOR VALUES FROM (MINVALUE) TO ({RANGE})"
        )
        connection.commit()
    assert fsck(house.db).clean


@pytest.fixture
def house_on_postgres(postgres_url: str, tmp_path: Path) -> Iterator[House]:
    """A house on PostgreSQL alone."""
    db = Database(postgres_url)
    yield House(db, tmp_path)
    db.close()
