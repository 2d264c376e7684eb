"""Recorded events as the auditor reads them: what was claimed, when it can be proven, what became of it.

`list_events` answers `GET /v1/events`, `one_event` gives a single event with its receipt. The history of a
unit (`app.audit.history`) tells its rows with the same words. Everything is read from the index over the
leaves and from the leaves themselves; `custody fsck` proves that the two agree.

The provable time of an event is the interval between the tree that its phone had seen and our receipt. `from`
is None when the phone had seen nothing, or cites a tree that this ledger never had.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import orjson
from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, select

from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope, subtree
from app.canon import JsonValue, b64url_decode, b64url_encode
from app.custody._tables import EVENT, EVENT_UNIT, OUTCOME
from app.custody.record import receipt_of
from app.custody.state import EventRef
from app.db import Int, ReadSession
from app.errors import MissingError
from app.keys.grants import Viewer
from app.ledger._tables import CHECKPOINT, LEAF
from app.ledger.append import Reader
from app.ledger.proof import TlogProof
from app.ledger.tree import inclusion_path
from app.ledger.witnessed import cosigned_note, first_witnessed_from
from app.units._tables import UNIT

MAX_EVENTS = 200
HASH_LENGTH = 43
NAMES_PER_STATEMENT = 10_000

_OWN = {"outcome", "outcome_index", "retracted_index"}
REF_COLUMNS: tuple[ColumnElement[Any], ...] = tuple(
    (OUTCOME if field.name in _OWN else EVENT).c[field.name] for field in fields(EventRef)
)

_LEDGER: BindParameter[int] = bindparam("ledger", type_=Int)
_STOOD = (
    select(CHECKPOINT.c.size, CHECKPOINT.c.root, EVENT.c.received_ms)
    .join(EVENT, and_(EVENT.c.ledger_id == _LEDGER, EVENT.c.leaf_index == CHECKPOINT.c.size - 1))
    .where(CHECKPOINT.c.ledger_id == _LEDGER, CHECKPOINT.c.size.in_(bindparam("sizes", expanding=True)))
)


@dataclass(frozen=True)
class Told:
    """One recorded event and its leaf."""

    ref: EventRef
    leaf: bytes

    @cached_property
    def record(self) -> dict[str, Any]:
        """The leaf's members."""
        value: dict[str, Any] = orjson.loads(self.leaf)
        return value

    @cached_property
    def body(self) -> dict[str, Any]:
        """The payload's members, as the author signed them."""
        value: dict[str, Any] = orjson.loads(b64url_decode(self.record["event"]["payload"]))
        return value

    @property
    def details(self) -> dict[str, Any]:
        """What the event says in the words of its type."""
        value: dict[str, Any] = self.body["details"]
        return value

    @property
    def cited(self) -> tuple[int, str]:
        """Size and root of the last checkpoint that the phone says it had seen."""
        return self.body["checkpoint"]["size"], self.body["checkpoint"]["root"]

    @property
    def about(self) -> str | None:
        """The event that this one answers, decides, corrects or retracts, by hash."""
        named = (self.details.get(name) for name in ("release", "event", "target"))
        return next((name for name in named if isinstance(name, str) and len(name) == HASH_LENGTH), None)

    @property
    def units(self) -> list[str]:
        """Every unit that the event names or moved, each once."""
        links = (link["unit"] for link in self.record["links"])
        return list(dict.fromkeys([*self.body.get("units", ()), *links]))


def told_events(ledger_id: int | BindParameter[int], *more: ColumnElement[Any]) -> Select[Any]:
    """Return the query for events with outcome and leaf, and more columns after these."""
    outcome = and_(OUTCOME.c.ledger_id == EVENT.c.ledger_id, OUTCOME.c.hash == EVENT.c.hash)
    leaf = and_(LEAF.c.ledger_id == EVENT.c.ledger_id, LEAF.c.leaf_index == EVENT.c.leaf_index)
    return (
        select(*REF_COLUMNS, LEAF.c.leaf, *more)
        .select_from(EVENT)
        .join(LEAF, leaf)
        .outerjoin(OUTCOME, outcome)
        .where(EVENT.c.ledger_id == ledger_id)
    )


