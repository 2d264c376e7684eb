"""The history of a unit without the framework's layers: the door that auditors and supervisors open most.

Who asks is proven by the statement that reads the history itself, in one snapshot. A request in its usual form is
answered here; whatever is unusual about it (a parameter out of bounds, no token, a misread label) is the ordinary
route's, which stands in `app.web.units` and describes both. Both tell by `app.audit.history`.

On SQLite a short history is read right in the event loop: handing it to a thread costs as much as reading it. What
might hold up everybody else goes to a thread: the rest of a history after its first hundred rows, what is said of a
label that has no unit, and every history for a second after one that took 50 ms by the disk's doing or its own. When
many are read so at once, the ordinary route takes the next. On PostgreSQL a thread waits for the server, always; where
readers have a replica, the ordinary route asks the primary who it is and the replica for the rest.
"""

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.audit.gathered import Gathered
from app.audit.history import Question, asked_by_token, caller, tell
from app.audit.kept import Kept, busy, stream
from app.audit.timeline import UNIT, Row
from app.db import Database, ReadSession
from app.errors import MalformedError, ServiceError
from app.rows import run
from app.web.auth import anybody_enrolled, token_of, viewer_of
from app.web.paging import index_after, page
from app.web.services import Services, services_of

TEMPLATE = "/v1/units/{unit}/history"
ACCESS = anybody_enrolled()
FEW_ROWS = 100
DEFAULT_LIMIT, MAX_LIMIT = 200, 1000
_PATH = re.compile(r"/v1/units/([^/]+)/history")
_PARAMETER = re.compile(rb"(size|limit)=([1-9][0-9]{0,14})|(cursor)=([A-Za-z0-9_-]{1,400})")
_kept: WeakKeyDictionary[Database, Kept] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class History:
    """One request in its usual form."""

    question: Question
    token: str
    path: str = TEMPLATE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        scope["route"] = self
        request = Request(scope, receive)
        services = services_of(request)
        if not services.db.is_sqlite:
            response = await run_in_threadpool(self._waiting, request, services)
        else:
            response = await self._kept(request, services, _kept_of(services.db))
        await response(scope, receive, send)

    def _waiting(self, request: Request, services: Services) -> Response:
        sql, values = self._asked(services)
        with services.db.read_newest() as session:
            return self._told(request, services, session, run(session, sql, *values))

    async def _kept(self, request: Request, services: Services, kept: Kept) -> Response:
        session, sound, response = kept.take(), False, None
        try:
            if not kept.may_wait:
                response = await run_in_threadpool(self._whole, request, services, session)
            else:
                with kept.timed():
                    rows = stream(session, *self._asked(services))
                    first = rows.fetchmany(FEW_ROWS)
                    few = len(first) < FEW_ROWS and any(row[0] == UNIT for row in first)
                    response = self._told(request, services, session, first) if few else None
                if response is None:
                    response = await run_in_threadpool(self._rest, request, services, session, first, rows)
            sound = True
        except (DBAPIError, sqlite3.Error) as error:
            raise busy(error) from error
        except ServiceError:
            sound = True
            raise
        finally:
            kept.give(session, sound=sound)
        return response

    def _whole(self, request: Request, services: Services, session: ReadSession) -> Response:
        return self._told(request, services, session, stream(session, *self._asked(services)))

    def _rest(
        self, request: Request, services: Services, session: ReadSession, first: Iterable[Row], rows: Iterable[Row]
    ) -> Response:
        return self._told(request, services, session, [*first, *rows])

    def _asked(self, services: Services) -> tuple[str, tuple[object, ...]]:
        return asked_by_token(self.question, self.token, now_ms=services.now_ms(), demo=services.demo)

    def _told(self, request: Request, services: Services, session: ReadSession, rows: Iterable[Row]) -> Response:
        gathered = Gathered.of(rows)
        ACCESS.admit(request, caller(gathered, services.now_ms(), demo=services.demo))
        after = index_after(request) if request.scope["query_string"] else None
        question = replace(self.question, after=after) if after is not None else self.question
        return page(request, tell(session, viewer_of(request), question, gathered))


class HistoryDoor:
    """Stands before the framework's routes and answers a GET of a history in its usual form."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application.

        Args:
            app: What answers everything else.
        """
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        door = usual(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (door or self._app)(scope, receive, send)


def usual(scope: Scope) -> History | None:
    """Return what answers a GET of a history, None when it is none, or not in its usual form."""
    found = _PATH.fullmatch(scope["path"])
    services: Services | None = getattr(scope["app"].state, "services", None) if found else None
    if found is None or services is None or not _is_ours(services):
        return None
    shown = [value for name, value in scope["headers"] if name == b"authorization"]
    token = token_of(shown[0].decode("latin-1")) if len(shown) == 1 else None
    bounds = _bounds(scope["query_string"])
    if token is None or bounds is None:
        return None
    question = Question(services.ledger_id, found[1], bounds[0], None, bounds[1])
    try:
        question.values()
    except MalformedError:
        return None
    return History(question, token)


def _bounds(query: bytes) -> tuple[int | None, int] | None:
    """Return size and limit of a query, None for one that is not in its usual form."""
    if not query:
        return None, DEFAULT_LIMIT
    given: dict[bytes, bytes] = {}
    for part in query.split(b"&"):
        found = _PARAMETER.fullmatch(part)
        if found is None:
            return None
        name, value = (found[1], found[2]) if found[1] else (found[3], found[4])
        if name in given:
            return None
        given[name] = value
    limit = int(given.get(b"limit", b"%d" % DEFAULT_LIMIT))
    return (int(given[b"size"]) if b"size" in given else None, limit) if limit <= MAX_LIMIT else None


def _is_ours(services: Services) -> bool:
    """Say whether this door answers: not beside a replica, and on SQLite while there is room."""
    if services.db.is_sqlite:
        return _kept_of(services.db).has_room
    return services.settings.read_url() == services.settings.url()


def _kept_of(db: Database) -> Kept:
    found = _kept.get(db)
    if found is None:
        found = _kept[db] = Kept(db)
    return found
