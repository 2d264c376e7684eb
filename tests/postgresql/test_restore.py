"""`scripts/postgres/backup` and `restore`: to a moment, to a checkpoint, or everything, on real servers."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.audit.fsck import fsck
from app.cli.migrate import upgrade
from app.cli.phone import Phone
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import TamperError
from app.ledger.append import Reader, read_head
from app.ledger.highwater import HighWater
from tests import small
from tests.house import House
from tests.postgres import PostgresServer
from tests.postgresql.hosts import until
from tests.postgresql.scripts import SCRIPTS, custody, run
from tests.postgresql.servers import on, plain

pytestmark = pytest.mark.postgres


@dataclass
class Story:
    """A ledger that went on after its base backups, beside a larger one, and whose server is gone."""

    house: House
    other: House
    vault: Path
    url: str
    account: str | None
    shown: dict[int, bytes]
    bases: list[str]
    based: int
    small: int
    at: str
    middle: int
    last: int


def write(house: House, phone: Phone, count: int) -> int:
    """Let a phone write so many events; return the size after."""
    for _ in range(count):
        house.ok(
            phone.sign("sighting", {"source": "camera"}, at_ms=house.tick(), capacity="witness", place=small.WAREHOUSE)
        )
    return house.recorder.published[0]


def based(server: PostgresServer, helper: PostgresServer, vault: Path) -> str:
    """Take a base backup and return its name."""
    done = run(helper, vault / "backup", "base", vault, "--host", server.folder)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip()).name


def killed(server: PostgresServer, helper: PostgresServer, vault: Path) -> None:
    """Take a base backup that is killed when the first of its two parts has its name."""
    with tempfile.TemporaryDirectory() as folder:
        mv = Path(folder, "mv")
        mv.write_text(f'#!/bin/sh\n{shutil.which("mv")} "$@"\nkill -9 $PPID\n')
        mv.chmod(0o755)
        path = f"{folder}:{helper.binaries}:{os.environ['PATH']}"
        done = run(helper, vault / "backup", "base", vault, "--host", server.folder, PATH=path)
    assert done.returncode == -9


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Story, PostgresServer]]:
    """Found, back up, go on writing, archive, and lose the server with all its files."""
    tmp_path = tmp_path_factory.mktemp("story")
    vault = Path(tempfile.mkdtemp(prefix="custody-vault-"))
    shutil.copy(SCRIPTS / "backup", vault / "backup")
    archive = {"archive_mode": "on", "archive_command": f"{vault}/backup archive {vault} %p %f"}
    server = PostgresServer(settings=archive)
    helper = PostgresServer()  # whose programs remain when the first server is gone
    try:
        server._give_away(vault)
        server._give_away(vault / "backup")
        with plain(server.url) as connection:
            connection.execute("CREATE DATABASE custody TEMPLATE template0")
        url = make_url(server.url).set(database="custody").render_as_string()
        upgrade(url)
        db = Database(url)
        house, other = House(db, tmp_path / "house"), House(db, tmp_path / "other", name="other2024")
        phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
        write(other, other.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY), 20)
        sizes = {"based": write(house, phone, 2)}
        bases = [based(server, helper, vault)]
        sizes["small"] = write(house, phone, 3)
        time.sleep(1.1)
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        time.sleep(1.1)
        sizes["middle"] = write(house, phone, 2)
        bases.append(based(server, helper, vault))  # and nobody writes meanwhile
        time.sleep(1.1)
        killed(server, helper, vault)
        shutil.copy(vault / f"base/{bases[0]}.sizes", vault / "base/2999-01-01T00:00:00Z.sizes")  # as it was left once
        sizes["last"] = write(house, phone, 2)
        with db.read() as session:
            nodes = house.recorder.reader.nodes(session)
            shown = {size: nodes.root(size) for size in sizes.values()}
        assert other.recorder.published[0] > sizes["last"]
        with plain(server.url) as connection:
            # What the server itself writes meanwhile goes into the next file, which need not be archived.
            full = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            sql = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
            until(lambda: connection.execute(sql, full).fetchone() == (True,), lambda: f"archived {server.log[-2000:]}")
        db.close()
        server.crash()
        server.close()
        yield Story(house, other, vault, url, server.account, shown, bases, at=at, **sizes), helper
    finally:
        server.close()
        helper.close()
        shutil.rmtree(vault, ignore_errors=True)


def restore(story: Story, helper: PostgresServer, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the script as whoever this is."""
    who = ["--as", story.account] if story.account else []
    return run(helper, SCRIPTS / "restore", *arguments, *who)


