"""The one entrance of the rules: event and facts in, verdict out (pure).

Step 3 of a scan's walk. What holds for every type stands here, in order: the ledger is open, the keys count,
the device's sequence, the clock, the tree the phone saw, the mandate of every signer, what the event waits
for. Then the rule of its type. Signatures were proven before; the chain comes after.
"""

from app.custody.events import ZERO_HASH, Event
from app.custody.newkeys import introduced
from app.custody.rules import (
    amend,
    charter,
    containment,
    explaining,
    flags,
    foundation,
    handover,
    incidents,
    inspections,
    kits,
    labels,
    lots,
    observe,
    people,
    seals,
)
from app.custody.rules.case import Case, Context, Judgement, Refusal, WaitForEvent
from app.custody.state import Discrepancy, Facts
from app.errors import ServiceError
from app.keys.state import Device, Key
from app.quick import evolve

RULES = {
    "ledger.genesis": foundation.genesis,
    "policy.publish": foundation.publish_policy,
    "plan.publish": foundation.publish_plan,
    "key.enrol": people.enrol,
    "key.revoke": people.revoke,
    "decision": people.decide,
    "agency.join": charter.join,
    "founders.change": charter.change_founders,
    "ledger.rekey": charter.rekey,
    "labels.issue": labels.issue,
    "unit.commission": labels.commission,
    "unit.pack": containment.pack,
    "unit.unpack": containment.unpack,
    "lot.move": lots.move,
    "custody.release": handover.release,
    "custody.accept": handover.accept,
    "custody.reject": handover.reject,
    "custody.cancel": handover.cancel,
    "seal.apply": seals.apply,
    "seal.remove": seals.remove,
    "unit.open": seals.open_units,
    "unit.close": seals.close_units,
    "quarantine.set": flags.quarantine,
    "quarantine.clear": flags.clear_quarantine,
    "hold.set": flags.hold,
    "hold.clear": flags.clear_hold,
    "unit.void": flags.void,
    "unit.destroy": flags.destroy,
    "correction": amend.correct,
    "retraction": amend.retract,
    "sighting": observe.sighting,
    "inspection": observe.inspection,
    "count": observe.count,
    "seal.inspect": observe.seal_inspect,
    "position": observe.seen,
    "condition": observe.condition,
    "access": observe.seen,
    "departed": observe.departed,
    "arrived": observe.arrived,
    "discrepancy.explain": explaining.explain,
    "objection": explaining.object_to,
    "incident.report": incidents.report,
    "incident.update": incidents.update,
    "incident.close": incidents.close,
    "inspection.plan": inspections.plan,
    "inspection.open": inspections.open_inspection,
    "inspection.skip": inspections.skip,
    "inspection.close": inspections.close,
    "witness.attest": observe.attested,
    "witness.refuse": observe.refused_to_sign,
    "heads.commit": foundation.commit_heads,
    "verdict": foundation.verdict,
    "ledger.close": foundation.close,
    "shard.checkpoint": foundation.record_shard,
}


def judge(event: Event, facts: Facts, context: Context) -> Judgement:
    """Decide what becomes of a proven event under rules version 1.

    It checks neither signatures nor the chain and changes nothing: the caller puts the records of the
    answer. An event is never dropped: whatever the verdict, it goes on the ledger.

    Args:
        event: Proven, not yet judged; `at_ms` is the device's word.
        facts: Every record the event may touch, read in one transaction or rebuilt by replay.
        context: The moment, the policy and plans in force, and what the phone says it saw.

    Returns:
        The verdict (accepted, refused, pending, held) with code, facts, links and new records.

    Source: design section 5; domain reference sections 8 to 12.
    """
    case = Case(event, facts, context)
    standing = _standing(case) if event.type.name != "ledger.genesis" and context.origin_index is None else []
    judgement = _decide(case)
    judgement.records.extend(standing)
    return judgement


