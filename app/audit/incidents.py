"""Incidents as the auditor asks for them: what happened, whose it is, how long the answer took.

`list_incidents` answers `GET /v1/incidents`, `one_incident` one of them with every event that moved it on. What
exactly happened, and who is named, travels as private content; here stand category, place, units and times.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, select

from app.audit.events import visible_units
from app.audit.gathered import body_of
from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import EVENT, INCIDENT
from app.custody.state import Incident
from app.db import ReadSession
from app.errors import MissingError
from app.keys.grants import Viewer
from app.ledger._tables import LEAF

MAX_INCIDENTS = 200
COLUMNS: tuple[ColumnElement[Any], ...] = tuple(INCIDENT.c[field.name] for field in fields(Incident))
UNDER_WAY = ("open", "triaged", "assigned")
_STEPS = {"triage": "triaged_ms", "assignment": "assigned_ms", "resolution": "resolved_ms", "closing": "closed_ms"}
_TOLD = ("status", "severity", "owner", "due_by", "action", "outcome")
"""Members of an update that people read, in this order."""

CATEGORY_WORDS = {
    "CYBER": "peretasan", "PARTY_DISPUTE": "perselisihan peserta", "INTIMIDATION": "intimidasi penyelenggara",
    "LOGISTICS_DISRUPTION": "gangguan distribusi", "SABOTAGE": "sabotase", "DISINFORMATION": "hoaks",
    "RESULT_DISPUTE": "sengketa hasil", "TERROR": "terorisme", "THEFT": "pencurian", "LOSS": "hilang",
    "FIRE": "kebakaran", "FLOOD": "banjir", "SEAL_BREACH": "segel rusak",
    "UNAUTHORISED_ACCESS": "akses tanpa izin", "CUSTODY_BREAK": "putus rantai penguasaan", "SWAP": "tertukar",
    "COUNTERFEIT": "palsu", "OBSTRUCTED_SUPERVISION": "pengawas dihalangi", "UNESCORTED": "tanpa pengawalan",
    "LATE_DELIVERY": "terlambat", "SYSTEM_OUTAGE": "gangguan sistem", "KEY_COMPROMISE": "kunci bocor",
    "INSIDER": "orang dalam", "PERSON_SAFETY": "keselamatan orang",
}  # fmt: skip
"""Categories in Indonesian, for people."""

State = Literal["open", "triaged", "assigned", "resolved", "closed"]


def list_incidents(
    session: ReadSession, ledger_id: int, viewer: Viewer, *, now_ms: int,
    status: State | None = None, category: str | None = None, severity: str | None = None, place: str | None = None,
    owner: str | None = None, overdue: bool | None = None, after: int | None = None, limit: int = 50,
) -> Answer:  # fmt: skip
    """List the incidents that the viewer sees, in the order in which they were reported.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        now_ms: The time that deadlines are compared with, UTC milliseconds.
        status: In this state.
        category: Of this category.
        severity: Of this severity.
        place: At this place or one below it.
        owner: Owned by this agency.
        overdue: Only those that are not resolved and past their deadline, or only the others.
        after: The last index of the page before.
        limit: At most 200.

    Returns:
        `items` and `next`, the index to go on after, or None.

    Raises:
        MissingError: `place` is none that the viewer sees.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_INCIDENTS)
    query = select(*COLUMNS).where(INCIDENT.c.ledger_id == ledger_id, scope.incident_in())
    for name, value in {"status": status, "category": category, "severity": severity, "owner": owner}.items():
        query = query.where(INCIDENT.c[name] == value) if value is not None else query
    if place is not None:
        query = query.where(INCIDENT.c.place.in_(subtree(session, scope, place)))
    if overdue is not None:
        late = and_(INCIDENT.c.due_ms.is_not(None), INCIDENT.c.due_ms < now_ms, INCIDENT.c.status.in_(UNDER_WAY))
        query = query.where(late if overdue else ~late)
    if after is not None:
        query = query.where(INCIDENT.c.leaf_index > after)
    found = [_incident(row) for row in session.execute(query.order_by(INCIDENT.c.leaf_index).limit(limit + 1))]
    page = found[:limit]
    return {"items": _tell(session, scope, page, now_ms), "next": page[-1].leaf_index if len(found) > limit else None}


