"""One unit as it stands now: three facets, flags, where it is inside, what it contains, what is open about it.

`unit_state` answers `GET /v1/units/{id}`; `look_up` finds a unit for a viewer by id, label or foreign code and
is what history and evidence begin with. Custody is told through the outermost container: a box in a load is
where the load is. `chain.head` is the unit's ETag.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NoReturn

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, literal, select

from app.audit import discrepancies, handovers
from app.audit.places import Answer, Places, utc
from app.audit.scope import Scope
from app.audit.timeline import Worn
from app.canon import JsonValue
from app.custody._tables import EVENT, HANDOVER
from app.db import Int, ReadSession, Str
from app.errors import MalformedError, MissingError
from app.ids import parse_unit_id
from app.keys.grants import Viewer
from app.units._tables import ALIAS, LABEL, SEAL, UNIT
from app.units.state import Label, Unit

MAX_CONTENTS = 256
MAX_ALIASES = 50
COLUMNS: tuple[ColumnElement[Any], ...] = tuple(UNIT.c[field.name] for field in fields(Unit))
_LABEL: tuple[ColumnElement[Any], ...] = tuple(LABEL.c[field.name] for field in fields(Label))

_LEDGER: BindParameter[int] = bindparam("ledger", type_=Int)
_BY_LABEL = select(*_LABEL).where(LABEL.c.ledger_id == _LEDGER, LABEL.c.label == bindparam("label", type_=Str))


def _upwards() -> Select[Any]:
    """Return the query for a unit and what contains it, made once: making one costs more than asking it."""
    up = (
        select(UNIT.c.unit, UNIT.c.parent, literal(0).label("depth"))
        .where(UNIT.c.ledger_id == _LEDGER, UNIT.c.unit == bindparam("unit", type_=Str))
        .cte("up", recursive=True)
    )
    above = UNIT.alias("above")
    up = up.union_all(
        select(above.c.unit, above.c.parent, up.c.depth + 1).where(
            above.c.ledger_id == _LEDGER, above.c.unit == up.c.parent
        )
    )
    inside = select(*COLUMNS).join(up, up.c.unit == UNIT.c.unit)
    return inside.where(UNIT.c.ledger_id == _LEDGER).order_by(up.c.depth)


_UPWARDS = _upwards()


@dataclass(frozen=True, slots=True)
class Standing:
    """A unit that the viewer sees, its containers innermost first, and the label it was asked by."""

    unit: Unit
    above: tuple[Unit, ...]
    label: Label | None

    @property
    def outermost(self) -> Unit:
        """The outermost container, or the unit itself: its custody is the unit's."""
        return self.above[-1] if self.above else self.unit


def look_up(session: ReadSession, scope: Scope, named: str) -> Standing:
    """Find a unit for a viewer.

    Args:
        session: Reading.
        scope: What the viewer may see.
        named: A unit id or label as people type it, or a foreign code that is bound to a unit.

    Raises:
        MalformedError: `label_checksum`, a misread label; nothing was looked up.
        MissingError: There is no such unit for this viewer; `label_retired` with `successor` for a label that
            was replaced or spoiled.
    """
    key = _canonical(session, scope, named)
    row = session.execute(_BY_LABEL, {"ledger": scope.ledger_id, "label": key}).first()
    label = Label(*row) if row is not None else None
    chain = _chain(session, scope.ledger_id, label.unit if label is not None and label.unit else key)
    if not chain:
        refuse_blank(session, scope, label)
    top = chain[-1]
    if not scope.sees_unit(chain[0], top, scope.inside(session, (top.place, chain[0].destination))):
        raise no_such_unit()
    if label is not None and label.status == "retired":
        raise label_retired(label)
    return Standing(chain[0], tuple(chain[1:]), label)


def no_such_unit() -> MissingError:
    """Return what is said of a unit that is not there, or not for this viewer."""
    return MissingError("There is no such unit.")


def label_retired(label: Label | Worn) -> MissingError:
    """Return what is said of a label that was replaced or spoiled."""
    return MissingError(
        "That label was retired; scan the one that replaced it.",
        code="label_retired", label=label.label, successor=label.successor,
    )  # fmt: skip


def _canonical(session: ReadSession, scope: Scope, named: str) -> str:
    """Return the unit id that was typed, or that a foreign code is bound to."""
    try:
        return parse_unit_id(named)
    except MalformedError as error:
        if error.code == "label_checksum":
            raise
    bound: str | None = session.execute(
        select(ALIAS.c.unit).where(ALIAS.c.ledger_id == scope.ledger_id, ALIAS.c.code == named)
    ).scalar()
    if bound is None:
        raise no_such_unit()
    return bound


def _chain(session: ReadSession, ledger_id: int, unit: str) -> list[Unit]:
    """Return a unit and what contains it, innermost first; empty when there is no such unit."""
    return [Unit(*row) for row in session.execute(_UPWARDS, {"ledger": ledger_id, "unit": unit})]


def refuse_blank(session: ReadSession, scope: Scope, label: Label | Worn | None) -> NoReturn:
    """Say that a spoiled label was retired, to those who see its issue; anything else is missing."""
    if label is not None and label.status == "retired":
        issued = select(EVENT.c.hash).where(
            EVENT.c.ledger_id == scope.ledger_id, EVENT.c.hash == label.block, scope.event_in()
        )
        if session.execute(issued).first() is not None:
            raise label_retired(label)
    raise no_such_unit()


