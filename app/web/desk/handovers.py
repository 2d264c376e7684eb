"""Handovers: in flight, late, disputed, done."""

from typing import Any

from fastapi import APIRouter

from app.audit.handovers import Status, list_handovers
from app.db import ReadSession
from app.web.desk.csvfile import columns
from app.web.desk.listing import Asked, Filters, Listing, Text, serve
from app.web.desk.roles import EVERYBODY
from app.web.desk.route import DeskRoute
from app.web.desk.session import HOME
from app.web.paging import Position

router = APIRouter(route_class=DeskRoute)
STATUSES = ("open", "overdue", "disputed", "done")


class HandoverFilters(Filters):
    """What handovers may be asked for."""

    status: Status | None = None
    place: Text = None
    agency: Text = None


def _fetch(asked: Asked[HandoverFilters], session: ReadSession, after: Position | None, limit: int) -> dict[str, Any]:
    return list_handovers(
        session, asked.services.ledger_id, asked.viewer, now_ms=asked.services.mandate_ms(session),
        after=int(after) if after is not None else None, limit=limit, **asked.filters.asked(),
    )  # fmt: skip


COLUMNS = columns(
    "index", "release", "status", "overdue", "disputed",
    from_agency=lambda row: row["from"]["agency"], from_place=lambda row: row["from"]["place"],
    from_place_name=lambda row: row["from"]["place_name"], to_agency=lambda row: row["to"]["agency"],
    to_place=lambda row: row["to"]["place"], to_place_name=lambda row: row["to"]["place_name"],
    released_at=lambda row: row["released_at"], released_local=lambda row: row["released_local"],
    due_by=lambda row: row["due_by"], due_local=lambda row: row["due_local"],
    closed_index=lambda row: row["closed_index"], n=lambda row: row["n"], units=lambda row: row["units"],
    exceptions=lambda row: [f"{one['unit']}:{one['kind']}:{one['reason']}" for one in row["exceptions"]],
    discrepancies=lambda row: [f"{one['rule']}:{one['status']}" for one in row["discrepancies"]],
)  # fmt: skip
LISTING = Listing(
    f"{HOME}/handovers", "handovers.html", HandoverFilters, _fetch, COLUMNS, lambda: {"statuses": STATUSES}
)
serve(router, LISTING, EVERYBODY)
