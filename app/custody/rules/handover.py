"""Rules of the two-sided handover: release, accept, reject, cancel (pure).

A release by who holds, an accept (or reject) by who was named, never by the same officer. What both sides
signed is a fact: what the server learned after its signers' checkpoint cannot undo it and becomes a
discrepancy and a quarantine (design section 5).
"""

from typing import Any

from app.clock import parse_rfc3339
from app.custody.rules.case import Case
from app.custody.rules.labels import ids_hash
from app.custody.rules.windows import note_early_release, note_late, note_wrong_destination, note_wrong_stop
from app.custody.state import Handover
from app.custody.statetable import next_state
from app.keys.state import Key
from app.quick import evolve
from app.units.documents import SENSITIVITY_RANK
from app.units.state import Label, Unit

ESCORTS = frozenset({"police", "military"})
SEALED_OR_LATER = frozenset({"opened", "closed", "returned"})


def release(case: Case) -> None:
    """Give units to a named agency, to be received at a named place by a named time."""
    units = case.units()
    keys = case.side("giver")
    _check_receiver(case)
    for unit in units:
        _check_releasable(case, unit)
    sensitivity = max((unit.effective for unit in units), key=lambda name: SENSITIVITY_RANK[name])
    rule = case.policy.signing_by_sensitivity[sensitivity].release
    case.need_officers(keys, rule)
    due_ms = parse_rfc3339(case.details.due_by)
    if due_ms <= case.event.at_ms:
        case.refuse("due_before_release", "The goods cannot be due before they leave.")
    inside = case.details.internal and case.details.to_agency == keys[0].agency
    if rule.escort and not inside:
        _check_escort(case, units)
    for unit in units:
        _note_unsealed(case, unit)
        case.advance("custody.release", case.get(Unit, unit.unit), custody="released", handover=case.event.hash)
    note_early_release(case, case.details.to_place, units)
    if not case.details.internal:  # from shelf to shelf before the way begins
        note_wrong_stop(case, units, (case.body.place, case.details.to_place), case.event.hash)
    case.put(
        Handover(
            release=case.event.hash,
            leaf_index=case.context.index,
            agency=keys[0].agency,
            officers=tuple(sorted({key.officer for key in keys})),
            roles=tuple(sorted({key.role for key in keys})),
            from_place=case.body.place,
            to_agency=case.details.to_agency,
            to_place=case.details.to_place,
            to_officer=case.details.to_officer,
            internal=case.details.internal,
            due_ms=due_ms,
            at_ms=case.event.at_ms,
            sensitivity=sensitivity,
            units=tuple(unit.unit for unit in units),
        )
    )


def _check_receiver(case: Case) -> None:
    told, agency = case.details, case.policy.agency_by_id.get(case.details.to_agency)
    if agency is None:
        case.refuse("unknown_agency", "The policy knows no such agency.", agency=told.to_agency)
    if agency.kind == "supervisor":
        case.refuse(
            "supervisor_handles", "A supervisor observes and witnesses and never handles goods.", agency=agency.id
        )
    if told.to_place not in case.policy.place_by_id:
        case.refuse("unknown_place", "The policy knows no such place.", place=told.to_place)


def _check_releasable(case: Case, unit: Unit) -> None:
    if unit.parent is not None:
        sealed = any(above.seals for above in case.above(unit))
        code = "sealed_parent" if sealed else "packed"
        case.refuse(code, "The unit lies in a container; release the container.", unit=unit.unit, parent=unit.parent)
    case.holding_side(unit)
    _check_flags(case, unit)
    destination = unit.destination
    if (
        destination
        and unit.lifecycle not in SEALED_OR_LATER
        and not case.policy.serves(case.details.to_place, destination)
    ):
        case.refuse(
            "wrong_destination",
            "That place does not serve the unit's station.",
            unit=unit.unit,
            destination=destination,
        )


def _check_flags(case: Case, unit: Unit) -> None:
    """Refuse what the signers could know to be blocked; flag what they could not.

    They could know a flag whose leaf lies inside the tree that their phone had seen.
    """
    for flag in ("hold", "quarantine", "missing"):
        since = unit.flag_since.get(flag)
        if since is None:
            continue
        if since < case.body.checkpoint.size:
            case.refuse(flag, f"The unit is under {flag}.", unit=unit.unit, since=since)
        case.report("MOVED_UNDER_HOLD", "tinggi", unit=unit.unit, flag=flag, since=since)


def _check_escort(case: Case, units: list[Unit]) -> None:
    escorted = any(
        case.policy.agency_by_id[key.agency].kind in ESCORTS
        for key in case.keys_as("escort")
        if key.agency in case.policy.agency_by_id
    )
    if escorted or not any(_wants_escort(case, unit) for unit in units):
        return
    if case.details.override is None:
        case.refuse(
            "policy_unmet",
            "Goods of this sensitivity travel with an escort, or by a signed override.",
            missing="escort",
        )
    case.report("NO_ESCORT", "tinggi", handover=case.event.hash, reason=case.details.override.reason)


