"""A small world for the benchmark: one ledger with real keys, and streams of signed events that must all be accepted.

What stands here is the operator's preparation and the phones' work, all of it before the clock starts. A stream
is two officers and a few units that go back and forth between them: seen, inspected, released, accepted. Each
event has one signature; one officer signs with ES256, the other with Ed25519. A stream's events depend on each
other, so they must be sent in order; different streams know nothing of each other.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import orjson

from app.canon import b64url_encode
from app.cli.migrate import upgrade
from app.cli.phone import Phone, Signed, ids_commitment, possession
from app.clock import SystemClock, rfc3339_ms
from app.config import Settings
from app.custody.found import found, genesis_payload, public_jwk
from app.custody.receipts import Receipt
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ids import new_event_id, new_unit_id
from app.keys.signing import PrivateKey, sign_jws
from app.units import records as unit_records

NAME = "bench"
ORIGIN = f"bench.custody.localhost/ledger/{NAME}"
AGENCY, REGION, ITEM, ELECTION = "KPU-BENCH", "64", "LOAD", "BENCH-2024"
PLACES, ROLES = ("WH-A", "WH-B"), ("WAREHOUSE", "TRANSPORT")
GROUP = 200
BLOCK = 10_000
"""Labels in one `labels.issue`."""
DAY_MS = 86_400_000


def policy(today: str) -> dict[str, Any]:
    """Return the policy: one agency, two warehouses, goods that one officer a side may hand over."""
    capacities = ["giver", "taker", "second", "witness", "approver"]
    one = {"officers": 1}
    return {
        "v": 1, "kind": "policy", "title": "Benchmark",
        "elections": [{
            "id": ELECTION, "name": "Benchmark", "date": today, "zone": "Asia/Makassar",
            "contests": [{"id": "NONE", "name": "None"}],
        }],
        "items": [{
            "code": ITEM, "name_id": "muatan", "name_en": "load", "item_class": "-", "unit_of_measure": "muatan",
            "kind": "serialised", "sensitivity": "general",
        }],
        "agencies": [{"id": AGENCY, "name": "Benchmark", "kind": "commission"}],
        "places": [
            {"id": REGION, "name": "Region", "kind": "REGION"},
            *({"id": place, "name": place, "kind": "WH_KPU", "parent": REGION} for place in PLACES),
        ],
        "signing": [{"sensitivity": "general", "release": one, "accept": one}],
        "roles": [{"role": role, "agency_kinds": ["commission"], "capacities": capacities} for role in ROLES],
    }  # fmt: skip


class Founding:
    """The operator's steps over a fresh database: ledger, policy, officers, labels, units."""

    def __init__(self, settings: Settings) -> None:
        """Migrate and found the ledger; its two founders sign everything that follows here."""
        upgrade(settings.url())
        self.settings, self.db = settings, Database(settings.url())
        self.now_ms = SystemClock().now_ms()
        self.jwks: dict[str, Any] = {}
        self.genesis = self.vkey = ""
        self.founders = [self._phone(f"ADM-{n}", REGION, "Ed25519") for n in (1, 2)]
        self.recorder = self._found()
        self._publish()

    def _phone(self, officer: str, place: str, alg: str) -> Phone:
        key = PrivateKey.generate(alg)  # type: ignore[arg-type]
        self.jwks[key.kid] = public_jwk(key)
        return Phone(key, officer, AGENCY, ORIGIN, ELECTION, place)

    def _found(self) -> Recorder:
        keys = ServerKeys.make(self.settings.keys_folder(), ORIGIN)
        founders = [{"officer": p.officer, "agency": p.agency, "jwk": public_jwk(p.key)} for p in self.founders]
        event_id = new_event_id(self.now_ms, secrets.token_bytes(10))
        author = self.founders[0]
        payload = genesis_payload(
            keys, NAME, founders, [], author=author.kid, event_id=event_id, at_ms=self.now_ms, policy_signers=2
        )
        jws = sign_jws(payload, [phone.key for phone in self.founders])
        recorder, receipt = found(self.db, self.settings, keys, jws, self.now_ms)
        author.seq, author.prev = 1, receipt.event
        self.genesis, self.vkey = receipt.event, keys.ledger.verifier().to_text()
        return recorder

    def _by_both(self, type_: str, details: dict[str, Any]) -> Signed:
        first, second = self.founders
        return first.sign(type_, details, at_ms=self.now_ms, capacity="approver", with_={second: "approver"})

    def _publish(self) -> None:
        data = json.dumps(policy(rfc3339_ms(self.now_ms)[:10])).encode()
        with self.db.write() as session:
            content = unit_records.keep_document(session, self.recorder.ledger_id, "policy", data)
        self.record([self._by_both("policy.publish", {"document": content})])

    def record(
        self, signed: Sequence[Signed], documents: dict[str, bytes] | None = None, *, group: int = GROUP
    ) -> None:
        """Record events of the preparation; every one must be accepted.

        Args:
            signed: The events, in order.
            documents: What they need by content hash.
            group: So many in one transaction.

        Raises:
            RuntimeError: One was not: the benchmark's own mistake.
        """
        for start in range(0, len(signed), group):
            proven = []
            for item in signed[start : start + group]:
                one = self.recorder.prover.prove(item.jws, self.now_ms)
                one.documents.update(documents or {})
                proven.append(one)
            for answer in self.recorder.record(proven, proofs=False):
                if not isinstance(answer, Receipt) or answer.result != "accepted":
                    raise RuntimeError(f"the benchmark's preparation was not accepted: {answer}")

    def enrol(self, count: int) -> list[Phone]:
        """Enrol officers; those of even number sign with ES256, the others with Ed25519."""
        phones = [self._phone(f"BENCH-{n}", REGION, "Ed25519" if n % 2 else "ES256") for n in range(count)]
        valid = {"valid_from": _moment(self.now_ms - DAY_MS), "valid_until": _moment(self.now_ms + 30 * DAY_MS)}
        self.record([
            self._by_both("key.enrol", {
                "jwk": public_jwk(p.key), "officer": p.officer, "agency": AGENCY, "role": ROLES[n % 2], "place": REGION,
                "access": ["field", "auditor"], **valid,
                "possession": possession(p.key, ORIGIN, b64url_encode(secrets.token_bytes(16))),
            })
            for n, p in enumerate(phones)
        ])  # fmt: skip
        return phones

    def commission(self, phone: Phone, count: int) -> list[str]:
        """Issue labels and bind each to a new unit, held at the first place."""
        return [unit for size in blocks(count) for unit in self._block(phone, size)]

    def _block(self, phone: Phone, count: int) -> list[str]:
        ids = sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(count))
        data = "".join(f"{unit}\n" for unit in ids).encode()
        with self.db.write() as session:
            content = unit_records.keep_document(session, self.recorder.ledger_id, "ids", data)
        self.record(
            [phone.sign("labels.issue", {"count": count, "ids_hash": content}, at_ms=self.now_ms)], {content: data}
        )
        parts = [ids[start : start + 20] for start in range(0, count, 20)]
        self.record([
            phone.sign(
                "unit.commission",
                {"lines": [{"act": "bind", "unit": u, "item": ITEM, "quantity": 1, "source": "stock"} for u in part]},
                units=part, at_ms=self.now_ms, place=PLACES[0],
            )
            for part in parts
        ])  # fmt: skip
        return ids

    def advance(self, phones: Sequence[Phone]) -> None:
        """Let time pass up to now, and every phone see the newest checkpoint."""
        self.now_ms = SystemClock().now_ms()
        for phone in phones:
            phone.sees(self.recorder.published[1].decode())

    def close(self, phones: Sequence[Phone]) -> None:
        """Let every phone see the newest checkpoint, and give the database back."""
        self.advance(phones)
        self.db.close()


