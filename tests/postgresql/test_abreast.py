"""Keeping abreast of other hosts: a tree that nobody signed is an alarm, also where nothing was signed at all."""

from pathlib import Path

import pytest

from app.custody.abreast import come_abreast, is_abreast
from app.custody.record import Recorder
from app.db import Database
from app.errors import TamperError
from app.ledger.append import create_ledger
from app.ledger.highwater import HighWater
from tests.house import House
from tests.postgresql.servers import plain

pytestmark = pytest.mark.postgres


def without_checkpoints(url: str) -> None:
    """Do what only the superuser can: take the guards off and every checkpoint away."""
    with plain(url) as connection:
        connection.execute("ALTER TABLE ledger_checkpoint DISABLE TRIGGER USER")
        connection.execute("DELETE FROM ledger_checkpoint")


def again(house: House) -> Recorder:
    """Return a recorder that begins now, as after a restart."""
    return Recorder(house.db, house.settings, house.recorder._keys, house.recorder._high_water)


def test_leaves_under_no_checkpoint_are_an_alarm(postgres_url: str, tmp_path: Path) -> None:
    house = House(Database(postgres_url), tmp_path / "house")
    shown = house.recorder.published[0]
    assert (come_abreast(house.recorder), is_abreast(house.recorder)) == (shown, True), "control"
    without_checkpoints(postgres_url)
    for recorder in (house.recorder, again(house)):
        assert not is_abreast(recorder)
        with pytest.raises(TamperError, match="no signed checkpoint"):
            come_abreast(recorder)
        assert not is_abreast(recorder), "nor once it has entered the database"
    assert house.recorder.published[0] == shown
    house.db.close()


def test_a_ledger_without_a_leaf_is_no_alarm(postgres_url: str, tmp_path: Path) -> None:
    house = House(Database(postgres_url), tmp_path / "house")
    with house.db.write() as session:
        create_ledger(session, "empty2024", "test.example/ledger/empty2024")
    settings = house.settings.model_copy(update={"ledger": "empty2024"})
    mark = HighWater.found(tmp_path / "mark.json", "test.example/ledger/empty2024")
    recorder = Recorder(house.db, settings, house.recorder._keys, mark)
    assert (come_abreast(recorder), is_abreast(recorder)) == (0, True)
    house.db.close()
