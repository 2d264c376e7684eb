"""Rules of the plan's kit: what is packed for a station and what arrives there, beside the plan in force (pure).

After a rule has let an event in, its changes are added to running sums: per container what lies in it, per station
what is bound for it and what arrived. The sums are then held against the plan (domain reference A7, A8, section 9).
More than the kit, or what the kit does not name, is a row with both numbers: what was packed was packed, whatever the
plan says. More than a container holds is refused unless a named officer overrides it, with a reason.

A kit is short (`KIT_SHORT`) when a station has taken over less than its kit and
- its delivery window has closed: by law everything is at the station on H-1, whatever may still be on the road; or
- nothing more is bound for it on this ledger: what is missing then will not come by itself.
An acceptance before that says nothing: a kit travels in several boxes and several hands. In February 2024 4,594
stations were short and 8,061 not complete by H-1 [ID15]; the two conditions are these two. General goods are not
judged here: the policy asks for their count and not for labels, so it is a `count` of the kit that finds them short.
"""

from collections.abc import Iterable, Mapping

from app.custody.rules.case import Case
from app.custody.rules.windows import is_late
from app.custody.summed import ACCOUNTED
from app.units.documents import SENSITIVITY_RANK
from app.units.plans import Plan, Station, line_key, line_of
from app.units.state import Stowage, Supply, Unit, supply_id

GONE = frozenset({"voided", "destroyed"})
Lines = Mapping[str, int]


def keep_accounts(case: Case) -> None:
    """Add what the event changed to the sums, then judge them by the plan in force.

    Raises:
        Refusal: `capacity_exceeded`, see `judge_capacity`.
    """
    if case.event.type.name not in ACCOUNTED:
        return
    packed: list[Unit] = []
    arrived: dict[tuple[str, str], None] = {}
    for before, after in case.changed(Unit):
        _count_bound(case, before, after)
        if before is not None and before.parent != after.parent:
            _count_stowed(case, before, after)
            packed.extend([after] if after.parent is not None else [])
        if before is not None and after.lifecycle == "deployed" and before.lifecycle != "deployed":
            _count_arrived(case, after)
            arrived[after.election, after.place] = None
    if packed:
        _judge_capacity(case, packed)
        _judge_packed(case, packed)
    for election, place in arrived:
        _judge_arrived(case, election, place)


# -- sums ------------------------------------------------------------------------------------------------


def added(lines: Lines, more: Lines, sign: int = 1) -> dict[str, int]:
    """Return the sum of two sets of lines; none falls below zero, and a line of nothing is left out.

    A whole ledger never takes out what was not put in; a stranger's part of one may show the taking alone.
    """
    summed = {key: max(lines.get(key, 0) + sign * more.get(key, 0), 0) for key in (*lines, *more)}
    return {key: quantity for key, quantity in summed.items() if quantity}


def _weight(unit: Unit | None) -> Lines:
    """Return what a unit adds to what is bound for its station."""
    if unit is None or unit.destination is None or unit.condition != "good":
        return {}
    if unit.lifecycle in GONE or "missing" in unit.flags:
        return {}
    return {line_key(unit.item, unit.contest): unit.quantity} if unit.quantity else {}


def _count_bound(case: Case, before: Unit | None, after: Unit) -> None:
    for unit, sign in ((before, -1), (after, 1)):
        same = before is not None and (before.destination, before.election) == (after.destination, after.election)
        weight = _weight(unit)
        if unit is None or unit.destination is None or not weight or (same and _weight(before) == _weight(after)):
            continue
        supply = _supply(case, unit.election, unit.destination)
        case.put(Supply(supply.id, supply.election, supply.place, added(supply.bound, weight, sign), supply.arrived))


def _count_arrived(case: Case, unit: Unit) -> None:
    own = {line_key(unit.item, unit.contest): unit.quantity if unit.condition == "good" else 0}
    supply = _supply(case, unit.election, unit.place)
    arrived = added(added(supply.arrived, own), _stowed(case, unit))
    case.put(Supply(supply.id, supply.election, supply.place, supply.bound, arrived))


def _count_stowed(case: Case, before: Unit, after: Unit) -> None:
    moved = added(_stowed(case, after), {line_key(after.item, after.contest): after.quantity})
    for parent, sign in ((before.parent, -1), (after.parent, 1)):
        for container in _containers(case, parent):
            case.put(Stowage(container.unit, added(_stowage(case, container.unit), moved, sign)))


