"""Loads and yardsticks are what they are called: whole batches, servers that are warm, the same database beside both."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from rich.progress import Progress

from app.cli.bench import growth, loads, parts, scenarios
from app.cli.bench.parts import own_database, stored
from app.cli.bench.stage import Stage
from app.cli.bench.tokens import Pass
from app.cli.bench.traffic import Event, batches, shares
from app.cli.bench.wish import FULL, QUICK, Size, Wish, open_loads
from app.cli.phone import Signed
from app.db import Database
from scripts.yardsticks import bare, inserts

PRAGMAS = ("page_size", "journal_mode", "synchronous", "wal_autocheckpoint", "cache_size", "cell_size_check",
           "foreign_keys")  # fmt: skip


class Endless:
    """A stream that never ends."""

    def take(self, count):
        return [Event(b"H", b"{}")] * count


def stage_of(size, folder):
    """Return a stage without servers, which has streams and a token."""
    stage = Stage(folder, "sqlite:///none.db", Wish((), size), Progress(disable=True))
    stage.streams, stage._pass = [Endless() for _ in range(size.streams)], Pass(lambda: ("token", 3600))
    return stage


# -- whole batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [FULL, QUICK])
@pytest.mark.parametrize(
    ("wanted", "each", "connections"),
    [
        ("batch_100", "hundred", loads.HUNDRED_CONNECTIONS),
        ("batch_100_open", "hundred", loads.OPEN_BATCH_CONNECTIONS),
        ("batch_1000", "thousand", loads.THOUSAND_CONNECTIONS),
    ],
)
def test_every_batch_of_a_load_is_whole(tmp_path, size, wanted, each, connections):
    stage = stage_of(size, tmp_path)
    streams, load = stage.in_batches(getattr(size, wanted), getattr(size, each), connections)
    assert {ask.events for asks in load.connections for ask in asks} == {getattr(size, each)}
    assert len(load.connections) == connections
    assert len({len(asks) for asks in load.connections}) == 1
    assert stage.sent_events == sum(map(len, streams)) == load.events
    assert load.events == pytest.approx(getattr(size, wanted), rel=0.1)


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_batches_that_two_sign_are_whole_and_their_boxes_come_home(tmp_path, monkeypatch, size):
    stage, sent, told = stage_of(size, tmp_path), [], []
    stage.streams = [SimpleNamespace(here=None, there=None) for _ in range(size.streams)]
    stage.boxes = ["box"] * (2 * size.streams)

    def endless(teams, units, now_ms):
        while True:
            yield Signed("H", {})

    monkeypatch.setattr(loads, "exchanges", endless)
    monkeypatch.setattr(Stage, "send", lambda self, load: sent.append(load) or {})
    told = [name for name, _ in loads.two_signatures(stage)]
    assert told == ["two_signatures", "two_signatures_100"]
    alone, hundred = sent
    assert {ask.events for asks in hundred.connections for ask in asks} == {100}
    each = loads.EVENTS_PER_BOX * len(stage.boxes) // (size.streams // 2)
    assert alone.events % (each * size.streams // 2) == 0
    assert hundred.events % each == 0
    assert hundred.events == pytest.approx(size.two_signatures_100, rel=0.1)


def test_a_last_batch_that_is_not_whole_is_what_this_is_about():
    """Control: 256 streams of 62 events over four connections end in batches of 968."""
    load = batches([[Event(b"H", b"{}")] * 62] * 256, 1000, "", 4)
    assert {ask.events for asks in load.connections for ask in asks} == {1000, 968}
    assert shares(256, 4, 1000) == (50, 20)
    assert shares(128, 8, 100) == (10, 10)
    assert shares(8, 8, 100) == (1, 100)


def test_batches_of_growth_are_whole():
    each, step = shares(growth.STREAMS, loads.HUNDRED_CONNECTIONS, growth.HUNDRED)
    assert each * loads.HUNDRED_CONNECTIONS == growth.STREAMS
    assert growth.BATCHED // growth.STREAMS % step == 0


def test_a_full_run_sends_enough_for_the_percentiles_that_goals_are_of():
    assert FULL.single >= FULL.single_4 - FULL.single_4 % FULL.streams >= 1000
    assert FULL.batch_100_open // FULL.hundred >= 1000
    assert FULL.hundred_units >= 20
    assert QUICK.single >= QUICK.single_4 >= 1000
    assert open_loads(("single", "history"), FULL) == {"single_open": FULL.single}


# -- warm servers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "grown"), [(("single",), False), (("history",), True), (("fsck",), False)])
def test_every_server_is_warm_before_its_first_round(tmp_path, monkeypatch, wanted, grown):
    stage, sent = stage_of(Size(streams=16, warm_up=32, hundred=4), tmp_path), []
    object.__setattr__(stage.wish, "scenarios", wanted)
    ledger = SimpleNamespace(units=["U"])
    monkeypatch.setattr(Stage, "grown", lambda self: (ledger, "token"))
    monkeypatch.setattr(
        Stage, "send", lambda self, load, name="service": sent.append((name, load.connections[0][0].data.split()[:2]))
    )
    scenarios._warm_up(stage)
    assert {(name, *line) for name, line in sent} == {
        ("service", b"POST", b"/v1/events"), ("service", b"POST", b"/v1/events/batch"), ("noop", b"POST", b"/noop"),
        ("noop", b"GET", b"/noop/0"), ("naive", b"POST", b"/naive"),
        *([("grown", b"GET", b"/v1/units/U/history")] if grown else []),
    }  # fmt: skip


# -- the same database beside both -----------------------------------------------------------------------


def values(connection, name):
    return connection.execute(f"PRAGMA {name}").fetchone()


def test_the_yardsticks_run_sqlite_as_the_services_writer_does(sqlite_url, tmp_path):
    store = bare.SqliteStore(str(tmp_path / "bare.db"))
    service = Database(sqlite_url)
    with (
        closing(inserts.opened(str(tmp_path / "raw.db"))) as raw,
        closing(store._connection) as pipeline,
        service.write_engine.connect() as ours,
    ):
        for name in PRAGMAS:
            wanted = ours.exec_driver_sql(f"PRAGMA {name}").fetchone()
            assert values(raw, name) == values(pipeline, name) == tuple(wanted), name
    service.close()


def shape(connection, table):
    """Return what SQLite keeps for a table: its columns, and the indexes beside it."""
    columns = [row[1:4] for row in connection.execute(f"PRAGMA table_info({table})")]
    indexes = [row[2:] for row in connection.execute(f"PRAGMA index_list({table})")]
    return [(name, bool(needed)) for name, _, needed in columns if name != "leaf_index"], indexes


def test_rows_go_into_the_same_table_by_the_driver_and_by_the_service(tmp_path, monkeypatch):
    """A key that is no `INTEGER PRIMARY KEY` has an index of its own: more work, and an easier bar."""
    inserts.sqlite(str(tmp_path / "raw.db"))
    db = own_database(f"sqlite:///{tmp_path / 'store.db'}")
    parts._TABLE.create(db.write_engine)
    db.close()
    with (
        closing(sqlite3.connect(tmp_path / "raw.db")) as raw,
        closing(sqlite3.connect(tmp_path / "store.db")) as ours,
    ):
        assert shape(raw, "raw_event") == shape(ours, "bench_event")
        assert values(raw, "page_size") == values(ours, "page_size") == (8192,)


class Clock:
    """Stands until somebody moves it; the modules that measure ask it instead of the system's."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    process_time = perf_counter


