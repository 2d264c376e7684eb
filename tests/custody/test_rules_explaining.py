"""Explanations and objections: two agencies close what does not agree, and nothing is taken away (rules/explaining.py)."""

import json

import pytest

from app.clock import parse_rfc3339
from app.custody.rules import explaining as rules
from tests import small as s


def discrepancy(town, id_):
    names = ("status", "explained", "objections", "ended_index")
    row = town.query(f"SELECT {', '.join(names)} FROM discrepancy WHERE id = '{id_}'")[0]
    told = dict(zip(names, row, strict=True))
    return {**told, "explained": json.loads(told["explained"]), "objections": json.loads(told["objections"])}


def short(town):
    """A handover of two lots of which one was missing: returns the discrepancy's id and the missing lot."""
    first, second = town.lot(), town.lot()
    release = town.release([first, second])
    town.ok(release)
    since = town.size()
    town.ok(town.accept(release.hash, [first, second], exceptions=[(second, "missing")]))
    return town.one(f"SELECT id FROM discrepancy WHERE rule = 'SHORT' AND leaf_index >= {since}"), second


def about(id_, reason="FOUND_IN_STORE"):
    return {"about": {"what": "discrepancy", "discrepancy": id_}, "reason": reason}


def explain(town, id_, phone, *, capacity="approver", **more):
    return town.act(phone, "discrepancy.explain", about(id_), capacity=capacity, **more)


def gap(difference=-40, **changes):
    told = {"what": "gap", "contest": "PILGUB", "identity": 2, "difference": difference, "size": 10}
    return {"about": {**told, **changes}, "reason": "COUNTED_TWICE"}


def test_the_holders_side_and_another_agency_close_a_discrepancy(town):
    id_, _ = short(town)
    first = explain(town, id_, town.kpu1)
    index = town.accepted(first).index
    assert discrepancy(town, id_) == {
        "status": "open", "explained": [[s.KPU, first.hash, "FOUND_IN_STORE", index]], "objections": [], "ended_index": None,
    }  # fmt: skip
    second = explain(town, id_, town.bws)
    receipt = town.accepted(second)
    told = discrepancy(town, id_)
    assert [agency for agency, *_ in told["explained"]] == [s.KPU, s.BWS]
    assert (told["status"], told["ended_index"]) == ("explained", receipt.index)
    town.refused(explain(town, id_, town.pol), "not_open")


def test_one_agency_explains_once_and_never_closes_alone(town):
    id_, _ = short(town)
    town.ok(explain(town, id_, town.kpu1))
    town.refused(explain(town, id_, town.kpu2), "already_explained")
    assert discrepancy(town, id_)["status"] == "open"


def test_two_agencies_that_never_had_the_goods_do_not_close_it(town):
    id_, _ = short(town)
    town.ok(explain(town, id_, town.bws))
    town.ok(explain(town, id_, town.pol))
    assert discrepancy(town, id_)["status"] == "open"
    town.ok(explain(town, id_, town.kpu1))
    assert discrepancy(town, id_)["status"] == "explained"


def found_since(town, since, rule):
    return town.one(f"SELECT id FROM discrepancy WHERE rule = '{rule}' AND leaf_index >= {since}")


def closed_by(town, id_, phone):
    """Let the police explain, who had nothing to do with it, then somebody else; return what that made of it."""
    town.ok(explain(town, id_, town.pol))
    town.ok(explain(town, id_, phone, capacity="witness", place=phone.place))
    return discrepancy(town, id_)["status"]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("rule", ["OVERDUE", "LATE"])
@pytest.mark.parametrize(("who", "status"), [("kpu1", "explained"), ("pos1", "explained"), ("prov1", "open")])
def test_the_giver_and_the_taker_of_a_handover_are_its_sides(town, rule, who, status):
    """Of no unit in particular, and noted of one side's event: the handover alone says whose it is as well."""
    lot, since = town.lot(), town.size()
    release = town.release([lot], (s.POS, s.PPS_A), due="2024-11-20T08:00:00+08:00")
    town.ok(release)
    town.now_ms = parse_rfc3339("2024-11-27T08:00:00+08:00")
    if rule == "OVERDUE":
        town.recorder.sweep(town.now_ms)
    else:
        town.ok(town.accept(release.hash, [lot], phone=town.pos1, place=s.PPS_A, pos2="second"))
    [(id_, unit, agency)] = town.query(
        f"SELECT id, unit, agency FROM discrepancy WHERE rule = '{rule}' AND leaf_index >= {since}"
    )
    assert (unit, agency) == (None, s.KPU if rule == "OVERDUE" else s.POS)
    assert closed_by(town, id_, getattr(town, who)) == status


