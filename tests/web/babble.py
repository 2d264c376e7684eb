"""Events that are signed as they should be and say anything at all: what only somebody enrolled could send.

Details are drawn from the models' own JSON schemas, so each has the right shape; what they name is mostly there
(units, seals, events, places, keys), sometimes not, and never fits together. No honest phone would sign them, and
each passes every check of shape and signature: what they reach is the rules.
"""

import random
import re
import secrets
from typing import Any

from app.canon import b64url_encode
from app.cli.phone import Phone, Signed, ids_commitment
from app.clock import rfc3339_ms
from app.custody.events import TYPES
from app.custody.found import public_jwk
from app.ids import new_unit_id
from app.keys.signing import PrivateKey
from tests import small
from tests.custody.town import PEOPLE
from tests.house import House

HASH, UNIT = "^[A-Za-z0-9_-]{43}$", "^[0-9A-HJKMNP-TV-Z]{17}$"
CAPACITIES = ("giver", "taker", "second", "escort", "witness", "approver")
DAY_MS = 86_400_000
TIMES = (
    "2024-12-20T12:00:00+08:00", "2024-10-20T09:00:00+08:00", "2024-02-31T00:00:00Z", "2024-10-25T24:00:00Z",
    "2099-12-31T23:59:59.999+14:00", "2024-10-25T10:00:60Z", "2000-01-01T00:00:00Z", "2024-10-25T10:00:00+99:99",
    "2024-13-01T00:00:00Z", "2024-10-25T10:00:00-00:00",
)  # fmt: skip
NUMBERS = (0, 1, 2, 7, 100, 2**31 - 1, 2**31)
SEEDS_OF_TEXT = ("A", "WET", "KT-1", "KT-2", "P-1/2024", "BA 1", "A" * 40, "x" * 128, "KPU/BOX/17", "A.b:c_d-e")


