"""What holds for every type: ids, keys, sequence, clock, tree seen, mandate, place (rules/judge.py, rules/case.py)."""

import dataclasses
import json

import pytest

from app.canon import b64url_encode, jcs, sha256
from app.cli.phone import EMPTY_ROOT, Signed
from app.custody.receipts import Receipt
from app.keys.signing import sign_jws
from app.keys.verify import parse_jws
from tests import small as s


def see(town, phone=None, units=(), place=s.WAREHOUSE, **more):
    return town.act(phone or town.bws, "sighting", {}, units, place=place, capacity="witness", **more)


def changed(signed, key, **members):
    """Return another event with some members of this one's payload changed, signed by one key."""
    payload = json.loads(parse_jws(signed.jws).payload)
    data = jcs({**payload, **members})
    return Signed(b64url_encode(sha256(data)), sign_jws(data, [key]))


# -- replays and twins ---------------------------------------------------------------------------------


def test_the_same_event_again_gets_the_same_receipt_and_no_new_leaf(town):
    lots = [town.lot(), town.lot(), town.lot()]
    release = town.release(lots)
    first = town.ok(release)
    size = town.size()
    again = town.send(release)
    assert again.replayed
    assert again.as_json() == first.as_json()
    assert town.size() == size


def test_a_refusal_again_gets_the_same_refusal(town):
    release = town.release([town.lot()], kpu2="second")
    first = town.no(release, "policy_unmet")
    assert town.send(release).as_json() == first.as_json()


def test_the_same_event_twice_in_a_batch_is_recorded_once(town):
    signed = see(town)
    first, second = town.send_all([signed, signed])
    assert first.index == second.index
    assert second.replayed


def test_another_payload_under_a_used_id_is_recorded_as_refused(town):
    first = see(town)
    town.ok(first)
    other = changed(first, town.bws.key, place=s.HALL)
    town.no(other, "event_id_reuse")
    rows = [row[0] for row in town.rows()]
    assert rows == ["EVENT_ID_REUSE", "SEQUENCE_FORK"]
    again = town.send(other)
    assert again.replayed
    assert (again.result, again.code) == ("refused", "event_id_reuse")
    assert town.send(first).result == "accepted"


def test_a_twin_in_the_same_batch_is_one_too(town):
    first = see(town)
    answers = town.send_all([first, changed(first, town.bws.key, place=s.HALL)])
    assert [a.code for a in answers] == ["", "event_id_reuse"]


def test_another_author_may_use_the_same_id(town):
    first = see(town)
    town.ok(first)
    other = see(town, phone=town.pol)
    event_id = json.loads(parse_jws(first.jws).payload)["event_id"]
    same_id = changed(other, town.pol.key, event_id=event_id)
    town.accepted(same_id)


# -- signatures and keys -------------------------------------------------------------------------------


def test_a_missing_signature_is_not_the_event(town):
    release = town.release([town.lot()])
    short = {**release.jws, "signatures": release.jws["signatures"][:1]}
    answer = town.unrecorded(Signed(release.hash, short), "signature_set")
    assert len(answer.facts["missing"]) == 2


def test_a_signature_too_many_is_not_the_event(town):
    signed = see(town)
    payload = parse_jws(signed.jws).payload
    answer = town.unrecorded(Signed(signed.hash, sign_jws(payload, [town.bws.key, town.pol.key])), "signature_set")
    assert answer.facts["unexpected"] == [town.pol.kid]


def test_a_stranger_is_not_recorded(town):
    stranger = dataclasses.replace(town.bws, key=type(town.bws.key).generate("Ed25519"))
    town.unrecorded(see(town, phone=stranger), "unknown_key")


def test_a_forged_signature_is_not_recorded(town):
    signed = see(town)
    other = see(town)
    forged = {**signed.jws, "signatures": other.jws["signatures"]}
    town.unrecorded(Signed(signed.hash, forged), "signature")


def test_an_event_of_another_ledger_is_not_recorded(town):
    town.unrecorded(changed(see(town), town.bws.key, ledger="other.example/ledger/x"), "wrong_ledger")


def test_a_key_counts_in_the_batch_that_enrols_it(town):
    phone = town._phone("NEW-1", s.POL, s.CITY)
    phone.seen = town.founders[0].seen
    enrolment = town.enrolment(phone, "POLRI")
    answers = town.send_all([enrolment, see(town, phone=phone)])
    assert [a.result for a in answers] == ["accepted", "accepted"]


