"""Enrolment over HTTP: opened, claimed once, approved by a signed event, and everything that must fail."""

import secrets

import pytest

from app.canon import b64url_encode
from app.cli.phone import Phone, possession
from app.custody.found import public_jwk
from app.custody.rules import people as rule
from app.keys import enrolment as use
from app.keys.signing import PrivateKey
from tests import small

PERIOD = {"valid_from": "2024-10-01T00:00:00+08:00", "valid_until": "2025-03-01T00:00:00+08:00"}


def wanted(**changes):
    return {
        "agency": small.KPU, "role": "KPPS", "place": small.TPS1, "access": ["field"], "name": "Siti Rahma", **PERIOD,
        **changes,
    }  # fmt: skip


def opened(live, **changes):
    answer = live.post("/v1/enrolments", wanted(**changes), "registrar")
    assert answer.status_code == 201, answer.text
    return answer.json()


def claim_of(live, told, key, **changes):
    signature = possession(key, live.house.origin, told["challenge"])["signature"]
    return {"token": told["token"], "jwk": public_jwk(key), "signature": signature, **changes}


def claimed(live, told, key):
    answer = live.post(f"/v1/enrolments/{told['enrolment']}/claim", claim_of(live, told, key))
    assert answer.status_code == 200, answer.text
    return answer.json()


def approval(live, told, key, **changes):
    details = {
        "jwk": public_jwk(key), "officer": told["officer"], "agency": told["agency"], "role": told["role"],
        "place": told["place"], "access": told["access"], **PERIOD,
        "possession": possession(key, live.house.origin, told["challenge"]), **changes,
    }  # fmt: skip
    first, second = live.house.founders
    return first.sign("key.enrol", details, at_ms=live.house.tick(), capacity="approver", with_={second: "approver"})


def approve(live, told, signed):
    headers = {"Custody-Scenario-Time": "2024-11-01T08:00:00+08:00"}
    path = f"/v1/enrolments/{told['enrolment']}/approve"
    return live.post(path, {"event": signed.jws}, "registrar", headers=headers)


@pytest.mark.parametrize("alg", ["ES256", "Ed25519"])
def test_a_phone_is_enrolled_in_three_steps(live, alg):
    told, key = opened(live), PrivateKey.generate(alg)
    assert told["link"].split("#")[0].endswith("/enrol")
    assert told["token"] in told["link"].split("#")[1]
    assert told["officer"].startswith("OFF-")
    seen = claimed(live, told, key)
    assert (seen["officer"], seen["origin"], seen["genesis"]) == (
        told["officer"],
        live.house.origin,
        live.services.genesis,
    )
    screen = live.get(f"/v1/enrolments/{told['enrolment']}", "registrar").json()
    assert (screen["status"], screen["match_code"]) == ("claimed", seen["match_code"])
    assert len(seen["match_code"]) == 6
    assert screen["details"]["officer"] == told["officer"]
    signed = approval(live, told, key)
    first = approve(live, told, signed)
    assert first.status_code == 201, first.text
    assert live.get(f"/v1/enrolments/{told['enrolment']}", "registrar").json()["status"] == "approved"
    again = approve(live, told, signed)
    assert (again.status_code, again.json()) == (200, first.json())
    phone = Phone(key, told["officer"], small.KPU, live.house.origin, small.ELECTION, small.TPS1)
    opening = phone.sign("access", {"act": "open", "purpose": "CHECK"}, at_ms=live.house.tick(), capacity="witness")
    assert live.send(opening).status_code == 201


def test_the_match_code_is_of_key_and_challenge(live):
    told, key = opened(live), PrivateKey.generate("Ed25519")
    code = claimed(live, told, key)["match_code"]
    assert code == use.match_code(key.kid, told["challenge"])
    assert code.isdigit()
    others = {use.match_code(PrivateKey.generate("Ed25519").kid, told["challenge"]) for _ in range(20)}
    assert len(others) > 15


def test_rules_and_door_ask_for_the_same_possession():
    args = ("o.example/ledger/x", "challenge", "kid")
    assert use.possession_message(*args) == rule.possession_message(*args)


def test_a_token_is_good_once(live):
    told = opened(live)
    claimed(live, told, PrivateKey.generate("Ed25519"))
    other = PrivateKey.generate("Ed25519")
    answer = live.post(f"/v1/enrolments/{told['enrolment']}/claim", claim_of(live, told, other))
    assert (answer.status_code, answer.json()["code"]) == (401, "enrolment_token")


def test_a_wrong_token_or_id_looks_like_a_used_one(live):
    told, key = opened(live), PrivateKey.generate("Ed25519")
    wrong = live.post(f"/v1/enrolments/{told['enrolment']}/claim", claim_of(live, told, key, token="A" * 22))
    nobody = live.post("/v1/enrolments/nobody/claim", claim_of(live, told, key))
    assert wrong.status_code == nobody.status_code == 401
    assert wrong.json() == nobody.json()
    assert claimed(live, told, key)


def test_a_wrong_possession_does_not_use_the_token_up(live):
    told, key, other = opened(live), PrivateKey.generate("ES256"), PrivateKey.generate("ES256")
    path = f"/v1/enrolments/{told['enrolment']}/claim"
    for signature in (
        claim_of(live, told, other)["signature"],
        possession(key, "other.example/ledger/x", told["challenge"])["signature"],
        possession(key, live.house.origin, b64url_encode(secrets.token_bytes(32)))["signature"],
        "A" * 86,
    ):
        answer = live.post(path, claim_of(live, told, key, signature=signature))
        assert (answer.status_code, answer.json()["code"]) == (422, "possession")
    assert claimed(live, told, key)


