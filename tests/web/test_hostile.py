"""Hostile bytes at every body door, odd paths, queries and headers: never 5xx, never an undocumented status."""

import json
import re
import socket

import pytest

from app.canon import b64url_encode
from tests.web.access_table import DOORS

JSON_DOORS = [
    "/v1/events", "/v1/events/batch", "/v1/documents", "/v1/labels", "/v1/labels/ids", "/v1/enrolments",
    "/v1/enrolments/nobody/claim", "/v1/enrolments/nobody/approve",
]  # fmt: skip
B64 = b64url_encode


def jws(payload=b"{}", **header):
    head = {"alg": "ES256", "kid": "A" * 43, "typ": "custody-event+json", **header}
    one = {"protected": B64(json.dumps(head).encode()), "signature": "A" * 86}
    return {"payload": B64(payload), "signatures": [one]}


def event(**changes):
    body = {
        "v": 1, "event_id": "0192f0c0-0000-7000-8000-000000000000", "type": "sighting", "election": "E", "place": "P",
        "ledger": "test.example/ledger/pilkada2024-64", "author": "A" * 43, "signers": {"A" * 43: "witness"},
        "units": [], "after": [], "at": "2024-11-01T08:00:00+08:00", "checkpoint": {"size": 0, "root": "A" * 43},
        "device": {"seq": 1, "prev": "A" * 43}, "details": {"source": "camera"}, "private": {}, **changes,
    }  # fmt: skip
    return json.dumps(jws(json.dumps(body).encode())).encode()


def bodies():
    """Return some 160 bodies that no honest client sends."""
    deep = [b"[" * n + b"]" * n for n in (15, 17, 18, 19, 40, 2000, 30_000)]
    objects = [b'{"a":' * n + b"1" + b"}" * n for n in (17, 40, 5000)]
    broken = [
        b"", b" ", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf{}", b"{", b"}", b"[", b"]", b'"', b"{]", b"[}", b"nul", b"tru",
        b"NaN", b"Infinity", b"-Infinity", b"-0", b"0.1", b"1e5", b"1E400", b"01", b"+1", b"0x10", b"9007199254740993",
        b"-9007199254740993", b"1" * 5000, b"null", b"true", b"0", b'""', b"[]", b"{}", b"{}{}", b"{} x", b"[1,]", b'{"a":1,}',
        b"{'a':1}", b"{a:1}", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":2}}', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"',
        b'"\\uffff"', b'"\\ufdd0"', b'"\xc3\x28"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\\x41"', b'"\t"', b'"\n"',
        b"/* c */{}", b"// c\n{}", b"<xml/>", b"---\na: 1", b"\x80\x04\x95", b"PK\x03\x04", b"%PDF-1.7", b"a=b&c=d",
        b'{"\xc3\xa9":1}', b'{"__proto__":{}}', b'{"constructor":1}', b'{"":""}', b'{"$ref":"#"}',
    ]  # fmt: skip
    shaped = [
        {"payload": "", "signatures": []}, {"payload": 1, "signatures": 1}, {"payload": "e30", "signatures": [{}]},
        {"payload": "e30", "signatures": [1]}, {"payload": "e30=", "signatures": jws()["signatures"]},
        {"payload": "A", "signatures": jws()["signatures"]}, {"payload": "AB", "signatures": jws()["signatures"]},
        {"payload": "A" * 30_000, "signatures": jws()["signatures"]}, {**jws(), "header": {}},
        {**jws(), "signatures": jws()["signatures"] * 2}, {**jws(), "signatures": jws()["signatures"] * 17},
        jws(alg="none"), jws(alg="HS256"), jws(alg=None), jws(alg=["ES256"]), jws(kid=""), jws(kid=1), jws(kid="A" * 42),
        jws(typ="JWT"), jws(jwk={}), jws(crit=["b64"]), jws(b"null"), jws(b"[]"), jws(b"\xff"), jws(b'{"v":1}'),
        {"event": jws()}, {"event": jws(), "private": 1}, {"event": jws(), "x": 1}, {"event": None}, {"event": []},
        {"event": {"event": jws()}}, {"events": [jws()]}, {"events": {}}, {"events": [[[]]]}, {"ids": [], "event": jws()},
        {"ids": ["0" * 17], "event": jws()}, {"ids": [1], "event": jws()}, {"ids": {}, "event": jws()},
        {"ids": ["\u0130" * 17], "event": jws()}, {"count": 0}, {"count": -1}, {"count": 2**53}, {"count": "1"},
        {"count": True}, {"count": 20_001}, {"kind": "policy"}, {"kind": "plan"}, {"kind": ["policy"]}, {"kind": "policy", "v": 1},
        {"v": 1, "kind": "plan", "election": "E", "title": "x", "stations": [{}]},
        {"token": "A" * 22, "jwk": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}, "signature": "A" * 86},
        {"token": "A" * 22, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}, "signature": "A" * 86},
        {"token": "", "jwk": {}, "signature": ""},
        {"agency": "KPU-6474", "role": "X", "place": "Y", "access": ["field"], "valid_from": "", "valid_until": ""},
        {"agency": "A" * 200}, {"agency": {"a": 1}}, ["A" * 60_000], [None] * 1000, {str(n): n for n in range(2000)},
    ]  # fmt: skip
    events = [
        event(), event(v=2), event(type="no.such"), event(type=1), event(units=["0" * 17]), event(units=["x"]),
        event(units=["0" * 17] * 2), event(units="x"), event(signers={}), event(signers={"A" * 43: "king"}),
        event(author="B" * 43), event(at="now"), event(at="2024-13-01T00:00:00Z"), event(at="2024-11-01T08:00:60+08:00"),
        event(checkpoint={"size": -1, "root": "A" * 43}), event(checkpoint=None), event(device={"seq": 0, "prev": "A" * 43}),
        event(device={"seq": 2**53, "prev": "A" * 43}), event(after=["A" * 43] * 40), event(details=None), event(details=[]),
        event(details={"source": "camera", "x": 1}), event(private={"n": "A" * 43}), event(private={"\u00e9": "A" * 43}),
        event(ledger="else"), event(ledger=""), event(place="A" * 100), event(place="\u202e"), event(event_id="x" * 36),
        event(event_id="0192F0C0-0000-7000-8000-000000000000"), event(election="../../etc/passwd"), event(x=1),
    ]  # fmt: skip
    return [*broken, *deep, *objects, *(json.dumps(one).encode() for one in shaped), *events]


