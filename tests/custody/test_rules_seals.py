"""Seals: a number is applied once, ever; what is found otherwise sets the unit apart (rules/seals.py)."""

import pytest

from tests import small as s


def number(town, stem="KT"):
    return f"{stem}-{town.size()}-{town.now_ms}"


def remove(town, unit, point, seal, **with_):
    details = {"seals": [{"unit": unit, "point": point, "number": seal}], "reason": "INSPECT"}
    return town.act(town.kpu1, "seal.remove", details, [unit], **(with_ or {"kpu2": "second"}))


def open_at_the_warehouse(town, unit, *found, **with_):
    details = {"seals": [{"unit": unit, **f} for f in found], "reason": "INSPECT"}
    return town.act(town.kpu1, "unit.open", details, [unit], **(with_ or {"kpu2": "second"}))


def inspect(town, unit, *found, phone=None):
    details = {"seals": [{"unit": unit, **f} for f in found]}
    return town.act(phone or town.bws, "seal.inspect", details, [unit], capacity="witness")


def test_sealing_binds_the_numbers_and_clears_the_unsealed_mark(town):
    lot, box, one = town.lot(), town.box(), number(town)
    town.ok(town.pack(box, lot))
    release = town.release([box], (s.KPU, s.HALL), details={"internal": True}, kpu2="second")
    town.ok(release)
    town.ok(town.accept(release.hash, [box], phone=town.kpu3, place=s.HALL, kpu4="second"))
    assert town.flags(box) == {"unsealed"}
    receipt = town.accepted(town.seal(box, one, place=s.HALL))
    unit = town.unit(box)
    assert (unit["seals"], unit["lifecycle"], unit["flag_since"]) == ({"1": one}, "delivered", {})
    assert town.query(f"SELECT unit, point, status, applied_index FROM seal WHERE number = '{one}'") == [
        (box, 1, "applied", receipt.index)
    ]


def test_sealing_an_allocated_box_makes_it_sealed(town):
    box, _ = town.sealed_box()
    assert town.unit(box)["lifecycle"] == "sealed"


def test_the_units_of_a_sealing_are_those_of_its_lines(town):
    box, other = town.box(), town.box()
    details = {"seals": [{"unit": box, "point": 1, "number": number(town)}]}
    town.refused(town.act(town.kpu1, "seal.apply", details, [box, other], kpu2="second"), "units_mismatch")
    town.refused(
        town.act(town.kpu1, "seal.remove", details | {"reason": "X"}, [other], kpu2="second"), "units_mismatch"
    )


def test_a_number_is_applied_once_ever(town):
    one, box, other = number(town), town.box(), town.box()
    town.ok(town.seal(box, one))
    town.ok(remove(town, box, 1, one))
    receipt = town.refused(town.seal(other, one), "seal_reuse", ("SEAL_REUSE", other, None, s.WAREHOUSE))
    assert receipt.facts == {"number": one, "unit": box}
    town.refused(town.seal(box, one), "seal_reuse", ("SEAL_REUSE", box, None, s.WAREHOUSE))


def test_a_number_is_applied_once_in_one_event(town):
    one, box = number(town), town.box()
    town.refused(town.seal(box, one, one), "seal_reuse", ("SEAL_REUSE", box, None, s.WAREHOUSE))


def test_a_point_holds_one_seal(town):
    box = town.box()
    town.ok(town.seal(box, number(town)))
    town.refused(town.seal(box, number(town, "SECOND")), "point_taken")


def test_only_the_holder_seals(town):
    box = town.box()
    details = {"seals": [{"unit": box, "point": 1, "number": number(town)}]}
    town.refused(town.act(town.pos1, "seal.apply", details, [box], pos2="second"), "not_holder")


def test_a_box_of_ballots_is_sealed_by_two(town):
    lot, box = town.lot(), town.box()
    town.ok(town.pack(box, lot))
    details = {"seals": [{"unit": box, "point": 1, "number": number(town)}]}
    town.refused(town.act(town.kpu1, "seal.apply", details, [box]), "policy_unmet")


def test_flagged_units_are_not_sealed(town):
    box = town.box()
    town.ok(town.flag("quarantine.set", [box]))
    town.refused(town.seal(box, number(town)), "quarantine")


def test_what_lies_in_a_flagged_container_is_not_sealed(town):
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    town.ok(town.flag("hold.set", [load]))
    town.refused(town.seal(box, number(town)), "hold")


def test_what_lies_in_a_sealed_container_is_not_sealed(town):
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    town.ok(town.seal(load, number(town, "LOAD")))
    town.refused(town.seal(box, number(town)), "sealed_parent")


def test_a_voided_box_is_not_sealed(town):
    box = town.box()
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK-1", "reason": "WET"}, [box], kpu2="second"))
    town.refused(town.seal(box, number(town)), "state")