def _wants_escort(case: Case, unit: Unit) -> bool:
    station = case.plan.station_by_place.get(unit.destination) if case.plan and unit.destination else None
    return station.needs_escort(case.details.to_place) if station is not None else True


def _note_unsealed(case: Case, unit: Unit) -> None:
    bound = unit.destination is not None and unit.lifecycle not in SEALED_OR_LATER
    if bound and case.item(unit.item).seal_required and not unit.seals and "unsealed" not in unit.flags:
        case.report("UNSEALED", "tinggi", unit=unit.unit)
        case.put(evolve(unit, flag_since={**unit.flag_since, "unsealed": case.context.index}))


# -- the receiving side ----------------------------------------------------------------------------------


def accept(case: Case) -> None:
    """Take over what a release gave, but for the exceptions."""
    if case.details.release is None:
        _unsolicited(case)
        return
    handover = _open_handover(case, case.details.release)
    keys = _taking_side(case, handover)
    case.need_officers(keys, case.policy.signing_by_sensitivity[handover.sensitivity].accept)
    exceptions = _exceptions(case, handover)
    units = [case.get(Unit, named) for named in handover.units]
    if any(unit.lifecycle not in SEALED_OR_LATER for unit in units):
        note_late(case, handover, units)
    if case.body.place != handover.to_place:  # a wrong stop that the release named was told then
        note_wrong_stop(case, units, (handover.from_place, case.body.place), handover.release)
    place = case.policy.place_by_id[case.body.place]
    if not place.registered and SENSITIVITY_RANK[handover.sensitivity]:
        case.report("PLACE_UNREGISTERED", "tinggi", handover=handover.release, place=place.id)
    for named in handover.units:
        _accept_line(case, handover, named, exceptions.get(named), keys[0])
    case.put(
        evolve(
            handover,
            status="partial" if exceptions else "accepted",
            closed_index=case.context.index,
            closed_by=case.event.hash,
            exceptions=tuple((line.unit, line.kind, line.reason) for line in case.details.exceptions),
        )
    )


def _open_handover(case: Case, release_hash: str) -> Handover:
    handover = case.handover(release_hash)
    if handover is None:
        told = case.recorded(release_hash)
        if told is None or (told.result in {"pending", "held"} and told.outcome is None):
            case.wait("pending_predecessor", awaited=release_hash)
        case.refuse("release_not_effective", "The release it names was refused or is none.", release=release_hash)
    if handover.status in {"accepted", "partial"}:
        case.refuse(
            "already_accepted", "That release was accepted before.", release=release_hash, by=handover.closed_by
        )
    if handover.status == "rejected":
        case.refuse(
            "handover_rejected", "That release was rejected before.", release=release_hash, by=handover.closed_by
        )
    if handover.status == "cancelled" and (handover.closed_index or 0) < case.body.checkpoint.size:
        case.refuse(
            "handover_cancelled", "That release was cancelled before.", release=release_hash, by=handover.closed_by
        )
    return handover


def _taking_side(case: Case, handover: Handover) -> list[Key]:
    keys = case.side("taker")
    if keys[0].agency != handover.to_agency:
        case.refuse("not_named_taker", "The release names another receiver.", agency=handover.to_agency)
    if handover.to_officer is not None and handover.to_officer not in {key.officer for key in keys}:
        case.refuse("not_named_taker", "The release names another officer.", officer=handover.to_officer)
    if {key.officer for key in keys} & set(handover.officers):
        case.report("SELF_ACCEPT", "kritis", handover=handover.release, sticky=True)
        case.refuse("self_accept", "The same officer never signs both sides.", release=handover.release)
    same = keys[0].agency == handover.agency and {key.role for key in keys} & set(handover.roles)
    if same and not handover.internal:
        case.refuse(
            "same_side",
            "Between officers of one role a release must say that it is internal.",
            release=handover.release,
        )
    return keys


def _exceptions(case: Case, handover: Handover) -> dict[str, Any]:
    exceptions = {line.unit: line for line in case.details.exceptions}
    if len(exceptions) != len(case.details.exceptions) or not set(exceptions) <= set(handover.units):
        case.refuse("exceptions", "Exceptions name units of the release, each once.")
    here = [unit for unit in handover.units if unit not in exceptions or exceptions[unit].kind != "missing"]
    if case.details.scanned.n != len(here) or case.details.scanned.hash != ids_hash(here):
        case.refuse(
            "scan_mismatch", "What was scanned is not the release without its missing units.", expected=len(here)
        )
    return exceptions


def _accept_line(case: Case, handover: Handover, named: str, exception: Any, taker: Key) -> None:
    unit: Unit = case.get(Unit, named)
    loose = unit.handover is None and unit.parent is None and unit.custody == "held"
    given_back = handover.status == "cancelled" and loose and unit.agency == handover.agency
    mine = unit.handover == handover.release or given_back
    act = "custody.accept:destination" if unit.destination == case.body.place else "custody.accept"
    if not mine or next_state(act, unit.lifecycle) is None:
        case.report("LINE_CONFLICT", "tinggi", unit=named, handover=handover.release, lifecycle=unit.lifecycle)
        return
    if exception is not None and exception.kind != "damaged":
        _exception_line(case, handover, unit, exception)
        return
    _note_line(case, handover, unit, exception)
    unit = case.get(Unit, named)
    if exception is not None and unit.condition != "damaged":
        _tally_damage(case, unit)
    agencies = unit.agencies if taker.agency in unit.agencies else (*unit.agencies, taker.agency)
    case.advance(
        act,
        unit,
        custody="held",
        agency=taker.agency,
        officer=taker.officer,
        place=case.body.place,
        handover=None,
        since_index=case.context.index,
        agencies=agencies,
        condition="damaged" if exception is not None else unit.condition,
    )


