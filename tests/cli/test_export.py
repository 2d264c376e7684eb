"""Parquet files by day: the same bytes for the same tree, resumable, signed, checked, and asked by DuckDB."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from app.audit import handing, parquet
from app.audit.handed import Against, check_handed
from app.audit.manifest import JOURNAL, MANIFEST, NOTE, open_manifest, parse_manifest, sign_manifest
from app.audit.rows import TABLES
from app.canon import b64url_encode, jcs, sha256
from app.db import Database
from app.errors import MalformedError, MissingError, RefusedError, ServiceError, TamperError, UnprovenError
from app.ledger.append import Reader, read_head
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.trust import Trust
from tests.cli.exporting import (
    DAY_MINUTES,
    World,
    against,
    checked,
    custody,
    export,
    files_of,
    flip,
    handed,
    own,
    played,
    rewritten,
    sign_again,
)
from tests.custody.town import Town
from tests.exchange.shelf import shelving, write_tree

ROOT = Path(__file__).resolve().parents[2]
WITH = "JOIN {events} USING (leaf_index)"
ACCEPTED = "(result = 'accepted' OR event IN (SELECT about FROM {events} WHERE outcome = 'accepted'))"


@pytest.fixture(scope="module")
def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with played(sqlite_template, tmp_path_factory.mktemp("parquet")) as made:
        yield made


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Path:
    """A copy of the files, to be harmed."""
    shutil.copytree(world.out, tmp_path / "copy")
    return tmp_path / "copy"


# -- what is written ---------------------------------------------------------------------------------------


def test_files_lie_by_ledger_and_day_and_hold_every_leaf(world: World):
    manifest = parse_manifest((own(world, world.out) / MANIFEST).read_bytes())
    days = {file.day for file in manifest.files}
    assert len(days) >= 4
    assert set(files_of(world.out)) == {file.path for file in manifest.files} | {
        f"ledger={world.name}/{name}" for name in (MANIFEST, NOTE)
    }
    assert {file.table for file in manifest.files} == set(TABLES)
    assert sum(file.rows for file in manifest.files if file.table == "events") == manifest.size == world.town.size()


def test_the_same_tree_gives_the_same_bytes_in_any_number_of_runs(world: World, tmp_path: Path):
    handed(world.town, tmp_path / "whole")
    assert files_of(tmp_path / "whole") == files_of(world.out)
    days = sorted({file.day for file in handed(world.town, tmp_path / "parts", until="2000-01-01").manifest.files})
    assert days == []
    for day in sorted({path.parent.name for path in world.out.rglob("*.parquet")}):
        handed(world.town, tmp_path / "parts", since=day[4:], until=day[4:])
    assert files_of(tmp_path / "parts") == files_of(world.out)


def test_a_day_that_is_over_is_never_written_again(world: World, copy: Path):
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")}
    assert handed(world.town, copy).days_written == 0
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.parquet")} == before


def test_the_newest_day_grows_and_the_others_stay(sqlite_url: str, tmp_path: Path):
    town = Town(Database(sqlite_url), tmp_path / "house").settle()
    first = handed(town, tmp_path / "out").manifest
    before = files_of(tmp_path / "out")
    box = town.box()
    assert handed(town, tmp_path / "out").days_written == 1, "the day that was not over"
    town.tick(DAY_MINUTES)
    town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))
    done = handed(town, tmp_path / "out")
    assert done.days_written == 1
    assert done.manifest.size > first.size
    after = files_of(tmp_path / "out")
    last = max(file.day for file in first.files)
    assert {name: data for name, data in after.items() if last not in name}.items() >= {
        name: data for name, data in before.items() if last not in name and name.endswith(".parquet")
    }.items()
    trust = Trust((town.recorder._keys.ledger.verifier(),))
    tree = against(export(town, tmp_path / "tree"))
    assert check_handed(tmp_path / "out", town.settings.ledger, trust, tree).result == "PASS"
    town.db.close()


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_a_run_that_was_killed_goes_on_and_leaves_parts_only(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, noted: bool
):
    """Killed before and after the day number `at` is noted: the next run gives the same bytes."""
    real, seen = handing._note_down, []

    def die(journal: Path, signed: Any) -> None:
        if len(seen) < at or noted:
            real(journal, signed)
        if len(seen) == at:
            raise KeyboardInterrupt
        seen.append(signed)

    monkeypatch.setattr(handing, "_note_down", die)
    with pytest.raises(KeyboardInterrupt):
        handed(world.town, tmp_path)
    assert not (own(world, tmp_path) / MANIFEST).exists()
    monkeypatch.setattr(handing, "_note_down", real)
    with (own(world, tmp_path) / JOURNAL).open("ab") as journal:
        journal.write(b'{"manifest": "torn')
    days = len({path.parent for path in world.out.rglob("*.parquet")})
    assert handed(world.town, tmp_path).days_written == days - at - noted
    assert files_of(tmp_path) == files_of(world.out)


def test_what_was_changed_is_not_signed(world: World, copy: Path):
    victim = next(copy.rglob("units.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    before = (own(world, copy) / NOTE).read_bytes()
    with pytest.raises(TamperError, match="not the file that was written"):
        handed(world.town, copy)
    assert (own(world, copy) / NOTE).read_bytes() == before


def test_both_databases_give_files_that_prove_themselves(db: Database, tmp_path: Path):
    town = Town(db, tmp_path / "house").settle()
    box = town.box()
    town.tick(DAY_MINUTES)
    town.ok(town.release([box]))
    done = handed(town, tmp_path / "out")
    assert len({file.day for file in done.manifest.files}) == 2
    trust = Trust((town.recorder._keys.ledger.verifier(),))
    tree = against(export(town, tmp_path / "tree"))
    report = check_handed(tmp_path / "out", town.settings.ledger, trust, tree)
    assert (report.result, report.compared) == ("PASS", "every row with its leaf"), report.findings
    town.recorder._high_water.close()


def test_rows_are_written_in_groups_and_read_back(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 8)
    monkeypatch.setattr(parquet, "PIECE_ROWS", 4)
    handed(world.town, tmp_path)
    victim = max(tmp_path.rglob("events.parquet"), key=lambda path: path.stat().st_size)
    groups = parquet.arrow()[1].read_metadata(victim).num_row_groups
    assert groups == -(-parquet.count_of(victim, "events") // 8) > 4
    assert checked(world, tmp_path, against(world.tree)).result == "PASS"


def test_some_days_alone_are_checked_by_keys_of_the_days_before(world: World, tmp_path: Path):
    last = max(path.parent.name for path in world.out.rglob("*.parquet"))[4:]
    manifest = handed(world.town, tmp_path, since=last).manifest
    assert {file.day for file in manifest.files} == {last}
    assert manifest.files[0].first > 0
    report = checked(world, tmp_path, against(world.tree))
    assert (report.result, report.compared) == ("PASS", "every row with its leaf"), report.findings


def test_nothing_that_people_wrote_and_no_private_content_is_in_the_files(world: World):
    found = duckdb.sql(f"SELECT * FROM '{world.out}/*/*/events.parquet'").columns
    assert found[:18] == [column.name for column in TABLES["events"]]
    raw = b"".join(data for name, data in files_of(world.out).items() if name.endswith(".parquet"))
    assert b"117400" not in raw, "a coordinate of the journey, which travelled beside its event"
    assert b"details" not in raw


# -- what is checked ---------------------------------------------------------------------------------------


def test_honest_files_pass_alone_with_hashes_and_with_leaves(world: World):
    for tree, compared in (
        (None, "nothing"), (against(world.tree, leaves=False), "the hash of every event's leaf"),
        (against(world.tree), "every row with its leaf"),
    ):  # fmt: skip
        report = checked(world, world.out, tree)
        assert (report.result, report.compared) == ("PASS", compared), report.findings


def forge(world: World, folder: Path, table: str, change: Callable[[list[Any]], list[Any]]) -> None:
    """Change rows of a table's largest file and sign the manifest that fits, with the ledger's own key."""
    manifest = parse_manifest((own(world, folder) / MANIFEST).read_bytes())
    victim = max((file for file in manifest.files if file.table == table), key=lambda file: file.rows)
    rewritten(folder / victim.path, change)
    told = parquet.hash_of(folder / victim.path)
    files = tuple(
        file
        if file != victim
        else file.model_copy(update={**told, "rows": parquet.count_of(folder / file.path, file.table)})
        for file in manifest.files
    )
    sign_again(world, folder, files=files)


@pytest.mark.parametrize("table", list(TABLES))
@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: [*rows, rows[-1]],
        lambda rows: [rows[-1], *rows[1:]],
        lambda rows: [(*rows[0][:1], "X", *rows[0][2:]), *rows[1:]],
    ],
)
def test_rows_that_are_not_the_leaves_are_found_though_the_service_signed_them(
    world: World, copy: Path, table: str, change: Callable[[list[Any]], list[Any]]
):
    forge(world, copy, table, change)
    alone = checked(world, copy)
    assert checked(world, copy, against(world.tree)).result == "FAIL"
    assert table == "events" or alone.result == "PASS", "the control: nobody else can tell"


@pytest.mark.parametrize("content", [b"", b"PAR1" * 20, "another table", "the middle gone"])
def test_a_file_that_is_no_such_table_is_told_though_the_service_signed_it(
    world: World, copy: Path, content: bytes | str
):
    manifest = parse_manifest((own(world, copy) / MANIFEST).read_bytes())
    victim = manifest.files[0]
    where = copy / victim.path
    assert victim.table == "events"
    if content == "another table":
        where.write_bytes((copy / manifest.files[1].path).read_bytes())
    elif content == "the middle gone":
        data = where.read_bytes()
        where.write_bytes(data[:200] + bytes(400) + data[600:])
    else:
        where.write_bytes(bytes(content))
    changed = victim.model_copy(update=parquet.hash_of(where))
    sign_again(world, copy, files=(changed, *manifest.files[1:]))
    assert checked(world, copy, against(world.tree)).result == "FAIL"
    assert checked(world, copy, against(world.tree, leaves=False)).result == "FAIL"


def test_an_events_leaf_hash_is_proven_by_hash_tiles_alone(world: World, copy: Path):
    forge(world, copy, "events", lambda rows: [(*rows[0][:1], "A" * 43, *rows[0][2:]), *rows[1:]])
    report = checked(world, copy, against(world.tree, leaves=False))
    assert [found.code for found in report.findings] == ["tile"]


HARMS: dict[str, Callable[[Path], object]] = {
    "a byte": lambda folder: flip(next(folder.rglob("units.parquet"))),
    "a file that is gone": lambda folder: next(folder.rglob("handovers.parquet")).unlink(),
    "a file that is none": lambda folder: (
        (one := next(folder.rglob("events.parquet"))).unlink(), one.mkdir(),
    ),
    "a manifest that is cut": lambda folder: flip(next(folder.rglob(MANIFEST))),
    "no note": lambda folder: next(folder.rglob(NOTE)).unlink(),
    "a note of others": lambda folder: next(folder.rglob(NOTE)).write_bytes(b"junk"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_harm_is_told(world: World, copy: Path, harm: str):
    HARMS[harm](copy)
    assert checked(world, copy).result == "FAIL"


def test_a_day_that_nobody_signed_is_told(world: World, copy: Path):
    shutil.copytree(next(copy.rglob("day=*")), own(world, copy) / "day=2031-01-01")
    report = checked(world, copy)
    assert {found.code for found in report.findings} == {"not_listed"}
    shutil.rmtree(own(world, copy) / "day=2031-01-01")
    (own(world, copy) / "day=2031-01-01").symlink_to(next(copy.rglob("day=*")))
    assert {found.code for found in checked(world, copy).findings} == {"not_listed"}
    (own(world, copy) / "day=2031-01-01").unlink()
    for left in (next(copy.rglob("events.parquet")), own(world, copy) / MANIFEST, own(world, copy) / NOTE):
        left.with_name(f"{left.name}.part").write_bytes(b"left by a crash")
    (own(world, copy) / JOURNAL).write_bytes(b"left by a crash")
    assert checked(world, copy).result == "PASS"


def test_another_key_a_checkpoint_and_a_list_sign_no_manifest(world: World, copy: Path):
    data = (own(world, copy) / MANIFEST).read_bytes()
    note = (own(world, copy) / NOTE).read_bytes()
    assert open_manifest(data, note, world.trust).size == world.town.size()
    stranger = SignerKey(world.keys[0].name, SignatureType.NOTE, b"\x05" * 32)
    manifest = parse_manifest(data)
    digest = b64url_encode(sha256(data))

    def over(origin: str = manifest.origin, size: int = manifest.size, root: str = manifest.root) -> bytes:
        text = f"custody-parquet/v1\n{origin}\n{size}\n{root}\n{digest}\n"
        return Note(text, (world.keys[0].sign(text),)).to_bytes()

    assert over() == note, "the control"
    for other in (
        sign_manifest(manifest, [stranger]).note,
        sign(Checkpoint(manifest.origin, manifest.size, b"\x01" * 32), world.keys[0]),
        manifest.checkpoint.encode(),
        over(size=manifest.size - 1),
        over(origin="other.example/x"),
        over(root="A" * 43),
    ):
        with pytest.raises(UnprovenError):
            open_manifest(data, other, world.trust)
    with pytest.raises(ServiceError):  # and a manifest's note is no checkpoint
        Trust(world.trust.keys).open(note)


def test_a_checkpoint_of_another_tree_in_the_manifest_is_refused(world: World, copy: Path):
    sign_again(world, copy, size=world.town.size() + 1)
    assert checked(world, copy).result == "FAIL"
    stranger = SignerKey(world.keys[0].name, SignatureType.NOTE, b"\x05" * 32)
    shutil.copytree(world.out, copy, dirs_exist_ok=True)
    manifest = parse_manifest((own(world, copy) / MANIFEST).read_bytes())
    checkpoint = Checkpoint.parse(Note.parse(manifest.checkpoint.encode()).text)
    sign_again(world, copy, checkpoint=sign(checkpoint, stranger).decode())
    assert checked(world, copy).result == "FAIL"


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "ledger=x/day=2024-10-20/events.parquet",
        "ledger={name}/day=../events.parquet",
    ],
)
def test_a_path_is_what_day_and_table_make_of_it(world: World, copy: Path, path: str):
    manifest = parse_manifest((own(world, copy) / MANIFEST).read_bytes())
    wrong = manifest.files[0].model_copy(update={"path": path.format(name=world.name)})
    sign_again(world, copy, files=(wrong, *manifest.files[1:]))
    report = checked(world, copy)
    assert (report.result, report.files) == ("FAIL", 0)


def test_a_manifest_has_one_form(world: World):
    data = (own(world, world.out) / MANIFEST).read_bytes()
    value = json.loads(data)
    files = value["files"]
    wrong = [
        {**value, "more": 1}, {**value, "v": 2}, {**value, "kind": "x"}, {**value, "ledger": "../x"},
        {**value, "files": files[::-1]}, {**value, "files": files[1:]}, {**value, "files": [*files, files[-1]]},
        {**value, "files": [{**files[0], "end": value["size"] + 1}, *files[1:]]},
        {**value, "files": [{**files[0], "first": files[0]["end"]}, *files[1:]]},
        {**value, "files": [{**each, "first": 0} for each in files]},
        {**value, "files": [{**files[0], "rows": -1}, *files[1:]]},
        {**value, "files": [{**files[0], "writer": ""}, *files[1:]]},
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(MalformedError):
            parse_manifest(jcs(each))
    with pytest.raises(MalformedError):
        parse_manifest(data + b"\n")
    assert parse_manifest(data).to_bytes() == data, "the control"


def test_a_tree_that_is_older_or_another_one_decides_nothing_or_fails(world: World, tmp_path: Path, sqlite_url: str):
    folder = tmp_path / "old"
    shutil.copytree(world.tree, folder)
    old = Checkpoint(world.keys[0].name, 1, b"\x02" * 32)
    assert checked(
        world, world.out, Against(against(folder).read, sign(old, world.keys[0]), has_leaves=False)
    ).result == ("INCOMPLETE")
    flip(next(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file()))
    assert checked(world, world.out, against(folder)).result == "FAIL"
    other = SignerKey(world.keys[0].name, SignatureType.NOTE, b"\x05" * 32)
    forged = Against(against(world.tree).read, sign(Checkpoint(other.name, 500, b"\x02" * 32), other), has_leaves=True)
    assert checked(world, world.out, forged).result == "FAIL"


def test_a_tree_that_forked_before_the_days_in_hand_is_another_one(world: World, tmp_path: Path):
    """The ledger's own key signed both, and the leaves of the last day are the same in both."""
    last = max(path.parent.name for path in world.out.rglob("*.parquet"))[4:]
    manifest = handed(world.town, tmp_path / "out", since=last).manifest
    with world.town.db.read() as session:
        held = [leaf for _, leaf, _ in Reader(read_head(session).ledger_id).leaves(session, 0, manifest.size)]
    for name, leaves, result in (("same", held, "PASS"), ("fork", [held[0] + b" ", *held[1:]], "FAIL")):
        write_tree(tmp_path / name, leaves, world.keys[0])
        report = checked(world, tmp_path / "out", against(tmp_path / name, leaves=False))
        assert report.result == result, name


