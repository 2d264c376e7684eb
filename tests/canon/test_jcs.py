"""Canonical JSON against an independent RFC 8785 implementation, hashing, and the form of free text."""

import datetime as dt
import json
import unicodedata
import uuid
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canon import MAX_INTEGER, check_text, jcs, parse_json, sha256
from app.errors import MalformedError

NAMES = st.text(st.characters(max_codepoint=127), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
@settings(deadline=None, max_examples=500)
def test_it_equals_rfc_8785_within_the_restriction(value: Any) -> None:
    assert jcs(value) == jcs(value, check=False) == rfc8785.dumps(value)


@given(VALUES)
@settings(deadline=None)
def test_it_is_a_fixed_point(value: Any) -> None:
    assert jcs(json.loads(jcs(value))) == jcs(value)


def test_names_are_sorted_and_space_is_gone() -> None:
    value = parse_json(b'{ "b" : [1, {"z":null,"y":true}], "a":"\\u20ac\\n\\u001f/", "B":-7 }', max_bytes=100)
    assert jcs(value) == '{"B":-7,"a":"€\\n\\u001f/","b":[1,{"y":true,"z":null}]}'.encode()


@pytest.mark.parametrize(
    "value",
    [
        *(1.0, float("nan"), {"ä": 1}, {1: 2}, [{"a": {"😀": 1}}], (1, 2), b"bytes", {"a": {1, 2}}),
        *(uuid.UUID(int=0), dt.datetime(2024, 2, 14, tzinfo=dt.UTC), dt.date(2024, 2, 14)),
    ],
    ids=repr,
)
def test_what_lies_outside_the_restriction_is_our_own_mistake(value: Any) -> None:
    with pytest.raises(RuntimeError):
        jcs(value)


@pytest.mark.parametrize("value", [MAX_INTEGER + 1, -MAX_INTEGER - 1, [2**64], "\ud800", {"a": "\udfff"}], ids=repr)
@pytest.mark.parametrize("check", [True, False])
def test_ranges_hold_even_without_the_walk(value: Any, check: bool) -> None:
    with pytest.raises(RuntimeError):
        jcs(value, check=check)


def test_sha256_of_nothing() -> None:
    assert sha256(b"").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    "text", ["", "Kecamatan Bontang Utara", "Ni Lúh Ayu", "ꦲꦸ", "投票箱", "🗳 kotak 3/7", "O'Neil – (2)"]
)
def test_ordinary_text_passes(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "e\u0301",
            "a\nb",
            "a\tb",
            "\x00",
            "\x7f",
            "\x85",
            "a\u202eb",
            "\u2066a\u2069",
            "\u200e",
            "\u061c",
            "a\u200bb",
        ),
        *(
            "a\u200db",
            "\u2060",
            "\ufeffa",
            "so\xadft",
            "\u2028",
            "\u3164",
            "\U000e0041",
            "\ud800",
            "\u212b",
            "\u180e",
        ),
    ],
    ids=ascii,
)
def test_text_that_could_deceive_is_refused(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        check_text(text)
    assert caught.value.code == "text_form"


def test_every_control_and_format_character_that_hides_or_turns_text_is_refused() -> None:
    """Of the format characters only visible ones pass: Arabic, Syriac and Kaithi number signs."""
    passed = set()
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            try:
                check_text(chr(code))
                passed.add(unicodedata.name(chr(code)))
            except MalformedError:
                continue
    assert all(name.split()[0] in {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"} for name in passed)


@given(st.text())
@settings(deadline=None, max_examples=300)
def test_what_passes_is_nfc(text: str) -> None:
    try:
        check_text(text)
    except MalformedError:
        return
    assert unicodedata.normalize("NFC", text) == text
