"""Parquet files in a folder that others can write, on a ledger with a past: what is signed again, and what is told."""

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from app.audit import handing, parquet
from app.audit.handed import check_handed
from app.audit.manifest import (
    JOURNAL,
    MANIFEST,
    NOTE,
    Manifest,
    SignedManifest,
    days_in,
    manifest_of,
    parse_manifest,
    sign_manifest,
)
from app.audit.rows import TABLES
from app.canon import b64url_encode
from app.cli import export as command
from app.custody.found import public_jwk
from app.db import Database
from app.errors import BusyError, TamperError
from app.exchange.remote import RemoteLedger
from app.keys.signing import PrivateKey
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import SignatureType, SignerKey
from app.ledger.trust import Trust
from tests.audit.test_rotation import by_founders, reopened, rotated
from tests.cli.exporting import (
    DAY_MINUTES,
    World,
    against,
    checked,
    custody,
    files_of,
    flip,
    handed,
    manifest_in,
    own,
    played,
    proven,
    rewritten,
    seen,
    sign_again,
)
from tests.custody.test_rules_people import enrolment
from tests.custody.town import Town

SEED = b"\x05" * 32


@pytest.fixture(scope="module")
def world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with played(sqlite_template, tmp_path_factory.mktemp("parquet")) as made:
        yield made


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Path:
    """A copy of the files, to be harmed."""
    shutil.copytree(world.out, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def town(sqlite_url: str, tmp_path: Path) -> Iterator[Town]:
    made = Town(Database(sqlite_url), tmp_path / "house").settle()
    yield made
    made.leave()


def stranger(world: World) -> SignerKey:
    return SignerKey(world.keys[0].name, SignatureType.NOTE, SEED)


# -- what is believed before it is signed again ------------------------------------------------------------


def forged(world: World, folder: Path) -> Manifest:
    """Put a false row into `units` and return the manifest that says so: what anybody can do who writes there."""
    manifest = manifest_in(world, folder)
    victim = max((file for file in manifest.files if file.table == "units"), key=lambda file: file.rows)
    rewritten(folder / victim.path, lambda rows: [(*rows[0][:1], "X" * 26, *rows[0][2:]), *rows[1:]])
    told = parquet.hash_of(folder / victim.path)
    files = [file if file != victim else file.model_copy(update=told) for file in manifest.files]
    return manifest.model_copy(update={"files": tuple(files)})


@pytest.mark.parametrize("note", ["as it was", "none", "of a stranger", "junk"])
def test_a_manifest_that_no_key_of_the_ledger_signed_is_not_signed_again(world: World, copy: Path, note: str):
    manifest = forged(world, copy)
    (own(world, copy) / MANIFEST).write_bytes(manifest.to_bytes())
    if note == "none":
        (own(world, copy) / NOTE).unlink()
    elif note == "of a stranger":
        (own(world, copy) / NOTE).write_bytes(sign_manifest(manifest, [stranger(world)]).note)
    elif note == "junk":
        (own(world, copy) / NOTE).write_bytes(b"junk")
    before = files_of(copy)
    with pytest.raises(TamperError, match="cannot be believed"):
        handed(world.town, copy)
    assert files_of(copy) == before
    assert checked(world, copy).result == "FAIL"


@pytest.mark.parametrize("signer", ["a stranger", "the note of the manifest"])
def test_a_journal_that_no_key_of_the_ledger_signed_is_not_believed(world: World, copy: Path, signer: str):
    manifest = forged(world, copy)
    signed = sign_manifest(manifest, [stranger(world)])
    if signer == "the note of the manifest":
        signed = SignedManifest(signed.data, (own(world, copy) / NOTE).read_bytes())
    (own(world, copy) / JOURNAL).write_bytes(signed.to_line())
    before = files_of(copy)
    with pytest.raises(TamperError, match="cannot be believed"):
        handed(world.town, copy)
    assert files_of(copy) == before


def other_history(world: World, manifest: Manifest) -> SignedManifest:
    """Sign the same files for another tree of that size, by the ledger's own key."""
    note = sign(Checkpoint(manifest.origin, manifest.size, b"\x01" * 32), world.keys[0])
    return sign_manifest(manifest_of(world.name, note, manifest.files), world.keys)


def test_a_manifest_or_a_journal_of_another_history_is_refused(world: World, copy: Path, tmp_path: Path):
    signed = other_history(world, manifest_in(world, copy))
    (own(world, copy) / MANIFEST).write_bytes(signed.data)
    (own(world, copy) / NOTE).write_bytes(signed.note)
    with pytest.raises(TamperError, match="another history"):
        handed(world.town, copy)
    own(world, tmp_path / "killed").mkdir(parents=True)
    (own(world, tmp_path / "killed") / JOURNAL).write_bytes(signed.to_line())
    with pytest.raises(TamperError, match="another history"):
        handed(world.town, tmp_path / "killed")


def test_a_ledger_founded_anew_does_not_go_on_where_the_first_was_killed(
    town: Town, tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second has the same name, the same days and as many leaves."""
    with monkeypatch.context() as patched:
        patched.setattr(handing, "_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            handed(town, tmp_path / "out")
    assert (tmp_path / "out" / f"ledger={town.settings.ledger}" / JOURNAL).exists(), "the control"
    shutil.copyfile(sqlite_template, tmp_path / "other.db")
    other = Town(Database(f"sqlite:///{tmp_path / 'other.db'}"), tmp_path / "other").settle()
    assert other.size() == town.size()
    with pytest.raises(TamperError):
        handed(other, tmp_path / "out")
    other.leave()


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_export_goes_on_while_the_ledgers_key_rotates(town: Town, tmp_path: Path):
    out = tmp_path / "out"
    first = handed(town, out).manifest
    rotated(town)
    town.tick(DAY_MINUTES)
    seen(town)
    assert handed(town, out).days_written == 2
    new = town.recorder._keys.next_ledger.verifier().to_text()
    town.ok(by_founders(town, "ledger.rekey", {"keys": [new]}))
    town.tick(DAY_MINUTES)
    seen(town)
    keep = town.settings.keys_folder()
    (keep / "ledger.key").unlink()
    (keep / "ledger-next.key").rename(keep / "ledger.key")
    reopened(town)
    assert handed(town, out).days_written == 2, "the day before, which grew, and today"
    report = proven(town, out, tmp_path / "tree")
    assert (report.result, report.files > len(first.files)) == ("PASS", True), report.findings


def test_files_of_before_a_rotation_are_believed_after_it(town: Town, tmp_path: Path):
    """Nothing was handed on while both keys signed: the manifest is by the old key alone, which is no more in force."""
    out = tmp_path / "out"
    handed(town, out)
    _, new = rotated(town)
    town.tick(DAY_MINUTES)
    town.ok(by_founders(town, "ledger.rekey", {"keys": [new]}))
    assert handed(town, out).days_written == 2
    report = check_handed(out, town.settings.ledger, Trust((town.recorder._keys.next_ledger.verifier(),)))
    assert report.result == "PASS", report.findings


def test_a_key_that_a_refused_rotation_names_signs_nothing(town: Town, tmp_path: Path):
    out = tmp_path / "out"
    manifest = handed(town, out).manifest
    keys = town.recorder._keys
    coming = keys.make_next(town.settings.keys_folder())
    reopened(town)
    named = {"keys": [keys.ledger.verifier().to_text(), coming.verifier().to_text()]}
    town.no(town.act(town.kpu1, "ledger.rekey", named, capacity="approver"), "signature_set")
    (out / f"ledger={town.settings.ledger}" / NOTE).write_bytes(sign_manifest(manifest, [coming]).note)
    with pytest.raises(TamperError, match="cannot be believed"):
        handed(town, out)


def test_links_in_the_place_of_parts_lead_no_bytes_elsewhere(world: World, copy: Path, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    events = max(copy.rglob("events.parquet"))
    shutil.rmtree(events.parent)
    events.parent.mkdir()
    for name in (f"{events.parent.name}/{events.name}", MANIFEST, NOTE):
        (own(world, copy) / f"{name}.part").symlink_to(victim)
    assert handed(world.town, copy).days_written == 1
    assert victim.read_bytes() == b"precious"
    assert files_of(copy) == files_of(world.out)
    (own(world, copy) / JOURNAL).symlink_to(victim)
    with pytest.raises(TamperError, match="is no file"):
        handed(world.town, copy)
    assert victim.read_bytes() == b"precious"


def test_a_link_in_the_place_of_a_file_is_written_again(world: World, copy: Path, tmp_path: Path):
    events = max(copy.rglob("events.parquet"))
    events.rename(tmp_path / "elsewhere")
    events.symlink_to(tmp_path / "elsewhere")
    assert handed(world.town, copy).days_written == 1
    assert not events.is_symlink()
    assert files_of(copy) == files_of(world.out)


# -- what a crash leaves -----------------------------------------------------------------------------------


@pytest.fixture
def grown(town: Town, tmp_path: Path) -> tuple[Town, Path, str]:
    """A town whose second day was handed on and has grown since; the folder, and the first day."""
    town.tick(DAY_MINUTES)
    seen(town)
    first = handed(town, tmp_path / "out").manifest
    seen(town)
    return town, tmp_path / "out", first.files[0].day


def dies_at_rename(monkeypatch: pytest.MonkeyPatch, count: int, ending: str) -> None:
    """Kill the process before the rename number `count` of files whose name ends so."""
    real, done = Path.replace, []

    def replace(path: Path, target: Path) -> Path:
        if target.name.endswith(ending):
            if len(done) == count:
                raise KeyboardInterrupt
            done.append(target)
        return real(path, target)

    monkeypatch.setattr(Path, "replace", replace)


def run_into(town: Town, out: Path, count: int, ending: str = ".parquet") -> None:
    """Run until the process is killed there."""
    with pytest.MonkeyPatch.context() as patched:
        dies_at_rename(patched, count, ending)
        with pytest.raises(KeyboardInterrupt):
            handed(town, out)


@pytest.mark.parametrize("count", range(len(TABLES)))
def test_a_growing_day_is_whole_after_a_crash_whatever_days_come_next(
    grown: tuple[Town, Path, str], tmp_path: Path, count: int
):
    town, out, first = grown
    run_into(town, out, count)
    done = handed(town, out, until=first)
    assert (done.days_written, done.manifest.files[-1].end) == (0, town.size())
    assert not list(out.rglob("*.part"))
    report = proven(town, out, tmp_path / "tree")
    assert (report.result, report.compared) == ("PASS", "every row with its leaf"), report.findings
    assert handed(town, out).days_written == 0


def test_a_growing_day_is_as_it_was_when_somebody_removes_what_a_crash_left(
    grown: tuple[Town, Path, str], tmp_path: Path
):
    town, out, first = grown
    run_into(town, out, 0)
    for half in out.rglob("*.parquet.part"):
        half.unlink()
    assert handed(town, out, until=first).manifest.files[-1].end < town.size()
    assert proven(town, out, tmp_path / "tree").result == "PASS"
    assert handed(town, out).days_written == 1
    assert proven(town, out, tmp_path / "tree").result == "PASS"


def test_an_old_line_of_the_journal_makes_no_day_shorter(grown: tuple[Town, Path, str], tmp_path: Path):
    town, out, first = grown
    folder = out / f"ledger={town.settings.ledger}"
    short = parse_manifest((folder / MANIFEST).read_bytes())
    held = files_of(out)
    town.tick(DAY_MINUTES)
    handed(town, out)
    assert days_in(short.files)[-1][1][0].end < handed(town, out).manifest.files[-1].end
    (folder / JOURNAL).write_bytes(sign_manifest(short, [town.recorder._keys.ledger]).to_line())
    for file in short.files:
        (out / file.path).write_bytes(held[file.path])
    with pytest.raises(TamperError, match="not the file that was written"):
        handed(town, out, until=first)


def test_a_torn_line_of_the_journal_spoils_no_other(world: World, tmp_path: Path):
    run_into(world.town, tmp_path, 0)
    journal = own(world, tmp_path) / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.strip()[:100])
    run_into(world.town, tmp_path, len(TABLES))  # the first day's files are moved, the second's are noted
    days = {file.day for file in manifest_in(world, world.out).files}
    assert handed(world.town, tmp_path).days_written == len(days) - 2, "both days were noted before they were moved"
    assert files_of(tmp_path) == files_of(world.out)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("name", [MANIFEST, NOTE])
def test_a_crash_about_the_manifest_leaves_what_can_be_believed(
    grown: tuple[Town, Path, str], tmp_path: Path, name: str, count: int
):
    town, out, _ = grown
    if count:  # the first export into that folder
        shutil.rmtree(out)
    run_into(town, out, 0, name)
    assert list(out.rglob("*.part")), "the control"
    if name == NOTE:  # also without the journal, which proves the newest day by itself
        (out / f"ledger={town.settings.ledger}" / JOURNAL).unlink()
    assert handed(town, out).days_written == 0
    assert not list(out.rglob("*.part"))
    assert proven(town, out, tmp_path / "tree").result == "PASS"


def test_parts_of_a_day_that_is_not_handed_on_are_cleared_away(world: World, tmp_path: Path):
    days = sorted({file.day for file in manifest_in(world, world.out).files})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(handing, "_note_down", killed)
        with pytest.raises(KeyboardInterrupt):
            handed(world.town, tmp_path)
    assert len(list(tmp_path.rglob("*.part"))) == len(TABLES)
    handed(world.town, tmp_path, since=days[-1])
    assert checked(world, tmp_path, against(world.tree)).result == "PASS"


def test_every_file_says_what_wrote_it(world: World, copy: Path, monkeypatch: pytest.MonkeyPatch):
    last = max(path.parent.name for path in copy.rglob("*.parquet"))
    now = parquet.writer_name()
    shutil.rmtree(own(world, copy) / last)
    monkeypatch.setattr(parquet, "writer_name", lambda: "pyarrow 99.0.0")
    manifest = handed(world.town, copy).manifest
    assert {(file.writer, f"day={file.day}" == last) for file in manifest.files} == {
        (now, False), ("pyarrow 99.0.0", True),
    }  # fmt: skip
    assert checked(world, copy).writers == [now, "pyarrow 99.0.0"]


# -- the database's limits ---------------------------------------------------------------------------------


def test_a_long_export_is_not_ended_by_postgresqls_limits(postgres_url: str, tmp_path: Path):
    town = Town(Database(postgres_url), tmp_path / "house").settle()
    engine = town.db.read_engine

    def limit(connection: Any) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 200")
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 200")

    def slow(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "OVER (" in statement:  # as on a ledger of a nation
            cursor.execute("SELECT pg_sleep(0.5)")

    event.listen(engine, "begin", limit)
    event.listen(engine, "before_cursor_execute", slow)
    with pytest.raises(BusyError), town.db.read() as session:  # the control
        session.exec_driver_sql("SELECT pg_sleep(0.5)")
    done = handed(town, tmp_path / "out", progress=lambda *_: time.sleep(0.5))
    assert done.days_written == 1
    event.remove(engine, "begin", limit)
    event.remove(engine, "before_cursor_execute", slow)
    limits = [town.one(f"SHOW {name}") for name in ("statement_timeout", "idle_in_transaction_session_timeout")]
    assert limits == ["1min", "1min"], "and the next session has them again"
    town.recorder._high_water.close()
    town.db.close()


def test_files_are_hashed_and_signed_after_the_database_was_let_go(
    world: World, copy: Path, monkeypatch: pytest.MonkeyPatch
):
    held: dict[str, list[int]] = {"hash_of": [], "_publish": []}
    for room, name in ((parquet, "hash_of"), (handing, "_publish")):
        real = getattr(room, name)

        def noted(*given: Any, _real: Any = real, _name: str = name) -> Any:
            held[_name].append(world.town.db.read_engine.pool.checkedout())
            return _real(*given)

        monkeypatch.setattr(room, name, noted)
    files = handed(world.town, copy).manifest.files
    assert held == {"hash_of": [0] * len(files), "_publish": [0]}


# -- what is checked ---------------------------------------------------------------------------------------


def test_an_enrolment_that_was_refused_changes_nothing_for_an_honest_export(town: Town, tmp_path: Path):
    """Neither one with a weak key, nor one of a key that comes in later for another officer."""
    weak = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(bytes(32))}
    town.no(enrolment(town, jwk=weak), "weak_key")
    key = PrivateKey.generate("Ed25519")
    town.no(enrolment(town, key=key, officer="NOBODY-1", place="ATLANTIS"), "unknown_place")
    late = town._phone("LATE-1", town.kpu1.agency, town.kpu1.place)
    late.key = key
    town.ok(town.enrolment(late, "LOGISTIK"))
    blank = PrivateKey.generate("Ed25519")
    other = town._phone("BLANK-1", town.kpu1.agency, town.kpu1.place)
    other.key = blank
    town.ok(enrolment(town, key=blank, officer="BLANK-1", jwk={**public_jwk(blank), "y": None}))
    for phone in (late, other):
        town.look(phone)
        town.ok(town.act(town.kpu1, "sighting", {}, [town.box()], capacity="witness"))
        town.ok(phone.sign("sighting", {}, at_ms=town.tick(), units=[town.box()], capacity="witness"))
    handed(town, tmp_path / "out")
    report = proven(town, tmp_path / "out", tmp_path / "tree")
    assert (report.result, report.compared) == ("PASS", "every row with its leaf"), report.findings
    path = next((tmp_path / "out").rglob("events.parquet"))
    officers = {row[9] for row in parquet.read_rows(path, "events")}
    assert {"LATE-1", "BLANK-1"} <= officers
    assert "NOBODY-1" not in officers


def test_a_leaf_belongs_to_its_day(world: World, copy: Path):
    manifest = manifest_in(world, copy)
    last = max(file.day for file in manifest.files)
    (own(world, copy) / f"day={last}").rename(own(world, copy) / "day=2031-01-01")
    moved = [
        file.model_copy(update={"day": "2031-01-01", "path": file.path.replace(last, "2031-01-01")})
        if file.day == last
        else file
        for file in manifest.files
    ]
    sign_again(world, copy, files=tuple(moved))
    assert checked(world, copy, against(world.tree, leaves=False)).result == "PASS", "the control: hashes do not tell"
    report = checked(world, copy, against(world.tree))
    assert {found.code for found in report.findings} == {"row"}
    assert f"but of {last}" in report.findings[0].detail


def test_a_time_that_goes_back_belongs_to_the_latest_day(town: Town, tmp_path: Path):
    """Before the days in hand and among them; players of a demonstration tell the time."""
    town.tick(3 * DAY_MINUTES)
    seen(town)
    town.tick(-2 * DAY_MINUTES)
    seen(town)
    days = sorted({file.day for file in handed(town, tmp_path / "out").manifest.files})
    assert len(days) == 2
    assert proven(town, tmp_path / "out", tmp_path / "tree").result == "PASS"


@pytest.mark.parametrize(
    "name",
    ["day=2031-01-01", "day=2031-01-01.part", "{day}/events.parquet.part", "{day}/events.parquet", JOURNAL, "nowhere"],
)
def test_every_link_is_told(world: World, copy: Path, tmp_path: Path, name: str):
    """Also where a part may lie, and in the place of a file with the very bytes that were signed."""
    day = next(copy.rglob("day=*"))
    where, target = own(world, copy) / name.format(day=day.name), tmp_path / "nothing"
    if name.startswith("day="):
        target = shutil.copytree(day, tmp_path / "elsewhere")
    elif name.endswith(".parquet"):
        target = where.rename(tmp_path / "events.parquet")
    where.symlink_to(target)
    report = checked(world, copy)
    assert [found.code for found in report.findings] == ["not_listed"]
    assert "is a link" in report.findings[0].detail


@pytest.mark.parametrize(
    "name",
    ["events.parquet.part", "day=2031-01-01/events.parquet.part", "day=2031-01-01.part/events.parquet", "x.part"],
)
def test_a_part_of_nothing_that_is_listed_is_told(world: World, copy: Path, name: str):
    where = own(world, copy) / name
    where.parent.mkdir(exist_ok=True)
    shutil.copyfile(next(copy.rglob("events.parquet")), where)
    assert {found.code for found in checked(world, copy).findings} == {"not_listed"}


def test_a_pipe_in_the_place_of_a_part_is_told(world: World, copy: Path):
    os.mkfifo(own(world, copy) / JOURNAL)
    assert {found.code for found in checked(world, copy).findings} == {"not_listed"}


def test_a_folder_that_cannot_be_listed_is_no_pass(world: World, copy: Path, monkeypatch: pytest.MonkeyPatch):
    """As where it may not be read; root always may, so the system's answer is told here."""
    (own(world, copy) / "sealed").mkdir()
    real = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path).name == "sealed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = checked(world, copy, against(world.tree))
    assert (report.result, len(report.not_checked)) == ("INCOMPLETE", 1), report.findings
    assert "sealed" in report.not_checked[0]


def test_folders_so_deep_that_no_path_leads_there_are_no_pass(world: World, copy: Path):
    name = "d" * 250
    at = os.open(own(world, copy), os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=at)
        inner = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    report = checked(world, copy, against(world.tree))
    assert report.result == "INCOMPLETE", report.findings
    assert "cannot be read now" in report.not_checked[0]
    shutil.rmtree(own(world, copy) / name)


def test_a_server_that_cannot_be_reached_leaves_the_rest_checked(
    world: World, copy: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "RemoteLedger", partial(RemoteLedger, pause=lambda _: None))
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        asked = [
            copy,
            "--vkey",
            world.trust.keys[0].to_text(),
            "--against",
            f"http://127.0.0.1:{taken.getsockname()[1]}/x",
        ]
        done = custody("export", "check", *asked, "--json")
        told = json.loads(done.stdout)
        assert (done.exit_code, told["result"], told["compared"]) == (3, "INCOMPLETE", "nothing"), done.output
        assert told["files"] == len(manifest_in(world, copy).files)
        assert [what for what in told["not_checked"] if "cannot be read now" in what] == told["not_checked"]
        flip(next(copy.rglob("units.parquet")))
        done = custody("export", "check", *asked)
        assert (done.exit_code, "file_differs" in done.stdout, "not checked: http" in done.stdout) == (1, True, True)
