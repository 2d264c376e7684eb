"""Rules of incidents: reporting one is always possible; to assign or close one is a command (pure).

open → triaged → assigned → resolved → closed. Who owns it moves it on; before it has an owner, the agency that
reported it or any commission, supervisor or police. Only its owner and a supervisor together close it (domain reference
section 8, "Incident", and section 10, A40 to A44).
"""

from app.clock import parse_rfc3339
from app.custody.rules.case import Case
from app.custody.rules.observe import seen
from app.custody.state import Incident
from app.errors import MalformedError
from app.quick import evolve
from app.units.documents import Policy

ORDER = ("open", "triaged", "assigned", "resolved", "closed")
MAY_TRIAGE = frozenset({"commission", "supervisor", "police"})
MAX_LINKS = 256
MAX_EVENTS = 512


def report(case: Case) -> None:
    """Record that something happened, with the units and the place that the event names."""
    seen(case)
    told = case.details
    case.put(Incident(
        id=case.event.hash, leaf_index=case.context.index, category=told.category, severity=told.severity,
        status="open", election=case.body.election, place=case.body.place, agency=case.author_agency,
        owner=_known_agency(case, told.owner), source=told.source, confidential=told.confidential,
        units=case.body.units, links=told.links,
        at_ms=_moment(told.occurred_at) or case.event.at_ms,
        opened_ms=case.context.received_ms, due_ms=_moment(told.due_by),
        latest_index=case.context.index,
    ))  # fmt: skip


def _moment(text: str | None) -> int | None:
    """Return a moment as reported, UTC milliseconds; None for a day that no calendar has: a report is never refused."""
    try:
        return parse_rfc3339(text) if text is not None else None
    except MalformedError:
        return None


def _known_agency(case: Case, agency: str | None) -> str | None:
    """Return an owner that the policy knows; whoever reports may be wrong, and is not refused for it."""
    policy: Policy | None = case.context.policy
    return agency if policy is not None and agency in policy.agency_by_id else None


def _incident(case: Case) -> Incident:
    found: Incident | None = case.get(Incident, case.details.incident)
    if found is None:
        if case.recorded(case.details.incident) is not None:
            case.refuse("unknown_incident", "That event reports no incident.", event=case.details.incident)
        case.wait("pending_predecessor", awaited=case.details.incident)
    if found.status == "closed":
        case.refuse("incident_closed", "That incident is closed; report what is new as another.", incident=found.id)
    return found


def update(case: Case) -> None:
    """Move an incident on, give it an owner or a deadline, or note an action."""
    found, told = _incident(case), case.details
    _check_owner(case, found)
    owner = told.owner or found.owner
    if told.owner is not None and told.owner not in case.policy.agency_by_id:
        case.refuse("unknown_agency", "The policy knows no such agency.", agency=told.owner)
    status = told.status or found.status
    back = status == "assigned" and found.status == "resolved"  # it was not over after all
    if ORDER.index(status) < ORDER.index(found.status) and not back:
        case.refuse("incident_state", "An incident goes on, not back.", status=found.status)
    if status in {"assigned", "resolved"} and owner is None:
        case.refuse("policy_unmet", "Name the agency that the incident is assigned to.", missing="owner")
    case.put(evolve(
        found, status=status, owner=owner, severity=told.severity or found.severity,
        due_ms=parse_rfc3339(told.due_by) if told.due_by else found.due_ms,
        links=tuple(dict.fromkeys((*found.links, *told.links)))[:MAX_LINKS], events=_and_this(case, found),
        latest_index=case.context.index, **_moments(case, found, status),
    ))  # fmt: skip


def _moments(case: Case, found: Incident, status: str) -> dict[str, int | None]:
    """Return the times at which the incident came into its states; what was skipped has the same."""
    now, reached = case.context.received_ms, ORDER.index(status)
    known = {"triaged_ms": found.triaged_ms, "assigned_ms": found.assigned_ms, "resolved_ms": found.resolved_ms}
    return {
        name: (value if value is not None else now) if ORDER.index(name.removesuffix("_ms")) <= reached else None
        for name, value in known.items()
    }


def _and_this(case: Case, found: Incident) -> tuple[str, ...]:
    """Return what moved the incident on, this event included; beyond the most, the ledger alone tells."""
    return (*found.events, case.event.hash)[:MAX_EVENTS]


def _check_owner(case: Case, found: Incident) -> None:
    agencies = {key.agency for key in case.keys_as("giver", "approver", "witness")}
    if found.owner is not None:
        if found.owner not in agencies:
            case.refuse("not_incident_owner", "The agency that owns an incident moves it on.", owner=found.owner)
        return
    known = case.policy.agency_by_id
    kinds = {known[agency].kind for agency in agencies if agency in known}
    if found.agency not in agencies and not kinds & MAY_TRIAGE:
        case.refuse("not_incident_owner", "Who reported it, a commission, a supervisor or the police triage it.")


def close(case: Case) -> None:
    """Close a resolved incident: its owner and a supervisor sign together."""
    found = _incident(case)
    if found.status != "resolved":
        case.refuse("incident_state", "Only what is resolved is closed.", status=found.status)
    known = case.policy.agency_by_id
    agencies = {key.agency for key in case.keys_as("giver", "approver", "second", "witness")}
    supervised = any(known[agency].kind == "supervisor" for agency in agencies if agency in known)
    if found.owner not in agencies or not supervised:
        case.refuse("policy_unmet", "The owner and a supervisor close an incident together.", missing="approver")
    case.put(evolve(
        found, status="closed", closed_ms=case.context.received_ms, latest_index=case.context.index,
        events=_and_this(case, found),
    ))  # fmt: skip
