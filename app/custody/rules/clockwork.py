"""Rules of time alone: what the clock says of a handover or a waiting event (pure).

The service says it by a `verdict` leaf, so that what follows can be replayed from leaves (design section 7).
"""

from app.custody.rules.case import Case
from app.custody.state import Handover, Waiting
from app.quick import evolve
from app.units.state import Unit


def overdue(case: Case) -> None:
    """Report a release that nobody accepted by its time; the custody of its units is uncertain from here."""
    handover: Handover | None = case.handover(case.event.hash)
    if handover is None or handover.status != "open" or handover.overdue_index is not None:
        return
    if case.context.received_ms <= handover.due_ms:  # said too early: nothing follows, and the leaf shows it
        return
    case.report("OVERDUE", "tinggi", handover=handover.release, place=handover.to_place, due_ms=handover.due_ms)
    for named in handover.units:
        unit: Unit = case.get(Unit, named)
        if unit.handover == handover.release:
            case.put(evolve(unit, custody="uncertain"))
            case.link((unit,))
    case.put(evolve(handover, overdue_index=case.context.index))


def pending_overdue(case: Case) -> None:
    """Raise the alarm over an event that has waited too long for another."""
    waiting: Waiting | None = case.get(Waiting, case.event.hash)
    if waiting is None or waiting.alarmed or waiting.done_index is not None:
        return
    case.report("PENDING_OVERDUE", "tinggi", awaited=waiting.awaited)
    case.put(evolve(waiting, alarmed=True))


CLOCK_RULES = {"overdue": overdue, "pending_overdue": pending_overdue}
