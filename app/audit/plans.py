"""Which plans were published, which is in force, and what one changes against another.

`list_plans` answers `GET /v1/plans`, `compare_plans` answers `GET /v1/plans/diff`. A version is a `plan.publish` that
took effect, at once or by a later verdict; the newest of an election is in force. Both read the ledger's own leaves:
what was only uploaded is no version. Documents are for everybody who is enrolled, so nothing is left out for anybody.
"""

from app.audit.inforce import Published, document, published
from app.audit.moments import utc
from app.audit.places import Answer
from app.canon import JsonValue
from app.db import ReadSession
from app.errors import MissingError
from app.units.documents import Plan
from app.units.plandiff import Change, Difference, difference

MAX_PLANS = 50
MAX_STATIONS = 500


def list_plans(
    session: ReadSession, ledger_id: int, *, election: str | None = None, after: int | None = None,
    limit: int = MAX_PLANS,
) -> Answer:  # fmt: skip
    """List the published versions, in the order in which they took effect.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        election: Of this election only.
        after: The last index of the page before.
        limit: At most 50; each costs the reading of a document.

    Returns:
        `items`: election, event, index, document, title, stations, published_at, in_force; and `next`.
    """
    every = _versions(session, ledger_id)
    newest = {version.election: version.event for version in every}
    wanted = [v for v in every if election in {None, v.election} and v.effect > (-1 if after is None else after)]
    page = wanted[: min(limit, MAX_PLANS)]
    items: list[JsonValue] = [
        {**_told(session, ledger_id, v), "in_force": newest[v.election] == v.event} for v in page
    ]  # fmt: skip
    return {"items": items, "next": page[-1].effect if len(wanted) > len(page) else None}


def compare_plans(
    session: ReadSession, ledger_id: int, old: str, new: str, *, after: str | None = None, limit: int = 100
) -> Answer:  # fmt: skip
    """Return what one published version changes against another, station by station.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        old: Hash of the event or of the document.
        new: The same of the other.
        after: The last station of the page before.
        limit: At most 500 stations.

    Returns:
        `from` and `to`, `plan` (members that hold for all stations), `counts`, and `items`: per station its place,
        `change` (added, removed, changed) and `members`, each with `member`, `before` and `after`; and `next`.

    Raises:
        MissingError: No plan was published under such a hash.
    """
    every = _versions(session, ledger_id)
    first, second = (_named(every, name) for name in (old, new))
    found = difference(_plan(session, ledger_id, first), _plan(session, ledger_id, second))
    stations = [one for one in _stations(found) if after is None or str(one["place"]) > after]
    page: list[JsonValue] = [*stations[: min(limit, MAX_STATIONS)]]
    counts: dict[str, JsonValue] = {
        "added": len(found.added), "removed": len(found.removed), "changed": len(found.changed),
    }  # fmt: skip
    return {
        "from": _told(session, ledger_id, first), "to": _told(session, ledger_id, second), "counts": counts,
        "plan": _members(found.plan), "items": page,
        "next": stations[len(page) - 1]["place"] if len(stations) > len(page) else None,
    }  # fmt: skip


def _stations(found: Difference) -> list[dict[str, JsonValue]]:
    told = {place: _station(place, "added") for place in found.added}
    told |= {place: _station(place, "removed") for place in found.removed}
    told |= {place: _station(place, "changed", members) for place, members in found.changed.items()}
    return [told[place] for place in sorted(told)]


def _station(place: str, change: str, members: tuple[Change, ...] = ()) -> dict[str, JsonValue]:
    return {"place": place, "change": change, "members": _members(members)}


def _members(changes: tuple[Change, ...]) -> list[JsonValue]:
    return [{"member": one.member, "before": one.before, "after": one.after} for one in changes]


def _told(session: ReadSession, ledger_id: int, version: Published) -> dict[str, JsonValue]:
    plan = _plan(session, ledger_id, version)
    return {
        "election": version.election, "event": version.event, "index": version.leaf_index,
        "document": version.document, "title": plan.title, "synthetic": plan.synthetic,
        "stations": len(plan.stations), "published_at": utc(version.received_ms),
    }  # fmt: skip


def _plan(session: ReadSession, ledger_id: int, version: Published) -> Plan:
    plan = document(session, ledger_id, version.document)
    if not isinstance(plan, Plan):
        raise MissingError("The document of that plan is not here.", document=version.document)
    return plan


def _named(versions: list[Published], name: str) -> Published:
    """Return the version of an event, or the newest of a document."""
    for version in reversed(versions):
        if name in {version.event, version.document}:
            return version
    raise MissingError("No plan was published under that hash.", hash=name[:64])


def _versions(session: ReadSession, ledger_id: int) -> list[Published]:
    """Return every published plan that took effect, the oldest first."""
    return list(published(session, ledger_id, "plan.publish"))[::-1]
