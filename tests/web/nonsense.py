"""Details of events that have the right shape and fit nothing: drawn from the models' own JSON schemas.

What they name is mostly there (units, seals, events, places, keys) and mostly of the kind that is asked for: an
incident by the hash of a report, a contest by the name of one. So the rules are reached, and not only what stands
before them. Where the parts of an event must agree (a list and its hash, a plan and its opening), half of them do.
"""

import json
import random
import re
import secrets
from collections.abc import Callable
from typing import Any

from app.canon import b64url_encode
from app.cli.phone import ids_commitment
from app.custody.events import TYPES
from app.custody.found import public_jwk
from app.custody.inspections import InspectionOpen, plan_commitment
from app.ids import new_unit_id
from app.keys.signing import PrivateKey
from tests import small

HASH, UNIT = "^[A-Za-z0-9_-]{43}$", "^[0-9A-HJKMNP-TV-Z]{17}$"
TIMES = (
    "2024-12-20T12:00:00+08:00", "2024-10-20T09:00:00+08:00", "2024-02-31T00:00:00Z", "2024-10-25T24:00:00Z",
    "2099-12-31T23:59:59.999+14:00", "2024-10-25T10:00:60Z", "2000-01-01T00:00:00Z", "2024-10-25T10:00:00+99:99",
    "2024-13-01T00:00:00Z", "2024-10-25T10:00:00-00:00",
)  # fmt: skip
NUMBERS = (0, 1, 2, 7, 100, 2**31 - 1, 2**31)
SEEDS_OF_TEXT = ("A", "WET", "KT-1", "KT-2", "P-1/2024", "BA 1", "A" * 40, "x" * 128, "KPU/BOX/17", "A.b:c_d-e", "role")
CODES = (
    small.KPU, small.POS, small.POL, small.BWS, small.WAREHOUSE, small.PPK, small.TPS1, small.TPS2, small.TRUCK,
    small.BURN, small.HUB, small.ELECTION, "PILGUB", "PILWALI", "BALLOT", "BOX_TPS", "LOAD", "BOOTH", "DAPIL-1", "64",
    "LOGISTIK", "KPPS", "B-KPU-1", "B-BWS-1", "NOBODY",
)  # fmt: skip
PLACES, AGENCIES = (small.WAREHOUSE, small.PPK, small.TPS1, small.TRUCK, small.BURN), (small.KPU, small.POS, small.POL)
OF_THE_NAME = {
    "contest": ("PILGUB", "PILWALI"), "item": ("BALLOT", "BOX_TPS", "LOAD", "BOOTH"), "items": ("BALLOT", "BOX_TPS"),
    "district": ("64", "DAPIL-1"), "election": (small.ELECTION,), "agency": AGENCIES, "to_agency": AGENCIES,
    "owner": AGENCIES, "place": PLACES, "to_place": PLACES, "destination": (small.TPS1, small.TPS2),
}  # fmt: skip
"""What a code is when it is what the member's name says."""
BEGUN_BY = {
    "release": ("custody.release",), "incident": ("incident.report",), "plan": ("inspection.plan",),
    "inspection": ("inspection.open", "inspection.plan"), "of": ("inspection.open", "inspection.plan"),
}  # fmt: skip
"""The types of event that a member of this name refers to."""
SALT = b64url_encode(bytes(32))
SURPRISE: dict[str, Any] = {
    "kind": "surprise", "inventory": {"n": 2, "hash": SALT}, "confidence": 95, "rate": 10, "salt": SALT,
}  # fmt: skip
COMMITMENT = plan_commitment(
    SALT, small.WAREHOUSE, small.ELECTION, InspectionOpen.model_validate_json(json.dumps(SURPRISE))
)


