"""Who may see which record: the one jurisdiction predicate that every query of this room carries.

A viewer has an agency, a place (the root of a subtree; None for everywhere) and access roles. Auditors and
administrators see every agency inside their place; all others see what their own agency touched inside theirs
(design promise 8). What is absent and what is forbidden look the same: `MissingError`.

- A place is seen when it lies in the viewer's subtree.
- A unit is seen by an all-agencies viewer when the place of its outermost container, or its destination, lies
  in the subtree; by others when, besides, their agency ever held it or holds the container it is in.
- An event is seen by an all-agencies viewer when its place lies in the subtree, by others when, besides, their
  agency signed it; by both when it concerns a unit that they see, and by its author always.

So nothing that other agencies add, about goods that a viewer does not see, changes any of his answers
(`tests/audit/test_visibility.py`). `sees_unit` says in Python what `unit_in` says in SQL; a test compares them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.sql.expression import CTE

from app.custody._tables import DISCREPANCY, EVENT, EVENT_UNIT, HANDOVER, INCIDENT, INSPECTION
from app.db import Int, ReadSession, Str
from app.errors import MissingError
from app.keys.grants import Viewer
from app.units._tables import PLACE, UNIT

Predicate = ColumnElement[bool]


class Sighted(Protocol):
    """What of a unit decides who sees it: a `Unit`, or as much of one."""

    @property
    def place(self) -> str: ...  # noqa: D102 - as `Unit`, and so the others
    @property
    def destination(self) -> str | None: ...  # noqa: D102
    @property
    def agency(self) -> str: ...  # noqa: D102
    @property
    def agencies(self) -> tuple[str, ...]: ...  # noqa: D102


_LEDGER: BindParameter[int] = bindparam("ledger", type_=Int)
_PATH = select(PLACE.c.path).where(PLACE.c.ledger_id == _LEDGER, PLACE.c.place == bindparam("place", type_=Str))
_PATHS = select(PLACE.c.place, PLACE.c.path).where(
    PLACE.c.ledger_id == _LEDGER, PLACE.c.place.in_(bindparam("places", expanding=True))
)


@dataclass(frozen=True)
class Scope:
    """What one viewer may see of one ledger.

    `path` is the path of the viewer's place, ending in `/`; empty for everywhere; None when his place is not
    one of the policy in force, so that no place is his.
    """

    ledger_id: int
    viewer: Viewer
    path: str | None

    @classmethod
    def of(cls, session: ReadSession, ledger_id: int, viewer: Viewer) -> "Scope":
        """Look up the viewer's place; one statement, none for who may see everywhere."""
        if viewer.place is None:
            return cls(ledger_id, viewer, "")
        found = session.execute(_PATH, {"ledger": ledger_id, "place": viewer.place}).scalar()
        return cls(ledger_id, viewer, found)

    @property
    def everything(self) -> bool:
        """Say whether nothing at all is hidden."""
        return self.viewer.all_agencies and self.path == ""

    # -- in SQL --------------------------------------------------------------------------------------

    def place_in(self, column: ColumnElement[str]) -> Predicate:
        """Return the predicate that a column names a place of the viewer's subtree."""
        return true() if self.path == "" else column.in_(self.places())

    def places(self) -> Select[str]:
        """Return the query for the places of the viewer's subtree."""
        return select(PLACE.c.place).where(PLACE.c.ledger_id == self.ledger_id, below(self.path))

    def unit_in(self, column: ColumnElement[str]) -> Predicate:
        """Return the predicate that a column names a unit that the viewer sees."""
        return true() if self.everything else column.in_(self._units)

    @cached_property
    def _units(self) -> Select[str]:
        """The query for the units that the viewer sees; one object, so that a statement may ask it twice."""
        return select(UNIT.c.unit).where(UNIT.c.ledger_id == self.ledger_id, self._unit_here(), self._unit_ours())

    def _unit_here(self) -> Predicate:
        if self.path == "":
            return true()
        inside = self._contents("units_here", self.place_in(UNIT.c.place))
        return or_(UNIT.c.unit.in_(select(inside.c.unit)), self.place_in(UNIT.c.destination))

    def _unit_ours(self) -> Predicate:
        if self.viewer.all_agencies:
            return true()
        inside = self._contents("units_held", UNIT.c.agency == self.viewer.agency)
        held = type_coerce(UNIT.c.agencies, Text)
        ever = func.replace(held, json.dumps(self.viewer.agency), "") != held
        return or_(ever, UNIT.c.unit.in_(select(inside.c.unit)))

    def _contents(self, name: str, outermost: Predicate) -> CTE:
        """Return every unit whose outermost container satisfies a predicate, containers included."""
        top = select(UNIT.c.unit).where(UNIT.c.ledger_id == self.ledger_id, UNIT.c.parent.is_(None), outermost)
        found = top.cte(name, recursive=True)
        child = UNIT.alias(f"{name}_child")
        below_it = select(child.c.unit).where(child.c.ledger_id == self.ledger_id, child.c.parent == found.c.unit)
        return found.union_all(below_it)

    def event_in(self) -> Predicate:
        """Return the predicate over `event` that the viewer sees the event."""
        if self.everything:
            return true()
        subject = select(EVENT_UNIT.c.leaf_index).where(
            EVENT_UNIT.c.ledger_id == self.ledger_id, self.unit_in(EVENT_UNIT.c.unit)
        )
        return or_(
            and_(self.place_in(EVENT.c.place), self.agency_is(EVENT.c.agency)),
            EVENT.c.author == self.viewer.subject,
            EVENT.c.leaf_index.in_(subject),
        )

    def handover_in(self) -> Predicate:
        """Return the predicate over `handover`: the viewer's on either side, or of goods that he sees."""
        if self.everything:
            return true()
        subject = select(EVENT_UNIT.c.leaf_index).where(
            EVENT_UNIT.c.ledger_id == self.ledger_id, self.unit_in(EVENT_UNIT.c.unit)
        )
        side = or_(self.agency_is(HANDOVER.c.agency), self.agency_is(HANDOVER.c.to_agency))
        here = or_(self.place_in(HANDOVER.c.from_place), self.place_in(HANDOVER.c.to_place))
        return or_(and_(here, side), HANDOVER.c.leaf_index.in_(subject))

    def discrepancy_in(self) -> Predicate:
        """Return the predicate over `discrepancy`: noted here by us, or of goods or a handover that we see."""
        if self.everything:
            return true()
        seen = select(HANDOVER.c.release).where(HANDOVER.c.ledger_id == self.ledger_id, self.handover_in())
        return or_(
            and_(self.place_in(DISCREPANCY.c.place), self.agency_is(DISCREPANCY.c.agency)),
            self.unit_in(DISCREPANCY.c.unit),
            DISCREPANCY.c.handover.in_(seen),
        )

    def incident_in(self) -> Predicate:
        """Return the predicate over `incident`: reported or owned here by us, or of goods that we see.

        A confidential one is seen by its reporter's agency, its owner and who sees every agency here.
        """
        if self.everything:
            return true()
        subject = select(EVENT_UNIT.c.leaf_index).where(
            EVENT_UNIT.c.ledger_id == self.ledger_id, self.unit_in(EVENT_UNIT.c.unit)
        )
        ours = or_(self.agency_is(INCIDENT.c.agency), self.agency_is(INCIDENT.c.owner))
        told = and_(not_(INCIDENT.c.confidential), INCIDENT.c.leaf_index.in_(subject))
        return or_(and_(self.place_in(INCIDENT.c.place), ours), told)

    def inspection_in(self) -> Predicate:
        """Return the predicate over `inspection`: by our agency, or opened where our agency holds goods.

        A plan stands at the seat of its author, and is seen by his agency and who sees every agency there.
        """
        if self.everything:
            return true()
        ours = select(UNIT.c.place).where(
            UNIT.c.ledger_id == self.ledger_id, UNIT.c.parent.is_(None), UNIT.c.agency == self.viewer.agency
        )
        here = and_(INSPECTION.c.status != "planned", INSPECTION.c.place.in_(ours))
        return and_(self.place_in(INSPECTION.c.place), or_(self.agency_is(INSPECTION.c.agency), here))

    def agency_is(self, column: ColumnElement[str]) -> Predicate:
        """Return the predicate that an agency's records are the viewer's to see."""
        return true() if self.viewer.all_agencies else column == self.viewer.agency

    # -- in Python -----------------------------------------------------------------------------------

    def inside(self, session: ReadSession, places: Iterable[str | None]) -> frozenset[str]:
        """Return those of the places that lie in the viewer's subtree; one statement at most."""
        named = sorted({place for place in places if place is not None})
        if self.path == "" or not named:
            return frozenset(named)
        told = session.execute(_PATHS, {"ledger": self.ledger_id, "places": named})
        return frozenset(place for place, path in told if self.path is not None and path.startswith(self.path))

    def sees_unit(self, unit: Sighted, outermost: Sighted, inside: frozenset[str]) -> bool:
        """Say whether the viewer sees a unit.

        Args:
            unit: The unit.
            outermost: Its outermost container, or the unit itself.
            inside: At least those of the two's places that lie in the viewer's subtree.
        """
        here = self.path == "" or outermost.place in inside or unit.destination in inside
        agency = self.viewer.agency
        return here and (self.viewer.all_agencies or agency in unit.agencies or agency == outermost.agency)


def below(path: str | None) -> Predicate:
    """Return the predicate over `place` that a place lies in the subtree of a path (`a/b/`, itself included).

    A range over text that sorts by code point: `0` is the character after `/`.
    """
    if path is None:
        return PLACE.c.path.is_(None)
    return and_(PLACE.c.path >= path, PLACE.c.path < f"{path[:-1]}0") if path else true()


def subtree(session: ReadSession, scope: Scope, place: str) -> Select[str]:
    """Return the query for a place and all below it that the viewer sees.

    Raises:
        MissingError: There is no such place for this viewer.
    """
    path = session.execute(
        select(PLACE.c.path).where(PLACE.c.ledger_id == scope.ledger_id, PLACE.c.place == place, below(scope.path))
    ).scalar()
    if path is None:
        raise MissingError("There is no such place.", place=place)
    return select(PLACE.c.place).where(PLACE.c.ledger_id == scope.ledger_id, below(path))
