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
from typing import Any, Literal, Protocol

import orjson
from sqlalchemy import ColumnElement, Select, and_, select

from app.audit.gathered import HASH_LENGTH, body_of, pointed_to
from app.audit.moments import local_time, utc
from app.audit.places import Answer, Places
from app.audit.scope import Scope, subtree
from app.canon import JsonValue, b64url_encode
from app.custody._tables import EVENT, EVENT_UNIT, OUTCOME
from app.custody.record import receipt_of
from app.custody.state import EventRef
from app.db import ReadSession
from app.errors import MissingError
from app.keys.grants import Viewer
from app.ledger._tables import LEAF
from app.ledger.append import Reader
from app.ledger.proof import TlogProof
from app.ledger.tree import inclusion_path
from app.ledger.witnessed import cosigned_note, first_witnessed_from
from app.rows import among, run
from app.units._tables import UNIT

MAX_EVENTS = 200
NAMES_PER_STATEMENT = 10_000
Cited = tuple[int, str]
"""Size and root of a checkpoint that a phone says it had seen."""

_OWN = {"outcome", "outcome_index", "retracted_index"}
REF_COLUMNS: tuple[ColumnElement[Any], ...] = tuple(
    (OUTCOME if field.name in _OWN else EVENT).c[field.name] for field in fields(EventRef)
)

_STOOD = (
    "SELECT c.size, c.root, e.received_ms FROM ledger_checkpoint c CROSS JOIN event e "
    "WHERE c.ledger_id = ? AND {} AND e.ledger_id = ? AND e.leaf_index = c.size - 1"
)


class Recorded(Protocol):
    """What every answer says of an event, as its columns have it: an `EventRef`, or a row of a timeline."""

    @property
    def hash(self) -> str: ...  # noqa: D102 - as `EventRef`, and so the others
    @property
    def leaf_index(self) -> int: ...  # noqa: D102
    @property
    def event_id(self) -> str: ...  # noqa: D102
    @property
    def author(self) -> str: ...  # noqa: D102
    @property
    def officer(self) -> str: ...  # noqa: D102
    @property
    def agency(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def election(self) -> str: ...  # noqa: D102
    @property
    def place(self) -> str: ...  # noqa: D102
    @property
    def at_ms(self) -> int: ...  # noqa: D102
    @property
    def received_ms(self) -> int: ...  # noqa: D102
    @property
    def result(self) -> str: ...  # noqa: D102
    @property
    def code(self) -> str: ...  # noqa: D102
    @property
    def outcome(self) -> str | None: ...  # noqa: D102
    @property
    def outcome_index(self) -> int | None: ...  # noqa: D102
    @property
    def retracted_index(self) -> int | None: ...  # noqa: D102


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
        return body_of(self.leaf)

    @property
    def details(self) -> dict[str, Any]:
        """What the event says in the words of its type."""
        value: dict[str, Any] = self.body["details"]
        return value

    @property
    def cited(self) -> Cited:
        """Size and root of the last checkpoint that the phone says it had seen."""
        return self.body["checkpoint"]["size"], self.body["checkpoint"]["root"]

    @property
    def about(self) -> str | None:
        """The event that this one answers, decides, corrects or retracts, by hash."""
        return pointed_to(self.body)

    @property
    def units(self) -> list[str]:
        """Every unit that the event names or moved, each once."""
        links = (link["unit"] for link in self.record["links"])
        return list(dict.fromkeys([*self.body.get("units", ()), *links]))


def told_events(ledger_id: int) -> Select[Any]:
    """Return the query for events with outcome and leaf."""
    outcome = and_(OUTCOME.c.ledger_id == EVENT.c.ledger_id, OUTCOME.c.hash == EVENT.c.hash)
    leaf = and_(LEAF.c.ledger_id == EVENT.c.ledger_id, LEAF.c.leaf_index == EVENT.c.leaf_index)
    return (
        select(*REF_COLUMNS, LEAF.c.leaf)
        .select_from(EVENT)
        .join(LEAF, leaf)
        .outerjoin(OUTCOME, outcome)
        .where(EVENT.c.ledger_id == ledger_id)
    )


def told(row: Sequence[Any]) -> Told:
    """Make an event of a row of `told_events`."""
    width = len(REF_COLUMNS)
    return Told(EventRef(*row[:width]), bytes(row[width]))


def seen_times(session: ReadSession, ledger_id: int, cited: Iterable[Cited]) -> dict[Cited, str | None]:
    """Return when each cited tree stood, in UTC; a tree that this ledger never published is absent.

    One statement, or none when no phone had seen anything.
    """
    sizes = sorted({size for size, _ in cited} - {0})
    if not sizes:
        return {}
    condition, wanted = among(session, "c.size", sizes)
    rows = run(session, _STOOD.format(condition), ledger_id, wanted, ledger_id)
    return {(size, b64url_encode(bytes(root))): utc(received) for size, root, received in rows}


def event_words(
    ref: Recorded, about: str | None, seen: str | None, place_name: str | None, zone: str | None, size: int | None
) -> dict[str, JsonValue]:
    """Return what every answer says of an event.

    Args:
        ref: The event.
        about: The event that it points to, by hash.
        seen: When the tree stood that its phone cites, as told.
        place_name: Its place's name, if the policy knows it.
        zone: Its place's zone, likewise.
        size: Leave out what was learned at this tree size or later.
    """
    decided = ref.outcome_index is not None and (size is None or ref.outcome_index < size)
    retracted = ref.retracted_index is not None and (size is None or ref.retracted_index < size)
    at_ms, received_ms = ref.at_ms, ref.received_ms
    received = utc(received_ms)
    return {
        "index": ref.leaf_index, "event": ref.hash, "event_id": ref.event_id, "type": ref.type, "result": ref.result,
        "code": ref.code, "agency": ref.agency, "officer": ref.officer, "author": ref.author, "about": about,
        "election": ref.election, "place": ref.place, "place_name": place_name,
        "claimed_at": utc(at_ms), "claimed_local": local_time(at_ms, zone) if zone is not None else None,
        "received_at": received, "received_local": local_time(received_ms, zone) if zone is not None else None,
        "provable": {"from": seen, "to": received},
        "outcome": {"result": ref.outcome, "index": ref.outcome_index} if decided else None,
        "retracted": ref.retracted_index if retracted else None,
    }  # fmt: skip


def event_as_json(event: Told, places: Places, seen: dict[Cited, str | None]) -> dict[str, JsonValue]:
    """Return what a list of events says of one.

    Args:
        event: The event.
        places: Names and zones of at least its place.
        seen: When the trees that phones cite stood (`seen_times`).
    """
    place = event.ref.place
    return event_words(event.ref, event.about, seen.get(event.cited), places.name(place), places.zone(place), None)


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
    seen = seen_times(session, scope.ledger_id, (event.cited for event in events))
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
