"""What a leaf says, as rows of few well-typed columns for analysis (pure).

Every value comes from the leaf alone, apart from officer and agency: those belong to the author's key, which an
earlier leaf enrolled (`Authors`). So whoever has the leaves can make the rows again and compare them. Codes, ids,
hashes and times; no details that people wrote, and nothing of private contents, whose leaves hold commitments only.

What the rules concluded later (an outcome, a retraction, a discrepancy) is not beside the event: it would change rows
of a day that is over. An outcome is a row of its own, of type `verdict`, whose `about` names the event.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

import orjson

from app.canon import b64url_decode, b64url_encode, sha256
from app.clock import parse_rfc3339
from app.errors import MalformedError
from app.keys.verify import PublicKey
from app.ledger.tree import leaf_hash

Kind: TypeAlias = Literal["text", "word", "int", "time"]
"""`word` is text of few different values; `time` is UTC milliseconds."""
Row: TypeAlias = tuple[Any, ...]
DAY_MS: Final = 86_400_000
_ABOUT: Final = ("release", "event", "target")
_HASH_CHARACTERS: Final = 43
_MAY_COME_IN: Final = frozenset({"accepted", "pending", "held"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, what it holds, and whether it may be absent."""

    name: str
    kind: Kind
    optional: bool = False


TABLES: Final[dict[str, tuple[Column, ...]]] = {
    "events": (
        Column("leaf_index", "int"), Column("leaf_hash", "text"), Column("event", "text"), Column("event_id", "text"),
        Column("type", "word"), Column("result", "word"), Column("code", "word"), Column("rules", "int"),
        Column("author", "word"), Column("officer", "word"), Column("agency", "word"), Column("election", "word"),
        Column("place", "word"), Column("claimed_at", "time"), Column("received_at", "time"),
        Column("about", "text", optional=True), Column("outcome", "word", optional=True), Column("signatures", "int"),
    ),
    "event_units": (Column("leaf_index", "int"), Column("unit", "text"), Column("seq", "int", optional=True)),
    "units": (
        Column("leaf_index", "int"), Column("unit", "text"), Column("item", "word"),
        Column("contest", "word", optional=True), Column("district", "word", optional=True),
        Column("quantity", "int"), Column("destination", "word", optional=True),
    ),
    "handovers": (
        Column("leaf_index", "int"), Column("release", "text"), Column("from_place", "word"),
        Column("to_agency", "word"), Column("to_place", "word"), Column("to_officer", "word", optional=True),
        Column("due_at", "time"),
    ),
}  # fmt: skip
"""The tables and their columns. A change of any of it is a new version of the manifest."""


def rows_of(index: int, data: bytes, author: tuple[str, str]) -> dict[str, list[Row]]:
    """Return the rows that a leaf gives, by table.

    Args:
        index: Its index.
        data: Its bytes, of which somebody has proven that they are the ledger's.
        author: Officer and agency of its event's author.

    Raises:
        MalformedError: The bytes are no leaf.
    """
    try:
        return _rows(index, data, author)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise MalformedError("A leaf cannot be read.", code="leaf_shape") from None


def received_ms(data: bytes) -> int:
    """Return when a leaf's event was received, UTC milliseconds.

    Args:
        data: The bytes of the leaf, as for `rows_of`.

    Raises:
        MalformedError: The bytes are no leaf.
    """
    try:
        return parse_rfc3339(orjson.loads(data)["received_at"])
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise MalformedError("A leaf cannot be read.", code="leaf_shape") from None


