"""What only the enrolled can send: good events that are bent afterwards, and signed nonsense that reaches the rules."""

import json
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.audit.fsck import fsck
from app.canon import b64url_decode, b64url_encode
from app.cli.phone import Phone, Signed
from tests import small
from tests.web.babble import Babbler
from tests.web.fuzzing import quiet
from tests.web.live import Live, living

LONG = os.environ.get("CUSTODY_LONG") == "1"
EVENTS, GROUP, SEED = (20_000 if LONG else 600), 20, 20241127
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def live(sqlite_template: Path, tmp_path: Path) -> Iterator[Live]:
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    with quiet(), living(f"sqlite:///{tmp_path / 'custody.db'}", tmp_path / "data") as found:
        yield found


# -- good events, bent -----------------------------------------------------------------------------------


def trailing_bits(text: str) -> str:
    """Spell the same bytes in another way: set a bit behind the last byte."""
    assert len(text) % 4, "no bits to spare"
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) + 1]


def resigned(phone: Phone, signed: Signed, head: Any) -> dict[str, Any]:
    """Sign the same payload under another header, by the right key; bytes stand as they are."""
    raw = head if isinstance(head, bytes) else json.dumps(head, separators=(",", ":")).encode()
    protected, payload = b64url_encode(raw), signed.jws["payload"]
    signature = b64url_encode(phone.key.sign(f"{protected}.{payload}".encode()))
    return {"payload": payload, "signatures": [{"protected": protected, "signature": signature}]}


def bent(phone: Phone, signed: Signed) -> Iterator[tuple[str, bytes]]:
    """Yield bodies that say what a good event says and are not it."""
    jws: dict[str, Any] = signed.jws  # type: ignore[assignment]
    [one] = jws["signatures"]
    payload, protected, signature = jws["payload"], one["protected"], one["signature"]

    def whole(**changes: Any) -> bytes:
        return json.dumps({**jws, **changes}).encode()

    def part(**changes: Any) -> bytes:
        return whole(signatures=[{**one, **changes}])

    yield "signature, trailing bits", part(signature=trailing_bits(signature))
    for name, text in (("payload", payload), ("protected", protected), ("signature", signature)):
        for what, spelled in (("padded", text + "=="), ("newline", text + "\n"), ("space", " " + text), ("cut", text[:-1]),
                              ("long", text + "A"), ("standard", "+" + text[1:]), ("empty", "")):  # fmt: skip
            yield f"{name}, {what}", whole(payload=spelled) if name == "payload" else part(**{name: spelled})
    yield "unprotected header", part(header={"alg": "none"})
    yield "flattened", json.dumps({"payload": payload, **one}).encode()
    yield "flattened beside", whole(**one)
    yield "compact", json.dumps(f"{protected}.{payload}.{signature}").encode()
    yield "twice by one key", whole(signatures=[one, one])
    yield "no signature", whole(signatures=[])
    yield "swapped", part(protected=signature, signature=protected)
    yield "other member", whole(x=1)
    text = whole().decode()
    yield "payload twice", text.replace('{"payload"', '{"payload": "e30", "payload"', 1).encode()
    yield "payload twice, escaped", text.replace('{"payload"', '{"p\\u0061yload": "e30", "payload"', 1).encode()
    yield "signature twice", text.replace('"signature":', '"signature": "A", "signature":', 1).encode()
    body = b64url_decode(payload)
    for what, raw in (("space", b" " + body), ("line", body + b"\n"), ("mark", b"\xef\xbb\xbf" + body), ("utf-16", body.decode().encode("utf-16")),
                      ("twice", body[:-1] + b',"v":1}'), ("float", body.replace(b'"v":1', b'"v":1.0'))):  # fmt: skip
        yield f"payload, {what}", whole(payload=b64url_encode(raw))
    number = int.from_bytes(b64url_decode(signature)[32:], "little")
    if phone.key.alg == "Ed25519":
        s_plus_l = b64url_decode(signature)[:32] + (number + ED25519_ORDER).to_bytes(32, "little")
        yield "S plus L", part(signature=b64url_encode(s_plus_l))
    for what, raw in (
        ("zero", bytes(64)),
        ("one", b"\x01" + bytes(63)),
        ("ones", b"\xff" * 64),
        ("short", bytes(63)),
        ("long", bytes(65)),
    ):
        yield f"signature, {what}", part(signature=b64url_encode(raw))


