"""Rules of where and when: windows of the plan, destinations, deadlines on provable time (pure).

The provable time of an event is the interval between the tree its phone had seen and our receipt. A deadline
is judged on that interval; where it does not decide, the device's word does, and the row says so (design
section 5, domain reference section 12.2).
"""

from collections.abc import Iterable

from app.custody.rules.case import Case
from app.custody.state import Handover
from app.units.plans import Plan, Window
from app.units.state import Unit

ON_THE_WAY_OUT = frozenset({"allocated", "sealed", "delivered", "deployed"})
ON_THE_ROUTE = ON_THE_WAY_OUT - {"deployed"}


def window(case: Case, place: str, units: Iterable[Unit]) -> Window:
    """Return when goods may leave for a place at the earliest and must be there at the latest, by the plan in force.

    A station's route may have a window of its own at a stop; what has none goes by the place's. Of goods that travel
    together the strictest counts.
    """
    if case.plan is None:
        return None, None
    common = case.plan.windows.get(place, (None, None))
    found = [own if own != (None, None) else common for own in (_own_window(case.plan, unit, place) for unit in units)]
    opens = [ms for ms, _ in found or [common] if ms is not None]
    closes = [ms for _, ms in found or [common] if ms is not None]
    return max(opens, default=None), min(closes, default=None)


def _own_window(plan: Plan, unit: Unit, place: str) -> Window:
    station = plan.station_by_place.get(unit.destination or "")
    return station.window_at(place) if station is not None else (None, None)


def note_early_release(case: Case, to_place: str, units: Iterable[Unit]) -> None:
    """Report a release before its window."""
    opens, _ = window(case, to_place, units)
    if opens is not None and case.event.at_ms < opens:
        case.report("EARLY_RELEASE", "kritis", handover=case.event.hash, place=to_place, opens_ms=opens)


def is_late(case: Case, closes: int | None) -> tuple[bool, bool]:
    """Say whether the event comes after a deadline, and whether the interval of its provable time decides that."""
    if closes is None:
        return False, True
    earliest, latest = case.context.seen_ms, case.context.received_ms
    provable = earliest > closes or latest <= closes
    return earliest > closes if provable else case.event.at_ms > closes, provable


def note_late(case: Case, handover: Handover, units: Iterable[Unit]) -> None:
    """Report an arrival after the window of the place, once per handover."""
    _, closes = window(case, case.body.place, units)
    late, provable = is_late(case, closes)
    if late:
        case.report("LATE", "tinggi", handover=handover.release, closes_ms=closes, provable=provable)


def note_wrong_stop(case: Case, units: Iterable[Unit], way: tuple[str, str], handover: str) -> None:
    """Report goods that leave their station's route: one row for all that should be at the same stop.

    Domain reference A28-29 and A31: cargo at a stop that is not the expected one is a discrepancy. Only packed goods
    on their way out are judged, and only where the plan in force gives their station a route. A vehicle is no stop;
    from a vehicle any stop of the route is right, since where it was before is not known.

    Args:
        case: The case.
        units: What travels.
        way: From which place to which.
        handover: The release.
    """
    astray: dict[str, list[str]] = {}
    for unit in units:
        expected = _expected_stop(case, unit, *way)
        if expected is not None and expected != way[1]:
            astray.setdefault(expected, []).append(unit.unit)
    for expected, names in astray.items():
        case.report(
            "WRONG_STOP", "sedang", unit=names[0] if len(names) == 1 else None, handover=handover, place=way[1],
            expected=expected, found=way[1], units=len(names),
        )  # fmt: skip


def _expected_stop(case: Case, unit: Unit, from_place: str, to_place: str) -> str | None:
    """Return the stop that comes next by the plan; None where it says nothing, or where this one may be right."""
    station = case.plan.station_by_place.get(unit.destination or "") if case.plan is not None else None
    if station is None or not station.route or unit.lifecycle not in ON_THE_ROUTE or _moves(case, to_place):
        return None
    if from_place in station.way[:-1]:
        return station.way[station.way.index(from_place) + 1]
    return None if _moves(case, from_place) and to_place in station.way else station.way[0]


def _moves(case: Case, place: str) -> bool:
    known = case.policy.place_by_id.get(place)
    return known is not None and known.kind == "VEHICLE"


def note_wrong_destination(case: Case, unit: Unit, place: str) -> None:
    """Report a unit at a place that does not serve its station."""
    if unit.destination is None or unit.lifecycle not in ON_THE_WAY_OUT or case.context.policy is None:
        return
    if place not in case.policy.place_by_id:
        return
    if not case.policy.serves(place, unit.destination):
        case.report("WRONG_DEST", "tinggi", unit=unit.unit, place=place, destination=unit.destination)
