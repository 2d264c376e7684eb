"""Rules of inspections: the hidden plan, the freeze, what counts as looked at, and how it ends (pure).

planned → open → closed; only a surprise inspection is planned. What a rule can know is what the events themselves say:
the inventory and the sample are kept as stated, and `app.audit.inspections` compares both with what the ledger gives
(ADR 25). Source: domain reference section 10, A20 and A21, and section 12.3.
"""

from collections.abc import Iterable

from app.custody.inspections import MAX_COUNTED, plan_commitment
from app.custody.rules.case import Case
from app.custody.rules.labels import ids_hash
from app.custody.state import Inspection
from app.keys.state import Key
from app.quick import evolve
from app.units.state import Unit

INSPECTORS = frozenset({"supervisor", "police", "auditor"})
"""Kinds of agencies that inspect what others hold, unannounced where they like."""
HOLDERS = frozenset({"commission", "carrier", "vendor"})
"""Kinds that handle goods and may inspect what lies at the places of their mandates."""
MAX_EVENTS = 512
MAX_SKIPPED = 512
"""Whoever leaves out more has not inspected."""


def plan(case: Case) -> None:
    """Keep a commitment to a surprise inspection; nothing about the event may tell where it will be."""
    key = _inspector(case, INSPECTORS)
    tells = case.body.units or case.body.after or case.body.private
    if tells or case.body.place != _seat(case, key):
        case.refuse(
            "plan_tells",
            "A hidden plan names no units, events or contents, and is signed at the seat of its author's mandate.",
        )
    case.put(Inspection(
        id=case.event.hash, leaf_index=case.context.index, kind="surprise", status="planned",
        election=case.body.election, place=case.body.place, agency=key.agency, officer=key.officer,
        commitment=case.details.commitment, latest_index=case.context.index, events=(case.event.hash,),
    ))  # fmt: skip


def _seat(case: Case, key: Key) -> str:
    """Return the one place that a plan is signed at: it is the same for every plan, so that it tells nothing."""
    if key.place is not None:
        return key.place
    return next((place.id for place in case.policy.places if place.parent is None), "")


def _inspector(case: Case, kinds: frozenset[str]) -> Key:
    """Return the author's key, refusing agencies of other kinds."""
    key = case.key(case.body.author)
    agency = case.policy.agency_by_id.get(key.agency)
    if agency is None or agency.kind not in kinds:
        case.refuse("role", "An agency of that kind does not open this kind of inspection.", kinds=sorted(kinds))
    return key


def open_inspection(case: Case) -> None:
    """Freeze the inventory as stated; a surprise inspection reveals its plan by it."""
    told = case.details
    _no_units(case)
    key = _inspector(case, INSPECTORS if told.kind == "surprise" else INSPECTORS | HOLDERS)
    if key.place is not None and not case.policy.within(case.body.place, key.place):
        case.refuse("jurisdiction", "The place lies outside a signer's mandate.", kid=key.kid, place=case.body.place)
    for code in told.items:
        case.item(code)
    if told.inventory.n == 0 or (told.kind == "full" and told.inventory.n > MAX_COUNTED):
        case.refuse(
            "quantity", f"There is nothing to inspect, or more than {MAX_COUNTED} units: open one for each part.",
            most=MAX_COUNTED,
        )  # fmt: skip
    planned = _revealed(case, key)
    case.put(Inspection(
        id=planned.id if planned else case.event.hash, leaf_index=planned.leaf_index if planned else case.context.index,
        kind=told.kind, status="open", election=case.body.election, place=case.body.place, agency=key.agency,
        officer=key.officer, commitment=planned.commitment if planned else None, opened=case.event.hash,
        frozen_index=case.context.index, opened_ms=case.context.received_ms, items=told.items, contents=told.contents,
        confidence=told.confidence, rate=told.rate, n=told.inventory.n, ids_hash=told.inventory.hash,
        latest_index=case.context.index, events=(*(planned.events if planned else ()), case.event.hash),
    ))  # fmt: skip


def _no_units(case: Case) -> None:
    """Refuse a command that names units of its own: their evidence would need an inspection that it does not hold."""
    if case.body.units:
        case.refuse("units_mismatch", "An inspection's commands name units in their details only.")


def _revealed(case: Case, key: Key) -> Inspection | None:
    """Return the plan that an opening reveals: just this place and these terms, committed to before by this agency."""
    told = case.details
    if told.kind != "surprise":
        if told.plan is not None or told.salt is not None:
            case.refuse("plan_mismatch", "Only a surprise inspection has a hidden plan.")
        return None
    if told.plan is None or told.salt is None:
        case.refuse(
            "policy_unmet", "A surprise inspection was planned before; name the plan and its salt.", missing="plan"
        )
    found = _inspection(case, told.plan)
    if found.agency != key.agency:
        case.refuse("not_your_agency", "Another agency planned that inspection.", agency=found.agency)
    if found.status != "planned":
        case.refuse("inspection_state", "That plan was carried out already.", status=found.status)
    if plan_commitment(told.salt, case.body.place, case.body.election, told) != found.commitment:
        case.refuse("plan_mismatch", "The plan was for another place or on other terms.")
    return found


