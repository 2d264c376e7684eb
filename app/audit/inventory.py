"""What there is to inspect: every unit that somebody answers for at a place or below it.

`standing` tells whoever is about to open an inspection what he will freeze; `frozen` rebuilds what was frozen, at the
leaf of the opening. The ledger gives the inventory, not the opener: his word is compared with it (ADR 25).

Rebuilding replays the ledger up to the freeze. What was there then never changes, so the newest few are kept, by the
root of the tree that they stand at.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Select, select

from app.audit import past
from app.audit.places import Answer
from app.audit.scope import Scope, subtree
from app.audit.stock import World
from app.canon import JsonValue
from app.custody.rules.labels import ids_hash
from app.db import ReadSession
from app.keys.grants import Viewer
from app.ledger.append import Reader
from app.units import records as unit_records
from app.units._tables import UNIT
from app.units.documents import Policy
from app.units.state import Unit

MAX_KEPT = 8


@dataclass(frozen=True, slots=True)
class Terms:
    """Which units are meant: at this place or below it, of these items (all when none is named), how deep."""

    place: str
    items: tuple[str, ...] = ()
    contents: bool = False


_kept: dict[tuple[bytes, Terms], tuple[str, ...]] = {}
_keeping = Lock()
"""Doors answer in threads: whoever makes room must not meet another who does."""


def held(world: World, here: frozenset[str], terms: Terms) -> list[str]:
    """Return the units of an inventory, sorted (pure).

    What is on the way, lost or destroyed is none of it. Without `contents` only outermost units count: those that can
    be looked at without opening anything.

    Args:
        world: At least the units at the places, with everything that contains them.
        here: The place of the terms and those below it.
        terms: Which units are meant.
    """
    return sorted(unit.unit for unit in world.units.values() if _counts(unit, world.outermost(unit), here, terms))


def _counts(unit: Unit, top: Unit, here: frozenset[str], terms: Terms) -> bool:
    there = top.custody == "held" and top.place in here and unit.lifecycle != "destroyed"
    return there and (terms.contents or unit.parent is None) and (not terms.items or unit.item in terms.items)


def frozen(session: ReadSession, ledger_id: int, terms: Terms, size: int) -> tuple[str, ...]:
    """Return the inventory as it stood at a tree size, sorted.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        terms: Which units are meant.
        size: The tree whose last leaf is the opening.

    Raises:
        TamperError: The leaves do not replay.
    """
    key = (Reader(ledger_id).nodes(session).root(size), terms)
    found = _kept.get(key)
    if found is None:
        found = _rebuilt(session, ledger_id, terms, size)
        with _keeping:
            _kept[key] = found
            while len(_kept) > MAX_KEPT:
                del _kept[next(iter(_kept))]
    return found


def _rebuilt(session: ReadSession, ledger_id: int, terms: Terms, size: int) -> tuple[str, ...]:
    facts = past.facts_at(session, ledger_id, size)
    world = World.of_facts(facts)
    name = facts.meta.policy if facts.meta is not None else None
    data = unit_records.read_document(session, ledger_id, name) if name is not None else None
    policy = unit_records.parsed(data) if data is not None else None
    if not isinstance(policy, Policy):
        return ()
    known = {unit.place for unit in world.units.values()} & policy.place_by_id.keys()
    here = frozenset(place for place in known if policy.within(place, terms.place))
    return tuple(held(world, here, terms))


def standing(session: ReadSession, ledger_id: int, viewer: Viewer, terms: Terms) -> Answer:
    """Return the inventory as it stands now, for an `inspection.open` to state.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        terms: Which units are meant.

    Returns:
        `units` that the viewer sees; `inventory` with `n` and `hash`, None where there are some that he does not see,
        since only who sees all of them can state it; `size` of the tree.

    Raises:
        MissingError: There is no such place for this viewer.
    """
    scope = Scope.of(session, ledger_id, viewer)
    here = _here(ledger_id, subtree(session, scope, terms.place), terms)
    everything = list(session.execute(here).scalars())
    seen = list(session.execute(here.where(scope.unit_in(UNIT.c.unit))).scalars())
    complete = len(seen) == len(everything)
    return {
        "place": terms.place, "items": list(terms.items), "contents": terms.contents,
        "size": past.ledger_size(session, ledger_id), "inventory": commitment(everything) if complete else None,
        "units": list[JsonValue](sorted(seen)),
    }  # fmt: skip


def commitment(units: Iterable[str]) -> Answer:
    """Return how many units there are and the hash of their sorted ids, one a line: what events state of a set."""
    named = list(units)
    return {"n": len(named), "hash": ids_hash(named)}


def _here(ledger_id: int, places: Select[str], terms: Terms) -> Select[str]:
    top = select(UNIT.c.unit).where(
        UNIT.c.ledger_id == ledger_id, UNIT.c.parent.is_(None), UNIT.c.custody == "held", UNIT.c.place.in_(places)
    )
    found = top.cte("standing", recursive=True)
    if terms.contents:
        child = UNIT.alias("standing_child")
        found = found.union_all(
            select(child.c.unit).where(child.c.ledger_id == ledger_id, child.c.parent == found.c.unit)
        )
    query = select(UNIT.c.unit).where(
        UNIT.c.ledger_id == ledger_id, UNIT.c.unit.in_(select(found.c.unit)), UNIT.c.lifecycle != "destroyed"
    )
    return query.where(UNIT.c.item.in_(terms.items)) if terms.items else query
