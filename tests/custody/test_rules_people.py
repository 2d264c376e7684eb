"""Keys: enrolled by two, ended by index, and what a stolen phone signs is held for a decision (rules/people.py)."""

import pytest

from app.canon import b64url_encode
from app.cli.phone import possession
from app.custody.found import public_jwk
from app.keys.signing import PrivateKey
from tests import small as s

pytestmark = pytest.mark.usefixtures("mended")  # keys are ended here


def details(town, *, key=None, proof_by=None, **more):
    key = key or PrivateKey.generate("Ed25519")
    return {
        "jwk": public_jwk(key), "officer": "NEW-1", "agency": s.KPU, "role": "LOGISTIK", "place": s.CITY, "access": ["field"],
        "valid_from": "2024-10-01T00:00:00+08:00", "valid_until": "2025-03-01T00:00:00+08:00",
        "possession": possession(proof_by or key, town.origin, b64url_encode(bytes(range(16)))), **more,
    }  # fmt: skip


def enrolment(town, **told):
    first, second = town.founders
    return first.sign(
        "key.enrol", details(town, **told), at_ms=town.tick(), capacity="approver", with_={second: "approver"}
    )


def enrolment_by(town, phone, *, capacity="approver", **told):
    return town.act(phone, "key.enrol", details(town, **told), place=s.CITY, capacity=capacity, kpu1="approver")


def test_a_key_is_enrolled_by_founders(town):
    key = PrivateKey.generate("ES256")
    receipt = town.accepted(enrolment(town, key=key))
    assert town.query(f"SELECT officer, agency, enrolled_index FROM signing_key WHERE kid = '{key.kid}'") == [
        ("NEW-1", s.KPU, receipt.index)
    ]


def test_a_registrar_enrols_for_the_own_agency(town):
    town.accepted(enrolment_by(town, town.reg))
    town.refused(enrolment_by(town, town.reg, agency=s.PROV), "not_your_agency")


def test_a_registrar_enrols_within_the_own_place(town):
    town.refused(enrolment_by(town, town.reg, place="64"), "jurisdiction")


def test_who_is_no_registrar_does_not_enrol(town):
    town.refused(enrolment_by(town, town.kpu2), "role")


def test_a_registrar_signs_an_enrolment_as_approver(town):
    town.refused(enrolment_by(town, town.reg, capacity="witness"), "role")


def test_two_officers_approve(town):
    first, _ = town.founders
    signed = first.sign("key.enrol", details(town), at_ms=town.tick(), capacity="approver")
    town.refused(signed, "policy_unmet")


def test_the_new_key_proves_that_it_is_held(town):
    town.refused(enrolment(town, proof_by=PrivateKey.generate("Ed25519")), "possession")


def test_a_weak_key_is_refused_and_hurts_nobody_else_in_its_batch(town):
    weak = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(bytes(32))}
    town.refused(enrolment(town, jwk=weak), "weak_key")
    bad, good = enrolment(town, jwk=weak), enrolment(town)
    assert [answer.code for answer in town.send_all([bad, good])] == ["weak_key", ""]


def test_a_key_is_enrolled_once(town):
    key = PrivateKey.generate("Ed25519")
    town.accepted(enrolment(town, key=key))
    town.refused(enrolment(town, key=key), "key_reused")


def test_a_revoked_key_is_not_enrolled_again(town):
    town.accepted(town.revoke(town.pos1))
    town.refused(enrolment(town, key=town.pos1.key, agency=s.POS, role="TRANSPORTIR"), "key_reused")


@pytest.mark.parametrize("more", [{"agency": "NOBODY"}, {"role": "KING"}, {"agency": s.POL}])
def test_a_role_belongs_to_a_kind_of_agency(town, more):
    town.refused(enrolment(town, **more), "role")


def test_nobody_enrols_a_key_for_himself(town):
    town.refused(enrolment_by(town, town.reg, officer="REG-1"), "self_approval")
    town.refused(enrolment_by(town, town.reg, officer="KPU-1"), "self_approval")


def test_a_mandate_has_a_known_place(town):
    town.refused(enrolment(town, place="ATLANTIS"), "unknown_place")


def test_a_mandate_begins_before_it_ends(town):
    town.refused(enrolment(town, valid_until="2024-10-01T00:00:00+08:00"), "mandate")


def test_a_mandate_has_times_of_the_calendar(town):
    town.refused(enrolment(town, valid_until="2024-13-01T00:00:00+08:00"), "time")


def test_enrolment_makes_no_administrator(town):
    town.refused(enrolment(town, access=["field", "administrator"]), "role")


# -- revocation ----------------------------------------------------------------------------------------


def revocation(town, kid, by):
    return town.act(by, "key.revoke", {"kid": kid, "reason": "lost"}, place=s.CITY, capacity="approver")


def test_a_key_is_ended_from_its_leaf_on(town):
    receipt = town.accepted(town.revoke(town.pos1))
    assert town.one(f"SELECT revoked_index FROM signing_key WHERE kid = '{town.pos1.kid}'") == receipt.index


def test_a_registrar_ends_keys_of_the_own_agency(town):
    town.accepted(revocation(town, town.kpu3.kid, town.reg))
    town.refused(revocation(town, town.pos1.kid, town.reg), "role")


def test_a_supervisor_ends_any_key(town):
    town.accepted(revocation(town, town.pos1.kid, town.bws))


def test_others_end_none(town):
    town.refused(revocation(town, town.kpu3.kid, town.kpu1), "role")


def test_a_key_is_ended_once(town):
    town.accepted(town.revoke(town.pos1))
    town.refused(town.revoke(town.pos1), "already_revoked")


def test_an_unknown_key_is_not_ended(town):
    town.refused(revocation(town, "B" * 43, town.bws), "unknown_key")