def told(row: Sequence[Any]) -> Told:
    """Make an event of a row of `told_events`."""
    width = len(REF_COLUMNS)
    return Told(EventRef(*row[:width]), bytes(row[width]))


def seen_times(session: ReadSession, ledger_id: int, events: Iterable[Told]) -> dict[tuple[int, str], int]:
    """Return when each cited tree stood, UTC milliseconds; a tree that this ledger never published is absent."""
    sizes = sorted({event.cited[0] for event in events} - {0})
    found: dict[tuple[int, str], int] = {}
    for start in range(0, len(sizes), NAMES_PER_STATEMENT):
        part = sizes[start : start + NAMES_PER_STATEMENT]
        rows = session.execute(_STOOD, {"ledger": ledger_id, "sizes": part})
        found.update({(size, b64url_encode(bytes(root))): received for size, root, received in rows})
    return found


def event_as_json(
    event: Told, places: Places, seen: dict[tuple[int, str], int], *, size: int | None = None
) -> dict[str, JsonValue]:
    """Return what every answer says of an event.

    Args:
        event: The event.
        places: Names and zones of at least its place.
        seen: When the trees that phones cite stood (`seen_times`).
        size: Leave out what was learned at this tree size or later.
    """
    ref = event.ref
    decided = ref.outcome_index is not None and (size is None or ref.outcome_index < size)
    retracted = ref.retracted_index is not None and (size is None or ref.retracted_index < size)
    return {
        "index": ref.leaf_index, "event": ref.hash, "event_id": ref.event_id, "type": ref.type, "result": ref.result,
        "code": ref.code, "agency": ref.agency, "officer": ref.officer, "author": ref.author, "about": event.about,
        "election": ref.election, "place": ref.place, "place_name": places.name(ref.place),
        "claimed_at": utc(ref.at_ms), "claimed_local": places.local(ref.at_ms, ref.place),
        "received_at": utc(ref.received_ms), "received_local": places.local(ref.received_ms, ref.place),
        "provable": {"from": utc(seen.get(event.cited)), "to": utc(ref.received_ms)},
        "outcome": {"result": ref.outcome, "index": ref.outcome_index} if decided else None,
        "retracted": ref.retracted_index if retracted else None,
    }  # fmt: skip


