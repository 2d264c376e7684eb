"""Inspections: planned in secret, frozen, looked at, left out with a reason, ended with figures (rules/inspections.py)."""

import json
import secrets

import pytest

from app.audit.fsck import fsck
from app.canon import b64url_decode, b64url_encode
from app.cli.phone import ids_commitment
from app.custody.inspections import MAX_COUNTED, InspectionOpen, plan_commitment
from app.custody.rules import inspections as rules
from tests import small as s

SALT = b64url_encode(bytes(range(32)))
BAD = [{"what": "SEAL", "conform": False, "reason": "BROKEN"}]
GOOD = [{"what": "SEAL", "conform": True}]


def stated(units):
    return {"n": len(units), "hash": ids_commitment(units)}


def opening(units=("X",), **changes):
    return {"kind": "routine", "inventory": stated(list(units)), "confidence": 95, "rate": 10, **changes}


def opened(town, units, phone=None, *, place=s.WAREHOUSE, **changes):
    signed = town.act(
        phone or town.bws, "inspection.open", opening(units, **changes), place=place, capacity="witness"
    )  # fmt: skip
    town.accepted(signed)
    return signed.hash


def plan(town, phone=None, *, place=s.CITY, terms=None, planned_for=s.WAREHOUSE, units=(), after=(), salt=SALT):
    told = InspectionOpen.model_validate_json(json.dumps(terms or opening(kind="surprise")))
    details = {"commitment": plan_commitment(salt, planned_for, s.ELECTION, told)}
    return town.act(phone or town.bws, "inspection.plan", details, units, place=place, capacity="witness", after=after)


def look(town, inspection, units, phone=None, things=GOOD, place=s.WAREHOUSE):
    details = {"kind": "routine", "things": things, "of": inspection}
    return town.act(phone or town.bws, "inspection", details, units, place=place, capacity="witness")


def skip(town, inspection, units, phone=None, reason="OUT_OF_REACH"):
    details = {"inspection": inspection, "lines": [{"unit": unit, "reason": reason} for unit in units]}
    return town.act(phone or town.bws, "inspection.skip", details, capacity="witness")


def close(town, inspection, sample, phone=None, *, inspected=0, found=0, **told):
    details = {
        "inspection": inspection, "sample": stated(sample), "inspected": inspected, "found": found,
        "minutes": "BA-1/2024", **told,
    }  # fmt: skip
    return town.act(phone or town.bws, "inspection.close", details, capacity="witness")


def row(town, id_):
    names = (
        "kind", "status", "place", "agency", "officer", "commitment", "opened", "frozen_index", "n", "ids_hash",
        "inspected", "failed", "skipped", "sample_n", "sample_hash", "inspected_n", "found_n", "left_n", "minutes",
        "closed_index", "confidence", "rate", "items", "contents", "events",
    )  # fmt: skip
    [found] = town.query(f"SELECT {', '.join(names)} FROM inspection WHERE id = '{id_}'")
    value = dict(zip(names, found, strict=True))
    for name in ("inspected", "failed", "skipped", "items", "events"):
        value[name] = json.loads(value[name])
    return value


# -- the hidden plan --------------------------------------------------------------------------------------


def test_a_surprise_inspection_is_planned_in_secret_and_revealed_by_its_opening(town):
    terms = opening(kind="surprise", items=["BOX_TPS"])
    planned = plan(town, terms=terms)
    assert town.accepted(planned).links == ()
    before = row(town, planned.hash)
    assert (before["status"], before["kind"], before["place"], before["opened"]) == (
        "planned",
        "surprise",
        s.CITY,
        None,
    )
    told = town.act(
        town.bws, "inspection.open", {**terms, "inventory": stated(["A", "B"]), "plan": planned.hash, "salt": SALT},
        capacity="witness",
    )  # fmt: skip
    receipt = town.accepted(told)
    found = row(town, planned.hash)
    assert (found["status"], found["place"], found["opened"], found["frozen_index"], found["n"]) == (
        "open", s.WAREHOUSE, told.hash, receipt.index, 2,
    )  # fmt: skip
    assert found["commitment"] == before["commitment"]
    assert found["events"] == [planned.hash, told.hash]
    again = town.act(town.bws, "inspection.open", {**terms, "plan": planned.hash, "salt": SALT}, capacity="witness")
    town.refused(again, "inspection_state")