def restored(
    story: Story, helper: PostgresServer, *target: str, vault: Path | None = None
) -> tuple[str, PostgresServer]:
    """Restore to a target; return what was said, and a server on what came out."""
    data = story.vault / f"data-{time.monotonic_ns()}"
    settings = story.house.settings
    whose = ["--ledger", settings.ledger, "--mark", settings.high_water_file()]
    done = restore(story, helper, vault or story.vault, data, *target, *whose)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, PostgresServer(data=data)


def tree(story: Story, url: str) -> tuple[int, bytes]:
    """Return size and root of a restored ledger, and assert that it is sound."""
    db = Database(url)
    try:
        assert fsck(db, signatures=False).clean
        with db.read() as session:
            head = read_head(session, story.house.settings.ledger)
            assert Reader(head.ledger_id).nodes(session).root(head.size) == head.root
    finally:
        db.close()
    return head.size, head.root


def test_a_restore_to_a_time_is_a_prefix_of_what_was_shown_and_is_not_served(
    story: tuple[Story, PostgresServer], tmp_path: Path
) -> None:
    told, helper = story
    said, server = restored(told, helper, "--time", told.at)
    try:
        url = on(told.url, server)
        size, root = tree(told, url)
        assert size == told.small
        assert root == told.shown[size]
        assert f"{told.last - size} leaves that were signed and shown are not in it" in said
        assert "custody ledger take-over" in said
        folder = tmp_path / "host"
        shutil.copytree(told.house.settings.data_dir, folder)
        environment = {
            "CUSTODY_DATA_DIR": str(folder), "CUSTODY_DATABASE_URL": url, "CUSTODY_LEDGER": told.house.settings.ledger,
        }  # fmt: skip
        mark = folder / "high-water.json"
        refusals = [
            custody("serve", "--port", "0", **environment),
            custody("ledger", "take-over", "--reason", "restored", **environment),
        ]
        mark.rename(folder / "kept-mark.json")
        refusals.append(custody("serve", "--port", "0", **environment))
        assert [done.returncode for done in refusals] == [1, 1, 1]
        assert "restored from an old backup" in refusals[0].stderr
        assert "restored from an old backup" in refusals[1].stderr
        assert "mark" in refusals[2].stderr
        decided = custody("ledger", "remark", "--reason", "The commission decided so", **environment)
        assert decided.returncode == 0, decided.stderr
        settings = told.house.settings.model_copy(update={"data_dir": folder})
        db = Database(url)
        keys = ServerKeys.load(folder / "keys")
        writer = Recorder(db, settings, keys, HighWater(mark, told.house.origin))
        with writer.writing():
            pass  # the fence lets it pass now
        kinds = [
            alarm
            for alarm in custody("ledger", "alarms", "--json", **environment).stdout.split('"')
            if alarm == "remarked"
        ]
        assert kinds
        db.close()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("name", "base"), [("small", 0), ("middle", 0), ("based", 0)], ids=["between", "of-the-newest", "of-the-oldest"]
)
def test_a_restore_to_a_checkpoint_ends_exactly_there(
    name: str, base: int, story: tuple[Story, PostgresServer]
) -> None:
    """Also to the one that a base holds, as after a quiet night: its commit is in the copy, and in no log behind it."""
    told, helper = story
    size = getattr(told, name)
    said, server = restored(told, helper, "--size", str(size))
    try:
        assert tree(told, on(told.url, server)) == (size, told.shown[size])
        assert f"from the base backup of {told.bases[base]}\n" in said
    finally:
        server.close()


def test_a_commit_between_a_copy_and_the_noting_of_its_size_is_found_in_the_archive(
    story: tuple[Story, PostgresServer],
) -> None:
    told, helper = story
    vault = told.vault / "noted-late"
    (vault / "base").mkdir(parents=True)
    (vault / "wal").symlink_to(told.vault / "wal")
    (vault / "base" / told.bases[0]).symlink_to(told.vault / "base" / told.bases[0])
    (vault / f"base/{told.bases[0]}.sizes").write_text(f"{told.house.settings.ledger} {told.small}\n")
    _, server = restored(told, helper, "--size", str(told.small), vault=vault)
    try:
        assert tree(told, on(told.url, server)) == (told.small, told.shown[told.small])
    finally:
        server.close()


