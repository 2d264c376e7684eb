"""Events that are signed as they should be and say anything at all: what only somebody enrolled could send.

No honest phone would sign them, and each passes every check of shape and signature: what they reach is the rules.
Most are signed by whoever may, in a capacity and at a place that fit, so that the goods and their story are what is
wrong; the others by anybody, anywhere. Keys end, too, but only those of bystanders: a crowd that revokes its own
speakers soon hears nothing but `key_revoked`.
"""

import random
from typing import Any

from app.cli.phone import Phone, Signed
from app.clock import rfc3339_ms
from app.custody.events import TYPES
from tests import small
from tests.custody.town import PEOPLE
from tests.house import House
from tests.web.nonsense import Nonsense

CAPACITIES = ("giver", "taker", "second", "escort", "witness", "approver")
DAY_MS = 86_400_000
LABELS, BOUND, BYSTANDERS = 40, 27, 6
WEIGHTS = {"foundation": 2, "command": 5, "observation": 3, "service": 1}
AT_THE_DESK = frozenset(
    {"discrepancy.explain", "incident.update", "incident.close", "inspection.plan", "inspection.open", "inspection.skip",
     "inspection.close"}
)  # fmt: skip
"""Commands about what happened and was found; supervisors and police sign them as well as who handles goods."""


class Babbler:
    """A crowd of enrolled phones that sign what comes to mind."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.rng = random.Random(seed)
        self.phones: list[Phone] = list(house.founders)
        for officer, agency, role, place, alg in PEOPLE.values():
            self.phones.append(house.enrol(f"B-{officer}", agency, role, place, alg=alg))
        spares = [house.enrol(f"B-IDLE-{n}", small.KPU, "LOGISTIK", small.CITY) for n in range(BYSTANDERS)]
        self.phones += spares
        self.units = house.labels(self.phones[2], LABELS)
        self._types = [name for name, each in TYPES.items() for _ in range(WEIGHTS[each.kind])]
        named = {phone.officer: phone for phone in self.phones}
        self._handlers = [named[f"B-{name}"] for name in ("KPU-2", "KPU-1", "KPU-3", "KPU-4", "PPK-1")]
        self._escort, self._supervisor = named["B-POL-1"], named["B-BWS-1"]
        self._commission()
        documents = [house.put_document(small.policy(title="Lain")), house.put_document(small.plan(title="Lain"))]
        self.nonsense = Nonsense(
            self.rng,
            self.units,
            BOUND,
            documents,
            [phone.kid for phone in self.phones],
            [phone.kid for phone in spares],
        )
        self.nonsense.events = [phone.prev for phone in self.phones if phone.seq]

    def _commission(self) -> None:
        """Put two thirds of the labels onto boxes, lots and loads."""
        for n, unit in enumerate(self.units[:BOUND]):
            line = {"act": "bind", "unit": unit} | [
                {"item": "BOX_TPS", "destination": small.TPS1},
                {"item": "BALLOT", "contest": "PILGUB", "district": "64", "quantity": 100},
                {"item": "LOAD"},
            ][n % 3]
            self.house.ok(self._handlers[1].sign(
                "unit.commission", {"lines": [line]}, at_ms=self.house.tick(), units=[unit], place=small.WAREHOUSE,
                with_={self._handlers[0]: "second"},
            ))  # fmt: skip

    def event(self) -> Signed:
        """Sign the next event, of any type."""
        rng = self.rng
        type_ = rng.choice(self._types)
        sane = rng.random() < 0.7  # whoever may: then the goods and their story are what is wrong
        details = self.nonsense.details(type_)
        author, others, how = self._sane(type_) if sane else self._any()
        at_ms = self.house.now_ms + (0 if sane else rng.choice([1000, -DAY_MS, DAY_MS, 40 * DAY_MS, -200 * DAY_MS]))
        signed = author.sign(
            type_, details, at_ms=at_ms, units=self._units(type_, details)[:256], with_=others,
            after=self._after(details), **how,
        )  # fmt: skip
        if rng.random() < 0.1:  # a phone that lost its memory: the same number again
            author.seq -= 1
        self.nonsense.remember(type_, signed.hash, author.kid, author.seen[0])
        self.house.tick(rng.choice([0, 1, 1, 30]))
        return signed

    def _any(self) -> tuple[Phone, dict[Phone, str], dict[str, Any]]:
        """Return anybody as author, anybody beside, any capacity, any place."""
        rng = self.rng
        author = rng.choice(self.phones)
        others = {phone: rng.choice(CAPACITIES) for phone in rng.sample(self.phones, rng.choice([0, 0, 1, 1, 2, 4]))}
        others.pop(author, None)
        place, election = self.nonsense.code(), rng.choice([small.ELECTION, "NONE"])
        return author, others, {"capacity": rng.choice(CAPACITIES), "place": place, "election": election}

    def _sane(self, type_: str) -> tuple[Phone, dict[Phone, str], dict[str, Any]]:
        """Return an author, who signs beside, capacity and place that fit a type."""
        kind = TYPES[type_].kind
        others = {self._handlers[0]: "second", self._escort: "escort", self._supervisor: "approver"}
        if type_ == "decision":
            return self._supervisor, {self._escort: "approver"}, {"capacity": "approver", "place": small.CITY}
        if kind == "foundation":
            first, second = self.house.founders
            return first, {second: "approver"}, {"capacity": "approver", "place": small.CITY}
        author = self.rng.choice(self._authors(type_))
        others.pop(author, None)
        place = small.WAREHOUSE if author.place == small.CITY else author.place
        if type_ in AT_THE_DESK:
            return author, others, {
                "capacity": "approver", "place": author.place if type_ == "inspection.plan" else place,
            }  # fmt: skip
        if kind == "observation":
            return author, others, {"capacity": "witness", "place": place}
        taker = type_ in {"custody.accept", "custody.reject"}
        return author, others, {"capacity": "taker" if taker else "giver", "place": place}

    def _authors(self, type_: str) -> list[Phone]:
        """Return who may sign a type; most inspections are the supervisor's, who then goes on with them."""
        if type_.startswith("inspection."):
            return [*[self._supervisor] * 4, self._escort, self._handlers[1]]
        return [*self._handlers[:4], self._supervisor, self._escort] if type_ in AT_THE_DESK else self._handlers

    def _units(self, type_: str, details: dict[str, Any]) -> list[str]:
        """Return the units that an event names: those of its details mostly; an inspection's commands name none."""
        if type_ in AT_THE_DESK and self.rng.random() < 0.8:
            return []
        named = self.nonsense.named(details) or self.nonsense.some_units()
        return list(dict.fromkeys(self.rng.choice([named, self.nonsense.some_units(), named])))

    def _after(self, details: dict[str, Any]) -> list[str]:
        """Return what an event waits for: what it names, or anything."""
        named = [details[name] for name in ("release", "event", "target") if len(details.get(name) or "") == 43]
        return named if self.rng.random() < 0.8 else [self.rng.choice(self.nonsense.events)]

    @property
    def scenario_time(self) -> str:
        """The time of receipt for what is sent next."""
        return rfc3339_ms(self.house.now_ms)
