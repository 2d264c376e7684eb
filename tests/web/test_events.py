"""The doors for signed events: statuses, receipts, replays, batches, time."""

import json
import socket
import time

import pytest

from app.canon import b64url_decode, b64url_encode
from app.clock import rfc3339_ms
from app.custody.private import commitment
from app.keys.signing import PrivateKey, sign_jws
from app.keys.verify import PublicKey, parse_compact, prove
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import VerifierKey
from app.ledger.tree import verify_inclusion
from tests import small
from tests.web.live import living


@pytest.fixture(scope="module")
def box(live, officer):
    return live.boxes(officer, [small.TPS1])[0]


def test_an_accepted_event_gets_201_and_a_receipt_that_verifies(live, officer, box):
    answer = live.send(live.sighting(officer, box))
    assert answer.status_code == 201
    receipt = answer.json()
    assert answer.headers["location"] == f"/v1/events/{receipt['event']}"
    assert (receipt["state"], receipt["result"]) == ("included", "accepted")
    key = VerifierKey.parse(live.http.get("/v1/ledger").json()["ledger_key"])
    proof = receipt["proof"]
    checkpoint = open_checkpoint(proof["checkpoint"].encode(), [key], live.house.origin)
    path = [b64url_decode(one) for one in proof["path"]]
    verify_inclusion(receipt["index"], checkpoint.size, b64url_decode(receipt["leaf_hash"]), path, checkpoint.root)


def test_a_replay_gets_200_and_the_same_bytes(live, officer, box):
    signed = live.sighting(officer, box)
    first, again = live.send(signed), live.send(signed)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content


def test_a_replay_of_a_refusal_gets_200_and_the_receipt_of_the_refusal(live, officer, box):
    signed = officer.sign("unit.unpack", {"parent": box}, at_ms=live.house.tick(), units=[box])
    first, again = live.send(signed), live.send(signed)
    assert first.status_code >= 400
    assert again.status_code == 200
    assert first.json()["receipt"] == again.json()
    assert first.json()["code"] == again.json()["code"]


def test_a_refusal_is_a_problem_with_its_receipt(live, officer, box):
    signed = officer.sign("unit.unpack", {"parent": box}, at_ms=live.house.tick(), units=[box])
    answer = live.send(signed)
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["type"] == f"urn:ballot-custody:problem:{told['code']}"
    assert told["status"] == answer.status_code >= 400
    assert told["receipt"]["result"] == "refused"
    assert told["receipt"]["event"] == signed.hash


def test_an_event_that_waits_gets_202(live, officer, box):
    details = {"release": "B" * 43, "scanned": {"n": 0, "hash": "C" * 43}}
    signed = officer.sign("custody.accept", details, at_ms=live.house.tick(), units=[box], capacity="taker")
    answer = live.send(signed)
    assert (answer.status_code, answer.json()["code"]) == (202, "pending_predecessor")


def test_respond_async_gets_a_signed_admission_without_proof(live, officer, box):
    answer = live.send(live.sighting(officer, box), prefer="respond-async")
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "respond-async"
    told = answer.json()
    assert (told["state"], "proof" in told) == ("accepted", False)
    keys = live.get("/v1/keys", "auditor").json()["items"]
    jwk = next(key["jwk"] for key in keys if key["kind"] == "admission")
    jws = parse_compact(told["admission"], typ="custody-receipt+json")
    prove(jws, lambda _: PublicKey.from_jwk(jwk))
    assert json.loads(jws.payload) == {name: value for name, value in told.items() if name != "admission"}


def test_an_unproven_event_is_401_and_leaves_no_trace(live, officer, box):
    size = live.http.get("/v1/ledger").json()["size"]
    signed = live.sighting(officer, box)
    broken = {**signed.jws, "signatures": [{**signed.jws["signatures"][0], "signature": "A" * 86}]}
    assert live.post("/v1/events", broken).status_code == 401
    stranger = PrivateKey.generate("ES256")
    payload = b64url_decode(signed.jws["payload"]).replace(officer.kid.encode(), stranger.kid.encode())
    answer = live.post("/v1/events", sign_jws(payload, [stranger]))
    assert (answer.status_code, answer.json()["code"]) == (401, "unknown_key")
    assert live.http.get("/v1/ledger").json()["size"] == size
    assert live.send(signed).status_code == 201


def test_another_payload_under_the_same_id_is_409_and_on_the_ledger(live, officer, box):
    first = live.sighting(officer, box)
    live.ok(first)
    body = json.loads(b64url_decode(first.jws["payload"]))
    body["details"] = {"source": "typed"}
    answer = live.post("/v1/events", sign_jws(json.dumps(body).encode(), [officer.key]))
    assert (answer.status_code, answer.json()["code"]) == (409, "event_id_reuse")
    assert answer.json()["receipt"]["index"] > 0


def test_private_contents_travel_beside_the_event(live, officer, box):
    salt, text = b"s" * 32, b"Segel rusak di sudut kiri"
    signed = live.sighting(officer, box, private={"note": commitment(salt, text)})
    body = {"event": signed.jws, "private": {"note": {"salt": b64url_encode(salt), "body": b64url_encode(text)}}}
    wrong = {**body, "private": {"note": {"salt": b64url_encode(b"t" * 32), "body": b64url_encode(text)}}}
    assert live.post("/v1/events", wrong).json()["code"] == "commitment"
    assert live.post("/v1/events", body).status_code == 201


