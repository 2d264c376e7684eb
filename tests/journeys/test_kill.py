"""kill -9 under load: no acknowledged event is lost, and the ledger verifies (issue 2, "Done when").

A kill does not prove durability against power cuts (security reference, rule 1); `synchronous=FULL` does, and
`tests/test_db.py` holds it. What this proves is the order: commit first, then the answer.
"""

import random
from pathlib import Path

from app.audit.fsck import fsck
from app.db import Database
from tests import small
from tests.house import House
from tests.journeys.killing import CLIENTS, Client, cycle, lost

CYCLES = 20
SEED = 20241127


def _clients(house: House) -> list[Client]:
    return [Client(house.enrol(f"KPU-{n}", small.KPU, "LOGISTIK", small.CITY)) for n in range(CLIENTS)]


def test_no_acknowledged_event_is_lost_in_twenty_kills(db: Database, database_url: str, tmp_path: Path) -> None:
    house = House(db, tmp_path / "house")
    clients, random_ = _clients(house), random.Random(SEED)
    for _ in range(CYCLES):
        cycle(house, database_url, clients, random_)
        assert lost(house, clients) == []
    assert sum(len(client.acknowledged) for client in clients) > CYCLES
    report = fsck(db, high_water=house.settings.high_water_file())
    assert report.clean, report.as_json()


def test_a_service_that_answers_before_the_commit_is_caught(sqlite_url: str, tmp_path: Path) -> None:
    """Control: the same harness over a mutant turns red."""
    db = Database(sqlite_url)
    house = House(db, tmp_path / "house")
    clients, random_ = _clients(house), random.Random(SEED)
    caught = False
    for _ in range(5):
        cycle(house, sqlite_url, clients, random_, "tests.journeys.hasty_server")
        with db.read() as session:
            kept = {row[0] for row in session.exec_driver_sql("SELECT hash FROM event")}
        caught = caught or any(name not in kept for client in clients for name in client.acknowledged)
    db.close()
    assert caught, "acknowledged events survived although the answer came first"
