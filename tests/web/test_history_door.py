"""The door of histories: who asks and what he asked for in two statements, and the same answers as the plain route."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event

from app.audit import kept as kept_room
from app.audit.kept import MOST_KEPT, MOST_OPEN, Kept
from app.keys.clients import add_client, revoke_client
from app.keys.grants import Viewer
from app.keys.tokens import issue_token
from app.postgres import POOL_SIZE
from app.web import history
from tests import small

PLAIN = {"limit": "0200"}
"""Not a number as the quick door reads them: the framework's route answers, and means the same."""


@contextmanager
def counted(live) -> Iterator[list[str]]:
    """Collect the statements of the readers, BEGIN and the like apart."""
    ran: list[str] = []

    def note(_c: object, _cursor: object, sql: str, *_: object) -> None:
        if sql.startswith(("SELECT", "WITH")):
            ran.append(sql)

    db = live.services.db
    engines = [engine for engine in (db.read_engine, db.apart_engine) if engine is not None]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def units(live, officer) -> dict[str, str]:
    """One that was seen once, one that was seen more often than is told in the event loop."""
    short, long = live.boxes(officer, [small.TPS1, small.TPS2])
    for unit, times in ((short, 1), (long, history.FEW_ROWS + 20)):
        seen = [
            officer.sign(
                "sighting", {}, at_ms=live.house.tick(), units=[unit], place=small.WAREHOUSE, capacity="witness"
            )
            for _ in range(times)
        ]
        for each in seen:
            live.ok(each)
    return {"short": short, "long": long}


def get(
    live, unit: str, *, place: str | None = None, agency: str = small.KPU, role: str = "auditor", **query: Any
) -> Any:
    return live.get(f"/v1/units/{unit}/history", role, agency=agency, place=place, **query)


def cost(live, unit: str, **kwargs: Any) -> int:
    live.headers("auditor")  # made before anything is counted
    with counted(live) as ran:
        assert get(live, unit, **kwargs).status_code == 200
    return len(ran)


def test_a_history_costs_two_statements_with_the_token_whatever_its_length(live, units):
    assert [cost(live, units["short"]), cost(live, units["long"]), cost(live, units["long"], limit=5)] == [2, 2, 2]
    assert cost(live, units["short"], **PLAIN) > 2, "the count sees what the plain route asks"


def test_both_doors_say_the_same(live, units):
    unknown, blank = "0" * 17, "KPU/NONE"
    for named in (units["short"], units["long"], units["short"].lower(), unknown, blank):
        for place in (None, small.CITY, "64.74.01.B", "NOWHERE"):
            for role, agency in (("auditor", small.KPU), ("field", small.KPU), ("field", small.BWS)):
                who = {"role": role, "agency": agency, "place": place}
                quick, plain = get(live, named, **who), get(live, named, **who, **PLAIN)
                assert (quick.status_code, quick.content) == (plain.status_code, plain.content)
                assert set(quick.headers) == set(plain.headers)
    statuses = {get(live, units["short"], role="field", agency=a).status_code for a in (small.KPU, small.BWS)}
    assert statuses == {200, 404}


def test_pages_join_to_the_whole(live, units):
    whole, pages, path = get(live, units["long"], limit=1000).json()["items"], [], None
    headers = live.headers("auditor")
    while True:
        answer = live.http.get(path or f"/v1/units/{units['long']}/history?limit=50", headers=headers)
        assert answer.status_code == 200, answer.text
        pages += answer.json()["items"]
        if answer.json()["next"] is None:
            break
        path = answer.headers["link"].partition(">")[0][1:]
    assert pages == whole
    other = live.headers("auditor", agency=small.BWS)
    assert live.http.get(path, headers=other).status_code == 400, "a cursor is its caller's own"


def test_what_is_unusual_is_answered_as_by_every_door(live, units):
    unit = units["short"]
    for query in ("limit=0", "limit=1001", "size=0", "size=x", f"size={2**60}"):
        assert live.http.get(f"/v1/units/{unit}/history?{query}", headers=live.headers("auditor")).status_code == 422
    wrong = unit[:-1] + ("0" if unit[-1] != "0" else "1")
    assert get(live, wrong).json()["code"] == "label_checksum"
    for headers in ({}, {"Authorization": "Bearer " + "A" * 43}, {"Authorization": "Basic QTpC"}):
        for named in (unit, wrong):
            assert live.http.get(f"/v1/units/{named}/history", headers=headers).status_code == 401
    head = live.http.head(f"/v1/units/{unit}/history", headers=live.headers("auditor"))
    assert (head.status_code, head.content) == (200, b"")
    assert live.http.post(f"/v1/units/{unit}/history", headers=live.headers("auditor")).status_code == 405


def test_a_token_ends_at_once_with_its_client_its_time_and_its_roles(live, units):
    path, ledger = f"/v1/units/{units['short']}/history", live.services.ledger_id
    now = int(time.time() * 1000)

    def status(token: str) -> int:
        return live.http.get(path, headers={"Authorization": f"Bearer {token}"}).status_code

    with live.db.write() as session:
        client, _ = add_client(session, ledger, small.KPU, ["auditor"])
        lasting = issue_token(session, ledger, client.viewer(), now + 600_000)
        over = issue_token(session, ledger, client.viewer(), now - 1)
        without = issue_token(session, ledger, Viewer(client.client, small.KPU, None, frozenset()), now + 600_000)
    assert [status(each) for each in (lasting, over, without)] == [200, 401, 403]
    with live.db.write() as session:
        revoke_client(session, ledger, client.client, now)
        late = issue_token(session, ledger, client.viewer(), now + 600_000)  # revoking deletes only what there was
    assert [status(lasting), status(late)] == [401, 401]


