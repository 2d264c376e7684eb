"""Places as the policy in force has them, and moments told in their zones.

`list_places` and `one_place` answer `GET /v1/places`; `Places` gives the other files of this room names and
local times. A moment is told twice: in UTC, and, where a place is known, in that place's own zone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import RowMapping, bindparam, select

from app.audit.moments import local_time, utc
from app.audit.scope import Scope, below, subtree
from app.canon import JsonValue
from app.db import Int, ReadSession
from app.errors import MissingError
from app.keys.grants import Viewer
from app.units._tables import PLACE

__all__ = ["Answer", "Places", "list_places", "one_place", "utc"]
Answer = dict[str, JsonValue]
MAX_PLACES = 500
MAX_CHILDREN = 2000
_NAMES = select(PLACE.c.place, PLACE.c.name, PLACE.c.zone).where(
    PLACE.c.ledger_id == bindparam("ledger", type_=Int), PLACE.c.place.in_(bindparam("places", expanding=True))
)


@dataclass(frozen=True, slots=True)
class Places:
    """Names and zones of the places that an answer speaks of."""

    known: Mapping[str, tuple[str, str]]

    @classmethod
    def load(cls, session: ReadSession, ledger_id: int, places: Iterable[str | None]) -> "Places":
        """Load the places among these ids, in one statement."""
        named = sorted({place for place in places if place is not None})
        rows = session.execute(_NAMES, {"ledger": ledger_id, "places": named})
        return cls({place: (name, zone) for place, name, zone in rows})

    def name(self, place: str | None) -> str | None:
        """Return a place's name, None for one that the policy does not know."""
        return self.known[place][0] if place is not None and place in self.known else None

    def zone(self, place: str | None) -> str | None:
        """Return a place's zone, None for one that the policy does not know."""
        return self.known[place][1] if place is not None and place in self.known else None

    def local(self, ms: int | None, place: str | None) -> str | None:
        """Write an instant in a place's zone with its offset; None when either is unknown."""
        if ms is None or place is None or place not in self.known:
            return None
        return local_time(ms, self.known[place][1])


def list_places(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    kind: str | None = None, below_place: str | None = None, after: str | None = None, limit: int = 200,
) -> Answer:  # fmt: skip
    """List the places of the viewer's subtree in order of their ids.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        kind: Of this kind only.
        below_place: In the subtree of this place only, itself included.
        after: The last id of the page before.
        limit: At most 500.

    Returns:
        `items` and `next`, the cursor of the page that follows, or None.

    Raises:
        MissingError: `below_place` is none that the viewer sees.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_PLACES)
    query = select(PLACE).where(PLACE.c.ledger_id == ledger_id, below(scope.path)).order_by(PLACE.c.place)
    if kind is not None:
        query = query.where(PLACE.c.kind == kind)
    if below_place is not None:
        query = query.where(PLACE.c.place.in_(subtree(session, scope, below_place)))
    if after is not None:
        query = query.where(PLACE.c.place > after)
    rows = list(session.execute(query.limit(limit + 1)).mappings())
    page: list[JsonValue] = [_as_json(row) for row in rows[:limit]]
    return {"items": page, "next": rows[limit - 1]["place"] if len(rows) > limit else None}


def one_place(session: ReadSession, ledger_id: int, viewer: Viewer, place: str) -> Answer:
    """Return a place with the places above it, as far as the viewer sees them, and its direct children.

    Raises:
        MissingError: There is no such place for this viewer.
    """
    scope = Scope.of(session, ledger_id, viewer)
    seen = select(PLACE).where(PLACE.c.ledger_id == ledger_id, below(scope.path))
    row = session.execute(seen.where(PLACE.c.place == place)).mappings().first()
    if row is None:
        raise MissingError("There is no such place.", place=place)
    above = [name for name in row["path"].split("/")[:-2] if name]
    rows = {r["place"]: r for r in session.execute(seen.where(PLACE.c.place.in_(above))).mappings()}
    children = session.execute(
        seen.where(PLACE.c.parent == place).order_by(PLACE.c.place).limit(MAX_CHILDREN)
    ).mappings()
    return {
        **_as_json(row),
        "above": [{"place": name, "name": rows[name]["name"]} for name in above if name in rows],
        "children": [_as_json(child) for child in children],
    }


def _as_json(row: RowMapping) -> Answer:
    return {
        "place": row["place"], "name": row["name"], "kind": row["kind"], "parent": row["parent"], "zone": row["zone"],
        "region": row["region"], "registered": bool(row["registered"]),
    }  # fmt: skip
