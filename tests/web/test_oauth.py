"""Tokens: who gets one, what it opens, and when it ends."""

import base64
import time

import pytest

from app.canon import b64url_decode, b64url_encode
from app.keys.clients import add_client
from app.keys.signing import PrivateKey
from tests import small
from tests.web.live import ASSERTION_TYPE, assertion, by_assertion


def ask(live, form, **headers):
    return live.http.post("/oauth/token", data=form, headers=headers)


def bearer(answer):
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_an_enrolled_key_gets_a_token_that_opens_its_doors(live, alg):
    phone = live.house.enrol(f"OFF-{alg}", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"), alg=alg)
    answer = ask(live, by_assertion(assertion(phone.key, live.house.origin)))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 3600, "field operator")
    assert answer.headers["cache-control"] == "no-store"
    assert live.http.get("/v1/agencies", headers=bearer(answer)).status_code == 200
    assert live.http.get("/v1/officers", headers=bearer(answer)).status_code == 403


def test_the_endpoints_own_address_is_an_audience_too(live, officer):
    audience = [f"{live.http.base_url}".rstrip("/") + "/oauth/token", "https://else.where"]
    assert ask(live, by_assertion(assertion(officer.key, audience))).status_code == 200


def test_a_scope_narrows_and_never_widens(live, officer):
    narrow = ask(live, by_assertion(assertion(officer.key, live.house.origin), scope="field"))
    assert narrow.json()["scope"] == "field"
    wide = ask(live, by_assertion(assertion(officer.key, live.house.origin), scope="field auditor"))
    assert (wide.status_code, wide.json()["error"]) == (400, "invalid_scope")


NOW = int(time.time())
BENT = {
    "wrong aud": {"aud": "https://evil.example/oauth/token"},
    "no aud": {"aud": None},
    "aud of another host": {"aud": "http://localhost/oauth/token"},
    "expired": {"exp": NOW - 5},
    "too long": {"exp": NOW + 3600},
    "no exp": {"exp": None},
    "exp a text": {"exp": str(NOW + 60)},
    "exp true": {"exp": True},
    "not yet": {"nbf": NOW + 3000},
    "from the future": {"iat": NOW + 3000},
    "iat a text": {"iat": "now"},
    "other issuer": {"iss": "somebody"},
    "other subject": {"sub": "A" * 43},
    "no jti": {"jti": None},
    "short jti": {"jti": "x"},
    "alg none": {"header": {"alg": "none"}},
    "alg HS256": {"header": {"alg": "HS256"}},
    "alg of another curve": {"header": {"alg": "ES256"}},
    "typ of an event": {"header": {"typ": "custody-event+json"}},
    "a key in the header": {"header": {"jwk": {"kty": "OKP"}}},
    "a critical header": {"header": {"crit": ["exp"]}},
}


@pytest.mark.parametrize("bent", BENT.values(), ids=BENT)
def test_a_bent_assertion_is_401(live, officer, bent):
    changes = dict(bent)
    audience = changes.pop("aud", live.house.origin)
    answer = ask(live, by_assertion(assertion(officer.key, audience, **changes)))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert set(answer.json()) == {"error", "error_description"}


def test_an_assertion_counts_once(live, officer):
    text = assertion(officer.key, live.house.origin)
    assert ask(live, by_assertion(text)).status_code == 200
    assert ask(live, by_assertion(text)).json()["error_description"] == "The assertion was used before."


def test_a_stranger_and_a_forged_signature_are_401(live, officer):
    stranger = PrivateKey.generate("Ed25519")
    assert ask(live, by_assertion(assertion(stranger, live.house.origin))).status_code == 401
    head, claims, signature = assertion(officer.key, live.house.origin).split(".")
    other = b64url_encode(b64url_decode(claims).replace(b'"exp"', b'"nbf"'))
    assert ask(live, by_assertion(f"{head}.{other}.{signature}")).status_code == 401
    forged = b64url_encode(bytes(64))
    assert ask(live, by_assertion(f"{head}.{claims}.{forged}")).status_code == 401


