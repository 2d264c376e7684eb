"""The rumour desk over HTTP: what is signed for everybody holds codes and never a stranger's sentence."""

import json

import pytest

from app.canon import b64url_decode
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
    assert {one["claim"] for one in live.http.get(CLAIMS).json()["claims"]} >= {"no_unit_of_item", "no_label"}
