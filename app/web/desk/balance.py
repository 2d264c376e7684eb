"""The balance: every figure, the equalities between them, what is open, and the events behind each figure."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app.audit.balance import FIGURES
from app.audit.reconcile import figure_events, reconcile
from app.db import ReadSession
from app.web.answers import Json
from app.web.auth import viewer_of
from app.web.desk.csvfile import columns, csv_file
from app.web.desk.listing import Asked, Filters, Listing, Size, Text, files, read_filters, serve
from app.web.desk.paper import show
from app.web.desk.roles import ACCOUNTANTS
from app.web.desk.route import DeskRoute, paper
from app.web.desk.session import HOME
from app.web.paging import Position
from app.web.services import services_of

router = APIRouter(route_class=DeskRoute)
PATH = f"{HOME}/reconciliation"
_PROBLEMS = (400, 404, 409, 422)


class BalanceFilters(Filters):
    """What the balance may be asked for."""

    election: Text = None
    contest: Text = None
    place: Text = None
    size: Size = None


def _told(request: Request, filters: BalanceFilters) -> dict[str, Any]:
    services = services_of(request)
    with services.db.read() as session:
        return reconcile(session, services.ledger_id, viewer_of(request), events_per_figure=0, **filters.asked())


@router.get(PATH, **paper(ACCOUNTANTS, problems=_PROBLEMS))
def get_balance(request: Request) -> Response:
    """Show the balance of every contest."""
    filters = read_filters(request, BalanceFilters)
    told = _told(request, filters)
    return show(request, "reconciliation.html", told=told, filters=filters, files=files(PATH, filters))


@router.get(f"{PATH}.json", **paper(ACCOUNTANTS, "application/json", problems=_PROBLEMS))
def get_balance_json(request: Request) -> Response:
    """Tell the same; the events behind a figure have an address of their own."""
    return Json(_told(request, read_filters(request, BalanceFilters)))


FIGURE_COLUMNS = columns("contest", "kind", "name", "quantity", "right", "difference", "state", "explained")


@router.get(f"{PATH}.csv", **paper(ACCOUNTANTS, "text/csv", problems=_PROBLEMS))
def get_balance_csv(request: Request) -> Response:
    """Tell figures and equalities as rows."""
    rows = [
        row for contest in _told(request, read_filters(request, BalanceFilters))["contests"] for row in _rows(contest)
    ]
    return csv_file("reconciliation", FIGURE_COLUMNS, rows, bom=request.query_params.get("bom") != "0")


def _rows(contest: dict[str, Any]) -> list[dict[str, Any]]:
    """Tell a contest: a figure has a quantity, an equality two sides and what is between them."""
    name = contest["contest"]
    nothing = {"right": None, "difference": None, "state": None, "explained": None}
    figures = [
        {"contest": name, "kind": "figure", "name": one["figure"], "quantity": one["quantity"], **nothing}
        for one in contest["figures"]
    ]
    identities = [
        {
            "contest": name, "kind": "identity", "name": one["name"], "quantity": one["left"]["total"],
            "right": one["right"]["total"], "difference": one["difference"], "state": one["state"],
            "explained": [f"{by['agency']}:{by['reason']}" for by in one["explained"]],
        }
        for one in contest["identities"]
    ]  # fmt: skip
    return figures + identities


class FigureFilters(BalanceFilters):
    """What is asked of the events behind one figure."""

    contest: Annotated[str, Field(max_length=120)]
    figure: Annotated[str, Field(max_length=120)]


def _events(asked: Asked[FigureFilters], session: ReadSession, after: Position | None, limit: int) -> dict[str, Any]:
    told = figure_events(
        session, asked.services.ledger_id, asked.viewer, after=int(after or 0), limit=limit, **asked.filters.asked()
    )
    return {**told, "items": told["events"]}


EVENT_COLUMNS = columns("index", "event", "figure", "quantity", "unit", "place")
EVENTS = Listing(
    f"{PATH}/events", "figure.html", FigureFilters, _events, EVENT_COLUMNS, lambda: {"figures": sorted(FIGURES)}
)
serve(router, EVENTS, ACCOUNTANTS)
