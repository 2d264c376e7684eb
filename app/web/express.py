"""The doors that carry the load, without the framework's layers between the gate and them.

A POST of one event costs the framework (its stack of middle layers, its search through all routes, its solving of
dependencies) more than the event itself costs us to read. So the gate looks here first. The very same functions stand
among the framework's routes, which describe them in `/openapi.json` and answer what these do not: another method.
Errors are the gate's to answer, as those of every door.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.web import events

Door = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Express:
    """One such door; `path` is its route's template, by which it is counted."""

    path: str
    answer: Door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scope["route"] = self
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)


def express(method: str, doors: Mapping[str, Door]) -> dict[tuple[str, str], Any]:
    """Return the doors by method and path, as the gate looks for them."""
    return {(method, path): Express(path, door) for path, door in doors.items()}


DOORS = express("POST", {"/v1/events": events.post_event, "/v1/events/batch": events.post_batch})
