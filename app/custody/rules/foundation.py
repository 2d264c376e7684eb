"""Rules of the ledger itself: genesis, policy and plan in force, and what the service may say (pure).

Source: design section 6. The genesis is signed by everyone it names and pinned by its hash; nobody can add a
founder by naming him.
"""

from app.canon import b64url_encode
from app.custody.rules.case import Case
from app.custody.state import EventRef, Meta, Shard
from app.errors import ServiceError
from app.keys.state import Device, Key
from app.keys.verify import PublicKey
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import VerifierKey
from app.quick import evolve
from app.units.documents import Plan, Policy

FOREVER_MS = 4_102_444_800_000  # 2100-01-01, the end of the times we accept


def new_key(case: Case, jwk: PublicKey, kind: str, officer: str, agency: str) -> Key:
    """Return the record of a key that founds or joins: it has no mandate that ends and no place."""
    return Key(
        kid=jwk.kid, alg=jwk.alg, raw=b64url_encode(jwk.raw), kind=kind, officer=officer, agency=agency,  # type: ignore[arg-type]
        role="FOUNDER" if kind == "administrator" else kind.upper(), place=None,
        access=("administrator", "registrar", "operator", "auditor") if kind == "administrator" else (),
        valid_from_ms=0, valid_until_ms=FOREVER_MS, enrolled_index=case.context.index,
    )  # fmt: skip


def founding_keys(case: Case) -> list[Key]:
    """Return every key that a genesis names: founders, agency roots, the service's and the admission key."""
    told = case.details
    named = [
        *((f.jwk, "administrator", f.officer, f.agency) for f in told.administrators),
        *((a.jwk, "root", f"ROOT-{a.agency}", a.agency) for a in told.agencies),
        (told.service_key, "service", "SERVICE", "SERVICE"),
        (told.admission_key, "admission", "ADMISSION", "SERVICE"),
    ]
    return [new_key(case, PublicKey.from_jwk(jwk.model_dump(exclude_none=True)), *rest) for jwk, *rest in named]


def genesis(case: Case) -> None:
    """Found the ledger: leaf 0, signed by every founder and every agency root it names."""
    if case.context.index != 0 or case.get(Meta, "ledger") is not None:
        case.refuse("genesis_exists", "A ledger has one genesis, and it is leaf 0.")
    keys = founding_keys(case)
    kids = [key.kid for key in keys]
    if len(set(kids)) != len(kids):
        case.refuse("key_reused", "The genesis names one key twice.")
    must_sign = {key.kid for key in keys if key.kind in {"administrator", "root"}}
    if set(case.body.signers) != must_sign:
        case.refuse("signature_set", "Every founder and every agency root signs the genesis, and nobody else.")
    founders = tuple(sorted({key.officer for key in keys if key.kind == "administrator"}))
    if case.details.policy_signers > len(founders):
        case.refuse("policy_unmet", "The genesis asks for more policy signers than it has founders.")
    service = next(key for key in keys if key.kind == "service")
    case.put(*keys)
    case.put(Device(case.body.author, case.body.device.seq, case.event.hash, case.event.at_ms))
    case.put(Meta(
        "ledger", origin=case.body.ledger, demo=case.details.demo, service_kid=service.kid, administrators=founders,
        policy_signers=case.details.policy_signers, genesis=case.event.hash, ledger_keys=(case.details.ledger_key,),
    ))  # fmt: skip


def publish_policy(case: Case) -> None:
    """Put a policy in force, signed by as many founders as the genesis asks."""
    signers = {key.officer for key in case.keys_as("approver") if key.kind == "administrator"}
    if len(signers) < case.meta.policy_signers:
        case.refuse(
            "policy_unmet", "Too few founders sign this policy.", needed=case.meta.policy_signers, present=len(signers)
        )
    document = case.context.parse_document(case.details.document)
    if not isinstance(document, Policy):
        case.refuse(
            "document_missing", "Upload the policy document first; its hash must match.", document=case.details.document
        )
    if any(election.ballot_id_policy == "sheet" for election in document.elections) and len(signers) < 2:
        case.refuse("policy_unmet", "Identifying single sheets needs a second approver (design section 4).", needed=2)
    case.put(evolve(case.meta, policy=case.details.document))


