"""The tree of places, one level at a time: what each part holds, what the plan wants there, what is missing."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.audit.holdings import holdings
from app.custody.lookup import meta_of
from app.web.answers import Json
from app.web.auth import viewer_of
from app.web.desk.csvfile import MAX_ROWS, columns, csv_file
from app.web.desk.goods import item_names
from app.web.desk.language import language_of
from app.web.desk.listing import Filters, Text, files, read_filters
from app.web.desk.paper import show
from app.web.desk.roles import EVERYBODY
from app.web.desk.route import DeskRoute, paper
from app.web.desk.session import HOME
from app.web.services import services_of

router = APIRouter(route_class=DeskRoute)
PATH = f"{HOME}/places"
_PROBLEMS = (400, 404, 422)


class PlaceFilters(Filters):
    """Which place."""

    place: Text = None


def _told(request: Request) -> tuple[PlaceFilters, dict[str, Any]]:
    services, filters = services_of(request), read_filters(request, PlaceFilters)
    with services.db.read() as session:
        meta = meta_of(session, services.ledger_id)
        plans = [services.plan(session, election) for election, _ in meta.plans] if meta is not None else []
        told = holdings(
            session, services.ledger_id, viewer_of(request), place=filters.place, plans=[one for one in plans if one]
        )
    return filters, told


@router.get(PATH, **paper(EVERYBODY, problems=_PROBLEMS))
def get_places(request: Request) -> Response:
    """Show a place with its parts."""
    filters, told = _told(request)
    services = services_of(request)
    with services.db.read() as session:
        items = item_names(services, session, language_of(request).code)
    return show(request, "places.html", told=told, items=items, filters=filters, files=files(PATH, filters))


@router.get(f"{PATH}.json", **paper(EVERYBODY, "application/json", problems=_PROBLEMS))
def get_places_json(request: Request) -> Response:
    """Tell the same."""
    return Json(_told(request)[1])


PART_COLUMNS = columns("place", "name", "kind", "units", "stations", "missing_lines")


@router.get(f"{PATH}.csv", **paper(EVERYBODY, "text/csv", problems=_PROBLEMS))
def get_places_csv(request: Request) -> Response:
    """Tell the parts as rows."""
    rows = _told(request)[1]["items"]
    more = f"{PATH}.json?{request.url.query}" if len(rows) > MAX_ROWS else None
    bom = request.query_params.get("bom") != "0"
    return csv_file("places", PART_COLUMNS, rows[:MAX_ROWS], more=more, bom=bom)
