"""Inspections over HTTP: the inventory for an opener, 409 until a witness signed, the sample, the command that draws it."""

import json
import re
import secrets
import shutil
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from app.canon import b64url_decode, b64url_encode
from app.cli.main import app
from app.cli.phone import ids_commitment
from app.cli.sample import Question, drawn
from app.custody.inspections import InspectionOpen, plan_commitment
from app.ledger.note import Note, SignatureType, SignerKey
from tests import small
from tests.audit import second_draw as second
from tests.web.access_table import DOORS
from tests.web.live import living

WITNESS = SignerKey("a.example/w1", SignatureType.COSIGNATURE, b"\x01" * 32)
POLICY = f"witness a {WITNESS.verifier().to_text()}\nquorum a\n"


@pytest.fixture(params=[True, False], ids=["witnessed", "alone"])
def live(request, sqlite_template, tmp_path):
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    path = tmp_path / "policy.txt"
    path.write_text(POLICY)
    more = {"witness_policy": path} if request.param else {}
    with living(f"sqlite:///{tmp_path / 'custody.db'}", tmp_path / "data", **more) as found:
        found.witnessed = request.param
        yield found
        found.house.check()


def cosign(live):
    base = f"/ledger/{live.services.view.name}"
    note = Note.parse(live.http.get(f"{base}/checkpoint").content)
    body = Note(note.text, (WITNESS.cosign(note.text, int(time.time())),)).to_bytes()
    answer = live.http.post(f"{base}/cosignatures", content=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 204, answer.text


def opened(live, count=30):
    store = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY, access=("field", "operator"))
    boxes = live.boxes(store, [small.TPS1] * count)
    supervisor = live.house.enrol("SUP-1", small.BWS, "PENGAWAS", small.CITY)
    there = live.get(f"/v1/places/{small.WAREHOUSE}/inventory", "auditor", item="BOX_TPS").json()
    assert (there["units"], there["inventory"]) == (sorted(boxes), {"n": count, "hash": ids_commitment(boxes)})
    told = {
        "kind": "routine", "inventory": there["inventory"], "confidence": 95, "rate": 100, "items": ["BOX_TPS"],
    }  # fmt: skip
    signed = supervisor.sign(
        "inspection.open", told, at_ms=live.house.tick(), place=small.WAREHOUSE, capacity="witness"
    )
    live.ok(signed)
    return signed.hash


def run(*args):
    return CliRunner().invoke(app, ["sample", *map(str, args)])


def printed(answer):
    """Read what the command printed, below what the service in this process logs meanwhile."""
    return json.loads(answer.output.splitlines()[-1])


def test_an_inspection_over_http(live, tmp_path):
    inspection = opened(live)
    path = f"/v1/inspections/{inspection}/sample"
    token = tmp_path / "token"
    token.write_text(live.token("auditor"))
    url = f"{str(live.http.base_url).rstrip('/')}{path}"
    if live.witnessed:
        answer = live.get(path, "auditor")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_drawn")
        assert answer.json()["awaits"]["what"] == "witnessed_checkpoint"
        assert live.get(f"/v1/inspections/{inspection}", "auditor").json()["sample"]["state"] == "not_drawn"
        waiting = run("--url", url, "--token-file", token)
        assert (waiting.exit_code, "witnesses sign" in waiting.output) == (3, True)
        cosign(live)
    told = live.get(path, "auditor").json()
    assert told["seed"]["witnessed"] is live.witnessed
    assert told["sample"]["units"] == sorted(
        second.draw(told["inventory"]["units"], told["sample"]["n"], second.seed_of(told["seed"]["checkpoint"]))
    )
    assert live.get("/v1/inspections", "auditor", place=small.CITY, status="open").json()["items"][0][
        "inspection"
    ] == inspection  # fmt: skip
    assert live.get("/v1/inspections", "auditor", status="closed").json()["items"] == []
    assert live.get("/v1/inspections", "auditor", status="lost").status_code == 422
    assert live.get("/v1/inspections/nothing", "auditor").status_code == 404
    asked = run("--url", url, "--token-file", token, "--json")
    assert asked.exit_code == 0, asked.output
    assert printed(asked)["sample"]["units"] == told["sample"]["units"]
    assert printed(asked)["agrees"] is True
    people = run("--url", url, "--token-file", token)
    assert "The service drew the same." in people.output
    _offline(live, tmp_path, told)


def _offline(live, tmp_path, told):
    """The same from two files, with the signatures of the checkpoint verified."""
    ids, note, policy = tmp_path / "ids", tmp_path / "note", tmp_path / "trust"
    ids.write_text("\n".join(reversed(told["inventory"]["units"])) + "\n")
    note.write_text(told["seed"]["checkpoint"])
    vkey = live.services.keys.ledger.verifier().to_text()
    policy.write_text(f"log {vkey}\n{POLICY}")
    alike = run("--ids", ids, "--seed-note", note, "--confidence", 95, "--rate", 100, "--vkey", vkey, "--json")
    assert alike.exit_code == 0, alike.output
    answer = printed(alike)
    assert (answer["sample"], answer["agrees"], answer["verified"]) == (told["sample"], None, True)
    assert run("--ids", ids, "--seed-note", note, "--full", "--json").exit_code == 0
    judged = run("--ids", ids, "--seed-note", note, "--policy", policy, "--rate", 100, "--json")
    assert judged.exit_code == (0 if live.witnessed else 2), judged.output


SECRET_PLACE = small.HALL
"""A place that nobody else speaks of: only the policy, and the doors that list its places, name it."""
TELL_PLACES = {"GET /v1/places", "GET /v1/places/{place}", "GET /v1/documents/{content_hash}"}