def list_events(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    unit: str | None = None, place: str | None = None, agency: str | None = None, officer: str | None = None,
    type_: str | None = None, result: str | None = None, from_ms: int | None = None, until_ms: int | None = None,
    clock: Literal["claimed", "received"] = "claimed", after: int | None = None, limit: int = 50,
) -> Answer:  # fmt: skip
    """List the events that the viewer sees, in ledger order.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        unit: Canonical unit id or label: events that name or moved it.
        place: At this place or below it.
        agency: By this agency.
        officer: By this officer (pseudonym).
        type_: Of this type.
        result: `accepted`, `refused`, `pending` or `held`, as first judged.
        from_ms: At or after this instant, UTC milliseconds.
        until_ms: Before this instant.
        clock: Whether the instants are compared with the device's word or with our receipt.
        after: The last index of the page before.
        limit: At most 200.

    Returns:
        `items` and `next`, the index to go on after, or None.

    Raises:
        MissingError: `place` is none that the viewer sees.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_EVENTS)
    query = told_events(ledger_id).where(scope.event_in()).order_by(EVENT.c.leaf_index)
    equal = {"agency": agency, "officer": officer, "type": type_, "result": result}
    for name, value in equal.items():
        query = query.where(EVENT.c[name] == value) if value is not None else query
    moment = EVENT.c.at_ms if clock == "claimed" else EVENT.c.received_ms
    query = query.where(moment >= from_ms) if from_ms is not None else query
    query = query.where(moment < until_ms) if until_ms is not None else query
    query = query.where(EVENT.c.leaf_index > after) if after is not None else query
    if unit is not None:
        named = select(EVENT_UNIT.c.leaf_index).where(EVENT_UNIT.c.ledger_id == ledger_id, EVENT_UNIT.c.unit == unit)
        query = query.where(EVENT.c.leaf_index.in_(named))
    if place is not None:
        query = query.where(EVENT.c.place.in_(subtree(session, scope, place)))
    events = [told(row) for row in session.execute(query.limit(limit + 1))]
    following = events[limit - 1].ref.leaf_index if len(events) > limit else None
    return {"items": _with_units(session, scope, events[:limit]), "next": following}


def _with_units(session: ReadSession, scope: Scope, events: list[Told]) -> list[JsonValue]:
    """Tell events with those of their units that the viewer sees."""
    places = Places.load(session, scope.ledger_id, (event.ref.place for event in events))
    seen = seen_times(session, scope.ledger_id, events)
    units = visible_units(session, scope, (unit for event in events for unit in event.units))
    return [
        {**event_as_json(event, places, seen), "units": [unit for unit in event.units if unit in units]}
        for event in events
    ]


def visible_units(session: ReadSession, scope: Scope, units: Iterable[str]) -> frozenset[str]:
    """Return those of the named units that the viewer sees; what is no unit of the ledger only for who sees all."""
    named = sorted(set(units))
    if scope.everything:
        return frozenset(named)
    found: set[str] = set()
    for start in range(0, len(named), NAMES_PER_STATEMENT):
        part = UNIT.c.unit.in_(named[start : start + NAMES_PER_STATEMENT])
        found.update(
            session.execute(
                select(UNIT.c.unit).where(UNIT.c.ledger_id == scope.ledger_id, part, scope.unit_in(UNIT.c.unit))
            ).scalars()
        )
    return frozenset(found)


def one_event(
    session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *, reader: Reader, origin: str
) -> Answer:
    """Return one event with its receipt; auditors get the signed envelope as it was received, too.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        named: The event's hash, or its `event_id`; of several authors' events under one id, the first.
        reader: The ledger's reader, for the proof.
        origin: The ledger's origin, for the receipt.

    Raises:
        MissingError: There is no such event for this viewer.
    """
    scope = Scope.of(session, ledger_id, viewer)
    column = EVENT.c.hash if len(named) == HASH_LENGTH else EVENT.c.event_id
    query = told_events(ledger_id).where(column == named, scope.event_in()).order_by(EVENT.c.leaf_index).limit(1)
    row = session.execute(query).first()
    if row is None:
        raise MissingError("There is no such event.", event=named[:64])
    event = told(row)
    answer: Answer = dict(_with_units(session, scope, [event])[0])  # type: ignore[arg-type]
    answer["receipt"] = receipt_of(session, reader, origin, event.ref, witnessed=True).as_json()
    answer["jws"] = event.record["event"] if viewer.all_agencies else None
    return answer


def event_proof(session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *, reader: Reader) -> bytes:
    """Return the `.tlog-proof` of one event: under the first checkpoint that met the trust policy, else the first.

    Raises:
        MissingError: There is no such event for this viewer.
    """
    scope = Scope.of(session, ledger_id, viewer)
    column = EVENT.c.hash if len(named) == HASH_LENGTH else EVENT.c.event_id
    query = select(EVENT.c.leaf_index).where(EVENT.c.ledger_id == ledger_id, column == named, scope.event_in())
    index = session.execute(query.order_by(EVENT.c.leaf_index).limit(1)).scalar()
    size = first_witnessed_from(session, ledger_id, int(index) + 1) if index is not None else None
    found = (size, b"") if size is not None else reader.checkpoint_from(session, int(index or 0) + 1)
    if index is None or found is None:
        raise MissingError("There is no such event.", event=named[:64])
    note = cosigned_note(session, ledger_id, found[0])
    path = inclusion_path(int(index), found[0], reader.nodes(session).node)
    return TlogProof(int(index), tuple(path), note).to_bytes()
