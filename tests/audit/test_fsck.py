"""A ledger that nobody touched has no finding, however many kinds of events it holds."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.audit.fsck import fsck
from app.audit.fsck_tables import CHECKED, EXEMPT, EXEMPT_COLUMNS
from app.audit.mark import Mark
from app.cli import fsck as fsck_command
from app.cli import ledger as ledger_command
from app.cli.ledger import export_tree
from app.db import Database, metadata
from app.ledger.append import append, create_ledger
from app.ledger.checkpoint import Checkpoint
from app.ledger.highwater import HighWater, owner_of
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.tiles import parse_bundle
from app.ledger.tree import EMPTY_ROOT, leaf_hash, root_of
from tests import small as s
from tests.audit.journey import play
from tests.custody.town import Town
from tests.house import House


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def test_an_untouched_ledger_has_no_finding(town: Town):
    play(town)
    seen: dict[str, int] = {}
    report = fsck(
        town.db, high_water=town.settings.high_water_file(),
        progress=lambda name, done: seen.update({name: seen.get(name, 0) + done}),
    )  # fmt: skip
    assert [finding.as_json() for finding in report.findings] == []
    assert report.clean
    assert report.events == town.size() == seen["tree"] == seen["replay"]
    assert seen["records"] > 100
    assert report.as_json()["ledgers"][0]["size"] == town.size()


def test_every_table_is_checked_or_exempt_with_a_reason():
    assert set(metadata.tables) | {"alembic_version"} == CHECKED | EXEMPT.keys()
    assert not CHECKED & EXEMPT.keys()
    assert all(len(reason) > 10 for reason in (*EXEMPT.values(), *EXEMPT_COLUMNS.values()))


def test_an_empty_database_is_not_called_clean(db: Database):
    report = fsck(db)
    assert not report.clean
    assert report.findings.not_checked == ["There is no ledger in this database."]


def test_a_pinned_genesis_must_be_leaf_0(house: House):
    with house.db.read() as session:
        genesis = session.exec_driver_sql("SELECT genesis FROM ledger_state").scalar()
    assert fsck(house.db, genesis=genesis).clean
    (finding,) = fsck(house.db, genesis="A" * 43).findings
    assert (finding.where, finding.what, finding.leaf) == ("ledger_leaf[0]", "genesis", 0)


# -- the mark, outside the database --------------------------------------------------------------------


def found_of(house: House) -> list[tuple[str, str]]:
    return [(f.table, f.what) for f in fsck(house.db, high_water=house.settings.high_water_file()).findings]


def marked(house: House, origin: str, *trees: tuple[int, bytes]) -> None:
    """Put another mark in the place of the house's."""
    house.settings.high_water_file().unlink()
    mark = HighWater.make(house.settings.high_water_file(), origin, *trees[0])
    for size, root in trees[1:]:
        mark.advance(size, root)
    mark.close()


def test_a_mark_is_read_as_the_service_reads_it(house: House):
    size = house.recorder.published[0]
    tree = Checkpoint.parse(Note.parse(house.recorder.published[1]).text)
    assert found_of(house) == []
    marked(house, house.origin, (0, EMPTY_ROOT), (size, tree.root))
    assert found_of(house) == []
    marked(house, house.origin, (0, EMPTY_ROOT))
    assert found_of(house) == [("high_water", "missing")]
    marked(house, house.origin, (size, bytes(32)))
    assert found_of(house) == [("high_water", "differs")]
    marked(house, house.origin, (size + 1, tree.root))
    assert found_of(house) == [("high_water", "rollback")]
    for other in ("other.example/ledger/x", "x" * 200):
        marked(house, other, (size, tree.root))
        assert found_of(house) == [("high_water", "origin")]


