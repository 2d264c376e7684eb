"""House: a whole service on real files, with people and phones, and `check()` after every move.

Tests speak in acts (`house.enrol`, `house.send`) and let the house look after keys, sequences and the ledger.
Nothing in it is a mock: the recorder, the database and the keys are the service's own.
"""

import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.audit.fsck import fsck
from app.canon import b64url_encode
from app.cli.phone import Phone, Signed, possession
from app.clock import parse_rfc3339
from app.config import Settings
from app.custody.found import found, genesis_payload, public_jwk
from app.custody.prove import offered_keys
from app.custody.receipts import Answer, Receipt
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.errors import ServiceError
from app.ids import new_event_id, new_unit_id
from app.keys.signing import PrivateKey, sign_jws
from app.units import records as unit_records
from app.units.documents import parse_document
from tests import small
from tests.custody.recheck import recheck

START = "2024-10-20T08:00:00+08:00"
MINUTE_MS = 60_000


class House:
    """One ledger with its founders, on a database that is migrated already."""

    def __init__(
        self, db: Database, folder: Path, *, policy: dict[str, Any] | None = None, plan: dict[str, Any] | None = None,
        demo: bool = True, name: str = "pilkada2024-64",
    ) -> None:  # fmt: skip
        """Found the ledger, publish policy and plan; a database may hold several, each under a name of its own."""
        self.db = db
        self.settings = Settings(data_dir=folder, ledger=name)
        self.origin = f"test.example/ledger/{name}"
        self.now_ms = parse_rfc3339(START)
        keys = ServerKeys.make(folder / "keys", self.origin)
        self.founders = [self._phone(f"ADM-{n}", small.KPU, small.CITY) for n in (1, 2)]
        self.recorder = self._found(keys, demo=demo)
        self.put_policy(policy or small.policy())
        self.put_plan(plan or small.plan())

    def _phone(self, officer: str, agency: str, place: str, alg: str = "Ed25519") -> Phone:
        return Phone(PrivateKey.generate(alg), officer, agency, self.origin, small.ELECTION, place)  # type: ignore[arg-type]

    def _found(self, keys: ServerKeys, *, demo: bool) -> Recorder:
        founders = [{"officer": p.officer, "agency": p.agency, "jwk": public_jwk(p.key)} for p in self.founders]
        roots = [PrivateKey.generate("Ed25519") for _ in range(2)]
        agencies = [
            {"agency": name, "name": name, "kind": kind, "jwk": public_jwk(root)}
            for (name, kind), root in zip([(small.KPU, "commission"), (small.BWS, "supervisor")], roots, strict=True)
        ]
        author = self.founders[0]
        payload = genesis_payload(
            keys, self.settings.ledger, founders, agencies, author=author.kid, event_id=new_event_id(self.now_ms, secrets.token_bytes(10)),
            at_ms=self.now_ms, demo=demo,
        )  # fmt: skip
        jws = sign_jws(payload, [*(p.key for p in self.founders), *roots])
        recorder, receipt = found(self.db, self.settings, keys, jws, self.now_ms)
        author.seq, author.prev = 1, receipt.event
        author.sees(receipt.checkpoint or "")
        return recorder

    # -- time and documents --------------------------------------------------------------------------

    def tick(self, minutes: float = 1) -> int:
        """Let time pass and return it, UTC milliseconds."""
        self.now_ms += int(minutes * MINUTE_MS)
        return self.now_ms

    def put_document(self, document: dict[str, Any]) -> str:
        """Store a policy or plan and return its hash."""
        data = json.dumps(document).encode()
        kind = "policy" if document["kind"] == "policy" else "plan"
        parse_document(data)
        with self.db.write() as session:
            return unit_records.keep_document(session, self.recorder.ledger_id, kind, data)

    def put_policy(self, document: dict[str, Any]) -> None:
        """Publish a policy by both founders."""
        first, second = self.founders
        self.ok(
            first.sign(
                "policy.publish",
                {"document": self.put_document(document)},
                at_ms=self.tick(),
                capacity="approver",
                with_={second: "approver"},
            )
        )

    def put_plan(self, document: dict[str, Any]) -> None:
        """Publish a plan by both founders."""
        first, second = self.founders
        details = {"document": self.put_document(document), "election": document["election"]}
        self.ok(first.sign("plan.publish", details, at_ms=self.tick(), capacity="approver", with_={second: "approver"}))

    # -- people --------------------------------------------------------------------------------------

    def enrol(
        self,
        officer: str,
        agency: str,
        role: str,
        place: str,
        *,
        access: Iterable[str] = ("field",),
        alg: str = "Ed25519",
    ) -> Phone:
        """Enrol a fresh phone for an officer, by the founders."""
        phone = self._phone(officer, agency, place, alg)
        self.ok(self.enrolment(phone, role, access=access))
        phone.seen = self.founders[0].seen
        return phone

    def enrolment(self, phone: Phone, role: str, *, access: Iterable[str] = ("field",)) -> Signed:
        """Return the signed `key.enrol` of a phone."""
        first, second = self.founders
        details = {
            "jwk": public_jwk(phone.key), "officer": phone.officer, "agency": phone.agency, "role": role, "place": phone.place,
            "access": list(access), "valid_from": "2024-10-01T00:00:00+08:00", "valid_until": "2025-03-01T00:00:00+08:00",
            "possession": possession(phone.key, self.origin, b64url_encode(secrets.token_bytes(16))),
        }  # fmt: skip
        return first.sign("key.enrol", details, at_ms=self.tick(), capacity="approver", with_={second: "approver"})

    # -- sending -------------------------------------------------------------------------------------

    def send_all(self, signed: Iterable[Signed], documents: dict[str, bytes] | None = None) -> list[Answer]:
        """Record a batch as the door would: prove each, then record the group."""
        proven: list[Any] = []
        offered: dict[str, Any] = {}
        for item in signed:
            try:
                one = self.recorder.prover.prove(item.jws, self.now_ms, offered=offered)
            except ServiceError as error:
                proven.append(error)
                continue
            one.documents.update(documents or {})
            offered.update(offered_keys([one.event]))
            proven.append(one)
        answers = iter(self.recorder.record([p for p in proven if not isinstance(p, ServiceError)]))
        return [p if isinstance(p, ServiceError) else next(answers) for p in proven]

    def send(self, signed: Signed, documents: dict[str, bytes] | None = None) -> Answer:
        """Record one event."""
        return self.send_all([signed], documents)[0]

    def ok(self, signed: Signed, documents: dict[str, bytes] | None = None) -> Receipt:
        """Record one event that must be accepted."""
        answer = self.send(signed, documents)
        assert isinstance(answer, Receipt), (answer.code, answer.detail)
        assert answer.result == "accepted", (answer.result, answer.code, answer.detail, answer.facts)
        self.founders[0].sees(answer.checkpoint or "")
        return answer

    def no(
        self, signed: Signed, code: str, result: str = "refused", documents: dict[str, bytes] | None = None
    ) -> Receipt:
        """Record one event that must get another verdict, with this code."""
        answer = self.send(signed, documents)
        assert isinstance(answer, Receipt), (answer.code, answer.detail)
        assert (answer.result, answer.code) == (result, code), (answer.result, answer.code, answer.detail, answer.facts)
        return answer

    # -- goods ---------------------------------------------------------------------------------------

    def labels(self, phone: Phone, count: int) -> list[str]:
        """Issue a block of labels and return the ids."""
        ids = sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(count))
        data = "".join(f"{i}\n" for i in ids).encode()
        with self.db.write() as session:
            content_hash = unit_records.keep_document(session, self.recorder.ledger_id, "ids", data)
        self.ok(
            phone.sign("labels.issue", {"count": count, "ids_hash": content_hash}, at_ms=self.tick()),
            {content_hash: data},
        )
        return ids

    def rules(self) -> list[tuple[str, str | None, str | None, str | None]]:
        """Return (rule, unit, handover, place) of every discrepancy, in order of the ledger."""
        with self.db.read() as session:
            rows = session.exec_driver_sql(
                "SELECT rule, unit, handover, place FROM discrepancy ORDER BY leaf_index, id"
            )
            return [tuple(row) for row in rows]  # type: ignore[misc]

    # -- looking it over -----------------------------------------------------------------------------

    def findings(self, *, signatures: bool = False, twice: bool = True) -> list[str]:
        """Return what a whole re-verification finds wrong, in words; nothing on a sound ledger.

        Args:
            signatures: Verify every signature again, too: the larger part of the work.
            twice: Let the tests' own shorter check go over it beside `custody fsck`.
        """
        mark = self.settings.high_water_file()
        report = fsck(self.db, ledger=self.recorder.name, high_water=mark, signatures=signatures)
        found = [f"{finding.where}: {finding.what}: {finding.detail}" for finding in report.findings]
        found += [f"not checked: {what}" for what in report.findings.not_checked]
        return found + (recheck(self.recorder, signatures=signatures) if twice else [])

    def check(self, *, signatures: bool = False, twice: bool = True) -> None:
        """Re-verify the whole ledger: tree, chains, and every derived row rebuilt from the leaves."""
        found = self.findings(signatures=signatures, twice=twice)
        assert not found, found