def test_who_holds_what_it_is_about_is_its_side_whoever_noted_it(town):
    """The box lies in the carrier's load: he answers for it."""
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    release = town.release([load], (s.POS, s.TRUCK))
    town.ok(release)
    town.ok(town.accept(release.hash, [load], phone=town.pos1, place=s.TRUCK, pos2="second"))
    since = town.size()
    seen = {"kind": "routine", "things": [{"what": "SEAL", "conform": False, "reason": "BROKEN"}]}
    town.ok(town.act(town.gov, "inspection", seen, [box], place=s.TRUCK, capacity="witness"))
    assert closed_by(town, found_since(town, since, "NOT_CONFORM_SEAL"), town.pos1) == "explained"


def test_whose_event_it_was_noted_of_is_its_side(town):
    stranger, since = town.fresh_ids(1)[0], town.size()
    town.ok(town.act(town.gov, "sighting", {}, [stranger], capacity="witness"))
    assert closed_by(town, found_since(town, since, "UNKNOWN_LABEL"), town.bws) == "open"
    since = town.size()
    town.ok(town.act(town.bws, "sighting", {}, [stranger], capacity="witness"))
    assert closed_by(town, found_since(town, since, "UNKNOWN_LABEL"), town.bws) == "explained"


def test_what_was_never_noted_is_not_explained(town):
    town.refused(explain(town, "0-1", town.kpu1), "unknown_discrepancy")


def test_what_a_later_event_resolved_needs_no_explanation(town):
    """A device's missing number that came after all ended its gap; nobody explains what has ended."""
    held = town.act(town.bws, "sighting", {}, capacity="witness")
    since = town.size()
    town.ok(town.act(town.bws, "sighting", {}, capacity="witness"))
    id_ = town.one(f"SELECT id FROM discrepancy WHERE rule = 'SEQUENCE_GAP' AND leaf_index >= {since}")
    town.ok(held)
    town.refused(explain(town, id_, town.kpu1), "not_open")


def test_an_objection_stands_beside_and_changes_nothing_else(town):
    id_, lot = short(town)
    one = town.act(town.ppk1, "objection", about(id_, "NOT_OURS"), [lot], place=s.PPK, capacity="witness")
    other = town.act(town.pos1, "objection", about(id_, "SEALED_BY_OTHERS"), capacity="witness")
    town.accepted(one)
    town.accepted(other)
    told = discrepancy(town, id_)
    assert told["objections"] == [one.hash, other.hash]
    assert (told["status"], told["explained"]) == ("open", [])


@pytest.mark.usefixtures("alone")
def test_so_many_objections_are_named_and_the_ledger_has_the_rest(monkeypatch, town):
    monkeypatch.setattr(rules, "MAX_OBJECTIONS", 2)
    id_, _ = short(town)
    told = [town.act(town.pos1, "objection", about(id_, "NOT_OURS"), capacity="witness") for _ in range(3)]
    for one in told:
        town.accepted(one)
    assert discrepancy(town, id_)["objections"] == [one.hash for one in told[:2]]


def test_the_units_of_an_objection_are_told_of_it(town):
    id_, lot = short(town)
    stranger = town.fresh_ids(1)[0]
    signed = town.act(town.pos1, "objection", about(id_, "NOT_OURS"), [lot, stranger], capacity="witness")
    receipt = town.accepted(signed, ("UNKNOWN_LABEL", stranger, None, s.WAREHOUSE))
    assert [link.unit for link in receipt.links] == [lot]


