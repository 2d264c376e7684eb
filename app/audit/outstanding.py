"""What is still out tonight: goods that left the stores and have not come back, by place and role of who has them.

`outstanding` answers `GET /v1/outstanding`, the question of the night after the count (domain reference section 10,
A39). Out is what was delivered to a committee or a station and is not in one of the commission's stores again, and
whatever is on the way. A box in a load is where the load is: only outermost goods are counted, each once. Nothing here
guesses: a box that nobody scanned is out where it was accepted last.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from app.audit.inforce import need_election
from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import EVENT
from app.db import ReadSession
from app.keys._tables import KEY
from app.keys.grants import Viewer
from app.units._tables import PLACE, UNIT

OUT = ("delivered", "deployed", "opened", "closed", "returned")
"""Stages of goods that have left the stores."""
STORES = ("WH_KPU", "OFFICE", "EVIDENCE", "DESTRUCTION_SITE")
"""Kinds of places where goods of any stage are home again."""
MAX_LINES = 200
_LINE = (UNIT.c.place, UNIT.c.agency, UNIT.c.officer, UNIT.c.custody, UNIT.c.item, UNIT.c.lifecycle)


def outstanding(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    election: str | None = None, place: str | None = None, after: str | None = None, limit: int = 100,
) -> Answer:  # fmt: skip
    """Count what is out, place by place in the order of their ids.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        election: Goods of this election only, one of the policy in force.
        place: At this place or below it.
        after: The last place of the page before.
        limit: At most 200 places.

    Returns:
        `total` of everything that is out; `items`: a place each with `n`, the moment since when the first of its goods
        is there, and `lines` by role, officer, custody, item and stage; `next`, the place to go on after, or None.

    Raises:
        MissingError: `place` is none that the viewer sees, `election` none of the policy.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_LINES)
    conditions = _out(session, scope, election, place)
    total = session.execute(select(func.count()).select_from(UNIT).where(*conditions)).scalar_one()
    here = select(UNIT.c.place).where(*conditions).group_by(UNIT.c.place).order_by(UNIT.c.place)
    if after is not None:
        here = here.where(UNIT.c.place > after)
    places = list(session.execute(here.limit(limit + 1)).scalars())
    page = places[:limit]
    counted = (*_LINE, func.count(), func.min(UNIT.c.since_index))
    rows = session.execute(
        select(*counted).where(*conditions, UNIT.c.place.in_(page)).group_by(*_LINE).order_by(*_LINE)
    ).all()  # fmt: skip
    return {
        "election": election, "total": int(total), "items": _tell(session, ledger_id, page, rows),
        "next": page[-1] if len(places) > limit else None,
    }  # fmt: skip


def _out(
    session: ReadSession, scope: Scope, election: str | None, place: str | None
) -> Sequence[ColumnElement[bool]]:  # fmt: skip
    """Return the predicates over `unit` that outermost goods are out, and the viewer sees them."""
    home = select(PLACE.c.place).where(PLACE.c.ledger_id == scope.ledger_id, PLACE.c.kind.in_(STORES))
    away = and_(UNIT.c.lifecycle.in_(OUT), UNIT.c.place.not_in(home))
    live = UNIT.c.lifecycle.not_in(("destroyed", "voided"))
    found = [
        UNIT.c.ledger_id == scope.ledger_id, UNIT.c.parent.is_(None), live, or_(away, UNIT.c.custody != "held"),
        scope.unit_in(UNIT.c.unit),
    ]  # fmt: skip
    if election is not None:
        need_election(session, scope.ledger_id, election)  # "nothing is out" must not be the answer to a slip
        found.append(UNIT.c.election == election)
    if place is not None:
        found.append(UNIT.c.place.in_(subtree(session, scope, place)))
    return found


def _tell(session: ReadSession, ledger_id: int, page: Sequence[str], rows: Sequence[Any]) -> list[JsonValue]:
    places = Places.load(session, ledger_id, page)
    roles = _roles(session, ledger_id, (row[2] for row in rows))
    times = _times(session, ledger_id, (row[7] for row in rows))
    told: list[JsonValue] = []
    for place in page:
        lines = [row for row in rows if row[0] == place]
        first = min((times[row[7]] for row in lines if row[7] in times), default=None)
        told.append({
            "place": place, "place_name": places.name(place), "n": sum(row[6] for row in lines), "since": utc(first),
            "since_local": places.local(first, place), "lines": [_line(row, roles) for row in lines],
        })  # fmt: skip
    return told


def _line(row: Any, roles: dict[str, str]) -> Answer:
    _, agency, officer, custody, item, lifecycle, n, _ = row
    return {
        "role": roles.get(officer), "agency": agency, "officer": officer, "custody": custody, "item": item,
        "lifecycle": lifecycle, "n": n,
    }  # fmt: skip


def _roles(session: ReadSession, ledger_id: int, officers: Iterable[str]) -> dict[str, str]:
    """Return the role of each officer by the key that was enrolled last."""
    query = select(KEY.c.officer, KEY.c.role).where(
        KEY.c.ledger_id == ledger_id, KEY.c.officer.in_(sorted(set(officers)))
    )
    return {row[0]: row[1] for row in session.execute(query.order_by(KEY.c.enrolled_index))}


def _times(session: ReadSession, ledger_id: int, indexes: Iterable[int]) -> dict[int, int]:
    """Return when leaves came, UTC milliseconds, by index."""
    query = select(EVENT.c.leaf_index, EVENT.c.received_ms).where(
        EVENT.c.ledger_id == ledger_id, EVENT.c.leaf_index.in_(sorted(set(indexes)))
    )
    return {row[0]: row[1] for row in session.execute(query)}
