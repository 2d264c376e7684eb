"""Setting apart and ending: quarantine, hold, void, witnessed destruction (rules/flags.py)."""

import pytest

from tests import small as s


def clear(town, unit, **with_):
    return town.act(town.kpu1, "quarantine.clear", {"reason": "EXPLAINED"}, [unit], **with_)


def test_anybody_sets_apart(town):
    lot = town.lot()
    receipt = town.accepted(town.flag("quarantine.set", [lot], phone=town.pol))
    assert town.unit(lot)["flag_since"] == {"quarantine": receipt.index}
    assert [link.unit for link in receipt.links] == [lot]


def test_two_sides_clear_a_quarantine(town):
    lot = town.lot()
    town.ok(town.flag("quarantine.set", [lot]))
    town.refused(clear(town, lot, kpu2="second"), "policy_unmet")
    town.refused(town.act(town.bws, "quarantine.clear", {"reason": "FINE"}, [lot], capacity="approver"), "policy_unmet")
    town.refused(town.act(town.pos1, "quarantine.clear", {"reason": "FINE"}, [lot], bws="approver"), "policy_unmet")
    town.accepted(clear(town, lot, bws="approver"))
    assert town.flags(lot) == set()


def test_clearing_a_quarantine_ends_the_orphan_too(town):
    lot = town.lot()
    town.ok(town.accept(None, [lot], phone=town.pos1, place=s.TRUCK, named=[lot], pos2="second"))
    town.accepted(clear(town, lot, bws="approver"))
    assert town.flags(lot) == set()


def test_clearing_a_quarantine_leaves_a_hold(town):
    lot = town.lot()
    town.ok(town.flag("quarantine.set", [lot]))
    town.ok(town.flag("hold.set", [lot]))
    town.accepted(clear(town, lot, bws="approver"))
    assert "hold" in town.flags(lot)


def test_only_a_quarantine_is_cleared(town):
    town.refused(clear(town, town.lot(), bws="approver"), "not_flagged")


def test_a_hold_is_laid_by_those_who_may(town):
    lot = town.lot()
    town.refused(town.flag("hold.set", [lot], phone=town.kpu1), "role")
    town.accepted(town.flag("hold.set", [lot], phone=town.pol))
    assert "hold" in town.flags(lot)


def test_a_hold_is_ended_by_those_who_may(town):
    lot = town.lot()
    town.ok(town.flag("hold.set", [lot]))
    town.refused(town.flag("hold.clear", [lot], phone=town.kpu1), "role")
    town.accepted(town.flag("hold.clear", [lot], phone=town.pol))
    assert town.flags(lot) == set()


def test_only_a_hold_is_ended(town):
    town.refused(town.flag("hold.clear", [town.lot()]), "not_flagged")


def test_the_hold_of_another_case_stays(town):
    lot = town.lot()
    town.ok(town.flag("hold.set", [lot]))
    other = {"case": "P-2/2024"}
    town.refused(town.act(town.pol, "hold.clear", other, [lot], capacity="approver"), "not_flagged")
    town.ok(town.act(town.pol, "hold.set", other, [lot], capacity="approver"))
    town.accepted(town.flag("hold.clear", [lot]))
    assert "hold" in town.flags(lot)
    town.accepted(town.act(town.pol, "hold.clear", other, [lot], capacity="approver"))
    assert town.flags(lot) == set()


def test_a_hold_outlasts_what_is_voided(town):
    lot = town.lot()
    town.ok(void(town, lot))
    town.accepted(town.flag("hold.set", [lot]))
    town.accepted(town.flag("hold.clear", [lot]))


def void(town, unit, **with_):
    details = {"decision": "SK-12/2024", "reason": "STAINED"}
    return town.act(town.kpu1, "unit.void", details, [unit], **(with_ or {"kpu2": "second"}))


def test_voiding_is_counted(town):
    lot = town.lot(12)
    receipt = town.accepted(void(town, lot))
    assert town.unit(lot)["lifecycle"] == "voided"
    assert town.tallies(receipt.index) == {("is:voided", "PILGUB"): 12}


def test_only_the_holder_voids(town):
    lot = town.lot()
    details = {"decision": "SK-12/2024", "reason": "STAINED"}
    town.refused(town.act(town.pos1, "unit.void", details, [lot], pos2="second"), "not_holder")


def test_ballots_are_voided_by_two(town):
    town.refused(void(town, town.lot(), gov="witness"), "policy_unmet")


def test_a_hold_blocks_voiding(town):
    lot = town.lot()
    town.ok(town.flag("hold.set", [lot]))
    town.refused(void(town, lot), "hold")


def test_a_hold_on_the_container_blocks_voiding(town):
    lot, load = town.lot(), town.load()
    town.ok(town.pack(load, lot))
    town.ok(town.flag("hold.set", [load]))
    town.refused(void(town, lot), "hold")


def test_what_is_voided_is_not_voided_again(town):
    lot = town.lot()
    town.ok(void(town, lot))
    town.refused(void(town, lot), "state")


# -- destruction ---------------------------------------------------------------------------------------

WITNESSES = {"kpu2": "second", "pol": "witness", "bws": "witness", "tni": "witness", "gov": "witness"}


def destroy(town, unit, quantity, *, units=None, lines=None, at=None, without=(), phone=None, **more):
    with_ = {name: what for name, what in (WITNESSES | more).items() if name not in without}
    lines = lines or [{"unit": unit, "quantity": quantity, "reason": "TORN"}]
    details = {"minutes": "BA-407/2024", "method": "BURNT", "lines": lines}
    return town.act(phone or town.kpu1, "unit.destroy", details, units or [unit], at=at, **with_)


