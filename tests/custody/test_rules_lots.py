"""Lots: goods that are counted; a quantity moves, none goes below zero, the sum stays (rules/lots.py)."""

from tests import small as s


def test_a_quantity_moves_and_the_sum_stays(town):
    source, target = town.lot(100), town.lot(0, source="empty")
    receipt = town.accepted(town.move(source, target, 30))
    assert [town.unit(u)["quantity"] for u in (source, target)] == [70, 30]
    assert {link.unit for link in receipt.links} == {source, target}
    assert town.tallies(receipt.index) == {}


def test_an_empty_lot_takes_the_district_of_what_it_gets(town):
    source = town.lot(10, contest="PILWALI", district="DAPIL-2")
    target = town.lot(0, contest="PILWALI", district=None, source="empty")
    town.accepted(town.move(source, target, 10))
    assert town.unit(target)["district"] == "DAPIL-2"


def test_setting_apart_as_damaged_is_counted(town):
    source, target = town.lot(100), town.lot(0, condition="damaged", source="empty")
    receipt = town.accepted(town.move(source, target, 4))
    assert town.tallies(receipt.index) == {("is:damaged", "PILGUB"): 4}
    receipt = town.accepted(town.move(target, source, 1))
    assert town.tallies(receipt.index) == {("is:damaged", "PILGUB"): -1}


def test_damaged_may_become_excess(town):
    source, target = town.lot(9, condition="damaged"), town.lot(0, condition="excess", source="empty")
    receipt = town.accepted(town.move(source, target, 9))
    assert town.tallies(receipt.index) == {("is:damaged", "PILGUB"): -9, ("is:excess", "PILGUB"): 9}


def test_no_lot_goes_below_zero(town):
    source, target = town.lot(100), town.lot(0, source="empty")
    receipt = town.refused(town.move(source, target, 101), "lot_below_zero")
    assert receipt.facts == {"unit": source, "quantity": 100}


def test_a_lot_may_be_emptied(town):
    source, target = town.lot(100), town.lot(0, source="empty")
    town.accepted(town.move(source, target, 100))
    town.refused(town.move(source, target, 1), "lot_below_zero")


def test_a_lot_does_not_move_into_itself(town):
    lot = town.lot()
    details = {"source": lot, "target": lot, "quantity": 1, "reason": "PACK"}
    town.refused(town.act(town.kpu1, "lot.move", details, [lot], kpu2="second"), "units_mismatch")


def test_the_event_names_the_two_lots(town):
    source, target = town.lot(), town.lot()
    details = {"source": source, "target": target, "quantity": 1, "reason": "PACK"}
    town.refused(town.act(town.kpu1, "lot.move", details, [source], kpu2="second"), "units_mismatch")


def test_only_the_holder_of_the_source_moves(town):
    source, target = town.lot(), town.lot()
    details = {"source": source, "target": target, "quantity": 1, "reason": "PACK"}
    town.refused(town.act(town.pos1, "lot.move", details, [source, target], pos2="second"), "not_holder")


def test_nothing_moves_into_a_lot_that_another_holds(town):
    source, target = town.lot(), town.lot()
    town.ok(town.release([target]))
    town.refused(town.move(source, target, 1), "already_released")


def test_accountable_lots_are_moved_by_two(town):
    source, target = town.lot(), town.lot()
    town.refused(town.move(source, target, 1, kpu2="witness"), "policy_unmet")


def test_one_thing_is_not_a_lot(town):
    town.refused(town.move(town.box(), town.box(), 1), "not_a_lot")


def test_a_packed_lot_does_not_change(town):
    source, target = town.lot(), town.lot()
    town.ok(town.pack(town.box(), target))
    town.refused(town.move(source, target, 1), "packed")


def test_a_lot_is_inspected_before_it_is_used(town):
    town.refused(town.move(town.lot(checked=False), town.lot(), 1), "not_checked")


def test_flagged_lots_do_not_change(town):
    source, target = town.lot(), town.lot()
    town.ok(town.flag("quarantine.set", [target]))
    town.refused(town.move(source, target, 1), "quarantine")


def test_different_contests_do_not_mix(town):
    town.refused(town.move(town.lot(), town.lot(contest="PILWALI", district="DAPIL-1"), 1), "different_goods")


def test_different_items_do_not_mix(town):
    town.refused(town.move(town.lot(), town.lot(5, item="BOOTH"), 1), "different_goods")


def test_different_districts_do_not_mix(town):
    source = town.lot(contest="PILWALI", district="DAPIL-2")
    town.refused(town.move(source, town.lot(contest="PILWALI", district="DAPIL-1"), 1), "different_goods")


def test_lots_at_two_places_do_not_mix(town):
    source, target = town.lot(), town.lot()
    release = town.release([target], (s.KPU, s.HALL), details={"internal": True}, kpu2="second")
    town.ok(release)
    town.ok(town.accept(release.hash, [target], phone=town.kpu3, place=s.HALL, kpu4="second"))
    town.refused(town.move(source, target, 1), "other_place")


def test_a_voided_lot_does_not_change(town):
    source, target = town.lot(), town.lot()
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK-1", "reason": "WET"}, [source], kpu2="second"))
    town.refused(town.move(source, target, 1), "state")
