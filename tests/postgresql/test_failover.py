"""What a service does when its database goes away, comes back, or comes back as another one (ADR 21)."""

import threading
from pathlib import Path

import pytest

from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import BusyError, TamperError
from app.ledger.append import read_head
from app.ledger.fencing import Fence
from app.ledger.highwater import HighWater
from tests import small
from tests.house import House
from tests.postgres import PostgresServer
from tests.postgresql.hosts import Host, faults, loaded, running, until
from tests.postgresql.servers import caught_up, either, migrated, on, pair, plain

pytestmark = pytest.mark.postgres
SYNCHRONOUS = {"synchronous_standby_names": "*"}


def sighting(house: House, phone, at_ms: int | None = None):
    """Return a proven observation."""
    signed = phone.sign(
        "sighting", {"source": "camera"}, at_ms=at_ms or house.tick(), capacity="witness", place=small.WAREHOUSE
    )
    return house.recorder.prover.prove(signed.jws, house.now_ms)


def writer_of(house: House, url: str, folder: Path, **changes) -> Recorder:
    """Return a recorder like that of another host: its own mark, its own connections."""
    settings = house.settings.model_copy(update={"high_water_path": folder, **changes})
    if not folder.exists():
        folder.write_bytes(house.settings.high_water_file().read_bytes())
    db = Database(url, replicated=settings.synchronous_standby)
    try:
        return Recorder(db, settings, ServerKeys.load(settings.keys_folder()), HighWater(folder, house.origin))
    except BaseException:
        db.close()
        raise


def test_a_service_outlives_its_primary_and_loses_nothing(tmp_path: Path) -> None:
    """The primary is killed under load, its synchronous standby promoted, a new standby made: the service goes on."""
    with pair(SYNCHRONOUS) as (primary, standby):
        url = migrated(primary)
        db = Database(url)
        house = House(db, tmp_path / "house")
        hosts = [
            Host(
                house,
                tmp_path / "host",
                either(url, primary, standby),
                workers=1,
                synchronous_standby="1",
                writer_wait_seconds="3",
            )
        ]
        with running(*hosts), loaded(house, hosts) as load:
            load.reach(60)
            primary.crash()
            until(lambda: load.answers()[503] > 0, lambda: f"503: {load.answers()}")
            marked = HighWater(hosts[0].mark, house.origin).size
            assert [hosts[0].get(path)[0] for path in ("/v1/ledger", "/readyz", "/healthz")] == [503, 503, 200]
            standby.promote()
            db.close()
            db = Database(on(url, standby))
            with db.read() as session:
                assert read_head(session, house.settings.ledger).size >= marked
            before = load.count
            threading.Event().wait(1)
            assert load.count == before, "nothing is acknowledged that no standby has confirmed"
            second = PostgresServer(primary=standby, settings=SYNCHRONOUS)
            try:
                load.reach(60)
            finally:
                load.stopping.set()
                for thread in load.threads:
                    thread.join(60)
                assert hosts[0].stop() in {0, -15}
                second.close()
        assert "database_changed" in hosts[0].log
        assert set(load.answers()) <= {200, 201, 503}
        assert faults(load, db, house.settings.ledger) == []
        db.close()


def lagging(house: House, primary: PostgresServer, standby: PostgresServer, phone) -> None:
    """Show something that an asynchronous standby never gets, and promote it."""
    until(lambda: caught_up(primary, standby), lambda: "caught up")
    with plain(standby.url) as connection:
        connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
        connection.execute("SELECT pg_reload_conf()")
        until(
            lambda: connection.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone() == (0,),
            lambda: "cut off",
        )
    for _ in range(3):
        house.recorder.record([sighting(house, phone)])
    primary.crash()
    standby.promote()


def test_a_promoted_standby_that_lacks_what_was_shown_is_never_written(tmp_path: Path) -> None:
    with pair() as (primary, standby):
        url = migrated(primary)
        house = House(Database(url), tmp_path / "house")
        phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
        host = Host(house, tmp_path / "host", either(url, primary, standby), workers=1)
        with running(host):
            lagging(house, primary, standby, phone)
            shown = house.recorder.published[0]
            until(lambda: "writer_stopped" in host.log, lambda: host.log[-2000:])
            until(lambda: host.readiness() == 503, lambda: "readyz fails")
            assert "custody ledger take-over" in host.log
            host.kill()
            host.start(ready=False)
            assert host.process is not None
            assert host.process.wait(60) == 1
            assert "take-over" in host.log.splitlines()[-1] or "restored from an old backup" in host.log
        house.db.close()
        there = Database(on(url, standby))
        with there.read() as session:
            head = read_head(session, house.settings.ledger)
        assert head.size == shown - 3
        # Even where a person said that it may go on: the mark knows better.
        with pytest.raises(TamperError, match="were signed and shown"):
            writer_of(house, on(url, standby), house.settings.high_water_file())
        # Control: a writer that forgot both signs another tree of a size that was shown.
        mutant = writer_of(house, on(url, standby), host.mark)
        mutant.fence.admit = lambda session, head: head  # type: ignore[method-assign]
        for _ in range(3):
            mutant.record([sighting(house, phone)])
        assert mutant.published[0] == shown
        assert mutant.published[1] != house.recorder.published[1], "no fork was made: the fence guards nothing"
        mutant.db.close()
        there.close()


