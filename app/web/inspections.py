"""`GET /v1/inspections`: what was frozen, which sample was drawn, what was found, and what others check it with."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.inspections import inspection_sample, list_inspections, one_inspection
from app.audit.inventory import Terms, standing
from app.web.answers import Json
from app.web.auth import anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.paging import index_after, page
from app.web.query import Cursor, Limit, Word
from app.web.services import services_of

router = APIRouter()
_ANYBODY = anybody_enrolled()
Items = Annotated[list[str] | None, Query(max_length=32, description="Of these items only.")]


@router.get(
    "/v1/inspections",
    **declare(_ANYBODY, {200: Says("Inspections, a page.", ref("Page"))}, problems=(400, 404, 422), tag="audit"),
)
def get_inspections(
    request: Request, place: Word = None, status: Literal["planned", "open", "closed"] | None = None,
    kind: Literal["full", "routine", "surprise"] | None = None, limit: Limit = 50, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the inspections that the caller may see, in the order in which they were planned or opened."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = list_inspections(
            session, services.ledger_id, viewer_of(request), place=place, status=status, kind=kind,
            after=index_after(request), limit=limit,
        )  # fmt: skip
    return page(request, told)


@router.get(
    "/v1/inspections/{inspection}",
    **declare(
        _ANYBODY,
        {200: Says("The inspection: freeze, sample, progress, statement, signatures.", ref("Inspection"))},
        problems=(404,),
        tag="audit",
    ),
)
def get_inspection(request: Request, inspection: str) -> Response:
    """Return one inspection by the hash of the event that began it."""
    services = services_of(request)
    with services.db.read() as session:
        told = one_inspection(
            session, services.ledger_id, viewer_of(request), inspection, witnesses=services.trust is not None
        )
    return Json(told)


@router.get(
    "/v1/inspections/{inspection}/sample",
    **declare(
        _ANYBODY,
        {200: Says("Seed, inventory and sample: what `custody sample` draws it again from.", ref("InspectionSample"))},
        problems=(404, 409),
        tag="audit",
    ),
)
def get_inspection_sample(request: Request, inspection: str) -> Response:
    """Return what the sample of an inspection follows from; 409 `not_drawn` says what is awaited."""
    services = services_of(request)
    with services.db.read() as session:
        told = inspection_sample(
            session, services.ledger_id, viewer_of(request), inspection, witnesses=services.trust is not None
        )
    return Json(told)


@router.get(
    "/v1/places/{place}/inventory",
    **declare(
        _ANYBODY,
        {200: Says("The units that an inspection opened now would freeze.", ref("Inventory"))},
        problems=(404, 422),
        tag="audit",
    ),
)
def get_inventory(
    request: Request, place: str, item: Items = None,
    contents: Annotated[Literal["true", "false"], Query()] = "false",
) -> Response:  # fmt: skip
    """Return what is held at a place and below it, as `inspection.open` states it."""
    services = services_of(request)
    terms = Terms(place, tuple(item or ()), contents == "true")
    with services.db.read() as session:
        return Json(standing(session, services.ledger_id, viewer_of(request), terms))
