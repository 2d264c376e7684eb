"""Rules of correction and retraction: they act from their own leaf and never rewrite (pure).

A correction changes a whitelisted field of what an earlier event said of a unit, never custody; a retraction
only marks. Both need a second signer of another role (design section 5, domain reference section 9).
"""

from app.custody.rules.case import Case
from app.custody.rules.labels import check_district
from app.custody.state import EventRef
from app.quick import evolve
from app.units.containment import effective_sensitivity
from app.units.documents import STATION_KINDS
from app.units.state import Unit

CORRECTABLE = {"unit.commission": frozenset({"contest", "district", "destination", "item"})}


def _target(case: Case) -> EventRef:
    target = case.recorded(case.details.target)
    if target is None:
        case.wait("pending_predecessor", awaited=case.details.target)
    if target.result != "accepted" and target.outcome != "accepted":
        case.refuse("target", "Only an accepted event is corrected or retracted.", target=target.hash)
    keys = case.keys_as("giver", "second", "approver")
    if not any(key.agency == target.agency for key in keys):
        case.refuse("not_your_agency", "The agency that signed an event corrects or retracts it.", agency=target.agency)
    if len({key.role for key in keys}) < 2 or len({key.officer for key in keys}) < 2:
        case.refuse("policy_unmet", "A second signer of another role is needed.", missing="second")
    return target


def correct(case: Case) -> None:
    """Correct one field of a unit from this leaf on."""
    target, told = _target(case), case.details
    if told.field not in CORRECTABLE.get(target.type, frozenset()):
        case.refuse(
            "field", "That field of that type of event cannot be corrected.", field=told.field, type=target.type
        )
    unit = case.unit(told.unit)
    if set(case.body.units) != {told.unit}:
        case.refuse("units_mismatch", "The event names the one unit that it corrects.")
    if unit.agencies[0] != target.agency:
        case.refuse("not_your_agency", "Another agency put that unit on the ledger.", agency=unit.agencies[0])
    if unit.parent is not None:
        case.refuse("packed", "Take the unit out before it is corrected.", unit=unit.unit)
    _check_value(case, unit, told.field, told.value)
    corrected = evolve(unit, **{told.field: told.value})
    if told.field == "item":
        corrected = evolve(corrected, sensitivity=case.item(told.value).sensitivity)
        corrected = evolve(corrected, effective=effective_sensitivity(corrected))
        if case.item(told.value).per_contest and corrected.contest is None:
            case.refuse(
                "contest_missing", "Goods of that kind belong to one contest; correct it first.", unit=unit.unit
            )
    if corrected.destination is not None:
        check_district(case, unit.unit, corrected.contest, corrected.district, corrected.destination)
    if told.field in {"contest", "item"} and unit.quantity:
        for figure in _figures(unit.source, unit.condition):
            case.tally(figure, unit, -unit.quantity)
            case.tally(figure, corrected, unit.quantity)
    case.advance("correction", corrected)


def _figures(source: str, condition: str) -> list[str]:
    return [f"in:{source}", *([f"is:{condition}"] if condition != "good" else [])]


def _check_value(case: Case, unit: Unit, field: str, value: str) -> None:
    if field == "item" and case.item(value).kind != case.item(unit.item).kind:
        case.refuse("different_goods", "A lot stays a lot, and one thing one thing.", unit=unit.unit)
    if field == "contest" and value not in {c.id for c in case.policy.election_by_id[case.body.election].contests}:
        case.refuse("unknown_contest", "The election has no such contest.", contest=value)
    if field == "destination":
        place = case.policy.place_by_id.get(value)
        if place is None or place.kind not in STATION_KINDS:
            case.refuse("wrong_destination", "A destination is a polling station of the policy.", destination=value)


def retract(case: Case) -> None:
    """Mark an event as withdrawn; what it would undo needs a new handover."""
    target = _target(case)
    if target.retracted_index is not None:
        case.refuse("already_retracted", "That event is marked already.", target=target.hash)
    case.put(evolve(target, retracted_index=case.context.index))
