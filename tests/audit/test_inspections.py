"""Inspections as they are asked for: inventory and sample by the ledger, seeds by witnesses, statements, who sees what."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.audit import inspections as inspections_module
from app.audit import inventory as inventory_module
from app.audit.conclusion import States, statement, states_of
from app.audit.evidence import build_evidence
from app.audit.inspections import inspection_sample, list_inspections, one_inspection
from app.audit.inventory import Terms, frozen, standing
from app.audit.minutes import REMARKS, minutes_of
from app.audit.verify import verify_bundle
from app.canon import b64url_encode
from app.cli.phone import ids_commitment
from app.custody.inspections import InspectionOpen, plan_commitment
from app.custody.state import Inspection
from app.errors import ConflictError, MissingError
from app.ledger import witnessed
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from tests import small as s
from tests.audit import second_draw as second
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer, statements
from tests.custody.town import Town

WITNESS = SignerKey("bawaslu.example/w1", SignatureType.COSIGNATURE, b"\x07" * 32)
POLICY = TrustPolicy.parse(f"witness w1 {WITNESS.verifier().to_text()}\nquorum w1\n".encode())
SALT = b64url_encode(bytes(range(32)))
BAD = [{"what": "SEAL", "conform": False, "reason": "BROKEN"}]
GOOD = [{"what": "SEAL", "conform": True}]


@pytest.fixture(params=BACKENDS)
def town(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        own.blanks += own.labels(own.kpu1, 40)
        yield own
        own.check()


def stated(units: Any) -> dict[str, Any]:
    return {"n": len(units), "hash": ids_commitment(list(units))}


def act(town: Town, type_: str, details: dict[str, Any], units: Any = (), phone: Any = None, **how: Any) -> str:
    signed = town.act(phone or town.bws, type_, details, units, capacity="witness", **how)
    town.ok(signed)
    return signed.hash


def here(town: Town, place: str = s.WAREHOUSE, **terms: Any) -> list[str]:
    return ask(town, standing, auditor(), Terms(place, **terms))["units"]


def open_(town: Town, units: Any, place: str = s.WAREHOUSE, **changes: Any) -> str:
    told = {"kind": "routine", "inventory": stated(units), "confidence": 95, "rate": 100, **changes}
    return act(town, "inspection.open", told, place=place)


def told(town: Town, inspection: str, viewer: Any = None, *, witnesses: bool = True) -> dict[str, Any]:
    return ask(town, one_inspection, viewer or auditor(), inspection, witnesses=witnesses)


def sampled(town: Town, inspection: str, viewer: Any = None, *, witnesses: bool = True) -> dict[str, Any]:
    return ask(town, inspection_sample, viewer or auditor(), inspection, witnesses=witnesses)


def cosign(town: Town, size: int | None = None, at_s: int = 1_732_000_000) -> int:
    """Let the witness sign the newest checkpoint, or one of a size; return the size."""
    with town.db.write() as session:
        size = size or Checkpoint.parse(Note.parse(town.recorder.published[1]).text).size
        text = witnessed.checkpoint_text(session, town.recorder.ledger_id, size)
        lines = witnessed.proven(text, POLICY, [WITNESS.cosign(text, at_s)])
        witnessed.keep(session, town.recorder.ledger_id, POLICY, size, lines, town.tick())
    return size


def look(town: Town, inspection: str, units: Any, things: Any = GOOD, place: str = s.WAREHOUSE) -> str:
    return act(town, "inspection", {"kind": "routine", "things": things, "of": inspection}, units, place=place)


def boxes(town: Town, count: int) -> list[str]:
    return sorted(town.box() for _ in range(count))


# -- the inventory ----------------------------------------------------------------------------------------


def test_an_inventory_is_what_somebody_answers_for_here_and_below(town: Town):
    three, lot = boxes(town, 3), town.lot()
    sealed, inside = town.sealed_box()
    away = town.box()
    town.ok(town.release([away]))
    gone = town.box()
    town.hand_over([gone])
    everything = sorted([*three, lot, sealed])
    assert here(town) == everything, "what is released is on its way, what is inside needs opening"
    assert here(town, contents=True) == sorted([*everything, inside])
    assert here(town, items=("BOX_TPS",)) == sorted([*three, sealed])
    assert here(town, items=("BALLOT",)) == [lot]
    assert here(town, items=("BALLOT",), contents=True) == sorted([lot, inside])
    assert here(town, place=s.CITY) == sorted([*everything, gone]), "the district's office lies below the city"
    assert here(town, place=s.PPK) == [gone]
    with pytest.raises(MissingError):
        here(town, place="NOWHERE")


@pytest.mark.parametrize("terms", [{}, {"contents": True}, {"items": ("BOX_TPS",)}, {"place": s.CITY}])
def test_what_stands_now_is_what_a_replay_gives(town: Town, terms: dict[str, Any]):
    boxes(town, 3)
    town.sealed_box()
    town.hand_over([town.box()])
    town.ok(town.release([town.box()]))  # on its way: nobody's to inspect
    where = Terms(**{"place": s.WAREHOUSE, **terms})
    assert list(ask(town, frozen, where, town.size())) == ask(town, standing, auditor(), where)["units"]


def test_a_freeze_keeps_what_was_there_whatever_moves_later(town: Town):
    three = boxes(town, 3)
    inspection = open_(town, three)
    town.hand_over(three[:1])
    late = town.box()
    assert late in here(town)
    cosign(town)
    assert sampled(town, inspection)["inventory"]["units"] == three
    assert told(town, inspection)["freeze"]["agrees"] is True


def test_an_opener_who_states_another_inventory_is_shown_and_does_not_change_the_sample(town: Town):
    three = boxes(town, 3)
    inspection = open_(town, three[:2])
    cosign(town)
    freeze = told(town, inspection)["freeze"]
    assert (freeze["stated"], freeze["inventory"], freeze["agrees"]) == (stated(three[:2]), stated(three), False)
    assert sampled(town, inspection)["inventory"]["units"] == three


def test_an_inventory_is_rebuilt_once(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inventory_module, "_kept", {})
    inspection = open_(town, boxes(town, 2))
    cosign(town)
    with statements(town) as first:
        told(town, inspection)
    with statements(town) as again:
        told(town, inspection)
    leaves = [[sql for sql, _ in ran if "FROM ledger_leaf" in sql and "leaf_index >=" in sql] for ran in (first, again)]
    assert leaves[0]
    assert leaves[1] == []


def test_one_tree_has_an_inventory_for_each_set_of_terms(town: Town):
    three, lot = boxes(town, 3), town.lot()
    _, inside = town.sealed_box()
    for terms in ({}, {"contents": True}, {"items": ("BALLOT",)}, {"items": ("BALLOT",), "contents": True}):
        where = Terms(s.WAREHOUSE, **terms)
        assert list(ask(town, frozen, where, town.size())) == here(town, **terms), terms
    assert here(town, items=("BALLOT",), contents=True) == sorted([lot, inside])
    assert set(three) < set(here(town))


def test_what_was_destroyed_is_nobodys_to_inspect(town: Town):
    lot, burnt = town.lot(), town.lot(7, condition="damaged")
    assert here(town) == sorted([lot, burnt])
    told = {"minutes": "BA 1/2024", "method": "BURNED", "lines": [{"unit": burnt, "quantity": 7, "reason": "DAMAGED"}]}
    witnesses = {"pol": "witness", "bws": "witness", "tni": "witness", "gov": "witness"}
    town.ok(town.act(town.kpu1, "unit.destroy", told, [burnt], kpu2="second", **witnesses))
    assert here(town) == [lot]
    assert ask(town, frozen, Terms(s.WAREHOUSE), town.size()) == (lot,)


def test_few_inventories_are_kept(town: Town, monkeypatch: pytest.MonkeyPatch):
    kept: dict[Any, Any] = {}
    monkeypatch.setattr(inventory_module, "_kept", kept)
    monkeypatch.setattr(inventory_module, "MAX_KEPT", 2)
    for items in ((), ("BALLOT",), ("BOX_TPS",)):
        ask(town, frozen, Terms(s.WAREHOUSE, items), town.size())
    assert [terms.items for _, terms in kept] == [("BALLOT",), ("BOX_TPS",)], "the oldest makes room"


def test_an_inventory_says_of_which_tree_it_is(town: Town):
    boxes(town, 2)
    assert ask(town, standing, auditor(), Terms(s.WAREHOUSE))["size"] == town.size()


def test_only_who_sees_every_unit_can_state_an_inventory(town: Town):
    mine = boxes(town, 2)
    answer = ask(town, standing, officer(s.KPU, s.CITY), Terms(s.WAREHOUSE))
    assert (answer["inventory"], answer["units"]) == (stated(mine), mine)
    carried = town.box()
    release = town.release([carried], (s.POS, s.WAREHOUSE))
    town.ok(release)
    town.ok(town.accept(release.hash, [carried], phone=town.pos1, place=s.WAREHOUSE, pos2="second"))
    other = ask(town, standing, officer(s.POS, s.CITY), Terms(s.WAREHOUSE))
    assert (other["inventory"], other["units"]) == (None, [carried])


# -- seed and sample --------------------------------------------------------------------------------------


def test_no_sample_is_drawn_before_a_witness_signed_a_tree_that_holds_the_freeze(town: Town):
    cosign(town)  # a tree of before: its hash was known when the inventory was frozen
    inspection = open_(town, boxes(town, 30))
    answer = told(town, inspection)
    assert (answer["sample"]["state"], answer["statement"]) == ("not_drawn", None)
    assert answer["sample"]["awaits"]["size"] == answer["freeze"]["size"]
    assert "saksi" in answer["sample"]["awaits"]["text"]["id"]
    with pytest.raises(ConflictError) as refused:
        sampled(town, inspection)
    assert refused.value.code == "not_drawn"
    assert refused.value.facts["awaits"]["what"] == "witnessed_checkpoint"
    size = cosign(town)
    assert told(town, inspection)["sample"]["seed"]["size"] == size


def test_the_seed_is_the_first_witnessed_tree_and_stays_so(town: Town):
    inspection = open_(town, boxes(town, 30))
    skipped = town.size()
    town.box()
    first = cosign(town)
    seed = sampled(town, inspection)["seed"]
    assert (seed["size"], seed["witnessed"]) == (first, True)
    town.box()
    cosign(town)
    cosign(town, skipped)  # a smaller tree that holds the freeze, too, is cosigned too late
    cosign(town, first, at_s=1_732_009_999)  # and more cosignatures change no seed
    again = sampled(town, inspection)["seed"]
    assert (again["value"], again["size"]) == (seed["value"], first)


def test_a_sample_is_what_a_second_implementation_draws_from_what_is_told(town: Town):
    units = boxes(town, 30)
    inspection = open_(town, units)
    cosign(town)
    answer = sampled(town, inspection)
    seed = second.seed_of(answer["seed"]["checkpoint"])
    size = second.sample_size(30, answer["confidence"], answer["rate"])
    drawn = sorted(second.draw(answer["inventory"]["units"], size, seed))
    assert size < 30
    assert answer["sample"] == {**stated(drawn), "units": drawn}
    assert b64url_encode(seed) == answer["seed"]["value"]
    assert answer["complete"] is True
    shown = told(town, inspection)["sample"]
    assert [one["unit"] for one in shown["units"]] == drawn


def test_without_witnesses_the_ledgers_own_word_is_offered_and_called_that(town: Town):
    inspection = open_(town, boxes(town, 5))
    seed = told(town, inspection, witnesses=False)["sample"]["seed"]
    assert seed["witnessed"] is False
    assert "tidak ada benih publik" in seed["text"]["id"]
    assert "no public seed" in seed["text"]["en"]
    assert seed["size"] > told(town, inspection, witnesses=False)["freeze"]["index"]
    town.box()
    assert told(town, inspection, witnesses=False)["sample"]["seed"] == seed, "the first of all, for good"


def test_a_full_inspection_draws_everything(town: Town):
    units = boxes(town, 4)
    inspection = open_(town, units, kind="full")
    cosign(town)
    assert sampled(town, inspection)["sample"]["units"] == units


# -- from freeze to minutes -------------------------------------------------------------------------------


def test_an_inspection_from_its_freeze_to_its_minutes(town: Town):
    units = boxes(town, 30)
    inspection = open_(town, units)
    cosign(town)
    sample = sampled(town, inspection)["sample"]["units"]
    outside = next(unit for unit in units if unit not in sample)
    bad, out, good = sample[0], sample[1], sample[2:]
    look(town, inspection, [bad], BAD)
    look(town, inspection, [*good, outside])
    assert told(town, inspection)["progress"] == {
        "inspected": len(sample) - 1, "found": 1, "skipped": 0, "left": 1, "aside": 1,
    }  # fmt: skip
    act(town, "inspection.skip", {"inspection": inspection, "lines": [{"unit": out, "reason": "OUT_OF_REACH"}]})
    details = {
        "inspection": inspection, "sample": stated(sample), "inspected": len(sample) - 1, "found": 1,
        "minutes": "BA-7/2024", "aside": [outside],
    }  # fmt: skip
    town.ok(town.act(town.bws, "inspection.close", details, capacity="witness", kpu1="witness"))
    answer = told(town, inspection)
    assert {one["unit"]: one["state"] for one in answer["sample"]["units"]} == {
        bad: "found", out: "skipped", **dict.fromkeys(good, "conform"),
    }  # fmt: skip
    assert (answer["status"], answer["sample"]["agrees"], answer["close"]["incomplete"]) == ("closed", True, False)
    assert (answer["close"]["inspected"], answer["close"]["found"], answer["close"]["left"]) == (len(sample) - 1, 1, 0)
    assert answer["opened_at"] == answer["freeze"]["at"] < answer["close"]["at"] == answer["events"][-1]["received_at"]
    assert [one["n"] for one in answer["events"]] == [0, 1, len(good) + 1, 1, 0]
    assert answer["statement"]["before"]["sample"] == len(sample), "what it was made for, whatever came of it"
    after, worst = answer["statement"]["after"], answer["statement"]["at_worst"]
    assert after["most_bad"] == second.most_bad(30, len(sample) - 1, 1, 95)
    assert worst["most_bad"] == second.most_bad(30, len(sample), 2, 95)
    assert after["text"]["id"].startswith(f"Diperiksa {len(sample) - 1} dari 30 unit, ditemukan 1 bermasalah: dengan")
    assert "with 95 % confidence at most" in after["text"]["en"]
    minutes = minutes_of(answer)
    assert (minutes["number"], minutes["findings"], minutes["skipped"], minutes["left"]) == (
        "BA-7/2024", [bad], [{"unit": out, "reason": "OUT_OF_REACH"}], [],
    )  # fmt: skip
    assert minutes["remarks"] == [REMARKS["skipped"], REMARKS["aside"]]
    signed = {(one["agency"], one["capacity"]): [of["type"] for of in one["events"]] for one in minutes["signatures"]}
    assert signed[s.BWS, "witness"][0] == "inspection.open"
    assert signed[s.KPU, "witness"] == ["inspection.close"]
    assert len(minutes["sentences"]) == 3
    assert minutes["sentences"][2].startswith("Bila 1 unit yang dilewati atau tersisa dianggap bermasalah: diperiksa")


def test_evidence_of_an_inspected_unit_still_passes(town: Town):
    """A bundle holds the unit's chain, not the inspection: the observation is judged alike without it."""
    units = boxes(town, 2)
    inspection = open_(town, units)
    look(town, inspection, units, BAD)
    act(town, "inspection.skip", {"inspection": open_(town, units), "lines": [{"unit": units[0], "reason": "IN_USE"}]})
    data = ask(town, build_evidence, auditor(), units[0])
    report = verify_bundle(data, genesis=town.one("SELECT genesis FROM ledger_state"))
    assert report.result == "PASS", report.as_text()
    assert "inspection" in [event["type"] for event in report.story]