def day_of(at_ms: int) -> str:
    """Return the day of a time, UTC, as it stands in the name of a folder."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).date().isoformat()


def _rows(index: int, data: bytes, author: tuple[str, str]) -> dict[str, list[Row]]:
    leaf = orjson.loads(data)
    payload = b64url_decode(leaf["event"]["payload"])
    body, verdict = orjson.loads(payload), leaf["verdict"]
    event, details, kind = b64url_encode(sha256(payload)), body["details"], body["type"]
    about = next((name for name in map(details.get, _ABOUT) if _is_hash(name)), None)
    seqs = {link["unit"]: link["seq"] for link in leaf["links"]}
    found: dict[str, list[Row]] = {"units": [], "handovers": []}
    found["events"] = [(
        index, b64url_encode(leaf_hash(data)), event, body["event_id"], kind, verdict["result"], verdict["code"],
        verdict["rules"], body["author"], *author, body["election"], body["place"], parse_rfc3339(body["at"]),
        parse_rfc3339(leaf["received_at"]), about, details["result"] if kind == "verdict" else None,
        len(leaf["event"]["signatures"]),
    )]  # fmt: skip
    found["event_units"] = [(index, unit, seqs.get(unit)) for unit in dict.fromkeys([*body.get("units", ()), *seqs])]
    if kind == "unit.commission":
        found["units"] = [
            (
                index, line["unit"], line["item"], line.get("contest"), line.get("district"), line.get("quantity", 1),
                line.get("destination"),
            )
            for line in details["lines"] if line["act"] == "bind"
        ]  # fmt: skip
    if kind == "custody.release":
        found["handovers"] = [(
            index, event, body["place"], details["to_agency"], details["to_place"], details.get("to_officer"),
            parse_rfc3339(details["due_by"]),
        )]  # fmt: skip
    return found


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == _HASH_CHARACTERS


class Authors:
    """Officer and agency of every key, as the leaves before bring them in; takes the leaves in order.

    It believes verdicts as they stand: whether they are right is for `custody ledger verify`. A refused event brings in
    nothing, whatever it holds; nor does a key that is not sound, which no rule lets in.
    """

    def __init__(self) -> None:
        """Start before the genesis."""
        self._known: dict[str, tuple[str, str]] = {}
        self._waiting: dict[str, list[tuple[str, str, str]]] = {}

    def take(self, data: bytes) -> tuple[str, str]:
        """Take the next leaf; return officer and agency of its event's author, empty where no leaf names the key.

        Raises:
            MalformedError: The bytes are no leaf.
        """
        try:
            leaf = orjson.loads(data)
            payload = b64url_decode(leaf["event"]["payload"])
            body, result = orjson.loads(payload), leaf["verdict"]["result"]
            known = self._known.get(body["author"], ("", ""))
            if body["type"] == "verdict":
                self._settle(body["details"]["event"], body["details"]["result"], result)
                return known
            brought = list(_brought(body["type"], body["details"])) if result in _MAY_COME_IN else []
            if result == "accepted":
                self._let_in(brought)
            elif brought:
                self._waiting[b64url_encode(sha256(payload))] = brought
            return self._known.get(body["author"], known) if body["type"] == "ledger.genesis" else known
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise MalformedError("A leaf cannot be read.", code="leaf_shape") from None

    def _settle(self, event: str, outcome: str, result: str) -> None:
        if result == "accepted":
            brought = self._waiting.pop(event, [])
            self._let_in(brought if outcome == "accepted" else [])

    def _let_in(self, brought: list[tuple[str, str, str]]) -> None:
        for kid, officer, agency in brought:
            self._known.setdefault(kid, (officer, agency))


def _brought(kind: str, told: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield key id, officer and agency of the keys that an event brings in; unsound ones are left out."""
    for jwk, officer, agency in _named(kind, told):
        with suppress(MalformedError):
            key = PublicKey.from_jwk({name: part for name, part in jwk.items() if part is not None})
            yield key.kid, officer, agency


def _named(kind: str, told: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    if kind == "key.enrol":
        yield told["jwk"], told["officer"], told["agency"]
    elif kind == "agency.join":
        yield told["jwk"], f"ROOT-{told['agency']}", told["agency"]
    elif kind == "founders.change":
        for founder in told.get("add", ()):
            yield founder["jwk"], founder["officer"], founder["agency"]
    elif kind == "ledger.genesis":
        for founder in told["administrators"]:
            yield founder["jwk"], founder["officer"], founder["agency"]
        for agency in told.get("agencies", ()):
            yield agency["jwk"], f"ROOT-{agency['agency']}", agency["agency"]
        yield told["service_key"], "SERVICE", "SERVICE"
