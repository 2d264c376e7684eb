"""The migration to a spread database, against a stand-in that refuses what Citus refuses (`stand_in.sql` says what
that proves and what it does not)."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.audit.fsck import fsck
from app.cli import citus
from app.cli.citus import NotSpreadError, create_table, spread
from app.cli.migrate import upgrade
from app.db import Database, metadata, normal_url
from tests import small
from tests.house import House
from tests.postgres import drop_database, fresh_database

pytestmark = pytest.mark.postgres
STAND_IN = Path(__file__).with_name("stand_in.sql")
RANGES = {"ledger_leaf_0", "ledger_leaf_1", "ledger_leaf_rest"}


def install(url: str) -> None:
    """Put the stand-in into a database."""
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(), autocommit=True) as raw:
        raw.execute(STAND_IN.read_text(encoding="utf-8"))


@pytest.fixture
def empty_url(postgres_server: str) -> Iterator[str]:
    """A database with the stand-in and nothing of ours."""
    url = fresh_database(postgres_server)
    install(url)
    yield url
    drop_database(url)


def asked(url: str, sql: str) -> list[tuple[object, ...]]:
    engine = create_engine(normal_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def kept(url: str) -> dict[str, str]:
    """Return how each table is kept, in the order in which they were distributed."""
    return dict(asked(url, "SELECT name, kind FROM stand_in ORDER BY n"))  # type: ignore[arg-type]


def shape(url: str) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Return foreign keys and guards."""
    keys = asked(url, "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
                      "WHERE contype = 'f' AND conparentid = 0 ORDER BY 1, 2")  # fmt: skip
    triggers = asked(url, "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger "
                          "WHERE NOT tgisinternal ORDER BY 1, 2")  # fmt: skip
    return keys, triggers


def check_spread(url: str, plain: str) -> None:
    """Hold a spread database to what it must be, and to one that is not."""
    found = kept(url)
    assert set(found) == set(metadata.tables) | RANGES
    assert list(found)[:2] == ["ledger_name", "ledger"], "what others refer to comes first"
    assert found.pop("ledger_name") == "reference"
    assert set(found.values()) == {"ledger"}, "every ledger's rows lie beside its head"
    keys, triggers = shape(url)
    assert (keys, triggers) == (shape(plain)[0], []), "the foreign keys are on again, the guards are off"


def test_a_new_database_is_spread_as_it_is_made(empty_url, postgres_url, tmp_path):
    upgrade(empty_url)
    check_spread(empty_url, postgres_url)
    upgrade(empty_url)
    db = Database(empty_url)
    house = House(db, tmp_path)
    house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    assert fsck(db).clean
    db.close()
    upgrade(empty_url)
    check_spread(empty_url, postgres_url)


def test_privileges_guard_what_triggers_do_not(empty_url, tmp_path):
    upgrade(empty_url)
    db = Database(empty_url)
    House(db, tmp_path)
    for table in ("event", "ledger_leaf", "document", "ledger_checkpoint"):
        said = asked(empty_url, f"SELECT relacl::text FROM pg_class WHERE oid = '{table}'::regclass")
        assert not {"w", "d", "D"} & set(str(said[0][0]).split("=")[1].split("/")[0]), table
    db.close()


def test_ledgers_that_are_there_are_moved_when_somebody_says_so(
    postgres_url, postgres_server, postgres_template, tmp_path
):
    plain = fresh_database(postgres_server, template=postgres_template)
    db = Database(postgres_url)
    house = House(db, tmp_path)
    upgrade(postgres_url)
    assert shape(postgres_url) == shape(plain), "without the extension nothing happens"
    install(postgres_url)
    with pytest.raises(NotSpreadError, match="--distribute"):
        upgrade(postgres_url)
    assert kept(postgres_url) == {}
    upgrade(postgres_url, distribute=True)
    check_spread(postgres_url, plain)
    house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    assert fsck(db).clean
    db.close()
    drop_database(plain)


