"""The operator's preparation, before any clock starts: one ledger with real keys, officers, labels and units."""

import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from app.canon import JsonValue, b64url_encode
from app.cli.bench import charter
from app.cli.bench.charter import AGENCY, ELECTION, LOAD, PLACES, REGION, ROLES
from app.cli.migrate import upgrade
from app.cli.phone import Phone, Signed, possession
from app.clock import SystemClock, rfc3339_ms
from app.config import Settings
from app.custody.found import found, genesis_payload, public_jwk
from app.custody.receipts import Receipt
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ids import new_event_id, new_unit_id
from app.keys.signing import PrivateKey, sign_jws
from app.ledger.highwater import HighWater
from app.units import records as unit_records

NAME = "bench"
ORIGIN = f"bench.custody.localhost/ledger/{NAME}"
GROUP = 200
BLOCK = 10_000
"""Labels in one `labels.issue`."""
LINES = 20
"""Units that one event commissions."""
DAY_MS = 86_400_000


class Founding:
    """The operator's steps: found a ledger or open one, enrol officers, commission units."""

    def __init__(self, settings: Settings, kept: dict[str, Any] | None = None) -> None:
        """Migrate and found the ledger, whose two founders sign everything that follows; or open a kept one.

        Args:
            settings: Where the database and the keys are.
            kept: What `memory` gave when the ledger was left; a new one is founded when absent.
        """
        if kept is None:
            upgrade(settings.url())
        self.settings, self.db = settings, Database(settings.url())
        self.now_ms = SystemClock().now_ms()
        self.jwks: dict[str, Any] = {}
        self.genesis = self.vkey = ""
        if kept is None:
            self.founders = [self.phone(f"ADM-{n}", "Ed25519") for n in (1, 2)]
            self.recorder = self._found()
            self._publish("policy", charter.policy(rfc3339_ms(self.now_ms)[:10]))
        else:
            self.founders = [_woken(told) for told in kept["founders"]]
            self.genesis, self.vkey = kept["genesis"], kept["vkey"]
            keys = ServerKeys.load(settings.keys_folder())
            self.recorder = Recorder(self.db, settings, keys, HighWater(settings.high_water_file(), ORIGIN))

    def memory(self) -> dict[str, Any]:
        """Return what opens this ledger again: the founders, who can enrol others, and the pinned names."""
        return {"founders": [_asleep(phone) for phone in self.founders], "genesis": self.genesis, "vkey": self.vkey}

    def phone(self, officer: str, alg: str) -> Phone:
        """Make a phone with a new key."""
        key = PrivateKey.generate(alg)  # type: ignore[arg-type]
        self.jwks[key.kid] = public_jwk(key)
        return Phone(key, officer, AGENCY, ORIGIN, ELECTION, REGION)

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

    def _publish(self, kind: str, document: dict[str, Any]) -> None:
        with self.db.write() as session:
            data = json.dumps(document).encode()
            content = unit_records.keep_document(session, self.recorder.ledger_id, kind, data)
        named = {"election": ELECTION} if kind == "plan" else {}
        self.record([self._by_both(f"{kind}.publish", {"document": content, **named})])

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
        self.record_jws([item.jws for item in signed], documents, group=group)

    def record_jws(
        self, events: Sequence[JsonValue], documents: dict[str, bytes] | None = None, *, group: int = GROUP
    ) -> None:
        """Record envelopes as `record` does."""
        for start in range(0, len(events), group):
            proven = []
            for jws in events[start : start + group]:
                one = self.recorder.prover.prove(jws, self.now_ms)
                one.documents.update(documents or {})
                proven.append(one)
            for answer in self.recorder.record(proven, proofs=False):
                if not isinstance(answer, Receipt) or answer.result != "accepted":
                    raise RuntimeError(f"the benchmark's preparation was not accepted: {answer}")

    def enrol(self, count: int) -> list[Phone]:
        """Enrol officers in pairs of two roles; one of a pair signs with ES256, the other with Ed25519, in turn."""
        mark = secrets.token_hex(3).upper()  # who comes to a kept ledger is somebody new
        phones = [self.phone(f"OFFICER-{mark}-{n}", "Ed25519" if (n + n // 2) % 2 else "ES256") for n in range(count)]
        valid = {"valid_from": moment(self.now_ms - DAY_MS), "valid_until": moment(self.now_ms + 30 * DAY_MS)}
        self.record([
            self._by_both("key.enrol", {
                "jwk": public_jwk(p.key), "officer": p.officer, "agency": AGENCY, "role": ROLES[n % 2], "place": REGION,
                "access": ["field", "auditor", "operator"], **valid,
                "possession": possession(p.key, ORIGIN, b64url_encode(secrets.token_bytes(16))),
            })
            for n, p in enumerate(phones)
        ])  # fmt: skip
        return phones

    def commission(self, phone: Phone, count: int) -> list[str]:
        """Issue labels and bind each to a new unit that one officer may hand over, held at the first place."""
        return [unit for size in blocks(count) for unit in self._block(phone, size)]

    def _block(self, phone: Phone, count: int) -> list[str]:
        ids = self.issue(phone, count)
        self.bind(ids, phone, [{"item": LOAD, "quantity": 1, "source": "stock"}] * count)
        return ids

    def issue(self, phone: Phone, count: int) -> list[str]:
        """Reserve a block of labels; returns their ids in order."""
        ids = sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(count))
        data = "".join(f"{unit}\n" for unit in ids).encode()
        with self.db.write() as session:
            content = unit_records.keep_document(session, self.recorder.ledger_id, "ids", data)
        self.record(
            [phone.sign("labels.issue", {"count": count, "ids_hash": content}, at_ms=self.now_ms)], {content: data}
        )
        return ids

    def bind(
        self, ids: Sequence[str], phone: Phone, lines: Sequence[dict[str, Any]], second: Phone | None = None
    ) -> None:
        """Commission units, `LINES` an event; goods that two officers must hand over need a second here, too."""
        bound = [{"act": "bind", "unit": unit, **line} for unit, line in zip(ids, lines, strict=True)]
        parts = [bound[start : start + LINES] for start in range(0, len(bound), LINES)]
        with_ = {second: "second"} if second is not None else None
        self.record([
            phone.sign(
                "unit.commission", {"lines": part}, units=[str(line["unit"]) for line in part], at_ms=self.now_ms,
                place=PLACES[0], with_=with_,
            )
            for part in parts
        ])  # fmt: skip

    def commission_boxes(self, phone: Phone, second: Phone, count: int) -> list[str]:
        """Bind labels to new boxes, which two officers a side must hand over."""
        ids = self.issue(phone, count)
        self.bind(ids, phone, [{"item": charter.BOX, "quantity": 1, "source": "stock"}] * count, second)
        return ids

    def settle_city(self, phone: Phone, second: Phone) -> int:
        """Publish the plan of a city and take in its ballots, a lot for every station and contest; returns how many."""
        self._publish("plan", charter.plan())
        lots = [(n, contest) for n in range(charter.STATIONS) for contest in charter.CONTESTS]
        lines = [
            {
                "item": charter.BALLOT, "contest": contest, "quantity": charter.ballots(), "source": "print",
                "destination": charter.station(n),
            }
            for n, contest in lots
        ]  # fmt: skip
        self.bind(self.issue(phone, len(lots)), phone, lines, second)
        return len(lots)

    def advance(self, phones: Iterable[Phone]) -> None:
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


def moment(ms: int) -> str:
    """Return a time of UTC milliseconds as an event says it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _asleep(phone: Phone) -> dict[str, Any]:
    return {"jwk": phone.key.to_jwk(), "officer": phone.officer, "seq": phone.seq, "prev": phone.prev}


def _woken(told: dict[str, Any]) -> Phone:
    key = PrivateKey.from_jwk(told["jwk"])
    return Phone(key, told["officer"], AGENCY, ORIGIN, ELECTION, REGION, told["seq"], told["prev"])
