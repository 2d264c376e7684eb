"""The short way through `parse_json` gives what the long way gives, for whatever bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import canon
from app.errors import ServiceError

NAMES = st.sampled_from(["a", "b", "aa", "é", "-1", "1.5", ",1e5", 'q"'])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=6),
    st.sampled_from(["2024-10-20T00:25:00.000Z", ":1.5", "[-0", "9007199254740993"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=12
)


def outcome(data, monkeypatch, *, short):
    with monkeypatch.context() as patch:
        if not short:
            patch.setattr(canon, "_plain", lambda _: None)
        try:
            return canon.parse_json(data, max_bytes=4096)
        except ServiceError as error:
            return error.code


@given(value=st.dictionaries(NAMES, VALUES, max_size=4), compact=st.booleans(), ascii_only=st.booleans())
def test_written_values(value, compact, ascii_only):
    separators = (",", ":") if compact else None
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    same(text.encode("utf-8", "surrogatepass"))


@given(parts=st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"a"', b'"b"', b":", b",", b"0", b"-0", b"1", b"1.0",
                                       b"1e2", b"-", b"9007199254740991", b"9007199254740992", b"true", b"null", b" ",
                                       b'"\\u0000"', b'"\x7f"', b"\xc3\xa9", b"\x00"]), max_size=14))  # fmt: skip
def test_rubble(parts):
    same(b"{" + b"".join(parts) + b"}")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":1,"a":1}', "json_duplicate_name"),
        (b'{"a":1.0}', "json_float"),
        (b'{"a":[1e2]}', "json_float"),
        (b'{"a":-0}', "json_float"),
        (b'{"a":9007199254740992}', "json_integer_range"),
        (b'{"a":99999999999999999999999}', "json_integer_range"),
        (b'{"a":1} x', "json_syntax"),
        (b'{"a":1}{"a":1}', "json_syntax"),
        (b'{"a":9007199254740991}', {"a": 2**53 - 1}),
        (b'{"a":"x:1.5"}', {"a": "x:1.5"}),
        (b"{}", {}),
    ],
)
def test_known_answers(data, expected):
    try:
        assert canon.parse_json(data, max_bytes=100) == expected
    except ServiceError as error:
        assert error.code == expected  # noqa: PT017 - one table for both kinds of answer
    same(data)


def same(data):
    patch = pytest.MonkeyPatch()
    assert repr(outcome(data, patch, short=True)) == repr(outcome(data, patch, short=False))
