"""`scripts/postgres`: roles and privileges, backup, and restore to a moment or a checkpoint, on real servers."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from app.audit.fsck import fsck
from app.cli.migrate import upgrade
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import TamperError
from app.ledger.append import Reader, read_head
from app.ledger.checkpoint import Checkpoint
from app.ledger.highwater import HighWater
from app.ledger.note import Note
from tests import small
from tests.house import House
from tests.postgres import PostgresServer
from tests.postgresql.hosts import until
from tests.postgresql.servers import on, plain

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "scripts/postgres"


def run(
    server: PostgresServer, script: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script with the server's own programs on the path."""
    path = f"{server.binaries}:{os.environ['PATH']}"
    return subprocess.run(
        [str(script), *map(str, arguments)],
        capture_output=True, text=True, env={**os.environ, "PATH": path, **environment}, timeout=120,
    )  # fmt: skip


def custody(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the `custody` command."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.cli", *arguments],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, timeout=120,
    )  # fmt: skip


def is_allowed(connection: psycopg.Connection, statement: str) -> bool:
    """Say whether a role may do something to a whole table."""
    try:
        connection.execute(statement + (" SET ledger_id = 1" if statement.startswith("UPDATE") else ""))
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        return True  # for another reason than who asks
    return True


def test_setup_makes_roles_of_which_none_can_change_what_was_recorded(tmp_path: Path) -> None:
    server = PostgresServer()
    try:
        made = run(server, SCRIPTS / "setup", "--host", server.folder)
        assert made.returncode == 0, made.stdout + made.stderr
        assert run(server, SCRIPTS / "setup", "--host", server.folder).returncode == 0, "it may be repeated"
        assert "synchronous_standby_names" in made.stdout
        query = {"host": str(server.folder)}
        writer = make_url(server.url).set(username="custody_writer", database="custody", query=query)
        auditor = writer.set(username="custody_auditor").render_as_string()
        db = Database(writer.render_as_string(), auditor)
        db.check_durability()
        house = House(db, tmp_path / "house")  # the service can do its work as that role
        house.check()
        with db.write() as session:
            tables = session.exec_driver_sql(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
            ).scalars()
            kept = [
                name
                for name in tables
                if name.startswith(("event", "ledger_leaf", "ledger_checkpoint", "document"))
                and name != "event_outcome"  # which is written anew when a later leaf says more
            ]
        assert {"event", "ledger_leaf", "ledger_checkpoint"} <= set(kept)
        ways = [way + table for table in kept for way in ("DELETE FROM ", "TRUNCATE ", "UPDATE ")]
        with plain(writer.render_as_string()) as connection:
            assert [way for way in ways if is_allowed(connection, way)] == []
        with plain(auditor) as connection:
            assert connection.execute("SELECT count(*) FROM event").fetchone() != (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("INSERT INTO ledger_checkpoint VALUES (1, 99, '', '', 0)")
        db.close()
        with plain(server.url) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_commit = off")
            connection.execute("SELECT pg_reload_conf()")
        until(
            lambda: run(server, SCRIPTS / "setup", "--check", "--host", server.folder).returncode == 1,
            lambda: "refused",
        )
    finally:
        server.close()


@dataclass
class Story:
    """A ledger that went on after its base backup, and whose server is gone."""

    house: House
    vault: Path
    url: str
    account: str | None
    shown: dict[int, bytes]
    small: int
    at: str
    middle: int
    last: int


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
        house = House(Database(url), tmp_path / "house")
        phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
        shown: dict[int, bytes] = {}

        def write(count: int) -> int:
            for _ in range(count):
                signed = phone.sign(
                    "sighting", {"source": "camera"}, at_ms=house.tick(), capacity="witness", place=small.WAREHOUSE
                )
                house.ok(signed)
                size, note = house.recorder.published
                shown[size] = Checkpoint.parse(Note.parse(note).text).root
            return size

        write(2)
        based = run(helper, vault / "backup", "base", vault, "--host", server.folder)
        assert based.returncode == 0, based.stderr
        assert run(helper, vault / "backup", "check", vault).returncode == 0
        first = write(3)
        time.sleep(1.1)
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        time.sleep(1.1)
        middle = write(2)
        last = write(2)
        with plain(server.url) as connection:
            connection.execute("SELECT pg_switch_wal()")
            sql = "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver"
            until(lambda: connection.execute(sql).fetchone() == (True,), lambda: f"archived {server.log[-2000:]}")
        house.db.close()
        server.crash()
        server.close()
        yield Story(house, vault, url, server.account, shown, first, at, middle, last), helper
    finally:
        server.close()
        helper.close()
        shutil.rmtree(vault, ignore_errors=True)


def restored(
    story: Story, helper: PostgresServer, *target: str, mark: Path | None = None
) -> tuple[str, PostgresServer]:
    """Restore to a target; return what was said, and a server on what came out."""
    data = story.vault / f"data-{time.monotonic_ns()}"
    who = ["--as", story.account] if story.account else []
    done = run(
        helper,
        SCRIPTS / "restore",
        story.vault,
        data,
        *target,
        "--mark",
        mark or story.house.settings.high_water_file(),
        *who,
    )
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


def test_a_restore_to_a_checkpoint_ends_exactly_there(story: tuple[Story, PostgresServer]) -> None:
    told, helper = story
    _, server = restored(told, helper, "--size", str(told.middle))
    try:
        assert tree(told, on(told.url, server)) == (told.middle, told.shown[told.middle])
    finally:
        server.close()


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
        environment = {"CUSTODY_DATA_DIR": str(folder), "CUSTODY_DATABASE_URL": url}
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
    who = ["--as", told.account] if told.account else []
    early = run(helper, SCRIPTS / "restore", told.vault, told.vault / "x", "--time", "2020-01-01T00:00:00Z", *who)
    assert (early.returncode, "no base backup" in early.stderr) == (1, True)
    beyond = run(helper, SCRIPTS / "restore", told.vault, told.vault / "y", "--size", "999999", *who)
    assert (beyond.returncode, "no checkpoint of 999999" in beyond.stderr) == (1, True)
    over = run(helper, SCRIPTS / "restore", told.vault, tmp_path, "--latest", *who)
    assert (over.returncode, "never overwrites" in over.stderr) == (1, True)
    for script in ("setup", "backup", "restore"):
        assert run(helper, SCRIPTS / script, "--help").returncode == 0
        assert run(helper, SCRIPTS / script, "--nonsense").returncode == 2
