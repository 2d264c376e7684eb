"""Handovers as the auditor asks for them: open, overdue, disputed, done.

`list_handovers` answers `GET /v1/handovers`. A handover is disputed when its accept named exceptions, or when
a line of it contradicts what the ledger knew; that it is done does not end the dispute.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, or_, select

from app.audit.events import visible_units
from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import DISCREPANCY, HANDOVER
from app.custody.state import Handover
from app.db import ReadSession
from app.keys.grants import Viewer

MAX_HANDOVERS = 200
DISPUTES = ("LINE_CONFLICT", "HANDOVER_CONTRADICTED", "SHORT", "REJECTED")
DONE = ("accepted", "partial", "rejected", "cancelled")
COLUMNS: tuple[ColumnElement[Any], ...] = tuple(HANDOVER.c[field.name] for field in fields(Handover))

Status = Literal["open", "overdue", "disputed", "done"]


def list_handovers(
    session: ReadSession, ledger_id: int, viewer: Viewer, *, now_ms: int,
    status: Status | None = None, place: str | None = None, agency: str | None = None,
    after: int | None = None, limit: int = 50,
) -> Answer:  # fmt: skip
    """List the handovers that the viewer sees, in the order in which their releases took effect.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        now_ms: The server's time, UTC milliseconds; an open handover whose `due_by` lies before is overdue.
        status: `open`, `overdue` (open and late), `disputed`, `done` (accepted, partial, rejected, cancelled).
        place: From or to this place or one below it.
        agency: From or to this agency.
        after: The last index of the page before.
        limit: At most 200.

    Returns:
        `items` and `next`, the index to go on after, or None.

    Raises:
        MissingError: `place` is none that the viewer sees.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_HANDOVERS)
    query = select(*COLUMNS).where(HANDOVER.c.ledger_id == ledger_id, scope.handover_in())
    if status is not None:
        query = query.where(_is(ledger_id, status, now_ms))
    if place is not None:
        here = subtree(session, scope, place)
        query = query.where(or_(HANDOVER.c.from_place.in_(here), HANDOVER.c.to_place.in_(here)))
    if agency is not None:
        query = query.where(or_(HANDOVER.c.agency == agency, HANDOVER.c.to_agency == agency))
    if after is not None:
        query = query.where(HANDOVER.c.leaf_index > after)
    rows = session.execute(query.order_by(HANDOVER.c.leaf_index).limit(limit + 1))
    found = [handover(row) for row in rows]
    page = found[:limit]
    items = tell(session, scope, page, now_ms)
    return {"items": items, "next": page[-1].leaf_index if len(found) > limit else None}


def _is(ledger_id: int, status: Status, now_ms: int) -> ColumnElement[bool]:
    if status == "done":
        return HANDOVER.c.status.in_(DONE)
    if status == "disputed":
        disputed = select(DISCREPANCY.c.handover).where(
            DISCREPANCY.c.ledger_id == ledger_id, DISCREPANCY.c.rule.in_(DISPUTES), DISCREPANCY.c.handover.is_not(None)
        )
        return or_(HANDOVER.c.status == "partial", HANDOVER.c.release.in_(disputed))
    still_open = HANDOVER.c.status == "open"
    return still_open if status == "open" else and_(still_open, HANDOVER.c.due_ms < now_ms)


def handover(row: Any) -> Handover:
    """Make a handover of a row of `COLUMNS`."""
    values = dict(zip((field.name for field in fields(Handover)), row, strict=True))
    return Handover(**{**values, "internal": bool(values["internal"])})


def tell(session: ReadSession, scope: Scope, found: Iterable[Handover], now_ms: int) -> list[JsonValue]:
    """Tell handovers with the discrepancies noted of each; a fixed number of statements for any number."""
    rows = list(found)
    noted: dict[str, list[Any]] = {h.release: [] for h in rows}
    for name, id_, rule, status in session.execute(
        select(DISCREPANCY.c.handover, DISCREPANCY.c.id, DISCREPANCY.c.rule, DISCREPANCY.c.status)
        .where(DISCREPANCY.c.ledger_id == scope.ledger_id, DISCREPANCY.c.handover.in_(list(noted)))
        .order_by(DISCREPANCY.c.leaf_index, DISCREPANCY.c.id)
    ):
        noted[name].append({"id": id_, "rule": rule, "status": status})
    places = Places.load(session, scope.ledger_id, (p for h in rows for p in (h.from_place, h.to_place)))
    aside = [h for h in rows if not _takes_part(scope, h)]
    seen = visible_units(session, scope, (unit for h in aside for unit in h.units))
    return [
        _as_json(h, places, noted[h.release], [u for u in h.units if u in seen or h not in aside], now_ms) for h in rows
    ]


def _takes_part(scope: Scope, found: Handover) -> bool:
    return scope.viewer.all_agencies or scope.viewer.agency in {found.agency, found.to_agency}


def _as_json(found: Handover, places: Places, noted: list[Any], units: list[str], now_ms: int) -> Answer:
    disputed = found.status == "partial" or any(row["rule"] in DISPUTES for row in noted)
    return {
        "release": found.release, "index": found.leaf_index, "status": found.status,
        "overdue": found.status == "open" and found.due_ms < now_ms, "disputed": disputed,
        "from": {
            "agency": found.agency, "officers": list(found.officers), "roles": list(found.roles),
            "place": found.from_place, "place_name": places.name(found.from_place),
        },
        "to": {
            "agency": found.to_agency, "officer": found.to_officer, "place": found.to_place,
            "place_name": places.name(found.to_place),
        },
        "internal": found.internal, "sensitivity": found.sensitivity, "released_at": utc(found.at_ms),
        "released_local": places.local(found.at_ms, found.from_place), "due_by": utc(found.due_ms),
        "due_local": places.local(found.due_ms, found.to_place), "overdue_index": found.overdue_index,
        "closed_index": found.closed_index, "closed_by": found.closed_by, "cancel": found.cancel,
        "n": len(found.units), "units": list(units),
        "exceptions": [{"unit": unit, "kind": kind, "reason": reason} for unit, kind, reason in found.exceptions],
        "discrepancies": list(noted),
    }  # fmt: skip
