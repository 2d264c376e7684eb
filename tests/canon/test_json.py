"""The strict JSON parser: named hostile forms, named good forms, and anything at all."""

import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canon import MAX_INTEGER, parse_json
from app.errors import MalformedError, TooLargeError

VECTORS = Path(__file__).parent.parent / "vectors" / "json"
LIMIT = 64 * 1024


def cases(name: str) -> list[Any]:
    listed = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return [pytest.param(case, id=case["name"]) for case in listed]


def data_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["hex"]) if "hex" in case else case["text"].encode()


@pytest.mark.parametrize("case", cases("refused"))
def test_each_hostile_form_is_refused_with_its_own_code(case: dict[str, Any]) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_json(data_of(case), max_bytes=LIMIT)
    assert caught.value.code == case["code"]


@pytest.mark.parametrize("case", cases("accepted"))
def test_each_good_form_is_read_as_every_parser_reads_it(case: dict[str, Any]) -> None:
    assert parse_json(data_of(case), max_bytes=LIMIT) == case["value"] == orjson.loads(data_of(case))


def test_plain_parsers_would_let_hostile_forms_pass() -> None:
    """The negative control: without our parser these forms reach the rules."""
    passed = 0
    for case in json.loads((VECTORS / "refused.json").read_text())["cases"]:
        try:
            json.loads(data_of(case))
            passed += 1
        except (ValueError, RecursionError):
            continue
    assert passed >= 25


def test_names_of_hostile_forms_are_unique() -> None:
    names = [case.id for case in cases("refused") + cases("accepted")]
    assert len(set(names)) == len(names)


def test_one_byte_too_many_is_too_large() -> None:
    assert parse_json(b"[1,2]", max_bytes=5) == [1, 2]
    with pytest.raises(TooLargeError) as caught:
        parse_json(b"[1,2] ", max_bytes=5)
    assert (caught.value.code, caught.value.facts) == ("json_too_large", {"max_bytes": 5})


@pytest.mark.parametrize("depth", range(1, 6))
def test_depth_is_exact_at_any_limit(depth: int) -> None:
    assert parse_json(b"[" * depth + b"]" * depth, max_bytes=LIMIT, max_depth=depth) is not None
    with pytest.raises(MalformedError, match="deep"):
        parse_json(b"[" * (depth + 1) + b"]" * (depth + 1), max_bytes=LIMIT, max_depth=depth)


def test_a_scalar_has_depth_zero() -> None:
    assert parse_json(b'"["', max_bytes=LIMIT, max_depth=1) == "["
    assert parse_json(b"7", max_bytes=LIMIT, max_depth=0) == 7


@pytest.mark.parametrize(
    "data",
    [
        b"9" * 2_000_000,
        b'["' + b'\\"' * 1_000_000,
        b"[" * 2_000_000,
        b"]" * 2_000_000,
        b'"[' * 1_000_000,
        (b"[" * 17 + b"]" * 17) * 60_000,
    ],
    ids=["digits", "escaped quotes", "opening", "closing", "quoted", "towers"],
)
def test_two_hostile_megabytes_cost_linear_time(data: bytes) -> None:
    """Linear is about 0.1 s; quadratic would be hours, so a generous bound never flickers."""
    started = time.process_time()
    with pytest.raises(MalformedError):
        parse_json(data, max_bytes=len(data))
    assert time.process_time() - started < 20


def test_refusals_never_echo_input() -> None:
    with pytest.raises(MalformedError) as caught:
        parse_json(b'{"secret-name": sekrit}', max_bytes=LIMIT)
    assert "se" + "krit" not in str(caught.value)
    assert caught.value.__suppress_context__


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
GOOD = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT.filter(lambda t: "\ufffe" not in t),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
FRAGMENTS = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        '"a"',
        '"b"',
        '"',
        "\\",
        "\\u",
        "d800",
        "0000",
        "1",
        "-0",
        "1.5",
        "1e9",
        "9" * 20,
        "true",
        "null",
        "NaN",
        "-Infinity",
        " ",
        "\n",
        "\x00",
        "\ufeff",
        "\uffff",
        "é",
        "😀",
        "/**/",
    ]
)


def parses(data: bytes) -> bool:
    try:
        parse_json(data, max_bytes=LIMIT)
    except (MalformedError, TooLargeError):
        return False
    return True


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    parses(data)


@given(st.lists(FRAGMENTS, max_size=24).map("".join))
@settings(deadline=None, max_examples=600)
def test_what_passes_is_strict_for_every_parser(text: str) -> None:
    data = text.encode()
    if parses(data):
        assert parse_json(data, max_bytes=LIMIT) == json.loads(data) == orjson.loads(data)


@given(GOOD, st.booleans())
@settings(deadline=None, max_examples=300)
def test_every_value_in_the_restriction_comes_back(value: Any, ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    forbidden = any(
        ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF for c in json.dumps(value, ensure_ascii=False)
    )
    if forbidden:
        assert not parses(data)
    else:
        assert parse_json(data, max_bytes=LIMIT) == value


@given(GOOD, st.data())
@settings(deadline=None, max_examples=300)
def test_a_broken_byte_raises_nothing_else(value: Any, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(value).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    parses(bytes(raw))