def test_a_closer_who_states_another_sample_is_shown(town: Town):
    """The rules cannot draw; whoever inspects what he likes instead of the sample is found out here."""
    units = boxes(town, 30)
    inspection = open_(town, units)
    cosign(town)
    sample = sampled(town, inspection)["sample"]["units"]
    liked = units[: len(sample)]
    assert liked != sample
    look(town, inspection, liked)
    details = {
        "inspection": inspection, "sample": stated(liked), "inspected": len(liked), "found": 0, "minutes": "BA-8",
    }  # fmt: skip
    act(town, "inspection.close", details)
    answer = told(town, inspection)
    assert answer["sample"]["agrees"] is False
    assert answer["progress"]["left"] == len(set(sample) - set(liked)) > 0
    assert answer["statement"]["after"]["inspected"] == len(set(sample) & set(liked)), "chosen units prove nothing"
    assert REMARKS["sample"] in minutes_of(answer)["remarks"]
    assert REMARKS["incomplete"] in minutes_of(answer)["remarks"]


def test_minutes_are_written_of_what_is_closed(town: Town):
    inspection = open_(town, boxes(town, 2))
    with pytest.raises(ConflictError):
        minutes_of(told(town, inspection, witnesses=False))


def test_minutes_say_what_rests_on_one_word_alone(town: Town):
    two = boxes(town, 2)
    inspection = open_(town, two[:1], kind="full")
    look(town, inspection, two[:1])
    details = {"inspection": inspection, "sample": stated(two[:1]), "inspected": 1, "found": 0, "minutes": "BA-9"}
    act(town, "inspection.close", details)
    remarks = minutes_of(told(town, inspection, witnesses=False))["remarks"]
    assert remarks == [REMARKS[about] for about in ("inventory", "sample", "unwitnessed", "incomplete")]
    assert minutes_of(told(town, inspection, witnesses=False))["left"] == two[1:]
    waiting = minutes_of(told(town, inspection, witnesses=True))
    assert REMARKS["not_drawn"] in waiting["remarks"]
    assert waiting["seed"] is None


