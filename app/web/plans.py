"""`GET /v1/plans`: the plans that were published, and what one changes against another."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from app.audit.plans import MAX_PLANS, MAX_STATIONS, compare_plans, list_plans
from app.web.auth import anybody_enrolled
from app.web.declare import Says, declare, ref
from app.web.paging import index_after, page, text_after
from app.web.query import Cursor, Word
from app.web.services import services_of

router = APIRouter()
_ANYBODY = anybody_enrolled()
Version = Annotated[str, Query(max_length=64, description="Hash of the event that published it, or of the document.")]


@router.get(
    "/v1/plans",
    **declare(
        _ANYBODY, {200: Says("Published plans, a page.", ref("PlanPage"))}, problems=(400, 422), tag="documents"
    ),
)  # fmt: skip
def get_plans(
    request: Request, election: Word = None, limit: Annotated[int, Query(ge=1, le=MAX_PLANS)] = 20,
    cursor: Cursor = None,
) -> Response:  # fmt: skip
    """List the versions that were published, in the order in which they took effect; the newest is in force."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = list_plans(session, services.ledger_id, election=election, after=index_after(request), limit=limit)
    return page(request, told)


@router.get(
    "/v1/plans/diff",
    **declare(
        _ANYBODY,
        {200: Says("Stations added, removed and changed, member by member, a page.", ref("PlanDifference"))},
        problems=(400, 404, 422),
        tag="documents",
    ),
)
def get_plan_difference(
    request: Request, from_: Annotated[Version, Query(alias="from")], to: Version,
    limit: Annotated[int, Query(ge=1, le=MAX_STATIONS)] = 100, cursor: Cursor = None,
) -> Response:  # fmt: skip
    """Return what one published plan changes against another."""
    del cursor
    services = services_of(request)
    with services.db.read() as session:
        told = compare_plans(session, services.ledger_id, from_, to, after=text_after(request), limit=limit)
    return page(request, told)
