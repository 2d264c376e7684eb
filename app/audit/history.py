"""What happened to a unit, and to what contained it while it was inside, in ledger order.

`unit_history` answers `GET /v1/units/{id}/history`: one row per event, refused attempts among them, and one
row per gap: the time between a release and its answer, a handover past its time, goods reported missing or
received without a release. A gap is an interval with a cause; a later good scan never heals it silently
(domain reference section 8). With `size`, everything is told as it was known at that tree size.

The number of SQL statements does not depend on the length of the history or the depth of containment.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, case, literal, or_, select

from app.audit import handovers
from app.audit.events import Told, event_as_json, seen_times, told, told_events
from app.audit.gaps import END, Found, Gap, Window, gaps_of, took_effect
from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope
from app.audit.units import Standing, look_up
from app.canon import JsonValue
from app.custody._tables import EVENT, EVENT_UNIT, HANDOVER
from app.custody.state import Handover
from app.db import Int, ReadSession, Str
from app.keys.grants import Viewer
from app.units._tables import CONTAINMENT, UNIT

MAX_ROWS = 1000
DECIDES = frozenset({"verdict", "decision"})
_HANDOVER: tuple[ColumnElement[Any], ...] = tuple(
    HANDOVER.c[field.name].label(f"h_{field.name}") for field in fields(Handover)
)


# -- queries, made once: making one costs more than asking it -----------------------------------------------

_LEDGER: BindParameter[int] = bindparam("ledger", type_=Int)


def _windows_query() -> Select[Any]:
    itself = select(
        UNIT.c.unit, literal(-1, Int).label("since"), literal(END, Int).label("until"), literal(0, Int).label("depth")
    ).where(UNIT.c.ledger_id == _LEDGER, UNIT.c.unit == bindparam("unit", type_=Str))
    start, inside = itself.cte("windows", recursive=True), CONTAINMENT
    known: BindParameter[int] = bindparam("known", type_=Int)
    until = case((inside.c.until_index < known, inside.c.until_index), else_=literal(END, Int))
    windows = start.union_all(
        select(
            inside.c.parent,
            case((inside.c.since_index > start.c.since, inside.c.since_index), else_=start.c.since),
            case((until < start.c.until, until), else_=start.c.until),
            start.c.depth + 1,
        ).where(
            inside.c.ledger_id == _LEDGER, inside.c.child == start.c.unit, inside.c.since_index < known,
            inside.c.since_index < start.c.until, until > start.c.since,
        )
    )  # fmt: skip
    return select(windows).order_by(windows.c.depth, windows.c.since)


def _told_query() -> Select[Any]:
    indexes = select(EVENT_UNIT.c.leaf_index).where(_NAMING)
    handover = and_(HANDOVER.c.ledger_id == _LEDGER, HANDOVER.c.release == EVENT.c.hash)
    return told_events(_LEDGER, *_HANDOVER).outerjoin(HANDOVER, handover).where(EVENT.c.leaf_index.in_(indexes))


_WINDOWS = _windows_query()
# The key of `event_unit` begins with the unit, so this finds the rows; a range over the ledger would walk it.
_NAMING = and_(EVENT_UNIT.c.ledger_id == _LEDGER, EVENT_UNIT.c.unit.in_(bindparam("units", expanding=True)))
_NAMED = select(EVENT_UNIT.c.unit, EVENT_UNIT.c.leaf_index, EVENT_UNIT.c.seq).where(_NAMING)
_TOLD = _told_query()


def unit_history(
    session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *,
    size: int | None = None, after: int | None = None, limit: int = MAX_ROWS,
) -> Answer:  # fmt: skip
    """Return the history of a unit.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        named: Unit id, label or foreign code, as typed.
        size: Tell it as known at this tree size; as of now when absent.
        after: The last index of the page before.
        limit: At most 1000 events a page; gaps stand with the event that began them.

    Returns:
        `unit`, `size`, `items` (rows of `kind` `event` or `gap`), `open_gaps` of the whole history, `next`.

    Raises:
        MalformedError: `label_checksum`.
        MissingError: No such unit for this viewer; `label_retired` with `successor`.
    """
    scope = Scope.of(session, ledger_id, viewer)
    standing = look_up(session, scope, named)
    known = END if size is None else size
    windows = _windows(session, ledger_id, standing.unit.unit, known)
    found = _events(session, ledger_id, standing, windows, known)
    gaps = sorted(gaps_of(session, ledger_id, windows, found, known), key=lambda gap: (gap.since, gap.kind))
    first = after if after is not None else -1
    page = [f for f in found if f.event.ref.leaf_index > first][: min(limit, MAX_ROWS)]
    last = page[-1].event.ref.leaf_index if page else first
    more = bool(found) and found[-1].event.ref.leaf_index > last
    shown = [gap for gap in gaps if first < gap.since and (gap.since <= last or not more)]
    return {
        "unit": standing.unit.unit, "size": size, "items": _rows(session, ledger_id, found, page, shown, size),
        "open_gaps": sum(gap.until is None for gap in gaps), "next": last if more else None,
    }  # fmt: skip


# -- events ----------------------------------------------------------------------------------------------


def _windows(session: ReadSession, ledger_id: int, unit: str, known: int) -> list[Window]:
    """Return the unit and every container with the intervals in which it lay inside, the unit itself first."""
    return [Window(*row) for row in session.execute(_WINDOWS, {"ledger": ledger_id, "unit": unit, "known": known})]


def _events(session: ReadSession, ledger_id: int, standing: Standing, windows: list[Window], known: int) -> list[Found]:
    """Return the events of the history in ledger order, each once, through the innermost container."""
    reach = _through(session, ledger_id, windows, known)
    found: dict[int, Found] = {}
    for row in session.execute(_TOLD, _named_in(ledger_id, windows)):
        event = told(row)
        if event.ref.leaf_index in reach:
            via, seq = reach[event.ref.leaf_index]
            found[event.ref.leaf_index] = Found(event, via, seq, _handover(row))
    reached = _reached(found.values())
    for event in _more(session, ledger_id, standing, [one.event for one in found.values()], known):
        via = reached.get(event.ref.hash, reached.get(event.ref.leaf_index))
        found.setdefault(event.ref.leaf_index, Found(event, via, None, None))
    return [found[index] for index in sorted(found)]


def _named_in(ledger_id: int, windows: list[Window]) -> dict[str, Any]:
    """Return the parameters of `_NAMING`: the unit and all that ever contained it."""
    return {"ledger": ledger_id, "units": sorted({window.unit for window in windows})}


def _through(
    session: ReadSession, ledger_id: int, windows: list[Window], known: int
) -> dict[int, tuple[str | None, int | None]]:
    """Return by leaf index the innermost container through which it reached the unit, or its place in the chain."""
    named: dict[str, list[tuple[int, int | None]]] = {}
    for unit, index, seq in session.execute(_NAMED, _named_in(ledger_id, windows)):
        named.setdefault(unit, []).append((index, seq))
    reach: dict[int, tuple[str | None, int | None]] = {}
    for window in windows:
        for index, seq in named.get(window.unit, ()):
            if window.holds(index, known):
                reach.setdefault(index, (window.unit, None) if window.depth else (None, seq))
    return reach


def _reached(events: Iterable[Found]) -> dict[str | int | None, str | None]:
    """Return through which container a decided event (by hash) and a retraction (by index) reached the unit."""
    found: dict[str | int | None, str | None] = {}
    for one in events:
        if one.event.ref.type in DECIDES:
            found[one.event.details["event"]] = one.via
        found[one.event.ref.retracted_index] = one.via
    return found


def _handover(row: Any) -> Handover | None:
    return handovers.handover(row[-len(_HANDOVER) :]) if row.h_release is not None else None


def _more(
    session: ReadSession, ledger_id: int, standing: Standing, events: Sequence[Told], known: int
) -> Iterator[Told]:
    """Yield what belongs to the history without naming the unit.

    The event that a verdict decided, the retraction that marked an event, and what named the unit by another
    label of it.
    """
    hashes = {event.details["event"] for event in events if event.ref.type in DECIDES}
    marks = {event.ref.retracted_index for event in events if event.ref.retracted_index is not None}
    labels = _other_labels(standing, events)
    if not (hashes or marks or labels):
        return
    by_label = select(EVENT_UNIT.c.leaf_index).where(
        EVENT_UNIT.c.ledger_id == ledger_id, EVENT_UNIT.c.unit.in_(sorted(labels))
    )
    wanted = (
        (hashes, EVENT.c.hash.in_(sorted(hashes))),
        (marks, EVENT.c.leaf_index.in_(sorted(marks))),
        (labels, EVENT.c.leaf_index.in_(by_label)),
    )
    for row in session.execute(told_events(ledger_id).where(or_(*(condition for any_, condition in wanted if any_)))):
        event = told(row)
        if event.ref.leaf_index < known:
            yield event


def _other_labels(standing: Standing, events: Iterable[Told]) -> set[str]:
    """Return the labels that were printed for the unit after its first."""
    lines = [
        line
        for event in events
        if event.ref.type == "unit.commission" and event.ref.result == "accepted"
        for line in event.details["lines"]
        if line["act"] == "reprint"
    ]
    known = {standing.unit.unit}
    for line in lines:
        if line["of"] in known:
            known.add(line["unit"])
    return known - {standing.unit.unit}


# -- rows ------------------------------------------------------------------------------------------------


def _rows(
    session: ReadSession, ledger_id: int, found: Sequence[Found], page: Sequence[Found], gaps: Sequence[Gap],
    size: int | None,
) -> list[JsonValue]:  # fmt: skip
    """Tell a page: events in ledger order, each gap after the event that began it."""
    places = Places.load(session, ledger_id, (one.event.ref.place for one in found))
    seen = seen_times(session, ledger_id, (one.event for one in page))
    corrected = _corrections(found, END if size is None else size)
    by_index = {one.event.ref.leaf_index: one.event for one in found}
    keyed: list[tuple[tuple[int, int], JsonValue]] = [
        ((one.event.ref.leaf_index, 0), {
            "kind": "event", **event_as_json(one.event, places, seen, size=size), "via": one.via, "seq": one.seq,
            "corrected": list(corrected.get(one.event.ref.hash, ())),
        })
        for one in page
    ]  # fmt: skip
    keyed += [((gap.since, 1), _gap_as_json(gap, by_index, places)) for gap in gaps]
    return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]


def _corrections(found: Iterable[Found], known: int) -> dict[str, list[str]]:
    """Return the hashes of the accepted corrections by what they correct."""
    corrected: dict[str, list[str]] = {}
    for one in found:
        if one.event.ref.type == "correction" and took_effect(one.event, known):
            corrected.setdefault(one.event.details["target"], []).append(one.event.ref.hash)
    return corrected


def _gap_as_json(gap: Gap, events: dict[int, Told], places: Places) -> Answer:
    return {
        "kind": "gap", "gap": gap.kind, "cause": gap.cause, "from": _edge(gap.since, events, places),
        "to": _edge(gap.until, events, places), "via": gap.via, "handover": gap.handover, "ended_by": gap.ended_by,
    }  # fmt: skip


def _edge(index: int | None, events: dict[int, Told], places: Places) -> JsonValue:
    """Tell one end of a gap: the leaf, and the time at which we learned of it."""
    if index is None:
        return None
    event = events.get(index)
    if event is None:
        return {"index": index, "event": None, "at": None, "local": None}
    ref = event.ref
    at, local = utc(ref.received_ms), places.local(ref.received_ms, ref.place)
    return {"index": index, "event": ref.hash, "at": at, "local": local}