def test_condemned_goods_are_destroyed_before_witnesses(town):
    lot = town.lot(407, condition="damaged")
    receipt = town.accepted(destroy(town, lot, 407))
    assert town.unit(lot)["lifecycle"] == "destroyed"
    assert town.tallies(receipt.index) == {("destroyed:damaged", "PILGUB"): 407}


@pytest.mark.parametrize("missing", ["pol", "bws", "tni", "gov"])
def test_no_witness_is_left_out(town, missing):
    lot = town.lot(4, condition="excess")
    town.refused(destroy(town, lot, 4, without=[missing]), "witnesses_missing")


@pytest.mark.usefixtures("mended")
def test_witnesses_are_of_enough_agencies(town):
    policy = s.policy(destruction={"witnesses": 5, "kinds": ["police"]})
    town.put_policy(policy)
    lot = town.lot(4, condition="excess")
    town.refused(destroy(town, lot, 4), "witnesses_missing")


@pytest.mark.usefixtures("mended")
def test_witnesses_are_of_the_kinds_that_the_policy_names(town):
    town.put_policy(s.policy(destruction={"witnesses": 1, "kinds": ["police"]}))
    lot = town.lot(4, condition="excess")
    town.refused(destroy(town, lot, 4, without=["pol"]), "witnesses_missing")


@pytest.mark.parametrize("told", [406, 408])
def test_the_count_is_the_ledgers(town, told):
    lot = town.lot(407, condition="damaged")
    receipt = town.refused(destroy(town, lot, told), "wrong_count")
    assert receipt.facts["expected"] == 407


def test_the_units_of_a_destruction_are_those_of_its_lines(town):
    lot, other = town.lot(4, condition="damaged"), town.lot(4, condition="damaged")
    town.refused(destroy(town, lot, 4, units=[lot, other]), "units_mismatch")
    line = {"unit": lot, "quantity": 4, "reason": "TORN"}
    town.refused(destroy(town, lot, 4, lines=[line, line]), "units_mismatch")


def test_only_the_holder_destroys(town):
    lot = town.lot(4, condition="damaged")
    signed = destroy(town, lot, 4, phone=town.pos1, without=["kpu2"], pos2="second")
    town.refused(signed, "not_holder")


def test_ballots_are_destroyed_by_two(town):
    lot = town.lot(4, condition="damaged")
    town.refused(destroy(town, lot, 4, without=["kpu2"]), "policy_unmet")


def test_a_hold_blocks_destruction(town):
    lot = town.lot(4, condition="damaged")
    town.ok(town.flag("hold.set", [lot]))
    town.refused(destroy(town, lot, 4), "hold")


def test_a_quarantine_blocks_destruction(town):
    lot = town.lot(4, condition="damaged")
    town.ok(town.flag("quarantine.set", [lot]))
    town.refused(destroy(town, lot, 4), "quarantine")


def test_a_packed_lot_is_not_destroyed(town):
    lot, load = town.lot(4, condition="damaged"), town.load()
    town.ok(town.pack(load, lot))
    town.refused(destroy(town, lot, 4), "packed")


def test_a_full_container_is_not_destroyed(town):
    lot, load = town.lot(4, condition="damaged"), town.load()
    town.ok(town.pack(load, lot))
    town.refused(destroy(town, load, 1), "packed")


def test_good_ballots_are_not_destroyed(town):
    town.refused(destroy(town, town.lot(4), 4), "not_condemned")


def test_voided_ballots_are_destroyed(town):
    lot = town.lot(4)
    town.ok(void(town, lot))
    town.accepted(destroy(town, lot, 4))


def test_an_allocated_container_is_not_destroyed(town):
    box, lot = town.box(contest=None), town.lot()
    town.ok(town.pack(box, lot))
    town.ok(town.unpack(box, lot))
    town.refused(destroy(town, box, 1), "state")


@pytest.mark.usefixtures("alone")
def test_destruction_on_the_day_is_late(town):
    lot = town.lot(4, condition="damaged")
    town.now_ms = 1732636800000  # 27 November 2024, 00:00 in Makassar
    town.accepted(destroy(town, lot, 4), ("LATE", None, None, s.WAREHOUSE))


@pytest.mark.usefixtures("alone")
def test_destruction_on_the_eve_is_not(town):
    lot = town.lot(4, condition="damaged")
    town.now_ms = 1732636800000 - 120_000
    town.accepted(destroy(town, lot, 4))


def test_a_destroyed_unit_that_comes_back_is_refused_and_reported(town):
    lot = town.lot(4, condition="damaged")
    town.ok(destroy(town, lot, 4))
    town.refused(town.release([lot]), "resurrected_unit", ("RESURRECTED_UNIT", lot, None, s.WAREHOUSE))


def test_a_destroyed_unit_that_is_seen_is_reported(town):
    lot = town.lot(4, condition="damaged")
    town.ok(destroy(town, lot, 4))
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    town.accepted(seen, ("RESURRECTED_UNIT", lot, None, s.WAREHOUSE))


def test_a_reprinted_unit_is_destroyed_under_its_new_label(town):
    lot, label = town.lot(4, condition="damaged"), town.blanks.pop()
    town.ok(town.commission({"act": "reprint", "unit": label, "of": lot}))
    town.accepted(destroy(town, label, 4))
    assert town.unit(lot)["lifecycle"] == "destroyed"
