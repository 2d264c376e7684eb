"""What is packed and what arrives, beside the plan's kit, capacity and route (rules/kits.py, rules/windows.py)."""

import json

import pytest

from app.clock import parse_rfc3339
from app.custody.rules.kits import added
from tests import small as s

pytestmark = pytest.mark.usefixtures("alone")  # sums of one station, from nothing

AFTER_H1 = "2024-11-27T08:00:00+08:00"
BALLOTS = {"item": "BALLOT", "contest": "PILGUB", "planned": 103}


def planned(town, *, kit=None, capacity=(), route=(), **more):
    """Put a plan in force under which station 1 has this kit and route, and one acceptance can complete it."""
    station = s.station(s.TPS1, 100) | {"route": list(route), **more}
    station["kit"] = [{"item": "BOX_TPS", "quantity": 1}, kit_line(103)] if kit is None else kit
    others = [s.station(s.TPS2, 200), s.station(s.TPS3, 300, "DAPIL-2")]
    town.put_plan(s.plan(stations=[station, *others], capacity=list(capacity)))
    return town


def kit_line(quantity, item="BALLOT", contest="PILGUB"):
    return {"item": item, "quantity": quantity, **({"contest": contest} if contest else {})}


def holds(item, quantity, container="BOX_TPS"):
    return {"container": container, "item": item, "quantity": quantity}


def supply(town, place=s.TPS1):
    rows = town.query(f"SELECT bound, arrived FROM supply WHERE place = '{place}'")
    return tuple(map(json.loads, rows[0])) if rows else ({}, {})


def stowed(town, unit):
    rows = town.query(f"SELECT lines FROM stowage WHERE unit = '{unit}'")
    return json.loads(rows[0][0]) if rows else {}


def bring(town, unit, *, at=None, exceptions=()):
    """Bring a unit from the district's committee to station 1; return the release."""
    town.hand_over([unit])
    return finish(town, [unit], at=at, exceptions=exceptions)


def finish(town, units, *, at=None, exceptions=()):
    release = town.release(units, (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    town.ok(release)
    if at is not None:
        town.now_ms = parse_rfc3339(at)
    town.ok(town.accept(
        release.hash, units, phone=town.tps1, place=s.TPS1, exceptions=exceptions, tps2="second",
    ))  # fmt: skip
    return release.hash


# -- the kit when packing --------------------------------------------------------------------------------


def test_what_the_kit_asks_for_is_packed_without_a_word(town):
    planned(town)
    town.accepted(town.pack(town.box(), town.lot(103)))
    assert town.kit() == []


def test_a_sheet_more_than_the_kit_is_a_row_with_both_numbers(town):
    planned(town)
    box = town.box()
    town.accepted(town.pack(box, town.lot(104)))
    assert town.kit() == [("KIT_EXCEEDED", box, s.TPS1, {**BALLOTS, "packed": 104})]


def test_the_kit_is_filled_over_several_packings_and_boxes(town):
    planned(town)
    first, second = town.box(), town.box()
    town.ok(town.pack(first, town.lot(60)))
    town.ok(town.pack(second, town.lot(43)))
    assert town.kit() == []
    town.ok(town.pack(second, town.lot(1)))
    assert [(rule, facts["packed"]) for rule, _, _, facts in town.kit()] == [("KIT_EXCEEDED", 104)]


def test_one_packing_tells_each_line_once(town):
    planned(town)
    town.accepted(town.pack(town.box(), town.lot(60), town.lot(60)))
    assert [facts["packed"] for _, _, _, facts in town.kit()] == [120]


def test_what_was_taken_out_again_makes_room(town):
    planned(town)
    box, lot = town.box(), town.lot(103)
    town.ok(town.pack(box, lot))
    town.ok(town.unpack(box, lot))
    assert (supply(town)[0], stowed(town, box)) == ({"BOX_TPS/PILGUB": 1}, {})
    town.ok(town.pack(box, town.lot(103)))
    assert town.kit() == []


def test_what_was_declared_void_makes_room(town):
    planned(town)
    box, lot = town.box(), town.lot(103)
    town.ok(town.pack(box, lot))
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "K-1", "reason": "WET"}, [lot], kpu2="second"))
    assert supply(town)[0] == {"BOX_TPS/PILGUB": 1}
    town.ok(town.pack(town.box(), town.lot(103)))
    assert town.kit() == []


