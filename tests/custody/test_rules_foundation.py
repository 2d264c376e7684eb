"""The ledger itself: genesis, policy and plan in force, what only the service may say (rules/foundation.py)."""

import json
import secrets

import pytest

from app.canon import b64url_encode, jcs, sha256
from app.cli.phone import EMPTY_ROOT, Phone, Signed
from app.clock import parse_rfc3339
from app.custody.committing import commit_heads
from app.custody.events import parse_event
from app.custody.found import genesis_payload, public_jwk
from app.custody.receipts import Receipt
from app.custody.state import Facts
from app.custody.walk import Walk
from app.ids import new_event_id
from app.keys.signing import PrivateKey, sign_jws
from app.keys.state import Device, Key
from app.keys.verify import parse_jws
from tests import small as s
from tests.house import START

START_MS = parse_rfc3339(START)
pytestmark = pytest.mark.usefixtures("mended")  # policies and the whole ledger change here


def genesis(town, founders, agencies, *, signers=None, change=None):
    keys = town.recorder._keys
    now = town.tick()
    told = [
        [{"officer": f"F-{n}", "agency": s.KPU, "jwk": public_jwk(key)} for n, key in enumerate(founders)],
        [
            {"agency": f"A-{n}", "name": f"A-{n}", "kind": "commission", "jwk": public_jwk(k)}
            for n, k in enumerate(agencies)
        ],
    ]
    payload = genesis_payload(
        keys, "second", *told, author=founders[0].kid, event_id=new_event_id(now, bytes(10)), at_ms=now
    )
    if change:
        value = json.loads(payload)
        change(value)
        payload = jcs(value)
    every = {key.kid: key for key in (*founders, *agencies)}
    return Signed(b64url_encode(sha256(payload)), sign_jws(payload, list((signers or every).values())))


def key():
    return PrivateKey.generate("Ed25519")


def test_a_ledger_has_one_genesis(town):
    first, second = (phone.key for phone in town.founders)
    town.refused(genesis(town, [first, second], []), "genesis_exists")


def over_nothing(*signed):
    """Walk over an empty ledger, as founding rehearses a genesis; return the judgements and the facts."""
    walk = Walk(Facts(complete=True), 0, lambda size: (EMPTY_ROOT if size == 0 else None, 0), lambda _: None)
    steps = [walk.take(parse_event(parse_jws(one.jws).payload), one.jws, START_MS) for one in signed]
    return [step.judgement.code or step.judgement.result for step in steps], walk.facts


def test_a_genesis_over_nothing_is_accepted(town):
    signed = genesis(town, [one := key(), two := key()], [root := key()])
    codes, facts = over_nothing(signed)
    assert codes == ["accepted"]
    kinds = {kid: known.kind for kid, known in facts.kinds[Key].items()}
    assert (kinds[one.kid], kinds[two.kid], kinds[root.kid]) == ("administrator", "administrator", "root")
    assert sorted(kinds.values()) == ["administrator", "administrator", "admission", "root", "service"]
    assert (facts.meta.administrators, facts.meta.genesis) == (("F-0", "F-1"), signed.hash)
    assert facts.kinds[Device][one.kid].seq == 1


def test_a_genesis_names_a_key_once(town):
    one = key()
    assert over_nothing(genesis(town, [one], [one]))[0] == ["key_reused"]


def test_everybody_whom_a_genesis_names_signs_it(town):
    one, two = key(), key()

    def drop(value):
        value["signers"] = {one.kid: "approver"}

    assert over_nothing(genesis(town, [one], [two], change=drop, signers={one.kid: one}))[0] == ["signature_set"]


def test_a_genesis_asks_for_no_more_policy_signers_than_it_has(town):
    def ask(value):
        value["details"]["policy_signers"] = 2

    assert over_nothing(genesis(town, [key()], [], change=ask))[0] == ["policy_unmet"]


def test_nothing_stands_before_the_genesis(town):
    assert over_nothing(town.act(town.bws, "sighting", {}, capacity="witness"))[0] == ["no_genesis"]


def test_a_stranger_is_refused_even_past_the_door(town):
    signed = town.act(town.bws, "sighting", {}, capacity="witness")
    assert over_nothing(genesis(town, [key()], []), signed)[0] == ["accepted", "unknown_key"]