def blocks(count: int) -> list[int]:
    """Return how many labels each `labels.issue` reserves, for so many in all."""
    return [min(BLOCK, count - start) for start in range(0, count, BLOCK)]


@dataclass(slots=True)
class Stream:
    """Two officers and their units, and the endless story of both."""

    here: Phone
    there: Phone
    units: list[str]
    story: Iterator[Signed]

    def sign(self, count: int) -> list[Signed]:
        """Sign the next events; they must reach the ledger in this order."""
        return [next(self.story) for _ in range(count)]

    def take(self, count: int) -> list[bytes]:
        """Sign the next events and give them as a phone sends them."""
        return [orjson.dumps(signed.jws) for signed in self.sign(count)]


def streams_of(phones: Sequence[Phone], units: Sequence[str], now_ms: Callable[[], int]) -> list[Stream]:
    """Deal phones in pairs and units evenly."""
    count = len(phones) // 2
    each = len(units) // count
    dealt = [list(units[n * each : (n + 1) * each]) for n in range(count)]
    return [
        Stream(phones[2 * n], phones[2 * n + 1], mine, _story(phones[2 * n], phones[2 * n + 1], mine, now_ms))
        for n, mine in enumerate(dealt)
    ]


def _story(here: Phone, there: Phone, units: list[str], now_ms: Callable[[], int]) -> Iterator[Signed]:
    """Yield signed events, for ever: each unit in turn goes to the other officer."""
    ways = ((here, there, PLACES[0], PLACES[1]), (there, here, PLACES[1], PLACES[0]))
    for giver, taker, place, target in cycle(ways):
        for unit in units:
            yield from _handover(giver, taker, unit, (place, target), now_ms())


def _handover(giver: Phone, taker: Phone, unit: str, way: tuple[str, str], now: int) -> Iterator[Signed]:
    place, target = way
    things = [{"what": "COUNT", "conform": True}]
    yield giver.sign("sighting", {}, units=[unit], at_ms=now, place=place, capacity="witness")
    release = giver.sign(
        "custody.release", {"to_agency": AGENCY, "to_place": target, "due_by": _moment(now + DAY_MS)},
        units=[unit], at_ms=now, place=place,
    )  # fmt: skip
    yield release
    yield taker.sign(
        "custody.accept", {"release": release.hash, "scanned": {"n": 1, "hash": ids_commitment([unit])}},
        units=[unit], at_ms=now, place=target, capacity="taker", after=[release.hash],
    )  # fmt: skip
    inspection = {"kind": "routine", "things": things}
    yield taker.sign("inspection", inspection, units=[unit], at_ms=now, place=target, capacity="witness")


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