def test_who_says_that_he_left_something_is_taken_at_his_word(town: Town):
    """All that was drawn was looked at; what he calls left was never drawn, and the minutes say incomplete."""
    units = boxes(town, 30)
    inspection = open_(town, units)
    cosign(town)
    sample = sampled(town, inspection)["sample"]["units"]
    outside = next(unit for unit in units if unit not in sample)
    look(town, inspection, sample)
    act(town, "inspection.close", {
        "inspection": inspection, "sample": stated([*sample, outside]), "inspected": len(sample), "found": 0,
        "left": [outside], "incomplete": True, "minutes": "BA-10",
    })  # fmt: skip
    answer = told(town, inspection)
    assert (answer["progress"]["left"], answer["close"]["left"], answer["close"]["incomplete"]) == (0, 1, True)
    assert minutes_of(answer)["remarks"] == [REMARKS["sample"], REMARKS["incomplete"]]


def test_minutes_name_every_officer_who_signed(town: Town):
    two = boxes(town, 2)
    colleague = town.enrol("BWS-2", s.BWS, "PENGAWAS", s.CITY)
    inspection = open_(town, two, kind="full")
    act(town, "inspection", {"kind": "full", "things": GOOD, "of": inspection}, two, phone=colleague)
    act(town, "inspection.close", {
        "inspection": inspection, "sample": stated(two), "inspected": 2, "found": 0, "minutes": "BA-11",
    })  # fmt: skip
    signed = minutes_of(told(town, inspection, witnesses=False))["signatures"]
    assert [(one["officer"], [of["type"] for of in one["events"]]) for one in signed] == [
        ("BWS-1", ["inspection.open", "inspection.close"]), ("BWS-2", ["inspection"]),
    ]  # fmt: skip