def test_the_servers_own_keys_and_agency_roots_get_none(live):
    assert ask(live, by_assertion(assertion(live.services.keys.service, live.house.origin))).status_code == 401


def test_a_revoked_key_loses_its_tokens_at_once_and_gets_no_more(live):
    phone = live.house.enrol("OFF-LOST", small.KPU, "LOGISTIK", small.CITY, access=("field",))
    given = ask(live, by_assertion(assertion(phone.key, live.house.origin)))
    assert live.http.get("/v1/agencies", headers=bearer(given)).status_code == 200
    author = live.house.founders[0]
    revoke = author.sign(
        "key.revoke", {"kid": phone.kid, "reason": "lost"}, at_ms=live.house.tick(), capacity="approver"
    )
    live.ok(revoke)
    assert live.http.get("/v1/agencies", headers=bearer(given)).status_code == 401
    assert ask(live, by_assertion(assertion(phone.key, live.house.origin))).status_code == 401


def test_an_expired_token_opens_nothing(live, officer):
    given = ask(live, by_assertion(assertion(officer.key, live.house.origin)))
    clock = live.services.clock
    later = clock.now_ms() + 3_600_001

    class Later:
        def now_ms(self):
            return later

    live.services.clock = Later()
    try:
        assert live.http.get("/v1/agencies", headers=bearer(given)).json()["code"] == "credentials"
    finally:
        live.services.clock = clock


# -- secrets ---------------------------------------------------------------------------------------------


def basic(name, secret):
    return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()


def test_a_clients_secret_gets_a_token(live):
    with live.db.write() as session:
        client, secret = add_client(session, live.services.ledger_id, small.BWS, ["auditor"], small.CITY)
    form = {"grant_type": "client_credentials"}
    given = ask(live, form, Authorization=basic(client.client, secret))
    assert given.status_code == 200
    assert live.http.get("/v1/discrepancies", headers=bearer(given)).status_code == 200
    for wrong in (basic(client.client, "x"), basic("client-none", secret), basic("", ""), "Basic !", "Basic"):
        refused = ask(live, form, Authorization=wrong)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), wrong
        assert refused.headers["www-authenticate"].startswith("Basic")


def test_a_secret_is_kept_as_a_hash_only(live):
    with live.db.write() as session:
        client, secret = add_client(session, live.services.ledger_id, small.BWS, ["auditor"])
    assert secret.encode() not in client.secret_hash
    assert len(client.secret_hash) == 32


FORMS = {
    "another grant": ({"grant_type": "password"}, "unsupported_grant_type"),
    "no grant": ({"x": "y"}, "unsupported_grant_type"),
    "nothing to prove": ({"grant_type": "client_credentials"}, "invalid_request"),
    "a secret in the body": (
        {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"}, "invalid_request",
    ),
    "another kind of assertion": (
        {"grant_type": "client_credentials", "client_assertion_type": "saml", "client_assertion": "x"}, "invalid_request",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("form", "error"), FORMS.values(), ids=FORMS)
def test_a_request_of_another_kind_is_400_in_oauths_shape(live, form, error):
    answer = ask(live, form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_two_proofs_at_once_are_400(live, officer):
    form = by_assertion(assertion(officer.key, live.house.origin))
    assert ask(live, form, Authorization=basic("a", "b")).json()["error"] == "invalid_request"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&a=2", b"grant_type", b"&".join([b"a=b"] * 30), b""])
def test_a_form_that_cannot_be_read_is_400(live, body):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = live.http.post("/oauth/token", content=body, headers=kind)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_request", "unsupported_grant_type"}


def test_json_is_no_form(live):
    answer = live.http.post("/oauth/token", json={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_assertion_type_is_rfc_7523s():
    assert ASSERTION_TYPE.endswith("client-assertion-type:jwt-bearer")