def test_a_refusal_on_the_way_leaves_everything_as_it_was(empty_url, postgres_url, monkeypatch):
    """Ten tables are distributed when the eleventh is refused: none is, and guards and foreign keys stand."""
    real = citus._distribute

    def failing(connection: Connection, name: str, kind: citus.Kind) -> None:
        real(connection, name, kind)
        if name == "event":
            connection.exec_driver_sql("SELECT create_distributed_table('alembic_version', 'ledger_id')")

    monkeypatch.setattr(citus, "_distribute", failing)
    with pytest.raises(DBAPIError, match="must include"):
        upgrade(empty_url)
    assert kept(empty_url) == {}
    assert shape(empty_url) == shape(postgres_url)


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("_drop_triggers", "because it has the trigger"),
        ("_careful", "parallel operations|no lock timeout"),
    ],
)
def test_what_the_migration_takes_care_of_is_needed(empty_url, monkeypatch, left_out, said):
    """Control: the stand-in refuses when it is left out."""
    monkeypatch.setattr(citus, left_out, lambda *_: None)
    with pytest.raises(DBAPIError, match=said):
        upgrade(empty_url)


def test_the_stand_in_refuses_keys_without_the_ledger_and_foreign_keys_to_local_tables(empty_url):
    """Control: as names were unique in `ledger` itself, and as tables stand when their foreign keys are left on."""
    cases = {
        "CREATE TABLE a (ledger_id bigint PRIMARY KEY, name text UNIQUE)": "must include the partition column",
        "CREATE TABLE b (x int PRIMARY KEY); CREATE TABLE a (ledger_id bigint PRIMARY KEY REFERENCES b)": "to a local table",
        "CREATE TABLE a (ledger_id bigint PRIMARY KEY); CREATE TABLE b (x bigint REFERENCES a)": "refers to it",
    }
    engine = create_engine(normal_url(empty_url), poolclass=NullPool)
    for made, said in cases.items():
        with engine.connect() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            connection.exec_driver_sql(made)
            with pytest.raises(DBAPIError, match=said):
                connection.exec_driver_sql("SELECT create_distributed_table('a', 'ledger_id')")


def test_the_catalogue_is_not_read_where_that_waits_for_ever(empty_url):
    engine = create_engine(normal_url(empty_url), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
        connection.exec_driver_sql("CREATE TABLE a (ledger_id bigint PRIMARY KEY)")
        connection.exec_driver_sql("SELECT create_distributed_table('a', 'ledger_id')")
        with pytest.raises(DBAPIError, match="waits for ever"):
            citus.distributed(connection)


def test_ranges_that_are_made_later_have_no_triggers_on_a_spread_database(empty_url, postgres_url, tmp_path):
    """Citus takes none; on plain PostgreSQL they have them."""
    upgrade(empty_url)
    for name, url in (("spread", empty_url), ("plain", postgres_url)):
        db = Database(url)
        House(db, tmp_path / name)
        with db.write() as session:
            session.exec_driver_sql("UPDATE ledger SET size = size + (1 << 25)")
        db.close()
        upgrade(url)
    guarded = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'ledger_leaf_3'::regclass AND NOT tgisinternal"
    assert asked(empty_url, guarded) == [(0,)]
    assert asked(postgres_url, guarded) == [(2,)]


@pytest.mark.parametrize("where", ["spread", "plain", "sqlite"])
def test_a_later_revision_makes_a_table_that_is_distributed_at_once(where, request, tmp_path):
    """`create_table` is what revisions after this one use; elsewhere it is `op.create_table`."""
    url = {"plain": "postgres_url", "spread": "empty_url", "sqlite": "sqlite_url"}[where]
    url = request.getfixturevalue(url)
    upgrade(url)
    engine = create_engine(normal_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        for name in ("later", "latest"):
            create_table(
                Operations(MigrationContext.configure(connection)), name,
                sa.Column("ledger_id", sa.BigInteger(), nullable=False), sa.Column("n", sa.BigInteger(), nullable=False),
                sa.PrimaryKeyConstraint("ledger_id", "n", name=f"pk_{name}"),
                sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=f"fk_{name}_ledger_id"),
            )  # fmt: skip
    for name in ("later", "latest"):
        with engine.connect() as connection:
            foreign = sa.inspect(connection).get_foreign_keys(name)
        assert [key["referred_table"] for key in foreign] == ["ledger"]
        assert where != "spread" or kept(url)[name] == "ledger"


def test_nothing_is_asked_of_a_database_without_the_extension(sqlite_url, postgres_url):
    assert spread(sqlite_url, with_rows=True) == []
    assert spread(postgres_url, with_rows=True) == []