def test_no_byte_of_a_plans_leaf_tells_where_it_will_be(town):
    """With a negative control: the leaf of the opening does."""
    planned = plan(town)
    leaf = town.leaf(town.accepted(planned).index)
    assert s.WAREHOUSE not in _payload(leaf)
    assert s.CITY in _payload(leaf)
    told = town.act(
        town.bws, "inspection.open", opening(kind="surprise", plan=planned.hash, salt=SALT), capacity="witness"
    )  # fmt: skip
    assert s.WAREHOUSE in _payload(town.leaf(town.accepted(told).index))


def _payload(leaf):
    return b64url_decode(leaf["event"]["payload"]).decode()


def test_nobody_finds_the_place_of_a_plan_by_trying_without_its_salt(town):
    """Negative control: with the salt, trying finds it."""
    told = InspectionOpen.model_validate_json(json.dumps(opening(kind="surprise")))
    secret = b64url_encode(secrets.token_bytes(32))
    commitment = plan_commitment(secret, s.WAREHOUSE, s.ELECTION, told)
    places = [place["id"] for place in s.policy()["places"]]

    def tried(salt):
        return [place for place in places if plan_commitment(salt, place, s.ELECTION, told) == commitment]

    assert tried(SALT) == []
    assert tried(secret) == [s.WAREHOUSE]


@pytest.mark.parametrize("by", ["place", "units", "after"])
def test_a_plan_that_tells_anything_is_refused(town, by):
    lot = town.lot()
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    town.ok(seen)
    how = {"place": {"place": s.WAREHOUSE}, "units": {"units": [lot]}, "after": {"after": [seen.hash]}}[by]
    town.refused(plan(town, **how), "plan_tells")


def test_a_plan_with_contents_beside_it_is_refused(town):
    """Whoever sent its words along as private contents would have told them to the service."""
    told = {"commitment": "A" * 43}
    signed = town.bws.sign(
        "inspection.plan", told, at_ms=town.tick(), place=s.CITY, capacity="witness", private={"note": "A" * 43}
    )
    town.refused(signed, "plan_tells")


def test_what_is_opened_must_be_what_was_planned(town):
    terms = opening(kind="surprise")
    planned = plan(town, terms=terms)
    town.ok(planned)

    def reveal(phone=None, place=s.WAREHOUSE, **changes):
        told = {**terms, "plan": planned.hash, "salt": SALT, **changes}
        return town.act(phone or town.bws, "inspection.open", told, place=place, capacity="witness")

    town.refused(reveal(place=s.HALL), "plan_mismatch")
    town.refused(reveal(confidence=90), "plan_mismatch")
    town.refused(reveal(rate=11), "plan_mismatch")
    town.refused(reveal(items=["BOX_TPS"]), "plan_mismatch")
    town.refused(reveal(contents=True), "plan_mismatch")
    town.refused(reveal(salt=b64url_encode(bytes(32))), "plan_mismatch")
    town.refused(reveal(kind="routine"), "plan_mismatch")
    town.refused(reveal(salt=None), "policy_unmet")
    town.refused(reveal(plan=None), "policy_unmet")
    town.refused(reveal(town.pol), "not_your_agency")
    town.accepted(reveal(inventory=stated(["A", "B", "C"])))


def test_an_opening_that_comes_before_its_plan_waits_for_it(town):
    planned = plan(town)
    early = town.act(
        town.bws, "inspection.open", opening(kind="surprise", plan=planned.hash, salt=SALT), capacity="witness"
    )  # fmt: skip
    town.waits(early)
    town.ok(planned)
    assert town.outcome(early) == ("accepted", "")
    found = row(town, planned.hash)
    assert (found["status"], found["opened"]) == ("open", early.hash)
    assert found["frozen_index"] == town.receipt(early).outcome_index, "frozen where it took effect"


