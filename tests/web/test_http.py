"""Heads have an end, and what is no HTTP gets a problem document too."""

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from app.web.http import MAX_HEAD_BYTES, BoundedHttp

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


def said(lite, *pieces, pause=0.0):
    """Send bytes on a connection of their own and return the status and the body of the first answer."""
    base = urlsplit(str(lite.http.base_url))
    with socket.create_connection((base.hostname, base.port), timeout=10) as sock:
        for piece in pieces:
            try:
                sock.sendall(piece)
            except ConnectionError:  # it was answered and ended already
                break
            time.sleep(pause)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer.partition(b"\r\n\r\n")[2]) < length(answer):
            data = sock.recv(65536)
            if not data:
                break
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head.lower(), body


def length(answer):
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])


def test_a_head_of_the_usual_size_passes(lite):
    assert said(lite, GET + b"X-A: " + b"a" * (MAX_HEAD_BYTES - 300) + b"\r\n\r\n")[0] == 200


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([GET + b"X-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n"], id="one header"),
        pytest.param([GET, *[b"X-A: " + b"a" * 4000 + b"\r\n"] * 5], id="many headers, no end"),
        pytest.param([GET + b"X-A: ", *[b"a" * 4000] * 5], id="a header without an end"),
        pytest.param([b"GET /" + b"a" * 4000, *[b"a" * 4000] * 5], id="an address without an end"),
    ],
)
def test_a_head_that_is_too_long_is_answered_and_cut_off(lite, pieces):
    status, head, body = said(lite, *pieces, pause=0.01)
    assert status == 431
    assert b"connection: close" in head
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "head_too_large"


def test_the_bound_is_of_each_head_and_not_of_the_connection(lite):
    one = GET + b"X-A: " + b"a" * 6000 + b"\r\n\r\n"
    base = urlsplit(str(lite.http.base_url))
    with socket.create_connection((base.hostname, base.port), timeout=10) as sock:
        for _ in range(5):
            sock.sendall(one)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"GET \xff HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_document(lite, data):
    status, head, body = said(lite, data)
    assert status == 400
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "bad_request"


CHUNKED = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"X-N: " + b"a" * 4000 + b"\r\n", id="trailer after trailer"),
        pytest.param(b"a" * 4000, id="a trailer without an end"),
    ],
)
def test_trailers_have_an_end_too(lite, piece):
    status, _, _ = said(lite, CHUNKED + b"2\r\n{}\r\n0\r\n", *[piece] * 40, pause=0.005)
    assert status in {400, 431}


def test_a_trailer_is_no_header(lite, monkeypatch):
    seen = []
    real = BoundedHttp.on_message_complete

    def watched(self):
        seen.extend(name for name, _ in self.headers)
        real(self)

    monkeypatch.setattr(BoundedHttp, "on_message_complete", watched)
    said(lite, CHUNKED + b"2\r\n{}\r\n0\r\nAuthorization: Bearer zzz\r\n\r\n")
    assert b"transfer-encoding" in seen
    assert b"authorization" not in seen


def test_a_connection_that_says_nothing_ends(lite, monkeypatch):
    monkeypatch.setattr("app.web.http.HEAD_SECONDS", 0.2)
    base = urlsplit(str(lite.http.base_url))
    for begun in (b"", GET):
        with socket.create_connection((base.hostname, base.port), timeout=10) as sock:
            sock.sendall(begun)
            assert sock.recv(1) == b""