def test_taking_off_the_last_seal_reopens_the_box(town):
    one, two = number(town, "A"), number(town, "B")
    lot, box = town.lot(), town.box()
    town.ok(town.pack(box, lot))
    town.ok(town.seal(box, one, two))
    receipt = town.accepted(remove(town, box, 1, one))
    assert [link.unit for link in receipt.links] == [box]
    assert (town.unit(box)["seals"], town.unit(box)["lifecycle"]) == ({"2": two}, "sealed")
    receipt = town.accepted(remove(town, box, 2, two))
    assert (town.unit(box)["seals"], town.unit(box)["lifecycle"]) == ({}, "allocated")
    assert town.query(f"SELECT status, ended_index FROM seal WHERE number = '{two}'") == [("removed", receipt.index)]


def test_a_seal_is_taken_off_by_its_number(town):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    town.refused(remove(town, box, 1, "OTHER-1"), "seal_mismatch")
    town.refused(remove(town, box, 2, one), "seal_mismatch")


def test_opening_at_the_station_raises_the_secrecy_wall(town):
    box, _ = town.opened_box()
    unit = town.unit(box)
    assert (unit["lifecycle"], unit["seals"], unit["flag_since"]) == ("opened", {}, {})
    assert town.query(f"SELECT status FROM seal WHERE unit = '{box}'") == [("removed",)]


def test_opening_names_seals_of_the_units_opened(town):
    box, other = town.box(), town.box()
    details = {"seals": [{"unit": other, "point": 1, "number": "X-1", "finding": "intact"}], "reason": "INSPECT"}
    town.refused(town.act(town.kpu1, "unit.open", details, [box], kpu2="second"), "units_mismatch")


def test_only_the_holder_opens(town):
    box = town.box()
    town.refused(
        town.act(town.pos1, "unit.open", {"seals": [], "reason": "INSPECT"}, [box], pos2="second"), "not_holder"
    )


@pytest.mark.parametrize(
    ("finding", "rule"),
    [("broken", "SEAL_BROKEN"), ("missing", "SEAL_MISSING"), ("loose", "SEAL_LOOSE"), ("replaced", "SEAL_REPLACED")],
)
def test_a_bad_seal_is_reported_and_the_box_set_apart_though_it_opens(town, finding, rule):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    signed = open_at_the_warehouse(town, box, {"point": 1, "number": one, "finding": finding})
    town.accepted(signed, (rule, box, None, s.WAREHOUSE))
    assert town.flags(box) == {"quarantine"}
    assert town.unit(box)["seals"] == {}


def test_another_number_than_the_bound_one_sets_the_box_apart(town):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    signed = open_at_the_warehouse(town, box, {"point": 1, "number": "FAKE-1", "finding": "intact"})
    town.accepted(signed, ("SEAL_MISMATCH", box, None, s.WAREHOUSE))
    assert town.flags(box) == {"quarantine"}


def test_a_bound_seal_that_nobody_names_at_opening_is_missing(town):
    one, two, box = number(town, "A"), number(town, "B"), town.box()
    town.ok(town.seal(box, one, two))
    signed = open_at_the_warehouse(town, box, {"point": 2, "number": two, "finding": "intact"})
    town.accepted(signed, ("SEAL_MISSING", box, None, s.WAREHOUSE))
    assert town.flags(box) == {"quarantine"}


def test_opening_with_every_seal_intact_reports_nothing(town):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    town.accepted(open_at_the_warehouse(town, box, {"point": 1, "number": one, "finding": "intact"}))
    assert town.flags(box) == set()


def test_a_box_is_not_opened_at_another_station(town):
    """Two stations with officers of one mandate: the box of the one is not opened at the other."""
    both = [town.enrol(f"BOTH-{n}", s.KPU, "KPPS", "64.74.01") for n in (1, 2)]
    box, _ = town.sealed_box()
    town.deliver(box)
    details = {"seals": [], "reason": "VOTING"}
    signed = both[0].sign("unit.open", details, at_ms=town.tick(), units=[box], place=s.TPS2, with_={both[1]: "second"})
    town.refused(signed, "wrong_destination")


def test_a_box_on_its_way_is_not_opened_at_a_station(town):
    box, _ = town.sealed_box()
    release = town.release([box])
    town.ok(release)
    town.ok(town.accept(release.hash, [box]))
    officers = [town.enrol(f"WAY-{n}", s.KPU, "PPK_KEC", "64.74.01") for n in (1, 2)]
    signed = officers[0].sign(
        "unit.open", {"seals": [], "reason": "VOTING"}, at_ms=town.tick(), units=[box], place=s.TPS1,
        with_={officers[1]: "second"},
    )  # fmt: skip
    town.refused(signed, "state")