def test_a_share_is_written_in_per_cent_with_one_digit():
    units = tuple(str(n) for n in range(1000))
    told = statement(95, 10, 1000, States(units, units[:34], {}, (), ()))
    assert told is not None
    assert told["after"]["text"]["id"].endswith("paling banyak 34 unit (3,4 %) bermasalah.")
    assert told["after"]["text"]["en"].endswith("at most 34 units (3.4 %) are bad.")


def test_what_was_skipped_outside_the_sample_is_aside_and_weighs_nothing():
    row = Inspection(
        "h", 1, "routine", "open", "e", "p", "a", "o", inspected=("A", "X"), failed=("A", "X"),
        skipped=(("B", "R"), ("Z", "R")),
    )  # fmt: skip
    states = states_of(row, ["A", "B"])
    assert (states.inspected, states.failed, dict(states.skipped), states.left, states.aside) == (
        ("A",), ("A",), {"B": "R"}, (), ("X", "Z"),
    )  # fmt: skip


def test_what_is_said_of_nothing():
    nobody = States((), (), {}, (), ())
    assert statement(95, 10, 0, nobody) is None
    nothing_yet = statement(95, 10, 30, States((), (), {}, ("A", "B"), ()))
    assert nothing_yet is not None
    assert nothing_yet["after"]["most_bad"] == 30
    row = Inspection(
        "h", 1, "routine", "open", "e", "p", "a", "o", inspected=("B", "X"), failed=("X",), skipped=(("C", "R"),)
    )
    states = states_of(row, ["A", "B", "C"])
    assert (states.inspected, states.failed, dict(states.skipped), states.left, states.aside) == (
        ("B",), (), {"C": "R"}, ("A",), ("X",),
    )  # fmt: skip


