"""Whatever an administrator changes behind the service's back, fsck finds it and says where.

Each mutation is made inside a transaction that is rolled back afterwards, with triggers and foreign keys off, as
somebody with the database's password would. Negative controls say what nobody can find without a witness.
"""

import random
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from app.audit.findings import Findings
from app.audit.fsck import Report, examine, fsck
from app.audit.fsck_tables import CHECKED, EXEMPT_COLUMNS
from app.audit.mark import Mark
from app.canon import b64url_encode
from app.custody.committing import commit_heads
from app.custody.state import Shard
from app.db import Database, metadata
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.highwater import HighWater
from app.ledger.note import SignatureType, SignerKey
from tests import small as s
from tests.audit.journey import play
from tests.custody.town import Mould, Town, postgres_mould, sqlite_mould
from tests.postgres import drop_database

BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
ROUNDS = {"sqlite": 300, "postgresql": 200}


@pytest.fixture(scope="module", params=BACKENDS)
def mould(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mould:
    folder = tmp_path_factory.mktemp("mutations")
    if request.param == "postgresql":
        return postgres_mould(request.getfixturevalue("postgres_template"), folder)
    return sqlite_mould(request.getfixturevalue("sqlite_template"), folder)


@pytest.fixture(scope="module")
def played(mould: Mould, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = mould.pour(tmp_path_factory.mktemp("played"))
    play(town)
    commit_heads(town.recorder, town.now_ms)
    note_a_shard(town)
    town.leave()
    town.db = Database(town.db.url.render_as_string(hide_password=False))
    yield town
    leave(town)


def note_a_shard(town: Town) -> None:
    """Let the service record another ledger's checkpoint, so that its table has a row."""
    key = SignerKey("kpu.example/ledger/65", SignatureType.NOTE, b"\7" * 32)
    note = sign(Checkpoint(key.name, 5, b"\1" * 32), key).decode()
    told = {
        "origin": key.name, "size": 5, "root": b64url_encode(b"\1" * 32), "key": key.verifier().to_text(), "note": note,
    }  # fmt: skip
    with town.recorder.writing() as writing:
        writing.walk.facts.expect(Shard, [key.name])
        town.recorder.say(writing.walk, writing.group, "shard.checkpoint", told, writing.walk.moment(town.now_ms))


@pytest.fixture
def town(mould: Mould, tmp_path: Path) -> Iterator[Town]:
    own = mould.pour(tmp_path / "own")
    yield own
    own.leave()
    if not own.db.is_sqlite:
        drop_database(own.db.url.render_as_string(hide_password=False))


def leave(town: Town) -> None:
    town.db.close()
    if not town.db.is_sqlite:
        drop_database(town.db.url.render_as_string(hide_password=False))


# -- the mutants ---------------------------------------------------------------------------------------


class Hand:
    """Somebody at the database's own prompt."""

    def __init__(self, session: Connection, rng: random.Random) -> None:
        self.session = session
        self.rng = rng
        self.lite = session.dialect.name == "sqlite"

    def run(self, sql: str, *values: Any) -> Any:
        return self.session.exec_driver_sql(sql if self.lite else sql.replace("?", "%s"), tuple(values))

    def rows(self, table: Table) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.run(f"SELECT * FROM {table.name} ORDER BY {', '.join(keys(table))}")]

    def where(self, table: Table, row: tuple[Any, ...]) -> tuple[str, list[Any]]:
        named = dict(zip(table.c.keys(), row, strict=True))
        return " AND ".join(f"{key} = ?" for key in keys(table)), [named[key] for key in keys(table)]

    def set(self, table: Table, row: tuple[Any, ...], column: str, value: Any) -> None:
        condition, values = self.where(table, row)
        self.run(f"UPDATE {table.name} SET {column} = ? WHERE {condition}", value, *values)

    def delete(self, table: Table, row: tuple[Any, ...]) -> None:
        condition, values = self.where(table, row)
        self.run(f"DELETE FROM {table.name} WHERE {condition}", *values)

    def insert(self, table: Table, row: tuple[Any, ...]) -> None:
        self.run(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(row))})", *row)

    # -- values ----------------------------------------------------------------------------------

    def other(self, value: Any) -> Any:
        """Return another value of the same kind: a flipped, lost, added or cut byte, a number beside it."""
        rng = self.rng
        if value is None:
            return rng.choice([0, 1, 7])
        if isinstance(value, bool):
            return not value
        if isinstance(value, int):
            return rng.choice([value + 1, value - 1, value ^ (1 << rng.randrange(20)), 0 if value else 1])
        if isinstance(value, bytes | memoryview):
            return self._bytes(bytes(value))
        return self._text(str(value))

    def _bytes(self, value: bytes) -> bytes:
        place = self.rng.randrange(len(value)) if value else 0
        flipped = bytes([value[place] ^ (1 << self.rng.randrange(8))]) if value else b"x"
        return self.rng.choice(
            [
                value[:place] + flipped + value[place + 1 :],
                value[:place] + value[place + 1 :],
                value[:place] + b"\x00" + value[place:],
                value[:place],
                value + value[-1:],
                b"",
            ]
        )

    def _text(self, value: str) -> str:
        place = self.rng.randrange(len(value)) if value else 0
        letter = self.rng.choice("AZaz09-_ \u00e9")
        return self.rng.choice(
            [
                value[:place] + letter + value[place + 1 :],
                value[:place] + value[place + 1 :],
                value[:place] + letter + value[place:],
                value[:place],
                value + letter,
                "",
            ]
        )


def keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key.columns]


def mutate(hand: Hand, table: Table) -> tuple[str, set[str], str | None]:
    """Change one thing in a table; return what was done, the keys of the rows it was done to, and the column."""
    rng, rows = hand.rng, hand.rows(table)
    kind = rng.choice(["value"] * 6 + ["delete", "duplicate", "swap", "stray"])
    row = rng.choice(rows)
    if kind == "delete" and table.name != "private_content":
        if table.name == "ledger_checkpoint":
            row = rows[-1]
        hand.delete(table, row)
        return kind, {key_text(table, row)}, None
    if kind == "duplicate" and table.name != "ledger":
        copy = dict(zip(table.c.keys(), row, strict=True))
        for key in keys(table)[1:]:
            copy[key] = hand.other(copy[key])
        for column in ("hash", "seq", "name", "origin"):  # beside the unique ones
            if column in copy and column not in keys(table):
                copy[column] = hand.other(copy[column])
        hand.insert(table, tuple(copy.values()))
        return kind, {key_text(table, tuple(copy.values()))}, None
    columns = [c.name for c in table.c if f"{table.name}.{c.name}" not in EXEMPT_COLUMNS and c.name != "ledger_id"]
    if kind == "stray" and table.name != "ledger":
        hand.set(table, row, "ledger_id", 99)
        return kind, {"99"}, None
    column = rng.choice(columns)
    place = list(table.c.keys()).index(column)
    if kind == "swap" and len(rows) > 1:
        other = rng.choice(rows)
        if other[place] != row[place] and column not in keys(table):
            hand.set(table, row, column, other[place])
            hand.set(table, other, column, row[place])
            return kind, {key_text(table, row), key_text(table, other)}, column
    value = hand.other(row[place])
    hand.set(table, row, column, value)
    changed = tuple(value if i == place else old for i, old in enumerate(row))
    return "value", {key_text(table, row), key_text(table, changed)}, column


def key_text(table: Table, row: tuple[Any, ...]) -> str:
    named = dict(zip(table.c.keys(), row, strict=True))
    if table.name == "ledger":
        return str(named["name"])
    probe = Findings()
    parts = tuple(named[key] for key in keys(table) if key != "ledger_id")
    probe.add(table.name, parts, "", "")
    return probe.found[0].row


def unguard(db: Database) -> None:
    """Take the guards away for good: triggers, and what ties rows to each other."""
    with db.write() as session:
        if session.dialect.name == "sqlite":
            for (name,) in session.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
                session.exec_driver_sql(f"DROP TRIGGER {name}")
            return
        for name in CHECKED:
            session.exec_driver_sql(f"ALTER TABLE {name} DISABLE TRIGGER ALL")


def examined(session: Any, *, signatures: bool) -> Report:
    report = Report()
    examine(session, report, signatures=signatures)
    return report