def close(town, unit, *numbers, units=None, **with_):
    lines = [{"unit": unit, "point": n, "number": seal} for n, seal in enumerate(numbers, 1)]
    return town.act(
        town.tps1, "unit.close", {"seals": lines}, units or [unit], place=s.TPS1, **(with_ or {"tps2": "second"})
    )


def test_an_opened_box_is_closed_with_new_seals_and_goes_back(town):
    box, _ = town.opened_box()
    one = number(town)
    town.accepted(close(town, box, one))
    assert (town.unit(box)["lifecycle"], town.unit(box)["seals"]) == ("closed", {"1": one})
    back = town.release([box], (s.KPU, s.PPK), phone=town.tps1, place=s.TPS1, tps2="second", pol="escort")
    town.accepted(back)
    town.accepted(town.accept(back.hash, [box]))
    assert town.unit(box)["lifecycle"] == "returned"


def test_an_opened_box_does_not_travel_open(town):
    box, _ = town.opened_box()
    back = town.release([box], (s.KPU, s.PPK), phone=town.tps1, place=s.TPS1, tps2="second", pol="escort")
    town.refused(back, "state")


def test_a_box_that_was_not_opened_is_not_closed(town):
    box, _ = town.sealed_box()
    town.deliver(box)
    town.refused(close(town, box), "state")


def test_closing_seals_units_of_the_event(town):
    box, _ = town.opened_box()
    town.refused(close(town, town.box(), number(town), units=[box]), "units_mismatch")


def test_closing_uses_fresh_numbers(town):
    box, _ = town.opened_box()
    used = town.one(f"SELECT number FROM seal WHERE unit = '{box}'")
    town.refused(close(town, box, used), "seal_reuse", ("SEAL_REUSE", box, None, s.TPS1))


def test_closing_is_done_by_two(town):
    box, _ = town.opened_box()
    town.refused(close(town, box, number(town), gov="witness"), "policy_unmet")


# -- seal.inspect --------------------------------------------------------------------------------------


def test_an_intact_seal_is_no_finding(town):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    receipt = town.accepted(inspect(town, box, {"point": 1, "number": one, "finding": "intact"}))
    assert [link.unit for link in receipt.links] == [box]
    assert town.flags(box) == set()


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        ({"point": 1, "number": "FAKE-1", "finding": "intact"}, "SEAL_MISMATCH"),
        ({"point": 1, "finding": "intact"}, "SEAL_MISMATCH"),
        ({"point": 3, "number": "MORE-1", "finding": "intact"}, "SEAL_MISMATCH"),
        ({"point": 1, "finding": "broken"}, "SEAL_BROKEN"),
        ({"point": 1, "finding": "missing"}, "SEAL_MISSING"),
    ],
)
def test_an_inspection_that_finds_anything_else_quarantines(town, found, rule):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    town.accepted(inspect(town, box, found), (rule, box, None, s.WAREHOUSE))
    assert town.flags(box) == {"quarantine"}
    town.look(town.kpu1)
    town.refused(town.release([box], pol="escort"), "quarantine")


def test_a_quarantine_keeps_the_leaf_that_set_it(town):
    one, box = number(town), town.box()
    town.ok(town.seal(box, one))
    town.ok(inspect(town, box, {"point": 1, "finding": "broken"}))
    first = town.unit(box)["flag_since"]
    town.ok(inspect(town, box, {"point": 1, "finding": "broken"}))
    assert town.unit(box)["flag_since"] == first


def test_an_inspection_may_leave_out_points(town):
    box = town.box()
    one, two = number(town, "A"), number(town, "B")
    town.ok(town.seal(box, one, two))
    town.accepted(inspect(town, box, {"point": 2, "number": two, "finding": "intact"}))


def test_several_boxes_are_sealed_and_unsealed_in_one_event(town):
    boxes, stem = [town.box(), town.box()], number(town)
    lines = [{"unit": box, "point": 1, "number": f"{stem}-{n}"} for n, box in enumerate(boxes)]
    town.accepted(town.act(town.kpu1, "seal.apply", {"seals": lines}, boxes, kpu2="second"))
    assert [town.unit(box)["seals"] for box in boxes] == [{"1": f"{stem}-0"}, {"1": f"{stem}-1"}]
    town.accepted(town.act(town.kpu1, "seal.remove", {"seals": lines, "reason": "X"}, boxes, kpu2="second"))
    assert [town.unit(box)["seals"] for box in boxes] == [{}, {}]


def test_a_reprinted_box_is_sealed_and_opened_under_its_new_label(town):
    box, label, one = town.box(), town.blanks.pop(), number(town)
    town.ok(town.commission({"act": "reprint", "unit": label, "of": box}))
    town.accepted(town.seal(label, one))
    assert town.unit(box)["seals"] == {"1": one}
    town.accepted(open_at_the_warehouse(town, label, {"point": 1, "number": one, "finding": "intact"}))
    assert town.unit(box)["seals"] == {}