# -- batches ---------------------------------------------------------------------------------------------


def test_each_event_of_a_batch_stands_alone(live, officer, box):
    good = [live.sighting(officer, box) for _ in range(3)]
    refused = officer.sign("unit.unpack", {"parent": box}, at_ms=live.house.tick(), units=[box])
    items = [good[0].jws, {"nonsense": 1}, refused.jws, good[1].jws, 7, good[2].jws, good[0].jws]
    told = live.batch(items).json()
    assert [one["status"] for one in told["results"]][:2] == [201, 400]
    assert [one["status"] for one in told["results"]][3:6] == [201, 400, 201]
    assert told["results"][2]["problem"]["receipt"]["event"] == refused.hash
    assert told["results"][6]["status"] in {200, 201}
    receipts = [told["results"][n]["receipt"] for n in (0, 3, 5)]
    assert [receipt["event"] for receipt in receipts] == [one.hash for one in good]
    assert all("checkpoint" not in receipt["proof"] for receipt in receipts)
    assert told["checkpoint"].startswith(live.house.origin)


def test_a_batch_may_leave_the_proofs_out(live, officer, box):
    told = live.batch([live.sighting(officer, box).jws], prefer="return=minimal").json()
    assert "proof" not in told["results"][0]["receipt"]
    size = int(told["checkpoint"].split("\n")[1])
    assert size > told["results"][0]["receipt"]["index"]


def test_an_empty_batch_is_answered(live):
    answer = live.batch([])
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_a_batch_that_is_too_long_or_no_list_is_refused(live):
    assert live.post("/v1/events/batch", [1] * 1001).json()["code"] == "too_large"
    assert live.post("/v1/events/batch", {"a": []}).json()["code"] == "body_shape"
    assert live.post("/v1/events/batch", "x").json()["code"] == "body_shape"


def test_an_offline_enrolment_travels_with_the_first_event(live, box):
    phone = live.house._phone(f"OFF-NEW-{time.monotonic_ns()}", small.KPU, small.CITY, "ES256")
    enrolment = live.house.enrolment(phone, "LOGISTIK")
    phone.seen = live.house.founders[0].seen
    first = live.sighting(phone, box)
    told = live.batch([enrolment.jws, first.jws]).json()
    assert [one["status"] for one in told["results"]] == [201, 201]


def test_a_key_that_a_refused_enrolment_offers_proves_nothing(live, box):
    phone = live.house._phone(f"OFF-BAD-{time.monotonic_ns()}", "NOBODY", small.CITY)
    enrolment = live.house.enrolment(phone, "LOGISTIK")
    told = live.batch([enrolment.jws, live.sighting(phone, box).jws]).json()
    assert [one["problem"]["code"] for one in told["results"]] == ["role", "unknown_key"]


# -- time, media types, limits ---------------------------------------------------------------------------


def test_scenario_time_is_the_time_of_receipt(live, officer, box):
    signed = live.sighting(officer, box)
    assert live.ok(signed)["received_at"] == rfc3339_ms(live.house.now_ms)


def test_scenario_time_is_refused_on_a_ledger_that_is_no_demo(live, officer, box):
    live.services.demo = False
    try:
        answer = live.send(live.sighting(officer, box))
    finally:
        live.services.demo = True
    assert (answer.status_code, answer.json()["code"]) == (403, "scenario_time")


def test_scenario_time_must_be_a_time(live, officer, box):
    signed = live.sighting(officer, box)
    answer = live.post("/v1/events", signed.jws, headers={"Custody-Scenario-Time": "yesterday"})
    assert (answer.status_code, answer.json()["code"]) == (400, "time")


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/json; charset=latin-1", "application/jose"])
def test_other_media_types_are_415(lite, media_type):
    answer = lite.http.post("/v1/events", content=b"{}", headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type")


def test_a_body_announced_or_grown_too_large_is_413(lite):
    big = b"[" + b" " * 70_000 + b"]"
    announced = lite.post("/v1/events", big)
    grown = lite.http.post("/v1/events", content=iter([big]), headers={"Content-Type": "application/json"})
    assert [a.status_code for a in (announced, grown)] == [413, 413]
    assert announced.json()["max_bytes"] == 65536


def test_a_body_that_comes_too_slowly_is_408(lite, monkeypatch):
    monkeypatch.setattr("app.web.gate.BODY_SECONDS", 0.3)
    with socket.create_connection((lite.http.base_url.host, lite.http.base_url.port)) as raw:
        raw.sendall(
            b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        raw.settimeout(5)
        assert raw.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_full_queue_is_503_with_retry_after(sqlite_url, tmp_path):
    with living(sqlite_url, tmp_path / "data", queue_events=1) as small_door:
        phone = small_door.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
        box = small_door.boxes(phone, [small.TPS1])[0]
        intake = small_door.services.intake
        intake._waiting = 5
        answer = small_door.send(small_door.sighting(phone, box))
        intake._waiting = 0
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        intake._broken = "OSError"
        answer = small_door.send(small_door.sighting(phone, box))
        assert (answer.status_code, answer.json()["code"]) == (503, "storage")
        assert small_door.http.get("/readyz").status_code == 503
        assert small_door.http.get("/healthz").status_code == 200