class Babbler:
    """A crowd of enrolled phones that sign what comes to mind."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.rng = random.Random(seed)
        self.phones: list[Phone] = list(house.founders)
        for officer, agency, role, place, alg in PEOPLE.values():
            self.phones.append(house.enrol(f"B-{officer}", agency, role, place, alg=alg))
        self.units = house.labels(self.phones[2], 40)
        self._types = [name for name, each in TYPES.items() for _ in range(6 if each.kind == "command" else 2)]
        named = {phone.officer: phone for phone in self.phones}
        self._able = [named[f"B-{name}"] for name in ("KPU-2", "KPU-1", "KPU-3", "KPU-4", "PPK-1")] + house.founders[:1]
        self._escort, self._supervisor = named["B-POL-1"], named["B-BWS-1"]
        self._commission()
        self.ids_hash = ids_commitment(self.units)
        self.events = [phone.prev for phone in self.phones if phone.seq]
        self.documents = [house.put_document(small.policy(title="Lain")), house.put_document(small.plan(title="Lain"))]
        self.codes = [
            small.KPU, small.POS, small.POL, small.BWS, small.WAREHOUSE, small.PPK, small.TPS1, small.TPS2, small.TRUCK,
            small.BURN, small.HUB, small.ELECTION, "PILGUB", "PILWALI", "BALLOT", "BOX_TPS", "LOAD", "BOOTH", "DAPIL-1", "64",
            "LOGISTIK", "KPPS", "B-KPU-1", "B-BWS-1", "NOBODY",
        ]  # fmt: skip

    def _commission(self) -> None:
        """Put two thirds of the labels onto boxes, lots and loads."""
        for n, unit in enumerate(self.units[:27]):
            line = {"act": "bind", "unit": unit} | [
                {"item": "BOX_TPS", "destination": small.TPS1},
                {"item": "BALLOT", "contest": "PILGUB", "district": "64", "quantity": 100},
                {"item": "LOAD"},
            ][n % 3]
            self.house.ok(self._able[1].sign(
                "unit.commission", {"lines": [line]}, at_ms=self.house.tick(), units=[unit], place=small.WAREHOUSE,
                with_={self._able[0]: "second"},
            ))  # fmt: skip

    def event(self) -> Signed:
        """Sign the next event, of any type."""
        rng = self.rng
        type_ = rng.choice(self._types)
        sane = rng.random() < 0.7  # whoever may: then the goods and their story are what is wrong
        author = rng.choice(self._able if sane else self.phones)
        others = {phone: rng.choice(CAPACITIES) for phone in rng.sample(self.phones, rng.choice([0, 0, 1, 1, 2, 4]))}
        if sane:
            others = {self._able[0]: "second", self._escort: "escort", self._supervisor: "approver"}
        others.pop(author, None)
        details = self._details(type_)
        units = list(dict.fromkeys(rng.choice([self._named(details), self._some_units(), self._named(details)])))
        at_ms = self.house.now_ms + (0 if sane else rng.choice([1000, -DAY_MS, DAY_MS, 40 * DAY_MS, -200 * DAY_MS]))
        how = self._sane(author, type_) if sane else {
            "capacity": rng.choice(CAPACITIES), "place": self._code(), "election": rng.choice([small.ELECTION, "NONE"]),
        }  # fmt: skip
        signed = author.sign(
            type_, details, at_ms=at_ms, units=units[:256], with_=others, after=self._after(details), **how
        )
        if rng.random() < 0.1:  # a phone that lost its memory: the same number again
            author.seq -= 1
        self.events = [*self.events[-80:], signed.hash]
        self.house.tick(rng.choice([0, 1, 1, 30]))
        return signed

    def _sane(self, author: Phone, type_: str) -> dict[str, Any]:
        """Return the place and the capacity that fit an author and a type."""
        if author in self.house.founders:
            return {"capacity": "approver", "place": small.CITY}
        place = small.WAREHOUSE if author.place == small.CITY else author.place
        if TYPES[type_].kind == "observation":
            return {"capacity": "witness", "place": place}
        return {"capacity": "taker" if type_ in {"custody.accept", "custody.reject"} else "giver", "place": place}

    def _details(self, type_: str) -> dict[str, Any]:
        schema = TYPES[type_].details.model_json_schema()
        details: dict[str, Any] = self._value(schema, schema.get("$defs", {}), "")
        if type_ == "labels.issue" and self.rng.random() < 0.5:
            details["ids_hash"] = self.ids_hash
        if type_ == "custody.accept" and self.rng.random() < 0.5:
            some = self._some_units()
            details["scanned"] = {"n": len(set(some)), "hash": ids_commitment(list(dict.fromkeys(some)))}
        return details

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
            return self._unit()
        if pattern == HASH:
            known = [*self.events, *self.documents, *(phone.kid for phone in self.phones)]
            return rng.choice(known) if rng.random() < 0.9 else b64url_encode(secrets.token_bytes(32))
        if pattern.startswith("^20"):
            return rng.choice(TIMES[:2]) if rng.random() < 0.7 else rng.choice(TIMES)
        if name in {"signature", "challenge"}:
            return "A" * schema.get("minLength", 86)
        if pattern.startswith("^[A-Za-z0-9][A-Za-z0-9._:-]*"):
            return self._code()
        most = schema.get("maxLength", 400)
        fits = [text for text in SEEDS_OF_TEXT if len(text) <= most and re.search(pattern, text)]
        return rng.choice(fits or ["A" * schema.get("minLength", 1)])

    def _code(self) -> str:
        return self.rng.choice(self.codes[4:10]) if self.rng.random() < 0.5 else self.rng.choice(self.codes)

    def _unit(self) -> str:
        return self.rng.choice(self.units) if self.rng.random() < 0.95 else new_unit_id(secrets.token_bytes(10))

    def _some_units(self) -> list[str]:
        return [self._unit() for _ in range(self.rng.choice([0, 1, 1, 2, 5]))]

    def _named(self, value: Any) -> list[str]:
        """Return the units that details name, in order."""
        if isinstance(value, dict):
            return [unit for key, each in value.items() for unit in self._named(each) if key != "parent"]
        if isinstance(value, list):
            return [unit for each in value for unit in self._named(each)]
        return [value] if isinstance(value, str) and value in self.units else []

    def _after(self, details: dict[str, Any]) -> list[str]:
        named = [details[name] for name in ("release", "event", "target") if isinstance(details.get(name), str)]
        return named if self.rng.random() < 0.8 else [self.rng.choice(self.events)]

    @property
    def scenario_time(self) -> str:
        """The time of receipt for what is sent next."""
        return rfc3339_ms(self.house.now_ms)
