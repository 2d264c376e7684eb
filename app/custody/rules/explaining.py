"""Rules of explaining and objecting: nothing is balanced by itself, and nobody closes his own books alone (pure).

A discrepancy, or a difference in the balance, stays open until the holder's side has signed an explanation and another
agency a second one. Neither removes it: who explained what stays visible, and so does every objection (domain reference
sections 11 and 12.9).
"""

from app.custody.desk import AboutDiscrepancy, AboutGap
from app.custody.rules.case import Case
from app.custody.rules.observe import seen
from app.custody.state import Discrepancy, Gap, Handover, gap_id
from app.keys.state import Key
from app.quick import evolve
from app.units.state import Unit

HANDLES_GOODS = frozenset({"commission", "carrier", "vendor"})
Explanations = tuple[tuple[str, str, str, int], ...]


def explain(case: Case) -> None:
    """Take one agency's explanation; the second of two that count closes it."""
    about = case.details.about
    if isinstance(about, AboutDiscrepancy):
        _explain_discrepancy(case, about.discrepancy)
    else:
        _explain_gap(case, about)


def _explain_discrepancy(case: Case, named: str) -> None:
    found: Discrepancy | None = case.get(Discrepancy, named)
    if found is None:
        case.refuse("unknown_discrepancy", "The ledger has noted no such discrepancy.", discrepancy=named)
    if found.status != "open":
        case.refuse("not_open", "That discrepancy is closed already.", discrepancy=named, status=found.status)
    explained = _with_ours(case, found.explained)
    changed = evolve(found, explained=explained)
    if _closes(explained, _sides(case, found)):
        changed = evolve(changed, status="explained", ended_index=case.context.index)
    case.put(changed)


def _explain_gap(case: Case, about: AboutGap) -> None:
    """Note an explanation of a difference that somebody reckoned; whether the balance has it, the reckoning says."""
    election = case.policy.election_by_id[case.body.election]
    if about.contest not in {contest.id for contest in election.contests}:
        case.refuse("unknown_contest", "The election has no such contest.", contest=about.contest)
    if about.place is not None and about.place not in case.policy.place_by_id:
        case.refuse("unknown_place", "The policy knows no such place.", place=about.place)
    if about.difference == 0 or about.size > case.context.index:
        case.refuse("no_gap", "There is nothing to explain: no difference, or of a tree that is not there yet.")
    key = gap_id(case.body.election, about.contest, about.identity, about.place, about.difference)
    found: Gap | None = case.get(Gap, key)
    if found is None:
        found = Gap(
            key, case.context.index, case.body.election, about.contest, about.identity, about.place, about.difference,
            about.size, (),
        )  # fmt: skip
    if found.closed_index is not None:
        case.refuse("not_open", "That difference is explained already.", gap=key)
    explained = _with_ours(case, found.explained)
    closed = case.context.index if _closes(explained, _handlers(case, explained)) else None
    case.put(evolve(found, explained=explained, closed_index=closed))


def _with_ours(case: Case, explained: Explanations) -> Explanations:
    """Return the explanations with the author's agency's, which may give one only."""
    key: Key = case.key(case.body.author)
    if any(agency == key.agency for agency, *_ in explained):
        case.refuse("already_explained", "Your agency has explained it; another agency is needed.", agency=key.agency)
    return (*explained, (key.agency, case.event.hash, case.details.reason, case.context.index))


def _closes(explained: Explanations, sides: frozenset[str]) -> bool:
    """Say whether one of the holder's side and one other agency have explained it."""
    agencies = [agency for agency, *_ in explained]
    return len(agencies) > 1 and any(agency in sides for agency in agencies)


def _sides(case: Case, found: Discrepancy) -> frozenset[str]:
    """Return the agencies that held, gave or were to take the goods, or whose event it was noted of."""
    sides = {found.agency}
    unit: Unit | None = case.get(Unit, found.unit) if found.unit is not None else None
    if unit is not None:
        sides.add(case.outermost(unit).agency)
    handover: Handover | None = case.handover(found.handover) if found.handover is not None else None
    if handover is not None:
        sides |= {handover.agency, handover.to_agency}
    return frozenset(side for side in sides if side is not None)


def _handlers(case: Case, explained: Explanations) -> frozenset[str]:
    """Return those of the agencies that handle goods: the balance is kept by all of them."""
    known = case.policy.agency_by_id
    return frozenset(agency for agency, *_ in explained if agency in known and known[agency].kind in HANDLES_GOODS)


def object_to(case: Case) -> None:
    """Record an objection beside what it is about; whoever signs it, and whether or not we know what he means."""
    seen(case)
    about = case.details.about
    if not isinstance(about, AboutDiscrepancy):
        return
    found: Discrepancy | None = case.get(Discrepancy, about.discrepancy)
    if found is not None and len(found.objections) < MAX_OBJECTIONS:
        changed = evolve(found, objections=(*found.objections, case.event.hash))
        case.put(changed)


MAX_OBJECTIONS = 64
"""Kept with a discrepancy; every one is on the ledger."""