def unit_state(
    session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *,
    now_ms: int, contents_after: str | None = None, contents_limit: int = 100,
) -> Answer:  # fmt: skip
    """Return a unit as it stands now.

    Args:
        session: Reading.
        ledger_id: The ledger.
        viewer: Who asks.
        named: Unit id, label or foreign code, as typed.
        now_ms: The server's time, UTC milliseconds; an open handover is overdue after its `due_by`.
        contents_after: The last child of the page before.
        contents_limit: At most 256 direct children a page.

    Returns:
        The facets; `chain` with `seq` and `head` (the ETag); people only as pseudonyms.

    Raises:
        MalformedError: `label_checksum`.
        MissingError: No such unit for this viewer; `label_retired` with `successor` (answered as 410).
    """
    scope = Scope.of(session, ledger_id, viewer)
    standing = look_up(session, scope, named)
    unit, top = standing.unit, standing.outermost
    places = Places.load(session, ledger_id, (top.place, unit.destination))
    n_open, first_open = discrepancies.of_unit(session, ledger_id, unit.unit)
    return {
        "unit": unit.unit, "item": unit.item, "election": unit.election, "contest": unit.contest,
        "district": unit.district, "quantity": unit.quantity, "source": unit.source,
        "destination": unit.destination, "destination_name": places.name(unit.destination),
        "sensitivity": unit.sensitivity, "effective_sensitivity": unit.effective,
        "lifecycle": unit.lifecycle,
        "custody": _custody(session, scope, standing, places),
        "condition": {"condition": unit.condition, "seals": _seals(session, ledger_id, unit)},
        "flags": [{"flag": name, "since_index": since} for name, since in sorted(unit.flag_since.items())],
        "containment": [_brief(container) for container in standing.above],
        "contents": _contents(session, ledger_id, unit, contents_after, min(contents_limit, MAX_CONTENTS)),
        "label": _label(session, ledger_id, standing), "aliases": _aliases(session, ledger_id, unit.unit),
        "agencies": list(unit.agencies), "chain": {"seq": unit.seq, "head": unit.head},
        "handover": _handover(session, scope, top, now_ms),
        "discrepancies": {"open": n_open, "items": first_open},
    }  # fmt: skip


def _custody(session: ReadSession, scope: Scope, standing: Standing, places: Places) -> Answer:
    top = standing.outermost
    since = session.execute(
        select(EVENT.c.received_ms).where(EVENT.c.ledger_id == scope.ledger_id, EVENT.c.leaf_index == top.since_index)
    ).scalar()
    return {
        "status": top.custody, "agency": top.agency, "officer": top.officer, "place": top.place,
        "place_name": places.name(top.place), "since_index": top.since_index, "since": utc(since),
        "since_local": places.local(since, top.place), "via": top.unit if standing.above else None,
        "packed_index": standing.unit.packed_index,
    }  # fmt: skip


def _seals(session: ReadSession, ledger_id: int, unit: Unit) -> list[JsonValue]:
    rows = session.execute(
        select(SEAL.c.point, SEAL.c.number, SEAL.c.status, SEAL.c.applied_index)
        .where(SEAL.c.ledger_id == ledger_id, SEAL.c.number.in_(sorted(unit.seals.values())))
        .order_by(SEAL.c.point)
    )
    return [{"point": point, "number": number, "status": s, "applied_index": at} for point, number, s, at in rows]


def _brief(unit: Unit) -> Answer:
    return {
        "unit": unit.unit, "item": unit.item, "contest": unit.contest, "quantity": unit.quantity,
        "condition": unit.condition, "lifecycle": unit.lifecycle, "destination": unit.destination,
        "sealed": bool(unit.seals), "children": unit.children,
    }  # fmt: skip


def _contents(session: ReadSession, ledger_id: int, unit: Unit, after: str | None, limit: int) -> Answer:
    """Return the direct children; what lies deeper is asked of them."""
    query = select(*COLUMNS).where(UNIT.c.ledger_id == ledger_id, UNIT.c.parent == unit.unit).order_by(UNIT.c.unit)
    if after is not None:
        query = query.where(UNIT.c.unit > after)
    rows: Sequence[Any] = session.execute(query.limit(limit + 1)).all() if unit.children else ()
    children = [Unit(*row) for row in rows]
    following = children[limit - 1].unit if len(children) > limit else None
    return {"count": unit.children, "items": [_brief(child) for child in children[:limit]], "next": following}


def _label(session: ReadSession, ledger_id: int, standing: Standing) -> JsonValue:
    """Return the label that the unit carries now."""
    label, worn = standing.label, standing.unit.label
    if worn is not None and (label is None or label.label != worn):
        row = session.execute(_BY_LABEL, {"ledger": ledger_id, "label": worn}).first()
        label = Label(*row) if row is not None else None
    return {"label": label.label, "status": label.status, "block": label.block} if label is not None else None


def _aliases(session: ReadSession, ledger_id: int, unit: str) -> list[JsonValue]:
    rows = session.execute(
        select(ALIAS.c.code).where(ALIAS.c.ledger_id == ledger_id, ALIAS.c.unit == unit).order_by(ALIAS.c.code)
        .limit(MAX_ALIASES)
    )  # fmt: skip
    return list(rows.scalars())


def _handover(session: ReadSession, scope: Scope, top: Unit, now_ms: int) -> JsonValue:
    """Return the open handover that the unit, or what contains it, is in."""
    if top.handover is None:
        return None
    rows = session.execute(
        select(*handovers.COLUMNS).where(HANDOVER.c.ledger_id == scope.ledger_id, HANDOVER.c.release == top.handover)
    )
    return next(iter(handovers.tell(session, scope, map(handovers.handover, rows), now_ms)), None)
