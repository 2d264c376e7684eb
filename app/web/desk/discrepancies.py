"""Discrepancies in neutral words, with who has explained them and who objected."""

from typing import Any, Literal

from fastapi import APIRouter

from app.audit.discrepancies import RULE_WORDS, list_discrepancies
from app.audit.overview import SEVERITIES
from app.canon import jcs
from app.db import ReadSession
from app.ids import parse_unit_id
from app.web.desk.csvfile import Row, columns
from app.web.desk.listing import Asked, Filters, Listing, Text, serve
from app.web.desk.roles import WATCHERS
from app.web.desk.route import DeskRoute
from app.web.desk.session import HOME
from app.web.paging import Position

router = APIRouter(route_class=DeskRoute)
STATUSES = ("open", "explained", "resolved")


class DiscrepancyFilters(Filters):
    """What discrepancies may be asked for."""

    status: Literal["open", "explained", "resolved"] | None = None
    severity: Text = None
    rule: Text = None
    place: Text = None
    agency: Text = None
    unit: Text = None
    handover: Text = None


def _fetch(
    asked: Asked[DiscrepancyFilters], session: ReadSession, after: Position | None, limit: int
) -> dict[str, Any]:
    given = asked.filters.asked()
    if "unit" in given:
        given["unit"] = parse_unit_id(given["unit"])
    return list_discrepancies(
        session, asked.services.ledger_id, asked.viewer, after=str(after) if after is not None else None, limit=limit,
        **given,
    )  # fmt: skip


def _facts(row: Row) -> str:
    return jcs(row["facts"], check=False).decode()


COLUMNS = columns(
    "id", "index", "rule", "rule_text", "severity", "status", "unit", "handover", "place", "place_name", "agency",
    "claimed_at", "claimed_local",
    received_at=lambda row: row["event"]["received_at"], event=lambda row: row["event"]["event"],
    event_type=lambda row: row["event"]["type"], facts=_facts,
    explained=lambda row: [f"{one['agency']}:{one['reason']}" for one in row["explained"]],
    objections=lambda row: row["objections"], ended_index=lambda row: row["ended_index"],
)  # fmt: skip
LISTING = Listing(
    f"{HOME}/discrepancies", "discrepancies.html", DiscrepancyFilters, _fetch, COLUMNS,
    lambda: {"statuses": STATUSES, "severities": SEVERITIES, "rules": sorted(RULE_WORDS)},
)  # fmt: skip
serve(router, LISTING, WATCHERS)
