"""Phones without a network: they sign on, upload late, twice, in the wrong order or into a cut line; nothing is lost.

Everything goes over HTTP to a running service; the phones never see the database (issue 2, section 7 and "Done when").
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.audit.fsck import fsck
from app.cli.phone import Phone, Signed, ids_commitment
from app.clock import rfc3339_ms
from tests import small
from tests.web.live import Live, living

DAY_MINUTES = 24 * 60
DUE = "2024-12-20T12:00:00+08:00"
WAIT_SECONDS = 30


class Field:
    """A service with two officers who give, two who take, and boxes between them."""

    def __init__(self, live: Live) -> None:
        self.live, self.house = live, live.house
        self.giver = self.house.enrol("KPU-1", small.KPU, "LOGISTIK", small.CITY)
        self.office = self.house.enrol("KPU-2", small.KPU, "LOGISTIK", small.CITY)
        self.taker = self.house.enrol("PPK-1", small.KPU, "PPK_KEC", "64.74.01", alg="ES256")
        self.boxes = live.boxes(self.giver, [small.TPS1, small.TPS2, small.TPS3])
        seals = [{"unit": unit, "point": 1, "number": f"KT-{n}"} for n, unit in enumerate(self.boxes)]
        live.ok(
            self.giver.sign(
                "seal.apply", {"seals": seals}, at_ms=self.house.tick(), units=self.boxes, place=small.WAREHOUSE
            )
        )
        self.look(self.giver, self.office, self.taker)

    def look(self, *phones: Phone) -> None:
        """Let phones see the newest checkpoint, as a phone with a network does."""
        note = self.live.http.get("/ledger/pilkada2024-64/checkpoint").text
        for phone in phones:
            phone.sees(note)

    def size(self) -> int:
        size: int = self.live.http.get("/v1/ledger").json()["size"]
        return size

    def discrepancies(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.live.get("/v1/discrepancies", "auditor", limit=200).json()["items"]
        return found

    def event(self, signed: Signed) -> dict[str, Any]:
        told: dict[str, Any] = self.live.get(f"/v1/events/{signed.hash}", "auditor").json()
        return told

    def sighting(self, phone: Phone, unit: str) -> Signed:
        return phone.sign(
            "sighting", {"source": "camera"}, at_ms=self.house.tick(), units=[unit], place=small.WAREHOUSE, capacity="witness"
        )  # fmt: skip

    def release(self, unit: str) -> Signed:
        details = {"to_agency": small.KPU, "to_place": small.PPK, "due_by": DUE}
        return self.giver.sign("custody.release", details, at_ms=self.house.tick(), units=[unit], place=small.WAREHOUSE)

    def accept(self, release: Signed, unit: str) -> Signed:
        told = {"release": release.hash, "scanned": {"n": 1, "hash": ids_commitment([unit])}, "exceptions": []}
        return self.taker.sign(
            "custody.accept", told, at_ms=self.house.tick(), place=small.PPK, capacity="taker", after=[release.hash]
        )

    def is_sound(self) -> bool:
        report = fsck(self.live.db, high_water=self.live.settings.high_water_file())
        return report.clean


@pytest.fixture
def out(database_url: str, tmp_path: Path) -> Iterator[Field]:
    with living(database_url, tmp_path / "data") as live:
        yield Field(live)


# -- a day without a network -----------------------------------------------------------------------------


def test_a_phone_that_was_offline_for_a_day_raises_nothing(out: Field) -> None:
    signed = []
    for n in range(48):
        signed.append(out.sighting(out.giver, out.boxes[n % 3]))
        out.house.tick(DAY_MINUTES / 48)
        if n % 4 == 0:  # the world goes on without it, so its checkpoint grows old
            out.live.ok(out.sighting(out.office, out.boxes[0]))
    size, seen = out.size(), out.giver.seen
    answer = out.live.batch([one.jws for one in signed])
    assert answer.status_code == 200
    assert [one["status"] for one in answer.json()["results"]] == [201] * 48
    assert out.size() == size + 48
    assert out.giver.seen == seen
    assert out.discrepancies() == []
    first, last = out.event(signed[0]), out.event(signed[-1])
    assert first["receipt"]["received_at"] == last["receipt"]["received_at"] == rfc3339_ms(out.house.now_ms)
    assert out.is_sound()


def test_a_day_uploaded_in_pieces_and_backwards_closes_every_gap(out: Field) -> None:
    signed = [out.sighting(out.giver, out.boxes[n % 3]) for n in range(9)]
    out.house.tick(DAY_MINUTES)
    for piece in (signed[6:], signed[3:6], signed[:3]):
        results = out.live.batch([one.jws for one in reversed(piece)]).json()["results"]
        assert [one["status"] for one in results] == [201] * 3
    assert {one["status"] for one in out.discrepancies()} <= {"resolved"}
    assert {one["rule"] for one in out.discrepancies()} <= {"SEQUENCE_GAP"}
    assert out.is_sound()


def test_a_phone_that_lost_an_event_and_one_whose_clock_is_ahead_do_raise_something(out: Field) -> None:
    """Control: the silence of the tests above is not deafness."""
    out.sighting(out.giver, out.boxes[0])  # signed and lost
    out.office.clock_offset_ms = 3 * 3_600_000
    out.live.batch([out.sighting(out.giver, out.boxes[0]).jws, out.sighting(out.office, out.boxes[0]).jws])
    assert sorted(one["rule"] for one in out.discrepancies()) == ["CLOCK_SUSPECT", "SEQUENCE_GAP"]


# -- an enrolment without a network ----------------------------------------------------------------------


def test_an_enrolment_signed_offline_travels_with_the_new_phones_first_events(out: Field) -> None:
    phone = out.house._phone("KPU-NEW", small.KPU, small.CITY, "ES256")
    enrolment = out.house.enrolment(phone, "LOGISTIK")
    phone.seen = out.giver.seen
    mine = [out.sighting(phone, out.boxes[0]) for _ in range(3)]
    out.house.tick(DAY_MINUTES)
    early = out.live.send(mine[0])
    assert (early.status_code, early.json()["code"]) == (401, "unknown_key")
    results = out.live.batch([enrolment.jws, *(one.jws for one in mine)]).json()["results"]
    assert [one["status"] for one in results] == [201] * 4
    again = out.live.batch([*(one.jws for one in mine), enrolment.jws]).json()["results"]
    assert [one["status"] for one in again] == [200] * 4
    assert [one["receipt"]["event"] for one in again] == [*(one.hash for one in mine), enrolment.hash]
    assert out.discrepancies() == []
    assert out.is_sound()


def test_a_first_event_before_its_enrolment_in_one_batch_is_unproven_and_may_come_again(out: Field) -> None:
    phone = out.house._phone("KPU-NEW", small.KPU, small.CITY)
    enrolment = out.house.enrolment(phone, "LOGISTIK")
    phone.seen = out.giver.seen
    mine = out.sighting(phone, out.boxes[0])
    size = out.size()
    results = out.live.batch([mine.jws, enrolment.jws]).json()["results"]
    assert [one["status"] for one in results] == [401, 201]
    assert out.size() == size + 1
    assert out.live.send(mine).status_code == 201
    assert out.discrepancies() == []


# -- the same handover from both phones ------------------------------------------------------------------


def test_both_phones_upload_the_same_handover_and_it_counts_once(out: Field) -> None:
    box = out.boxes[0]
    release = out.release(box)
    accept = out.accept(release, box)
    out.house.tick(DAY_MINUTES)
    size = out.size()
    first = out.live.batch([release.jws, accept.jws]).json()["results"]
    second = out.live.batch([release.jws, accept.jws]).json()["results"]
    assert [[one["status"] for one in each] for each in (first, second)] == [[201, 201], [200, 200]]
    assert [one["receipt"] for one in first] == [one["receipt"] for one in second]
    assert out.size() == size + 2
    assert out.discrepancies() == []
    [handover] = out.live.get("/v1/handovers", "auditor", status="done").json()["items"]
    assert handover["release"] == release.hash
    assert out.is_sound()


def test_eight_uploads_at_once_of_one_handover_are_one(out: Field) -> None:
    box = out.boxes[1]
    release = out.release(box)
    accept = out.accept(release, box)
    size = out.size()
    body, headers = json.dumps([release.jws, accept.jws]), {"Custody-Scenario-Time": rfc3339_ms(out.house.now_ms)}
    together, answers = threading.Barrier(8), []

    def upload() -> None:
        with httpx.Client(base_url=out.live.http.base_url, timeout=60, trust_env=False) as client:
            together.wait(WAIT_SECONDS)
            answers.append(
                client.post("/v1/events/batch", content=body, headers={"Content-Type": "application/json", **headers})
            )

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 8
    for n in range(2):
        told = [answer.json()["results"][n] for answer in answers]
        assert sorted(one["status"] for one in told) == [200] * 7 + [201]
        assert len({one["receipt"]["index"] for one in told}) == 1
    assert out.size() == size + 2
    assert out.is_sound()


# -- the wrong order -------------------------------------------------------------------------------------


def test_an_accept_before_its_release_waits_and_a_verdict_resolves_it(out: Field) -> None:
    box = out.boxes[0]
    release = out.release(box)
    accept = out.accept(release, box)
    out.house.tick(DAY_MINUTES)
    size = out.size()
    waiting = out.live.send(accept)
    assert (waiting.status_code, waiting.json()["code"]) == (202, "pending_predecessor")
    assert out.live.get(f"/v1/units/{box}", "auditor").json()["custody"]["status"] == "held"
    came = out.live.send(release)
    assert came.status_code == 201, came.text
    assert out.size() == size + 3  # the accept, the release, and the verdict on the accept
    told = out.live.send(accept)
    assert told.status_code == 200
    receipt = told.json()
    assert (receipt["result"], receipt["outcome"], receipt["outcome_index"]) == ("pending", "accepted", size + 2)
    verdict = out.live.get("/v1/events", "auditor", type="verdict").json()["items"][-1]
    assert verdict["index"] == size + 2
    unit = out.live.get(f"/v1/units/{box}", "auditor").json()
    assert (unit["custody"]["status"], unit["custody"]["place"]) == ("held", small.PPK)
    [handover] = out.live.get("/v1/handovers", "auditor", status="done").json()["items"]
    assert handover["release"] == release.hash
    assert out.discrepancies() == []
    assert out.is_sound()


def test_the_wrong_order_within_one_batch_comes_to_the_same(out: Field) -> None:
    box = out.boxes[0]
    release = out.release(box)
    accept = out.accept(release, box)
    results = out.live.batch([accept.jws, release.jws]).json()["results"]
    assert [one["status"] for one in results] == [202, 201]
    assert out.live.send(accept).json()["outcome"] == "accepted"
    assert out.discrepancies() == []
    assert out.is_sound()


# -- a cut line ------------------------------------------------------------------------------------------


def cut(live: Live, body: bytes, now_ms: int, *, whole: bool = True) -> None:
    """Send a request and close the connection hard, before reading a byte of the answer."""
    head = (
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Custody-Scenario-Time: {rfc3339_ms(now_ms)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((live.http.base_url.host, live.http.base_url.port or 80)) as line:
        line.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0) if not whole else struct.pack("ii", 0, 0)
        )
        line.sendall(head.encode() + (body if whole else body[: len(body) // 2]))


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_line_cut_before_the_answer_gives_the_same_receipt_byte_for_byte(out: Field) -> None:
    signed, size = out.sighting(out.giver, out.boxes[0]), out.size()
    cut(out.live, json.dumps(signed.jws).encode(), out.house.now_ms)
    wait_for(lambda: out.size() == size + 1)
    again = [out.live.send(signed) for _ in range(3)]
    assert [answer.status_code for answer in again] == [200] * 3
    assert len({answer.content for answer in again}) == 1
    assert again[0].json()["index"] == size
    assert out.size() == size + 1
    assert out.discrepancies() == []
    assert out.is_sound()


def test_a_resent_event_gets_the_bytes_of_its_first_receipt(out: Field) -> None:
    signed = out.sighting(out.giver, out.boxes[0])
    first = out.live.send(signed)
    second = out.live.send(signed)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.content == second.content
    for _ in range(3):
        out.live.ok(out.sighting(out.office, out.boxes[1]))
    later = out.live.send(signed)
    stable = [{name: value for name, value in answer.json().items() if name != "proof"} for answer in (first, later)]
    assert stable[0] == stable[1]


def test_a_line_cut_in_the_middle_of_a_body_records_nothing(out: Field) -> None:
    signed, size = out.sighting(out.giver, out.boxes[0]), out.size()
    cut(out.live, json.dumps(signed.jws).encode(), out.house.now_ms, whole=False)
    out.live.ok(out.sighting(out.office, out.boxes[1]))
    assert out.size() == size + 1
    assert out.live.send(signed).status_code == 201
    assert out.discrepancies() == []
    assert out.is_sound()


def test_many_lines_cut_at_any_moment_record_each_event_once(out: Field) -> None:
    signed, size = [out.sighting(out.giver, out.boxes[n % 3]) for n in range(30)], out.size()
    for n, one in enumerate(signed):
        cut(out.live, json.dumps(one.jws).encode(), out.house.now_ms, whole=n % 3 != 0)
    answers = [out.live.send(one) for one in signed]
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert out.size() == size + 30
    assert {one["status"] for one in out.discrepancies()} <= {"resolved"}
    assert out.is_sound()