def test_a_server_key_is_not_ended_this_way(town):
    town.refused(revocation(town, town.recorder._keys.service.kid, town.bws), "unknown_key")


def test_a_compromise_is_dated(town):
    first, second = town.founders
    told = {"kid": town.pos1.kid, "reason": "stolen", "compromised_since": "2024-10-20T00:00:00+08:00"}
    town.accepted(first.sign("key.revoke", told, at_ms=town.tick(), capacity="approver", with_={second: "approver"}))
    assert town.one(f"SELECT compromised_since_ms FROM signing_key WHERE kid = '{town.pos1.kid}'") == 1729353600000


# -- what a revoked key signs --------------------------------------------------------------------------


def test_what_a_revoked_key_signs_is_held_and_a_decision_lets_it_in(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    town.ok(release)
    accept = town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second")
    town.ok(town.revoke(town.pos1))
    town.held(accept)
    assert town.unit(lot)["custody"] == "released"
    town.accepted(town.decide(accept.hash, kpu1="approver"))
    assert town.outcome(accept) == ("accepted", "")
    assert town.unit(lot)["agency"] == s.POS


def test_a_decision_may_keep_it_out(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    town.ok(release)
    accept = town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second")
    town.ok(town.revoke(town.pos1))
    town.held(accept)
    town.accepted(town.decide(accept.hash, "refuse", kpu1="approver"))
    assert town.outcome(accept) == ("refused", "decision")
    assert town.unit(lot)["custody"] == "released"


def test_an_observation_of_a_revoked_key_is_held_too(town):
    lot = town.lot()
    seen = town.act(town.pos1, "sighting", {}, [lot], capacity="witness")
    town.ok(town.revoke(town.pos1))
    town.held(seen)
    town.accepted(town.decide(seen.hash, kpu1="approver"))
    assert town.outcome(seen) == ("accepted", "")


def test_a_decision_is_signed_by_the_supervisor_and_the_other_side(town):
    seen = town.act(town.pos1, "sighting", {}, capacity="witness")
    town.ok(town.revoke(town.pos1))
    town.held(seen)
    town.refused(town.decide(seen.hash), "policy_unmet")
    only_side = town.act(
        town.kpu1, "decision", {"event": seen.hash, "result": "accept", "reason": "FINE"}, capacity="approver"
    )
    town.refused(only_side, "policy_unmet")


def test_the_side_of_the_held_event_is_not_the_other_side(town):
    seen = town.act(town.kpu4, "sighting", {}, capacity="witness")
    town.ok(town.revoke(town.kpu4))
    town.held(seen)
    town.refused(town.decide(seen.hash, kpu1="approver"), "policy_unmet")


def test_only_a_held_event_is_decided_and_only_once(town):
    seen = town.act(town.pos1, "sighting", {}, capacity="witness")
    town.ok(seen)
    town.refused(town.decide(seen.hash, kpu1="approver"), "not_held")
    later = town.act(town.pos1, "sighting", {}, capacity="witness")
    town.ok(town.revoke(town.pos1))
    town.held(later)
    town.ok(town.decide(later.hash, kpu1="approver"))
    town.refused(town.decide(later.hash, kpu1="approver"), "not_held")


def test_a_decision_that_comes_before_its_event_still_lets_it_in(town):
    town.ok(town.revoke(town.pos1))
    seen = town.act(town.pos1, "sighting", {}, capacity="witness")
    decision = town.act(
        town.bws, "decision", {"event": seen.hash, "result": "accept", "reason": "FINE"}, capacity="approver",
        kpu1="approver",
    )  # fmt: skip
    town.waits(decision)
    town.no(seen, "key_revoked", "held")
    assert town.outcome(decision) == ("accepted", "")
    assert town.outcome(seen) == ("accepted", "")


def test_a_held_event_that_waits_for_another_is_refused_by_that_code(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    accept = town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second")
    town.ok(town.revoke(town.pos1))
    town.held(accept)
    town.accepted(town.decide(accept.hash, kpu1="approver"))
    assert town.outcome(accept) == ("refused", "pending_predecessor")


def test_what_waits_for_a_held_event_waits_for_its_decision(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK), phone=town.kpu3, kpu4="second", pol="escort")
    town.ok(town.revoke(town.kpu3))
    town.held(release)
    accept = town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second")
    town.waits(accept)
    town.ok(town.decide(release.hash, pos2="second"))
    assert town.outcome(release) == ("accepted", "")
    assert town.outcome(accept) == ("accepted", "")
    assert town.unit(lot)["agency"] == s.POS


def test_a_decision_against_a_release_refuses_its_accept(town):
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK), phone=town.kpu3, kpu4="second", pol="escort")
    town.ok(town.revoke(town.kpu3))
    town.held(release)
    accept = town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second")
    town.waits(accept)
    town.ok(town.decide(release.hash, "refuse", pos2="second"))
    assert town.outcome(accept) == ("refused", "release_not_effective")


def test_what_came_before_the_revocation_and_waited_is_judged_as_of_then(town):
    """Validity is by index: a pending event whose key ended meanwhile was signed by a key that counted."""
    lot = town.lot()
    release = town.release([lot], (s.POS, s.TRUCK))
    accept = town.accept(release.hash, [lot], phone=town.pos1, place=s.TRUCK, pos2="second")
    town.waits(accept)
    town.ok(town.revoke(town.pos1))
    town.accepted(release)
    assert town.outcome(accept) == ("accepted", "")
    assert town.unit(lot)["agency"] == s.POS


def test_other_keys_of_the_same_agency_go_on(town):
    town.ok(town.revoke(town.pos1))
    town.accepted(town.act(town.pos2, "sighting", {}, capacity="witness"))
