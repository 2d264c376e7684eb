"""Observations: recorded whatever they say, contradictions become rows (rules/observe.py, rules/windows.py)."""

import pytest

from tests import small as s


def see(town, units=(), type_="sighting", details=None, phone=None, place=s.WAREHOUSE, **more):
    return town.act(phone or town.bws, type_, details or {}, units, place=place, capacity="witness", **more)


def test_a_sighting_is_recorded_and_linked(town):
    lot = town.lot()
    receipt = town.accepted(see(town, [lot]))
    assert [link.unit for link in receipt.links] == [lot]


def test_an_unknown_label_is_recorded_and_reported(town):
    stranger = town.fresh_ids(1)[0]
    town.accepted(see(town, [stranger]), ("UNKNOWN_LABEL", stranger, None, s.WAREHOUSE))


def test_a_blank_label_is_no_unit_yet(town):
    blank = town.blanks[0]
    town.accepted(see(town, [blank]), ("UNKNOWN_LABEL", blank, None, s.WAREHOUSE))


def test_a_box_in_the_wrong_village_is_reported(town):
    box, _ = town.sealed_box()
    town.accepted(see(town, [box], place=s.PPS_B), ("WRONG_DEST", box, None, s.PPS_B))


def test_a_box_on_its_way_is_fine_on_a_truck_and_at_its_own_village(town):
    box, _ = town.sealed_box()
    for place in (s.TRUCK, s.PPK, s.PPS_A, s.TPS1):
        town.accepted(see(town, [box], place=place))


def test_a_pack_in_the_wrong_village_is_reported_as_its_box(town):
    box, lot = town.sealed_box()
    town.accepted(see(town, [lot], place=s.PPS_B), ("WRONG_DEST", box, None, s.PPS_B))


def test_goods_without_a_destination_are_nowhere_wrong(town):
    town.accepted(see(town, [town.lot()], place=s.PPS_B))


def test_a_box_that_was_used_is_nowhere_wrong(town):
    box, _ = town.opened_box()
    town.accepted(see(town, [box], place=s.PPS_B))


def test_an_unregistered_place_is_reported_and_is_no_place(town):
    box, _ = town.sealed_box()
    town.accepted(see(town, [box], place="GARAGE-7"), ("PLACE_UNREGISTERED", None, None, "GARAGE-7"))


@pytest.mark.usefixtures("mended")
def test_a_place_that_the_policy_does_not_register_is_reported(town):
    document = s.policy()
    document["places"] = [{**p, "registered": p["id"] != s.HALL} for p in document["places"]]
    town.put_policy(document)
    town.accepted(see(town, place=s.HALL), ("PLACE_UNREGISTERED", None, None, s.HALL))


# -- inspection ----------------------------------------------------------------------------------------


def inspect(town, units, *things, phone=None, place=s.WAREHOUSE):
    return see(town, units, "inspection", {"kind": "receipt", "things": list(things)}, phone or town.kpu1, place)


def test_a_conforming_check_of_the_holder_makes_goods_usable(town):
    lot = town.lot(checked=False)
    assert town.unit(lot)["lifecycle"] == "registered"
    town.accepted(inspect(town, [lot], {"what": "COUNT", "conform": True}))
    assert town.unit(lot)["lifecycle"] == "checked"


def test_a_check_of_somebody_else_does_not(town):
    lot = town.lot(checked=False)
    town.accepted(inspect(town, [lot], {"what": "COUNT", "conform": True}, phone=town.pol))
    assert town.unit(lot)["lifecycle"] == "registered"


def test_a_check_that_finds_something_reports_it_and_makes_nothing_usable(town):
    lot = town.lot(checked=False)
    signed = inspect(town, [lot], {"what": "COUNT", "conform": True}, {"what": "PAPERS", "conform": False})
    town.accepted(signed, ("NOT_CONFORM_PAPERS", lot, None, s.WAREHOUSE))
    assert town.unit(lot)["lifecycle"] == "registered"


@pytest.mark.parametrize("reason", ["DAMP", "SPLIT_VIEW"])
def test_the_reason_of_a_finding_is_a_fact_and_never_the_rule(town, reason):
    lot = town.lot()
    signed = inspect(town, [lot], {"what": "CONDITION", "conform": False, "reason": reason})
    town.accepted(signed, ("NOT_CONFORM_CONDITION", lot, None, s.WAREHOUSE))
    told = town.query(f"SELECT facts FROM discrepancy WHERE unit = '{lot}'")
    assert told == [(f'{{"reason":"{reason}","what":"CONDITION"}}',)]


def test_a_finding_about_a_place_names_no_unit(town):
    signed = inspect(town, [], {"what": "STORAGE", "conform": False})
    town.accepted(signed, ("NOT_CONFORM_STORAGE", None, None, s.WAREHOUSE))


def test_a_check_of_checked_goods_changes_nothing(town):
    lot = town.lot()
    town.accepted(inspect(town, [lot], {"what": "COUNT", "conform": True}))
    assert town.unit(lot)["lifecycle"] == "checked"


