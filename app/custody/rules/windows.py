"""Rules of where and when: windows of the plan, destinations, deadlines on provable time (pure).

The provable time of an event is the interval between the tree its phone had seen and our receipt. A deadline
is judged on that interval; where it does not decide, the device's word does, and the row says so (design
section 5, domain reference section 12.2).
"""

from app.custody.rules.case import Case
from app.custody.state import Handover
from app.units.state import Unit

ON_THE_WAY_OUT = frozenset({"allocated", "sealed", "delivered", "deployed"})


def window(case: Case, place: str) -> tuple[int | None, int | None]:
    """Return the earliest release and the latest delivery of a place by the plan in force, UTC ms."""
    return case.plan.windows.get(place, (None, None)) if case.plan is not None else (None, None)


def note_early_release(case: Case, to_place: str) -> None:
    """Report a release before its window."""
    opens, _ = window(case, to_place)
    if opens is not None and case.event.at_ms < opens:
        case.report("EARLY_RELEASE", "kritis", handover=case.event.hash, place=to_place, opens_ms=opens)


def note_late(case: Case, handover: Handover) -> None:
    """Report an arrival after the window of the place, once per handover."""
    _, closes = window(case, case.body.place)
    if closes is None:
        return
    earliest, latest = case.context.seen_ms, case.context.received_ms
    provable = earliest > closes or latest <= closes
    late = earliest > closes if provable else case.event.at_ms > closes
    if late:
        case.report("LATE", "tinggi", handover=handover.release, closes_ms=closes, provable=provable)


def note_wrong_destination(case: Case, unit: Unit, place: str) -> None:
    """Report a unit at a place that does not serve its station."""
    if unit.destination is None or unit.lifecycle not in ON_THE_WAY_OUT or case.context.policy is None:
        return
    if place not in case.policy.place_by_id:
        return
    if not case.policy.serves(place, unit.destination):
        case.report("WRONG_DEST", "tinggi", unit=unit.unit, place=place, destination=unit.destination)