def _inspection(case: Case, named: str) -> Inspection:
    found: Inspection | None = case.get(Inspection, named)
    if found is None:
        if case.recorded(named) is not None:
            case.refuse("unknown_inspection", "That event began no inspection.", event=named)
        case.wait("pending_predecessor", awaited=named)
    return found


def _ours(case: Case) -> Inspection:
    """Return the open inspection that a command is about, refusing other agencies than the one that opened it."""
    _no_units(case)
    found = _inspection(case, case.details.inspection)
    key = case.key(case.body.author)
    if key.agency != found.agency:
        case.refuse("not_your_agency", "Who opened an inspection goes on with it.", agency=found.agency)
    if found.status != "open":
        case.refuse("inspection_state", "That inspection is not open.", status=found.status)
    return found


def count_in(case: Case, units: Iterable[Unit], *, failed: bool) -> None:
    """Count what an observation looked at; what cannot be counted is told, never refused.

    Only the agency that opened an inspection adds to it. What was found bad stays so: a later good look heals nothing.
    """
    named = case.details.of
    found: Inspection | None = case.get(Inspection, named)
    inspected = tuple(dict.fromkeys((*found.inspected, *(unit.unit for unit in units)))) if found is not None else ()
    why = _not_counted(case, found, len(inspected))
    if found is None or why is not None:
        case.report("INSPECTION_NOT_COUNTED", "rendah", of=named, why=why)
        return
    bad = tuple(dict.fromkeys((*found.failed, *(unit.unit for unit in units)))) if failed else found.failed
    seen = set(inspected)
    case.put(evolve(
        found, inspected=inspected, failed=bad, skipped=tuple(one for one in found.skipped if one[0] not in seen),
        **_moved(case, found),
    ))  # fmt: skip


def _not_counted(case: Case, found: Inspection | None, count: int) -> str | None:
    if found is None:
        return "unknown"
    if found.status != "open":
        return found.status
    if found.agency not in {case.key(kid).agency for kid in case.body.signers}:
        return "other_agency"
    return "full" if count > MAX_COUNTED else None


def _moved(case: Case, found: Inspection) -> dict[str, object]:
    return {"latest_index": case.context.index, "events": (*found.events, case.event.hash)[:MAX_EVENTS]}


def skip(case: Case) -> None:
    """Note units that are left out, with the reason; what was looked at cannot be left out any more."""
    found = _ours(case)
    known = dict(found.skipped)
    for line in case.details.lines:
        unit = case.unit(line.unit)
        if unit.unit in found.inspected:
            case.refuse("already_inspected", "That unit was inspected already.", unit=unit.unit)
        known[unit.unit] = line.reason
    if len(known) > MAX_SKIPPED:
        case.refuse("quantity", f"At most {MAX_SKIPPED} units are left out of one inspection.", most=MAX_SKIPPED)
    case.put(evolve(found, skipped=tuple(known.items()), **_moved(case, found)))


def close(case: Case) -> None:
    """End an inspection: its figures must be those that its own events give, and what was left must be stated."""
    found, told = _ours(case), case.details
    sample = _sample(case, found)
    counts = (len(sample & set(found.inspected)), len(sample & set(found.failed)))
    if (told.inspected, told.found) != counts:
        case.refuse(
            "wrong_count", "The events of the inspection give other counts.", inspected=counts[0], found=counts[1]
        )
    if told.left and not told.incomplete:
        case.refuse(
            "inspection_incomplete", "Units of the sample were neither inspected nor skipped.", left=len(told.left)
        )
    if told.left:
        case.report(
            "INSPECTION_INCOMPLETE", "tinggi", place=found.place, inspection=found.id, sample=len(sample),
            left=len(told.left),
        )  # fmt: skip
    case.put(evolve(
        found, status="closed", sample_n=told.sample.n, sample_hash=told.sample.hash, inspected_n=told.inspected,
        found_n=told.found, left_n=len(told.left), minutes=told.minutes, closed_index=case.context.index,
        closed_ms=case.context.received_ms, **_moved(case, found),
    ))  # fmt: skip


def _sample(case: Case, found: Inspection) -> set[str]:
    """Return the sample as its closing states it, refusing one that is not of its own hash.

    Whether it is the one that was drawn needs the seed and the inventory, which are not on the ledger: the audit says.
    """
    told = case.details
    counted = {*found.inspected, *dict(found.skipped)}
    if not counted.issuperset(told.aside) or not counted.isdisjoint(told.left):
        case.refuse("units_mismatch", "Only what was looked at or skipped is aside, and only what was not is left.")
    sample = (counted - set(told.aside)) | set(told.left)
    stated = (told.sample.n, told.sample.hash)
    whole = found.kind != "full" or stated == (found.n, found.ids_hash)
    if (len(sample), ids_hash(list(sample))) != stated or not whole:
        case.refuse(
            "sample_mismatch", "What was inspected, skipped and left does not make up that sample.", counted=len(sample)
        )
    return sample
