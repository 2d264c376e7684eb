"""The two-sided handover: who may give, who may take, and what both signed stays signed (rules/handover.py)."""

import pytest

from tests import small as s

LATER = "2024-11-27T00:30:00+08:00"


# -- release -------------------------------------------------------------------------------------------


def test_a_release_and_its_accept_move_the_goods(town):
    lot = town.lot()
    release = town.release([lot], (s.KPU, s.PPK))
    town.accepted(release)
    assert (town.unit(lot)["custody"], town.unit(lot)["handover"]) == ("released", release.hash)
    assert town.handover(release.hash) == "open"
    town.accepted(town.accept(release.hash, [lot]))
    unit = town.unit(lot)
    assert (unit["custody"], unit["agency"], unit["officer"], unit["place"], unit["handover"]) == (
        "held", s.KPU, "PPK-1", s.PPK, None,
    )  # fmt: skip
    assert town.handover(release.hash) == "accepted"


def test_the_agencies_that_ever_held_a_unit_are_remembered(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    town.accepted(release)
    town.accepted(town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second"))
    assert town.unit(lot)["agencies"] == [s.KPU, s.POS]


def test_who_does_not_hold_cannot_release(town):
    lot = town.lot()
    town.refused(town.release([lot], phone=town.pos1, pos2="second", pol="escort"), "not_holder")


def test_a_release_cannot_be_repeated_while_it_is_open(town):
    lot = town.lot()
    town.accepted(town.release([lot]))
    town.refused(town.release([lot]), "already_released")


def test_an_officer_of_another_place_of_the_agency_does_not_hold(town):
    lot = town.lot()
    town.refused(town.release([lot], phone=town.ppk1, ppk2="second", pol="escort", place=s.PPK), "not_holder")


def test_a_release_names_a_known_agency(town):
    town.refused(town.release([town.lot()], ("NOBODY", s.PPK)), "unknown_agency")


def test_a_supervisor_never_receives(town):
    town.refused(town.release([town.lot()], (s.BWS, s.PPK)), "supervisor_handles")


def test_a_release_names_a_known_place(town):
    town.refused(town.release([town.lot()], (s.KPU, "ATLANTIS")), "unknown_place")


def test_a_unit_in_a_sealed_container_cannot_leave_alone(town):
    _, lot = town.sealed_box()
    town.refused(town.release([lot]), "sealed_parent")


def test_a_unit_in_an_open_container_cannot_leave_alone(town):
    lot, box = town.lot(), town.box()
    town.accepted(town.pack(box, lot))
    town.refused(town.release([lot]), "packed")


def test_a_release_happens_where_the_unit_is(town):
    town.refused(town.release([town.lot()], place=s.HALL), "other_place")


def test_a_release_is_toward_the_units_station(town):
    box, _ = town.sealed_box()
    town.refused(town.release([box], (s.KPU, s.PPS_B)), "wrong_destination")


def test_a_vehicle_serves_every_station(town):
    box, _ = town.sealed_box()
    town.accepted(town.release([box], (s.POS, s.TRUCK)))


def test_goods_are_due_after_they_left(town):
    town.refused(town.release([town.lot()], due="2024-10-01T00:00:00+08:00"), "due_before_release")


def test_a_due_time_that_no_calendar_has_is_refused_and_recorded(town):
    town.refused(town.release([town.lot()], due="2024-13-45T00:00:00+08:00"), "time")


def test_an_impossible_due_time_in_a_waiting_event_does_not_poison_what_it_waits_for(town):
    lot = town.lot()
    awaited = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    waiting = town.release([lot], due="2024-02-30T00:00:00+08:00", after=[awaited.hash])
    town.waits(waiting)
    town.accepted(awaited)
    assert town.outcome(waiting) == ("refused", "time")


def test_accountable_goods_need_two_officers(town):
    town.refused(town.release([town.lot()], pol="escort"), "policy_unmet")


@pytest.mark.usefixtures("mended")
def test_one_officer_with_two_phones_is_one_officer(town):
    other = town.enrol("KPU-1", s.KPU, "LOGISTIK", s.CITY)
    lot = town.lot()
    signed = town.kpu1.sign(
        "custody.release", {"to_agency": s.KPU, "to_place": s.PPK, "due_by": "2024-12-20T12:00:00+08:00"},
        at_ms=town.tick(), units=[lot], place=s.WAREHOUSE, with_={other: "second", town.pol: "escort"},
    )  # fmt: skip
    town.refused(signed, "policy_unmet")


def test_controlled_goods_need_one_officer(town):
    town.accepted(town.release([town.box(None, None)], (s.KPU, s.PPK), pol="escort"))


def test_a_container_asks_for_what_its_contents_ask_for(town):
    lot, load = town.lot(), town.load()
    town.accepted(town.pack(load, lot))
    town.refused(town.release([load], pol="escort"), "policy_unmet")
    town.accepted(town.release([load]))


def test_accountable_goods_travel_with_an_escort(town):
    town.refused(town.release([town.lot()], kpu2="second"), "policy_unmet")


def test_an_escort_is_of_the_police_or_the_army(town):
    lot = town.lot()
    town.accepted(town.release([lot], kpu2="second", tni="escort"))


def test_an_escort_of_no_police_is_none(town):
    lot = town.lot()
    town.refused(town.release([lot], kpu2="second", pos1="escort"), "role")


def test_an_override_lets_goods_go_without_escort_and_says_so(town):
    signed = town.release([town.lot()], details={"override": {"reason": "NO_CAR"}}, kpu2="second")
    town.accepted(signed, ("NO_ESCORT", None, signed.hash, s.WAREHOUSE))


def test_an_internal_release_needs_no_escort(town):
    town.accepted(town.release([town.lot()], details={"internal": True}, kpu2="second"))


def test_internal_is_a_word_for_one_agency_only(town):
    signed = town.release([town.lot()], (s.POS, s.TRUCK), details={"internal": True}, kpu2="second")
    town.refused(signed, "policy_unmet")


@pytest.mark.usefixtures("mended")
def test_a_station_that_needs_no_escort_by_the_plan_gets_none(town):
    stations = [{**s.station(s.TPS1, 100), "escort": False}, s.station(s.TPS2, 200), s.station(s.TPS3, 300, "DAPIL-2")]
    town.put_plan(s.plan(stations=stations))
    box, _ = town.sealed_box()
    town.accepted(town.release([box], kpu2="second"))


def test_a_side_is_of_one_agency(town):
    town.refused(town.release([town.lot()], pos1="second", pol="escort"), "policy_unmet")


def test_somebody_signs_as_giver(town):
    told = {"to_agency": s.KPU, "to_place": s.PPK, "due_by": "2024-12-20T12:00:00+08:00"}
    signed = town.act(town.kpu1, "custody.release", told, [town.lot()], capacity="second", kpu2="second", pol="escort")
    town.refused(signed, "policy_unmet")


def test_a_release_names_units(town):
    town.refused(town.release([]), "no_units")


def test_an_unsealed_box_leaves_and_is_reported_once(town):
    lot, box = town.lot(), town.box()
    town.accepted(town.pack(box, lot))
    release = town.release([box])
    town.accepted(release, ("UNSEALED", box, None, s.WAREHOUSE))
    town.accepted(town.accept(release.hash, [box]))
    assert "unsealed" in town.flags(box)
    town.accepted(town.release([box], (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort"))


def test_a_sealed_box_is_no_unsealed_one(town):
    box, _ = town.sealed_box()
    town.accepted(town.release([box]))


@pytest.mark.usefixtures("mended")
def test_leaving_before_the_window_is_reported(town):
    town.put_plan(s.plan(stops=[{"place": s.PPK, "release_from": "2024-11-25T00:00:00+08:00"}]))
    release = town.release([town.lot()])
    town.accepted(release, ("EARLY_RELEASE", None, release.hash, s.PPK))


@pytest.mark.usefixtures("mended")
def test_leaving_after_the_window_opened_is_not(town):
    town.put_plan(s.plan(stops=[{"place": s.PPK, "release_from": "2024-10-19T00:00:00+08:00"}]))
    town.accepted(town.release([town.lot()]))


@pytest.mark.parametrize("flag", ["hold", "quarantine"])
def test_flagged_goods_do_not_leave(town, flag):
    lot = town.lot()
    town.accepted(town.flag(f"{flag}.set", [lot]))
    town.look(town.kpu1)
    town.refused(town.release([lot]), flag)


@pytest.mark.parametrize("flag", ["hold", "quarantine"])
def test_a_flag_that_the_signers_could_not_know_is_reported_and_stays(town, flag):
    lot = town.lot()
    town.look(town.kpu1)
    town.accepted(town.flag(f"{flag}.set", [lot]))
    town.accepted(town.release([lot]), ("MOVED_UNDER_HOLD", lot, None, s.WAREHOUSE))
    assert flag in town.flags(lot)


def test_a_reprinted_unit_leaves_under_its_new_label(town):
    lot, label = town.lot(), town.blanks.pop()
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    release = town.release([label])
    town.accepted(release)
    town.accepted(town.accept(release.hash, [lot]))
    assert town.unit(lot)["place"] == s.PPK


# -- accept --------------------------------------------------------------------------------------------


def test_the_same_officer_never_signs_both_sides(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    signed = town.accept(release.hash, [lot], phone=town.kpu1, place=s.WAREHOUSE, kpu3="second")
    town.refused(signed, "self_accept", ("SELF_ACCEPT", None, release.hash, s.WAREHOUSE))


def test_a_second_of_the_giving_side_does_not_take_either(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    signed = town.accept(release.hash, [lot], phone=town.ppk1, kpu2="second")
    town.refused(signed, "self_accept", ("SELF_ACCEPT", None, release.hash, s.PPK))


def test_between_officers_of_one_role_a_release_says_that_it_is_internal(town):
    lot = town.lot()
    release = town.release([lot], (s.KPU, s.HALL))
    town.accepted(release)
    town.refused(town.accept(release.hash, [lot], phone=town.kpu3, place=s.HALL, kpu4="second"), "same_side")


def test_an_internal_release_goes_to_officers_of_the_same_role(town):
    lot = town.lot()
    release = town.release([lot], (s.KPU, s.HALL), details={"internal": True}, kpu2="second")
    town.accepted(release)
    town.accepted(town.accept(release.hash, [lot], phone=town.kpu3, place=s.HALL, kpu4="second"))


def test_only_the_named_agency_takes(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    town.accepted(release)
    town.refused(town.accept(release.hash, [lot]), "not_named_taker")


def test_only_the_named_officer_takes(town):
    lot = town.lot()
    release = town.release([lot], details={"to_officer": "PPK-9"})
    town.accepted(release)
    town.refused(town.accept(release.hash, [lot]), "not_named_taker")


def test_the_named_officer_may_be_the_second(town):
    lot = town.lot()
    release = town.release([lot], details={"to_officer": "PPK-2"})
    town.accepted(release)
    town.accepted(town.accept(release.hash, [lot]))


def test_accountable_goods_are_taken_by_two(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.refused(town.accept(release.hash, [lot], pol="witness"), "policy_unmet")


def test_a_release_is_accepted_once(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    first = town.accept(release.hash, [lot])
    town.accepted(first)
    receipt = town.refused(town.accept(release.hash, [lot]), "already_accepted")
    assert receipt.facts == {"release": release.hash, "by": first.hash}


def test_an_accept_before_its_release_waits_and_then_takes_effect(town):
    lot = town.lot()
    release = town.release([lot])
    accept = town.accept(release.hash, [lot])
    town.waits(accept)
    town.accepted(release)
    assert town.outcome(accept) == ("accepted", "")
    assert town.unit(lot)["place"] == s.PPK
    verdict = town.leaf(town.receipt(accept).outcome_index)
    assert [link["unit"] for link in verdict["links"]] == [lot]


def test_an_accept_waits_for_a_release_that_waits_itself(town):
    lot = town.lot()
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    release = town.release([lot], after=[seen.hash])
    accept = town.accept(release.hash, [lot], after=[])
    town.waits(release)
    town.waits(accept)
    town.accepted(seen)
    assert town.outcome(release) == ("accepted", "")
    assert town.outcome(accept) == ("accepted", "")
    assert town.unit(lot)["custody"] == "held"


def test_an_accept_of_a_refused_release_has_no_effect(town):
    lot = town.lot()
    release = town.release([lot], kpu2="second")
    town.refused(release, "policy_unmet")
    town.refused(town.accept(release.hash, [lot]), "release_not_effective")


def test_an_early_accept_of_a_release_that_is_then_refused_is_refused(town):
    lot = town.lot()
    release = town.release([lot], kpu2="second")
    accept = town.accept(release.hash, [lot])
    town.waits(accept)
    town.no(release, "policy_unmet")
    assert town.outcome(accept) == ("refused", "release_not_effective")


def test_what_was_scanned_is_what_was_released(town):
    lots = [town.lot(), town.lot()]
    release = town.release(lots)
    town.accepted(release)
    town.refused(town.accept(release.hash, lots[:1]), "scan_mismatch")
    short = {"n": 1, "hash": town.accept(None, lots).hash}
    town.refused(town.accept(release.hash, lots, scanned=short), "scan_mismatch")
    wrong = {"n": 2, "hash": release.hash}
    town.refused(town.accept(release.hash, lots, scanned=wrong), "scan_mismatch")


def test_an_exception_is_of_the_release(town):
    lot, other = town.lot(), town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.refused(town.accept(release.hash, [lot], exceptions=[(other, "damaged")]), "exceptions")


def test_an_exception_names_a_unit_once(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    twice = [(lot, "damaged"), (lot, "rejected")]
    town.refused(town.accept(release.hash, [lot], exceptions=twice), "exceptions")


def test_a_missing_unit_is_uncertain_and_the_others_arrive(town):
    here, gone = town.lot(), town.lot()
    release = town.release([here, gone])
    town.accepted(release)
    accept = town.accept(release.hash, [here, gone], exceptions=[(gone, "missing")])
    town.accepted(accept, ("SHORT", gone, release.hash, s.PPK))
    assert (town.unit(here)["place"], town.unit(here)["custody"]) == (s.PPK, "held")
    assert (town.unit(gone)["place"], town.unit(gone)["custody"]) == (s.WAREHOUSE, "uncertain")
    assert town.flags(gone) == {"missing"}
    assert town.unit(gone)["handover"] is None
    assert town.handover(release.hash) == "partial"
    town.accepted(
        town.act(town.bws, "sighting", {}, [gone], capacity="witness"), ("MISSING_SEEN", gone, None, s.WAREHOUSE)
    )
    town.refused(town.release([gone]), "already_released")


def test_a_rejected_unit_stays_with_the_giver(town):
    here, back = town.lot(), town.lot()
    release = town.release([here, back])
    town.accepted(release)
    accept = town.accept(release.hash, [here, back], exceptions=[(back, "rejected")])
    town.accepted(accept, ("REJECTED", back, release.hash, s.PPK))
    assert (town.unit(back)["agency"], town.unit(back)["custody"], town.unit(back)["officer"]) == (
        s.KPU,
        "held",
        "KPU-1",
    )
    assert town.unit(back)["handover"] is None
    assert town.handover(release.hash) == "partial"


def test_a_damaged_unit_arrives_damaged(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    accept = town.accept(release.hash, [lot], exceptions=[(lot, "damaged")])
    town.accepted(accept, ("DAMAGED", lot, release.hash, s.PPK))
    assert (town.unit(lot)["condition"], town.unit(lot)["place"]) == ("damaged", s.PPK)
    assert town.tallies(town.receipt(accept).index) == {("is:damaged", "PILGUB"): 100}


def test_excess_that_arrives_damaged_is_counted_as_damaged(town):
    lot = town.lot(condition="excess")
    release = town.release([lot])
    town.accepted(release)
    accept = town.accept(release.hash, [lot], exceptions=[(lot, "damaged")])
    town.accepted(accept, ("DAMAGED", lot, release.hash, s.PPK))
    assert town.tallies(town.receipt(accept).index) == {("is:damaged", "PILGUB"): 100, ("is:excess", "PILGUB"): -100}


@pytest.mark.usefixtures("mended")
def test_accountable_goods_taken_at_a_place_that_is_not_registered_are_reported(town):
    document = s.policy()
    document["places"] = [{**p, "registered": p["id"] != s.PPK} for p in document["places"]]
    town.put_policy(document)
    lot, load = town.lot(), town.load()
    release = town.release([lot])
    town.accepted(release)
    town.accepted(town.accept(release.hash, [lot]), ("PLACE_UNREGISTERED", None, release.hash, s.PPK))
    other = town.release([load], pol="escort")
    town.accepted(other)
    town.accepted(town.accept(other.hash, [load], pol="witness"))


def test_a_hold_learned_after_the_release_does_not_undo_the_handover(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.accepted(town.flag("hold.set", [lot]))
    accept = town.accept(release.hash, [lot])
    town.accepted(accept, ("HANDOVER_CONTRADICTED", lot, release.hash, s.PPK))
    assert town.unit(lot)["place"] == s.PPK
    assert town.flags(lot) >= {"hold", "quarantine"}


def test_goods_with_no_release_are_recorded_orphaned_and_set_apart(town):
    lot = town.lot()
    accept = town.accept(None, [lot], phone=town.pos1, place=s.TRUCK, named=[lot], pos2="second")
    town.accepted(accept, ("UNSOLICITED", lot, None, s.TRUCK))
    unit = town.unit(lot)
    assert (unit["agency"], unit["place"], unit["custody"]) == (s.KPU, s.WAREHOUSE, "held")
    assert town.flags(lot) == {"orphan", "quarantine"}
    assert [link["unit"] for link in town.leaf(town.size() - 1)["links"]] == [lot]


def test_an_unknown_thing_with_no_release_is_recorded(town):
    stranger = town.fresh_ids(1)
    accept = town.accept(None, stranger, phone=town.pos1, place=s.TRUCK, named=stranger, pos2="second")
    town.accepted(accept, ("UNKNOWN_LABEL", stranger[0], None, s.TRUCK))


def test_a_retired_label_with_no_release_raises_the_alarm(town):
    lot, label = town.lot(), town.blanks.pop()
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    accept = town.accept(None, [lot], phone=town.pos1, place=s.TRUCK, named=[lot], pos2="second")
    town.accepted(accept, ("RETIRED_LABEL", lot, None, s.TRUCK), ("UNSOLICITED", lot, None, s.TRUCK))


def test_a_destroyed_thing_with_no_release_raises_the_alarm(town):
    lot = town.lot(7, condition="damaged")
    town.accepted(
        town.act(
            town.kpu1, "unit.destroy",
            {"minutes": "BA-1", "method": "BURNT", "lines": [{"unit": lot, "quantity": 7, "reason": "TORN"}]}, [lot],
            kpu2="second", pol="witness", bws="witness", tni="witness", gov="witness",
        )
    )  # fmt: skip
    accept = town.accept(None, [lot], phone=town.pos1, place=s.TRUCK, named=[lot], pos2="second")
    town.accepted(accept, ("RESURRECTED_UNIT", lot, None, s.TRUCK), ("UNSOLICITED", lot, None, s.TRUCK))


def test_nobody_signs_an_unsolicited_receipt_as_giver(town):
    lot = town.lot()
    told = {"release": None, "scanned": {"n": 1, "hash": "A" * 43}, "exceptions": []}
    town.refused(town.act(town.pos1, "custody.accept", told, [lot], place=s.TRUCK), "policy_unmet")


def test_an_accept_of_one_handover_leaves_another_of_the_same_goods_alone(town):
    """A cancel that took effect, a new release, and then the late accept of the first: its line conflicts."""
    lot = town.lot()
    first = town.release([lot])
    town.accepted(first)
    late = town.accept(first.hash, [lot])
    town.accepted(cancel(town, first.hash, kpu2="second", ppk2="taker"))
    second = town.release([lot], (s.POS, s.TRUCK))
    town.accepted(second)
    town.accepted(late, ("LINE_CONFLICT", lot, first.hash, s.PPK))
    assert town.unit(lot)["handover"] == second.hash
    town.accepted(town.accept(second.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second"))


def test_a_late_accept_of_goods_that_were_packed_meanwhile_leaves_them_in_the_box(town):
    lot, box = town.lot(), town.box()
    release = town.release([lot])
    town.accepted(release)
    late = town.accept(release.hash, [lot])
    town.accepted(cancel(town, release.hash, kpu2="second", ppk2="taker"))
    town.accepted(town.pack(box, lot))
    town.accepted(late, ("LINE_CONFLICT", lot, release.hash, s.PPK))
    assert town.unit(lot)["parent"] == box


def test_a_load_taken_at_another_place_than_the_named_is_reported(town):
    load = town.load()
    town.accepted(town.pack(load, town.box(s.TPS3)))
    release = town.release([load], (s.KPU, s.PPK), pol="escort")
    town.accepted(release)
    accept = town.accept(release.hash, [load], place=s.PPS_B, pol="witness")
    town.accepted(accept, ("WRONG_DEST", load, release.hash, s.PPS_B))


def test_a_box_taken_in_the_wrong_village_is_reported(town):
    box, _ = town.sealed_box()
    release = town.release([box])
    town.accepted(release)
    accept = town.accept(release.hash, [box], place=s.PPS_B)
    town.accepted(accept, ("WRONG_DEST", box, None, s.PPS_B))
    assert town.unit(box)["place"] == s.PPS_B


# -- reject and cancel ---------------------------------------------------------------------------------


def reject(town, release, **with_):
    return town.act(
        town.ppk1, "custody.reject", {"release": release, "reason": "WET"}, place=s.PPK, capacity="taker", **with_
    )


def cancel(town, release, phone=None, **more):
    more = more or {"kpu2": "second"}
    place = s.PPK if {"ppk1", "ppk2"} & more.keys() else s.WAREHOUSE  # where all who sign have a mandate
    return town.act(phone or town.kpu1, "custody.cancel", {"release": release, "reason": "RAIN"}, place=place, **more)


def waits_for_the_due_time(town, cancelled):
    since = town.size()
    assert town.no(cancelled, "cancel_waits", "pending").links == ()
    assert town.rows(since=since) == []


def test_a_rejected_release_gives_the_goods_back(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.accepted(reject(town, release.hash), ("REJECTED", None, release.hash, s.PPK))
    unit = town.unit(lot)
    assert (unit["custody"], unit["agency"], unit["place"], unit["handover"]) == ("held", s.KPU, s.WAREHOUSE, None)
    assert town.handover(release.hash) == "rejected"
    town.refused(town.accept(release.hash, [lot]), "handover_rejected")
    town.accepted(town.release([lot]))


def test_the_giver_does_not_reject_for_the_taker(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    town.accepted(release)
    town.refused(reject(town, release.hash), "not_named_taker")


def test_a_rejection_before_its_release_waits(town):
    lot = town.lot()
    release = town.release([lot])
    early = reject(town, release.hash)
    town.waits(early)
    town.accepted(release, ("REJECTED", None, release.hash, s.PPK))
    assert town.outcome(early) == ("accepted", "")
    assert town.unit(lot)["custody"] == "held"


def test_a_cancel_that_the_taker_signed_is_at_once(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.accepted(cancel(town, release.hash, kpu2="second", ppk1="taker"))
    assert (town.unit(lot)["custody"], town.handover(release.hash)) == ("held", "cancelled")
    town.look(town.ppk1)
    town.refused(town.accept(release.hash, [lot]), "handover_cancelled")
    town.refused(reject(town, release.hash), "handover_cancelled")


def test_a_rejection_that_did_not_know_of_the_cancel_changes_nothing(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.look(town.ppk1)
    town.accepted(cancel(town, release.hash, kpu2="second", ppk2="taker"))
    town.refused(reject(town, release.hash), "handover_cancelled")


def test_an_accept_that_did_not_know_of_the_cancel_takes_effect(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    late = town.accept(release.hash, [lot])
    town.accepted(cancel(town, release.hash, kpu2="second", ppk2="taker"))
    town.accepted(late, ("HANDOVER_CONTRADICTED", lot, release.hash, s.PPK))
    assert (town.unit(lot)["place"], town.flags(lot)) == (s.PPK, {"quarantine"})


def test_another_taker_than_the_named_officer_does_not_end_a_release_at_once(town):
    lot = town.lot()
    release = town.release([lot], details={"to_officer": "PPK-1"})
    town.accepted(release)
    waits_for_the_due_time(town, cancel(town, release.hash, kpu2="second", ppk2="taker"))
    assert town.handover(release.hash) == "open"


def test_a_taker_of_another_agency_does_not_end_a_release_at_once(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    waits_for_the_due_time(town, cancel(town, release.hash, kpu2="second", pos1="taker"))
    assert town.handover(release.hash) == "open"


@pytest.mark.usefixtures("alone")
def test_a_cancel_alone_waits_and_an_accept_beats_it(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    waiting = cancel(town, release.hash)
    waits_for_the_due_time(town, waiting)
    assert town.one(f"SELECT cancel FROM handover WHERE release = '{release.hash}'") == waiting.hash
    town.accepted(town.accept(release.hash, [lot]))
    town.recorder.sweep(town.now_ms + 90 * 86_400_000)
    assert town.outcome(waiting) == ("refused", "already_accepted")
    assert town.unit(lot)["place"] == s.PPK


@pytest.mark.usefixtures("alone")
def test_a_cancel_takes_effect_when_the_release_falls_due(town):
    lot = town.lot()
    release = town.release([lot], due="2024-11-01T00:00:00+08:00")
    town.accepted(release)
    waiting = cancel(town, release.hash)
    waits_for_the_due_time(town, waiting)
    assert town.recorder.sweep(town.now_ms + 60_000) == 0
    assert town.recorder.sweep(town.now_ms + 30 * 86_400_000) >= 1
    assert town.outcome(waiting) == ("accepted", "")
    assert (town.unit(lot)["custody"], town.handover(release.hash)) == ("held", "cancelled")


@pytest.mark.usefixtures("alone")
def test_a_cancel_sent_after_the_due_time_is_at_once(town):
    lot = town.lot()
    release = town.release([lot], due="2024-10-25T00:00:00+08:00")
    town.accepted(release)
    town.tick(60 * 24 * 10)
    town.accepted(cancel(town, release.hash))
    assert town.handover(release.hash) == "cancelled"


@pytest.mark.usefixtures("alone")
def test_a_cancel_before_its_release_waits_for_it_and_then_for_the_due_time(town):
    lot = town.lot()
    release = town.release([lot], due="2024-11-01T00:00:00+08:00")
    early = cancel(town, release.hash)
    town.waits(early)
    town.accepted(release)
    assert town.outcome(early) == (None, "")
    town.recorder.sweep(town.now_ms + 30 * 86_400_000)
    assert town.outcome(early) == ("accepted", "")
    assert town.unit(lot)["custody"] == "held"


@pytest.mark.usefixtures("alone")
def test_a_cancel_waits_for_a_release_that_waits_itself_and_then_for_the_due_time(town):
    lot = town.lot()
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    release = town.release([lot], due="2024-11-01T00:00:00+08:00", after=[seen.hash])
    early = cancel(town, release.hash)
    town.waits(release)
    town.waits(early)
    town.accepted(seen)
    assert town.outcome(release) == ("accepted", "")
    assert town.outcome(early) == (None, ""), "it waits for the due time now"
    assert town.one(f"SELECT cancel FROM handover WHERE release = '{release.hash}'") == early.hash
    town.recorder.sweep(town.now_ms + 30 * 86_400_000)
    assert town.outcome(early) == ("accepted", "")


def test_a_cancel_of_a_refused_release_is_refused(town):
    lot = town.lot()
    release = town.release([lot], kpu2="second")
    town.refused(release, "policy_unmet")
    town.refused(cancel(town, release.hash), "release_not_effective")


def test_only_the_releaser_cancels(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.refused(cancel(town, release.hash, phone=town.pos1, pos2="second"), "not_holder")


def test_what_was_accepted_is_not_cancelled(town):
    lot = town.lot()
    release = town.hand_over([lot])
    town.refused(cancel(town, release), "already_accepted")


def test_what_was_cancelled_is_not_cancelled_again(town):
    lot = town.lot()
    release = town.release([lot])
    town.accepted(release)
    town.accepted(cancel(town, release.hash, kpu2="second", ppk1="taker"))
    town.refused(cancel(town, release.hash), "handover_cancelled")


def test_a_lot_that_was_voided_while_cancelled_is_not_taken(town):
    """The line of a late accept that the table forbids becomes a row; the good line takes effect."""
    gone, fine = town.lot(), town.lot()
    release = town.release([gone, fine])
    town.accepted(release)
    late = town.accept(release.hash, [gone, fine])
    town.accepted(cancel(town, release.hash, kpu2="second", ppk2="taker"))
    town.accepted(town.act(town.kpu1, "unit.void", {"decision": "SK-1", "reason": "STOLEN"}, [gone], kpu2="second"))
    town.accepted(
        late, ("LINE_CONFLICT", gone, release.hash, s.PPK), ("HANDOVER_CONTRADICTED", fine, release.hash, s.PPK)
    )
    assert (town.unit(gone)["lifecycle"], town.unit(fine)["place"]) == ("voided", s.PPK)


def test_a_reprinted_box_is_packed_and_unpacked_under_its_new_label(town):
    lot, label, load = town.lot(), town.blanks.pop(), town.load()
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    town.accepted(town.pack(load, label))
    assert town.unit(lot)["parent"] == load
    town.accepted(town.unpack(load, label))
    assert town.unit(lot)["parent"] is None


def test_a_reprinted_lot_moves_its_quantity_under_its_new_label(town):
    lot, label, target = town.lot(), town.blanks.pop(), town.lot(0, source="empty")
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    town.accepted(town.move(label, target, 30))
    assert [town.unit(u)["quantity"] for u in (lot, target)] == [70, 30]


def test_two_labels_of_one_lot_are_not_two_lots(town):
    lot, label = town.lot(), town.blanks.pop()
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    town.refused(town.move(label, lot, 30), "label_retired", ("RETIRED_LABEL", lot, None, s.WAREHOUSE))