# -- who may ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "kind", "code"),
    [
        ("bws", "routine", None), ("bws", "full", None), ("pol", "routine", None), ("kpu1", "routine", None),
        ("kpu1", "full", None), ("pos1", "routine", None), ("gov", "routine", "role"), ("tni", "full", "role"),
        ("kpu1", "surprise", "role"), ("tps1", "routine", "jurisdiction"),
    ],
)  # fmt: skip
def test_who_opens_what(town, who, kind, code):
    signed = town.act(getattr(town, who), "inspection.open", opening(kind=kind), capacity="witness")
    if code is None:
        town.accepted(signed)
    else:
        town.refused(signed, code)


@pytest.mark.parametrize(("who", "code"), [("bws", None), ("pol", None), ("kpu1", "role"), ("gov", "role")])
def test_who_plans_in_secret(town, who, code):
    signed = plan(town, getattr(town, who))
    if code is None:
        town.accepted(signed)
    else:
        town.refused(signed, code)


@pytest.mark.usefixtures("mended")
@pytest.mark.parametrize(
    ("of", "kind", "code"), [("auditor", "surprise", None), ("vendor", "routine", None), ("vendor", "surprise", "role")]
)
def test_auditors_inspect_as_supervisors_do_and_vendors_as_holders(town, of, kind, code):
    document = s.policy()
    document["agencies"].append({"id": "NEW-1", "name": "Lembaga baru", "kind": of})
    document["roles"] = [*s.ROLES, {"role": "BARU", "agency_kinds": [of], "capacities": ["witness"]}]
    town.put_policy(document)
    phone = town.enrol("NEW-1-1", "NEW-1", "BARU", s.CITY)
    if kind == "routine":
        opened(town, ["X"], phone)
    elif code is None:
        town.accepted(plan(town, phone))
    else:
        town.refused(plan(town, phone), code)


def test_only_a_full_inspection_is_bounded_since_others_look_at_a_sample(town):
    for kind, n in (("routine", MAX_COUNTED + 1), ("full", MAX_COUNTED)):
        told = opening(kind=kind, inventory={"n": n, "hash": "A" * 43})
        town.accepted(town.act(town.bws, "inspection.open", told, capacity="witness"))


def test_an_inspection_keeps_when_it_was_opened_and_when_it_was_closed(town):
    lot = town.lot()
    inspection = opened(town, [lot])
    town.ok(look(town, inspection, [lot]))
    last = town.accepted(close(town, inspection, [lot], inspected=1))
    [times] = town.query(f"SELECT opened_ms, closed_ms FROM inspection WHERE id = '{inspection}'")
    came = [
        town.one(f"SELECT received_ms FROM event WHERE leaf_index = {index}")
        for index in (row(town, inspection)["frozen_index"], last.index)
    ]
    assert list(times) == came


def test_a_supervisor_inspects_and_never_handles(town):
    lot = town.lot()
    handled = town.act(town.bws, "inspection.open", opening([lot]), capacity="giver")
    town.refused(handled, "supervisor_handles")
    inspection = opened(town, [lot])
    before = town.unit(lot)
    town.ok(look(town, inspection, [lot]))
    after = town.unit(lot)
    assert {name: after[name] for name in ("agency", "officer", "place", "custody", "lifecycle")} == {
        name: before[name] for name in ("agency", "officer", "place", "custody", "lifecycle")
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"items": ["NOTHING"]}, "unknown_item"), ({"inventory": {"n": 0, "hash": "A" * 43}}, "quantity"),
        ({"kind": "full", "inventory": {"n": MAX_COUNTED + 1, "hash": "A" * 43}}, "quantity"),
        ({"plan": "A" * 43}, "plan_mismatch"), ({"kind": "surprise"}, "policy_unmet"),
    ],
)  # fmt: skip
def test_an_opening_that_makes_no_sense_is_refused(town, changes, code):
    town.refused(town.act(town.bws, "inspection.open", opening(**changes), capacity="witness"), code)


