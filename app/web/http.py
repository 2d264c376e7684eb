"""Bytes of HTTP/1.1 to requests: uvicorn over llhttp, with the bound on heads that llhttp does not have.

llhttp reads requests in C, at a third of the cost of a parser in Python, but lets a client send header after header
for ever. Here a head ends the connection when it is too long, and what is no HTTP at all gets a problem document like
everything else. Named in `app.cli.serve`; needs no wiring.
"""

import asyncio
from http import HTTPStatus

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.web.problems import MEDIA_TYPE, PROBLEMS, body

MAX_HEAD_BYTES = 16_384
HEAD_SECONDS = 20


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _idle_bytes = 0
    _in_body = False
    _too_long = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, which says something soon or ends."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._head_is_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; end the connection when they bring neither the end of a head nor a piece of a body."""
        self._idle_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._idle_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
        elif self._idle_bytes and not self._in_body and self._timer is None:  # only now: most heads come whole
            self._await_head()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_here(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is dropped: no proxy has looked at it, and nothing of ours needs one."""
        if not self._in_body:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Begin a body: how long it may be is the gate's to say."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._too_long = True
            raise ValueError("the head is too long")  # the parser stops and has a 400 sent, which becomes ours
        self._in_body, self._idle_bytes = True, 0
        self._head_is_here()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Begin the next head."""
        self._in_body, self._idle_bytes = False, 0
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
        cycle: RequestResponseCycle | None = self.cycle  # none before the first request, whatever its type says
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.close()  # in the middle of an answer, another one would be taken for a part of it
            return
        status = HTTPStatus(PROBLEMS[code][0])
        document = orjson.dumps(body(status, code, detail))
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(document)}\r\n"
            "x-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + document)
        self.transport.close()