def test_what_was_destroyed_is_bound_for_nowhere(town):
    lot = town.lot(4, item="BOOTH", contest=None, district=None, destination=s.TPS1, checked=False)
    assert supply(town)[0] == {"BOOTH": 4}
    told = {"minutes": "BA 1/2024", "method": "BURNED", "lines": [{"unit": lot, "quantity": 4, "reason": "WET"}]}
    witnesses = {"pol": "witness", "bws": "witness", "tni": "witness", "gov": "witness"}
    town.ok(town.act(town.kpu1, "unit.destroy", told, [lot], kpu2="second", **witnesses))
    assert supply(town)[0] == {}


def test_a_stranger_who_saw_only_the_taking_reckons_no_debt():
    assert added({"BALLOT": 1, "BOX_TPS": 2}, {"BALLOT": 3, "BOX_TPS": 1}, -1) == {"BOX_TPS": 1}


def test_goods_that_the_kit_does_not_have_are_a_row(town):
    planned(town)
    box = town.box()
    town.accepted(town.pack(box, town.lot(4, item="BOOTH", contest=None, checked=False)))
    assert town.kit() == [
        ("NOT_IN_KIT", box, s.TPS1, {"item": "BOOTH", "contest": None, "planned": 0, "packed": 4}),
    ]  # fmt: skip


def test_ballots_of_a_contest_that_the_kit_leaves_out_are_a_row(town):
    planned(town)
    town.accepted(town.pack(town.box(contest="PILWALI"), town.lot(5, contest="PILWALI", district="DAPIL-1")))
    assert [(rule, facts["contest"]) for rule, _, _, facts in town.kit()] == [("NOT_IN_KIT", "PILWALI")]


def test_a_line_without_a_contest_counts_goods_of_every_contest(town):
    planned(town, kit=[kit_line(150, contest=None)])
    town.ok(town.pack(town.box(), town.lot(100)))
    town.ok(town.pack(town.box(contest="PILWALI"), town.lot(50, contest="PILWALI", district="DAPIL-1")))
    assert town.kit() == []
    town.ok(town.pack(town.box(), town.lot(1)))
    assert [(rule, facts["packed"]) for rule, _, _, facts in town.kit()] == [("KIT_EXCEEDED", 151)]


def test_a_plan_without_a_kit_judges_nothing(town):
    planned(town, kit=[])
    town.ok(town.pack(town.box(), town.lot(5000)))
    assert town.kit() == []


def test_a_load_is_no_stations_and_has_no_kit(town):
    planned(town)
    town.ok(town.pack(town.load(), town.lot(5000)))
    assert town.kit() == []


def test_the_plan_in_force_judges_and_not_the_one_before(town):
    planned(town)
    box = town.box()
    town.ok(town.pack(box, town.lot(103)))
    planned(town, kit=[kit_line(200)])
    town.ok(town.pack(box, town.lot(97)))
    assert town.kit() == []


def test_a_lot_of_the_station_that_is_filled_by_moving_counts_once(town):
    planned(town)
    box, source = town.box(), town.lot(500)
    own = town.blanks.pop()
    town.ok(town.commission(town.bind(
        own, "BALLOT", contest="PILGUB", district="64", source="empty", quantity=0, destination=s.TPS1,
    )))  # fmt: skip
    town.ok(town.move(source, own, 103))
    assert supply(town)[0] == {"BALLOT/PILGUB": 103, "BOX_TPS/PILGUB": 1}
    town.ok(town.pack(box, own))
    assert (supply(town)[0]["BALLOT/PILGUB"], stowed(town, box), town.kit()) == (103, {"BALLOT/PILGUB": 103}, [])


