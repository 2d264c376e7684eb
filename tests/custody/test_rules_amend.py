"""Corrections and retractions: from their own leaf on, never on custody, by two of two roles (rules/amend.py)."""

import pytest

from app.canon import b64url_decode
from tests import small as s


def commissioned(town, **more):
    line = town.bind(town.blanks.pop(), "BALLOT", contest="PILWALI", district="DAPIL-1", quantity=50, source="print")
    line = {name: value for name, value in (line | more).items() if value is not None}
    signed = town.commission(line)
    town.ok(signed)
    return line["unit"], signed.hash


def correct(town, target, unit, field, value, *, units=None, place=s.WAREHOUSE, phone=None, **with_):
    details = {"target": target, "unit": unit, "field": field, "value": value, "reason": "TYPO"}
    return town.act(
        phone or town.kpu1, "correction", details, units or [unit], place=place, **(with_ or {"ppk1": "second"})
    )


def test_a_contest_is_corrected_and_the_balance_follows(town):
    unit, target = commissioned(town, district="64", condition="damaged")
    receipt = town.accepted(correct(town, target, unit, "contest", "PILGUB"))
    assert town.unit(unit)["contest"] == "PILGUB"
    assert town.tallies(receipt.index) == {
        ("in:print", "PILWALI"): -50, ("in:print", "PILGUB"): 50, ("is:damaged", "PILWALI"): -50, ("is:damaged", "PILGUB"): 50,
    }  # fmt: skip
    assert [link.unit for link in receipt.links] == [unit]


def test_a_district_is_corrected(town):
    unit, target = commissioned(town)
    town.accepted(correct(town, target, unit, "district", "DAPIL-2"))
    assert town.unit(unit)["district"] == "DAPIL-2"


def test_a_destination_is_corrected_to_a_station_of_the_same_district(town):
    unit, target = commissioned(town, destination=s.TPS1)
    town.accepted(correct(town, target, unit, "destination", s.TPS2))
    assert town.unit(unit)["destination"] == s.TPS2
    town.refused(
        correct(town, target, unit, "destination", s.TPS3), "dapil_mismatch", ("WRONG_DAPIL", unit, None, s.TPS3)
    )


@pytest.mark.parametrize("place", ["ATLANTIS", s.PPK])
def test_a_destination_is_a_polling_station(town, place):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "destination", place), "wrong_destination")


def test_an_item_is_corrected_with_its_sensitivity_and_its_balance(town):
    unit, target = commissioned(town, item="BOOTH", district=None)
    receipt = town.accepted(correct(town, target, unit, "item", "BALLOT"))
    now = town.unit(unit)
    assert (now["item"], now["sensitivity"], now["effective"]) == ("BALLOT", "accountable", "accountable")
    assert town.query(f"SELECT item, quantity FROM tally WHERE leaf_index = {receipt.index} ORDER BY item") == [
        ("BALLOT", 50), ("BOOTH", -50),
    ]  # fmt: skip


def test_what_becomes_a_ballot_is_given_its_contest_first(town):
    unit, target = commissioned(town, item="BOOTH", contest=None, district=None)
    town.refused(correct(town, target, unit, "item", "BALLOT"), "contest_missing")
    town.accepted(correct(town, target, unit, "contest", "PILWALI"))
    town.accepted(correct(town, target, unit, "item", "BALLOT"))


def test_a_lot_does_not_become_one_thing(town):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "item", "BOX_TPS"), "different_goods")


def test_an_item_is_of_the_catalogue(town):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "item", "ROCKET"), "unknown_item")


def test_a_contest_is_of_the_election(town):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "contest", "PILPRES"), "unknown_contest")


def test_fields_of_custody_are_not_even_words(town):
    unit, target = commissioned(town)
    town.unrecorded(correct(town, target, unit, "place", "X"), "details_shape")


def test_only_a_commission_has_fields_to_correct(town):
    unit, _ = commissioned(town)
    seen = town.inspected([unit])
    town.ok(seen)
    town.refused(correct(town, seen.hash, unit, "contest", "PILGUB"), "field")


