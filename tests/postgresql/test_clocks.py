"""What several hosts have on their clocks is done once: they take turns, and see what another has done."""

from pathlib import Path

import pytest

from app.custody.intake import Intake
from app.custody.record import Recorder
from app.custody.rounds import Rounds
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ledger.highwater import HighWater
from tests import small
from tests.house import House

pytestmark = pytest.mark.postgres
MINUTE_MS = 60_000


class Told:
    """A clock that the test moves."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms


def test_two_hosts_commit_to_the_units_once_a_minute_and_not_twice(postgres_url: str, tmp_path: Path) -> None:
    house = House(Database(postgres_url), tmp_path / "house")
    phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    mark = tmp_path / "other-mark.json"
    mark.write_bytes(house.settings.high_water_file().read_bytes())
    there = Database(postgres_url)
    keys = ServerKeys.load(house.settings.keys_folder())
    other = Recorder(there, house.settings, keys, HighWater(mark, house.origin))
    clock, hosts = Told(house.now_ms), []
    for recorder, db in ((house.recorder, house.db), (other, there)):
        intake = Intake(recorder, house.settings)
        intake.start()
        rounds = Rounds(house.settings, clock, db, recorder, intake, demo=False)
        rounds._next_commit = 0  # it is time
        hosts.append((rounds, intake))
    (first, _), (second, _) = hosts

    def something_happens() -> None:
        house.ok(
            phone.sign("sighting", {"source": "camera"}, at_ms=house.tick(0), place=small.WAREHOUSE, capacity="witness")
        )

    try:
        assert first.commit() == 1
        something_happens()
        assert second.commit() == 0, "another host has just done it"
        clock.at_ms += MINUTE_MS
        second._next_commit = 0
        assert second.commit() == 1
        something_happens()
        first._next_commit = 0
        rest, first._rest_seconds = first._rest_seconds, lambda: 0.0  # type: ignore[method-assign]
        assert first.commit() == 1, "control: nobody looked at what the other host has done"
        assert rest() > 0
        with house.db.turn("clock", 1) as ours, there.turn("clock", 1) as theirs, there.turn("witnesses", 1) as more:
            assert (ours, theirs, more) == (True, False, True)
        with there.turn("clock", 1) as theirs:
            assert theirs
    finally:
        for _, intake in hosts:
            intake.stop()
    house.check()
    there.close()
    house.db.close()