def _decide(case: Case) -> Judgement:
    try:
        _check_twin(case)
        if case.event.type.name != "ledger.genesis":
            _admit(case)
        RULES[case.event.type.name](case)
        kits.keep_accounts(case)
    except Refusal as no:
        return case.without_effect("refused", no.code, no.detail, no.facts)
    except ServiceError as error:  # a value that no shape forbids and no calendar has
        return case.without_effect("refused", error.code, error.detail, dict(error.facts))
    except WaitForEvent as wait:
        judgement = case.without_effect("pending", wait.code, "It takes effect when what it waits for arrives.")
        judgement.awaited, judgement.due_ms = wait.awaited, wait.due_ms
        return judgement
    except Held as held:
        return case.without_effect("held", held.code, "It takes effect only by a decision.", {"kid": held.kid})
    return case.accepted()


class Held(Exception):  # noqa: N818 - not an error: a verdict
    """A signer's key was revoked meanwhile: recorded, without effect until a decision."""

    def __init__(self, code: str, kid: str) -> None:
        """Name the key."""
        super().__init__(code)
        self.code = code
        self.kid = kid


def _check_twin(case: Case) -> None:
    """Refuse another payload under an id that its author has used."""
    first = case.first_of_id()
    if first is not None and first != case.event.hash:
        case.report("EVENT_ID_REUSE", "kritis", sticky=True, event_id=case.body.event_id, first=first)
        case.refuse(
            "event_id_reuse", "Another event of this author has that id.", event_id=case.body.event_id, first=first
        )


def _admit(case: Case) -> None:
    """Check what every event must satisfy before its own rule is asked."""
    event, meta = case.event, case.meta
    if meta.closed_index is not None and event.type.name != "verdict":
        case.refuse("ledger_closed", "This ledger is closed; nothing but verdicts follows.")
    own = introduced(event)
    keys = [case.key(kid) for kid in case.body.signers if kid not in own or case.get(Key, kid) is not None]
    for key in keys:
        if _revoked_before(case, key) and not case.context.decided:
            raise Held("key_revoked", key.kid)
    if event.type.kind == "service":
        if case.body.author != meta.service_kid:
            case.refuse("role", "Only the service's own key signs this type of event.")
        return
    if event.type.kind != "observation":
        _check_mandates(case, keys)
        _check_place(case)
        _check_after(case)
    elif case.context.policy is not None:
        _note_mandates(case, keys)


def _revoked_before(case: Case, key: Key) -> bool:
    """Say whether a key had ended when the event came: validity is by index, also of what waited since."""
    came = case.context.index if case.context.origin_index is None else case.context.origin_index
    return key.revoked_index is not None and key.revoked_index < came


def _acts_at(case: Case) -> int:
    """Return the moment that mandates are judged at: the device's word, but never after the server's."""
    return min(case.event.at_ms, case.context.received_ms)


def _check_mandates(case: Case, keys: list[Key]) -> None:
    now = _acts_at(case)
    for key in keys:
        if key.kind in {"administrator", "root"}:
            if case.event.type.kind != "foundation":
                case.refuse("role", "A founding key signs foundation events only.", kid=key.kid)
            continue
        if not key.valid_from_ms <= now <= key.valid_until_ms:
            case.refuse("mandate", "A signer's mandate does not cover that time.", kid=key.kid)
        rule = case.policy.role_by_code.get(key.role)
        capacity = case.body.signers[key.kid]
        if rule is None or capacity not in rule.capacities:
            case.refuse("role", f"The role {key.role} does not sign as {capacity}.", kid=key.kid, role=key.role)
        if capacity in {"giver", "taker"} and rule.acts and case.event.type.name not in rule.acts:
            case.refuse("role", f"The role {key.role} does not do {case.event.type.name}.", kid=key.kid, role=key.role)
        agency = case.policy.agency_by_id.get(key.agency)
        if agency is None:
            case.refuse("unknown_agency", "The policy knows no such agency.", agency=key.agency)
        if capacity in {"giver", "taker"} and agency.kind == "supervisor":
            case.refuse(
                "supervisor_handles", "A supervisor observes and witnesses and never handles goods.", kid=key.kid
            )
        if capacity in {"giver", "taker"} and key.place and not case.policy.within(case.body.place, key.place):
            case.refuse(
                "jurisdiction", "The place lies outside a signer's mandate.", kid=key.kid, place=case.body.place
            )


def _check_place(case: Case) -> None:
    policy = case.context.policy
    if policy is None or case.event.type.kind == "foundation":
        return
    if case.body.place not in policy.place_by_id:
        case.refuse("unknown_place", "The policy knows no such place.", place=case.body.place)
    if case.body.election not in policy.election_by_id:
        case.refuse("unknown_election", "The policy knows no such election.", election=case.body.election)