def test_a_corrected_destination_moves_the_sum(town):
    box = town.box(s.TPS2)
    bound = town.one("SELECT hash FROM event WHERE type = 'unit.commission' ORDER BY leaf_index DESC LIMIT 1")
    told = {"target": bound, "unit": box, "field": "destination", "value": s.TPS1, "reason": "SLIP"}
    town.ok(town.act(town.kpu1, "correction", told, [box], reg="second", ppk1="second"))
    assert [supply(town, place)[0] for place in (s.TPS1, s.TPS2)] == [{"BOX_TPS/PILGUB": 1}, {}]


# -- capacity --------------------------------------------------------------------------------------------


def test_more_than_a_container_holds_is_refused(town):
    planned(town, capacity=[holds("BALLOT", 200)], kit=[])
    box = town.box()
    town.ok(town.pack(box, town.lot(200)))
    last = town.lot(1)
    receipt = town.refused(town.pack(box, last), "capacity_exceeded")
    facts = json.loads(town.one(f"SELECT problem FROM event WHERE leaf_index = {receipt.index}"))["facts"]
    assert (facts["container"], facts["item"], facts["capacity"], facts["packed"]) == (box, "BALLOT", 200, 201)
    assert facts["unit"] == last


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_each_kind_that_is_packed_together_is_held_against_its_own_limit(town, order):
    planned(town, capacity=[holds("BALLOT", 200), holds("BOOTH", 9)], kit=[])
    together = town.lot(201), town.lot(1, item="BOOTH", contest=None, district=None, checked=False)
    town.refused(town.pack(town.box(), *(together[n] for n in order)), "capacity_exceeded")


def test_a_named_officer_overrides_and_the_row_says_why(town):
    planned(town, capacity=[holds("BALLOT", 200)], kit=[])
    box = town.box()
    town.accepted(town.pack(box, town.lot(201), override="TALL_BOX"), ("CAPACITY_EXCEEDED", box, None, s.WAREHOUSE))
    facts = json.loads(town.one("SELECT facts FROM discrepancy WHERE rule = 'CAPACITY_EXCEEDED'"))
    assert facts == {"item": "BALLOT", "capacity": 200, "packed": 201, "reason": "TALL_BOX"}


def test_an_override_that_is_not_needed_says_nothing(town):
    planned(town, capacity=[holds("BALLOT", 200)], kit=[])
    town.accepted(town.pack(town.box(), town.lot(200), override="TALL_BOX"))


def test_a_container_around_a_container_holds_what_both_hold(town):
    planned(town, capacity=[holds("BOX_TPS", 2, "LOAD")], kit=[])
    inner, outer = town.load(), town.load()
    town.ok(town.pack(outer, inner))
    town.ok(town.pack(inner, town.box(), town.box()))
    assert stowed(town, outer) == {"BOX_TPS/PILGUB": 2, "LOAD": 1}
    town.refused(town.pack(inner, town.box()), "capacity_exceeded")


def test_a_full_container_counts_with_what_is_in_it(town):
    planned(town, capacity=[holds("BALLOT", 200, "LOAD")], kit=[])
    box, load = town.box(), town.load()
    town.ok(town.pack(box, town.lot(201)))
    town.refused(town.pack(load, box), "capacity_exceeded")
    assert stowed(town, load) == {}


def test_taking_a_container_out_takes_its_contents_along(town):
    box, load = town.box(), town.load()
    town.ok(town.pack(box, town.lot(50)))
    town.ok(town.pack(load, box))
    assert stowed(town, load) == {"BALLOT/PILGUB": 50, "BOX_TPS/PILGUB": 1}
    town.ok(town.unpack(load, box))
    assert (stowed(town, load), stowed(town, box)) == ({}, {"BALLOT/PILGUB": 50})