def test_a_key_whose_enrolment_is_refused_counts_for_nothing(town):
    phone = town._phone("NEW-2", s.POL, s.CITY)
    enrolment = town.enrolment(phone, "KING")
    first, second = town.send_all([enrolment, see(town, phone=phone)])
    assert (first.code, second.code) == ("role", "unknown_key")
    assert not isinstance(second, Receipt)


# -- device sequence -----------------------------------------------------------------------------------


def gap_rows(town):
    return town.query(
        f"SELECT rule, status FROM discrepancy WHERE leaf_index >= {town.begins} AND rule IN ('SEQUENCE_GAP', 'SEQUENCE_FORK') ORDER BY leaf_index"
    )


def test_a_gap_is_noted_and_resolved_when_the_late_event_comes(town):
    first, second = see(town), see(town)
    town.ok(second)
    assert gap_rows(town) == [("SEQUENCE_GAP", "open")]
    town.ok(first)
    assert gap_rows(town) == [("SEQUENCE_GAP", "resolved")]
    assert '"first":' in town.one(f"SELECT facts FROM discrepancy WHERE leaf_index >= {town.begins}")


def test_a_gap_of_three_is_resolved_by_the_last_of_them_in_any_order(town):
    events = [see(town) for _ in range(4)]
    town.ok(events[3])
    for event in (events[1], events[0]):
        town.ok(event)
        assert gap_rows(town) == [("SEQUENCE_GAP", "open")]
    town.ok(events[2])
    assert gap_rows(town) == [("SEQUENCE_GAP", "resolved")]


def test_two_gaps_are_two(town):
    events = [see(town) for _ in range(4)]
    town.ok(events[1])
    town.ok(events[3])
    assert gap_rows(town) == [("SEQUENCE_GAP", "open")] * 2
    town.ok(events[2])
    assert gap_rows(town) == [("SEQUENCE_GAP", "open"), ("SEQUENCE_GAP", "resolved")]


def test_a_refused_event_advances_the_sequence_too(town):
    town.no(town.release([town.fresh_ids(1)[0]]), "unknown_label")
    town.ok(town.act(town.kpu1, "sighting", {}, capacity="witness"))
    assert gap_rows(town) == []


def test_a_number_that_was_used_before_is_a_fork(town):
    first = see(town)
    town.ok(first)
    town.bws.seq -= 1
    town.accepted(see(town), ("SEQUENCE_FORK", None, None, s.WAREHOUSE))


def test_a_next_number_over_another_predecessor_is_a_fork(town):
    town.ok(see(town))
    town.bws.prev = b64url_encode(bytes(range(32)))
    town.accepted(see(town), ("SEQUENCE_FORK", None, None, s.WAREHOUSE))


def test_a_device_that_starts_over_another_predecessor_is_a_fork(town):
    phone = town.enrol("NEW-3", s.POL, "POLRI", s.CITY)
    phone.prev = b64url_encode(bytes(range(32)))
    town.accepted(see(town, phone=phone), ("SEQUENCE_FORK", None, None, s.WAREHOUSE))


def test_the_other_branch_of_a_fork_does_not_fill_a_gap_twice(town):
    kept = dataclasses.replace(town.bws)
    first, second = see(town), see(town)
    town.ok(second)
    town.ok(first)
    other = see(town, phone=kept)
    town.accepted(other, ("SEQUENCE_FORK", None, None, s.WAREHOUSE))


# -- clock ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "suspect"), [(3, True), (0.2, True), (0.05, False), (0, False), (-0.05, False), (-3, True)]
)
def test_a_clock_ahead_or_behind_a_seen_tree_is_flagged(town, hours, suspect):
    town.ok(see(town, phone=town.pol))
    town.look(town.bws)
    town.bws.clock_offset_ms = int(hours * 3_600_000)
    rows = [("CLOCK_SUSPECT", None, None, s.WAREHOUSE)] if suspect else []
    signed = see(town)
    town.bws.clock_offset_ms = 0
    town.accepted(signed, *rows)


@pytest.mark.usefixtures("alone")
def test_a_phone_that_was_offline_for_a_day_raises_nothing(town):
    lots = [town.lot(), town.lot()]
    town.look(town.kpu1)
    events = [town.act(town.kpu1, "sighting", {}, [lot], capacity="witness") for lot in lots]
    town.now_ms += 86_400_000
    town.ok(see(town))
    for event in events:
        town.accepted(event)
    assert town.rows(gaps=True) == []


