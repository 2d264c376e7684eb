"""Read a leaf back: the strict inverse of `app.custody.chain.build_leaf` (pure).

Audit and the offline verifier read leaves as strangers do: bytes that are not exactly what the service would
have written are refused with a code of their own. Nothing is proven here; signatures, the tree and the rules
come after.

Spec: design section 7; ledger reference sections 3 and 13, steps 4 and 7.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import orjson

from app.canon import JsonValue, b64url_decode, b64url_encode, jcs, parse_json
from app.clock import parse_rfc3339, rfc3339_ms
from app.custody.chain import LEAF_VERSION, MAX_LEAF_BYTES, Link
from app.custody.events import Event, parse_event
from app.errors import MalformedError
from app.ids import is_unit_id
from app.keys.verify import Jws, parse_jws
from app.ledger.tree import leaf_hash
from app.quick import quick

_MEMBERS = {"v", "event", "verdict", "links", "received_at"}
_VERDICT, _VERDICT_TYPES = ("result", "code", "rules", "policy"), (str, str, int, str)
_LINK, _LINK_TYPES = ("unit", "seq", "prev"), (str, int, str)  # types exactly: True is no number
_SMALL = 2**53
_RESULTS = {"accepted", "refused", "pending", "held"}


@quick
@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """What the leaf says became of its event, under which rules version and policy."""

    result: str
    code: str
    rules: int
    policy: str


@quick
@dataclass(frozen=True, slots=True)
class Recorded:
    """A leaf as it stands: its bytes, their hash (base64url), and every part read strictly."""

    index: int
    data: bytes
    hash: str
    value: JsonValue
    jws: Jws
    event: Event
    verdict: RecordedVerdict
    links: tuple[Link, ...]
    received_ms: int

    @property
    def payload(self) -> bytes:
        """The signed bytes of the event."""
        return self.jws.payload


def read_leaf(index: int, data: bytes) -> Recorded:
    """Read leaf bytes strictly.

    Args:
        index: The leaf index, for what refers to it later.
        data: The bytes as stored or bundled.

    Raises:
        MalformedError: `leaf_canonical` when the bytes are not their own canonical form, `leaf_version`,
            `leaf_shape`, `signature_set`, or any code of the parsers of JSON, envelope and event.
        TooLargeError: More than 65,535 bytes, or a payload over 16 KiB.
    """
    plain = _plain(data)
    try:
        return _read(index, data, _strict(data) if plain is None else plain)
    except MalformedError:
        if plain is not None:
            _strict(data)  # where it refuses these bytes, too, its code says more
        raise


def _read(index: int, data: bytes, value: dict[str, Any]) -> Recorded:
    if value.get("v") != LEAF_VERSION or isinstance(value.get("v"), bool):
        _refuse("leaf_version", "The leaf is of a version that this verifier does not know.")
    if set(value) != _MEMBERS:
        _refuse("leaf_shape", "A leaf has exactly v, event, verdict, links and received_at.")
    jws = parse_jws(value["event"])
    event = parse_event(jws.payload)
    if {s.kid for s in jws.signatures} != set(event.body.signers):
        _refuse("signature_set", "The signatures are not exactly those that the event names.")
    verdict, links = _verdict(value["verdict"]), _links(value["links"], event.body.units)
    if links and verdict.result != "accepted":
        _refuse("leaf_shape", "Only what was accepted continues a unit's chain.")
    received_ms = _received(value["received_at"])
    digest = b64url_encode(leaf_hash(data))
    return Recorded(index, data, digest, value["event"], jws, event, verdict, links, received_ms)


def _strict(data: bytes) -> dict[str, JsonValue]:
    value = parse_json(data, max_bytes=MAX_LEAF_BYTES)
    if not isinstance(value, dict):
        _refuse("leaf_shape", "A leaf is a JSON object.")
    if jcs(value, check=False) != data:
        _refuse("leaf_canonical", "The leaf is not in canonical form.")
    return value


def _plain(data: bytes) -> dict[str, JsonValue] | None:
    """Return a leaf as nearly all are, or None on any doubt: it is read in one go, and means what `_strict` says.

    Bytes that writing the value in canonical form gives again hold no repeated name and nothing beside the value. The
    numbers of a leaf stand in few places, where their type and size are looked at; all else is text without escapes.
    """
    if len(data) > MAX_LEAF_BYTES or not data.isascii() or b"\\" in data:
        return None
    try:
        value = orjson.loads(data)
        is_plain = (
            orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == data
            and value.keys() == _MEMBERS
            and type(value["v"]) is int
            and 0 < value["verdict"]["rules"] < _SMALL
            and all(0 < link["seq"] < _SMALL for link in value["links"])
            and _is_text(value["event"])
        )
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return None
    return value if is_plain else None


def _is_text(event: dict[str, Any]) -> bool:
    """Say whether an envelope holds texts alone."""
    lines = event["signatures"]
    return type(event["payload"]) is str and all(map(_is_str, [text for line in lines for text in line.values()]))


def _is_str(value: object) -> bool:
    return type(value) is str


def _refuse(code: str, detail: str) -> NoReturn:
    raise MalformedError(detail, code=code)


def _verdict(value: JsonValue) -> RecordedVerdict:
    told: tuple[Any, ...] = (
        tuple(map(value.get, _VERDICT)) if isinstance(value, dict) and len(value) == len(_VERDICT) else ()
    )
    if tuple(map(type, told)) != _VERDICT_TYPES or told[0] not in _RESULTS:
        _refuse("leaf_shape", "The verdict of the leaf is not one.")
    return _remembered(*told)


@lru_cache(maxsize=1024)
def _remembered(result: str, code: str, rules: int, policy: str) -> RecordedVerdict:
    """Return one verdict for all that are the same: most leaves of a ledger have one of few."""
    return RecordedVerdict(result, code, rules, policy)


def _links(value: JsonValue, named: Collection[str]) -> tuple[Link, ...]:
    """Read links; the units that the event itself names were looked at with it."""
    if not isinstance(value, list):
        _refuse("leaf_shape", "The links of a leaf are a list.")
    links = tuple(_link(each, named) for each in value)
    if len({link.unit for link in links}) != len(links):
        _refuse("leaf_shape", "A leaf links a unit once.")
    return links


def _link(value: JsonValue, named: Collection[str]) -> Link:
    told: tuple[Any, ...] = tuple(map(value.get, _LINK)) if isinstance(value, dict) and len(value) == len(_LINK) else ()
    if tuple(map(type, told)) == _LINK_TYPES:
        unit, seq, prev = told
        b64url_decode(prev, length=32)
        if (unit in named or is_unit_id(unit)) and seq >= 1:
            return Link(unit, seq, prev)
    _refuse("leaf_shape", "A link is a unit, a number from 1 and a leaf hash.")


def _received(value: JsonValue) -> int:
    if not isinstance(value, str):
        _refuse("leaf_shape", "The time of receipt is text.")
    received_ms = parse_rfc3339(value)
    if rfc3339_ms(received_ms) != value:
        _refuse("leaf_shape", "The time of receipt is UTC with milliseconds.")
    return received_ms
