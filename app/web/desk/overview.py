"""`/desk`: what moved today, what is late, what is open, and whether ledger and witnesses keep up."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.overview import overview
from app.db import ReadSession
from app.ledger.witnessed import lag_ms, standing
from app.web.auth import viewer_of
from app.web.desk.paper import show
from app.web.desk.roles import EVERYBODY, WATCHERS, opens
from app.web.desk.route import DeskRoute, paper
from app.web.desk.session import HOME
from app.web.services import Services, services_of

router = APIRouter(route_class=DeskRoute)


@router.get(HOME, **paper(EVERYBODY))
def get_overview(request: Request) -> Response:
    """Show the first look; discrepancies only to whom the list of them is open."""
    services, viewer = services_of(request), viewer_of(request)
    lists = opens(viewer, WATCHERS)
    with services.db.read() as session:
        now_ms = services.mandate_ms(session)
        told = overview(
            session, services.ledger_id, viewer, now_ms=now_ms, with_discrepancies=lists, activity=services.activity
        )
        witnesses = _witnesses(services, session, now_ms)
    return show(
        request, "overview.html", told=told, witnesses=witnesses, name=services.view.name
    )  # fmt: skip


def _witnesses(services: Services, session: ReadSession, now_ms: int) -> dict[str, object] | None:
    """Return how far the witnesses have come; None for a ledger that has none."""
    if services.trust is None:
        return None
    told = standing(session, services.ledger_id, services.trust)
    size = services.view.published[0]
    return {
        **told, "behind": size - (told["witnessed_size"] or 0),
        "lag_seconds": lag_ms(session, services.ledger_id, now_ms) // 1000,
    }  # fmt: skip
