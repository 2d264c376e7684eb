"""The database's promises: one write transaction, readers that cannot write, durability that cannot be lowered."""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Column, PrimaryKeyConstraint, Table
from sqlalchemy.exc import DBAPIError

from app.db import Database, Flag, Int, JsonText, MetaData, Str, decode_json, encode_json
from app.errors import BusyError
from app.rows import RecordTable

OWN = MetaData()
THING = Table(
    "thing",
    OWN,
    Column("ledger_id", Int, nullable=False),
    Column("name", Str, nullable=False),
    Column("n", Int),
    Column("yes", Flag, nullable=False),
    Column("tags", JsonText, nullable=False),
    PrimaryKeyConstraint("ledger_id", "name"),
    sqlite_strict=True,
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A record for these tests."""

    name: str
    n: int | None
    yes: bool
    tags: tuple[str, ...] | dict[str, int] = field(default_factory=tuple)


THINGS = RecordTable(THING, Thing, "name")


@pytest.fixture
def things(db: Database) -> Database:
    """A database with the table of these tests."""
    with db.write() as session:
        OWN.create_all(session)
    return db


def test_a_write_is_there_after_its_block_and_nothing_is_there_after_an_error(things: Database) -> None:
    with things.write() as session:
        THINGS.store(session, 1, [Thing("a", 1, True, ("x", "y"))])

    def failing() -> None:
        with things.write() as session:
            THINGS.store(session, 1, [Thing("b", 2, False)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    with things.read() as session:
        assert THINGS.fetch(session, 1, ["a", "b"]) == [Thing("a", 1, True, ("x", "y"))]


def test_the_read_engine_cannot_write(things: Database) -> None:
    with pytest.raises(DBAPIError), things.read() as session:
        session.exec_driver_sql("INSERT INTO thing (ledger_id, name, yes, tags) VALUES (1, 'z', NULL, '[]')")
    with pytest.raises(DBAPIError), things.read() as session:
        session.exec_driver_sql("DELETE FROM thing")


def test_records_come_back_as_they_went_and_are_replaced_by_key(things: Database) -> None:
    first = [Thing("a", None, False, {"k": 1}), Thing("B", 2, True, ("q",)), Thing("é", 3, True)]
    with things.write() as session:
        THINGS.store(session, 1, first)
        THINGS.store(session, 1, [replace(first[1], n=20)])
        THINGS.store(session, 2, [Thing("a", 9, True)])
    with things.read() as session:
        assert THINGS.fetch(session, 1, ["é", "a", "B", "nobody"]) == [replace(first[1], n=20), first[0], first[2]]
        assert [thing.name for thing in THINGS.everything(session, 1)] == ["B", "a", "é"]
        assert THINGS.fetch(session, 1, []) == []


def test_text_sorts_by_code_point(things: Database) -> None:
    names = ["b", "a", "B", "A", "_", "é", "Z", "z", "0"]
    with things.write() as session:
        THINGS.store(session, 1, [Thing(name, 0, True) for name in names])
    with things.read() as session:
        assert [thing.name for thing in THINGS.everything(session, 1)] == sorted(names)


def test_the_number_of_statements_does_not_grow_with_the_number_of_records(things: Database) -> None:
    counted: list[str] = []
    from sqlalchemy import event  # noqa: PLC0415 - only this test listens

    event.listen(things.write_engine, "before_cursor_execute", lambda *args: counted.append(args[2]))
    for n in (1, 500):
        counted.clear()
        with things.write() as session:
            THINGS.store(session, 1, [Thing(str(i), i, True) for i in range(n)])
            THINGS.fetch(session, 1, [str(i) for i in range(n)])
        assert len([sql for sql in counted if "thing" in sql]) == 2


def test_insert_refuses_a_key_that_exists(things: Database) -> None:
    with things.write() as session:
        THINGS.insert(session, 1, [Thing("a", 1, True)])
    with pytest.raises(DBAPIError), things.write() as session:
        THINGS.insert(session, 1, [Thing("a", 2, True)])


def test_sqlite_runs_at_full_and_has_no_setting_to_lower_it(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    database.check_durability()
    with database.write_engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1}
    with database.write_engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA synchronous=NORMAL")
    with pytest.raises(RuntimeError, match="synchronous=FULL"):
        database.check_durability()
    database.close()


@pytest.mark.postgres
def test_postgresql_without_synchronous_commit_is_refused(postgres_url: str) -> None:
    database = Database(postgres_url)
    database.check_durability()
    name = database.url.database
    with database.write_engine.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        connection.commit()
    database.close()
    again = Database(postgres_url)
    with pytest.raises(RuntimeError, match="synchronous_commit"):
        again.check_durability()
    again.close()


def test_writers_of_one_sqlite_database_take_turns(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as session:
        OWN.create_all(session)
        THINGS.store(session, 1, [Thing("n", 0, True)])

    def add() -> None:
        for _ in range(25):
            with database.write() as session:
                (thing,) = THINGS.fetch(session, 1, ["n"])
                THINGS.store(session, 1, [replace(thing, n=(thing.n or 0) + 1)])

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert THINGS.fetch(session, 1, ["n"])[0].n == 200
    database.close()


def test_a_lock_held_by_another_process_is_busy_not_an_error_page(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.db.BUSY_TIMEOUT_MS", 50)
    one, other = Database(sqlite_url), Database(sqlite_url)
    with one.write(), pytest.raises(BusyError), other.write():
        pass
    one.close()
    other.close()


def test_json_columns_are_one_text_per_value() -> None:
    assert encode_json({"b": 1, "a": ("x",)}) == '{"a":["x"],"b":1}'
    assert decode_json('{"a":["x",["y"]],"b":1}') == {"a": ("x", ("y",)), "b": 1}
    with pytest.raises(ValueError, match=r"expected|key"):
        decode_json("{broken")


def test_the_folder_of_the_database_is_the_callers(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    with database.read() as session:
        assert session.exec_driver_sql("SELECT 1").scalar() == 1
    database.close()


def test_the_log_is_moved_beside_a_writer_and_waits_for_readers(sqlite_url):
    """A reader that still sees the past keeps later pages in the log; nothing is lost either way."""
    db = Database(sqlite_url)
    path = Path(db.url.database or "")
    for n in range(50):
        with db.write() as session:
            session.exec_driver_sql("INSERT INTO ledger_name VALUES (?, ?, ?)", (n + 1, f"l{n}", f"o{n}"))
    assert db.tidy() == 0
    moved = path.stat().st_size
    with db.read() as reading:
        assert reading.exec_driver_sql("SELECT count(*) FROM ledger_name").scalar() == 50
        with db.write() as session:
            session.exec_driver_sql("DELETE FROM ledger_name WHERE ledger_id > 10")
            assert db.tidy() == 0, "what is not committed is not in the log yet"
        assert db.tidy() > 0, "the reader still sees fifty"
        assert reading.exec_driver_sql("SELECT count(*) FROM ledger_name").scalar() == 50
    assert db.tidy() == 0
    assert path.stat().st_size >= moved
    db.close()