# -- count ---------------------------------------------------------------------------------------------


def count(town, *lines, basis="waybill", units=(), place=s.WAREHOUSE):
    return see(town, units, "count", {"basis": basis, "lines": list(lines)}, town.kpu1, place)


@pytest.mark.parametrize(("counted", "rules"), [(99, ["SHORT"]), (100, []), (101, ["OVER"])])
def test_a_count_is_compared_with_the_waybill(town, counted, rules):
    signed = count(town, {"counted": counted, "expected": 100, "item": "BALLOT", "contest": "PILGUB"})
    town.accepted(signed, *((rule, None, None, s.WAREHOUSE) for rule in rules))


@pytest.mark.parametrize(("counted", "rules"), [(99, ["SHORT"]), (100, []), (101, ["OVER"])])
def test_a_count_of_a_unit_is_compared_with_the_ledger(town, counted, rules):
    lot = town.lot(100)
    signed = count(town, {"counted": counted, "unit": lot}, basis="stock", units=[lot])
    town.accepted(signed, *((rule, lot, None, s.WAREHOUSE) for rule in rules))


def test_a_count_with_nothing_to_compare_is_recorded(town):
    town.accepted(count(town, {"counted": 5, "item": "BALLOT"}, basis="stock"))


KIT = [
    {"counted": 2, "item": "BOX_TPS"}, {"counted": 103, "item": "BALLOT", "contest": "PILGUB"},
    {"counted": 103, "item": "BALLOT", "contest": "PILWALI"},
]  # fmt: skip


def test_a_kit_is_compared_with_the_plan(town):
    town.accepted(count(town, *KIT, basis="kit", place=s.TPS1))
    short = [{**KIT[0], "counted": 1}, *KIT[1:]]
    town.accepted(count(town, *short, basis="kit", place=s.TPS1), ("SHORT", None, None, s.TPS1))
    over = [KIT[0], {**KIT[1], "counted": 104}, KIT[2]]
    town.accepted(count(town, *over, basis="kit", place=s.TPS1), ("OVER", None, None, s.TPS1))
    town.accepted(count(town, *KIT[1:], basis="kit", place=s.TPS1), ("SHORT", None, None, s.TPS1))


def test_a_kit_at_a_place_without_one_is_recorded(town):
    town.accepted(count(town, *KIT, basis="kit"))


# -- the secrecy wall ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "details"),
    [
        ("sighting", {}), ("position", {}), ("condition", {"condition": "good", "reason": "SEEN"}),
        ("access", {"act": "open", "purpose": "VOTING"}), ("arrived", {"release": "B" * 43}),
        ("departed", {"release": "B" * 43}), ("inspection", {"kind": "routine", "things": [{"what": "COUNT", "conform": True}]}),
    ],
)  # fmt: skip
def test_behind_the_secrecy_wall_no_pack_is_tracked(town, type_, details):
    _, lot = town.opened_box()
    signed = see(town, [lot], type_, details, place=s.TPS1)
    town.refused(signed, "secrecy_wall", ("SECRECY_WALL", lot, None, s.TPS1))


def test_a_count_line_does_not_reach_behind_the_wall_either(town):
    _, lot = town.opened_box()
    signed = count(town, {"counted": 3, "unit": lot}, basis="stock", place=s.TPS1)
    town.refused(signed, "secrecy_wall", ("SECRECY_WALL", lot, None, s.TPS1))


def test_the_opened_box_itself_is_still_seen(town):
    box, _ = town.opened_box()
    town.accepted(see(town, [box], place=s.TPS1))


def test_counts_by_item_flow_behind_the_wall(town):
    town.opened_box()
    town.accepted(count(town, {"counted": 3, "item": "BALLOT", "contest": "PILGUB"}, basis="stock", place=s.TPS1))


def test_a_pack_that_was_itself_opened_at_the_station_is_behind_the_wall(town):
    lot = town.lot(destination=s.TPS1)
    release = town.release([lot], (s.KPU, s.TPS1))
    town.ok(release)
    town.ok(town.accept(release.hash, [lot], phone=town.tps1, place=s.TPS1, tps2="second"))
    town.accepted(see(town, [lot], place=s.TPS1))
    town.ok(town.open_at_station(lot))
    town.refused(see(town, [lot], place=s.TPS1), "secrecy_wall", ("SECRECY_WALL", lot, None, s.TPS1))


def test_a_pack_in_an_unopened_box_is_seen(town):
    box, lot = town.sealed_box()
    town.deliver(box)
    town.accepted(see(town, [lot], place=s.TPS1))


# -- the rest ------------------------------------------------------------------------------------------


def test_damage_that_the_holder_sees_becomes_the_condition(town):
    box = town.box(None, None)
    details = {"condition": "damaged", "reason": "DENTED"}
    town.accepted(see(town, [box], "condition", details, town.kpu1), ("DAMAGED", box, None, s.WAREHOUSE))
    assert town.unit(box)["condition"] == "damaged"
    town.accepted(see(town, [box], "condition", {"condition": "good", "reason": "FIXED"}, town.kpu1))
    assert town.unit(box)["condition"] == "good"


