"""What a plan says of itself, what it disagrees with the policy on, and what changes between two (pure)."""

import json

import pytest

from app.errors import MalformedError
from app.units.documents import parse_document
from app.units.plancheck import check, needs
from app.units.plandiff import Change, difference
from tests import small as s

POLICY = parse_document(json.dumps(s.policy()).encode())


def plan(*stations, **changes):
    found = parse_document(json.dumps(s.plan(stations=list(stations) or s.plan()["stations"], **changes)).encode())
    assert found.kind == "plan"
    return found


def station(place=s.TPS1, voters=100, **changes):
    return {**s.station(place, voters), **changes}


def line(quantity, item="BALLOT", contest="PILGUB"):
    return {"item": item, "quantity": quantity, **({"contest": contest} if contest else {})}


def codes(*stations, **changes):
    return [(one.code, one.station) for one in check(plan(*stations, **changes), POLICY)]


# -- with itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"stations": [station(route=[{"place": s.PPK}, {"place": s.PPK}])]},
        {"stations": [station(route=[{"place": s.TPS1}])]},
        {"stations": [station(route=[{"place": s.PPK, "release_from": "2024-11-26T10:00:00Z",
                                      "deliver_by": "2024-11-26T09:00:00Z"}])]},
        {"capacity": [{"container": "BOX_TPS", "item": "BALLOT", "quantity": n} for n in (1, 2)]},
        {"stops": [{"place": s.PPK}, {"place": s.PPK}]},
        {"stations": [station(), station()]},
        {"stations": [station(release_from="2024-11-26T10:00:00Z", deliver_by="2024-11-26T09:00:00Z")]},
        {"stops": [{"place": s.PPK, "release_from": "2024-11-26T10:00:00Z", "deliver_by": "2024-11-26T09:00:00Z"}]},
    ],
)  # fmt: skip
def test_a_plan_that_contradicts_itself_is_none(changes):
    with pytest.raises(MalformedError) as caught:
        parse_document(json.dumps(s.plan(**changes)).encode())
    assert caught.value.code == "document_inconsistent"


def test_a_window_may_be_a_single_moment():
    moment = "2024-11-26T10:00:00Z"
    one = plan(station(release_from=moment, deliver_by=moment)).stations[0]
    assert one.window[0] == one.window[1] is not None


def test_a_stations_own_window_goes_before_that_of_its_place():
    common = [{"place": s.TPS1, "deliver_by": "2024-11-26T10:00:00Z"}]
    told = plan(station(deliver_by="2024-11-26T12:00:00Z"), stops=common)
    assert told.windows[s.TPS1] == told.stations[0].window


def test_a_plan_without_the_new_members_is_what_it_was():
    one = plan().stations[0]
    assert (one.route, one.reserve, plan().capacity, one.way, one.needs_escort(s.PPK)) == (
        (),
        None,
        (),
        (s.TPS1,),
        True,
    )


def test_goods_count_for_the_line_of_their_contest_or_of_their_item():
    one = plan(station(kit=[line(9), line(5, contest=None)])).stations[0]
    goods = {"BALLOT/PILGUB": 3, "BALLOT/PILWALI": 2, "BALLOT": 1, "INK": 7}
    assert one.against_kit(goods) == {"BALLOT/PILGUB": 3, "BALLOT": 3}
    assert [one.line_for(*goods) for goods in (("BALLOT", "PILGUB"), ("BALLOT", "X"), ("INK", None))] == [
        "BALLOT/PILGUB", "BALLOT", None,
    ]  # fmt: skip


# -- with the policy -------------------------------------------------------------------------------------