def test_a_name_that_is_no_folders_is_refused(sqlite_url: str, tmp_path: Path):
    town = Town(Database(sqlite_url), tmp_path / "house")
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as raw, raw:
        raw.execute("UPDATE ledger SET name = '../x'")
    with pytest.raises(RefusedError):
        handed(town, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    town.db.close()


# -- the command, and DuckDB -------------------------------------------------------------------------------


def test_the_command_writes_and_checks(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(world.town.settings.data_dir))
    monkeypatch.setenv("CUSTODY_DATABASE_URL", world.town.db.url.render_as_string(hide_password=False))
    monkeypatch.setenv("CUSTODY_LEDGER", world.name)
    done = custody("export", "parquet", "--out", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["size"] == world.town.size()
    assert files_of(tmp_path / "out") == files_of(world.out)
    assert custody("export", "parquet", "--out", tmp_path / "out").stdout.endswith("0 days written now\n")
    vkey = world.trust.keys[0].to_text()
    done = custody("export", "check", tmp_path / "out", "--vkey", vkey, "--against", world.tree, "--json")
    assert (done.exit_code, json.loads(done.stdout)["result"]) == (0, "PASS"), done.output
    flip(next((tmp_path / "out").rglob("events.parquet")))
    done = custody("export", "check", tmp_path / "out", "--vkey", vkey)
    assert (done.exit_code, done.stdout.startswith("FAIL: ")) == (1, True)
    assert custody("export", "parquet", "--out", tmp_path / "out").exit_code == 1
    for wrong in (
        ("export", "parquet", "--out", tmp_path, "--since", "yesterday"),
        ("export", "parquet", "--out", tmp_path, "--ledger", "none"),
        ("export", "check", tmp_path / "out"), ("export", "check", tmp_path / "nothing", "--vkey", vkey),
        ("export", "check", world.out, "--vkey", vkey, "--against", tmp_path / "nothing"),
    ):  # fmt: skip
        done = custody(*wrong)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), (wrong, done.output)


def test_the_command_compares_with_a_server(world: World, tmp_path: Path):
    vkey = world.trust.keys[0].to_text()
    with shelving(tmp_path) as shelf:
        (tmp_path / "ledger/kota").rmdir()
        (tmp_path / "ledger/kota").symlink_to(world.tree)
        done = custody("export", "check", world.out, "--vkey", vkey, "--against", shelf.url, "--json")
        told = json.loads(done.stdout)
        assert (done.exit_code, told["result"], told["compared"]) == (0, "PASS", "the hash of every event's leaf")
        assert not any("entries" in path for path in shelf.asked), "which would need credentials"


def test_without_pyarrow_the_command_says_what_to_install(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(parquet, "import_module", absent)
    with pytest.raises(MissingError, match=re.escape("pip install ballot-custody[analysis]")):
        handed(world.town, tmp_path)
    with pytest.raises(MissingError, match="analysis"):
        checked(world, world.out)


def queries() -> list[tuple[str, str]]:
    text = (ROOT / "docs/analysis.md").read_text(encoding="utf-8")
    return re.findall(r"^\*\*(.+?)\*\*[^\n]*\n\n```sql\n(.*?)```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("title", [title for title, _ in queries()])
def test_the_queries_of_the_page_run_and_answer(world: World, title: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(world.out.parent)
    (world.out.parent / "handed").unlink(missing_ok=True)
    (world.out.parent / "handed").symlink_to(world.out)
    with duckdb.connect() as asked:
        assert asked.sql(dict(queries())[title]).fetchall()


def test_the_page_names_every_column_and_six_queries():
    text = (ROOT / "docs/analysis.md").read_text(encoding="utf-8")
    assert len(queries()) >= 6
    missing = [each.name for columns in TABLES.values() for each in columns if f"`{each.name}`" not in text]
    assert missing == []


def test_duckdb_over_the_files_says_what_sql_over_the_database_says(world: World):
    files = f"read_parquet('{world.out}/*/*/%s.parquet', hive_partitioning = true)"
    pairs = [
        ("SELECT type, result, code, agency, count(*) FROM {events} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
         "SELECT type, result, code, agency, count(*) FROM event GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"),
        ("SELECT leaf_index, event, event_id, author, officer, epoch_ms(claimed_at) FROM {events} ORDER BY leaf_index",
         "SELECT leaf_index, hash, event_id, author, officer, at_ms FROM event ORDER BY leaf_index"),
        ("SELECT leaf_index, place, election, epoch_ms(received_at) FROM {events} ORDER BY leaf_index",
         "SELECT leaf_index, place, election, received_ms FROM event ORDER BY leaf_index"),
        ("SELECT unit, leaf_index, seq FROM {event_units} WHERE seq IS NOT NULL ORDER BY 1, 2",
         "SELECT unit, leaf_index, seq FROM event_unit WHERE seq IS NOT NULL ORDER BY 1, 2"),
        (f"SELECT unit, item FROM {{units}} {WITH} WHERE {ACCEPTED} ORDER BY 1",
         "SELECT unit, item FROM unit ORDER BY 1"),
        (f"SELECT release, from_place, to_agency, to_place, to_officer FROM {{handovers}} {WITH} WHERE {ACCEPTED} ORDER BY 1",
         "SELECT release, from_place, to_agency, to_place, to_officer FROM handover ORDER BY 1"),
        ("SELECT about, outcome FROM {events} WHERE type = 'verdict' AND outcome IS NOT NULL ORDER BY 1, 2", None),
    ]  # fmt: skip
    for asked, ours in pairs:
        told = duckdb.sql(asked.format(**{table: files % table for table in TABLES})).fetchall()
        assert told, asked
        if ours is not None:
            with world.town.db.read() as session:
                assert told == [tuple(row) for row in session.exec_driver_sql(ours)], asked