def test_a_count_of_more_than_a_container_holds_is_recorded_as_seen(town):
    planned(town, capacity=[holds("BALLOT", 200)], kit=[])
    box = town.box()
    line = {"unit": box, "item": "BALLOT", "counted": 201}
    counted = town.act(town.bws, "count", {"basis": "stock", "lines": [line]}, [box], capacity="witness")
    town.accepted(counted, ("CAPACITY_EXCEEDED", box, None, s.WAREHOUSE))
    line["counted"] = 200
    town.accepted(town.act(town.bws, "count", {"basis": "stock", "lines": [line]}, [box], capacity="witness"))


# -- a short kit on arrival ------------------------------------------------------------------------------


def test_a_station_with_its_whole_kit_is_not_short(town):
    planned(town)
    box, _ = town.sealed_box(103)
    bring(town, box)
    assert supply(town) == ({"BALLOT/PILGUB": 103, "BOX_TPS/PILGUB": 1},) * 2
    assert town.kit() == []


def test_the_last_acceptance_tells_what_is_short(town):
    planned(town)
    box, _ = town.sealed_box(100)
    bring(town, box)
    [(rule, unit, place, facts)] = town.kit()
    assert (rule, unit, place) == ("KIT_SHORT", None, s.TPS1)
    assert facts == {**BALLOTS, "arrived": 100, "why": "last", "provable": True}


def test_before_the_last_acceptance_nothing_is_short(town):
    planned(town, kit=[kit_line(2, "BOX_TPS", None), kit_line(103)])
    (first, _), second = town.sealed_box(60), town.box()
    town.ok(town.pack(second, town.lot(43)))
    town.ok(town.seal(second, "S-2"))
    town.hand_over([first, second])
    finish(town, [first])
    assert town.kit() == []
    finish(town, [second])
    assert town.kit() == []


def test_after_the_window_a_kit_is_short_whatever_is_on_the_way(town):
    planned(town, kit=[kit_line(2, "BOX_TPS", None), kit_line(103)])
    (first, _), second = town.sealed_box(60), town.box()
    town.ok(town.pack(second, town.lot(43)))
    town.ok(town.seal(second, "S-2"))
    town.hand_over([first, second])
    release = finish(town, [first], at=AFTER_H1)
    rows = town.kit()
    assert [(rule, facts["item"], facts["arrived"], facts["why"]) for rule, _, _, facts in rows] == [
        ("KIT_SHORT", "BOX_TPS", 1, "late"), ("KIT_SHORT", "BALLOT", 60, "late"),
    ]  # fmt: skip
    assert {facts["provable"] for *_, facts in rows} == {False}, "the phone had seen nothing since the window closed"
    assert town.query("SELECT DISTINCT handover FROM discrepancy WHERE rule = 'KIT_SHORT'") == [(release,)]


def test_what_is_reported_missing_is_not_waited_for(town):
    planned(town, kit=[kit_line(2, "BOX_TPS", None)])
    first, second = town.box(), town.box()
    town.ok(town.seal(first, "S-1"))
    town.ok(town.seal(second, "S-2"))
    town.hand_over([first, second])
    finish(town, [first, second], exceptions=[(second, "missing")])
    assert [(rule, facts["arrived"], facts["why"]) for rule, _, _, facts in town.kit()] == [("KIT_SHORT", 1, "last")]
    assert supply(town) == ({"BOX_TPS/PILGUB": 1},) * 2


def test_what_is_reported_missing_on_the_way_is_not_waited_for_either(town):
    planned(town, kit=[kit_line(2, "BOX_TPS", None)])
    boxes = [town.box(), town.box()]
    release = town.release(boxes)
    town.ok(release)
    town.ok(town.accept(release.hash, boxes, exceptions=[(boxes[1], "missing")]))
    assert supply(town)[0] == {"BOX_TPS/PILGUB": 1}