def test_the_small_plan_agrees_with_the_small_policy():
    assert check(plan(), POLICY) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kit": [line(100), line(103, contest="PILWALI")]}, "KIT_NOT_NEED"),
        ({"kit": [line(104), line(103, contest="PILWALI")]}, "KIT_NOT_NEED"),
        ({"kit": [line(103)]}, "KIT_MISSING"),
        ({"kit": [line(1, "ROCKET", None)]}, "UNKNOWN_ITEM"),
        ({"kit": [line(1, "BALLOT", None)]}, "CONTEST_MISSING"),
        ({"kit": [line(4, "BOOTH", None), line(4, "BOOTH", None)]}, "KIT_REPEATED"),
        ({"districts": [{"contest": "PILGUB", "district": d} for d in ("64", "65")], "kit": [line(103)]},
         "DISTRICT_REPEATED"),
        ({"districts": [{"contest": "PILPRES", "district": "1"}], "kit": []}, "UNKNOWN_CONTEST"),
        ({"districts": [], "kit": [line(103)]}, "DISTRICT_MISSING"),
        ({"kit": [line(1, "BOX_TPS", "PILPRES")]}, "UNKNOWN_CONTEST"),
        ({"reserve": 2}, "RESERVE_WRONG"),
        ({"route": [{"place": "ATLANTIS"}]}, "UNKNOWN_PLACE"),
        ({"route": [{"place": s.PPS_B}]}, "STOP_ELSEWHERE"),
        ({"route": [{"place": s.PPK, "deliver_by": "2024-11-26T20:00:00+08:00"}, {"place": s.PPS_A}]}, "WINDOW_ORDER"),
        ({"route": [{"place": s.PPK, "release_from": "2024-11-26T10:00:00Z"},
                    {"place": s.PPS_A, "release_from": "2024-11-26T09:00:00Z"}]}, "WINDOW_ORDER"),
    ],
)  # fmt: skip
def test_each_disagreement_is_a_finding_of_its_station(changes, code):
    assert codes(station(s.TPS2, 200), station(**changes)) == [(code, s.TPS1)]


def test_a_place_that_is_unknown_or_no_station_is_a_finding():
    assert codes(station("ATLANTIS"), station(s.PPK)) == [("UNKNOWN_PLACE", "ATLANTIS"), ("NOT_A_STATION", s.PPK)]


def test_findings_of_the_whole_plan_name_no_station():
    assert codes(reserve_permille=20) == [("RESERVE_RATE", "")]
    assert codes(capacity=[{"container": "BAG", "item": "BALLOT", "quantity": 1}]) == [("UNKNOWN_ITEM", "")]
    assert codes(capacity=[{"container": "BOX_TPS", "item": "CANDLE", "quantity": 1}]) == [("UNKNOWN_ITEM", "")]
    assert codes(stops=[{"place": "ATLANTIS"}]) == [("UNKNOWN_PLACE", "")]
    assert codes(election="PEMILU-2029") == [("UNKNOWN_ELECTION", "")]


def test_what_does_not_fit_into_the_boxes_of_the_kit_is_a_finding_with_both_numbers():
    fits = {"capacity": [{"container": "BOX_TPS", "item": "BALLOT", "quantity": 103}]}
    assert codes(station(), **fits) == []
    ballots = [line(103), line(103, contest="PILWALI")]
    assert codes(station(kit=ballots), **fits) == [], "a kit without containers is packed into others"
    [found] = check(plan(station(voters=101), **fits), POLICY)
    assert (found.code, found.facts["planned"], found.facts["capacity"]) == ("CAPACITY_EXCEEDED", 208, 206)


def test_only_ballots_are_held_against_the_voters():
    """Forms belong to a contest as well, and there are as many of them as the commission decides."""
    document = s.policy()
    document["items"].append({
        **document["items"][0], "code": "FORM_C", "name_id": "formulir", "name_en": "form", "sensitivity": "controlled",
    })  # fmt: skip
    policy = parse_document(json.dumps(document).encode())
    kit = [*station()["kit"], line(4, "FORM_C")]
    assert check(plan(station(kit=kit)), policy) == []
    assert [one.code for one in check(plan(station(kit=[line(4, "FORM_C")])), policy)] == []