def test_nothing_is_judged_without_a_policy(town):
    founder = Phone(key(), "F-0", s.KPU, town.origin, s.ELECTION, s.CITY)
    told = {"document": "B" * 43, "election": s.ELECTION}
    signed = founder.sign("plan.publish", told, at_ms=START_MS, capacity="approver")
    line = {"act": "bind", "unit": town.blanks[0], "item": "BOOTH"}
    other = founder.sign("unit.commission", {"lines": [line]}, at_ms=START_MS, units=[town.blanks[0]])
    assert over_nothing(genesis(town, [founder.key], []), signed, other)[0] == ["accepted", "no_policy", "role"]


def test_the_genesis_begins_its_author_s_sequence(town):
    noted = town.query("SELECT facts FROM discrepancy WHERE rule IN ('SEQUENCE_GAP', 'SEQUENCE_FORK')")
    assert [facts for (facts,) in noted if town.founders[0].kid in facts] == []


# -- policy --------------------------------------------------------------------------------------------


def publish(town, type_, details, *, by=None, alone=False):
    first, second = by or town.founders
    with_ = {} if alone else {second: "approver"}
    return first.sign(type_, details, at_ms=town.tick(), capacity="approver", with_=with_)


def test_a_policy_is_in_force_from_its_leaf_on(town):
    content = town.put_document(s.policy(title="Kebijakan kedua"))
    town.accepted(publish(town, "policy.publish", {"document": content}))
    assert town.one("SELECT policy FROM ledger_state") == content
    town.ok(town.act(town.bws, "sighting", {}, capacity="witness"))
    assert town.leaf(town.size() - 1)["verdict"]["policy"] == content


def test_founders_publish_policies(town):
    content = town.put_document(s.policy(title="Kebijakan kedua"))
    signed = town.act(town.kpu1, "policy.publish", {"document": content}, capacity="approver", kpu2="approver")
    town.refused(signed, "policy_unmet")


def test_a_policy_document_is_there(town):
    town.refused(publish(town, "policy.publish", {"document": "B" * 43}), "document_missing")


def test_a_policy_that_came_after_its_publication_leaves_the_refusal_as_it_was(town):
    document = s.policy(title=f"Kebijakan {secrets.token_hex(4)}")
    content = b64url_encode(sha256(json.dumps(document).encode()))
    town.refused(publish(town, "policy.publish", {"document": content}), "document_missing")
    assert town.put_document(document) == content
    town.accepted(publish(town, "policy.publish", {"document": content}))


def test_a_plan_is_no_policy(town):
    content = town.put_document(s.plan(title="Rencana kedua"))
    town.refused(publish(town, "policy.publish", {"document": content}), "document_missing")


def test_identifying_sheets_needs_a_second_approver(town):
    document = s.policy()
    document["elections"] = [{**document["elections"][0], "ballot_id_policy": "sheet"}]
    content = town.put_document(document)
    town.refused(publish(town, "policy.publish", {"document": content}, alone=True), "policy_unmet")
    town.accepted(publish(town, "policy.publish", {"document": content}))


def test_a_policy_that_drops_an_agency_refuses_its_officers_and_no_group_falls(town):
    document = s.policy()
    document["agencies"] = [agency for agency in document["agencies"] if agency["id"] != s.POS]
    lot = town.lot()
    town.put_policy(document)
    signed = town.release([lot], phone=town.pos1, pos2="second", pol="escort")
    good = town.release([lot])
    first, second = town.send_all([signed, good])
    assert isinstance(first, Receipt)
    assert (first.code, second.result) == ("unknown_agency", "accepted")


# -- plan ----------------------------------------------------------------------------------------------


def plan(town, *, by=None, alone=False, election=s.ELECTION, **changes):
    content = town.put_document(s.plan(**changes))
    return publish(town, "plan.publish", {"document": content, "election": election}, by=by, alone=alone)


def test_two_approvers_of_the_commission_publish_a_plan(town):
    town.accepted(plan(town, by=(town.kpu1, town.kpu2)))
    town.refused(plan(town, alone=True), "policy_unmet")
    town.refused(plan(town, by=(town.kpu1, town.bws)), "policy_unmet")


