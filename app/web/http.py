"""Bytes of HTTP/1.1 to requests: uvicorn over llhttp, with the bound on heads that llhttp does not have.

llhttp reads requests in C, at a third of the cost of a parser in Python, but lets a client send header after header
for ever. Here a head ends the connection when it is too long, and what is no HTTP at all gets a problem document like
everything else. Named in `app.cli.serve`; needs no wiring.
"""

from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.web.problems import MEDIA_TYPE, PROBLEMS, body

MAX_HEAD_BYTES = 16_384


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    _in_body = False
    _too_long = False

    def data_received(self, data: bytes) -> None:
        """Take bytes; end the connection when a head does not end in time."""
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_body and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_headers_complete(self) -> None:
        """Begin a body: how long it may be is the gate's to say."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._too_long = True
            raise ValueError("the head is too long")  # the parser stops and has a 400 sent, which becomes ours
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin the next head."""
        self._in_body, self._head_bytes = False, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and end the connection."""
        del msg
        if self._too_long:
            self._refuse_head()
        else:
            self._refuse("bad_request", "That is not HTTP/1.1.")

    def _refuse_head(self) -> None:
        self._refuse("head_too_large", "The head of the request is too large.")

    def _refuse(self, code: str, detail: str) -> None:
        status = HTTPStatus(PROBLEMS[code][0])
        document = orjson.dumps(body(status, code, detail))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(document)}\r\n"
            "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + document)
        self.transport.close()