def test_what_changes_at_the_station_has_not_arrived_twice(town):
    planned(town, kit=[kit_line(1, "BOX_TPS", None)])
    box = town.box(contest=None)
    bring(town, box)
    before = supply(town)
    assert before == ({"BOX_TPS": 1},) * 2
    for condition in ("damaged", "good"):
        told = {"condition": condition, "reason": "LOOKED"}
        town.ok(town.act(town.tps1, "condition", told, [box], place=s.TPS1, capacity="witness"))
    assert supply(town) == before


def test_a_box_that_comes_damaged_does_not_complete_the_kit(town):
    planned(town)
    box, _ = town.sealed_box(103)
    bring(town, box, exceptions=[(box, "damaged")])
    assert [(rule, facts["item"], facts["arrived"]) for rule, _, _, facts in town.kit()] == [
        ("KIT_SHORT", "BOX_TPS", 0)
    ]


def test_what_is_seen_damaged_and_then_whole_counts_again(town):
    box = town.box(contest=None)
    seen = {"units": [box], "capacity": "witness"}
    town.ok(town.act(town.kpu1, "condition", {"condition": "damaged", "reason": "WET"}, **seen))
    assert supply(town)[0] == {}
    town.ok(town.act(town.kpu1, "condition", {"condition": "good", "reason": "DRY"}, **seen))
    assert supply(town)[0] == {"BOX_TPS": 1}


def test_general_goods_are_counted_and_not_judged_on_arrival(town):
    planned(town, kit=[kit_line(1, "BOX_TPS", None), kit_line(4, "BOOTH", None)])
    bring(town, town.box())
    assert town.kit() == []