def test_a_backup_that_was_killed_or_has_no_folder_is_no_backup(story: tuple[Story, PostgresServer]) -> None:
    """Nothing lists or checks it; the other tests show that nothing is restored from it."""
    told, helper = story
    held = sorted((told.vault / "base").iterdir())
    assert len([path for path in held if path.is_dir() and not path.name.startswith(".")]) == 3, "it came half-way"
    listed = run(helper, told.vault / "backup", "list", told.vault).stdout.splitlines()
    assert [line.split(" ")[0] for line in listed] == told.bases
    assert f"{told.house.settings.ledger} {told.based}" in listed[0]
    assert run(helper, told.vault / "backup", "check", told.vault).returncode == 0


@pytest.mark.parametrize("whose", ["other", "blank"])
def test_a_mark_that_says_nothing_of_the_ledger_is_said_to_say_nothing(
    whose: str, story: tuple[Story, PostgresServer], tmp_path: Path
) -> None:
    told, helper = story
    blank = tmp_path / "high-water.json"
    blank.write_bytes(b"\x00" * 512)
    mark = told.other.settings.high_water_file() if whose == "other" else blank
    target = [told.vault, told.vault / f"marked-{whose}", "--latest", "--ledger", told.house.settings.ledger]
    done = restore(told, helper, *target, "--mark", mark)
    assert done.returncode == 1
    assert "says nothing" in done.stderr
    assert "high-water mark" not in done.stdout.partition("What now")[0]
    assert "What now" in done.stdout, "and the rest is said and done"


def test_a_restore_of_everything_is_served_when_a_person_has_said_so(
    story: tuple[Story, PostgresServer], tmp_path: Path
) -> None:
    told, helper = story
    said, server = restored(told, helper, "--latest")
    try:
        url = on(told.url, server)
        assert tree(told, url) == (told.last, told.shown[told.last])
        assert "everything that this host has shown is in it" in said
        folder = tmp_path / "host"
        shutil.copytree(told.house.settings.data_dir, folder)
        environment = {
            "CUSTODY_DATA_DIR": str(folder), "CUSTODY_DATABASE_URL": url, "CUSTODY_LEDGER": told.house.settings.ledger,
        }  # fmt: skip
        assert "take-over" in custody("serve", "--port", "0", **environment).stderr
        db = Database(url)
        keys, mark = ServerKeys.load(folder / "keys"), HighWater(folder / "high-water.json", told.house.origin)
        settings = told.house.settings.model_copy(update={"data_dir": folder, "synchronous_standby": True})
        with pytest.raises(TamperError, match="take-over"), Recorder(db, settings, keys, mark).writing():
            pass  # nor where failovers need nobody: a backup is no standby
        done = custody("ledger", "take-over", "--reason", "Restored after the fire", "--json", **environment)
        assert done.returncode == 0, done.stderr
        with Recorder(db, settings, keys, mark).writing():
            pass
        db.close()
    finally:
        server.close()


def test_what_cannot_be_restored_is_refused_in_words(story: tuple[Story, PostgresServer], tmp_path: Path) -> None:
    told, helper = story
    mark, one = told.house.settings.high_water_file(), ["--ledger", told.house.settings.ledger]
    for arguments, said in (
        (["--time", "2020-01-01T00:00:00Z"], "no base backup"),
        (["--time", told.bases[0]], "no base backup"),  # of the same second: perhaps it was not complete by then
        (["--time", "2998-01-01T00:00:00Z"], "recovery ended before"),
        (["--size", "3", *one], "no base backup"),
        (["--size", "999999", *one], "no checkpoint of 999999"),
        (["--size", str(told.small)], "several ledgers"),
        (["--latest", "--mark", mark], "several ledgers"),
        (["--latest", "--mark", tmp_path / "not-there", *one], "cannot be read"),
    ):
        done = restore(told, helper, told.vault, told.vault / f"x-{time.monotonic_ns()}", *arguments)
        assert (done.returncode, said in done.stderr) == (1, True), (arguments, done.stderr)
    over = restore(told, helper, told.vault, tmp_path, "--latest")
    assert (over.returncode, "never overwrites" in over.stderr) == (1, True)
    assert restore(told, helper, told.vault, told.vault / "x", "--size", "0").returncode == 2
