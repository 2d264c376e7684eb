"""The rumour desk over HTTP: what is signed for everybody holds codes and never a stranger's sentence."""

import json

import pytest

from app.canon import b64url_decode
from app.errors import ServiceError
from app.ids import new_unit_id
from app.keys.verify import PublicKey, parse_compact, prove
from tests import small

CLAIMS = "/v1/public/claims"
FREE_TEXT = (
    "BALLOT has been printed", "<b>BALLOT</b>", "BALLOT\n", " BALLOT", "", "{of_contest}", "\u202eTOLLAB", "A" * 41, "-BALLOT",
)  # fmt: skip


def test_a_statement_is_signed_for_who_has_no_token(live):
    answer = live.http.get(CLAIMS, params={"claim": "no_unit_of_item", "item": "BALLOT", "contest": "PILGUB"})
    told = answer.json()
    assert (answer.status_code, told["holds"]) == (200, True)
    signed = json.loads(b64url_decode(told["statement"].split(".")[1]))
    assert signed == {name: value for name, value in told.items() if name != "statement"}
    assert answer.headers["cache-control"] == "public, max-age=10"


def test_a_statement_is_signed_by_the_services_own_key_for_this_purpose_alone(live):
    told = live.http.get(CLAIMS, params={"claim": "no_unit_of_item", "item": "BALLOT"}).json()
    jws = parse_compact(told["statement"], typ="custody-claim+json")
    [jwk] = [
        key["jwk"] for key in live.get("/v1/keys", "auditor").json()["items"] if key["kid"] == live.services.keys.service.kid
    ]  # fmt: skip
    prove(jws, lambda _: PublicKey.from_jwk(jwk))
    assert json.loads(jws.payload)["ledger"] == live.services.origin
    with pytest.raises(ServiceError):
        parse_compact(told["statement"], typ="custody-receipt+json")


def test_a_label_is_asked_for_as_people_write_it(live):
    label = new_unit_id(bytes(range(10)))
    written = f"{label[:4]}-{label[4:8]}-{label[8:12]}-{label[12:]}".lower()
    told = live.http.get(CLAIMS, params={"claim": "no_label", "label": written}).json()
    assert (told["holds"], told["about"]) == (True, {"label": label})
    misread = label[:-1] + ("0" if label[-1] != "0" else "1")
    assert live.http.get(CLAIMS, params={"claim": "no_label", "label": misread}).json()["code"] == "label_checksum"


@pytest.mark.parametrize("text", FREE_TEXT)
@pytest.mark.parametrize("name", ["item", "contest", "place"])
def test_free_text_is_put_into_no_statement(live, name: str, text: str):
    asked = {"claim": "no_unit_in_region" if name == "place" else "no_unit_of_item", "item": "BALLOT", name: text}
    if name == "place":
        del asked["item"]
    answer = live.http.get(CLAIMS, params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "parameter")
    assert "statement" not in answer.json()


@pytest.mark.parametrize(("asked", "missing", "unknown"), [
    ({"item": "BALLOT"}, [], ["item"]), ({"place": small.CITY, "contest": "PILGUB"}, [], ["contest", "place"]),
    ({"claim": "no_unit_of_item"}, ["item"], []), ({"claim": "no_unit_in_region", "item": "BALLOT"}, ["place"], ["item"]),
])  # fmt: skip
def test_what_a_statement_does_not_take_is_refused_and_never_passed_over(live, asked, missing, unknown):
    answer = live.http.get(CLAIMS, params=asked)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (400, "claim")
    assert (told["missing"], told["unknown"]) == (missing, unknown)


def test_what_may_be_asked_is_listed(live):
    offered = {one["claim"]: (one["needs"], one["may"]) for one in live.http.get(CLAIMS).json()["claims"]}
    assert offered == {
        "no_unit_of_item": (["item"], ["contest"]), "no_unit_outside_registered_places": ([], []),
        "no_unit_in_region": (["place"], []), "no_label": (["label"], []),
    }  # fmt: skip