def publish_plan(case: Case) -> None:
    """Put the plan of an election in force, signed by two approvers of the commission."""
    keys = case.keys_as("approver")
    ours = {agency.id for agency in case.policy.agencies if agency.kind == "commission"}
    commission = {key.officer for key in keys if key.kind == "administrator" or key.agency in ours}
    if len(commission) < 2 and len(case.meta.administrators) > 1:
        case.refuse("policy_unmet", "Two approvers of the commission sign a plan.", needed=2, present=len(commission))
    plan = case.context.parse_document(case.details.document)
    if not isinstance(plan, Plan) or plan.election != case.details.election:
        case.refuse(
            "document_missing",
            "Upload the plan of this election first; its hash must match.",
            document=case.details.document,
        )
    _check_plan(case, plan)
    plans = {**dict(case.meta.plans), plan.election: case.details.document}
    case.put(evolve(case.meta, plans=tuple(sorted(plans.items()))))


def _check_plan(case: Case, plan: Plan) -> None:
    election = case.policy.election_by_id.get(plan.election)
    if election is None:
        case.refuse("unknown_election", "The policy knows no such election.", election=plan.election)
    contests = {contest.id for contest in election.contests}
    for station in plan.stations:
        if station.place not in case.policy.place_by_id:
            case.refuse("unknown_place", "The plan names a place that the policy does not know.", place=station.place)
        named = {d.contest for d in station.districts} | {k.contest for k in station.kit if k.contest}
        if not named <= contests:
            case.refuse(
                "unknown_contest", "The plan names a contest that the election does not have.", place=station.place
            )
        for line in station.kit:
            case.item(line.item)
        for stop in station.route:
            if stop.place not in case.policy.place_by_id:
                case.refuse("unknown_place", "A route names a place that the policy does not know.", place=stop.place)
    for limit in plan.capacity:
        case.item(limit.container)
        case.item(limit.item)


def commit_heads(case: Case) -> None:
    """Take the service's commitment to every unit's latest event; it says nothing of the future."""
    if case.details.size > case.context.index:
        case.refuse("size", "A commitment names a size that the tree has had.")


def verdict(case: Case) -> None:
    """Take the service's word that an event's wait is over; the outcome itself is judged beside it."""
    told: EventRef | None = case.recorded(case.details.event)
    if told is None:
        case.refuse("unknown_event", "A verdict names a recorded event.", event=case.details.event)


def close(case: Case) -> None:
    """Close the ledger: only verdicts follow."""
    case.put(evolve(case.meta, closed_index=case.context.index))


def record_shard(case: Case) -> None:
    """Take another ledger's checkpoint in: signed by the key that it names, and never smaller than the last one."""
    told = case.details
    try:
        key = VerifierKey.parse(told.key)
        checkpoint = open_checkpoint(told.note.encode(), [key], told.origin)
    except ServiceError as error:
        case.refuse("shard_checkpoint", f"That is no checkpoint of that ledger: {error.detail}")
    if (checkpoint.size, b64url_encode(checkpoint.root)) != (told.size, told.root):
        case.refuse("shard_checkpoint", "The checkpoint says another size or root than the event.")
    last: Shard | None = case.get(Shard, told.origin)
    if last is not None and (told.size < last.size or (told.size == last.size and told.root != last.root)):
        case.report("SHARD_FORK", "kritis", sticky=True, origin=told.origin, size=told.size, recorded=last.size)
        case.refuse("shard_checkpoint", "That ledger shrank, or has two roots for one size.", size=last.size)
    case.put(Shard(told.origin, told.size, told.root, case.context.index))