# -- what counts ------------------------------------------------------------------------------------------


def test_what_is_looked_at_counts_once_and_what_is_bad_stays_so(town):
    one, two, three = town.lot(), town.lot(), town.lot()
    inspection = opened(town, [one, two, three])
    receipt = town.accepted(look(town, inspection, [one, two]))
    assert [link.unit for link in receipt.links] == [one, two], "the units' own chains tell of it"
    bad = [("NOT_CONFORM_SEAL", three, None, s.WAREHOUSE)]
    town.accepted(look(town, inspection, [three], things=BAD), *bad)
    town.accepted(look(town, inspection, [three, one]))
    found = row(town, inspection)
    assert (found["inspected"], found["failed"]) == ([one, two, three], [three])


def test_what_was_found_bad_before_is_not_forgotten_for_what_is_bad_now(town):
    one, two = town.lot(), town.lot()
    inspection = opened(town, [one, two])
    town.ok(look(town, inspection, [one], things=BAD))
    town.ok(look(town, inspection, [two], things=BAD))
    assert row(town, inspection)["failed"] == [one, two]
    town.accepted(close(town, inspection, [one, two], inspected=2, found=2))


def test_another_label_of_a_unit_counts_as_the_unit(town):
    lot, label = town.lot(), town.blanks.pop()
    line = {"act": "reprint", "unit": label, "of": lot}
    town.ok(town.act(town.kpu1, "unit.commission", {"lines": [line]}, [label], kpu2="second"))
    inspection = opened(town, [lot])
    town.ok(look(town, inspection, [label]))
    assert row(town, inspection)["inspected"] == [lot]


def test_what_does_not_count_is_recorded_and_told(town):
    lot = town.lot()
    inspection = opened(town, [lot])
    row_of = [("INSPECTION_NOT_COUNTED", None, None, s.WAREHOUSE)]
    town.accepted(look(town, "A" * 43, [lot]), *row_of)
    town.accepted(look(town, inspection, [lot], town.kpu1), *row_of)
    planned = plan(town)
    town.ok(planned)
    town.accepted(look(town, planned.hash, [lot]), *row_of)
    town.ok(look(town, inspection, [lot]))
    town.ok(close(town, inspection, [lot], inspected=1))
    town.accepted(look(town, inspection, [lot], things=BAD), *row_of, ("NOT_CONFORM_SEAL", lot, None, s.WAREHOUSE))
    whys = [json.loads(facts)["why"] for (facts,) in town.query(
        "SELECT facts FROM discrepancy WHERE rule = 'INSPECTION_NOT_COUNTED' "
        f"AND leaf_index >= {town.begins} ORDER BY leaf_index"
    )]  # fmt: skip
    assert whys == ["unknown", "other_agency", "planned", "closed"]
    assert row(town, inspection)["failed"] == []


def test_what_the_holder_signs_together_with_the_inspector_counts(town):
    lot = town.lot()
    inspection = opened(town, [lot])
    details = {"kind": "routine", "things": GOOD, "of": inspection}
    town.accepted(town.act(town.kpu1, "inspection", details, [lot], capacity="witness", bws="witness"))
    assert row(town, inspection)["inspected"] == [lot]


@pytest.mark.usefixtures("alone")
def test_an_inspection_names_so_many_of_its_events_and_the_ledger_the_rest(monkeypatch, town):
    monkeypatch.setattr(rules, "MAX_EVENTS", 2)
    lot = town.lot()
    inspection = opened(town, [lot])
    first = look(town, inspection, [lot])
    town.ok(first)
    last = town.accepted(look(town, inspection, [lot]))
    assert row(town, inspection)["events"] == [inspection, first.hash]
    assert town.one(f"SELECT latest_index FROM inspection WHERE id = '{inspection}'") == last.index


