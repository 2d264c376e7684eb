"""The first look of whoever supervises: today's movements, what is late, what is open, as few figures.

What is open counts what the viewer's own lists would show him, by the same predicates (`app.audit.scope`), and stands
beside the first rows of such a list. Today's movements are those at his places (`app.audit.activity`). A fixed number
of SQL statements, whatever the ledger holds.
"""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import case, func, select

from app.audit import discrepancies
from app.audit.activity import Activity, Kind, seen_by
from app.audit.handovers import list_handovers
from app.audit.incidents import UNDER_WAY, list_incidents
from app.audit.moments import local_time
from app.audit.places import Answer, utc
from app.audit.scope import Scope, below
from app.canon import JsonValue
from app.custody._tables import DISCREPANCY, HANDOVER, INCIDENT
from app.custody.state import Discrepancy
from app.db import ReadSession
from app.keys.grants import Viewer
from app.ledger._tables import CHECKPOINT
from app.units._tables import PLACE

FIRST = 5
"""Rows that stand beside a figure."""
SEVERITIES = ("kritis", "tinggi", "sedang", "rendah", "info")
FALLBACK_ZONE = "Asia/Jakarta"


def overview(
    session: ReadSession, ledger_id: int, viewer: Viewer, *, now_ms: int, with_discrepancies: bool = True,
    activity: Activity | None = None,
) -> Answer:  # fmt: skip
    """Return what happened today, what is late and what is open, as the viewer sees it.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        now_ms: The time that days and deadlines are judged at, UTC milliseconds.
        with_discrepancies: Whether the viewer may list discrepancies at all; None stands there otherwise.
        activity: What this process has counted of days before; counted anew when absent.

    Returns:
        `zone` and `since` of the day, `today` (type, result, count), `handovers` and `incidents` (how many are open
        and overdue, the first overdue ones), `discrepancies` (open by severity, the newest), `checkpoint`.
    """
    scope = Scope.of(session, ledger_id, viewer)
    zone = _zone(session, scope)
    since_ms = start_of_day(now_ms, zone)
    late: dict[str, Any] = {"now_ms": now_ms, "limit": FIRST}
    return {
        "zone": zone, "since": utc(since_ms), "since_local": local_time(since_ms, zone),
        "today": _today(session, scope, (activity or Activity()).since(session, ledger_id, since_ms)),
        "handovers": {
            **_handovers(session, scope, now_ms),
            "first": list_handovers(session, ledger_id, viewer, status="overdue", **late)["items"],
        },
        "incidents": {
            **_incidents(session, scope, now_ms),
            "first": list_incidents(session, ledger_id, viewer, overdue=True, **late)["items"],
        },
        "discrepancies": _discrepancies(session, scope) if with_discrepancies else None,
        "checkpoint": _checkpoint(session, ledger_id, zone),
    }  # fmt: skip


def start_of_day(now_ms: int, zone: str) -> int:
    """Return the midnight before an instant in a zone, UTC milliseconds."""
    here = datetime.fromtimestamp(now_ms // 1000, ZoneInfo(zone))
    return int(datetime.combine(here.date(), time(), here.tzinfo).timestamp()) * 1000


def _zone(session: ReadSession, scope: Scope) -> str:
    """Return the zone of the viewer's place, or of the first place that he sees."""
    here = select(PLACE.c.zone).where(PLACE.c.ledger_id == scope.ledger_id, below(scope.path))
    found: str | None = session.execute(here.order_by(PLACE.c.path).limit(1)).scalar()
    return found or FALLBACK_ZONE


def _today(session: ReadSession, scope: Scope, counts: Mapping[Kind, int]) -> list[JsonValue]:
    """Tell the events of the day at the viewer's places, the most frequent type first."""
    told = seen_by(session, scope, counts)
    order = sorted(told.items(), key=lambda row: (-row[1], row[0]))
    return [{"type": type_, "result": result, "count": count} for (type_, result), count in order]


def _handovers(session: ReadSession, scope: Scope, now_ms: int) -> Answer:
    late = func.coalesce(func.sum(case((HANDOVER.c.due_ms < now_ms, 1), else_=0)), 0)
    query = select(func.count(), late).where(
        HANDOVER.c.ledger_id == scope.ledger_id, HANDOVER.c.status == "open", scope.handover_in()
    )
    n_open, n_late = session.execute(query).one()
    return {"open": n_open, "overdue": int(n_late)}


def _incidents(session: ReadSession, scope: Scope, now_ms: int) -> Answer:
    late = func.coalesce(func.sum(case((INCIDENT.c.due_ms < now_ms, 1), else_=0)), 0)
    query = select(func.count(), late).where(
        INCIDENT.c.ledger_id == scope.ledger_id, INCIDENT.c.status.in_(UNDER_WAY), scope.incident_in()
    )
    n_open, n_late = session.execute(query).one()
    return {"open": n_open, "overdue": int(n_late)}


def _discrepancies(session: ReadSession, scope: Scope) -> Answer:
    here = (DISCREPANCY.c.ledger_id == scope.ledger_id, DISCREPANCY.c.status == "open", scope.discrepancy_in())
    rows = session.execute(select(DISCREPANCY.c.severity, func.count()).where(*here).group_by(DISCREPANCY.c.severity))
    counts: dict[str, int] = {row[0]: row[1] for row in rows}
    order = [column.desc() for column in discrepancies.IN_ORDER]
    newest = session.execute(select(*discrepancies.COLUMNS).where(*here).order_by(*order).limit(FIRST))
    return {
        "open": sum(counts.values()),
        "by_severity": [{"severity": name, "count": counts.get(name, 0)} for name in SEVERITIES],
        "newest": discrepancies.tell(session, scope.ledger_id, [Discrepancy(*row) for row in newest]),
    }


def _checkpoint(session: ReadSession, ledger_id: int, zone: str) -> JsonValue:
    """Return size and time of the newest signed checkpoint."""
    query = select(CHECKPOINT.c.size, CHECKPOINT.c.made_ms).where(CHECKPOINT.c.ledger_id == ledger_id)
    row = session.execute(query.order_by(CHECKPOINT.c.size.desc()).limit(1)).first()
    if row is None:
        return None
    return {"size": row[0], "made_at": utc(row[1]), "made_local": local_time(row[1], zone)}
