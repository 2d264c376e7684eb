"""`GET /v1/outstanding`: what is still out tonight, by place and role."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.outstanding import outstanding
from app.web.auth import anybody_enrolled, viewer_of
from app.web.declare import Says, declare, ref
from app.web.paging import page, text_after
from app.web.query import Cursor, Word
from app.web.services import services_of

router = APIRouter()


@router.get(
    "/v1/outstanding",
    **declare(
        anybody_enrolled(),
        {200: Says("What has left the stores and is not back, place by place.", ref("Page"))},
        problems=(400, 404, 422),
        tag="audit",
    ),
)
def get_outstanding(
    request: Request, election: Word = None, place: Word = None, limit: Annotated[int, Query(ge=1, le=200)] = 100,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Count the goods that are out, by the place and the role of who has them."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = outstanding(
            session, services.ledger_id, viewer_of(request), election=election, place=place, after=text_after(request),
            limit=limit,
        )  # fmt: skip
    return page(request, told)
