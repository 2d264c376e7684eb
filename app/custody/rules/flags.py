"""Rules of setting apart and of ending: quarantine, legal hold, voiding, witnessed destruction (pure).

Source: domain reference sections 8, 10 (A42, A45 to A48) and 11, identity 4.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from app.custody.rules.case import Case
from app.units.state import Unit

HOLDERS_OF_HOLD = frozenset({"supervisor", "police", "auditor", "government"})


def _kinds(case: Case, *capacities: str) -> dict[str, str]:
    """Return the kinds of the agencies that sign in the capacities, by agency."""
    known = case.policy.agency_by_id
    return {key.agency: known[key.agency].kind for key in case.keys_as(*capacities) if key.agency in known}


def quarantine(case: Case) -> None:
    """Set units apart: any agency may, and two sides must end it."""
    for unit in case.units():
        case.advance("quarantine.set", unit, flag_since={"quarantine": case.context.index, **unit.flag_since})


def clear_quarantine(case: Case) -> None:
    """End a quarantine: the holder's agency and a supervisor sign together."""
    kinds = _kinds(case, "giver", "approver", "second", "witness")
    for unit in case.units():
        holder = case.outermost(unit).agency
        if holder not in kinds or "supervisor" not in kinds.values():
            case.refuse(
                "policy_unmet",
                "The holder and a supervisor clear a quarantine together.",
                missing="approver",
                unit=unit.unit,
            )
        _clear(case, "quarantine.clear", unit, "quarantine", "orphan")


def _clear(case: Case, act: str, unit: Unit, *flags: str) -> None:
    if flags[0] not in unit.flags:
        case.refuse("not_flagged", f"The unit is not under {flags[0]}.", unit=unit.unit)
    case.advance(act, unit, flag_since={n: since for n, since in unit.flag_since.items() if n not in flags})


def hold(case: Case) -> None:
    """Lay a legal hold on units: supervisor, police, court or auditor."""
    if not set(_kinds(case, "approver", "giver").values()) & HOLDERS_OF_HOLD:
        case.refuse("role", "A hold is laid by a supervisor, the police, an auditor or a court.")
    for unit in case.units():
        since = {"hold": case.context.index, f"hold:{case.details.case}": case.context.index}
        case.advance("hold.set", unit, flag_since={**since, **unit.flag_since})


def clear_hold(case: Case) -> None:
    """End the legal hold of one case, by an agency of a kind that may lay one; another case's hold stays."""
    if not set(_kinds(case, "approver", "giver").values()) & HOLDERS_OF_HOLD:
        case.refuse("role", "A hold is ended by a supervisor, the police, an auditor or a court.")
    ended = f"hold:{case.details.case}"
    for unit in case.units():
        others = any(flag.startswith("hold:") and flag != ended for flag in unit.flags)
        _clear(case, "hold.clear", unit, ended, *([] if others else ["hold"]))


def void(case: Case) -> None:
    """Declare units void by a numbered decision of the holder's agency, signed by two."""
    for unit in case.units():
        keys = case.holding_side(unit, anywhere=True)
        case.need_officers(keys, case.policy.signing_by_sensitivity[unit.effective].release)
        _not_on_hold(case, unit)
        case.advance("unit.void", unit)
        case.tally("is:voided", unit, unit.quantity)


def _not_on_hold(case: Case, unit: Unit) -> None:
    for part in (unit, *case.above(unit)):
        if "hold" in part.flags:
            case.refuse("hold", "A legal hold blocks every ending.", unit=part.unit)


def destroy(case: Case) -> None:
    """Destroy units before witnesses; each count must equal the ledger's to the sheet."""
    lines = case.details.lines
    if {line.unit for line in lines} != set(case.body.units) or len(lines) != len(case.body.units):
        case.refuse("units_mismatch", "The event's units are exactly those of its lines, each once.")
    counts = {case.unit(line.unit).unit: line for line in lines}
    _check_witnesses(case)
    for unit in case.units():
        keys = case.holding_side(unit)
        case.need_officers(keys, case.policy.signing_by_sensitivity[unit.effective].release)
        _not_on_hold(case, unit)
        case.not_blocked(unit)
        _check_condemned(case, unit)
        if counts[unit.unit].quantity != unit.quantity:
            case.refuse("wrong_count", "The count is not the ledger's.", unit=unit.unit, expected=unit.quantity)
        case.advance("unit.destroy", unit)
        case.tally(f"destroyed:{unit.condition}", unit, unit.quantity)
    _note_deadline(case)


def _check_witnesses(case: Case) -> None:
    rule, kinds = case.policy.destruction, _kinds(case, "witness")
    missing = [kind for kind in rule.kinds if kind not in kinds.values()]
    if len(kinds) < rule.witnesses or missing:
        case.refuse(
            "witnesses_missing",
            "Destruction needs witnesses of several agencies.",
            needed=rule.witnesses,
            present=len(kinds),
            missing=missing,
        )


def _check_condemned(case: Case, unit: Unit) -> None:
    if unit.parent is not None or unit.children:
        case.refuse("packed", "Only loose goods are destroyed, and containers only when empty.", unit=unit.unit)
    if (
        unit.contest is not None
        and unit.condition not in {"damaged", "excess"}
        and unit.lifecycle not in {"returned", "voided"}
    ):
        case.refuse(
            "not_condemned",
            "Good ballots are not destroyed before the election.",
            unit=unit.unit,
            condition=unit.condition,
        )


def election_day_ms(case: Case) -> int:
    """Return the start of the day of the event's election in its zone, UTC milliseconds."""
    election = case.policy.election_by_id[case.body.election]
    year, month, day = map(int, election.date.split("-"))
    start = datetime(year, month, day, tzinfo=ZoneInfo(election.zone)).astimezone(UTC)
    return int(start.timestamp() * 1000)


def _note_deadline(case: Case) -> None:
    """Report a destruction of condemned goods after H-1."""
    if case.event.at_ms >= election_day_ms(case):
        case.report("LATE", "sedang", closes_ms=election_day_ms(case))