def test_sessions_that_are_ended_under_load_lose_and_double_nothing(postgres_url: str, tmp_path: Path) -> None:
    db = Database(postgres_url)
    house = House(db, tmp_path / "house")
    hosts = [Host(house, tmp_path / "host", postgres_url, workers=2)]
    with running(*hosts), loaded(house, hosts, each=6) as load, plain(postgres_url) as connection:
        sql = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        ended = 0
        for _ in range(12):
            load.reach(10)
            ended += connection.execute(sql).fetchone()[0]  # type: ignore[index]
        load.reach(30)
        load.stopping.set()
    assert ended > 12
    assert set(load.answers()) <= {200, 201, 503}
    db.close()
    db = Database(postgres_url)
    assert faults(load, db, house.settings.ledger) == []
    db.close()


def writable(db: Database) -> bool:
    """Say whether a write transaction can begin."""
    try:
        with db.write():
            return True
    except BusyError:
        return False


def test_a_commit_that_no_standby_confirmed_is_not_shown(tmp_path: Path) -> None:
    """Whoever cancels the wait for the standby lets the commit stand on this server alone."""
    server = PostgresServer()
    try:
        url = migrated(server)
        house = House(Database(url), tmp_path / "house")
        phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
        with plain(server.url) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            connection.execute("SELECT pg_reload_conf()")
            shown, event = house.recorder.published, sighting(house, phone)
            strict = Database(url, replicated=True)
            until(lambda: writable(strict), lambda: "a server that asks a standby may be written")
            failed: list[BaseException] = []

            def record() -> None:
                try:
                    house.recorder.record([event])
                except BusyError as error:
                    failed.append(error)

            waiting = threading.Thread(target=record)
            waiting.start()
            sql = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            until(lambda: connection.execute(sql).fetchone() != (0,), lambda: "a commit waits")
            waiting.join(30)
            assert [error.code for error in failed] == ["storage"]  # type: ignore[attr-defined]
            assert house.recorder.published == shown
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")
            until(
                lambda: not writable(strict), lambda: "one that asks none any more may not, over an old connection too"
            )
            strict.close()
        [receipt] = house.recorder.record([event])
        assert receipt.replayed  # it stood there, and is shown now that its commit counts
        house.check()
        house.db.close()
    finally:
        server.close()


def test_a_service_that_wants_a_standby_writes_nowhere_else(postgres_url: str, tmp_path: Path) -> None:
    house = House(Database(postgres_url), tmp_path / "house")
    db = Database(postgres_url, replicated=True)
    with pytest.raises(RuntimeError, match="synchronous_standby_names"):
        db.check_durability()
    with pytest.raises(BusyError), db.write():
        pass
    with db.read() as session:
        assert read_head(session).size > 0
    db.close()
    house.db.close()


def test_each_life_of_a_database_is_entered_once_and_an_old_one_never_again(house: House, monkeypatch) -> None:
    """The rules of the fence one by one, over a server whose lives the test tells."""
    lives = {"now": (1 << 32) + 7}
    with house.db.write() as session:
        session.exec_driver_sql("UPDATE ledger SET epoch = 0")
    monkeypatch.setattr("app.ledger.fencing.standing", lambda _: lives["now"])

    def passes(*, replicated: bool = False, fence: Fence | None = None) -> Fence:
        mark = house.recorder._high_water
        fence = fence or Fence(mark, replicated=replicated)
        with fence.admitted(house.db, house.recorder.ledger_id):
            pass
        return fence

    first = passes()
    lives["now"] = (2 << 32) + 7  # promoted
    with pytest.raises(TamperError, match="take-over"):
        passes(fence=first)
    with pytest.raises(TamperError, match="take-over"):
        passes()
    asked: list[int] = []
    sure = Fence(house.recorder._high_water, replicated=True)

    def busy_once() -> None:
        """Ask as witnesses are asked: it may take its time, so nobody may wait for it at the head."""
        with house.db.write() as other:
            read_head(other, lock=True)
        asked.append(1)
        if len(asked) == 1:
            raise BusyError("The database has no connection free.")

    sure.also = busy_once
    with pytest.raises(BusyError, match="no connection"):
        passes(fence=sure)
    passes(fence=sure)
    passes(fence=sure)
    assert asked == [1, 1], "witnesses are asked until they have answered, and then not again in this life"
    passes()  # moved on by a writer that could be sure: others follow
    passes(fence=first)
    lives["now"] = (1 << 32) + 7
    with pytest.raises(TamperError, match="old primary"):
        passes(fence=sure)
    with pytest.raises(TamperError, match="old primary"):
        passes(replicated=True)
    lives["now"] = (9 << 32) + 8  # another cluster: dumped, upgraded or copied
    with pytest.raises(TamperError, match="take-over"):
        passes(replicated=True)