def test_a_token_of_a_key_ends_with_the_key(live, units):
    phone = live.house.enrol("OFF-READS", small.KPU, "LOGISTIK", small.CITY, access=("auditor",))
    with live.db.write() as session:
        viewer = Viewer(phone.kid, small.KPU, None, frozenset({"auditor"}))
        token = issue_token(session, live.services.ledger_id, viewer, int(time.time() * 1000) + 600_000)
    path, headers = f"/v1/units/{units['short']}/history", {"Authorization": f"Bearer {token}"}
    assert live.http.get(path, headers=headers).status_code == 200
    revoke = {"kid": phone.kid, "reason": "lost"}
    live.ok(live.house.founders[0].sign("key.revoke", revoke, at_ms=live.house.tick(), capacity="approver"))
    assert live.http.get(path, headers=headers).status_code == 401


def test_a_reader_sees_what_was_recorded_since_it_was_opened(live, units, officer):
    before = get(live, units["short"]).json()["items"]
    at_ms = live.house.tick()
    seen = officer.sign("sighting", {}, at_ms=at_ms, units=[units["short"]], place=small.WAREHOUSE, capacity="witness")
    live.ok(seen)
    after = get(live, units["short"]).json()["items"]
    assert after[:-1] == before
    assert after[-1]["event"] == seen.hash


@pytest.mark.parametrize(
    ("wall", "work", "blocks", "rests"),
    [(1.0, 0.0, 0, False), (0.01, 0.01, 5, False), (1.0, 0.0, 5, True), (1.0, 0.9, 0, True)],
    ids=["the machine was busy", "quick", "the disk was slow", "there was much to do"],
)
def test_a_slow_read_sends_the_next_to_threads(lite, monkeypatch, wall, work, blocks, rests):
    kept = Kept(lite.services.db)
    clocks = {"perf_counter": iter([0.0, wall]), "thread_time": iter([0.0, work])}
    told = SimpleNamespace(monotonic=time.monotonic, **{name: c.__next__ for name, c in clocks.items()})
    monkeypatch.setattr(kept_room, "time", told)
    monkeypatch.setattr(kept_room, "_blocks_read", iter([0, blocks]).__next__)
    with kept.timed():
        pass
    assert kept.may_wait is not rests


def test_while_reads_are_slow_threads_read(lite, store, monkeypatch):
    unit = lite.boxes(store, [small.TPS1])[0]
    inline = get(lite, unit)
    kept, threads, whole = history._kept_of(lite.services.db), [], history.History._whole

    def noted(*args: Any) -> Any:
        threads.append(unit)
        return whole(*args)

    monkeypatch.setattr(history.History, "_whole", noted)
    kept._inline_from = time.monotonic() + 600
    try:
        assert get(lite, unit).content == inline.content
    finally:
        kept._inline_from = 0.0
    assert threads == [unit]


def test_readers_who_hold_the_pool_stop_no_history(lite, store):
    """The pool may be empty: these connections stand outside of it, and nobody is waited for in the event loop."""
    unit = lite.boxes(store, [small.TPS1])[0]
    kept = history._kept_of(lite.services.db)
    kept._close()
    with ExitStack() as stack:
        for _ in range(POOL_SIZE):
            stack.enter_context(lite.services.db.read())
        assert get(lite, unit).status_code == 200


def test_who_comes_when_many_are_read_at_once_goes_the_ordinary_way(lite, store):
    unit = lite.boxes(store, [small.TPS1])[0]
    kept = history._kept_of(lite.services.db)
    taken = [kept.take() for _ in range(MOST_OPEN)]
    try:
        assert not kept.has_room
        assert get(lite, unit).status_code == 200
    finally:
        for session in taken:
            kept.give(session)
    assert kept.has_room
    assert len(kept._free) <= MOST_KEPT


def test_kept_connections_cannot_write_and_close_with_the_engine(lite):
    kept = history._kept_of(lite.services.db)
    session = kept.take()
    with pytest.raises(Exception, match="readonly"):
        session.connection.dbapi_connection.execute("DELETE FROM access_token")
    kept.give(session, sound=False)
    assert session.closed
    kept.give(kept.take())
    assert len(kept._free) == 1
    kept._close()
    assert kept._free == []


def test_a_spoiled_label_is_refused_alike_by_both_doors(live, officer):
    """Who may see its issue is asked by a statement of its own, in the snapshot of the first."""
    [label], _ = live.issue(officer, 1)
    lines = [{"act": "retire", "unit": label, "reason": "PRINT"}]
    live.ok(officer.sign(
        "unit.commission", {"lines": lines}, at_ms=live.house.tick(), units=[label], place=small.WAREHOUSE,
    ))  # fmt: skip
    for _ in range(3):
        quick, plain = get(live, label), get(live, label, **PLAIN)
        assert quick.status_code == plain.status_code
        assert quick.status_code == 410
        assert quick.json() == plain.json()