def test_an_acceptance_that_came_before_its_release_is_judged_when_both_are_here(town):
    planned(town)
    box, _ = town.sealed_box(100)
    town.hand_over([box])
    release = town.release([box], (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    accept = town.accept(release.hash, [box], phone=town.tps1, place=s.TPS1, tps2="second")
    town.waits(accept)
    assert town.kit() == []
    town.ok(release)
    assert town.outcome(accept)[0] == "accepted"
    assert [rule for rule, *_ in town.kit()] == ["KIT_SHORT"]


def test_one_group_may_bind_pack_and_pack_again(town):
    planned(town)
    box, first, second = (town.blanks.pop() for _ in range(3))
    lines = [town.bind(box, "BOX_TPS", destination=s.TPS1)]
    lines += [town.bind(lot, "BALLOT", contest="PILGUB", district="64", quantity=60) for lot in (first, second)]
    events = [
        town.commission(*lines), town.inspected([first, second]), town.pack(box, first), town.pack(box, second),
    ]  # fmt: skip
    answers = town.send_all(events)
    assert [getattr(answer, "result", answer) for answer in answers] == ["accepted"] * 4
    assert stowed(town, box) == {"BALLOT/PILGUB": 120}
    assert [(rule, facts["packed"]) for rule, _, _, facts in town.kit()] == [("KIT_EXCEEDED", 120)]


# -- the route -------------------------------------------------------------------------------------------

ROUTE = ({"place": s.PPK}, {"place": s.PPS_A})


def allocated(town):
    box = town.box()
    town.ok(town.pack(box, town.lot(10)))
    town.ok(town.seal(box, f"R-{box[:10]}"))
    return box


def test_a_release_along_the_route_says_nothing(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    town.accepted(town.release([box]))


def test_a_release_past_the_next_stop_is_a_row(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    release = town.release([box], (s.KPU, s.PPS_A))
    town.accepted(release, ("WRONG_STOP", box, release.hash, s.PPS_A))
    facts = json.loads(town.one("SELECT facts FROM discrepancy WHERE rule = 'WRONG_STOP'"))
    assert facts == {"expected": s.PPK, "found": s.PPS_A, "units": 1}


def test_goods_that_travel_together_are_one_row(town):
    planned(town, route=ROUTE, kit=[])
    boxes = [allocated(town), allocated(town)]
    release = town.release(boxes, (s.KPU, s.PPS_A))
    town.accepted(release, ("WRONG_STOP", None, release.hash, s.PPS_A))


def test_from_a_stop_the_next_one_is_expected(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    town.hand_over([box])
    straight = town.release([box], (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    town.accepted(straight, ("WRONG_STOP", box, straight.hash, s.TPS1))


def test_an_acceptance_where_the_release_did_not_lead_is_judged(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    release = town.release([box])
    town.ok(release)
    town.accepted(
        town.accept(release.hash, [box], place=s.PPS_A), ("WRONG_STOP", box, release.hash, s.PPS_A)
    )  # fmt: skip


def test_an_arrival_where_the_release_did_not_lead_is_judged(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    release = town.release([box])
    town.ok(release)
    came = {"units": [box], "capacity": "witness", "after": [release.hash]}
    town.accepted(town.act(town.pol, "arrived", {"release": release.hash}, place=s.PPK, **came))
    town.accepted(
        town.act(town.pol, "arrived", {"release": release.hash}, place=s.PPS_A, **came),
        ("WRONG_STOP", box, release.hash, s.PPS_A),
    )


def test_a_vehicle_is_no_stop_and_may_lead_to_any(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    release = town.release([box], (s.POS, s.TRUCK))
    town.accepted(release)
    town.accepted(town.accept(release.hash, [box], phone=town.pos1, place=s.TRUCK, pos2="second"))
    on = town.release([box], (s.KPU, s.PPS_A), phone=town.pos1, place=s.TRUCK, pos2="second", pol="escort")
    town.accepted(on)


def test_from_shelf_to_shelf_is_no_way(town):
    planned(town, route=ROUTE, kit=[])
    box = allocated(town)
    town.accepted(town.release([box], (s.KPU, s.HALL), details={"internal": True}, kpu2="second"))


def test_each_leg_says_whether_it_needs_an_escort(town):
    planned(town, route=({"place": s.PPK, "escort": False}, {"place": s.PPS_A}), kit=[])
    box = allocated(town)
    release = town.release([box], kpu2="second")
    town.accepted(release)
    town.ok(town.accept(release.hash, [box]))
    alone = town.release([box], (s.KPU, s.PPS_A), phone=town.ppk1, place=s.PPK, ppk2="second")
    town.refused(alone, "policy_unmet")


def test_a_stop_of_the_route_has_its_own_window(town):
    opens, closes = "2024-11-20T00:00:00+08:00", "2024-11-21T00:00:00+08:00"
    planned(town, route=({"place": s.PPK, "release_from": opens, "deliver_by": closes},), kit=[])
    box = allocated(town)
    early = town.release([box], at="2024-11-19T23:00:00+08:00")
    town.now_ms = parse_rfc3339("2024-11-19T23:10:00+08:00")
    town.accepted(early, ("EARLY_RELEASE", None, early.hash, s.PPK))
    town.now_ms = parse_rfc3339("2024-11-21T08:00:00+08:00")
    town.look(*town.phones())
    town.accepted(town.accept(early.hash, [box]), ("LATE", None, early.hash, s.PPK))


# -- what publishing refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"capacity": [holds("ROCKET", 1)]}, "unknown_item"),
        ({"capacity": [holds("BALLOT", 1, "ROCKET")]}, "unknown_item"),
        ({"stations": [{**s.station(s.TPS1, 1), "route": [{"place": "ATLANTIS"}]}]}, "unknown_place"),
    ],
)
def test_a_plan_names_goods_and_stops_that_the_policy_knows(town, change, code):
    first, second = town.founders
    document = s.plan(**change)
    told = {"document": town.put_document(document), "election": s.ELECTION}
    signed = first.sign("plan.publish", told, at_ms=town.tick(), capacity="approver", with_={second: "approver"})
    town.refused(signed, code)
