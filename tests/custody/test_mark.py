"""A writer and its high-water mark: founded with the ledger, missed when it is gone, and shared by one history alone."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.clock import FixedClock
from app.custody.intake import Intake
from app.custody.prove import ProvenEvent
from app.custody.receipts import Receipt
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import BusyError, RefusedError, TamperError
from app.ledger.append import read_head
from app.ledger.checkpoint import Checkpoint
from app.ledger.highwater import HighWater
from app.ledger.note import Note
from app.ledger.tree import EMPTY_ROOT
from app.worker import Worker
from tests import small
from tests.house import House


@pytest.fixture
def house(sqlite_url: str, tmp_path: Path) -> Iterator[House]:
    db = Database(sqlite_url)
    yield House(db, tmp_path / "house")
    db.close()


def mark_of(house: House) -> Path:
    return house.settings.high_water_file()


def opened(house: House, db: Database, kind: type[HighWater] = HighWater) -> Recorder:
    """Start a writer with the house's keys and mark over a database."""
    keys = ServerKeys.load(house.settings.keys_folder())
    return Recorder(db, house.settings, keys, kind(mark_of(house), house.origin))


def copied(house: House, to: Path) -> Database:
    """Return a copy of the database as it stands."""
    source, target = sqlite3.connect(str(house.db.url.database)), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()
    return Database(f"sqlite:///{to}")


def sighting(house: House) -> ProvenEvent:
    signed = house.founders[0].sign("sighting", {}, at_ms=house.tick(), place=small.WAREHOUSE, capacity="witness")
    return house.recorder.prover.prove(signed.jws, house.now_ms)


def told(recorder: Recorder) -> Checkpoint:
    return Checkpoint.parse(Note.parse(recorder.published[1]).text)


class Forgetful(HighWater):
    """Mutant: a file that is missing or empty is a fresh one."""

    def __init__(self, path: Path, origin: str) -> None:
        if not path.exists() or not path.read_bytes().strip(b"\x00"):
            path.unlink(missing_ok=True)
            HighWater.found(path, origin).close()
        super().__init__(path, origin)

    def refuse_rollback(self, size: int, root_at: bytes | None, known: tuple[int, str] | None = None) -> None:
        if self.size:
            super().refuse_rollback(size, root_at, known)


@pytest.mark.parametrize("lost", ["missing", "not mounted", "empty", "of the founding"])
def test_an_old_database_without_its_mark_signs_no_second_history(house: House, tmp_path: Path, lost: str) -> None:
    old = copied(house, tmp_path / "old.db")
    house.recorder.record([sighting(house)])
    shown, path = told(house.recorder), mark_of(house)
    with pytest.raises(TamperError, match="old backup"):  # control: the mark is there
        opened(house, old)
    path.unlink()
    if lost == "not mounted":
        house.settings = house.settings.model_copy(update={"high_water_path": tmp_path / "mnt" / "mark"})
        path = mark_of(house)
    elif lost == "empty":
        path.touch()
    elif lost == "of the founding":
        HighWater.make(path, house.origin, 0, EMPTY_ROOT).close()
    before = path.read_bytes() if path.exists() else None
    for db in (old, house.db):
        with pytest.raises(TamperError, match="Is the other disk mounted") as refused:
            Worker(house.settings, FixedClock(house.now_ms), db)
        assert str(path) in refused.value.detail
        assert "custody ledger remark" in refused.value.detail
    assert (path.read_bytes() if path.exists() else None) == before, "nothing was made"
    assert path.parent.exists() == (lost != "not mounted")
    path.parent.mkdir(exist_ok=True)
    again = opened(house, old, Forgetful)  # the mutant signs a second history
    again.record([sighting(house)])
    assert told(again).size == shown.size
    assert told(again).root != shown.root
    old.close()


def test_a_mark_that_comes_back_is_the_mark(house: House, tmp_path: Path) -> None:
    shutil.move(mark_of(house), tmp_path / "away")
    with pytest.raises(TamperError):
        opened(house, house.db)
    shutil.move(tmp_path / "away", mark_of(house))
    assert opened(house, house.db).published[0] == house.recorder.published[0]


# -- founding ------------------------------------------------------------------------------------------


class Crash(BaseException):
    """The process ends at this line."""


def ended(db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch, point: tuple[type, str]) -> House:
    """Return a house whose founding ended at the call of a method."""

    def crash(*_: object, **__: object) -> None:
        raise Crash

    house = House.__new__(House)
    with monkeypatch.context() as patch:
        patch.setattr(*point, crash)
        with pytest.raises(Crash):
            House.__init__(house, db, folder)
    return house


def test_the_mark_says_0_before_the_genesis_is_committed(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = ended(db, tmp_path / "house", monkeypatch, (Recorder, "record"))
    with db.read() as session:
        assert read_head(session).size == 0
    assert HighWater(mark_of(house), house.origin).size == 0


def test_a_genesis_whose_mark_was_not_written_is_a_ledger_that_starts(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = ended(db, tmp_path / "house", monkeypatch, (HighWater, "advance"))
    recorder = opened(house, db)
    assert recorder.published[0] == 1
    assert HighWater(mark_of(house), house.origin).size == 1


def test_a_ledger_is_not_founded_over_a_mark(db: Database, tmp_path: Path) -> None:
    first = House(db, tmp_path / "a", name="prov-64")
    for folder, name, why in (("b", "prov-65", "another ledger"), ("c", "prov-64", "founded once")):
        (tmp_path / folder).mkdir()
        shutil.copy(mark_of(first), tmp_path / folder)
        with pytest.raises((TamperError, RefusedError), match=why):
            House(db, tmp_path / folder, name=name)
    with db.read() as session:
        assert read_head(session).name == "prov-64", "no other one is half there"


# -- two services --------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [1, 2])
def test_two_services_on_copies_of_one_database_publish_one_history(house: House, tmp_path: Path, more: int) -> None:
    db = copied(house, tmp_path / "copy.db")
    other = opened(house, db)
    events = [sighting(house) for _ in range(1 + more)]
    house.recorder.record(events[:1])
    before, shown = other.published, told(house.recorder)
    intake = Intake(other, house.settings)
    intake.start()
    try:
        for _ in range(2):
            with pytest.raises(BusyError) as refused:
                intake.submit(events[1:]).result(30)
            assert refused.value.code == "storage"
        assert not intake.healthy
    finally:
        intake.stop()
    assert other.published == before, "nothing of the second history was shown"
    house.recorder.record([sighting(house)])
    assert told(house.recorder).size == shown.size + 1
    with pytest.raises(TamperError):
        opened(house, db)
    db.close()


def test_two_services_on_one_database_go_on(house: House) -> None:
    """Control: a service that is ending beside its successor."""
    db = Database(house.db.url.render_as_string(hide_password=False))
    other = opened(house, db)
    size = house.recorder.published[0]
    for n in range(6):
        [answer] = (other, house.recorder)[n % 2].record([sighting(house)])
        assert isinstance(answer, Receipt)
    assert other.published[0] == size + 5
    assert house.recorder.published[0] == size + 6
    assert HighWater(mark_of(house), house.origin).size == size + 6
    db.close()