def told_anywhere(live, inspection):
    """Ask every door that is read, as an auditor and as nobody; return those whose answer names the secret place."""
    name, size = live.services.view.name, live.services.view.published[0]
    filled = {"event": inspection, "inspection": inspection, "place": small.CITY, "name": name}
    found, asked = set(), 0
    for door in sorted(set(DOORS) - TELL_PLACES):
        method, path = door.split(" ", 1)
        if method != "GET":
            continue
        path = path.replace("entries/{path:path}", f"entries/000.p/{min(size, 255)}")
        path = path.replace("tile/{path:path}", f"tile/0/000.p/{min(size, 255)}")
        for part, value in filled.items():
            path = path.replace(f"{{{part}}}", value)
        for headers in ({}, live.headers("auditor")):
            answer = live.http.get(path, headers={**headers, "Accept-Encoding": "identity"})
            asked += answer.status_code == 200
            payloads = [b64url_decode(each) for each in re.findall(r'"payload":"([A-Za-z0-9_-]+)"', answer.text)]
            if any(SECRET_PLACE.encode() in data for data in (answer.content, *payloads)):
                found.add(door)
    assert asked > 20, "most doors answered"
    return found


def test_no_door_tells_where_a_surprise_inspection_will_be(live):
    """Negative control: once it is opened, the list, the event and the leaves do."""
    supervisor = live.house.enrol("SUP-1", small.BWS, "PENGAWAS", small.CITY)
    salt, inventory = b64url_encode(secrets.token_bytes(32)), {"n": 1, "hash": "A" * 43}
    told = {"kind": "surprise", "inventory": inventory, "confidence": 95, "rate": 10}
    commitment = plan_commitment(
        salt, SECRET_PLACE, small.ELECTION, InspectionOpen.model_validate_json(json.dumps(told))
    )
    planned = supervisor.sign(
        "inspection.plan", {"commitment": commitment}, at_ms=live.house.tick(), place=small.CITY, capacity="witness"
    )
    live.ok(planned)
    assert told_anywhere(live, planned.hash) == set()
    live.ok(supervisor.sign(
        "inspection.open", {**told, "plan": planned.hash, "salt": salt}, at_ms=live.house.tick(), place=SECRET_PLACE,
        capacity="witness",
    ))  # fmt: skip
    assert told_anywhere(live, planned.hash) >= {
        "GET /v1/inspections", "GET /v1/inspections/{inspection}", "GET /v1/events",
        "GET /ledger/{name}/tile/entries/{path:path}",
    }  # fmt: skip


def test_a_service_that_tells_another_sample_is_found_out():
    units = [f"{7 * n:017X}" for n in range(50)]
    note = (
        "test.example/ledger/one\n12\nZLJJxOBgbj2XQsSb/VfNHj6xcPXM76JuoEXKGT1kp18=\n\n\u2014 a.example/x AAAAAAECAwQ=\n"
    )
    honest = drawn(Question(units, note.encode(), 95, 100, full=False))
    told = {"seed": {"value": honest["seed"]}, "inventory": honest["inventory"], "sample": honest["sample"]}
    assert drawn(Question(units, note.encode(), 95, 100, full=False, told=told))["agrees"] is True
    for part, other in (
        ("seed", {"value": "A" * 43}), ("inventory", {**honest["inventory"], "n": 49}),
        ("sample", {**honest["sample"], "hash": "A" * 43}),
    ):  # fmt: skip
        assert drawn(Question(units, note.encode(), 95, 100, full=False, told={**told, part: other}))["agrees"] is False


def test_the_command_says_what_it_cannot_use(tmp_path):
    ids, note = tmp_path / "ids", tmp_path / "note"
    ids.write_text("NOT-A-UNIT\n")
    note.write_text("nothing signed\n")
    for arguments in ((), ("--ids", ids), ("--ids", ids, "--seed-note", note), ("--url", "http://127.0.0.1:1/x")):
        answer = run(*arguments)
        assert answer.exit_code == 2, answer.output
        assert "Traceback" not in answer.output


@contextmanager
def answering(status, body):
    """Serve one answer to whatever is asked; yields the address."""

    class Desk(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Desk) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


ANSWER = {
    "kind": "routine", "confidence": 95, "rate": 10, "complete": True, "seed": {"value": "A" * 43, "checkpoint": "x"},
    "inventory": {"n": 1, "hash": "A" * 43, "units": ["0123456789ABCDEF9"]},
    "sample": {"n": 1, "hash": "A" * 43, "units": ["0123456789ABCDEF9"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, [], 2), (200, "text", 2), (200, {**ANSWER, "confidence": "95"}, 2), (200, {**ANSWER, "rate": 0}, 2),
        (200, {**ANSWER, "complete": False}, 2), (200, {**ANSWER, "sample": None}, 2), (200, ANSWER, 2),
        (200, {**ANSWER, "inventory": {**ANSWER["inventory"], "units": [7, {"a": 1}]}}, 2),
        (200, {**ANSWER, "inventory": {**ANSWER["inventory"], "units": ["no unit"]}}, 2),
        (409, [1], 2), (409, {"awaits": 7}, 2), (404, {"detail": "There is no such inspection."}, 2),
        (409, {"code": "not_drawn", "detail": "The sample is not drawn yet."}, 3),
    ],
)  # fmt: skip
def test_whatever_a_service_answers_the_command_ends_in_one_sentence(status, body, code):
    with answering(status, json.dumps(body).encode()) as url:
        told = run("--url", url)
    assert told.exit_code == code, told.output
    assert told.exception is None or isinstance(told.exception, SystemExit), repr(told.exception)
    assert len(told.output.strip().splitlines()) == 1