def _tally_damage(case: Case, unit: Unit) -> None:
    """Count a unit that arrived damaged as such, as the balance counts every other change of condition."""
    if unit.condition != "good":
        case.tally(f"is:{unit.condition}", unit, -unit.quantity)
    case.tally("is:damaged", unit, unit.quantity)


def _exception_line(case: Case, handover: Handover, unit: Unit, exception: Any) -> None:
    if exception.kind == "missing":
        case.report("SHORT", "tinggi", unit=unit.unit, handover=handover.release, reason=exception.reason)
        flags = {**unit.flag_since, "missing": case.context.index}
        case.advance("custody.reject", unit, custody="uncertain", handover=None, flag_since=flags)
        return
    case.report("REJECTED", "sedang", unit=unit.unit, handover=handover.release, reason=exception.reason)
    case.advance("custody.reject", unit, custody="held", handover=None)


def _note_line(case: Case, handover: Handover, unit: Unit, exception: Any) -> None:
    if exception is not None:
        case.report("DAMAGED", "sedang", unit=unit.unit, handover=handover.release, reason=exception.reason)
    note_wrong_destination(case, unit, case.body.place)
    if unit.destination is None and case.body.place != handover.to_place:
        case.report("WRONG_DEST", "tinggi", unit=unit.unit, handover=handover.release, expected=handover.to_place)
    _note_unsealed(case, unit)
    unit = case.get(Unit, unit.unit)
    learned = [flag for flag in ("hold", "quarantine") if unit.flag_since.get(flag, -1) > handover.leaf_index]
    if handover.status == "cancelled" or learned:
        why = learned[0] if learned else "cancel"
        case.report("HANDOVER_CONTRADICTED", "tinggi", unit=unit.unit, handover=handover.release, learned=why)
        case.put(evolve(unit, flag_since={"quarantine": case.context.index, **unit.flag_since}))


def _unsolicited(case: Case) -> None:
    """Record goods that came without a release: orphan, quarantined, holder unchanged."""
    case.side("taker")
    for named in case.body.units:
        unit = case.find_unit(named)
        label: Label | None = case.get(Label, named)
        if label is not None and label.status == "retired":
            case.report("RETIRED_LABEL", "kritis", unit=named, successor=label.successor)
        if unit is None:
            case.report("UNKNOWN_LABEL", "tinggi", unit=named)
            continue
        if unit.lifecycle == "destroyed":
            case.report("RESURRECTED_UNIT", "kritis", unit=unit.unit)
        case.report("UNSOLICITED", "tinggi", unit=unit.unit, holder=unit.agency)
        index = case.context.index
        case.put(evolve(unit, flag_since={"orphan": index, "quarantine": index, **unit.flag_since}))
        case.link((unit,))


def reject(case: Case) -> None:
    """Take nothing: the goods stay with the releaser."""
    handover = _open_handover(case, case.details.release)
    if handover.status == "cancelled":
        case.refuse("handover_cancelled", "That release was cancelled before.", release=handover.release)
    _taking_side(case, handover)
    case.report("REJECTED", "sedang", handover=handover.release, reason=case.details.reason)
    _give_back(case, handover, "custody.reject", "rejected")


def cancel(case: Case) -> None:
    """Take a release back: at once if the named taker signed too, else when it falls due without an accept."""
    handover = case.handover(case.details.release)
    if handover is None:
        _open_handover(case, case.details.release)
        return
    if handover.status != "open":
        code = "already_accepted" if handover.status in {"accepted", "partial"} else f"handover_{handover.status}"
        case.refuse(code, "That handover is over.", release=handover.release, by=handover.closed_by)
    keys = case.side("giver")
    if keys[0].agency != handover.agency:
        case.refuse("not_holder", "Only the releaser cancels.", holder=handover.agency)
    takers = {key.officer for key in case.keys_as("taker") if key.agency == handover.to_agency}
    named = handover.to_officer in takers if handover.to_officer is not None else bool(takers)
    if not named and not case.context.due and case.context.received_ms < handover.due_ms:
        case.wait("cancel_waits", due_ms=handover.due_ms)
    _give_back(case, handover, "custody.cancel", "cancelled")


def _give_back(case: Case, handover: Handover, act: str, status: str) -> None:
    for named in handover.units:
        unit: Unit = case.get(Unit, named)
        if unit.handover == handover.release:
            case.advance(act, unit, custody="held", handover=None)
    case.put(evolve(handover, status=status, closed_index=case.context.index, closed_by=case.event.hash))