def test_weak_and_foreign_keys_are_refused(live):
    told = opened(live)
    path = f"/v1/enrolments/{told['enrolment']}/claim"
    body = {"token": told["token"], "signature": "A" * 86}
    weak = {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(b"\x01" + bytes(31))}
    assert live.post(path, {**body, "jwk": weak}).json()["code"] == "weak_key"
    assert (
        live.post(path, {**body, "jwk": {"kty": "RSA", "crv": "P-256", "x": "A" * 43}}).json()["code"] == "body_shape"
    )
    founder = live.house.founders[0].key
    assert live.post(path, claim_of(live, told, founder)).json()["code"] == "key_reused"


def test_an_expired_enrolment_is_410(live):
    told, key = opened(live), PrivateKey.generate("Ed25519")
    clock = live.services.clock
    later = clock.now_ms() + 901_000

    class Later:
        def now_ms(self):
            return later

    live.services.clock = Later()
    try:
        answer = live.post(f"/v1/enrolments/{told['enrolment']}/claim", claim_of(live, told, key))
    finally:
        live.services.clock = clock
    assert (answer.status_code, answer.json()["code"]) == (410, "enrolment_expired")


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "LOGISTIK"},
        {"place": small.CITY},
        {"access": ["field", "auditor"]},
        {"officer": "OFF-ELSE"},
        {"valid_until": "2026-03-01T00:00:00+08:00"},
    ],
)
def test_an_approval_that_differs_from_the_claim_is_409_and_not_recorded(live, changes):
    told, key = opened(live), PrivateKey.generate("Ed25519")
    claimed(live, told, key)
    size = live.http.get("/v1/ledger").json()["size"]
    answer = approve(live, told, approval(live, told, key, **changes))
    assert (answer.status_code, answer.json()["code"]) == (409, "claim_mismatch")
    assert answer.json()["members"] == list(changes)
    assert live.http.get("/v1/ledger").json()["size"] == size


def test_nothing_is_approved_before_it_is_claimed_or_with_another_event(live):
    told, key = opened(live), PrivateKey.generate("Ed25519")
    assert approve(live, told, approval(live, told, key)).json()["code"] == "enrolment_state"
    claimed(live, told, key)
    other = live.house.founders[0].sign(
        "key.revoke", {"kid": key.kid, "reason": "lost"}, at_ms=live.house.tick(), capacity="approver"
    )
    assert approve(live, told, other).json()["code"] == "claim_mismatch"
    assert (
        live.post(f"/v1/enrolments/{told['enrolment']}/approve", {"jws": 1}, "registrar").json()["code"] == "body_shape"
    )


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"agency": small.POS, "role": "TRANSPORTIR"}, 403, "not_your_agency"),
        ({"role": "POLRI"}, 403, "role"),
        ({"access": ["administrator"]}, 403, "role"),
        ({"place": "NOWHERE"}, 422, "unknown_place"),
        ({"valid_until": "2024-09-01T00:00:00+08:00"}, 403, "mandate"),
        ({"valid_until": "soon"}, 400, "body_shape"),
        ({"access": []}, 400, "body_shape"),
        ({"access": ["root"]}, 400, "body_shape"),
        ({"nonsense": 1}, 400, "body_shape"),
        ({"name": "a\u202eb"}, 400, "text_form"),
    ],
)
def test_what_the_rules_would_refuse_later_is_refused_now(live, changes, status, code):
    answer = live.post("/v1/enrolments", wanted(**changes), "registrar")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_registrar_of_another_agency_sees_nothing_of_it(live):
    told = opened(live)
    path = f"/v1/enrolments/{told['enrolment']}"
    assert live.get(path, "registrar", agency=small.BWS).status_code == 404
    assert live.get(path, "registrar", "administrator", agency=small.BWS).status_code == 200


# -- names -----------------------------------------------------------------------------------------------


def officer_of(live, officer, *access, **who):
    items = live.get("/v1/officers", *access, **who).json()["items"]
    return next((one for one in items if one["officer"] == officer), None)


def test_names_are_for_registrars_of_the_own_agency_and_can_be_forgotten(live):
    told, key = opened(live, name="Budi Santoso"), PrivateKey.generate("Ed25519")
    claimed(live, told, key)
    assert approve(live, told, approval(live, told, key)).status_code == 201
    officer = told["officer"]
    assert officer_of(live, officer, "registrar")["name"] == "Budi Santoso"
    assert officer_of(live, officer, "auditor")["name"] is None
    assert officer_of(live, officer, "registrar", "auditor", agency=small.BWS)["name"] is None
    assert officer_of(live, officer, "registrar", agency=small.BWS) is None
    path = f"/v1/officers/{officer}/name"
    assert live.http.delete(path, headers=live.headers("registrar", agency=small.BWS)).status_code == 404
    assert live.http.delete(path, headers=live.headers("registrar")).status_code == 204
    assert live.http.delete(path, headers=live.headers("registrar")).status_code == 204
    found = officer_of(live, officer, "registrar")
    assert (found["name"], found["erased"]) == (None, True)
    with live.db.read() as session:
        kept = session.exec_driver_sql("SELECT name FROM officer_name").scalars().all()
    assert "Budi Santoso" not in kept


def test_a_pseudonym_is_not_moved_to_another_agency(live):
    told = opened(live)
    answer = live.post(
        "/v1/enrolments",
        wanted(agency=small.BWS, role="PENGAWAS", officer=told["officer"]),
        "registrar",
        agency=small.BWS,
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "enrolment_state")