@pytest.mark.usefixtures("alone")
def test_an_inspection_keeps_count_of_so_many_and_tells_of_the_rest(monkeypatch, town):
    """Asked for before the town, the limit still stands when its ledger is verified again."""
    monkeypatch.setattr(rules, "MAX_COUNTED", 2)
    one, two, three = town.lot(), town.lot(), town.lot()
    inspection = opened(town, [one, two])
    town.accepted(look(town, inspection, [one, two]))
    town.accepted(look(town, inspection, [three]), ("INSPECTION_NOT_COUNTED", None, None, s.WAREHOUSE))
    assert row(town, inspection)["inspected"] == [one, two]


def test_whoever_leaves_out_too_much_has_not_inspected(town):
    units = town.labels(town.kpu1, rules.MAX_SKIPPED + 1)
    for first in range(0, len(units), 128):
        town.ok(town.commission(*(town.bind(unit, "LOAD") for unit in units[first : first + 128])))
    named = opened(town, units)
    for first in range(0, rules.MAX_SKIPPED, 128):
        town.ok(skip(town, named, units[first : first + 128]))
    town.refused(skip(town, named, units[-1:]), "quantity")
    town.accepted(skip(town, named, units[:1], reason="STILL_OUT_OF_REACH"))


def test_an_inspection_of_no_inspection_is_what_it_always_was(town):
    lot = town.lot()
    town.accepted(town.inspected([lot]))


def test_a_skip_has_a_reason_and_gives_way_to_a_look(town):
    one, two = town.lot(), town.lot()
    inspection = opened(town, [one, two])
    assert town.accepted(skip(town, inspection, [one, two])).links == ()
    town.accepted(skip(town, inspection, [two], reason="IN_USE"))
    assert row(town, inspection)["skipped"] == [[one, "OUT_OF_REACH"], [two, "IN_USE"]]
    town.ok(look(town, inspection, [one]))
    assert row(town, inspection)["skipped"] == [[two, "IN_USE"]]
    town.refused(skip(town, inspection, [one]), "already_inspected")
    town.refused(skip(town, inspection, [two], town.kpu1), "not_your_agency")
    town.unrecorded(skip(town, inspection, []), "details_shape")
    stranger = town.fresh_ids(1)[0]
    town.refused(skip(town, inspection, [stranger]), "unknown_label", ("UNKNOWN_LABEL", stranger, None, s.WAREHOUSE))


@pytest.mark.parametrize("type_", ["inspection.open", "inspection.skip", "inspection.close"])
def test_commands_of_an_inspection_name_no_units_of_their_own(town, type_):
    """A unit's evidence holds what names it, and not the inspection: it could not be judged again."""
    lot = town.lot()
    inspection = opened(town, [lot])
    details = {
        "inspection.open": opening([lot]),
        "inspection.skip": {"inspection": inspection, "lines": [{"unit": lot, "reason": "IN_USE"}]},
        "inspection.close": {
            "inspection": inspection, "sample": stated([]), "inspected": 0, "found": 0, "minutes": "BA-1",
        },
    }[type_]  # fmt: skip
    town.refused(town.act(town.bws, type_, details, [lot], capacity="witness"), "units_mismatch")
    town.accepted(town.act(town.bws, type_, details, capacity="witness"))


def test_a_skip_of_what_began_no_inspection_is_refused_and_of_what_is_not_here_waits(town):
    lot = town.lot()
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    town.ok(seen)
    town.refused(skip(town, seen.hash, [lot]), "unknown_inspection")
    told = town.act(town.bws, "inspection.open", opening([lot]), capacity="witness")
    early = skip(town, told.hash, [lot])
    town.waits(early)
    town.ok(told)
    assert town.outcome(early) == ("accepted", "")
    assert row(town, told.hash)["skipped"] == [[lot, "OUT_OF_REACH"]]


# -- the end ----------------------------------------------------------------------------------------------


