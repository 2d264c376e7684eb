"""What stands before every route: bounds on bodies, headers on answers, one line in the log, one count.

Plain ASGI, no framework: it sees each message once and copies nothing. Outermost is `Gate`, which answers for
everything that escapes the application as well.
"""

import asyncio
import time
import types
from collections.abc import Awaitable, Generator, Mapping
from typing import Any, Protocol, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import MalformedError, ServiceError, TooLargeError
from app.logs import log_request
from app.web.answers import MAX_BODY_BYTES
from app.web.large import Large
from app.web.problems import answer_to, answer_to_failure

BODY_SECONDS = 10.0
LARGE_BYTES = 64 * 1024 * 1024
MAX_PATH_BYTES = 2048
MAX_QUERY_BYTES = 4096

_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
"""What says how long a body is; one in pieces may be as long as its door takes."""
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), geolocation=(self)"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
)
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'; sandbox"
_PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; object-src 'none'; "
    b"frame-ancestors 'none'; form-action 'self'"
)
_SCRIPTED = {"/verify"}
"""The pages that run a script: our own files only, and no text becomes one. They connect to nothing."""
_SCRIPT_POLICY = _PAGE_POLICY + b"; script-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"


class Counts(Protocol):
    """Counts requests by the route's template."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one."""
        ...


class Gate:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, metrics: Counts, limits: Mapping[str, int], doors: Mapping[tuple[str, str], ASGIApp],
        large_bytes: int = LARGE_BYTES,
    ) -> None:  # fmt: skip
        """Wrap an application.

        Args:
            app: What answers.
            metrics: Counts requests by route.
            limits: Largest body by path, bytes; every other path takes 64 KiB.
            doors: What answers instead, by method and path (`app.web.express`).
            large_bytes: Bytes of bodies over 64 KiB that may be under way at a time.
        """
        self._large = Large(large_bytes)
        self._app, self._doors = app, doors
        self._metrics = metrics
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        said = _Said(send, scope["path"])
        inner = dict(scope, method="GET") if scope["method"] == "HEAD" else scope
        try:
            await self._answer(inner, receive, said)
        finally:
            self._note(scope, inner, said.status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, said: "_Said") -> None:
        try:
            size, bounded = self._bounded(scope, receive)
            door = self._doors.get((scope["method"], scope["path"]), self._app)
            if size <= MAX_BODY_BYTES:
                await door(scope, bounded, said)
                return
            with self._large.share(size):
                await door(scope, bounded, said)
        except ServiceError as error:  # raised before any route was found
            if not said.status:
                await answer_to(error)(scope, receive, said)
        except Exception as error:
            if said.status:
                raise  # the answer has begun: the connection must break off, or half would look like all
            await answer_to_failure(error)(scope, receive, said)

    def _bounded(self, scope: Scope, receive: Receive) -> tuple[int, Receive]:
        """Return how many bytes the body may have, and a `receive` that stops one that has more.

        Raises:
            TooLargeError: More are announced than the door takes, or the address is too long.
            MalformedError: The address holds a character that no name has.
        """
        if len(scope.get("raw_path") or b"") > MAX_PATH_BYTES or len(scope["query_string"]) > MAX_QUERY_BYTES:
            raise TooLargeError("The address is too long.", code="uri_too_long")
        if "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
            raise MalformedError("The address holds a character that no name has.", code="bad_request")
        limit = self._limits.get(scope["path"], MAX_BODY_BYTES)
        said = {name: value for name, value in scope["headers"] if name in _LENGTHS}
        announced = said.get(b"content-length", b"%d" % limit if said else b"0")
        if not announced.isdigit() or len(announced) > 12 or int(announced) > limit:
            raise TooLargeError("The body is too large for this door.", max_bytes=limit)
        return int(announced), _Bounded(receive, limit)

    def _note(self, scope: Scope, inner: Scope, status: int, seconds: float) -> None:
        route = inner.get("route")
        template = getattr(route, "path", None) or "-"
        self._metrics.request(scope["method"] if scope["method"].isalpha() else "-", template, status, seconds)
        log_request(scope["method"][:16], template, status, round(seconds * 1000, 2))


class _Bounded:
    """A `receive` that ends a body over its limit, or one that comes too slowly."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit
        self._deadline = 0.0
        self._done = False

    async def __call__(self) -> Message:
        if self._done:
            return await self._receive()
        receiving: Any = self._receive()  # servers give coroutines
        try:
            waits_for = receiving.send(None)
        except StopIteration as whole:  # most bodies are here already; a clock would cost as much as all else here
            message: Message = whole.value
        else:
            message = await self._in_time(_rest_of(receiving, waits_for))
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise TooLargeError("The body is too large for this door.", max_bytes=self._limit)
        self._done = not message.get("more_body", False)
        return message

    async def _in_time(self, rest: Awaitable[Message]) -> Message:
        self._deadline = self._deadline or asyncio.get_running_loop().time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self._deadline):
                return await rest
        except TimeoutError:
            raise ServiceError("The body came too slowly.", code="body_timeout") from None


@types.coroutine
def _rest_of(begun: Any, waits_for: Any) -> Generator[Any, Any, Message]:
    """Go on with a coroutine that was begun by hand and waits for something."""
    try:
        while True:
            try:
                said = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation, or what it waited for
                waits_for = begun.throw(error)
            else:
                waits_for = begun.send(said)
    except StopIteration as whole:
        return cast("Message", whole.value)


class _Said:
    """A `send` that adds the headers of its kind of answer and remembers the status."""

    def __init__(self, send: Send, path: str) -> None:
        self._send = send
        self._open = path.startswith("/ledger/")
        self._page_policy = _SCRIPT_POLICY if path in _SCRIPTED else _PAGE_POLICY
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            names = {name for name, _ in headers}
            is_page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
            headers += _ALWAYS
            headers.append((b"content-security-policy", self._page_policy if is_page else _API_POLICY))
            headers.append((b"cross-origin-resource-policy", b"cross-origin" if self._open else b"same-origin"))
            if self._open:
                headers.append((b"access-control-allow-origin", b"*"))
            if b"cache-control" not in names:
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await self._send(message)