def test_every_mutation_is_located(played: Town):
    unguard(played.db)
    rng = random.Random(20241126)
    tables = [metadata.tables[name] for name in sorted(CHECKED)]
    done: Counter[str] = Counter()
    with played.db.write_engine.connect() as connection:
        if played.db.is_sqlite:
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.rollback()
            raw: Any = connection.connection.driver_connection
            raw.execute("PRAGMA foreign_keys=OFF")
        while done.total() < ROUNDS[connection.dialect.name]:
            table = tables[done.total() % len(tables)]
            with connection.begin() as transaction:
                hand = Hand(connection, rng)
                try:
                    before = hand.rows(table)
                    kind, rows, column = mutate(hand, table)
                    changed = hand.rows(table) != before
                except (DBAPIError, OverflowError):  # the schema itself refuses it
                    changed = False
                if changed:
                    report = examined(connection, signatures=done.total() % 10 == 0)
                    places = {finding.row for finding in report.findings if finding.table == table.name}
                    told = (table.name, kind, column, rows, [f.as_json() for f in report.findings][:5])
                    assert not report.clean, told
                    assert places & rows or _spelled_otherwise(table, report, rows), told
                    done[f"{table.name} {kind}"] += 1
                transaction.rollback()
    assert {name.split()[0] for name in done} == CHECKED
    assert fsck(played.db).clean


def _spelled_otherwise(table: Table, report: Report, rows: set[str]) -> bool:
    """Say whether a place is told in the table's own other words: a tile by its level and number, a slice of leaves."""
    if table.name == "ledger":
        return any(finding.table == "ledger" for finding in report.findings)
    if table.name == "ledger_leaf":
        return any(str(finding.leaf) in rows for finding in report.findings if finding.table == "ledger_leaf")
    return False


def test_a_mutation_of_a_leaf_names_its_index_and_nothing_that_is_sound(played: Town):
    unguard(played.db)
    with played.db.write_engine.connect() as connection, connection.begin() as transaction:
        hand = Hand(connection, random.Random(1))
        leaf = metadata.tables["ledger_leaf"]
        row = hand.rows(leaf)[40]
        data = bytearray(row[3])
        data[200] ^= 1
        hand.set(leaf, row, "leaf", bytes(data))
        report = examined(connection, signatures=True)
        transaction.rollback()
    assert [(f.table, f.row, f.column, f.leaf) for f in report.findings] == [("ledger_leaf", "40", "leaf", 40)]
    assert report.findings.not_checked[0].startswith("Replay ends before leaf 40")


def test_deleting_private_contents_is_no_damage(played: Town):
    unguard(played.db)
    with played.db.write_engine.connect() as connection, connection.begin() as transaction:
        assert connection.exec_driver_sql("DELETE FROM private_content").rowcount == 1
        report = examined(connection, signatures=False)
        transaction.rollback()
    assert report.clean


def test_a_cut_tail_is_found(played: Town):
    """Leaves, tiles and head set back, checkpoints left: the signatures say how many leaves there were."""
    unguard(played.db)
    size = played.size()
    with played.db.write_engine.connect() as connection, connection.begin() as transaction:
        hand = Hand(connection, random.Random(2))
        tile = metadata.tables["ledger_tile"]
        hand.run("DELETE FROM ledger_leaf WHERE leaf_index = ?", size - 1)
        row = hand.rows(tile)[0]
        hand.set(tile, row, "bytes", bytes(row[3])[:-32])
        report = examined(connection, signatures=False)
        transaction.rollback()
    assert ("ledger_leaf", "missing", size - 1) in {(f.table, f.what, f.leaf) for f in report.findings}


# -- outside the database ------------------------------------------------------------------------------


def high_water(town: Town) -> Path:
    return town.settings.high_water_file()


@pytest.mark.parametrize("damage", ["flip", "gone", "empty", "cut", "foreign"])
def test_damage_of_the_high_water_file_is_found(town: Town, damage: str):
    town.lot(5)
    path = high_water(town)
    assert fsck(town.db, high_water=path).clean
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[20] ^= 1
    elif damage == "empty":
        data = bytearray()
    elif damage == "cut":
        data = data[:300]
    if damage == "gone":
        path.unlink()
    elif damage == "foreign":
        path.unlink()
        HighWater.make(path, "other.example/ledger/x", 3, secrets.token_bytes(32)).close()
    else:
        path.write_bytes(data)
    report = fsck(town.db, high_water=path)
    assert not report.clean
    assert {finding.table for finding in report.findings} == {"high_water"}


