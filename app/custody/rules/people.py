"""Rules of keys: enrolment by two, revocation by index, and decisions over held events (pure).

Source: design section 6, security reference section 2 ("Possession").
"""

from app.canon import b64url_decode, b64url_encode
from app.clock import parse_rfc3339
from app.custody.rules.case import Case
from app.errors import ServiceError
from app.keys.state import Key
from app.keys.verify import PublicKey, verify_signature
from app.quick import evolve

REGISTRAR = "registrar"


def possession_message(origin: str, challenge: str, kid: str) -> bytes:
    """Return the bytes that a new key signs to prove possession: its own domain, ledger, challenge and name."""
    return f"custody-enrol\n{origin}\n{challenge}\n{kid}\n".encode()


def enrol(case: Case) -> None:
    """Enrol a key: sound, fresh, held by who shows it, by a registrar of the subject's agency and an approver.

    The registrar is the author. Founders may act for any agency, an agency's root key for its own: so the first
    registrars come in.
    """
    told = case.details
    jwk = _sound_key(case)
    registrar, approvers = _two_approvers(case)
    agency = case.policy.agency_by_id.get(told.agency)
    role = case.policy.role_by_code.get(told.role)
    if agency is None or role is None or agency.kind not in role.agency_kinds:
        case.refuse("role", "The policy gives that role to no agency of this kind.", agency=told.agency, role=told.role)
    if registrar.kind != "administrator" and registrar.agency != told.agency:
        case.refuse("not_your_agency", "A registrar enrols officers of the own agency only.", agency=told.agency)
    if told.officer in {registrar.officer, *(a.officer for a in approvers)} and registrar.kind != "administrator":
        case.refuse("self_approval", "Nobody enrols a key for himself.", officer=told.officer)
    if told.place not in case.policy.place_by_id:
        case.refuse("unknown_place", "The policy knows no such place.", place=told.place)
    if registrar.place is not None and not case.policy.within(told.place, registrar.place):
        case.refuse("jurisdiction", "The place lies outside the registrar's mandate.", place=told.place)
    starts, ends = parse_rfc3339(told.valid_from), parse_rfc3339(told.valid_until)
    if starts >= ends:
        case.refuse("mandate", "The mandate ends before it begins.")
    if "administrator" in told.access:
        case.refuse("role", "Founders are named in the genesis; enrolment does not make administrators.")
    case.put(Key(
        kid=jwk.kid, alg=jwk.alg, raw=b64url_encode(jwk.raw), kind="officer", officer=told.officer, agency=told.agency,
        role=told.role, place=told.place, access=told.access, valid_from_ms=starts, valid_until_ms=ends,
        enrolled_index=case.context.index,
    ))  # fmt: skip


def _sound_key(case: Case) -> PublicKey:
    told = case.details
    try:
        jwk = PublicKey.from_jwk(told.jwk.model_dump(exclude_none=True))
        message = possession_message(case.body.ledger, told.possession.challenge, jwk.kid)
        verify_signature(jwk, message, b64url_decode(told.possession.signature, length=64))
    except ServiceError as error:
        case.refuse("possession" if error.code == "signature" else error.code, error.detail)
    if case.get(Key, jwk.kid) is not None:
        case.refuse("key_reused", "That key was enrolled before; a device makes a fresh one.", kid=jwk.kid)
    return jwk


def _two_approvers(case: Case) -> tuple[Key, list[Key]]:
    keys = case.keys_as("approver")
    registrar = case.key(case.body.author)
    may = registrar.kind in {"administrator", "root"} or REGISTRAR in registrar.access
    if registrar not in keys or not may:
        case.refuse("role", "A registrar is the author of an enrolment and signs as approver.")
    if len({key.officer for key in keys}) < 2 and len(case.meta.administrators) > 1:
        case.refuse("policy_unmet", "Two approvers sign an enrolment.", needed=2, missing="approver")
    return registrar, keys


def revoke(case: Case) -> None:
    """End a key from this leaf on: by a registrar of its agency, a founder, or a supervisor."""
    key: Key | None = case.get(Key, case.details.kid)
    if key is None or key.kind != "officer":
        case.refuse("unknown_key", "Only an enrolled officer's key is revoked this way.", kid=case.details.kid)
    if key.revoked_index is not None:
        case.refuse("already_revoked", "That key is revoked already.", kid=key.kid)
    if not any(_may_revoke(case, signer, key) for signer in case.keys_as("approver")):
        case.refuse("role", "A registrar of the key's agency, a founder or a supervisor revokes a key.")
    since = case.details.compromised_since
    case.put(
        evolve(key, revoked_index=case.context.index, compromised_since_ms=parse_rfc3339(since) if since else None)
    )


def _may_revoke(case: Case, signer: Key, key: Key) -> bool:
    if signer.kind == "administrator":
        return True
    agency = case.policy.agency_by_id.get(signer.agency)
    own_registrar = REGISTRAR in signer.access and signer.agency == key.agency
    return own_registrar or (agency is not None and agency.kind == "supervisor")


def decide(case: Case) -> None:
    """Let a held event in, or not: the supervisor and the other side sign together."""
    held = case.recorded(case.details.event)
    if held is None:
        case.wait("pending_predecessor", awaited=case.details.event)
    if held.result != "held" or held.outcome is not None:
        case.refuse("not_held", "That event is not held, or is decided already.", event=held.hash)
    keys = case.keys_as("approver", "second")
    kinds = {k.agency: case.policy.agency_by_id[k.agency].kind for k in keys if k.agency in case.policy.agency_by_id}
    supervisors = {agency for agency, kind in kinds.items() if kind == "supervisor"}
    others = {agency for agency in kinds if agency not in supervisors and agency != held.agency}
    if not supervisors or not others:
        case.refuse("policy_unmet", "A decision is signed by the supervisor and by the other side.", missing="approver")