def one_incident(session: ReadSession, ledger_id: int, viewer: Viewer, incident: str, *, now_ms: int) -> Answer:
    """Return one incident with the events that reported it and moved it on.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        incident: The hash of the event that reported it.
        now_ms: As `list_incidents`.

    Raises:
        MissingError: There is no such incident for this viewer.
    """
    scope = Scope.of(session, ledger_id, viewer)
    query = select(*COLUMNS).where(INCIDENT.c.ledger_id == ledger_id, INCIDENT.c.id == incident, scope.incident_in())
    row = session.execute(query).first()
    if row is None:
        raise MissingError("There is no such incident.")
    found = _incident(row)
    [told] = _tell(session, scope, [found], now_ms)
    assert isinstance(told, dict)  # noqa: S101 - as `_as_json` makes it
    return {**told, "events": _events(session, ledger_id, (found.id, *found.events))}


def _incident(row: Any) -> Incident:
    values = dict(zip((field.name for field in fields(Incident)), row, strict=True))
    return Incident(**{**values, "confidential": bool(values["confidential"])})


def _tell(session: ReadSession, scope: Scope, found: Sequence[Incident], now_ms: int) -> list[JsonValue]:
    """Tell incidents; a fixed number of statements for any number."""
    places = Places.load(session, scope.ledger_id, (one.place for one in found))
    everything = scope.viewer.all_agencies
    seen = set() if everything else visible_units(session, scope, (unit for one in found for unit in one.units))
    return [_as_json(one, places, [unit for unit in one.units if everything or unit in seen], now_ms) for one in found]


def _as_json(one: Incident, places: Places, units: Iterable[str], now_ms: int) -> Answer:
    late = one.due_ms is not None and one.due_ms < now_ms and one.status in UNDER_WAY
    return {
        "incident": one.id, "index": one.leaf_index, "category": one.category,
        "category_text": CATEGORY_WORDS.get(one.category, one.category), "severity": one.severity,
        "status": one.status, "place": one.place, "place_name": places.name(one.place), "election": one.election,
        "agency": one.agency, "owner": one.owner, "confidential": one.confidential,
        "verified": one.source != "tip", "units": list(units), "links": list(one.links),
        "claimed_at": utc(one.at_ms), "claimed_local": places.local(one.at_ms, one.place),
        "opened_at": utc(one.opened_ms), "due_by": utc(one.due_ms), "due_local": places.local(one.due_ms, one.place),
        "overdue": late, "seconds_to": _seconds(one), "latest_index": one.latest_index,
    }  # fmt: skip


def _seconds(one: Incident) -> Answer:
    """Return how long each step took from the report on, in seconds; None for what has not come."""
    reached: Mapping[str, int | None] = {step: getattr(one, name) for step, name in _STEPS.items()}
    return {step: (ms - one.opened_ms) // 1000 if ms is not None else None for step, ms in reached.items()}


def _events(session: ReadSession, ledger_id: int, hashes: Sequence[str]) -> list[JsonValue]:
    """Tell what moved an incident on: who, when, and which of the members that people read."""
    rows = session.execute(
        select(EVENT.c.hash, EVENT.c.type, EVENT.c.agency, EVENT.c.officer, EVENT.c.leaf_index, EVENT.c.received_ms,
               LEAF.c.leaf)
        .join(LEAF, and_(LEAF.c.ledger_id == ledger_id, LEAF.c.leaf_index == EVENT.c.leaf_index))
        .where(EVENT.c.ledger_id == ledger_id, EVENT.c.hash.in_(hashes)).order_by(EVENT.c.leaf_index)
    )  # fmt: skip
    told: list[JsonValue] = []
    for hash_, type_, agency, officer, index, received_ms, leaf in rows:
        details = body_of(bytes(leaf))["details"]
        told.append({
            "event": hash_, "type": type_, "agency": agency, "officer": officer, "index": index,
            "received_at": utc(received_ms), **{name: details[name] for name in _TOLD if details.get(name) is not None},
        })  # fmt: skip
    return told