def test_an_inspection_ends_with_the_figures_that_its_events_give(town):
    one, two, three, aside = (town.lot() for _ in range(4))
    inspection = opened(town, [one, two, three, aside])
    town.ok(look(town, inspection, [one, aside]))
    town.ok(look(town, inspection, [two], things=BAD))
    town.ok(skip(town, inspection, [three]))
    sample = [one, two, three]
    town.refused(close(town, inspection, sample, inspected=3, aside=[aside]), "wrong_count")
    town.refused(close(town, inspection, sample, inspected=2, found=0, aside=[aside]), "wrong_count")
    town.refused(close(town, inspection, sample, inspected=2, found=1), "sample_mismatch")
    town.refused(close(town, inspection, [one, two], inspected=2, found=1, aside=[aside]), "sample_mismatch")
    town.refused(close(town, inspection, sample, town.kpu1, inspected=2, found=1, aside=[aside]), "not_your_agency")
    last = town.accepted(close(town, inspection, sample, inspected=2, found=1, aside=[aside]))
    found = row(town, inspection)
    assert (found["status"], found["sample_n"], found["sample_hash"], found["minutes"], found["closed_index"]) == (
        "closed", 3, ids_commitment(sample), "BA-1/2024", last.index,
    )  # fmt: skip
    assert (found["inspected_n"], found["found_n"], found["left_n"]) == (2, 1, 0)
    town.refused(close(town, inspection, sample, inspected=2, found=1, aside=[aside]), "inspection_state")
    town.refused(skip(town, inspection, [three]), "inspection_state")


def test_with_units_left_it_ends_only_as_incomplete_and_that_is_a_discrepancy(town):
    one, two = town.lot(), town.lot()
    inspection = opened(town, [one, two])
    town.ok(look(town, inspection, [one]))
    town.refused(close(town, inspection, [one, two], inspected=1), "sample_mismatch")
    town.refused(close(town, inspection, [one, two], inspected=1, left=[two]), "inspection_incomplete")
    told = close(town, inspection, [one, two], inspected=1, left=[two], incomplete=True)
    town.accepted(told, ("INSPECTION_INCOMPLETE", None, None, s.WAREHOUSE))
    assert row(town, inspection)["left_n"] == 1


def test_incomplete_alone_is_no_discrepancy(town):
    lot = town.lot()
    inspection = opened(town, [lot])
    town.ok(look(town, inspection, [lot]))
    town.accepted(close(town, inspection, [lot], inspected=1, incomplete=True))


def test_what_is_aside_was_looked_at_and_what_is_left_was_not(town):
    one, two = town.lot(), town.lot()
    inspection = opened(town, [one, two])
    town.ok(look(town, inspection, [one]))
    town.refused(close(town, inspection, [], aside=[two]), "units_mismatch")
    town.refused(close(town, inspection, [one], left=[one], incomplete=True), "units_mismatch")


def test_a_full_inspection_ends_over_its_whole_inventory(town):
    one, two = town.lot(), town.lot()
    inspection = opened(town, [one, two], kind="full")
    town.ok(look(town, inspection, [one]))
    town.refused(close(town, inspection, [one], inspected=1), "sample_mismatch")
    town.ok(look(town, inspection, [two]))
    town.accepted(close(town, inspection, [one, two], inspected=2))


def test_the_records_are_made_again_by_a_replay(town):
    """`fsck` compares every table with what the leaves give; a row that was changed is told."""
    lot = town.lot()
    inspection = opened(town, [lot])
    town.ok(look(town, inspection, [lot], things=BAD))
    town.ok(close(town, inspection, [lot], inspected=1, found=1))
    assert fsck(town.db).clean
    with town.db.write() as session:
        session.exec_driver_sql(f"UPDATE inspection SET found_n = 0 WHERE id = '{inspection}'")
    told = [(one.table, one.column) for one in fsck(town.db).findings.found]
    with town.db.write() as session:
        session.exec_driver_sql(f"UPDATE inspection SET found_n = 1 WHERE id = '{inspection}'")
    assert told == [("inspection", "found_n")]
    assert fsck(town.db).clean
