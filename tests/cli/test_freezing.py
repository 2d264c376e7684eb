"""What an operator does in an emergency, by command: freeze, thaw, look, close; and how a key rotates."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.main import app
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import BusyError, ServiceError
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.highwater import HighWater
from app.ledger.note import Note, VerifierKey
from tests import small
from tests.house import House


@pytest.fixture
def house(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A ledger whose installation the commands work on."""
    db = Database(database_url)
    own = House(db, tmp_path / "house")
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(own.settings.data_dir))
    monkeypatch.setenv("CUSTODY_DATABASE_URL", database_url)
    yield own
    own.check()
    own.recorder._high_water.close()
    db.close()


def ledger(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *arguments])


def said(*arguments: str) -> str:
    done = ledger(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(*arguments: str) -> str:
    done = ledger(*arguments)
    assert isinstance(done.exception, ServiceError), (done.output, done.exception)
    return done.exception.detail


def sighting(house: House) -> object:
    phone = house.founders[0]
    return phone.sign("sighting", {}, at_ms=house.tick(), place=small.WAREHOUSE, capacity="witness")


def test_a_freeze_stops_a_writer_at_once_and_a_thaw_lets_it_go_on(house):
    assert "No alarm" in said("alarms")
    assert house.origin in said("freeze", "--reason", "two checkpoints of one size")
    size = house.recorder.published[0]
    answer = None
    with pytest.raises(BusyError) as caught:
        answer = house.send(sighting(house))
    assert (answer, caught.value.code, house.recorder.published[0]) == (None, "ledger_frozen", size)
    told = json.loads(said("alarms", "--json"))
    assert told["frozen"] == "two checkpoints of one size"
    assert [(a["kind"], a["source"], a["detail"]) for a in told["alarms"]] == [
        ("operator", "operator", "two checkpoints of one size")
    ]
    table = said("alarms")
    assert "frozen:" in table
    assert "operator" in table
    assert "goes on" in said("thaw", "--reason", "a copy was started by mistake")
    house.send(sighting(house))
    assert house.recorder.published[0] == size + 1
    assert [a["kind"] for a in json.loads(said("alarms", "--json"))["alarms"]] == ["operator", "thawed"]
    assert "not frozen" in refused("thaw", "--reason", "again")


def test_a_frozen_ledger_can_be_closed_and_says_its_last_checkpoint(house):
    said("freeze", "--reason", "fork")
    final = said("close", "--reason", "FORK", "--yes").encode()
    assert Checkpoint.parse(Note.parse(final).text).origin == house.origin
    assert open_checkpoint(final, [house.recorder._keys.ledger.verifier()], house.origin).size > 0
    again = ledger("close", "--reason", "AGAIN")
    assert (again.exit_code, again.stdout.encode(), "before" in again.stderr) == (0, final, True), (
        "shown again, not made"
    )


@pytest.mark.parametrize("reason", ["see [/var/log]", "[red]", "a[/b]", "back\\", "[link=x]y[/link]"])
def test_what_an_operator_writes_is_shown_as_it_was_written(house, reason):
    said("freeze", "--reason", reason)
    for _ in range(2):
        table = said("alarms")
        assert table.count(reason) == 2, "once in the table, once as the reason of the freeze"
    assert "frozen:" in table


# -- a lost mark -----------------------------------------------------------------------------------------


def test_a_lost_mark_is_made_anew_with_a_reason_that_stays(house):
    path, size = house.settings.high_water_file(), house.recorder.published[0]
    assert "not lost" in refused("remark", "--reason", "x")
    path.rename(path.with_name("away"))
    assert "Is the other disk mounted" in refused("close", "--reason", "END")
    assert not path.exists()
    told = said("remark", "--reason", "the disk [sdb] died")
    assert f"at {size} leaves in {path}" in told
    assert "compare every witness" in told
    mark = HighWater(path, house.origin)
    assert mark.size == size
    mark.close()
    alarms = json.loads(said("alarms", "--json"))["alarms"]
    assert [(a["kind"], a["source"], a["detail"]) for a in alarms] == [("remarked", "operator", "the disk [sdb] died")]
    assert "not lost" in refused("remark", "--reason", "again")
    reopened(house)
    house.send(sighting(house))
    assert house.recorder.published[0] == size + 1


@pytest.mark.parametrize("there", [b"", b"garbage"])
def test_a_mark_is_made_anew_only_where_there_is_no_file(house, there):
    path = house.settings.high_water_file()
    kept = path.read_bytes()
    path.write_bytes(there)
    assert "not lost" in refused("remark", "--reason", "x")
    assert path.read_bytes() == there
    assert json.loads(said("alarms", "--json"))["alarms"] == []
    path.write_bytes(kept)


def test_a_mark_is_not_made_anew_below_a_disk_that_is_not_mounted(house, tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTODY_HIGH_WATER_PATH", str(tmp_path / "mnt" / "mark"))
    assert "mount the other disk" in refused("remark", "--reason", "x")
    assert "Is the other disk mounted" in refused("close", "--reason", "END")
    assert not (tmp_path / "mnt").exists()
    assert json.loads(said("alarms", "--json"))["alarms"] == []
    (tmp_path / "mnt").mkdir()  # control
    assert "marked anew" in said("remark", "--reason", "x")


def test_a_key_rotates_by_command_and_signed_events(house):
    old = house.recorder._keys.ledger.verifier().to_text()
    assert refused("keep-key").startswith("No rotation is under way")
    keys = json.loads(said("new-key", "--json"))["keys"]
    assert (keys[0], len(keys)) == (old, 2)
    reopened(house)
    rekey(house, keys)
    assert "not alone" in refused("keep-key")
    rekey(house, keys[1:])
    done = said("keep-key")
    assert "kept as ledger-" in done
    folder = house.settings.keys_folder()
    assert VerifierKey.parse(ServerKeys.load(folder).ledger.verifier().to_text()).to_text() == keys[1]
    assert len(list(folder.glob("ledger-*.key"))) == 1
    reopened(house)
    assert house.send(sighting(house))
    assert "No rotation" in refused("keep-key")


def reopened(house: House) -> None:
    """Start the writer again, as after a change of its keys folder."""
    house.recorder._high_water.close()
    mark = HighWater(house.settings.high_water_file(), house.origin)
    house.recorder = Recorder(house.db, house.settings, ServerKeys.load(house.settings.keys_folder()), mark)


def rekey(house: House, keys: list[str]) -> None:
    first, second = house.founders
    house.ok(first.sign("ledger.rekey", {"keys": keys}, at_ms=house.tick(), capacity="approver",
                        with_={second: "approver"}))  # fmt: skip


def test_there_is_no_ledger_to_work_on(tmp_path, monkeypatch):
    monkeypatch.setenv("CUSTODY_DATA_DIR", str(tmp_path / "nothing"))
    for command in (("freeze", "--reason", "x"), ("thaw", "--reason", "x"), ("alarms",), ("close", "--reason", "X"),
                    ("remark", "--reason", "x"), ("new-key",), ("keep-key",)):  # fmt: skip
        done = ledger(*command)
        assert done.exit_code != 0
        assert "Traceback" not in done.output
    assert not (tmp_path / "nothing").exists()
