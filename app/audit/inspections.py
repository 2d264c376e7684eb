"""Inspections as they are asked for: what was frozen, which sample was drawn, what was found, what that says.

`list_inspections` answers `GET /v1/inspections`, `one_inspection` one of them, `inspection_sample` everything that
somebody else needs to draw its sample again. What the opener and the closer stated stands beside what the ledger gives,
with `agrees`. While an inspection is only planned, nothing here tells its place: nobody has told it to this service.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, select

from app.audit.conclusion import States, statement, states_of
from app.audit.drawing import Drawn, drawn, inventory_of
from app.audit.events import visible_units
from app.audit.gathered import body_of
from app.audit.inventory import commitment
from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope, subtree
from app.canon import JsonValue
from app.custody._tables import EVENT, INSPECTION
from app.custody.state import Inspection
from app.db import ReadSession
from app.errors import ConflictError, MissingError
from app.keys._tables import KEY
from app.keys.grants import Viewer
from app.ledger._tables import LEAF

MAX_INSPECTIONS = 200
COLUMNS: tuple[ColumnElement[Any], ...] = tuple(INSPECTION.c[field.name] for field in fields(Inspection))
Status = Literal["planned", "open", "closed"]
KIND_WORDS = {"full": "pemeriksaan menyeluruh", "routine": "pemeriksaan rutin", "surprise": "sidak"}
STATUS_WORDS = {"planned": "direncanakan, tempat dirahasiakan", "open": "berlangsung", "closed": "selesai"}


def list_inspections(
    session: ReadSession, ledger_id: int, viewer: Viewer, *,
    place: str | None = None, status: Status | None = None, kind: str | None = None, after: int | None = None,
    limit: int = 50,
) -> Answer:  # fmt: skip
    """List the inspections that the viewer sees, in the order in which they were planned or opened.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        place: At this place or one below it; a plan, whose place nobody knows, is none of these.
        status: In this state.
        kind: `full`, `routine` or `surprise`.
        after: The last index of the page before.
        limit: At most 200.

    Returns:
        `items` and `next`, the index to go on after, or None.

    Raises:
        MissingError: `place` is none that the viewer sees.
    """
    scope, limit = Scope.of(session, ledger_id, viewer), min(limit, MAX_INSPECTIONS)
    query = select(*COLUMNS).where(INSPECTION.c.ledger_id == ledger_id, scope.inspection_in())
    for name, value in {"status": status, "kind": kind}.items():
        query = query.where(INSPECTION.c[name] == value) if value is not None else query
    if place is not None:
        query = query.where(
            INSPECTION.c.place.in_(subtree(session, scope, place)), INSPECTION.c.status != "planned"
        )  # fmt: skip
    if after is not None:
        query = query.where(INSPECTION.c.leaf_index > after)
    found = [_inspection(row) for row in session.execute(query.order_by(INSPECTION.c.leaf_index).limit(limit + 1))]
    page = found[:limit]
    places = Places.load(session, ledger_id, (one.place for one in page))
    items: list[JsonValue] = [_as_json(one, places) for one in page]
    return {"items": items, "next": page[-1].leaf_index if len(found) > limit else None}


def one_inspection(
    session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *, witnesses: bool
) -> Answer:  # fmt: skip
    """Return one inspection: its freeze, its sample, how far it has come, what it says, and who signed what.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        named: The hash of the event that began it.
        witnesses: Whether this ledger has a policy of witnesses.

    Returns:
        As the list tells it, and `freeze`, `sample`, `progress`, `statement`, `close`, `events`. `sample.state` is
        `not_drawn` while there is no seed; then nothing is said of the whole.

    Raises:
        MissingError: There is no such inspection for this viewer.
        TamperError: The leaves do not replay.
    """
    scope, found = _look_up(session, ledger_id, viewer, named)
    places = Places.load(session, ledger_id, (found.place,))
    told = _as_json(found, places)
    told["freeze"] = _freeze(found, inventory_of(session, ledger_id, found), places)
    told["events"] = _events(session, ledger_id, found.events)
    try:
        sample = drawn(session, ledger_id, found, witnesses=witnesses)
    except ConflictError as error:
        awaits: Any = error.facts["awaits"]
        return {**told, "sample": {"state": "not_drawn", "awaits": awaits}, "progress": None, "statement": None}
    states = states_of(found, sample.units)
    return {
        **told, "sample": _sample(found, sample, _shown(session, scope, found, states)), "progress": states.counts(),
        "statement": statement(found.confidence, found.rate, len(sample.inventory), states),
    }  # fmt: skip


def inspection_sample(
    session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *, witnesses: bool
) -> Answer:  # fmt: skip
    """Return everything that a sample follows from, for `custody sample` or anybody else to draw it again.

    Args:
        session: As `one_inspection`, and so the others.
        ledger_id: The ledger.
        viewer: Who asks.
        named: The inspection.
        witnesses: See there.

    Returns:
        `seed` with its checkpoint, `kind`, `confidence`, `rate`, `inventory` and `sample`, each with `n`, `hash` and
        the `units` that the viewer may see; `complete` where these are all.

    Raises:
        MissingError: There is no such inspection for this viewer.
        ConflictError: `not_drawn`, with what is awaited.
    """
    scope, found = _look_up(session, ledger_id, viewer, named)
    sample = drawn(session, ledger_id, found, witnesses=witnesses)
    seen = _may_see(session, scope, found, sample.inventory)
    shown: list[JsonValue] = [unit for unit in sample.inventory if unit in seen]
    return {
        "inspection": found.id, "kind": found.kind, "confidence": found.confidence, "rate": found.rate,
        "frozen_index": found.frozen_index, "seed": sample.seed.as_json(),
        "inventory": {**commitment(sample.inventory), "units": shown},
        "sample": {**commitment(sample.units), "units": [unit for unit in sample.units if unit in seen]},
        "complete": len(shown) == len(sample.inventory),
    }  # fmt: skip


# -- telling ---------------------------------------------------------------------------------------------


def _look_up(session: ReadSession, ledger_id: int, viewer: Viewer, named: str) -> tuple[Scope, Inspection]:
    scope = Scope.of(session, ledger_id, viewer)
    query = select(*COLUMNS).where(
        INSPECTION.c.ledger_id == ledger_id, INSPECTION.c.id == named, scope.inspection_in()
    )  # fmt: skip
    row = session.execute(query).first()
    if row is None:
        raise MissingError("There is no such inspection.")
    return scope, _inspection(row)


def _inspection(row: Any) -> Inspection:
    values = dict(zip((field.name for field in fields(Inspection)), row, strict=True))
    return Inspection(**{**values, "contents": bool(values["contents"])})


def _as_json(one: Inspection, places: Places) -> Answer:
    hidden = one.status == "planned"
    return {
        "inspection": one.id, "index": one.leaf_index, "kind": one.kind, "kind_text": KIND_WORDS[one.kind],
        "status": one.status, "status_text": STATUS_WORDS[one.status], "election": one.election,
        "place": None if hidden else one.place, "place_name": None if hidden else places.name(one.place),
        "agency": one.agency, "officer": one.officer, "commitment": one.commitment,
        "terms": None if hidden else {
            "items": list(one.items), "contents": one.contents, "confidence": one.confidence, "rate": one.rate,
        },
        "opened_at": utc(one.opened_ms), "opened_local": places.local(one.opened_ms, one.place),
        "close": _close(one, places), "latest_index": one.latest_index,
    }  # fmt: skip


def _close(one: Inspection, places: Places) -> Answer | None:
    if one.closed_index is None:
        return None
    return {
        "index": one.closed_index, "minutes": one.minutes, "at": utc(one.closed_ms),
        "local": places.local(one.closed_ms, one.place), "inspected": one.inspected_n, "found": one.found_n,
        "left": one.left_n, "incomplete": bool(one.left_n), "sample": {"n": one.sample_n, "hash": one.sample_hash},
    }  # fmt: skip


def _freeze(one: Inspection, inventory: Sequence[str], places: Places) -> Answer | None:
    if one.frozen_index is None:
        return None
    stated: Answer = {"n": one.n, "hash": one.ids_hash}
    given = commitment(inventory)
    return {
        "event": one.opened, "index": one.frozen_index, "size": one.frozen_index + 1, "at": utc(one.opened_ms),
        "local": places.local(one.opened_ms, one.place), "stated": stated, "inventory": given,
        "agrees": stated == given,
    }  # fmt: skip


def _sample(one: Inspection, sample: Drawn, shown: Iterable[Answer]) -> Answer:
    given = commitment(sample.units)
    stated: Answer | None = {"n": one.sample_n, "hash": one.sample_hash} if one.sample_n is not None else None
    return {
        "state": "drawn", **given, "units": list(shown), "stated": stated,
        "agrees": stated == given if stated is not None else None, "seed": sample.seed.as_json(),
    }  # fmt: skip


def _may_see(session: ReadSession, scope: Scope, found: Inspection, units: Sequence[str]) -> frozenset[str]:
    """Return the units that may be named: all to the agency that inspects, to others what they see anyway."""
    if scope.viewer.all_agencies or scope.viewer.agency == found.agency:
        return frozenset(units)
    return visible_units(session, scope, units)


def _shown(session: ReadSession, scope: Scope, found: Inspection, states: States) -> list[Answer]:
    told = states.units()
    seen = _may_see(session, scope, found, list(told))
    return [one for unit, one in told.items() if unit in seen]


def _events(session: ReadSession, ledger_id: int, hashes: Sequence[str]) -> list[JsonValue]:
    """Tell what moved an inspection on, and who signed it as what; two statements for any number."""
    rows = session.execute(
        select(EVENT.c.hash, EVENT.c.type, EVENT.c.leaf_index, EVENT.c.received_ms, LEAF.c.leaf)
        .join(LEAF, and_(LEAF.c.ledger_id == ledger_id, LEAF.c.leaf_index == EVENT.c.leaf_index))
        .where(EVENT.c.ledger_id == ledger_id, EVENT.c.hash.in_(hashes)).order_by(EVENT.c.leaf_index)
    ).all()  # fmt: skip
    bodies = [body_of(bytes(row[4])) for row in rows]
    wanted = {kid for body in bodies for kid in body["signers"]}
    people = {
        kid: (officer, agency)
        for kid, officer, agency in session.execute(
            select(KEY.c.kid, KEY.c.officer, KEY.c.agency).where(KEY.c.ledger_id == ledger_id, KEY.c.kid.in_(wanted))
        )
    }
    return [
        {
            "event": hash_, "type": type_, "index": index, "received_at": utc(received_ms),
            "n": len(body.get("units", ())) + len(body["details"].get("lines", ())),
            "signers": [
                {"officer": people[kid][0], "agency": people[kid][1], "capacity": capacity}
                for kid, capacity in body["signers"].items()
            ],
        }
        for (hash_, type_, index, received_ms, _), body in zip(rows, bodies, strict=True)
    ]  # fmt: skip