BODIES = bodies()


def allowed(live, method, path):
    """Return the statuses that the description of the API has for a path."""
    schema = live.services and live.server.config.app.openapi()
    for template, operations in schema["paths"].items():
        pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            return {int(status) for status in operations[method.lower()]["responses"]}
    raise AssertionError(path)


def test_there_are_enough_of_them():
    assert len(set(BODIES)) > 150


@pytest.mark.parametrize("path", JSON_DOORS)
def test_hostile_bodies_get_documented_statuses(live, path):
    known = allowed(live, "POST", path)
    headers = {"Content-Type": "application/json", **live.headers("registrar", "operator")}
    for body in BODIES:
        answer = live.http.post(path, content=body, headers=headers)
        assert answer.status_code < 500, (path, body[:200], answer.text)
        assert answer.status_code in known, (path, body[:200], answer.status_code)
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
        if path == "/v1/events/batch" and answer.status_code == 200:
            assert all(one["status"] < 500 for one in answer.json()["results"]), body[:200]


def test_hostile_bodies_inside_a_batch_hurt_nobody(live):
    items = []
    for body in BODIES:
        try:
            items.append(json.loads(body))
        except (ValueError, RecursionError):
            continue
    small_ones = [
        one
        for one in items
        if len(json.dumps(one)) < 5000 and json.dumps(one).count("[") + json.dumps(one).count('{"a": ') < 12
    ]
    body = json.dumps([one for one in small_ones if _is_ijson(one)]).encode()
    answer = live.http.post("/v1/events/batch", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert {one["status"] for one in answer.json()["results"]} <= {400, 401, 413, 422}


def _is_ijson(value):
    text = json.dumps(value)
    return not re.search(r"NaN|Infinity|\d\.\d|\\ud[89a-f]|\\u0000|\\uf|\d{16}|-0|\\u00e9\":|E\+|e\+", text)


def test_hostile_forms_get_oauths_answers(live):
    for body in BODIES:
        answer = live.http.post(
            "/oauth/token", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        assert answer.status_code in {400, 401}, body[:100]


ODD = [
    "\u202e", "..", ".", "%2e%2e", "%2f", "%5c", "%ff", "%c3%28", "%ed%a0%80", "'", '"', "';--", "<script>", "{}", "{{7*7}}", "$(id)",
    "%0d%0aX: y", "A" * 500, "-1", "0", "99999999999999999999", "1e9", "null", "*", "%25", "+", " ", "\u0130", "I" * 17, "0" * 17,
    "ff" * 100, "00000000-0000-7000-8000-000000000000",
]  # fmt: skip


def test_odd_names_in_paths_are_answered(live):
    headers = live.headers("registrar", "operator", "auditor")
    for door in DOORS:
        method, template = door.split(" ", 1)
        if method == "POST" or "{" not in template:
            continue
        for odd in ODD:
            path = re.sub(r"\{[^}]+\}", odd.replace("\\", "/"), template)
            answer = live.http.request(method, path, headers=headers)
            assert answer.status_code in {200, 204, 400, 404, 405, 409, 410, 414, 422}, (door, odd, answer.text)


QUERIES = [
    "limit=0", "limit=-1", "limit=1e3", "limit=99999999999999999999999", "limit=", "cursor=", "cursor=x", "cursor=" + "A" * 390,
    "cursor=" + "A" * 500, "cursor=%00", "size=0", "size=-1", "size=9007199254740993", "size=x", "size=1", "size=9007199254740991",
    "at=now", "at=2024-11-01", "at=2024-11-01T08:00:00%2B08:00", "at=2024-11-01T08:00:00+08:00", "at=9999-01-01T00:00:00Z",
    "since=x", "until=%ff", "status=none", "clock=sun", "unit=x", "unit=" + "0" * 17, "place=%ff%fe", "place=" + "A" * 300,
    "agency=%27", "officer=%E2%80%AE", "type=*", "rule=%25", "severity=x", "election=none", "contest=none", "events=501",
    "below=maybe", "below=false", "kind=x", "format=x", "first=0", "count=0", "first=20000", "scale=99", "figure=x&contest=y",
    "a=b&a=c", "&&&", "=", "limit=1&limit=2", "%ff=%ff",
]  # fmt: skip


def test_odd_queries_are_answered(live, officer):
    headers = live.headers("registrar", "operator", "auditor")
    box = live.boxes(officer, ["TPS-A-1"])[0]
    block = live.get(f"/v1/units/{box}", "auditor").json()["label"]["block"]
    paths = [
        "/v1/events", "/v1/handovers", "/v1/discrepancies", "/v1/places", "/v1/places/64.74/stock", "/v1/reconciliation",
        "/v1/reconciliation/events", f"/v1/units/{box}", f"/v1/units/{box}/history", f"/v1/units/{box}/label.png",
        f"/v1/labels/{block}", f"/v1/labels/{block}/sheet.pdf", "/v1/keys", "/v1/officers", "/v1/agencies", "/v1/ledger",
    ]  # fmt: skip
    for path in paths:
        known = allowed(live, "GET", path)
        for query in QUERIES:
            answer = live.http.get(f"{path}?{query}", headers=headers)
            assert answer.status_code < 500, (path, query, answer.text)
            if "%00" not in query:
                assert answer.status_code in known, (path, query, answer.status_code)


def test_odd_headers_are_answered(live):
    odd = [
        {"Authorization": "Bearer \xff\xfe"}, {"Authorization": "Bearer " + "A" * 5000}, {"Authorization": "Bearer a b"},
        {"Authorization": "bearer"}, {"Prefer": "respond-async; x=" + "y" * 2000}, {"Prefer": ",,,=;=,"},
        {"Custody-Scenario-Time": "\xff"}, {"Content-Type": "application/json; charset=utf-16"}, {"Content-Encoding": "gzip"},
        {"If-None-Match": "*"}, {"If-None-Match": '"' * 100}, {"Range": "bytes=0-0"}, {"Accept": "nothing/*"}, {"Host": "evil"},
        {"X-Forwarded-For": "1.2.3.4"}, {"Cookie": "a=b"}, {"Expect": "100-continue"}, {"Content-Type": "\xff"},
    ]  # fmt: skip
    for headers in odd:
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        for method, path in (
            ("GET", "/v1/agencies"),
            ("POST", "/v1/events"),
            ("GET", "/ledger/pilkada2024-64/checkpoint"),
        ):
            answer = live.http.request(method, path, headers=raw, content=b"{}" if method == "POST" else None)
            assert answer.status_code < 500, (headers, answer.text)


RAW = [
    b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", b"G" * 40_000, b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://evil/ HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
def test_raw_bytes_never_break_the_server(lite, raw):
    with socket.create_connection((lite.http.base_url.host, lite.http.base_url.port)) as connection:
        connection.settimeout(3)
        connection.sendall(raw)
        try:
            answer = connection.recv(4096)
        except TimeoutError:
            answer = b""
        except ConnectionResetError:
            answer = b""
    assert not re.match(rb"HTTP/1.1 5\d\d", answer)
    assert lite.http.get("/healthz").status_code == 200


def test_head_is_answered_like_get_without_a_body(lite):
    for path in ("/", "/v1/ledger", "/ledger/pilkada2024-64/checkpoint", "/healthz", "/openapi.json"):
        head, get = lite.http.head(path), lite.http.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