def _containers(case: Case, parent: str | None) -> list[Unit]:
    if parent is None:
        return []
    unit: Unit = case.get(Unit, parent)
    return [unit, *case.above(unit)]


def _stowed(case: Case, unit: Unit) -> Lines:
    return _stowage(case, unit.unit) if unit.children else {}


def _stowage(case: Case, unit: str) -> Lines:
    known: Stowage | None = case.get(Stowage, unit)
    return known.lines if known is not None else {}


def _supply(case: Case, election: str, place: str) -> Supply:
    known: Supply | None = case.get(Supply, supply_id(election, place))
    return known if known is not None else Supply(supply_id(election, place), election, place, {}, {})


# -- judging ---------------------------------------------------------------------------------------------


def _planned(case: Case, election: str, place: str | None) -> Station | None:
    """Return a station with a kit by the plan in force; a plan that names no kit leaves nothing to judge."""
    plan = case.context.plans.get(election)
    station = plan.station_by_place.get(place) if plan is not None and place is not None else None
    return station if station is not None and station.kit else None


def _judge_capacity(case: Case, packed: list[Unit]) -> None:
    """Refuse, or note where an officer overrides, what a container cannot hold."""
    plan = case.context.plans.get(packed[0].election)
    if plan is None or not plan.limits:
        return
    items = {line_of(key)[0] for unit in packed for key in (unit.item, *_stowed(case, unit))}
    for container in _containers(case, packed[0].parent):
        for item in sorted(items):
            _judge_limit(case, plan, container, item, packed[-1])


def _judge_limit(case: Case, plan: Plan, container: Unit, item: str, last: Unit) -> None:
    limit = plan.limits.get((container.item, item))
    held = sum(quantity for key, quantity in _stowage(case, container.unit).items() if line_of(key)[0] == item)
    if limit is None or held <= limit:
        return
    if case.details.override is None:
        case.refuse(
            "capacity_exceeded", "The container does not hold that much; a named officer may override, with a reason.",
            unit=last.unit, container=container.unit, item=item, capacity=limit, packed=held,
        )  # fmt: skip
    reason = case.details.override.reason
    case.report(
        "CAPACITY_EXCEEDED", "sedang", unit=container.unit, item=item, capacity=limit, packed=held, reason=reason
    )


def _judge_packed(case: Case, packed: list[Unit]) -> None:
    """Note what the kit of the station does not have, or has less of than is bound for the station now."""
    container: Unit = case.get(Unit, packed[0].parent or "")
    station = _planned(case, container.election, container.destination)
    if station is None:
        return
    bound = _supply(case, container.election, station.place).bound
    counted = station.against_kit(bound)
    for item, contest in dict.fromkeys((unit.item, unit.contest) for unit in packed):
        line, key = station.line_for(item, contest), line_key(item, contest)
        found = counted[line] if line is not None else bound.get(key, 0)
        planned = station.kit_by_line[line] if line is not None else 0
        if found > planned:
            case.report(
                "KIT_EXCEEDED" if line is not None else "NOT_IN_KIT", "sedang", unit=container.unit,
                place=station.place, item=item, contest=contest, planned=planned, packed=found,
            )  # fmt: skip


def _judge_arrived(case: Case, election: str, place: str) -> None:
    """Note every line of the kit that is short, once there is nothing more to wait for."""
    station = _planned(case, election, place)
    if station is None:
        return
    supply = _supply(case, election, place)
    late, provable = is_late(case, station.window[1])
    last = all(supply.arrived.get(key, 0) >= quantity for key, quantity in supply.bound.items())
    if not (late or last):
        return
    arrived = station.against_kit(supply.arrived)
    for line in _labelled(case, station.kit_by_line):
        if arrived[line] < station.kit_by_line[line]:
            item, contest = line_of(line)
            case.report(
                "KIT_SHORT", "tinggi", handover=case.details.release, place=place, item=item, contest=contest,
                planned=station.kit_by_line[line], arrived=arrived[line], why="late" if late else "last",
                provable=provable,
            )  # fmt: skip


def _labelled(case: Case, lines: Iterable[str]) -> list[str]:
    """Return the lines of goods that the policy has labelled, rather than only counted."""
    catalogue = case.policy.item_by_code
    items = {line: catalogue.get(line_of(line)[0]) for line in lines}
    return [line for line, item in items.items() if item is not None and SENSITIVITY_RANK[item.sensitivity]]
