"""`GET /v1/incidents`: what happened, whose it is, and how long the answer took."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.incidents import State, list_incidents, one_incident
from app.web.answers import Json
from app.web.auth import anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.paging import index_after, page
from app.web.query import Cursor, Limit, Word
from app.web.services import services_of

router = APIRouter()
_ANYBODY = anybody_enrolled()


@router.get(
    "/v1/incidents",
    **declare(_ANYBODY, {200: Says("Incidents, a page.", ref("Page"))}, problems=(400, 404, 422), tag="audit"),
)
def get_incidents(
    request: Request, status: State | None = None,
    category: Word = None, severity: Word = None, place: Word = None, owner: Word = None,
    overdue: Annotated[bool | None, Query()] = None, limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the incidents that the caller may see, in the order in which they were reported."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = list_incidents(
            session, services.ledger_id, viewer_of(request), now_ms=services.mandate_ms(session), status=status,
            category=category, severity=severity, place=place, owner=owner, overdue=overdue,
            after=index_after(request), limit=limit,
        )  # fmt: skip
    return page(request, told)


@router.get(
    "/v1/incidents/{incident}",
    **declare(
        _ANYBODY,
        {200: Says("The incident with the events that moved it on.", ref("Incident"))},
        problems=(404,),
        tag="audit",
    ),
)
def get_incident(request: Request, incident: str) -> Response:
    """Return one incident by the hash of the event that reported it."""
    services = services_of(request)
    with services.db.read() as session:
        told = one_incident(
            session, services.ledger_id, viewer_of(request), incident, now_ms=services.mandate_ms(session)
        )
    return Json(told)