# -- secrets and sight ------------------------------------------------------------------------------------


def plan(town: Town, phone: Any = None, place: str = s.WAREHOUSE) -> tuple[str, dict[str, Any]]:
    terms = {"kind": "surprise", "inventory": stated(["X"]), "confidence": 95, "rate": 100}
    model = InspectionOpen.model_validate_json(json.dumps(terms))
    commitment = plan_commitment(SALT, place, s.ELECTION, model)
    planned = act(town, "inspection.plan", {"commitment": commitment}, phone=phone, place=s.CITY)
    return planned, {**terms, "plan": planned, "salt": SALT}


def test_a_planned_place_is_told_to_nobody_before_the_opening(town: Town):
    planned, terms = plan(town)
    for viewer in (auditor(), auditor(s.CITY), officer(s.BWS, s.CITY)):
        one = told(town, planned, viewer)
        assert (one["status"], one["place"], one["terms"], one["freeze"]) == ("planned", None, None, None)
        assert one["place_name"] is None
        assert one["sample"]["awaits"]["what"] == "opening"
        assert s.WAREHOUSE not in json.dumps([one, ask(town, list_inspections, viewer)])
        with pytest.raises(ConflictError):
            sampled(town, planned, viewer)
        assert ask(town, list_inspections, viewer, place=s.CITY)["items"] == [], "no list by place tells of it either"
    assert [one[0] for one in town.query(f"SELECT place FROM inspection WHERE id = '{planned}'")] == [s.CITY]
    act(town, "inspection.open", terms)
    assert told(town, planned)["place"] == s.WAREHOUSE
    assert [one["inspection"] for one in ask(town, list_inspections, auditor(), place=s.CITY)["items"]] == [planned]