class Nonsense:
    """Draws details for one ledger, and knows what may be named there."""

    def __init__(
        self, rng: random.Random, units: list[str], bound: int, documents: list[str], kids: list[str], spares: list[str]
    ) -> None:
        """Know what is there to name.

        Args:
            rng: Where everything is drawn from.
            units: Ids of labels.
            bound: How many of them, from the first, are on goods.
            documents: Hashes of documents.
            kids: Keys of everybody.
            spares: Keys that may end; without the others nobody would be left to speak.
        """
        self.rng = rng
        self.units = units
        self.ids_hash = ids_commitment(units)
        self.events: list[str] = []
        self.size = 0
        self._bound, self._documents, self._kids, self._spares = bound, documents, kids, spares
        self._by_type: dict[str, list[str]] = {}
        self._of_spares: list[str] = []
        self._guesses: list[str] = []
        self._drawn_for = ""
        self._agreeing: dict[str, Callable[[dict[str, Any]], None]] = {
            "labels.issue": self._list_of_ids, "custody.accept": self._scan, "inspection.plan": self._hidden,
            "inspection.open": self._revealed, "inspection.close": self._summed,
        }  # fmt: skip

    def remember(self, type_: str, event: str, author: str, size: int) -> None:
        """Let an event be named by later ones, and the leaves of a tree of this size."""
        self.events = [*self.events[-80:], event]
        self._by_type.setdefault(type_, []).append(event)
        if author in self._spares:
            self._of_spares.append(event)
        self.size = size

    def details(self, type_: str) -> dict[str, Any]:
        """Draw details of a type."""
        schema = TYPES[type_].details.model_json_schema()
        self._drawn_for = type_
        details: dict[str, Any] = self._value(schema, schema.get("$defs", {}), "")
        if type_ in self._agreeing and self.rng.random() < 0.5:
            self._agreeing[type_](details)
        return details

    def code(self, name: str = "") -> str:
        """Draw a code, mostly of the kind that a member of this name holds."""
        if name in OF_THE_NAME and self.rng.random() < 0.8:
            return self.rng.choice(OF_THE_NAME[name])
        return self.rng.choice(CODES[4:10]) if self.rng.random() < 0.5 else self.rng.choice(CODES)

    def unit(self) -> str:
        """Draw a unit: mostly one that is bound to goods, one in twenty unknown."""
        how = self.rng.random()
        if how > 0.95:
            return new_unit_id(secrets.token_bytes(10))
        return self.rng.choice(self.units[: self._bound] if how < 0.7 else self.units)

    def some_units(self) -> list[str]:
        """Draw none to five units."""
        return [self.unit() for _ in range(self.rng.choice([0, 1, 1, 2, 5]))]

    def named(self, value: Any) -> list[str]:
        """Return the units that details name, in order."""
        if isinstance(value, dict):
            return [unit for key, each in value.items() for unit in self.named(each) if key != "parent"]
        if isinstance(value, list):
            return [unit for each in value for unit in self.named(each)]
        return [value] if isinstance(value, str) and value in self.units else []

    # -- parts that agree ----------------------------------------------------------------------------

    def _list_of_ids(self, details: dict[str, Any]) -> None:
        details["ids_hash"] = self.ids_hash

    def _scan(self, details: dict[str, Any]) -> None:
        some = list(dict.fromkeys(self.some_units()))
        details["scanned"] = {"n": len(some), "hash": ids_commitment(some)}

    def _hidden(self, details: dict[str, Any]) -> None:
        details["commitment"] = COMMITMENT

    def _revealed(self, details: dict[str, Any]) -> None:
        """Carry out the plan that was hidden, or have none to carry out."""
        for name in ("plan", "salt"):
            details.pop(name, None)
        if details["kind"] == "surprise":
            details.update(SURPRISE, items=[], contents=False, plan=self._event_of(BEGUN_BY["plan"]))

    def _summed(self, details: dict[str, Any]) -> None:
        """End an inspection in which nothing was looked at."""
        left = list(dict.fromkeys(details.get("left", ())))
        sample = {"n": len(left), "hash": ids_commitment(left)}
        details.update(sample=sample, left=left, aside=[], inspected=0, found=0)

    # -- values --------------------------------------------------------------------------------------

    def _value(self, schema: dict[str, Any], defs: dict[str, Any], name: str) -> Any:
        rng = self.rng
        if "$ref" in schema:
            return self._value(defs[schema["$ref"].rsplit("/", 1)[1]], defs, name)
        if name == "jwk":
            return public_jwk(PrivateKey.generate(rng.choice(["Ed25519", "ES256"])))  # type: ignore[arg-type]
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self._value(rng.choice(schema[choice]), defs, name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return rng.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "object":
            must = set(schema.get("required", ()))
            return {
                key: self._value(each, defs, key)
                for key, each in schema.get("properties", {}).items()
                if key in must or rng.random() < 0.6
            }
        if kind == "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", 4)
            return [
                self._value(schema["items"], defs, name) for _ in range(min(most, least + rng.choice([0, 1, 1, 3])))
            ]
        if kind == "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 2**53 - 1)
            return rng.choice([low, high, *(n for n in NUMBERS if low <= n <= high)])
        return {"boolean": lambda: rng.random() < 0.5, "null": lambda: None}.get(
            kind, lambda: self._text(schema, name)
        )()

    def _text(self, schema: dict[str, Any], name: str) -> str:
        rng, pattern = self.rng, schema.get("pattern", "")
        if pattern == UNIT:
            return self.unit()
        if pattern == HASH:
            return self._hash(name)
        if pattern.startswith("^20"):
            return rng.choice(TIMES[:2]) if rng.random() < 0.7 else rng.choice(TIMES)
        if name == "discrepancy":
            return self._discrepancy()
        if name in {"signature", "challenge"}:
            return "A" * schema.get("minLength", 86)
        if pattern.startswith("^[A-Za-z0-9][A-Za-z0-9._:-]*"):
            return self.code(name)
        least, most = schema.get("minLength", 0), schema.get("maxLength", 400)
        fits = [text for text in SEEDS_OF_TEXT if least <= len(text) <= most and re.search(pattern, text)]
        return rng.choice(fits or ["A" * least])

    def _hash(self, name: str) -> str:
        """Draw a hash: of what the name says, of anything there is, or of nothing."""
        how = self.rng.random()
        if how > 0.9:
            return b64url_encode(secrets.token_bytes(32))
        if name in {"kid", "remove"}:
            return self.rng.choice(self._spares)
        if name == "document" and how < 0.8:
            return self.rng.choice(self._documents)
        if name == "event" and self._drawn_for == "decision" and self._of_spares:
            return self.rng.choice(self._of_spares)
        if name in BEGUN_BY and how < 0.8:
            return self._event_of(BEGUN_BY[name])
        return self.rng.choice([*self.events, *self._documents, *self._kids])

    def _discrepancy(self) -> str:
        """Guess an id: a recent leaf and what was noted of it; every other time one that was spoken of before."""
        if len(self._guesses) < 2 or self.rng.random() < 0.5:
            leaf = self.rng.randrange(max(0, self.size - 60), self.size + 1)
            self._guesses = [*self._guesses[-4:], f"{leaf}-{self.rng.choice([0, 0, 1, 1000])}"]
        return self.rng.choice(self._guesses)

    def _event_of(self, types: tuple[str, ...]) -> str:
        """Return one of the last events of these types; any of them before there is one."""
        known = [event for type_ in types for event in self._by_type.get(type_, ())[-8:]]
        return self.rng.choice(known or self.events)
