"""The witness's door over real HTTP: statuses, media types and bounds as real clients compare them."""

import json
import socket
from base64 import b64decode
from hashlib import sha256
from http.client import HTTPConnection

import httpx

from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import VerifierKey
from app.ledger.policy import cosigned
from app.ledger.submission import MAX_SUBMISSION_BYTES, read_answer
from tests.ledger.vectors import LEDGER_KEY, ORIGIN
from tests.witness.conftest import NAME
from tests.witness.logs import STRANGER, Log, body, fork, honest

HASH = sha256(ORIGIN.encode()).hexdigest()
LOG = honest()


def add(http, data, **headers):
    return http.post("/add-checkpoint", content=data, headers=headers)


def test_the_table_of_statuses(http):
    forged = LOG.checkpoint(20).replace(b"hvh4", b"hvh5")
    assert add(http, LOG.request(0, 20)).status_code == 200
    for status, data in (
        (400, b""),
        (400, b"x" * MAX_SUBMISSION_BYTES),
        (413, b"x" * (MAX_SUBMISSION_BYTES + 1)),
        (404, Log(key=STRANGER, size=9).request(0, 9)),
        (403, body(20, [], forged)),
        (400, LOG.request(21, 20)),
        (409, LOG.request(3, 20)),
        (422, fork().request(20, 30)),
        (422, fork().request(20, 20)),
        (200, LOG.request(20, 20)),
        (200, LOG.request(20, 30)),
    ):
        answer = add(http, data)
        assert answer.status_code == status, (status, answer.text)
        if status not in {200, 409}:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status


def test_the_answer_is_signature_lines_by_the_keys_that_it_tells(http):
    answer = add(http, LOG.request(0, 20), **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    told = [VerifierKey.parse(text) for text in http.get("/").json()["vkeys"]]
    assert [(line.name, line.key_id) for line in read_answer(answer.content)] == [
        (key.name, key.key_id) for key in told
    ]
    assert len(cosigned(LOG.checkpoint(20) + answer.content, told)) == 2


def test_a_409_has_exactly_this_media_type_and_this_body(http):
    """Trap 1 of ledger.md section 8: with a charset, real clients miss the size."""
    add(http, LOG.request(0, 20))
    connection = http_client(http)
    connection.request("POST", "/add-checkpoint", LOG.request(7, 30))
    answer = connection.getresponse()
    assert answer.status == 409
    assert [value for name, value in answer.getheaders() if name.lower() == "content-type"] == ["text/x.tlog.size"]
    assert answer.read() == b"20\n"
    connection.close()


def test_the_newest_checkpoint_is_monitored_by_the_hash_of_its_origin(http, witness):
    assert http.get(f"/{HASH}/checkpoint").status_code == 404
    add(http, LOG.request(0, 20))
    add(http, LOG.request(20, 30))
    answer = http.get(f"/{HASH}/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert open_checkpoint(answer.content, [LEDGER_KEY.verifier(), *witness.vkeys], ORIGIN).size == 30
    assert len(cosigned(answer.content, witness.vkeys)) == 2
    for other in (HASH.upper(), HASH[:-1], "0" * 64, "%2e%2e", f"{HASH}%2Fx"):
        assert http.get(f"/{other}/checkpoint").status_code == 404


def test_who_it_is_and_what_it_has_seen(http):
    add(http, LOG.request(0, 20))
    told = http.get("/").json()
    [ledger] = told.pop("ledgers")
    assert (told["name"], told["evidence"], told["failing"]) == (NAME, 0, [])
    assert (ledger["origin"], ledger["size"], ledger["trusted"]) == (ORIGIN, 20, True)
    assert http.get(ledger["checkpoint"]).status_code == 200


def test_evidence_is_listed_and_given_whole(http):
    assert http.get("/evidence").json() == {"items": [], "next": None}
    add(http, LOG.request(0, 20))
    request = fork().request(20, 20)
    add(http, request)
    [item] = http.get("/evidence").json()["items"]
    piece = http.get(item["href"]).json()
    assert b64decode(piece["request"]) == request
    two = [open_checkpoint(piece[name].encode(), [LEDGER_KEY.verifier()], ORIGIN) for name in ("checkpoint", "held")]
    assert two[0].size == two[1].size
    assert two[0].root != two[1].root
    for path in ("/evidence/0", "/evidence/2", "/evidence/x", "/evidence/-1", "/evidence/99999999999999999999"):
        assert http.get(path).status_code == 404
    assert http.get("/evidence", params={"after": 10**30}).json()["items"] == []
    assert http.get("/evidence", params={"after": "x"}).status_code == 422


def test_methods_heads_and_addresses(http):
    for path in ("/", "/healthz", "/metrics", "/evidence"):
        got, head = http.get(path), http.head(path)
        assert (got.status_code, head.status_code) == (200, 200)
        assert head.content == b""
        assert http.post(path).status_code == 405
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = http.request(method, "/add-checkpoint")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    for path in ("/add-checkpoint/", "/x", "/add-checkpoint/x", "/docs", "/openapi.json"):
        assert http.post(path).status_code == 404


def test_health_and_figures_tell_what_is_wrong(http, clock):
    assert http.get("/healthz").json() == {"status": "alive", "failing": []}
    add(http, LOG.request(0, 20))
    add(http, fork().request(20, 20))
    clock.advance(-5000)
    answer = http.get("/healthz")
    assert (answer.status_code, answer.json()["failing"]) == (503, ["clock"])
    refused = add(http, LOG.request(20, 20))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    figures = http.get("/metrics").text.splitlines()
    assert 'witness_evidence{finding="fork"} 1.0' in figures
    assert "witness_failing 1.0" in figures
    assert 'witness_requests_total{route="/add-checkpoint",status="503"} 1.0' in figures
    clock.advance(5000)
    assert add(http, LOG.request(20, 20)).status_code == 200


def test_what_is_announced_too_large_or_is_no_http_is_refused_and_it_goes_on(http):
    for raw, status in (
        (b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 131073\r\n\r\n", b"413"),
        (b"POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", b"4"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (b"\x16\x03\x01 tls\r\n\r\n", b"400"),
    ):
        with socket.create_connection((http.base_url.host, http.base_url.port), timeout=20) as raw_socket:
            raw_socket.sendall(raw)
            assert raw_socket.recv(4096).split(b" ")[1].startswith(status)
    chunks = (b"x" * 1000 for _ in range(200))
    assert http.post("/add-checkpoint", content=chunks).status_code == 413
    assert add(http, LOG.request(0, 20)).status_code == 200


def test_no_refusal_tells_of_our_insides(http):
    for data in (b"\xff\xfe", b"old 0\n\n\xff", b"old 0\n\n" + b"\n" * 100):
        answer = add(http, data)
        assert answer.status_code == 400
        assert "Traceback" not in answer.text
        assert set(json.loads(answer.text)) == {"type", "title", "status", "detail", "code"}


def http_client(client: httpx.Client) -> HTTPConnection:
    """Return a connection of another HTTP library, which shows headers as they are."""
    return HTTPConnection(client.base_url.host, client.base_url.port, timeout=20)