@pytest.mark.parametrize(
    ("viewer", "opened_seen", "planned_seen"),
    [
        (auditor(), True, True), (auditor(s.CITY), True, True), (auditor(s.WAREHOUSE), True, False),
        (auditor(s.PPK), False, False), (officer(s.BWS, s.CITY), True, True), (officer(s.BWS, s.PPK), False, False),
        (officer(s.KPU, s.CITY), True, False), (officer(s.POS, s.CITY), False, False),
        (officer(s.POL, s.CITY), False, False), (auditor("NOWHERE"), False, False),
    ],
)  # fmt: skip
def test_who_sees_which(town: Town, viewer: Any, opened_seen: bool, planned_seen: bool):
    """The holder of goods at the place sees what is inspected there, and no plan."""
    opened, (planned, _) = open_(town, boxes(town, 2)), plan(town)
    expected = [name for name, seen in ((opened, opened_seen), (planned, planned_seen)) if seen]
    assert [one["inspection"] for one in ask(town, list_inspections, viewer)["items"]] == expected
    for name in (opened, planned):
        if name in expected:
            assert told(town, name, viewer)["inspection"] == name
        else:
            with pytest.raises(MissingError):
                told(town, name, viewer)
    with pytest.raises(MissingError):
        told(town, "A" * 43, viewer)


