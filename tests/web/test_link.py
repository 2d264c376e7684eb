"""The writer's own process: it records what the one that answers has proven, and its end is told, not hidden."""

import asyncio
import socket

import httpx
import pytest

from app.audit.fsck import fsck
from app.config import Settings
from app.custody.link import WriterLink
from app.custody.private import PrivateContent
from app.custody.prove import Parcel, ProvenEvent
from app.custody.view import View
from app.custody.wire import Done, Record, frame, frames, messages
from app.db import Database
from app.errors import BusyError, MissingError, TamperError, UnprovenError
from app.ledger.append import read_head
from app.ledger.highwater import HighWater
from app.worker import Desk
from tests import small
from tests.house import House
from tests.web.live import serving


@pytest.fixture
def house(db, tmp_path):
    return House(db, tmp_path / "house")


@pytest.fixture
def settings(house, database_url):
    return house.settings.model_copy(update={"database_url": database_url, "sweep_seconds": 3600})


@pytest.fixture
def phone(house):
    return house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)


def seen(house, phone):
    signed = phone.sign("sighting", {"source": "camera"}, at_ms=house.tick(), capacity="witness", place=small.WAREHOUSE)
    return house.recorder.prover.prove(signed.jws, house.now_ms)


def linked(settings, work):
    """Run `work` on a loop with a started link over the ledger of the settings."""

    async def run():
        db = Database(settings.url())
        with db.read() as session:
            view = View.of(session, read_head(session, settings.ledger))
        db.close()
        link = WriterLink(settings, view)
        await link.start()
        try:
            return await work(link, view)
        finally:
            await link.stop()

    return asyncio.run(run())


def test_events_are_recorded_in_the_other_process_and_the_view_moves_on(house, settings, phone):
    events = [seen(house, phone) for _ in range(3)]

    async def work(link, view):
        before = view.published[0]
        first, second = await asyncio.gather(link.submit(events[:1]), link.submit(events[1:], proofs=False))
        assert view.published[0] == before + 3
        return [*first, *second]

    answers = linked(settings, work)
    assert [one.result for one in answers] == ["accepted"] * 3
    assert [one.state for one in answers] == ["included", "accepted", "accepted"]
    assert fsck(house.db, high_water=settings.high_water_file()).clean


def test_what_was_sent_before_the_stop_is_recorded(house, settings, phone):
    event = seen(house, phone)

    async def work(link, _):
        link.submit([event])

    linked(settings, work)
    with house.db.read() as session:
        kept = session.exec_driver_sql("SELECT hash FROM event").scalars().all()
    assert event.event.hash in kept


def test_a_writer_that_is_killed_is_told_to_all_who_wait_and_to_readyz(house, settings, phone):
    one = phone.sign("sighting", {"source": "camera"}, at_ms=house.tick(), capacity="witness", place=small.WAREHOUSE)
    with serving(settings) as (server, base), httpx.Client(base_url=base, timeout=30, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        link = server.config.app.state.services.intake
        link._process.kill()
        link._process.wait()
        answer = client.post("/v1/events", json=one.jws)
        assert (answer.status_code, answer.json()["code"]) == (503, "storage")
        assert answer.headers["retry-after"] == "60"
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    with serving(settings) as (_, base):
        assert httpx.post(f"{base}/v1/events", json=one.jws, trust_env=False).status_code == 201


def test_a_full_queue_is_busy_and_the_rest_is_recorded(house, settings, phone):
    events = [seen(house, phone) for _ in range(2)]

    async def work(link, _):
        taken = link.submit(events[:1])
        with pytest.raises(BusyError):
            link.submit(events[1:])
        assert link.waiting == 1
        [answer] = await taken
        assert link.waiting == 0
        return answer.result

    assert linked(settings.model_copy(update={"queue_events": 1}), work) == "accepted"


@pytest.mark.parametrize(("broken", "error"), [("keys", MissingError), ("rollback", TamperError)])
def test_why_a_writer_does_not_start_reaches_the_one_that_asked(house, settings, tmp_path, broken, error):
    if broken == "keys":
        settings = settings.model_copy(update={"keys_dir": tmp_path / "nothing"})
    else:
        mark = HighWater(settings.high_water_file(), house.origin)
        mark.advance(10_000, bytes(32))
        mark.close()

    async def nothing(*_):
        pytest.fail("it started")

    with pytest.raises(error):
        linked(settings, nothing)


def test_events_travel_whole_and_can_be_looked_at_twice(house, phone):
    events = [seen(house, phone) for _ in range(3)]
    private = PrivateContent("name", bytes(32), b"body")
    events.append(ProvenEvent(events[0].event, events[0].value, 7, (private,), {"hash": b"document"}))
    [record] = next(frames(bytearray(frame([Record(1, Parcel(events), True, None)]))))
    assert len(record.events) == 4
    assert list(record.events) == list(record.events) == events
    assert record.events[-1] == events[-1]


def test_an_error_travels_with_its_code_and_facts():
    told = Done(
        (1, b"note"), True, [(7, [UnprovenError("No.", code="unknown_key", kid="k")]), (8, BusyError("Later."))]
    )
    [back] = frames(bytearray(frame(told)))
    error, busy = back.answers[0][1][0], back.answers[1][1]
    assert (error.code, error.facts, error.detail) == ("unknown_key", {"kid": "k"}, "No.")
    assert busy.retry_after_seconds == BusyError("Later.").retry_after_seconds


def test_messages_come_out_as_they_went_in_whatever_the_pieces():
    ours, theirs = socket.socketpair()
    sent = [Done((n, b"x" * n), True, []) for n in (0, 1, 300)]
    data = b"".join(map(frame, sent))
    with theirs:
        with ours:
            for start in range(0, len(data), 7):
                ours.sendall(data[start : start + 7])
        assert list(messages(theirs)) == sent


def test_settings_say_where_the_writer_is():
    assert Settings(_env_file=None).writer == "process"


def test_what_cannot_be_handed_over_is_answered_and_the_next_goes_through(house, settings, phone, monkeypatch):
    events = [seen(house, phone) for _ in range(2)]

    async def work(link, _):
        with monkeypatch.context() as patch:
            patch.setattr("app.custody.link.frame", lambda _message: (_ for _ in ()).throw(MemoryError))
            with pytest.raises(BusyError):
                await link.submit(events[:1])
        assert link.waiting == 0
        [answer] = await link.submit(events[1:])
        return answer.result

    assert linked(settings, work) == "accepted"


def test_a_writer_that_ends_before_the_events_are_sent_is_told_once(house, settings, phone, monkeypatch):
    event = seen(house, phone)

    async def work(link, _):
        failed = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, told: failed.append(told))
        future = link.submit([event])
        link.connection_lost(None)
        monkeypatch.setattr("app.custody.link.frame", lambda _message: (_ for _ in ()).throw(OSError))
        with pytest.raises(BusyError):
            await future
        await asyncio.sleep(0)
        assert failed == []
        assert link.waiting == 0

    linked(settings, work)


def test_answers_that_cannot_be_told_end_the_connection():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        desk = Desk(theirs)
        desk._worker = None  # whatever fails while telling
        desk.tell()
        assert ours.recv(1) == b""
