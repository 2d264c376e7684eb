"""One unit: its facets, what is open about it, and its story; or the story alone, as it was known at a tree size."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.audit.history import MAX_ROWS, unit_history
from app.audit.units import unit_state
from app.db import ReadSession
from app.web import units as doors
from app.web.answers import Json
from app.web.auth import viewer_of
from app.web.desk.csvfile import Row, columns, csv_file
from app.web.desk.goods import item_names
from app.web.desk.language import language_of
from app.web.desk.listing import Filters, Size, Text, following, read_filters
from app.web.desk.paper import address, show
from app.web.desk.roles import EVERYBODY, EVIDENCE, opens
from app.web.desk.route import DeskRoute, paper
from app.web.desk.session import HOME
from app.web.desk.strip import strip
from app.web.paging import index_after, page
from app.web.services import Services, services_of

router = APIRouter(route_class=DeskRoute)
PATH = f"{HOME}/units"
CONTENTS, PAGE_ROWS = 100, 200
_PROBLEMS = (400, 404, 410, 422)


class UnitFilters(Filters):
    """As known when; `unit` is what a form of search asks for."""

    size: Size = None
    unit: Text = None


@router.get(PATH, **paper(EVERYBODY, problems=_PROBLEMS))
def find_unit(request: Request) -> Response:
    """Lead from what was typed to the unit's own page; without it, show where to type."""
    typed = (read_filters(request, UnitFilters).unit or "").strip()
    if not typed:
        return show(request, "find.html")
    with _asking(request) as (services, session):
        told = unit_history(session, services.ledger_id, viewer_of(request), typed, limit=1)
    return RedirectResponse(f"{PATH}/{told['unit']}", 303)


@contextmanager
def _asking(request: Request) -> Iterator[tuple[Services, ReadSession]]:
    services = services_of(request)
    with services.db.read() as session:
        yield services, session


def _story(request: Request, named: str, services: Services, session: ReadSession, limit: int) -> dict[str, Any]:
    size, after = read_filters(request, UnitFilters).size, index_after(request)
    viewer = viewer_of(request)
    return unit_history(session, services.ledger_id, viewer, named, size=size, after=after, limit=limit)


def _state(request: Request, named: str, services: Services, session: ReadSession) -> dict[str, Any]:
    return unit_state(
        session, services.ledger_id, viewer_of(request), named, now_ms=services.mandate_ms(session),
        contents_limit=CONTENTS,
    )  # fmt: skip


@router.get(PATH + "/{unit}/history.json", **paper(EVERYBODY, "application/json", problems=_PROBLEMS))
def get_history_json(request: Request, unit: str) -> Response:
    """Tell the story as the API does."""
    with _asking(request) as asking:
        told = _story(request, unit, *asking, limit=PAGE_ROWS)
    return page(request, told)


def _at(edge: str, name: str) -> Any:
    """Return how an end of a gap is found in its row; an event has no ends."""
    return lambda row: (row.get(edge) or {}).get(name)


def _member(name: str) -> Any:
    return lambda row: row.get(name)


STORY_COLUMNS = columns(
    "kind",
    **{
        name: _member(name)
        for name in (
            "index", "type", "result", "code", "agency", "officer", "place", "place_name", "claimed_at",
            "claimed_local", "received_at", "received_local", "event", "about", "via", "gap", "cause", "ended_by",
        )
    },
    gap_from=_at("from", "at"), gap_to=_at("to", "at"),
)  # fmt: skip


@router.get(PATH + "/{unit}/history.csv", **paper(EVERYBODY, "text/csv", problems=_PROBLEMS))
def get_history_csv(request: Request, unit: str) -> Response:
    """Tell the story as rows, gaps among them."""
    with _asking(request) as asking:
        told = _story(request, unit, *asking, limit=MAX_ROWS)
    rows: list[Row] = told["items"]
    bom = request.query_params.get("bom") != "0"
    return csv_file(f"history-{told['unit']}", STORY_COLUMNS, rows, more=following(request, told["next"]), bom=bom)


@router.get(PATH + "/{unit}/evidence.zip", **paper(EVIDENCE, "application/zip", problems=(*_PROBLEMS, 413)))
def get_evidence(request: Request, unit: str) -> Response:
    """Give the bundle that the API gives, to a browser, which can send no header."""
    return doors.get_evidence(request, unit, stamped=False)


@router.get(PATH + "/{unit}.json", **paper(EVERYBODY, "application/json", problems=_PROBLEMS))
def get_unit_json(request: Request, unit: str) -> Response:
    """Tell the unit as it stands."""
    with _asking(request) as asking:
        return Json(_state(request, unit, *asking))


@router.get(PATH + "/{unit}", **paper(EVERYBODY, problems=_PROBLEMS))
def get_unit(request: Request, unit: str) -> Response:
    """Show a unit."""
    filters = read_filters(request, UnitFilters)
    with _asking(request) as asking:
        told = _story(request, unit, *asking, limit=PAGE_ROWS)
        state = _state(request, unit, *asking) if filters.size is None else None
        items = item_names(*asking, language_of(request).code)
    named, asked = str(told["unit"]), {"size": filters.size}
    return show(
        request, "unit.html", named=named, state=state, items=items, told=told, size=filters.size,
        strip=strip(told["items"]),
        following=following(request, told["next"]), is_first="cursor" not in request.query_params,
        files={ending: address(f"{PATH}/{named}/history.{ending}", asked) for ending in ("csv", "json")},
        gives_evidence=opens(viewer_of(request), EVIDENCE),
    )  # fmt: skip