def test_damage_that_somebody_else_sees_is_reported_only(town):
    box = town.box(None, None)
    details = {"condition": "damaged", "reason": "DENTED"}
    town.accepted(see(town, [box], "condition", details), ("DAMAGED", box, None, s.WAREHOUSE))
    assert town.unit(box)["condition"] == "good"


def test_a_lot_of_ballots_is_set_apart_by_moving_not_by_seeing(town):
    lot = town.lot()
    details = {"condition": "damaged", "reason": "TORN"}
    town.accepted(see(town, [lot], "condition", details, town.kpu1), ("DAMAGED", lot, None, s.WAREHOUSE))
    assert town.unit(lot)["condition"] == "good"


def test_excess_is_not_made_good_by_seeing(town):
    lot = town.lot(item="BOOTH", contest=None, district=None, condition="excess")
    town.accepted(see(town, [lot], "condition", {"condition": "good", "reason": "FINE"}, town.kpu1))
    assert town.unit(lot)["condition"] == "excess"


@pytest.mark.parametrize("type_", ["departed", "arrived"])
def test_a_departure_without_its_release_stands(town, type_):
    lot = town.lot()
    receipt = town.accepted(see(town, [lot], type_, {"release": "B" * 43}))
    assert [link.unit for link in receipt.links] == [lot]


@pytest.mark.parametrize(("type_", "details"), [("position", {}), ("access", {"act": "open", "purpose": "CHECK"})])
def test_positions_and_accesses_are_recorded(town, type_, details):
    lot = town.lot()
    receipt = town.accepted(see(town, [lot], type_, details))
    assert [link.unit for link in receipt.links] == [lot]


# -- windows -------------------------------------------------------------------------------------------

CLOSES = 1732615200000  # 26 November 2024, 18:00 in Makassar: the window of the village


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(("minutes", "late"), [(-10, False), (10, True)])
def test_an_arrival_after_the_window_is_late_once(town, minutes, late):
    box, _ = town.sealed_box()
    other, _ = town.sealed_box()
    town.hand_over([box, other])
    release = town.release([box, other], (s.KPU, s.PPS_A), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    town.ok(release)
    village = [town.enrol(f"PPS-{n}", s.KPU, "PPS", "64.74.01.A") for n in (1, 2)]
    town.now_ms = CLOSES + minutes * 60_000
    from app.cli.phone import ids_commitment  # noqa: PLC0415

    told = {"release": release.hash, "scanned": {"n": 2, "hash": ids_commitment([box, other])}, "exceptions": []}
    signed = village[0].sign(
        "custody.accept", told, at_ms=town.tick(), place=s.PPS_A, capacity="taker", with_={village[1]: "second"}
    )
    rows = [("LATE", None, release.hash, s.PPS_A)] if late else []
    town.accepted(signed, *rows)
    if late:
        facts = town.one("SELECT facts FROM discrepancy WHERE rule = 'LATE'")
        assert '"provable":false' in facts


@pytest.mark.usefixtures("alone")
def test_an_arrival_that_was_signed_in_time_and_sent_late_is_not_late(town):
    lot = town.lot()
    release = town.release([lot], (s.KPU, s.PPS_A))
    town.ok(release)
    town.now_ms = CLOSES - 3_600_000
    accept = town.accept(release.hash, [lot], place=s.PPS_A)
    town.now_ms = CLOSES + 86_400_000
    town.accepted(accept)


@pytest.mark.usefixtures("alone")
def test_a_phone_that_saw_a_later_tree_is_provably_late_whatever_its_clock_says(town):
    lot = town.lot()
    release = town.release([lot], (s.KPU, s.PPS_A))
    town.ok(release)
    town.now_ms = CLOSES + 3_600_000
    town.ok(see(town, place=s.PPS_A))
    town.look(town.ppk1)
    accept = town.accept(release.hash, [lot], place=s.PPS_A, at="2024-11-26T17:00:00+08:00")
    town.accepted(accept, ("LATE", None, release.hash, s.PPS_A), ("CLOCK_SUSPECT", None, None, s.PPS_A))
    assert '"provable":true' in town.one("SELECT facts FROM discrepancy WHERE rule = 'LATE'")


@pytest.mark.usefixtures("alone")
def test_goods_on_their_way_back_are_never_late(town):
    box, _ = town.opened_box()
    town.ok(town.act(town.tps1, "unit.close", {"seals": []}, [box], place=s.TPS1, tps2="second"))
    back = town.release([box], (s.KPU, s.PPS_A), phone=town.tps1, place=s.TPS1, tps2="second", pol="escort")
    town.ok(back)
    town.now_ms = CLOSES + 86_400_000
    town.accepted(town.accept(back.hash, [box], place=s.PPS_A))