# -- the tree seen -------------------------------------------------------------------------------------


def test_a_phone_that_holds_another_tree_raises_the_alarm(town):
    size, _ = town.bws.seen
    town.bws.seen = (size, b64url_encode(bytes(range(32))))
    town.accepted(see(town), ("SPLIT_VIEW", None, None, s.WAREHOUSE))
    town.bws.seen = (size - 1, EMPTY_ROOT)
    town.accepted(see(town), ("SPLIT_VIEW", None, None, s.WAREHOUSE))
    town.bws.seen = (10**9, EMPTY_ROOT)
    town.accepted(see(town), ("SPLIT_VIEW", None, None, s.WAREHOUSE))
    town.bws.seen = (0, b64url_encode(bytes(range(32))))
    town.accepted(see(town), ("SPLIT_VIEW", None, None, s.WAREHOUSE))
    town.bws.seen = (0, EMPTY_ROOT)
    town.accepted(see(town))
    town.look(town.bws)


def test_a_phone_with_an_alien_tree_proves_no_time(town):
    """Its alien checkpoint says nothing about when; only the split view is reported, with no clock row."""
    town.bws.seen = (town.size(), b64url_encode(bytes(range(32))))
    town.bws.clock_offset_ms = -3 * 3_600_000
    signed = see(town)
    town.bws.clock_offset_ms = 0
    town.accepted(signed, ("SPLIT_VIEW", None, None, s.WAREHOUSE))
    town.bws.seen = (0, EMPTY_ROOT)
    town.look(town.bws)


def test_a_tree_claimed_inside_its_own_group_is_an_alien_one(town):
    """A batch that claims sizes which only the batch itself will reach: replay must agree."""
    signed = []
    for n in range(3):
        town.bws.seen = (town.size() + n, EMPTY_ROOT)
        town.bws.clock_offset_ms = -3 * 3_600_000
        signed.append(see(town))
    town.bws.clock_offset_ms = 0
    town.bws.seen = (0, EMPTY_ROOT)
    town.look(town.bws)
    assert [a.result for a in town.send_all(signed)] == ["accepted"] * 3
    assert [row[0] for row in town.rows()] == ["SPLIT_VIEW"] * 3


# -- mandates ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("alone")
def test_after_its_mandate_an_officer_commands_nothing_and_is_still_heard(town):
    lot = town.lot()
    town.now_ms += 200 * 86_400_000
    town.refused(town.release([lot], due="2026-01-01T00:00:00+08:00"), "mandate")
    town.accepted(see(town), ("MANDATE_EXPIRED", None, None, s.WAREHOUSE))


def test_before_its_mandate_an_officer_commands_nothing(town):
    town.refused(town.release([town.lot()], at="2024-09-01T00:00:00+08:00"), "mandate",
                 ("CLOCK_SUSPECT", None, None, s.WAREHOUSE))  # fmt: skip


def test_a_clock_that_runs_ahead_does_not_end_a_mandate(town):
    signed = town.release([town.lot()], at="2025-10-01T00:00:00+08:00", due="2025-12-01T00:00:00+08:00")
    town.accepted(signed, ("CLOCK_SUSPECT", None, None, s.WAREHOUSE))


def test_a_role_signs_as_what_the_policy_says(town):
    signed = town.act(town.gov, "quarantine.set", {"reason": "SUSPECT"}, [town.lot()], capacity="giver")
    town.refused(signed, "role")


@pytest.mark.usefixtures("mended")
def test_a_role_does_what_the_policy_says(town):
    document = s.policy()
    document["roles"] = [
        {**role, "acts": ["custody.release"]} if role["role"] == "TRANSPORTIR" else role for role in document["roles"]
    ]
    town.put_policy(document)
    line = town.bind(town.blanks.pop(), "BOOTH", quantity=5)
    town.refused(town.commission(line, phone=town.pos1, place=s.TRUCK, pos2="second"), "role")


@pytest.mark.usefixtures("mended")
def test_a_role_that_the_policy_dropped_signs_nothing(town):
    document = s.policy()
    document["roles"] = [role for role in document["roles"] if role["role"] != "TRANSPORTIR"]
    town.put_policy(document)
    line = town.bind(town.blanks.pop(), "BOOTH", quantity=5)
    town.refused(town.commission(line, phone=town.pos1, place=s.TRUCK, pos2="second"), "role")


