"""Rules of lots: goods counted rather than labelled one by one (pure).

`lot.move` moves a quantity between two lots of one holder at one place; no lot goes below zero, and the sum
over lots is the balance (design section 4).
"""

from app.custody.rules.case import Case
from app.quick import evolve
from app.units.state import Unit


def move(case: Case) -> None:
    """Move a quantity from one lot to another of the same goods."""
    told = case.details
    if told.source == told.target or set(case.body.units) != {told.source, told.target}:
        case.refuse("units_mismatch", "The event's units are the two lots of the move.")
    source, target = case.unit(told.source), case.unit(told.target)
    keys = case.holding_side(source)
    case.holding_side(target)
    case.need_officers(keys, case.policy.signing_by_sensitivity[source.sensitivity].release)
    for lot in (source, target):
        _check_lot(case, lot)
    if (source.item, source.contest, source.election) != (target.item, target.contest, target.election):
        case.refuse("different_goods", "The lots hold different goods.", unit=target.unit)
    if source.district and target.district and source.district != target.district:
        case.refuse("different_goods", "The lots are of different electoral districts.", unit=target.unit)
    if source.quantity < told.quantity:
        case.refuse("lot_below_zero", "The lot holds less than that.", unit=source.unit, quantity=source.quantity)
    case.advance("lot.move", source, quantity=source.quantity - told.quantity)
    case.advance(
        "lot.move", target, quantity=target.quantity + told.quantity, district=target.district or source.district
    )
    _tally_condition(case, source, target, told.quantity)


def _check_lot(case: Case, lot: Unit) -> None:
    if case.item(lot.item).kind != "lot":
        case.refuse("not_a_lot", "That unit is one thing, not a lot.", unit=lot.unit)
    if lot.parent is not None:
        case.refuse("packed", "The lot is packed; take it out first.", unit=lot.unit, parent=lot.parent)
    if case.item(lot.item).inspect_first and lot.lifecycle in {"registered", "received"}:
        case.refuse("not_checked", "Inspect the goods before they are used.", unit=lot.unit)
    case.not_blocked(lot)


def _tally_condition(case: Case, source: Unit, target: Unit, quantity: int) -> None:
    if source.condition == target.condition:
        return
    if source.condition != "good":
        case.tally(f"is:{source.condition}", evolve(source), -quantity)
    if target.condition != "good":
        case.tally(f"is:{target.condition}", target, quantity)