def heads(phone: Phone) -> Iterator[tuple[str, Any]]:
    """Yield headers that must never be taken, though the right key signs them."""
    good = {"alg": phone.key.alg, "kid": phone.kid, "typ": "custody-event+json"}
    others = "ES256" if phone.key.alg == "Ed25519" else "Ed25519"
    for change in (
        {"alg": "none"}, {"alg": "None"}, {"alg": ""}, {"alg": others}, {"alg": "HS256"}, {"alg": phone.key.alg.lower()}, {"alg": "EdDSA"},
        {"alg": [phone.key.alg]}, {"alg": None}, {"kid": ""}, {"kid": phone.kid + "="}, {"kid": "A" * 43}, {"kid": 1}, {"typ": "JWT"},
        {"typ": "custody-receipt+json"}, {"typ": "CUSTODY-EVENT+JSON"}, {"typ": "application/custody-event+json"}, {"crit": []},
        {"crit": ["b64"], "b64": False}, {"b64": True}, {"jwk": {}}, {"jku": "http://127.0.0.1/"}, {"x5u": "file:///etc/passwd"}, {"x5c": []},
        {"cty": "json"}, {"zip": "DEF"}, {"x": 1},
    ):  # fmt: skip
        yield str(change), {**good, **change}
    for name in good:
        yield f"without {name}", {key: value for key, value in good.items() if key != name}
    text = json.dumps(good)
    yield "twice", text.replace('{"alg"', '{"alg": "none", "alg"').encode()
    yield "mark", b"\xef\xbb\xbf" + text.encode()
    yield "utf-16", text.encode("utf-16")
    yield "list", [good]
    yield "null", None
    yield "not json", b"\xff\xfe"
    yield "deep", b'{"alg":' * 50 + b"1" + b"}" * 50


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_a_good_event_that_was_bent_is_never_recorded(live: Live, alg: str) -> None:
    phone = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY, alg=alg)
    box = live.boxes(phone, [small.TPS1])[0]
    signed = live.sighting(phone, box)
    size = live.http.get("/v1/ledger").json()["size"]
    bodies = [
        *bent(phone, signed),
        *((what, json.dumps(resigned(phone, signed, head)).encode()) for what, head in heads(phone)),
    ]
    assert len(bodies) > 60
    for what, body in bodies:
        answer = live.post("/v1/events", body)
        assert answer.status_code in {400, 401, 422}, (what, answer.text)
        beside = live.post("/v1/events/batch", b"[" + body + b"]")
        if beside.status_code == 200:
            assert {one["status"] for one in beside.json()["results"]} <= {400, 401, 422}, (what, beside.text)
        assert live.http.get("/v1/ledger").json()["size"] == size, what
    assert live.send(signed).status_code == 201


def test_a_malleable_twin_of_a_signature_is_the_same_event(live: Live) -> None:
    phone = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY, alg="ES256")
    signed = live.sighting(phone, live.boxes(phone, [small.TPS1])[0])
    first = live.send(signed)
    [one] = signed.jws["signatures"]
    raw = b64url_decode(one["signature"])
    twin = b64url_encode(raw[:32] + (P256_ORDER - int.from_bytes(raw[32:], "big")).to_bytes(32, "big"))
    size = live.http.get("/v1/ledger").json()["size"]
    second = live.post("/v1/events", {**signed.jws, "signatures": [{**one, "signature": twin}]})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["leaf_hash"] == first.json()["leaf_hash"]
    assert live.http.get("/v1/ledger").json()["size"] == size


# -- signed nonsense -------------------------------------------------------------------------------------


OF_ITS_OWN_RULE = {
    "discrepancy.explain": {"", "unknown_discrepancy", "no_gap", "unknown_contest", "already_explained", "not_open"},
    "incident.update": {"", "unknown_incident", "incident_state", "not_incident_owner", "policy_unmet", "incident_closed"},
    "incident.close": {"", "unknown_incident", "incident_state", "policy_unmet", "incident_closed"},
    "inspection.plan": {"", "plan_tells"},
    "inspection.open": {"", "unknown_inspection", "quantity", "plan_mismatch", "policy_unmet", "inspection_state"},
    "inspection.skip": {"", "unknown_inspection", "not_your_agency", "inspection_state", "already_inspected"},
    "inspection.close": {"", "unknown_inspection", "not_your_agency", "inspection_state", "sample_mismatch", "wrong_count"},
    **{name: {""} for name in ("incident.report", "inspection", "objection", "witness.attest", "witness.refuse")},
}  # fmt: skip
"""What the rules of the desk's types answer, once an event has come as far as that."""


def sound(live: Live) -> None:
    found = fsck(live.db, high_water=live.settings.high_water_file())
    assert found.clean, json.dumps(found.as_json())[:2000]