def test_a_correction_waits_for_its_target(town):
    unit, _ = commissioned(town)
    later = town.inspected([unit])
    waiting = correct(town, later.hash, unit, "contest", "PILGUB")
    town.waits(waiting)
    town.ok(later)
    assert town.outcome(waiting) == ("refused", "field")


def test_only_an_accepted_event_is_corrected(town):
    unit, _ = commissioned(town)
    no = town.commission(town.bind(town.blanks.pop(), "ROCKET"))
    town.no(no, "unknown_item")
    town.refused(correct(town, no.hash, unit, "contest", "PILGUB"), "target")


def test_an_event_that_waits_is_not_corrected(town):
    unit, _ = commissioned(town)
    waiting = town.release([unit], after=["B" * 43])
    town.waits(waiting)
    town.refused(correct(town, waiting.hash, unit, "contest", "PILGUB"), "target")


def test_the_agency_that_signed_corrects(town):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "contest", "PILGUB", phone=town.pos1, pos2="second"), "not_your_agency")


def test_an_agency_does_not_correct_units_of_another_through_its_own_event(town):
    _, ours = commissioned(town)
    line = town.bind(town.blanks.pop(), "BOOTH", quantity=5)
    town.ok(town.commission(line, phone=town.pos1, place=s.TRUCK, pos2="second"))
    town.refused(correct(town, ours, line["unit"], "contest", "PILGUB"), "not_your_agency")


def test_two_roles_correct(town):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "contest", "PILGUB", kpu2="second"), "policy_unmet")


@pytest.mark.usefixtures("alone")
def test_two_officers_correct(town):
    """One person with two roles is one person."""
    same = town.enrol("KPU-1", s.KPU, "PPK_KEC", s.CITY)
    unit, target = commissioned(town)
    details = {"target": target, "unit": unit, "field": "district", "value": "DAPIL-2", "reason": "TYPO"}
    signed = town.kpu1.sign(
        "correction", details, at_ms=town.tick(), units=[unit], place=s.WAREHOUSE, with_={same: "second"}
    )
    town.refused(signed, "policy_unmet")


def test_the_event_names_the_unit(town):
    unit, target = commissioned(town)
    town.refused(correct(town, target, unit, "district", "DAPIL-2", units=[unit, town.lot()]), "units_mismatch")


def test_a_packed_unit_is_not_corrected(town):
    unit, target = commissioned(town)
    town.ok(town.inspected([unit]))
    town.ok(town.pack(town.load(), unit))
    town.refused(correct(town, target, unit, "district", "DAPIL-2"), "packed")


def test_a_delivered_unit_is_not_corrected(town):
    unit, target = commissioned(town, destination=s.TPS1)
    town.ok(town.inspected([unit]))
    release = town.release([unit], (s.KPU, s.TPS1))
    town.ok(release)
    town.ok(town.accept(release.hash, [unit], phone=town.tps1, place=s.TPS1, tps2="second"))
    town.refused(correct(town, target, unit, "district", "DAPIL-1"), "state")


def retract(town, target, **with_):
    details = {"target": target, "reason": "MISTAKE"}
    return town.act(town.kpu1, "retraction", details, **(with_ or {"ppk1": "second"}))


def test_a_retraction_marks_and_undoes_nothing(town):
    lot = town.lot()
    release = town.release([lot])
    town.ok(release)
    receipt = town.accepted(retract(town, release.hash))
    assert town.unit(lot)["custody"] == "released"
    assert town.one(f"SELECT retracted_index FROM event_outcome WHERE hash = '{release.hash}'") == receipt.index
    assert b64url_decode(town.leaf(town.receipt(release).index)["event"]["payload"])


def test_an_event_is_retracted_once(town):
    seen = town.act(town.kpu1, "sighting", {}, capacity="witness")
    town.ok(seen)
    town.accepted(retract(town, seen.hash))
    town.refused(retract(town, seen.hash), "already_retracted")


def test_two_roles_retract(town):
    seen = town.act(town.kpu1, "sighting", {}, capacity="witness")
    town.ok(seen)
    town.refused(retract(town, seen.hash, kpu2="second"), "policy_unmet")