def test_a_plan_at_the_seat_of_its_author_is_no_inspection_of_what_is_held_there(town: Town):
    """Negative control: once opened there, the holder sees it."""
    boxes(town, 2)
    guard = town.enrol("POL-9", s.POL, "POLRI", s.WAREHOUSE)
    terms = {"kind": "surprise", "inventory": stated(["X"]), "confidence": 95, "rate": 100}
    model = InspectionOpen.model_validate_json(json.dumps(terms))
    planned = act(
        town, "inspection.plan", {"commitment": plan_commitment(SALT, s.WAREHOUSE, s.ELECTION, model)}, phone=guard
    )
    assert ask(town, list_inspections, officer(s.KPU, s.CITY))["items"] == []
    act(town, "inspection.open", {**terms, "plan": planned, "salt": SALT}, phone=guard)
    assert [one["inspection"] for one in ask(town, list_inspections, officer(s.KPU, s.CITY))["items"]] == [planned]


def test_who_gave_his_goods_away_with_their_container_holds_nothing_there(town: Town):
    """With a control: what is packed in another's load keeps its old place in the books, and counts for nobody there."""
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    inspection = open_(town, [load])
    mine = officer(s.KPU, s.WAREHOUSE)
    assert [one["inspection"] for one in ask(town, list_inspections, mine)["items"]] == [inspection]
    release = town.release([load], (s.POS, s.TRUCK))
    town.ok(release)
    town.ok(town.accept(release.hash, [load], phone=town.pos1, place=s.TRUCK, pos2="second"))
    assert ask(town, list_inspections, mine)["items"] == []


def test_units_are_named_to_who_inspects_and_to_who_sees_them_anyway(town: Town):
    mine, carried = boxes(town, 3), town.box()
    release = town.release([carried], (s.POS, s.WAREHOUSE))
    town.ok(release)
    town.ok(town.accept(release.hash, [carried], phone=town.pos1, place=s.WAREHOUSE, pos2="second"))
    everything = sorted([*mine, carried])
    inspection = open_(town, everything, kind="full")
    cosign(town)
    for viewer, seen, whole in (
        (auditor(), everything, True), (officer(s.BWS, s.CITY), everything, True),
        (officer(s.KPU, s.CITY), everything, True), (officer(s.POS, s.CITY), [carried], False),
    ):  # fmt: skip
        answer = sampled(town, inspection, viewer)
        assert (answer["inventory"]["units"], answer["sample"]["units"], answer["complete"]) == (seen, seen, whole)
        assert [one["unit"] for one in told(town, inspection, viewer)["sample"]["units"]] == seen
        assert answer["inventory"]["hash"] == ids_commitment(everything)


def test_a_page_is_bounded_whatever_is_asked_for(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inspections_module, "MAX_INSPECTIONS", 1)
    first, _ = open_(town, ["X"]), open_(town, ["X"])
    answer = ask(town, list_inspections, auditor(), limit=50)
    assert [one["inspection"] for one in answer["items"]] == [first]
    assert answer["next"] == answer["items"][0]["index"]


def test_filters_and_pages(town: Town):
    units = boxes(town, 2)
    names = [
        open_(town, units), open_(town, units, kind="full"), plan(town)[0], open_(town, ["X"], place=s.PPK),
    ]  # fmt: skip
    details = {"inspection": names[1], "sample": stated(units), "inspected": 2, "found": 0, "minutes": "BA-1"}
    look(town, names[1], units)
    act(town, "inspection.close", details)

    def listed(**how: Any) -> list[int]:
        return [names.index(one["inspection"]) for one in ask(town, list_inspections, auditor(), **how)["items"]]

    assert listed() == [0, 1, 2, 3]
    assert (listed(status="open"), listed(status="closed"), listed(status="planned")) == ([0, 3], [1], [2])
    assert (listed(kind="full"), listed(kind="surprise"), listed(place="64.74.01")) == ([1], [2], [3])
    first = ask(town, list_inspections, auditor(), limit=3)
    rest = ask(town, list_inspections, auditor(), limit=3, after=first["next"])
    assert [one["inspection"] for one in (*first["items"], *rest["items"])] == names
    assert rest["next"] is None