@pytest.mark.slow
def test_signed_nonsense_is_judged_every_time_and_the_ledger_still_verifies(live: Live) -> None:
    crowd, seen, told_of = Babbler(live.house, SEED), Counter[str](), defaultdict[str, set[str]](set)
    for n in range(EVENTS // GROUP):
        events = [crowd.event() for _ in range(GROUP)]
        if n % 5 == 0:
            told = [live.send(one) for one in events]
            results = [(answer.status_code, answer.json()) for answer in told]
        else:
            answer = live.batch([one.jws for one in events], prefer="return=minimal" if n % 2 else "")
            assert answer.status_code == 200, answer.text
            results = [(one["status"], one.get("problem") or one["receipt"]) for one in answer.json()["results"]]
        for one, (status, body) in zip(events, results, strict=True):
            assert status < 500, (status, body, b64url_decode(one.jws["payload"]))
            seen[body["code"]] += 1
            told_of[json.loads(b64url_decode(one.jws["payload"]))["type"]].add(body["code"])
        for phone in crowd.phones:
            phone.sees(live.http.get("/ledger/pilkada2024-64/checkpoint").text)
    assert len(seen) > 40, seen
    assert seen[""] > EVENTS // 10, "nearly nothing was accepted: the nonsense is too plain"
    assert seen["key_revoked"] < EVENTS // 5, "the crowd has revoked its own speakers, and the rules hear nothing"
    unheard = {name: told_of[name] for name, codes in OF_ITS_OWN_RULE.items() if not told_of[name] & codes}
    assert not unheard, "these never came as far as their own rule"
    sound(live)
    _read_everything(live, crowd.units)


def _read_everything(live: Live, units: list[str]) -> None:
    """Ask every reading door about what the nonsense left behind; pages to their end."""
    paths = [
        f"/v1/units/{unit}{tail}" for unit in sorted(units) for tail in ("", "/history", "/evidence", "/label.svg")
    ]
    paths += [
        "/v1/events",
        "/v1/handovers",
        "/v1/discrepancies",
        "/v1/places",
        "/v1/reconciliation",
        "/v1/keys",
        "/v1/officers",
        "/v1/incidents",
        "/v1/inspections",
        "/v1/plans",
        "/v1/outstanding",
        f"/v1/places/{small.WAREHOUSE}/inventory",
    ]
    paths += [f"/v1/places/{place}/stock" for place in (small.CITY, small.WAREHOUSE, small.PPK, small.TPS1)]
    paths += [f"/v1/units/{unit}/history?size=60" for unit in sorted(units)[:5]]
    paths += [f"/v1/places/{small.CITY}/stock?size=100", "/v1/reconciliation?size=100"]
    who = live.headers("auditor", "operator", "administrator")
    paths += [f"/v1/incidents/{one['incident']}" for one in live.get("/v1/incidents", "auditor").json()["items"]]
    begun = [one["inspection"] for one in live.get("/v1/inspections", "auditor").json()["items"]]
    some = begun[:10]  # each replays the ledger
    paths += [f"/v1/inspections/{one}{tail}" for one in some for tail in ("", "/sample")]
    paths += [
        f"/desk{page}" for page in ("", "/places", "/handovers", "/discrepancies", "/incidents", "/reconciliation")
    ]
    paths += [f"/desk/units/{unit}" for unit in units] + ["/desk/discrepancies.csv", "/desk/incidents.csv"]
    for path in paths:
        following: str | None = path
        while following:
            answer = live.http.get(following, headers=who)
            not_drawn = answer.status_code == 409 and answer.json()["code"] == "not_drawn"
            assert answer.status_code in {200, 404, 410} or not_drawn, (following, answer.text)
            following = answer.links.get("next", {}).get("url")
    assert live.http.get("/readyz").status_code == 200


def test_a_block_of_labels_that_is_refused_for_another_reason_needs_no_list(live: Live) -> None:
    """Whoever is enrolled can send this; the audit must not hold the service to a list that no rule ever looked at."""
    phone = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", "64.74.01")
    signed = phone.sign("labels.issue", {"count": 1, "ids_hash": "A" * 43}, at_ms=live.house.tick(), place="64")
    answer = live.send(signed)
    assert (answer.status_code, answer.json()["code"]) == (403, "jurisdiction")
    sound(live)


def _waiting_block(live: Live, way: str) -> None:
    """Send a block of labels without its list that waits first, and let its wait end in some way."""
    phone = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    told, at = {"count": 1, "ids_hash": "A" * 43}, live.house.tick
    first, second = live.house.founders
    if way == "decision":
        gone = {"kid": phone.kid, "reason": "stolen"}
        live.ok(first.sign("key.revoke", gone, at_ms=at(), capacity="approver", with_={second: "approver"}))
        held = phone.sign("labels.issue", told, at_ms=at())
        assert live.send(held).json()["code"] == "key_revoked"
        supervisor = live.house.enrol("BWS-1", small.BWS, "PENGAWAS", small.CITY)
        other = live.house.enrol("POL-1", small.POL, "POLRI", small.CITY)
        told = {"event": held.hash, "result": "refuse", "reason": "CHECKED"}
        live.ok(
            supervisor.sign(
                "decision", told, at_ms=at(), capacity="approver", after=[held.hash], with_={other: "approver"}
            )
        )
        return
    unknown = b64url_encode(os.urandom(32))
    early = phone.sign("sighting", {"source": "camera"}, at_ms=at(), capacity="witness")
    after = unknown if way == "overdue" else early.hash
    place = "64" if way == "jurisdiction" else small.WAREHOUSE
    pending = phone.sign("labels.issue", told, at_ms=at(), after=[after], place=place)
    assert live.send(pending).status_code in {202, 403}
    at(80 * 60 if way == "overdue" else 1)
    assert live.send(early).status_code == 201


@pytest.mark.parametrize("way", ["overdue", "decision", "came", "jurisdiction"])
def test_a_block_of_labels_that_waited_in_vain_needs_no_list(live: Live, way: str) -> None:
    _waiting_block(live, way)
    sound(live)
