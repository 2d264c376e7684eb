"""Places of the policy in force, and what they hold."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.places import list_places, one_place
from app.audit.stock import stock
from app.web.answers import Json
from app.web.auth import anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.paging import page, text_after
from app.web.query import Cursor, Moment, Size, Word, moment_ms
from app.web.services import services_of

router = APIRouter()
_ANYBODY = anybody_enrolled()


@router.get(
    "/v1/places",
    **declare(_ANYBODY, {200: Says("Places, a page.", ref("Page"))}, problems=(400, 404, 422), tag="places"),
)
def get_places(
    request: Request, kind: Word = None, below: Word = None, limit: Annotated[int, Query(ge=1, le=500)] = 200,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the places of the caller's part of the country."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = list_places(
            session, services.ledger_id, viewer_of(request), kind=kind, below_place=below,
            after=text_after(request), limit=limit,
        )  # fmt: skip
    return page(request, told)


@router.get(
    "/v1/places/{place}",
    **declare(_ANYBODY, {200: Says("The place.", ref("Place"))}, problems=(404,), tag="places"),
)
def get_place(request: Request, place: str) -> Response:
    """Return a place with what lies above and below it."""
    services = services_of(request)
    with services.db.read() as session:
        return Json(one_place(session, services.ledger_id, viewer_of(request), place))


@router.get(
    "/v1/places/{place}/stock",
    **declare(
        _ANYBODY,
        {200: Says("What is there and what is on the way.", ref("Stock"))},
        problems=(400, 404, 422),
        tag="places",
    ),
)
def get_stock(
    request: Request, place: str, below: Annotated[Literal["true", "false"], Query()] = "true", size: Size = None,
    at: Moment = None,
) -> Response:  # fmt: skip
    """Count what a place holds: now, as known at a tree size, or at a moment by provable intervals."""
    services = services_of(request)
    with services.db.read() as session:
        told = stock(
            session, services.ledger_id, viewer_of(request), place, include_below=below == "true", size=size,
            at_ms=moment_ms(at),
        )  # fmt: skip
    return Json(told)
