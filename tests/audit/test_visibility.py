"""Who sees what: one predicate in every query; what is absent and what is forbidden look the same."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select, true

from app.audit.discrepancies import list_discrepancies
from app.audit.events import list_events, one_event
from app.audit.handovers import list_handovers
from app.audit.history import unit_history
from app.audit.places import list_places, one_place
from app.audit.reconcile import reconcile
from app.audit.scope import Scope
from app.audit.stock import stock
from app.audit.units import COLUMNS, unit_state
from app.cli.phone import Phone
from app.clock import rfc3339_ms
from app.errors import MissingError, ServiceError
from app.keys.grants import Viewer
from app.units._tables import UNIT
from app.units.state import Unit
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer
from tests.audit.journey import play
from tests.custody.town import Town

PLACES = (None, "64", s.CITY, s.WAREHOUSE, "64.74.01", "64.74.01.A", s.PPK, s.TPS1, s.TPS3, "NOWHERE")
AGENCIES = (s.KPU, s.PROV, s.POS, s.POL, s.BWS, "NOBODY", 'QUOTE"')
VIEWERS = [*map(auditor, PLACES), *(officer(agency, place) for agency in AGENCIES for place in PLACES)]


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("visibility")) as own:
        own.named = play(own)
        travel(own)
        yield own


@pytest.fixture(params=BACKENDS)
def fresh(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def travel(town: Town) -> None:
    """Let goods of two agencies be in many places: with the carrier, at the district, at the hub."""
    box, _ = town.sealed_box()
    load = town.load()
    town.ok(town.pack(load, box))
    release = town.release([load], (s.POS, s.TRUCK))
    town.ok(release)
    town.ok(town.accept(release.hash, [load], phone=town.pos1, place=s.TRUCK, pos2="second"))
    town.named |= {"carried_box": box, "carried_load": load, "at_hub": at_hub(town)}


def at_hub(town: Town) -> str:
    """Commission a lot of the province at its own store, outside the city."""
    unit = town.blanks.pop()
    line = town.bind(unit, "BALLOT", contest="PILGUB", district="64", quantity=900, source="print")
    town.ok(town.commission(line, phone=town.prov1, place=s.HUB, prov2="second"))
    return unit


# -- one predicate, said twice ---------------------------------------------------------------------------


def test_python_and_sql_agree_on_every_unit_for_every_viewer(town: Town):
    counts = set()
    with town.db.read() as session:
        ledger_id = town.recorder.ledger_id
        units = {row.unit: Unit(*row) for row in session.execute(select(*COLUMNS))}
        for viewer in VIEWERS:
            scope = Scope.of(session, ledger_id, viewer)
            query = select(UNIT.c.unit).where(UNIT.c.ledger_id == ledger_id, scope.unit_in(UNIT.c.unit))
            in_sql = set(session.execute(query).scalars())
            inside = scope.inside(session, (p for u in units.values() for p in (u.place, u.destination)))
            assert in_sql == {n for n, u in units.items() if scope.sees_unit(u, top(units, u), inside)}, viewer
            counts.add(len(in_sql))
    assert {0, len(units)} < counts
    assert len(counts) > 5


def top(units: dict[str, Unit], unit: Unit) -> Unit:
    while unit.parent is not None:
        unit = units[unit.parent]
    return unit


def sees(town: Town, viewer: Viewer, unit: str) -> bool:
    answers = set()
    for question, more in ((unit_history, {}), (unit_state, {"now_ms": town.now_ms})):
        try:
            ask(town, question, viewer, unit, **more)
            answers.add(True)
        except MissingError as error:
            answers.add((error.code, error.detail, *error.facts))
    assert answers in ({True}, {("not_found", "There is no such unit.")})
    return True in answers


def test_who_sees_which_unit(town: Town):
    """A table by hand: the carrier sees what it carries, the district its own, the hub is outside the city."""
    at_station, carried, hub = town.named["box"], town.named["carried_box"], town.named["at_hub"]
    table = [
        (auditor(), True, True, True),
        (auditor("64"), True, True, True),
        (auditor(s.CITY), True, True, False),
        (auditor(s.TRUCK), False, True, False),
        (auditor(s.TPS1), True, True, False),
        (auditor(s.TPS3), False, False, False),
        (auditor(s.HUB), False, False, True),
        (auditor("NOWHERE"), False, False, False),
        (officer(s.KPU), True, True, False),
        (officer(s.KPU, s.WAREHOUSE), False, False, False),
        (officer(s.KPU, s.TPS1), True, True, False),
        (officer(s.POS), False, True, False),
        (officer(s.POS, s.TRUCK), False, True, False),
        (officer(s.POS, s.PPK), False, False, False),
        (officer(s.PROV), False, False, True),
        (officer(s.BWS), False, False, False),
    ]
    for viewer, *expected in table:
        assert [sees(town, viewer, unit) for unit in (at_station, carried, hub)] == expected, viewer


def test_a_retired_label_of_what_one_does_not_see_is_just_missing(town: Town):
    old = town.named["inner"]
    with pytest.raises(MissingError) as seen:
        ask(town, unit_history, auditor(), old)
    assert seen.value.code == "label_retired"
    assert not sees(town, officer(s.POS), old)


# -- events ----------------------------------------------------------------------------------------------


def indexes(town: Town, viewer: Viewer, **kwargs: Any) -> list[int]:
    found, after = [], None
    while True:
        answer = ask(town, list_events, viewer, after=after, limit=200, **kwargs)
        found += [item["index"] for item in answer["items"]]
        after = answer["next"]
        if after is None:
            return found


def test_events_are_seen_by_place_agency_unit_and_author(town: Town):
    rows = {row[0]: row[1:] for row in town.query("SELECT leaf_index, agency, place, author, type FROM event")}
    assert indexes(town, auditor()) == sorted(rows)
    city = indexes(town, auditor(s.CITY))
    assert 0 < len(city) < len(rows)
    hub = [i for i, row in rows.items() if row[1] == s.HUB]
    assert len(hub) == 1
    assert not set(city) & set(hub)
    assert set(hub) <= set(indexes(town, officer(s.PROV))) <= set(hub) | {i for i, r in rows.items() if r[0] == s.PROV}
    police = indexes(town, officer(s.POL, None, town.pol.kid))
    assert police == [i for i, row in rows.items() if row[0] == s.POL]
    carrier = {rows[i][3] for i in indexes(town, officer(s.POS))}
    assert {"custody.release", "custody.accept", "unit.pack", "seal.apply"} <= carrier
    own = [i for i, row in rows.items() if row[2] == town.kpu1.kid]
    assert set(own) <= set(indexes(town, officer(s.KPU, s.TPS3, town.kpu1.kid)))
    assert not set(own) & set(indexes(town, officer("NOBODY", s.TPS3)))


def test_event_filters(town: Town):
    everything = ask(town, list_events, auditor(), limit=200)["items"]
    box = town.named["box"]
    for name, value in (("agency", s.POS), ("officer", "PPK-1"), ("type", "unit.pack"), ("result", "refused")):
        keyword = "type_" if name == "type" else name
        found = ask(town, list_events, auditor(), limit=200, **{keyword: value})["items"]
        assert found == [item for item in everything if item[name] == value] != []
    assert {item["type"] for item in ask(town, list_events, auditor(), unit=box)["items"]} > {"unit.open", "unit.close"}
    there = ask(town, list_events, auditor(), place="64.74.01", limit=200)["items"]
    assert {item["place"] for item in there} == {s.PPK, s.TPS1}
    first, last = everything[30], everything[40]
    ms = town.one(f"SELECT at_ms FROM event WHERE leaf_index = {first['index']}")
    until = town.one(f"SELECT at_ms FROM event WHERE leaf_index = {last['index']}")
    between = indexes(town, auditor(), from_ms=ms, until_ms=until)
    assert between == [i["index"] for i in everything if first["claimed_at"] <= i["claimed_at"] < last["claimed_at"]]
    assert indexes(town, auditor(), from_ms=town.now_ms + 1, clock="received") == []
    with pytest.raises(MissingError):
        ask(town, list_events, auditor(s.PPK), place=s.WAREHOUSE)


def test_one_event_with_its_receipt(town: Town):
    opened = next(
        i for i in ask(town, list_events, auditor(), unit=town.named["box"])["items"] if i["type"] == "unit.open"
    )
    keys: dict[str, Any] = {"reader": town.recorder.reader, "origin": town.origin}
    for named in (opened["event"], opened["event_id"]):
        found = ask(town, one_event, auditor(), named, **keys)
        assert {name: found[name] for name in opened} == opened
        assert found["receipt"]["event"] == opened["event"]
        assert found["receipt"]["proof"]["path"]
        assert set(found["jws"]) == {"payload", "signatures"}
    mine = ask(town, one_event, officer(s.KPU), opened["event"], **keys)
    assert mine["jws"] is None
    assert mine["receipt"] == found["receipt"]
    for viewer in (officer(s.PROV), auditor(s.TPS3)):
        with pytest.raises(MissingError):
            ask(town, one_event, viewer, opened["event"], **keys)
    with pytest.raises(MissingError):
        ask(town, one_event, auditor(), "A" * 43, **keys)


def test_an_event_shows_only_units_that_the_viewer_sees(fresh: Town):
    mine, theirs = fresh.box(), at_hub(fresh)
    fresh.ok(fresh.act(fresh.bws, "sighting", {}, [mine, theirs], capacity="witness"))
    row = ask(fresh, list_events, officer(s.KPU), type_="sighting")["items"][0]
    assert row["units"] == [mine]
    assert ask(fresh, list_events, auditor(), type_="sighting")["items"][0]["units"] == [mine, theirs]


def test_places(town: Town):
    names = [item["place"] for item in ask(town, list_places, officer(s.KPU, "64.74.01.A"))["items"]]
    assert names == sorted(["64.74.01.A", s.PPS_A, s.TPS1, s.TPS2])
    assert len(ask(town, list_places, auditor())["items"]) == town.one("SELECT count(*) FROM place")
    assert [i["place"] for i in ask(town, list_places, auditor(), kind="TPS", below_place="64.74.01.B")["items"]] == [
        s.TPS3
    ]
    page = ask(town, list_places, auditor(), limit=3)
    rest = ask(town, list_places, auditor(), after=page["next"])
    assert len(page["items"]) + len(rest["items"]) == town.one("SELECT count(*) FROM place")
    one = ask(town, one_place, auditor("64.74.01"), "64.74.01.A")
    assert [p["place"] for p in one["above"]] == ["64.74.01"]
    assert [p["place"] for p in one["children"]] == [s.PPS_A, s.TPS1, s.TPS2]
    for question in (one_place, stock):
        with pytest.raises(MissingError) as outside:
            ask(town, question, auditor("64.74.01"), s.WAREHOUSE)
        with pytest.raises(MissingError) as nowhere:
            ask(town, question, auditor("64.74.01"), "NOWHERE")
        assert (outside.value.code, outside.value.detail) == (nowhere.value.code, nowhere.value.detail)


# -- non-interference ------------------------------------------------------------------------------------


def everything_that(town: Town, viewer: Viewer, units: list[str]) -> list[Any]:
    """Ask every question of this room."""
    size = town.settled
    asked: list[Callable[[], Any]] = [
        lambda: ask(town, list_events, viewer, limit=200),
        lambda: ask(town, list_events, viewer, agency=s.PROV),
        lambda: ask(town, list_handovers, viewer, now_ms=town.later),
        lambda: ask(town, list_handovers, viewer, now_ms=town.later, status="disputed"),
        lambda: ask(town, list_discrepancies, viewer, limit=200),
        lambda: ask(town, reconcile, viewer),
        lambda: ask(town, list_places, viewer),
        *(lambda place=place: ask(town, stock, viewer, place) for place in ("64", s.CITY, s.HUB, s.WAREHOUSE)),
        lambda: ask(town, stock, viewer, "64", size=size),
        lambda: ask(town, stock, viewer, "64", at_ms=town.moment),
        *(lambda unit=unit: ask(town, unit_history, viewer, unit) for unit in units),
        *(lambda unit=unit: ask(town, unit_state, viewer, unit, now_ms=town.later) for unit in units),
    ]
    return [answered(question) for question in asked]


def answered(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except ServiceError as error:
        return (type(error).__name__, error.code, error.detail, error.facts)


def the_province_works(town: Town, unit: str, blank: str) -> None:
    """Everything that another agency may do at its own place with its own goods, failures included."""
    fresh_lot = town.bind(blank, "BALLOT", contest="PILGUB", district="64", quantity=50, source="surplus")
    town.ok(town.commission(fresh_lot, phone=town.prov1, place=s.HUB, prov2="second"))
    town.ok(town.inspected([unit, blank], town.prov1, s.HUB))
    town.ok(town.act(town.prov1, "lot.move", {"source": unit, "target": blank, "quantity": 5, "reason": "PACK"}, [unit, blank],
                     place=s.HUB, prov2="second"))  # fmt: skip
    town.ok(town.act(town.prov1, "sighting", {"source": "typed"}, town.fresh_ids(1), place=s.HUB, capacity="witness"))
    due = rfc3339_ms(town.now_ms + 86_400_000)
    told = {"to_agency": s.PROV, "to_place": s.HUB, "due_by": due, "internal": True}
    town.ok(town.act(town.prov1, "custody.release", told, [unit], place=s.HUB, prov2="second"))
    town.no(town.act(town.prov1, "custody.release", told, [unit], place=s.HUB, prov2="second"), "already_released")
    town.tick(60 * 24 * 2)
    town.recorder.sweep(town.now_ms)


@pytest.mark.parametrize("viewer", [officer(s.KPU), officer(s.KPU, "64"), auditor(s.CITY), officer(s.POS)], ids=str)
def test_what_another_agency_does_elsewhere_changes_none_of_my_answers(fresh: Town, viewer: Viewer):
    before, after, units, blank = around(fresh, viewer)
    assert after() == before
    assert any(isinstance(answer, dict) and answer.get("items") for answer in before) or viewer.agency == s.POS
    assert not sees(fresh, viewer, units[-1])
    assert not sees(fresh, viewer, blank)


@pytest.mark.parametrize("viewer", [officer(s.KPU), auditor(s.CITY)], ids=str)
def test_the_same_test_fails_where_the_predicate_is_dropped(fresh: Town, viewer: Viewer, monkeypatch):
    """The control: without its predicate, each list shows what another agency did."""
    for name, index in (("event_in", 0), ("handover_in", 2), ("discrepancy_in", 4)):
        with monkeypatch.context() as patch:
            patch.setattr(Scope, name, lambda _: true())
            before, after, _, _ = around(fresh, viewer)
            assert after()[index] != before[index], name
    with monkeypatch.context() as patch:
        patch.setattr(Scope, "sees_unit", lambda *_: True)
        patch.setattr(Scope, "place_in", lambda *_: true())
        patch.setattr(Scope, "agency_is", lambda *_: true())
        patch.setattr("app.audit.scope.below", lambda _: true())
        before, after, _, _ = around(fresh, viewer)
        answers = list(zip(before, after(), strict=True))
        assert answers[5][0] != answers[5][1], "reconciliation"
        assert answers[7][0] != answers[7][1], "stock"
        assert answers[-1][0] != answers[-1][1], "state of a unit"


def around(town: Town, viewer: Viewer) -> tuple[list[Any], Callable[[], list[Any]], list[str], str]:
    """Return the viewer's answers before and after the province's work."""
    box, lot = town.sealed_box()
    town.ok(town.release([box]))
    foreign, blank = at_hub(town), town.blanks.pop()
    town.settled, town.moment, town.later = town.size(), town.now_ms, town.now_ms + 90 * 86_400_000
    units = [box, lot, foreign]
    before = everything_that(town, viewer, units)
    the_province_works(town, foreign, blank)
    return before, lambda: everything_that(town, viewer, units), units, blank


def test_every_predicate_is_asked_of_every_list(town: Town, monkeypatch):
    """Each list goes through the predicate of its table: deny it and nothing is left."""
    for name, question, more in (
        ("event_in", list_events, {}), ("handover_in", list_handovers, {"now_ms": town.now_ms}),
        ("discrepancy_in", list_discrepancies, {}),
    ):  # fmt: skip
        assert ask(town, question, auditor(), **more)["items"]
        with monkeypatch.context() as patch:
            patch.setattr(Scope, name, lambda _: ~true())
            assert ask(town, question, auditor(), **more)["items"] == []


def test_phones_see_by_their_key(town: Town):
    phone: Phone = town.ppk1
    viewer = Viewer(phone.kid, phone.agency, phone.place, frozenset({"field"}))
    assert sees(town, viewer, town.named["box"])
    assert not sees(town, viewer, town.named["bulk"])