def ticking(clock, really):
    """Return a tidying that takes five seconds more."""

    def tidy(*given):
        clock.now += 5
        return really(*given)

    return tidy


def test_moving_the_log_into_the_file_is_within_every_clock_that_is_compared(tmp_path, monkeypatch):
    clock = Clock()
    for module in (inserts, bare, parts, loads):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(parts, "COMMITS", 2)
    monkeypatch.setattr(parts, "ROWS", 3)
    store = inserts.sqlite(str(tmp_path / "raw.db"))
    counted = store._replace(tidy=ticking(clock, store.tidy))
    assert inserts.measure(counted, 3, 2)["wall_seconds"] == 5
    assert inserts.measure(inserts.sqlite(str(tmp_path / "one.db"))._replace(tidy=counted.tidy), 1, 2) == {
        "events": 2, "requests": 2, "wall_seconds": 0, "cpu_seconds": 0,
    }  # fmt: skip
    monkeypatch.setattr(Database, "tidy", ticking(clock, Database.tidy))
    assert stored(own_database(f"sqlite:///{tmp_path / 'store.db'}"))["wall_seconds"] == 5
    monkeypatch.setattr(bare.SqliteStore, "tidy", ticking(clock, bare.SqliteStore.tidy))
    assert bare.measure([], {}, f"sqlite:///{tmp_path / 'bare.db'}")["wall_seconds"] == 5
    stage = SimpleNamespace(url=f"sqlite:///{tmp_path / 'store.db'}")
    told = loads.tidied(stage, {"events": 1, "wall_seconds": 1.0, "cpu_seconds": 2.0})
    assert (told["wall_seconds"], told["cpu_seconds"], told["tidy_seconds"]) == (6, 7, 5)


@pytest.mark.parametrize("is_tidied", [True, False])
def test_rows_are_in_the_file_when_its_log_was_moved_and_only_then(tmp_path, is_tidied):
    path = tmp_path / "raw.db"
    store = inserts.sqlite(str(path))
    store.tidy()
    store.commit(inserts.rows(0, 50))
    if is_tidied:
        store.tidy()
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as without_log:
        assert without_log.execute("SELECT count(*) FROM raw_event").fetchone() == (50 if is_tidied else 0,)
