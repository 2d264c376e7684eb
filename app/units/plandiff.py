"""What changed between two versions of a plan: stations added, removed and changed, member by member (pure).

A member is told by a path that a person can read: `voters`, `kit BALLOT/PILGUB`, `district PILWALI`, `stop PPS-1
deliver_by`. Order counts only for the route; everything else is compared by what it is about. Windows of places and
capacities, which hold for every station, stand under `plan`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.units.plans import Plan, Station, Stop, line_key

Value = str | int | bool | None
Members = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Change:
    """One member before and after; None where it was not or is no more."""

    member: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Difference:
    """Two plans side by side; stations in order of their place ids."""

    plan: tuple[Change, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[Change, ...]]

    @property
    def same(self) -> bool:
        """Say whether there is no difference at all."""
        return not (self.plan or self.added or self.removed or self.changed)


def difference(old: Plan, new: Plan) -> Difference:
    """Return what a new plan changes."""
    before, after = old.station_by_place, new.station_by_place
    changed = {
        place: changes
        for place in sorted(before.keys() & after.keys())
        if (changes := _changes(members_of(before[place]), members_of(after[place])))
    }
    return Difference(
        _changes(_of_plan(old), _of_plan(new)),
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        changed,
    )


def members_of(station: Station) -> Members:
    """Return a station's members by readable path; what the plan leaves open is left out."""
    found: Members = {"voters": station.voters, "escort": station.escort, "reserve": station.reserve}
    found |= {"release_from": station.release_from, "deliver_by": station.deliver_by}
    found |= {f"district {one.contest}": one.district for one in station.districts}
    found |= {f"kit {key}": quantity for key, quantity in station.kit_by_line.items()}
    found["route"] = " > ".join(stop.place for stop in station.route) or None
    for stop in station.route:
        found |= {**_window(stop), f"stop {stop.place} escort": stop.escort}
    return {member: value for member, value in found.items() if value is not None}


def _of_plan(plan: Plan) -> Members:
    found: Members = {"election": plan.election, "title": plan.title, "synthetic": plan.synthetic}
    found["reserve_permille"] = plan.reserve_permille
    found |= {f"capacity {line_key(one.container, one.item)}": one.quantity for one in plan.capacity}
    for stop in plan.stops:
        found |= _window(stop)
    return {member: value for member, value in found.items() if value is not None}


def _window(stop: Stop) -> Members:
    return {f"stop {stop.place} release_from": stop.release_from, f"stop {stop.place} deliver_by": stop.deliver_by}


def _changes(before: Members, after: Members) -> tuple[Change, ...]:
    return tuple(
        Change(member, before.get(member), after.get(member))
        for member in dict.fromkeys((*before, *after))
        if before.get(member) != after.get(member)
    )