@pytest.mark.parametrize(
    "about_what", [{"what": "discrepancy", "discrepancy": "7-7000"}, {"what": "event", "event": "A" * 43}]
)
def test_an_objection_to_what_we_do_not_know_is_recorded(town, about_what):
    town.accepted(town.act(town.pos1, "objection", {"about": about_what, "reason": "NOT_TRUE"}, capacity="witness"))


# -- differences of the balance -------------------------------------------------------------------------


def gaps(town):
    return {
        id_: ([agency for agency, *_ in json.loads(told)], closed)
        for id_, told, closed in town.query("SELECT id, explained, closed_index FROM gap")
    }


def test_a_difference_is_closed_by_who_handles_goods_and_another(town):
    town.accepted(town.act(town.bws, "discrepancy.explain", gap(), capacity="approver"))
    key = f"{s.ELECTION}/PILGUB/2//-40"
    assert gaps(town)[key] == ([s.BWS], None)
    town.accepted(town.act(town.pol, "discrepancy.explain", gap(), capacity="approver"))
    assert gaps(town)[key] == ([s.BWS, s.POL], None)
    receipt = town.accepted(town.act(town.kpu1, "discrepancy.explain", gap(), capacity="approver"))
    assert gaps(town)[key] == ([s.BWS, s.POL, s.KPU], receipt.index)
    town.refused(town.act(town.prov1, "discrepancy.explain", gap(), place=s.HUB, capacity="approver"), "not_open")


def test_another_difference_of_the_same_identity_is_another_matter(town):
    town.ok(town.act(town.kpu1, "discrepancy.explain", gap(-41), capacity="approver"))
    town.ok(town.act(town.bws, "discrepancy.explain", gap(-42), capacity="approver"))
    town.ok(town.act(town.bws, "discrepancy.explain", gap(-41, place=s.TPS1), capacity="approver"))
    found = gaps(town)
    assert found[f"{s.ELECTION}/PILGUB/2//-41"] == ([s.KPU], None)
    assert found[f"{s.ELECTION}/PILGUB/2//-42"] == ([s.BWS], None)
    assert found[f"{s.ELECTION}/PILGUB/2/{s.TPS1}/-41"] == ([s.BWS], None)


def test_a_carrier_handles_goods_as_well(town):
    town.ok(town.act(town.bws, "discrepancy.explain", gap(-51), capacity="approver"))
    receipt = town.accepted(town.act(town.pos1, "discrepancy.explain", gap(-51), capacity="witness"))
    assert gaps(town)[f"{s.ELECTION}/PILGUB/2//-51"] == ([s.BWS, s.POS], receipt.index)


def test_a_difference_is_of_a_tree_that_was_there_when_it_was_explained(town):
    size = town.size()
    early = town.act(town.kpu1, "discrepancy.explain", gap(-61, size=size + 1), capacity="approver")
    town.refused(early, "no_gap")
    size = town.size()
    town.accepted(town.act(town.kpu1, "discrepancy.explain", gap(-61, size=size), capacity="approver"))


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (gap(contest="PILPRES"), "unknown_contest"), (gap(place="NOWHERE"), "unknown_place"), (gap(0), "no_gap"),
        (gap(size=2**40), "no_gap"),
    ],
)  # fmt: skip
def test_a_difference_that_cannot_be_is_refused(town, told, code):
    town.refused(town.act(town.kpu1, "discrepancy.explain", told, capacity="approver"), code)


@pytest.mark.parametrize(
    "told",
    [
        {"about": {"what": "discrepancy", "discrepancy": "07-1"}, "reason": "X"},
        {"about": {"what": "discrepancy", "discrepancy": "7"}, "reason": "X"},
        {"about": {"what": "gap", "contest": "PILGUB", "identity": 2, "difference": 1}, "reason": "X"},
        {"about": {"what": "event", "event": "A" * 43}, "reason": "X"},
        {"about": {"what": "discrepancy", "discrepancy": "7-1"}, "reason": "because"},
        {"reason": "X"},
    ],
)
def test_an_explanation_of_the_wrong_shape_is_malformed(town, told):
    answer = town.send(town.act(town.kpu1, "discrepancy.explain", told, capacity="approver"))
    assert answer.code == "details_shape"