def test_a_founder_signs_foundation_events_only(town):
    first, _ = town.founders
    signed = first.sign("quarantine.set", {"reason": "SUSPECT"}, at_ms=town.tick(), units=[town.lot()], place=s.CITY)
    town.refused(signed, "role")


def test_a_supervisor_handles_no_goods(town):
    line = town.bind(town.blanks.pop(), "BOOTH", quantity=5)
    town.refused(town.commission(line, phone=town.bws, gov="witness"), "supervisor_handles")


def test_a_mandate_is_for_a_place(town):
    line = town.bind(town.blanks.pop(), "BOOTH", quantity=5)
    town.refused(town.commission(line, phone=town.ppk1, gov="witness"), "jurisdiction")


def test_a_command_happens_at_a_known_place(town):
    signed = town.act(town.bws, "quarantine.set", {"reason": "X"}, [town.lot()], place="ATLANTIS", capacity="approver")
    town.refused(signed, "unknown_place")


def test_a_command_is_of_a_known_election(town):
    signed = town.act(
        town.bws, "quarantine.set", {"reason": "X"}, [town.lot()], capacity="approver", election="PEMILU-2029"
    )
    town.refused(signed, "unknown_election")


# -- waiting -------------------------------------------------------------------------------------------


def test_a_command_waits_for_what_it_depends_on(town):
    lot = town.lot()
    before = see(town, units=[lot])
    seal = town.act(town.kpu1, "quarantine.set", {"reason": "SUSPECT"}, [lot], capacity="witness", after=[before.hash])
    town.waits(seal)
    town.ok(before)
    assert town.outcome(seal) == ("accepted", "")
    assert town.flags(lot) == {"quarantine"}


def test_a_command_waits_for_what_waits_itself(town):
    """Offline: unpack, pack, seal, each after the one before; they arrive in the opposite order."""
    lot, load, box = town.lot(), town.load(), town.box()
    town.ok(town.pack(load, lot))
    unpack = town.unpack(load, lot)
    pack = town.act(town.kpu1, "unit.pack", {"parent": box}, [lot], kpu2="second", after=[unpack.hash])
    lines = {"seals": [{"unit": box, "point": 1, "number": f"W-{box}"}]}
    seal = town.act(town.kpu1, "seal.apply", lines, [box], kpu2="second", after=[pack.hash])
    town.waits(pack)
    town.waits(seal)
    town.ok(unpack)
    assert [town.outcome(e) for e in (pack, seal)] == [("accepted", "")] * 2
    assert (town.unit(lot)["parent"], town.unit(box)["lifecycle"]) == (box, "sealed")


def test_what_waits_for_a_refused_event_is_judged_without_it(town):
    lot = town.lot()
    no = town.release([lot], kpu2="second")
    mark = town.act(town.bws, "quarantine.set", {"reason": "X"}, [lot], capacity="approver", after=[no.hash])
    town.waits(mark)
    town.no(no, "policy_unmet")
    assert town.outcome(mark) == ("accepted", "")


def test_observations_never_wait(town):
    town.accepted(see(town, after=["B" * 43]))


def test_an_event_of_a_group_that_fails_leaves_no_trace_and_hurts_nobody(town, monkeypatch):
    from app.custody.rules import judge  # noqa: PLC0415

    def broken(case):
        case.link(case.units())
        raise KeyError("a bug")

    monkeypatch.setitem(judge.RULES, "quarantine.set", broken)
    lot = town.lot()
    size = town.size()
    bad, good = town.flag("quarantine.set", [lot]), see(town, units=[lot])
    first, second = town.send_all([bad, good])
    assert (first.code, second.result) == ("internal", "accepted")
    assert town.size() == size + 1
    monkeypatch.undo()
    town.ok(bad)
    assert town.flags(lot) == {"quarantine"}


def test_a_failure_after_an_event_was_taken_takes_its_whole_group_back(town, monkeypatch):
    """What an event brings about belongs to it: when that cannot be told, the event is not there either."""
    from app.custody.walk import Walk  # noqa: PLC0415

    lot = town.lot()
    release = town.release([lot])
    accept = town.accept(release.hash, [lot])
    town.waits(accept)
    size, state = town.size(), town.state()

    def broken(*_args, **_more):
        raise KeyError("a bug")

    monkeypatch.setattr(Walk, "outcome", broken)
    with pytest.raises(KeyError):
        town.send(release)
    assert (town.size(), town.state()) == (size, state)
    monkeypatch.undo()
    town.ok(release)
    assert town.outcome(accept) == ("accepted", "")
