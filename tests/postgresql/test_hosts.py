"""Several hosts, each with several workers, write one ledger on one real PostgreSQL (ADR 21)."""

from pathlib import Path

import pytest

from app.db import Database
from tests.house import House
from tests.postgresql.hosts import Host, faults, loaded, running, until

pytestmark = pytest.mark.postgres
ENOUGH = 150
SHARE = 10


def test_two_hosts_of_two_workers_write_one_tree_and_a_kill_loses_nothing(postgres_url: str, tmp_path: Path) -> None:
    db = Database(postgres_url)
    house = House(db, tmp_path / "house")
    name = house.settings.ledger
    hosts = [Host(house, tmp_path / f"host-{n}", postgres_url) for n in range(2)]
    with running(*hosts), loaded(house, hosts) as load:
        load.reach(ENOUGH)
        by_host = [sum(client.by_host[at] for client in load.clients) for at in range(2)]
        assert min(by_host) * SHARE >= sum(by_host), f"one host was starved: {by_host}"
        hosts[0].kill()
        load.reach(ENOUGH // 3)
        hosts[0].start()
        load.reach(ENOUGH // 3)
        load.stopping.set()
        for thread in load.threads:
            thread.join(30)
        until(lambda: hosts[0].shown(name) == hosts[1].shown(name), lambda: "both hosts show the newest checkpoint")
        assert [host.stop() for host in hosts] == [0, 0]
        assert load.answers()[201] >= ENOUGH
        assert faults(load, db, name) == []
    db.close()


def test_without_the_lock_and_the_swap_of_the_head_the_same_run_is_red(postgres_url: str, tmp_path: Path) -> None:
    """Control: two services that do not take turns."""
    db = Database(postgres_url)
    house = House(db, tmp_path / "house")
    program = "tests.postgresql.lockless_server"
    hosts = [
        Host(house, tmp_path / f"host-{n}", postgres_url, workers=1, program=program, writer="thread") for n in range(2)
    ]
    with running(*hosts), loaded(house, hosts) as load:
        until(lambda: load.count > ENOUGH or any(client.odd for client in load.clients), lambda: "enough, or red")
    assert faults(load, db, house.settings.ledger)
    db.close()
