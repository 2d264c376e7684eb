"""Rules of observations: what was seen is recorded, whatever the plan says; contradictions become rows (pure).

The one refusal is the secrecy wall: once a pack was opened at a polling station, ballots are counted and
never tracked (design section 4, domain reference sections 9 and 12.1).
"""

from collections.abc import Iterator

from app.custody.details import CountLine, InspectedThing
from app.custody.rules.case import Case
from app.custody.rules.inspections import count_in
from app.custody.rules.seals import judge_findings
from app.custody.rules.windows import note_wrong_destination, note_wrong_stop
from app.custody.state import Severity
from app.custody.statetable import next_state
from app.quick import evolve
from app.units.state import Label, Unit

BEHIND_THE_WALL = frozenset({"opened", "closed", "returned"})


def _seen(case: Case) -> Iterator[Unit]:
    """Yield the known units of an observation, linked; report what is unknown, retired or destroyed."""
    for named in case.body.units:
        label: Label | None = case.get(Label, named)
        unit = case.find_unit(named)
        if label is not None and label.status == "retired":
            case.report("RETIRED_LABEL", "kritis", unit=named, successor=label.successor)
        if unit is None:
            case.report("UNKNOWN_LABEL", "tinggi", unit=named)
            continue
        _wall(case, unit)
        if unit.lifecycle == "destroyed":
            case.report("RESURRECTED_UNIT", "kritis", unit=unit.unit)
        case.link((unit,))
        yield unit


def _wall(case: Case, unit: Unit) -> None:
    """Refuse to say anything of a single pack of ballots whose container was opened at a station."""
    if unit.contest is None or case.item(unit.item).kind != "lot":
        return
    inside = any(above.lifecycle in BEHIND_THE_WALL for above in case.above(unit))
    if inside or unit.lifecycle == "opened":
        case.report("SECRECY_WALL", "tinggi", unit=unit.unit, sticky=True)
        case.refuse("secrecy_wall", "Once opened at a station, ballots are counted, never tracked.", unit=unit.unit)


def seen(case: Case) -> None:
    """Record that units were here."""
    for _ in _seen(case):
        pass


def sighting(case: Case) -> None:
    """Record a scan; a unit where it does not belong becomes a row."""
    for unit in _seen(case):
        note_wrong_destination(case, case.outermost(unit) if unit.parent else unit, case.body.place)
        if "missing" in unit.flags:
            case.report("MISSING_SEEN", "sedang", unit=unit.unit)


def inspection(case: Case) -> None:
    """Record a warehouse check; the holder's conforming check makes received goods usable."""
    failed = [thing for thing in case.details.things if not thing.conform]
    units = list(_seen(case))
    for unit in units:
        for thing in failed:
            _note_failed(case, thing, unit.unit)
        mine = case.author_agency == case.outermost(unit).agency
        if mine and not failed and next_state("inspection:conform", unit.lifecycle) is not None:
            case.advance("inspection:conform", case.get(Unit, unit.unit))
    if failed and not case.body.units:
        for thing in failed:
            _note_failed(case, thing, None)
    if case.details.of is not None:
        count_in(case, units, failed=bool(failed))


def _note_failed(case: Case, thing: InspectedThing, unit: str | None) -> None:
    """Report what does not conform; the inspector's reason is a fact and never names the rule."""
    case.report(f"NOT_CONFORM_{thing.what}", "sedang", unit=unit, what=thing.what, reason=thing.reason)


def count(case: Case) -> None:
    """Record an official count and compare it with the waybill, the plan's kit or the ledger."""
    for _ in _seen(case):
        pass
    for line in case.details.lines:
        unit = case.find_unit(line.unit) if line.unit else None
        if unit is not None:
            _wall(case, unit)
            _note_capacity(case, unit, line)
        expected = line.expected
        if expected is None and unit is not None and line.item in {None, unit.item}:
            expected = unit.quantity
        compared = case.details.basis != "kit" or line.unit is not None
        if compared and expected is not None and line.counted != expected:
            _note_count(
                case, line.counted, expected, unit=unit.unit if unit else None, item=line.item, contest=line.contest
            )
    if case.details.basis == "kit":
        _compare_kit(case)


def _note_capacity(case: Case, container: Unit, line: CountLine) -> None:
    """Report a count of more than a container holds: seen is seen, no override is needed (domain section 9)."""
    plan = case.context.plans.get(container.election)
    limit = plan.limits.get((container.item, line.item or "")) if plan is not None else None
    if limit is not None and line.counted > limit:
        case.report(
            "CAPACITY_EXCEEDED", "sedang", unit=container.unit, item=line.item, contest=line.contest, capacity=limit,
            counted=line.counted,
        )  # fmt: skip


def _note_count(
    case: Case, counted: int, expected: int, *, unit: str | None, item: str | None, contest: str | None
) -> None:
    rule = "SHORT" if counted < expected else "OVER"
    severity: Severity = "tinggi" if rule == "SHORT" else "sedang"
    case.report(rule, severity, unit=unit, expected=expected, counted=counted, item=item, contest=contest)


def _compare_kit(case: Case) -> None:
    station = case.plan.station_by_place.get(case.body.place) if case.plan is not None else None
    if station is None:
        return
    found = {(line.item, line.contest): line.counted for line in case.details.lines if line.item}
    for line in station.kit:
        counted = found.get((line.item, line.contest), 0)
        if counted != line.quantity:
            _note_count(case, counted, line.quantity, unit=None, item=line.item, contest=line.contest)


def seal_inspect(case: Case) -> None:
    """Record seals as found; anything but the bound number, intact, sets the unit apart."""
    for unit in _seen(case):
        lines = [line for line in case.details.seals if _names(case, line.unit, unit)]
        if lines and judge_findings(case, unit, lines, every=False):
            fresh: Unit = case.get(Unit, unit.unit)
            case.put(evolve(fresh, flag_since={"quarantine": case.context.index, **fresh.flag_since}))


def _names(case: Case, label: str, unit: Unit) -> bool:
    named = case.find_unit(label)
    return named is not None and named.unit == unit.unit


def condition(case: Case) -> None:
    """Record a condition; a serialised thing of the reporting holder takes it on, a lot never does."""
    told = case.details
    for unit in _seen(case):
        if told.condition == "damaged":
            case.report("DAMAGED", "sedang", unit=unit.unit, reason=told.reason)
        mine = case.author_agency == case.outermost(unit).agency
        if mine and unit.contest is None and unit.condition in {"good", "damaged"}:
            case.put(evolve(case.get(Unit, unit.unit), condition=told.condition))


def departed(case: Case) -> None:
    """Record a departure; one whose release is not here yet stands all the same."""
    for _ in _seen(case):
        pass


def arrived(case: Case) -> None:
    """Record an arrival; at another stop than the release named, goods off their station's route become a row."""
    units = list(_seen(case))
    handover = case.handover(case.details.release)
    if handover is not None and handover.to_place != case.body.place and case.context.policy is not None:
        note_wrong_stop(case, units, (handover.from_place, case.body.place), handover.release)


def attested(case: Case) -> None:
    """Record what a witness confirms, beside the units that he names."""
    seen(case)


def refused_to_sign(case: Case) -> None:
    """Record that a witness was there and does not sign: a fact to look into, whatever its reason."""
    for unit in _seen(case):
        case.report("WITNESS_REFUSED", "sedang", unit=unit.unit, reason=case.details.reason, of=case.details.event)
    if not case.body.units:
        case.report("WITNESS_REFUSED", "sedang", reason=case.details.reason, of=case.details.event)
