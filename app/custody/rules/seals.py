"""Rules of seals and of opening: a number is applied once, ever; what is found otherwise sets the unit apart (pure).

A seal is evidence, not a lock (domain reference section 2). A command that finds a wrong seal still takes
effect, since the box is open whatever we say; the unit goes into quarantine until two sides clear it.
"""

from typing import Any

from app.custody.rules.case import Case
from app.quick import evolve
from app.units.documents import STATION_KINDS
from app.units.state import Seal, Unit

RULE_OF_FINDING = {
    "broken": "SEAL_BROKEN",
    "missing": "SEAL_MISSING",
    "loose": "SEAL_LOOSE",
    "replaced": "SEAL_REPLACED",
}


def apply(case: Case) -> None:
    """Seal units of the holder at free points with fresh numbers."""
    _check_lines(case, case.details.seals)
    for unit in case.units():
        _holder_may(case, unit)
        _apply_to(case, "seal.apply", unit)


def _check_lines(case: Case, lines: Any) -> None:
    if {line.unit for line in lines} != set(case.body.units):
        case.refuse("units_mismatch", "The event's units are exactly those of its lines.")


def _holder_may(case: Case, unit: Unit, *, anywhere: bool = False) -> None:
    keys = case.holding_side(unit, anywhere=anywhere)
    for above in case.above(unit):
        if above.seals:
            case.refuse("sealed_parent", "The unit lies in a sealed container.", unit=unit.unit, parent=above.unit)
    case.not_blocked(unit)
    case.need_officers(keys, case.policy.signing_by_sensitivity[unit.effective].release)


def _apply_to(case: Case, act: str, unit: Unit) -> Unit:
    points = dict(unit.seals)
    for line in case.details.seals:
        if case.unit(line.unit).unit != unit.unit:
            continue
        _use_number(case, unit, line.number)
        if str(line.point) in points:
            case.refuse("point_taken", "That point of the unit has a seal.", unit=unit.unit, point=line.point)
        points[str(line.point)] = line.number
        case.put(Seal(line.number, unit.unit, line.point, "applied", case.context.index))
    flags = {name: since for name, since in unit.flag_since.items() if name != "unsealed"}
    return case.advance(act, unit, seals=points, flag_since=flags)


def _use_number(case: Case, unit: Unit, number: str) -> None:
    before = case.seal(number)
    if before is not None:
        case.report("SEAL_REUSE", "tinggi", unit=unit.unit, sticky=True, number=number, first=before.unit)
        case.refuse("seal_reuse", "That seal number was applied before.", number=number, unit=before.unit)


def remove(case: Case) -> None:
    """Take named seals off with authority."""
    _check_lines(case, case.details.seals)
    for unit in case.units():
        _holder_may(case, unit)
        points = dict(unit.seals)
        for line in case.details.seals:
            if case.unit(line.unit).unit != unit.unit:
                continue
            if points.pop(str(line.point), None) != line.number:
                case.refuse(
                    "seal_mismatch", "The ledger has another seal at that point.", unit=unit.unit, point=line.point
                )
            _end_seal(case, line.number, "removed")
        if points:
            case.put(evolve(unit, seals=points))
            case.link((unit,))
        else:
            case.advance("seal.remove", unit, seals={})


def _end_seal(case: Case, number: str, status: str) -> None:
    seal = case.seal(number)
    if seal is not None:
        case.put(evolve(seal, status=status, ended_index=case.context.index))


def open_units(case: Case) -> None:
    """Open units, naming each seal found; at a polling station the secrecy wall stands from here."""
    if not {finding.unit for finding in case.details.seals} <= set(case.body.units):
        case.refuse("units_mismatch", "Every seal found is on a unit of the event.")
    for unit in case.units():
        _holder_may(case, unit, anywhere=True)  # the station itself is checked below
        found = [line for line in case.details.seals if case.unit(line.unit).unit == unit.unit]
        wrong = judge_findings(case, unit, found, every=True)
        for number in unit.seals.values():
            _end_seal(case, number, "removed")
        place = case.policy.place_by_id[case.body.place]
        act = "unit.open:station" if place.kind in STATION_KINDS else "unit.open"
        if act == "unit.open:station" and unit.destination not in {None, case.body.place}:
            case.refuse(
                "wrong_destination",
                "The unit is bound for another station.",
                unit=unit.unit,
                destination=unit.destination,
            )
        case.advance(act, unit, seals={}, flag_since=_quarantined(case, unit) if wrong else unit.flag_since)


def _quarantined(case: Case, unit: Unit) -> dict[str, int]:
    return {"quarantine": case.context.index, **unit.flag_since}


def judge_findings(case: Case, unit: Unit, found: Any, *, every: bool) -> bool:
    """Report each seal that is not the bound one, intact; say whether there was any.

    Args:
        case: The event under judgement.
        unit: The unit whose seals were looked at.
        found: What was found, point by point.
        every: Seals that are bound but not named count as missing.
    """
    wrong = False
    named = {str(line.point) for line in found}
    for line in found:
        bound = unit.seals.get(str(line.point))
        if line.finding != "intact":
            case.report(RULE_OF_FINDING[line.finding], "tinggi", unit=unit.unit, point=line.point)
            wrong = True
        elif line.number != bound:
            case.report("SEAL_MISMATCH", "tinggi", unit=unit.unit, point=line.point, expected=bound, found=line.number)
            wrong = True
    for point in sorted(set(unit.seals) - named) if every else ():
        case.report("SEAL_MISSING", "tinggi", unit=unit.unit, point=int(point))
        wrong = True
    return wrong


def close_units(case: Case) -> None:
    """Close opened units after the count, with new seals."""
    if not {line.unit for line in case.details.seals} <= set(case.body.units):
        case.refuse("units_mismatch", "Every seal is on a unit of the event.")
    for unit in case.units():
        _holder_may(case, unit)
        _apply_to(case, "unit.close", unit)
