"""A running service with something of everything on it, and a request that works for each of its operations.

Whoever fuzzes asks `Stocked.request` for a right request: every path parameter names something that exists, every
body that is signed is signed afresh by a phone that is enrolled, in the order in which the phone signs.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.canon import b64url_encode
from app.cli.phone import Phone, Signed, ids_commitment, possession
from app.clock import rfc3339_ms
from app.custody.committing import commit_heads
from app.custody.found import public_jwk
from app.custody.private import commitment
from app.ids import new_unit_id
from app.keys.signing import PrivateKey
from app.ledger.directory import LedgerList, sign_list
from app.ledger.note import Note, SignatureType, SignerKey
from tests import small
from tests.web.live import Live, assertion, by_assertion

ROLES = ("field", "registrar", "operator", "auditor", "administrator", "integrator")
SCENARIO_TIME = "Custody-Scenario-Time"
DUE = "2024-12-20T12:00:00+08:00"
MANDATE = {"valid_from": "2024-10-01T00:00:00+08:00", "valid_until": "2025-03-01T00:00:00+08:00"}
FORM = "application/x-www-form-urlencoded"


WITNESS = SignerKey("bawaslu.example/w1", SignatureType.COSIGNATURE, b"\x07" * 32)
LIST_KEY = SignerKey("kpu.example/ledgers", SignatureType.NOTE, b"\x31" * 32)


def public_side(folder: Path) -> dict[str, Any]:
    """Return settings of a service that has a witness and hands out a list of ledgers, over files in this folder."""
    policy, ledgers = folder / "policy.txt", folder / "ledgers.note"
    policy.write_text(f"witness w1 {WITNESS.verifier().to_text()}\nquorum w1\n")
    ledgers.write_bytes(sign_list(LedgerList(()), LIST_KEY))
    return {"witness_policy": policy, "ledgers": ledgers, "ledgers_key": LIST_KEY.verifier().to_text()}


@dataclass(slots=True)
class Right:
    """What makes one request right: names for the path, a body, a query that must be, headers."""

    path: dict[str, str] = field(default_factory=dict)
    body: Any = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Stocked:
    """People, goods, handovers, discrepancies, documents and enrolments on a `Live` service."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.house = house = live.house
        self.store = house.enrol("ST-1", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"))
        self.second = house.enrol("ST-2", small.KPU, "LOGISTIK", small.CITY, alg="ES256")
        self.escort = house.enrol("PO-1", small.POL, "POLRI", small.CITY)
        self.ppk = [house.enrol(f"PP-{n}", small.KPU, "PPK_KEC", "64.74.01") for n in (1, 2)]
        self.boxes = live.boxes(self.store, [small.TPS1, small.TPS2, small.TPS3])
        self.labels, self.block = live.issue(self.store, 30)
        self.blanks = live.issue(self.store, 3)[0]
        self.lot = self._lot()
        self.hashes: list[str] = []
        for _ in range(6):
            self.hashes.append(live.ok(next(self._acts))["event"])
        unknown = new_unit_id(secrets.token_bytes(10))
        self.hashes.append(live.ok(live.sighting(self.store, unknown))["event"])
        told = live.http.get("/v1/ledger").json()
        self.name, self.documents = told["name"], [told["policy"], *told["plans"].values()]
        self.enrolments = [self._opened()["enrolment"] for _ in range(2)]
        self.inspection = self._inspected()
        self._settle_ledger()
        self._turn = 0
        self._made: dict[str, Callable[[], Right]] = {
            "POST /v1/events": lambda: self._signed(self._event()),
            "POST /v1/events/batch": self._batch,
            "POST /v1/documents": self._document,
            "POST /v1/labels": self._issue,
            "POST /v1/labels/ids": lambda: Right(body={"count": 1 + self._turn % 3}),
            "POST /v1/enrolments": lambda: Right(body=self._wanted()),
            "POST /v1/enrolments/{enrolment}/claim": self._claim,
            "POST /v1/enrolments/{enrolment}/approve": self._approval,
            "DELETE /v1/officers/{officer}/name": lambda: Right({"officer": self._opened(name="Ani")["officer"]}),
            "POST /oauth/token": self._token,
            "GET /v1/plans/diff": lambda: Right(query={"from": self.documents[1], "to": self.documents[1]}),
            "GET /v1/reconciliation/events": lambda: Right(query={"contest": "PILGUB", "figure": "good"}),
            "GET /ledger/{name}/tile/entries/{path}": lambda: Right({"name": self.name, "path": self._tile()}),
            "GET /ledger/{name}/tile/{path}": lambda: Right({"name": self.name, "path": f"0/{self._tile()}"}),
            "GET /static/{name}": lambda: Right({"name": "page.css"}),
            "GET /v1/units/{unit}/absence": lambda: Right({"unit": new_unit_id(secrets.token_bytes(10))}),
        }

    def request(self, label: str, parameters: list[str]) -> Right:
        """Return a right request for an operation with these path parameters."""
        self._turn += 1
        if label in self._made:
            return self._made[label]()
        return Right({name: self.known(name) for name in parameters})

    def names(self, label: str, parameters: list[str]) -> dict[str, str]:
        """Return names of things that are there for the path of an operation; nothing is signed for it."""
        self._turn += 1
        if "/tile/" in label or "/static/" in label:
            return self._made[label]().path
        return {name: self.known(name) for name in parameters}

    def known(self, name: str) -> str:
        """Return one of the things that a parameter of this name may name."""
        things = {
            "unit": [*self.boxes, self.lot], "label": [*self.boxes, *self.blanks], "event": self.hashes, "block": [self.block],
            "content_hash": self.documents, "place": [small.WAREHOUSE, small.CITY, small.TPS1, small.PPK],
            "below": [small.CITY, "64"], "enrolment": self.enrolments, "name": [self.name], "officer": ["ST-1", "PP-1"],
            "agency": [small.KPU, small.POL], "contest": ["PILGUB", "PILWALI"], "election": [small.ELECTION],
            "figure": ["good", "other"], "type": ["sighting", "custody.release"], "result": ["accepted"], "size": ["7", "20"],
            "since": ["2024-10-20T00:00:00+08:00"], "until": ["2024-10-21T00:00:00+08:00"], "handover": self.hashes,
            "at": ["2024-10-20T12:00:00+08:00"], "limit": ["1", "2"], "kind": ["TPS", "WH_KPU"], "rule": ["UNKNOWN_LABEL"],
            "status": ["open"], "clock": ["received"], "severity": ["high"], "scale": ["3"], "first": ["2"], "count": ["2"],
            "events": ["1"], "format": ["A4_3X8_70X37"], "inspection": [self.inspection], "item": ["BOX_TPS"],
        }  # fmt: skip
        among = things.get(name, ["x"])
        return among[self._turn % len(among)]

    def verdicts(self) -> dict[str, int]:
        """Return how many events are on the ledger with which result."""
        with self.live.db.read() as session:
            rows = session.exec_driver_sql("SELECT result, count(*) FROM event GROUP BY result")
            return {"accepted": 0, "refused": 0, **{str(result): int(count) for result, count in rows}}

    def _settle_ledger(self) -> None:
        """Commit to every unit's latest event, and have the checkpoint cosigned where the service has our witness."""
        intake = self.live.services.intake
        intake.call(lambda: commit_heads(self.house.recorder, self.house.tick())).result(30)
        text = Note.parse(self.house.recorder.published[1]).text
        body = Note(text, (WITNESS.cosign(text, 1_732_000_000),)).to_bytes()
        self.live.http.post(f"/ledger/{self.name}/cosignatures", content=body, headers={"Content-Type": "text/plain"})

    # -- signed things -------------------------------------------------------------------------------

    def _act(self, phone: Phone, type_: str, details: dict[str, Any], units: list[str], **how: Any) -> Signed:
        how.setdefault("place", small.WAREHOUSE)
        return phone.sign(type_, details, at_ms=self.house.tick(), units=units, **how)

    def _lot(self) -> str:
        unit = self.blanks.pop()
        line = {
            "act": "bind", "unit": unit, "item": "BALLOT", "contest": "PILGUB", "district": "64", "quantity": 100,
        }  # fmt: skip
        self.live.ok(self._act(self.store, "unit.commission", {"lines": [line]}, [unit], with_={self.second: "second"}))
        self._acts = self._story()
        return unit

    def _inspected(self) -> str:
        """Open an inspection of everything in the store."""
        units = self.live.get(f"/v1/places/{small.WAREHOUSE}/inventory", "auditor").json()["inventory"]
        told = {"kind": "routine", "inventory": units, "confidence": 95, "rate": 10}
        return str(self.live.ok(self._act(self.escort, "inspection.open", told, [], capacity="witness"))["event"])

    def _story(self) -> Iterator[Signed]:
        """Sign for ever: boxes are labelled, sealed, handed over and looked at."""
        while True:
            unit = self.labels.pop() if self.labels else None
            if unit is None:
                self.labels, _ = self.live.issue(self.store, 30)
                continue
            self.boxes = [*self.boxes[-8:], unit]
            line = {"act": "bind", "unit": unit, "item": "BOX_TPS", "destination": small.TPS1}
            yield self._act(self.store, "unit.commission", {"lines": [line]}, [unit])
            seal = {"unit": unit, "point": 1, "number": f"S-{secrets.token_hex(5).upper()}"}
            yield self._act(self.store, "seal.apply", {"seals": [seal]}, [unit])
            told = {"to_agency": small.KPU, "to_place": small.PPK, "due_by": DUE}
            release = self._act(self.store, "custody.release", told, [unit])
            yield release
            taken = {"release": release.hash, "scanned": {"n": 1, "hash": ids_commitment([unit])}, "exceptions": []}
            yield self._act(
                self.ppk[0], "custody.accept", taken, [], place=small.PPK, capacity="taker", after=[release.hash]
            )
            yield self._act(self.ppk[0], "sighting", {"source": "typed"}, [unit], place=small.PPK, capacity="witness")
            yield self._private()

    def _private(self) -> Signed:
        salt, text = secrets.token_bytes(32), b"Segel rusak"
        signed = self._act(
            self.store, "sighting", {"source": "camera"}, [self.boxes[0]], capacity="witness",
            private={"note": commitment(salt, text)},
        )  # fmt: skip
        beside = {"note": {"salt": b64url_encode(salt), "body": b64url_encode(text)}}
        return Signed(signed.hash, {"event": signed.jws, "private": beside})

    def _event(self) -> Any:
        return next(self._acts).jws

    def _signed(self, body: Any, **path: str) -> Right:
        return Right(path, body, headers={SCENARIO_TIME: rfc3339_ms(self.house.now_ms)})

    def _batch(self) -> Right:
        items = [self._event() for _ in range(3)]
        return self._signed(items if self._turn % 2 else {"events": items})

    def _issue(self) -> Right:
        ids = sorted(new_unit_id(secrets.token_bytes(10)) for _ in range(3))
        signed = self._act(self.store, "labels.issue", {"count": 3, "ids_hash": ids_commitment(ids)}, [])
        return self._signed({"ids": ids, "event": signed.jws})

    def _document(self) -> Right:
        return Right(body=small.policy(title=f"Kebijakan {self._turn}") if self._turn % 3 else small.plan())

    def _tile(self) -> str:
        return f"000.p/{min(self.live.services.view.published[0], 255)}"

    # -- people --------------------------------------------------------------------------------------

    def _wanted(self, **more: str) -> dict[str, Any]:
        return {"agency": small.KPU, "role": "LOGISTIK", "place": small.CITY, "access": ["field"], **MANDATE, **more}

    def _opened(self, **more: str) -> dict[str, Any]:
        answer = self.live.post("/v1/enrolments", self._wanted(**more), "registrar")
        assert answer.status_code == 201, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def _claimed(self) -> tuple[str, dict[str, Any]]:
        told, key = self._opened(), PrivateKey.generate("ES256" if self._turn % 2 else "Ed25519")
        proof = possession(key, self.house.origin, told["challenge"])
        return told["enrolment"], {"token": told["token"], "jwk": public_jwk(key), "signature": proof["signature"]}

    def _claim(self) -> Right:
        enrolment, body = self._claimed()
        return Right({"enrolment": enrolment}, body)

    def _approval(self) -> Right:
        enrolment, body = self._claimed()
        answer = self.live.post(f"/v1/enrolments/{enrolment}/claim", body)
        assert answer.status_code == 200, answer.text
        details = self.live.get(f"/v1/enrolments/{enrolment}", "registrar").json()["details"]
        first, second = self.house.founders
        signed = first.sign(
            "key.enrol", details, at_ms=self.house.tick(), capacity="approver", with_={second: "approver"}
        )
        return self._signed({"event": signed.jws}, enrolment=enrolment)

    def _token(self) -> Right:
        return Right(body=by_assertion(assertion(self.store.key, self.house.origin)))


def doors(described: dict[str, Any]) -> dict[str, frozenset[str]]:
    """Return every operation of an OpenAPI description with the access roles that it admits; none: everybody."""
    return {
        f"{method.upper()} {path}": frozenset(operation["x-access"].get("roles", ()))
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def statuses(described: dict[str, Any]) -> dict[str, frozenset[int]]:
    """Return the documented statuses of every operation."""
    return {
        f"{method.upper()} {path}": frozenset(int(status) for status in operation["responses"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }


def as_bytes(body: Any) -> bytes:
    """Write a right body as a client would."""
    return json.dumps(body).encode()
