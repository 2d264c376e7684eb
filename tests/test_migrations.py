"""Migrations: one head, both databases, models equal the schema, and the guards stand."""

from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import app.custody._tables
import app.keys._tables
import app.ledger._tables
import app.units._tables  # noqa: F401 - each fills the metadata
from app.db import Database, metadata, normal_url
from tests.house import House

INSERT_ONLY = (
    "event", "event_unit", "ledger_leaf", "ledger_checkpoint", "document", "tally", "ledger_alarm", "ledger_stamp",
    "head_commit",
)  # fmt: skip


def _open(url: str) -> Connection:
    return create_engine(normal_url(url), poolclass=NullPool).connect()


def test_the_migrated_schema_is_the_models(database_url: str) -> None:
    with _open(database_url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_key_of_a_ledgers_table_begins_with_the_ledger(database_url: str) -> None:
    with _open(database_url) as connection:
        look = inspect(connection)
        for table in look.get_table_names():
            if table in {"alembic_version", "ledger"}:
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
        connection.exec_driver_sql("INSERT INTO ledger VALUES (1, 'n', 'o', 0, x'00', x'00', 0, NULL)")
        connection.exec_driver_sql("INSERT INTO document VALUES (1, 'h', 'policy', x'00')")
        change: Callable[[], object] = lambda: connection.exec_driver_sql("UPDATE document SET kind = 'plan'")  # noqa: E731
        with pytest.raises(DBAPIError):
            change()
        connection.exec_driver_sql("DROP TRIGGER document_freeze")
        change()