def _check_after(case: Case) -> None:
    for awaited in case.body.after:
        earlier = case.recorded(awaited)
        decides = case.event.type.name == "decision" and case.details.event == awaited
        undecided = earlier is not None and earlier.result in {"pending", "held"} and earlier.outcome is None
        if earlier is None or (undecided and not decides):
            case.wait("pending_predecessor", awaited=awaited)


def _note_mandates(case: Case, keys: list[Key]) -> None:
    now = _acts_at(case)
    for key in keys:
        if key.kind == "officer" and not key.valid_from_ms <= now <= key.valid_until_ms:
            case.report("MANDATE_EXPIRED", "sedang", kid=key.kid)
    place = case.policy.place_by_id.get(case.body.place)
    if place is None or not place.registered:
        case.report("PLACE_UNREGISTERED", "tinggi", place=case.body.place)


def _standing(case: Case) -> list[Discrepancy | Device]:
    """Return what is noted of every proven event, whatever its verdict: device sequence, clock, tree seen."""
    notes = Case(case.event, case._facts, case.context)  # noqa: SLF001 - the same case, answered apart
    notes.number_reports_from(1000)
    device = _advance_device(notes)
    _note_clock(notes)
    _note_tree(notes)
    return [*notes.reported(), device]


def _advance_device(notes: Case) -> Device:
    told, author = notes.body.device, notes.body.author
    known: Device | None = notes.get(Device, author)
    if known is None:
        known = Device(author, 0, ZERO_HASH, 0)
    if told.seq > known.seq:
        missing = known.missing
        if told.seq > known.seq + 1:
            gap = notes.report("SEQUENCE_GAP", "info", kid=author, first=known.seq + 1, last=told.seq - 1)
            missing = (*missing, (known.seq + 1, told.seq - 1, gap))[-64:]
        elif told.prev != known.hash:
            notes.report("SEQUENCE_FORK", "kritis", kid=author, seq=told.seq)
        return Device(author, told.seq, notes.event.hash, max(known.at_ms, notes.event.at_ms), missing)
    gap_hit = next((gap for gap in known.missing if gap[0] <= told.seq <= gap[1]), None)
    if gap_hit is None:
        notes.report("SEQUENCE_FORK", "kritis", kid=author, seq=told.seq)
        return known
    return evolve(known, missing=_filled(notes, known, gap_hit, told.seq))


def _filled(notes: Case, known: Device, gap: tuple[int, int, str], seq: int) -> tuple[tuple[int, int, str], ...]:
    first, last, found = gap
    parts = [(a, b, found) for a, b in ((first, seq - 1), (seq + 1, last)) if a <= b]
    if not any(other[2] == found for other in (*parts, *(g for g in known.missing if g != gap))):
        discrepancy: Discrepancy | None = notes.get(Discrepancy, found)
        if discrepancy is not None:
            notes.amend_report(evolve(discrepancy, status="resolved", ended_index=notes.context.index))
    return tuple(sorted([*(g for g in known.missing if g != gap), *parts]))


def _note_clock(notes: Case) -> None:
    """Flag a clock that cannot be right: ahead of the server, or behind a tree that the phone had already seen.

    A phone that was offline for a day is neither: its word lies between the tree it saw and our receipt.
    """
    skew_ms = 1000 * (notes.context.policy.clock_skew_seconds if notes.context.policy else 300)
    at, received, seen = notes.event.at_ms, notes.context.received_ms, notes.context.seen_ms
    if at > received + skew_ms:
        notes.report("CLOCK_SUSPECT", "rendah", kid=notes.body.author, ahead_seconds=(at - received) // 1000)
    elif at < seen - skew_ms:
        notes.report("CLOCK_SUSPECT", "rendah", kid=notes.body.author, behind_seconds=(seen - at) // 1000)


def _note_tree(notes: Case) -> None:
    """Raise the alarm of alarms: the phone holds a checkpoint that is not of this ledger's history."""
    seen = notes.body.checkpoint
    if notes.context.seen_root != seen.root:
        notes.report("SPLIT_VIEW", "kritis", kid=notes.body.author, size=seen.size)
