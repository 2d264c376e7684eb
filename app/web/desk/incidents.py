"""Incidents: what happened, whose it is, how long the answer took; and one with all that moved it on."""

from typing import Any, get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.incidents import CATEGORY_WORDS, State, list_incidents, one_incident
from app.audit.overview import SEVERITIES
from app.db import ReadSession
from app.web.answers import Json
from app.web.auth import viewer_of
from app.web.desk.csvfile import columns
from app.web.desk.listing import Asked, Filters, Listing, Text, serve
from app.web.desk.paper import show
from app.web.desk.roles import EVERYBODY
from app.web.desk.route import DeskRoute, paper
from app.web.desk.session import HOME
from app.web.paging import Position
from app.web.services import services_of

router = APIRouter(route_class=DeskRoute)
PATH = f"{HOME}/incidents"
STATES = get_args(State)


class IncidentFilters(Filters):
    """What incidents may be asked for."""

    status: State | None = None
    category: Text = None
    severity: Text = None
    place: Text = None
    owner: Text = None
    overdue: bool | None = None


def _fetch(asked: Asked[IncidentFilters], session: ReadSession, after: Position | None, limit: int) -> dict[str, Any]:
    return list_incidents(
        session, asked.services.ledger_id, asked.viewer, now_ms=asked.services.mandate_ms(session),
        after=int(after) if after is not None else None, limit=limit, **asked.filters.asked(),
    )  # fmt: skip


COLUMNS = columns(
    "index", "incident", "category", "category_text", "severity", "status", "overdue", "place", "place_name", "agency",
    "owner", "confidential", "verified", "units", "claimed_at", "claimed_local", "opened_at", "due_by", "due_local",
    seconds_to_triage=lambda row: row["seconds_to"]["triage"],
    seconds_to_assignment=lambda row: row["seconds_to"]["assignment"],
    seconds_to_resolution=lambda row: row["seconds_to"]["resolution"],
    seconds_to_closing=lambda row: row["seconds_to"]["closing"],
)  # fmt: skip
LISTING = Listing(
    PATH, "incidents.html", IncidentFilters, _fetch, COLUMNS,
    lambda: {"states": STATES, "severities": SEVERITIES, "categories": sorted(CATEGORY_WORDS)},
)  # fmt: skip
serve(router, LISTING, EVERYBODY)


def _told(request: Request, incident: str) -> dict[str, Any]:
    services = services_of(request)
    with services.db.read() as session:
        return one_incident(
            session, services.ledger_id, viewer_of(request), incident, now_ms=services.mandate_ms(session)
        )


@router.get(PATH + "/{incident}", **paper(EVERYBODY, problems=(404,)))
def get_incident(request: Request, incident: str) -> Response:
    """Show one incident; `.json` behind its hash gives the same as the API does."""
    if incident.endswith(".json"):
        return Json(_told(request, incident.removesuffix(".json")))
    return show(request, "incident.html", one=_told(request, incident))