def test_every_finding_is_told_and_not_the_first():
    bad = station(reserve=9, kit=[line(1), line(2, contest="PILWALI"), line(1, "ROCKET", None)])
    assert [code for code, _ in codes(bad, {**bad, "place": s.TPS2})] == 2 * [
        "UNKNOWN_ITEM", "RESERVE_WRONG", "KIT_NOT_NEED", "KIT_NOT_NEED",
    ]  # fmt: skip


def test_the_need_is_rounded_up_per_station_and_then_added():
    need = {one.contest: one for one in needs(plan(station(voters=1), station(s.TPS2, 1)), POLICY)}
    assert (need["PILGUB"].voters, need["PILGUB"].reserve, need["PILGUB"].total) == (2, 2, 4)
    assert (need["PILWALI"].revote, need["PILWALI"].total) == (2000, 2004)


def test_a_contest_needs_nothing_where_it_is_not_held():
    alone = station(s.TPS2, 200, districts=station()["districts"][:1], kit=[])
    need = {one.contest: one for one in needs(plan(station(), alone), POLICY)}
    assert [(need[name].stations, need[name].voters) for name in ("PILGUB", "PILWALI")] == [(2, 300), (1, 100)]


# -- two plans -------------------------------------------------------------------------------------------


def test_a_plan_and_itself_are_the_same():
    assert difference(plan(), plan()).same


def test_stations_are_added_removed_and_changed_member_by_member():
    old = plan(station(), station(s.TPS2, 200))
    new = plan(station(voters=120, escort=False, route=[{"place": s.PPK}]), station(s.TPS3, 300), title="Kedua")
    found = difference(old, new)
    assert (found.added, found.removed, found.plan) == (
        (s.TPS3,),
        (s.TPS2,),
        (Change("title", "Rencana uji", "Kedua"),),
    )
    assert {change.member: (change.before, change.after) for change in found.changed[s.TPS1]} == {
        "voters": (100, 120), "escort": (True, False), "kit BALLOT/PILGUB": (103, 123),
        "kit BALLOT/PILWALI": (103, 123), "route": (None, s.PPK),
    }  # fmt: skip


def test_no_member_of_a_station_or_of_the_plan_changes_unseen():
    told = {"reserve": 3, "release_from": "2024-11-25T10:00:00Z", "escort": False}
    changed = difference(plan(station()), plan(station(**told))).changed[s.TPS1]
    assert {change.member: change.after for change in changed} == told
    whole = {"reserve_permille": 25, "synthetic": False, "title": "Kedua", "election": "PEMILU-2029"}
    assert {change.member: change.after for change in difference(plan(), plan(**whole)).plan} == whole


def test_the_order_of_lines_is_no_difference_and_that_of_stops_is_one():
    kit = station()["kit"]
    assert difference(plan(station(kit=kit)), plan(station(kit=kit[::-1]))).same
    way = [{"place": s.PPK}, {"place": s.PPS_A}]
    changed = difference(plan(station(route=way)), plan(station(route=way[::-1]))).changed[s.TPS1]
    assert changed == (Change("route", f"{s.PPK} > {s.PPS_A}", f"{s.PPS_A} > {s.PPK}"),)


def test_windows_districts_capacities_and_escorts_of_legs_are_compared():
    stop = {"place": s.PPK, "deliver_by": "2024-11-26T10:00:00Z", "escort": True}
    new = station(route=[stop], districts=station()["districts"][:1], deliver_by="2024-11-26T11:00:00Z")
    limits = [{"container": "BOX_TPS", "item": "BALLOT", "quantity": 7}]
    found = difference(plan(station(route=[{"place": s.PPK}])), plan(new, capacity=limits, stops=[]))
    assert {change.member for change in found.changed[s.TPS1]} == {
        "deliver_by", "district PILWALI", f"stop {s.PPK} deliver_by", f"stop {s.PPK} escort",
    }  # fmt: skip
    assert {change.member: change.after for change in found.plan} == {
        "capacity BOX_TPS/BALLOT": 7, f"stop {s.PPS_A} deliver_by": None,
    }  # fmt: skip