def test_a_database_restored_from_a_backup_is_found_by_the_mark(town: Town, tmp_path: Path, mould: Mould):
    town.lot(5)
    mark = Mark.read(high_water(town))
    older = mould.pour(tmp_path / "older")
    report = Report()
    with older.db.read() as session:
        examine(session, report, marks=[mark])
    older.leave()
    assert ("high_water", "rollback") in {(f.table, f.what) for f in report.findings}


def test_a_consistent_rewrite_is_seen_by_the_mark_and_by_nothing_else_here(town: Town, tmp_path: Path, mould: Mould):
    """Negative control: whoever has the ledger key and no witness writes another past, and every part of it agrees."""
    told = town.lot(5)
    mark = Mark.read(high_water(town))
    rewritten = mould.pour(tmp_path / "rewritten")
    untold = rewritten.lot(6)
    rewritten.lot(7)
    assert told not in {row[0] for row in rewritten.query("SELECT unit FROM unit WHERE quantity = 5")}
    assert rewritten.unit(untold)["quantity"] == 6
    genesis = rewritten.one("SELECT genesis FROM ledger_state")
    assert fsck(rewritten.db, genesis=genesis, high_water=high_water(rewritten)).clean
    report = Report()
    with rewritten.db.read() as session:
        examine(session, report, marks=[mark])
    rewritten.leave()
    assert {(f.table, f.what) for f in report.findings} == {("high_water", "differs")}


def test_a_ledger_founded_anew_is_seen_by_the_pinned_genesis_alone(town: Town, db: Database, tmp_path: Path):
    """Negative control: the same origin and people, another genesis; without a pin there is nothing to compare with."""
    other = Town(db, tmp_path / "anew").settle()
    pinned = town.one("SELECT genesis FROM ledger_state")
    assert other.origin == town.origin
    assert fsck(db, high_water=high_water(other)).clean
    assert [f.what for f in fsck(db, genesis=pinned).findings] == ["genesis"]
    other.recorder._high_water.close()


# -- the file itself -----------------------------------------------------------------------------------


def test_damage_of_the_database_file_never_makes_it_fall_over(sqlite_template: Path, tmp_path: Path):
    mould = sqlite_mould(sqlite_template, tmp_path)
    town = mould.pour(tmp_path / "own")
    play(town)
    with town.db.write_engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    town.leave()
    whole = Path(str(town.db.url.database))
    rng = random.Random(3)
    found = 0
    for round_ in range(40):
        broken = tmp_path / f"broken-{round_}.db"
        shutil.copyfile(whole, broken)
        data = bytearray(broken.read_bytes())
        act = rng.choice(["bytes", "page", "cut", "header"])
        place = rng.randrange(100, len(data) - 5000)
        if act == "bytes":
            for _ in range(20):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif act == "page":
            data[place : place + 4096] = rng.randbytes(4096)
        elif act == "cut":
            del data[place:]
        else:
            data[rng.randrange(100)] ^= 0xFF
        broken.write_bytes(data)
        db = Database(f"sqlite:///{broken}")
        try:
            found += not fsck(db, signatures=False).clean
        finally:
            db.close()
    assert found > 20


def test_text_that_is_not_utf8_is_a_finding(sqlite_template: Path, tmp_path: Path):
    mould = sqlite_mould(sqlite_template, tmp_path)
    town = mould.pour(tmp_path / "own")
    lot = town.lot(5)
    with town.db.write() as session:
        session.exec_driver_sql(
            "UPDATE unit SET officer = CAST(x'ff41' AS TEXT), agencies = '[not json' WHERE unit = ?", (lot,)
        )
    report = fsck(town.db)
    town.leave()
    assert {(f.table, f.row, f.column) for f in report.findings} == {
        ("unit", lot, "officer"),
        ("unit", lot, "agencies"),
    }
    assert s.KPU
