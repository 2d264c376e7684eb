"""What is wrong is said in our words: the sender's never come back."""

import json

import pytest
from pydantic import TypeAdapter

from app.canon import b64url_encode
from app.custody.events import parse_event
from app.errors import MalformedError
from app.strict import Strict, read_strict


class Inner(Strict):
    amount: int


class Outer(Strict):
    lines: tuple[Inner, ...] = ()
    unit: str = ""
    named: dict[str, int] = {}  # noqa: RUF012 - pydantic copies defaults


@pytest.mark.parametrize(
    ("value", "code", "at"),
    [
        ({"xyzzy": 1}, "shape", "*"),
        ({"lines": [{"amount": 1}, {"amount": "2"}]}, "shape", "lines.1.amount"),
        ({"lines": [{"amount": 1, "xyzzy": 2}]}, "shape", "lines.0.*"),
        ({"named": {"xyzzy": "one"}}, "shape", "named.*"),
        ({"unit": 7}, "unit_id", "unit"),
        ([], "shape", ""),
    ],
)
def test_the_first_wrong_member_is_named_without_a_word_of_the_senders(value, code, at):
    with pytest.raises(MalformedError) as caught:
        read_strict(TypeAdapter(Outer), json.dumps(value).encode(), "shape")
    assert (caught.value.code, caught.value.facts["at"]) == (code, at)
    assert "xyzzy" not in caught.value.detail


HASH = b64url_encode(bytes(32))


def payload():
    """Return a sighting that parses."""
    return {
        "v": 1, "event_id": "01932c5a-0000-7000-8000-000000000000", "type": "sighting", "ledger": "example/ledger",
        "election": "E-1", "place": "P-1", "author": HASH, "signers": {HASH: "witness"}, "units": [], "after": [],
        "at": "2024-11-26T08:00:00Z", "checkpoint": {"size": 0, "root": HASH}, "device": {"seq": 1, "prev": HASH},
        "details": {}, "private": {},
    }  # fmt: skip


@pytest.mark.parametrize("where", ["top", "details"])
def test_an_event_does_not_send_back_a_name_that_it_brought(where):
    value = payload()
    parse_event(json.dumps(value).encode())
    (value if where == "top" else value["details"])["xyzzy"] = 1
    with pytest.raises(MalformedError) as caught:
        parse_event(json.dumps(value).encode())
    assert caught.value.code == ("event_shape" if where == "top" else "details_shape")
    assert "xyzzy" not in f"{caught.value.detail}{caught.value.facts}"