@pytest.mark.parametrize("origin", ["test.example/ledger/x", "test.example/ledger/" + "n" * 180])
def test_a_mark_says_whose_it_is_however_long_the_origin(tmp_path: Path, origin: str):
    HighWater.make(tmp_path / "mark", origin, 2**53, bytes(32)).close()
    mark = Mark.read(tmp_path / "mark")
    assert mark.names(origin)
    assert not mark.names(origin[:-1])
    assert mark.origin == owner_of(origin)
    assert not Mark("mark", None).names(origin)


# -- from the command line -----------------------------------------------------------------------------


def command() -> typer.Typer:
    app = typer.Typer()
    fsck_command.register(app)
    ledger_command.register(app)
    return app


@pytest.fixture
def at_home(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(house.settings.data_dir))
    monkeypatch.setenv("CUSTODY_DATABASE_URL", house.db.url.render_as_string(hide_password=False))
    return house


def test_the_command_answers_0_when_clean_and_1_with_findings(at_home: House):
    clean = CliRunner().invoke(command(), ["fsck"])
    assert (clean.exit_code, clean.stdout.split("\n")[-2]) == (0, "clean")
    found = CliRunner().invoke(command(), ["fsck", "--genesis", "A" * 43, "--json"])
    assert found.exit_code == 1
    told = json.loads(found.stdout)
    assert told["findings"][0]["where"] == {"table": "ledger_leaf", "row": "0", "column": None, "leaf": 0}
    assert CliRunner().invoke(command(), ["fsck", "--nonsense"]).exit_code == 2


def test_the_command_says_so_when_there_is_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CUSTODY_DATABASE_URL", raising=False)
    assert CliRunner().invoke(command(), ["fsck"]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_an_exported_tree_is_the_ledger_and_grows_with_it(at_home: House, tmp_path: Path):
    folder = tmp_path / "export"
    first = CliRunner().invoke(command(), ["ledger", "export", str(folder)])
    assert first.exit_code == 0, first.output
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"}
    leaves = parse_bundle((folder / "tile/entries/000.p/3").read_bytes())
    tile = (folder / "tile/0/000.p/3").read_bytes()
    assert b"".join(map(leaf_hash, leaves)) == tile
    assert Checkpoint.parse(Note.parse((folder / "checkpoint").read_bytes()).text).root == root_of(
        [*map(leaf_hash, leaves)]
    )
    again = CliRunner().invoke(command(), ["ledger", "export", str(folder)])
    assert " 0 files written" in again.stdout
    at_home.enrol("KPU-9", s.KPU, "LOGISTIK", s.CITY)
    grown = CliRunner().invoke(command(), ["ledger", "export", str(folder)])
    assert " 3 files written" in grown.stdout
    assert (folder / "tile/0/000.p/4").read_bytes().startswith(tile)
    assert not list(folder.rglob("*.part"))


def test_an_exported_file_is_never_overwritten(at_home: House, tmp_path: Path):
    folder = tmp_path / "export"
    CliRunner().invoke(command(), ["ledger", "export", str(folder)])
    tile = folder / "tile/0/000.p/3"
    tile.write_bytes(b"x" * 96)
    refused = CliRunner().invoke(command(), ["ledger", "export", str(folder)])
    assert refused.exit_code == 1
    assert tile.read_bytes() == b"x" * 96
    (folder / "checkpoint").write_text("origin\n99\nroot\n")
    assert CliRunner().invoke(command(), ["ledger", "export", str(folder)]).exit_code == 1


def test_a_large_tree_is_exported_whole(db: Database, tmp_path: Path):
    with db.write() as session:
        head = create_ledger(session, "large", "large.example/l")
        key = SignerKey("large.example/l", SignatureType.NOTE, bytes(32))
        leaves = [str(n).encode() for n in range(600)]
        head = append(session, head, leaves, [key], 0).head
    with db.read() as session:
        assert export_tree(session, head, tmp_path / "tree") == 8
    files = {
        path.relative_to(tmp_path / "tree").as_posix() for path in tmp_path.glob("tree/tile/**/*") if path.is_file()
    }
    assert files == {
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
        "tile/entries/000",
        "tile/entries/001",
        "tile/entries/002.p/88",
    }