def test_an_officer_of_an_agency_that_the_policy_dropped_is_no_approver(town):
    document = s.policy()
    document["agencies"] = [agency for agency in document["agencies"] if agency["id"] != s.PROV]
    town.put_policy(document)
    town.refused(plan(town, by=(town.kpu1, town.prov1)), "unknown_agency")


def test_a_plan_document_is_there_and_of_that_election(town):
    told = {"document": "B" * 43, "election": s.ELECTION}
    town.refused(publish(town, "plan.publish", told), "document_missing")
    town.refused(plan(town, election="PEMILU-2029"), "document_missing")
    told = {"document": town.put_document(s.policy()), "election": s.ELECTION}
    town.refused(publish(town, "plan.publish", told), "document_missing")


def test_a_plan_is_of_an_election_of_the_policy(town):
    content = town.put_document(s.plan(election="PEMILU-2029"))
    told = {"document": content, "election": "PEMILU-2029"}
    town.refused(publish(town, "plan.publish", told), "unknown_election")


def test_a_plan_names_places_of_the_policy(town):
    town.refused(plan(town, stations=[s.station("ATLANTIS", 1)]), "unknown_place")


def test_a_plan_names_contests_of_the_election(town):
    station = {**s.station(s.TPS1, 1), "districts": [{"contest": "PILPRES", "district": "1"}]}
    town.refused(plan(town, stations=[station]), "unknown_contest")


def test_a_plan_names_items_of_the_catalogue(town):
    station = {**s.station(s.TPS1, 1), "kit": [{"item": "ROCKET", "quantity": 1}]}
    town.refused(plan(town, stations=[station]), "unknown_item")


# -- the service ---------------------------------------------------------------------------------------


def heads(town, phone, size):
    return town.act(phone, "heads.commit", {"size": size, "root": "B" * 43, "n": 1}, place=s.CITY, capacity="witness")


def test_the_service_commits_to_heads(town):
    assert commit_heads(town.recorder, town.tick()) == 0


def test_a_commitment_is_to_a_size_that_was(town):
    town.refused(heads(town, town.service, town.size() + 5), "size")


def test_only_the_service_speaks_for_the_service(town):
    town.refused(heads(town, town.kpu1, 1), "role")
    town.refused(town.act(town.kpu1, "ledger.close", {"reason": "DONE"}, place=s.CITY, capacity="approver"), "role")
    told = {"event": "B" * 43, "result": "accepted", "code": ""}
    town.refused(town.act(town.kpu1, "verdict", told, place=s.CITY, capacity="witness"), "role")


def verdict(town, event, result="accepted", code="", after=()):
    told = {"event": event, "result": result, "code": code}
    return town.act(town.service, "verdict", told, place=s.CITY, capacity="witness", after=[event, *after])


def test_a_verdict_is_on_a_recorded_event(town):
    town.refused(verdict(town, "B" * 43), "unknown_event")


def test_a_verdict_is_on_an_event_that_waits(town):
    receipt = town.ok(town.act(town.bws, "sighting", {}, capacity="witness"))
    town.refused(verdict(town, receipt.event, "refused"), "not_waiting")


def test_a_verdict_says_what_the_rules_say(town):
    lot = town.lot()
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    release = town.release([lot], after=[seen.hash])
    town.waits(release)
    town.refused(verdict(town, release.hash), "verdict_mismatch")


def test_an_outcome_is_not_told_twice(town):
    lot = town.lot()
    release = town.release([lot])
    accept = town.accept(release.hash, [lot])
    town.waits(accept)
    town.ok(release)
    assert town.outcome(accept) == ("accepted", "")
    town.refused(verdict(town, accept.hash, "refused", "already_accepted"), "not_waiting")
    assert town.outcome(accept) == ("accepted", "")


@pytest.mark.usefixtures("alone")
def test_after_the_close_only_verdicts_follow(town):
    lot = town.lot()
    release = town.release([lot], due="2024-11-01T00:00:00+08:00")
    town.ok(release)
    town.accepted(town.act(town.service, "ledger.close", {"reason": "DONE"}, place=s.CITY, capacity="witness"))
    town.refused(town.accept(release.hash, [lot]), "ledger_closed")
    town.refused(town.act(town.bws, "sighting", {}, [lot], capacity="witness"), "ledger_closed")
    assert town.recorder.sweep(town.now_ms + 30 * 86_400_000) == 1
    assert town.unit(lot)["custody"] == "uncertain"
