"""The ledger itself: genesis, policy and plan in force, what only the service may say (rules/foundation.py)."""

import json

import pytest

from app.canon import b64url_encode, jcs, sha256
from app.cli.phone import Signed
from app.custody.found import genesis_payload, public_jwk
from app.custody.receipts import Receipt
from app.errors import RefusedError
from app.ids import new_event_id
from app.keys.signing import PrivateKey, sign_jws
from tests import small as s
from tests.custody.town import Town

pytestmark = pytest.mark.usefixtures("mended")  # policies and the whole ledger change here


def genesis(town, founders, agencies, *, signers=None, change=None):
    keys = town.recorder._keys
    now = town.tick()
    told = [
        [{"officer": f"F-{n}", "agency": s.KPU, "jwk": public_jwk(key)} for n, key in enumerate(founders)],
        [{"agency": f"A-{n}", "name": f"A-{n}", "kind": "commission", "jwk": public_jwk(k)} for n, k in enumerate(agencies)],
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


def found_again(town, tmp_path, signed):
    """Rehearse a genesis as founding does: over nothing."""
    from app.custody.events import parse_event  # noqa: PLC0415
    from app.custody.found import _rehearse  # noqa: PLC0415
    from app.keys.verify import parse_jws  # noqa: PLC0415

    event = parse_event(parse_jws(signed.jws).payload)
    try:
        _rehearse(event, signed.jws, town.now_ms)
    except RefusedError as error:
        return error.code
    return ""


def test_a_genesis_over_nothing_is_accepted(town):
    assert found_again(town, None, genesis(town, [key(), key()], [key()])) == ""


def test_a_genesis_names_a_key_once(town):
    one = key()
    assert found_again(town, None, genesis(town, [one], [one])) == "key_reused"


def test_everybody_whom_a_genesis_names_signs_it(town):
    one, two = key(), key()

    def drop(value):
        value["signers"] = {one.kid: "approver"}

    assert found_again(town, None, genesis(town, [one], [two], change=drop, signers={one.kid: one})) == "signature_set"


def test_a_genesis_asks_for_no_more_policy_signers_than_it_has(town):
    def ask(value):
        value["details"]["policy_signers"] = 2

    assert found_again(town, None, genesis(town, [key()], [], change=ask)) == "policy_unmet"


def test_nothing_stands_before_the_genesis(town):
    """An event over an empty ledger: refused, though no door leads there."""
    from app.custody.events import parse_event  # noqa: PLC0415
    from app.custody.state import Facts  # noqa: PLC0415
    from app.custody.walk import Walk  # noqa: PLC0415
    from app.keys.verify import parse_jws  # noqa: PLC0415

    signed = town.act(town.bws, "sighting", {}, capacity="witness")
    walk = Walk(Facts(complete=True), 0, lambda _: (None, 0), lambda _: None)
    step = walk.take(parse_event(parse_jws(signed.jws).payload), signed.jws, town.now_ms)
    assert (step.judgement.result, step.judgement.code) == ("refused", "no_genesis")


def test_the_genesis_begins_its_author_s_sequence(town):
    assert [row for row in town.rows(since=0, gaps=True) if row[0].startswith("SEQUENCE")] == []


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
    import secrets  # noqa: PLC0415

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


def test_a_ledger_with_no_policy_knows_no_commands(mould_of_nothing):
    town = mould_of_nothing
    signed = town.founders[0].sign("key.revoke", {"kid": "B" * 43, "reason": "lost"}, at_ms=town.tick(), capacity="approver")
    town.refused(signed, "unknown_key")
    told = {"document": town.put_document(s.plan()), "election": s.ELECTION}
    town.refused(publish(town, "plan.publish", told), "no_policy")


@pytest.fixture
def mould_of_nothing(db, tmp_path):
    """A founded ledger with no policy on it."""
    own = NoPolicy(db, tmp_path / "house")
    yield own
    own.check()
    own.recorder._high_water.close()


class NoPolicy(Town):
    begins = 0

    def put_policy(self, document):
        pass

    def put_plan(self, document):
        pass


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
    town.accepted(heads(town, town.service, town.size()))


def test_a_commitment_is_to_a_size_that_was(town):
    town.refused(heads(town, town.service, town.size() + 5), "size")


def test_only_the_service_speaks_for_the_service(town):
    town.refused(heads(town, town.kpu1, 1), "role")
    town.refused(
        town.act(town.kpu1, "ledger.close", {"reason": "DONE"}, place=s.CITY, capacity="approver"), "role"
    )
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
