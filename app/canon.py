"""Bytes in and bytes out: strict I-JSON, strict base64url, canonical JSON, SHA-256, free text.

Ground floor. Knows the forms that signed input may take; must never know what an event, a key or a
database is. First step of the walk: nothing is trusted before `parse_json` has let it pass, because
two parsers that read the same bytes differently are two different events.

Every refusal has a code of its own: `json_too_large`, `json_encoding`, `json_depth`, `json_syntax`,
`json_duplicate_name`, `json_float`, `json_integer_range`, `json_name`, `json_text`, `base64`,
`text_form`. No message echoes input.

Spec: RFC 7493 (I-JSON), RFC 4648 section 5 (base64url), RFC 8785 (JCS); design section 5.
"""

import binascii
import hashlib
import json
import re
import unicodedata
from typing import Any, Final, NoReturn, TypeAlias

import orjson

from app.errors import MalformedError, TooLargeError

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What a parsed document may hold: there are no floats on purpose."""

MAX_DEPTH: Final = 16
MAX_INTEGER: Final = 2**53 - 1
_MAX_INTEGER_CHARACTERS: Final = len(str(-MAX_INTEGER))
_SPACE: Final = " \t\n\r"

# A string runs to its closing quote or, unterminated, to the end: possessive, so hostile quotes stay linear.
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_TO_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
# In compact JSON a number follows one of these; what looks like one inside a string only goes the long way.
# (Three patterns that begin with plain text: the matcher leaps to it, at thrice the speed of one with a choice.)
_DOUBTFUL_DIGITS: Final = rb"-?(?:[0-9]{16}|[0-9]+[.eE])"
_DOUBTFUL_MEMBER: Final = re.compile(rb'":' + _DOUBTFUL_DIGITS)
_DOUBTFUL_FIRST: Final = re.compile(rb"\[" + _DOUBTFUL_DIGITS)
_DOUBTFUL_NEXT: Final = re.compile(rb"," + _DOUBTFUL_DIGITS)
# U+0000, lone surrogates and the 66 noncharacters (RFC 7493 section 2.1; U+0000 by our own rule).
_FORBIDDEN_TEXT: Final = re.compile(
    "[\x00\ud800-\udfff\ufdd0-\ufdef"
    + "".join(chr((plane << 16) + 0xFFFE + i) for plane in range(17) for i in (0, 1))
    + "]"
)
# Controls, bidi, zero width and other invisible characters, as fixed ranges: a verdict must not
# depend on which Unicode tables a Python ships.
_UNFIT_TEXT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def parse_json(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> JsonValue:
    """Read bytes as I-JSON, or refuse them with a code that says what is wrong.

    Two parsers must accept and agree: `json` with hooks that see names and numbers, and `orjson`,
    which shares no code with it. Bytes that are the one compact spelling of their value leave nothing to disagree
    about and need one. Depth is settled before any object is built. It says nothing about
    which members a document must have.

    Args:
        data: The bytes as received.
        max_bytes: Largest length allowed.
        max_depth: Deepest nesting of arrays and objects allowed; a bare scalar has depth 0.

    Returns:
        The value; member order is that of the bytes.

    Raises:
        TooLargeError: `json_too_large`, more than `max_bytes`.
        MalformedError: `json_encoding` (not UTF-8, or a byte order mark), `json_depth`, `json_syntax`
            (also anything after the value), `json_duplicate_name`, `json_float` (fraction, exponent,
            -0, NaN, Infinity), `json_integer_range` (beyond ±(2^53-1)), `json_name` (not ASCII),
            `json_text` (U+0000, lone surrogate or noncharacter).

    Spec: RFC 7493 section 2; design section 5; security reference section 2, "Payload".
    """
    if len(data) > max_bytes:
        raise TooLargeError("The JSON text exceeds its limit.", code="json_too_large", max_bytes=max_bytes)
    many = data.count(b"{") + data.count(b"[") > max_depth
    if not many and (plain := _plain(data)) is not None:
        return plain
    text = _decode_utf8(data)
    if many:
        _refuse_depth(data, max_depth)
        if (plain := _plain(data)) is not None:
            return plain
    value = _scan(text.strip(_SPACE))
    if not text.isascii() or "\\u" in text:
        _refuse_characters(value)
    _refuse_disagreement(data, value)
    return value


def _plain(data: bytes) -> JsonValue:
    """Return the value of bytes that are plainly one value's only compact spelling, else None: a third of the cost.

    Bytes that writing the value gives again hold no repeated name, no white space and nothing after the value.
    What could still be wrong (numbers, escapes, characters) is searched for; any doubt is for the long way.
    """
    if data[:1] != b"{" or b"\\" in data or not data.isascii():
        return None
    if _DOUBTFUL_MEMBER.search(data) or _DOUBTFUL_FIRST.search(data) or _DOUBTFUL_NEXT.search(data):
        return None
    try:
        value: JsonValue = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if orjson.dumps(value) == data else None


def _decode_utf8(data: bytes) -> str:
    # UTF-16 and UTF-32 without a mark have a zero among the first two bytes, as JSON starts in ASCII.
    if b"\x00" in data[:2] or data.startswith(b"\xef\xbb\xbf"):
        raise MalformedError("JSON must be UTF-8 without a byte order mark.", code="json_encoding")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("JSON must be well-formed UTF-8.", code="json_encoding") from None


def _refuse_depth(data: bytes, max_depth: int) -> None:
    """Refuse nesting beyond `max_depth`, in linear time, without building a value.

    Strings are cut out and `{}` become `[]`; each round then removes exactly one level, the
    innermost. A pair left after `max_depth` rounds is too deep. Unpaired brackets are for the parser
    to refuse, which meets at most twice the depth on its way there.
    """
    brackets = _STRING.sub(b"", data).translate(_TO_SQUARE, _NOT_BRACKETS)
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
    opened = len(brackets) - len(brackets.lstrip(b"["))
    if opened > max_depth or b"[]" in brackets:
        raise MalformedError("JSON is nested too deeply.", code="json_depth", max_depth=max_depth)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("A JSON object repeats a name.", code="json_duplicate_name")
    return members


def _integer(digits: str) -> int:
    if digits == "-0":
        _refuse_float(digits)
    # Length first: int() of a million digits is quadratic.
    if len(digits) > _MAX_INTEGER_CHARACTERS or not -MAX_INTEGER <= (value := int(digits)) <= MAX_INTEGER:
        raise MalformedError("A JSON integer is beyond ±(2^53-1).", code="json_integer_range")
    return value


def _refuse_float(_: str) -> NoReturn:
    raise MalformedError("JSON numbers must be plain integers; scale measures.", code="json_float")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_refuse_float, parse_constant=_refuse_float
)


def _scan(text: str) -> JsonValue:
    try:
        value: JsonValue
        value, end = _DECODER.raw_decode(text)
    except ValueError:
        raise MalformedError("The bytes are not JSON.", code="json_syntax") from None
    if end != len(text):
        raise MalformedError("Something follows the JSON value.", code="json_syntax")
    return value


def _refuse_characters(value: JsonValue) -> None:
    """Walk names and strings; only called when the text has escapes or characters beyond ASCII."""
    if isinstance(value, str):
        if _FORBIDDEN_TEXT.search(value):
            raise MalformedError("JSON text holds a character I-JSON forbids.", code="json_text")
    elif isinstance(value, dict):
        for name, member in value.items():
            if not name.isascii():
                raise MalformedError("JSON member names must be ASCII.", code="json_name")
            _refuse_characters(name)
            _refuse_characters(member)
    elif isinstance(value, list):
        for item in value:
            _refuse_characters(item)


def _refuse_disagreement(data: bytes, value: JsonValue) -> None:
    try:
        agreed = bool(orjson.loads(data) == value)
    except orjson.JSONDecodeError:
        agreed = False
    if not agreed:
        raise MalformedError("The bytes are not JSON to every parser.", code="json_syntax")


_URL_TO_STANDARD: Final = bytes(
    {ord("-"): ord("+"), ord("_"): ord("/")}.get(byte, byte if chr(byte).isalnum() and byte < 128 else 0)
    for byte in range(256)
)
_STANDARD_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# By length modulo 4: the padding that is absent, and the last characters whose spare bits are zero.
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}
_LAST: Final = {0: frozenset(_ALPHABET), 2: frozenset(_ALPHABET[::16]), 3: frozenset(_ALPHABET[::4])}


def b64url_decode(text: str, *, length: int | None = None) -> bytes:
    """Decode base64url in its one canonical form, so that equal bytes mean equal text.

    Args:
        text: No padding, no white space, no foreign character, spare bits zero.
        length: Number of bytes that must come out; any number when None.

    Returns:
        The bytes; `b64url_encode` of them is `text` again.

    Raises:
        MalformedError: `base64`, not canonical or not `length` bytes.

    Spec: RFC 4648 sections 3.5 and 5; RFC 7515 section 2; ledger reference section 2.
    """
    spare = len(text) % 4
    if not text.isascii() or spare == 1 or (text and text[-1] not in _LAST[spare]):
        _refuse_base64()
    try:
        data = binascii.a2b_base64(text.encode().translate(_URL_TO_STANDARD) + _PADDING[spare], strict_mode=True)
    except binascii.Error:
        _refuse_base64()
    if length is not None and len(data) != length:
        _refuse_base64()
    return data


def _refuse_base64() -> NoReturn:
    raise MalformedError("Not canonical base64url of the expected length.", code="base64") from None


def b64url_encode(data: bytes) -> str:
    """Encode bytes as base64url without padding.

    Args:
        data: Any bytes.

    Returns:
        ASCII text that `b64url_decode` takes back.

    Spec: RFC 7515 section 2.
    """
    return binascii.b2a_base64(data, newline=False).translate(_STANDARD_TO_URL).rstrip(b"=").decode("ascii")


_JCS_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def jcs(value: JsonValue, *, check: bool = True) -> bytes:
    """Serialise what the service itself builds (leaves, commitments) as canonical JSON.

    Sorted compact JSON equals RFC 8785 exactly while names are ASCII and numbers are integers within
    ±(2^53-1). Never used on received bytes: those are hashed as they came.

    Args:
        value: The document.
        check: Refuse names and types outside that restriction. Only a caller whose value has one
            fixed shape may turn it off; integer range and lone surrogates are refused regardless.

    Returns:
        The canonical UTF-8 bytes.

    Raises:
        RuntimeError: The value is outside the restriction, which is our own mistake.

    Spec: RFC 8785 section 3.2; ledger reference section 3.
    """
    if check:
        _require_restriction(value)
    try:
        return orjson.dumps(value, option=_JCS_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise RuntimeError("canonical JSON of a value outside our restriction") from error


def _require_restriction(value: object) -> None:
    if isinstance(value, dict):
        for name, member in value.items():
            if not (isinstance(name, str) and name.isascii()):
                raise RuntimeError("canonical JSON needs ASCII names")
            _require_restriction(member)
    elif isinstance(value, list):
        for item in value:
            _require_restriction(item)
    elif not (value is None or isinstance(value, str | int)):
        raise RuntimeError("canonical JSON takes null, booleans, integers, strings, arrays, objects")


def sha256(data: bytes) -> bytes:
    """Hash bytes.

    Args:
        data: Any bytes.

    Returns:
        32 bytes.

    Spec: FIPS 180-4; the one hash of this service (design section 5).
    """
    return hashlib.sha256(data).digest()


def check_text(text: str) -> None:
    """Refuse free text that could look like something it is not; nothing is normalised.

    Line breaks and tabs count as control characters. Length is the caller's to bound.

    Args:
        text: Names, notes and other words from people.

    Raises:
        MalformedError: `text_form`, not NFC, or it holds a control, bidi, zero-width or otherwise
            invisible character.

    Spec: security reference section 2, "Payload"; UAX 15, UAX 9, UTR 36.
    """
    if _UNFIT_TEXT.search(text) or not (text.isascii() or unicodedata.is_normalized("NFC", text)):
        raise MalformedError("Text must be NFC without control or invisible characters.", code="text_form")
