"""Rules of the ledger's charter after its genesis: agencies that join, founders that change, keys that rotate (pure).

Source: design section 6; ledger reference section 12. What the genesis fixed, the founders may change together and
nobody else: each act is a leaf that they sign, so whoever pinned the genesis can follow it from there.
"""

from app.custody.newkeys import introduced
from app.custody.rules.case import Case
from app.custody.rules.foundation import new_key
from app.errors import ServiceError
from app.keys.state import Key
from app.keys.verify import PublicKey
from app.ledger.note import SignatureType, VerifierKey
from app.quick import evolve


def join(case: Case) -> None:
    """Let an agency in, or bring another root key of one: by as many founders as sign a policy, and by the key."""
    key = _sound(case, case.details.jwk)
    _only_founders_beside(case, {key.kid})
    _need_founders(case, case.meta.policy_signers)
    case.put(new_key(case, key, "root", f"ROOT-{case.details.agency}", case.details.agency))


def change_founders(case: Case) -> None:
    """Let founders come and go: by more than half of those there are, and by each who comes."""
    told, meta = case.details, case.meta
    fresh = {_sound(case, founder.jwk).kid: founder for founder in told.add}
    if len(fresh) != len(told.add) or len(set(told.remove)) != len(told.remove) or not (told.add or told.remove):
        case.refuse("founders", "Each founder comes or goes once, and at least one does.")
    _only_founders_beside(case, set(fresh))
    _need_founders(case, max(meta.policy_signers, len(meta.administrators) // 2 + 1))
    gone = [_founder(case, kid) for kid in told.remove]
    stay = [officer for officer in meta.administrators if officer not in {key.officer for key in gone}]
    come = [founder.officer for founder in told.add]
    if len({*stay, *come}) != len(stay) + len(come):
        case.refuse("founders", "An officer is a founder once; let the old key go in the same event.")
    if told.policy_signers > len(stay) + len(come):
        case.refuse("policy_unmet", "More policy signers are asked for than founders remain.")
    case.put(*(evolve(key, revoked_index=case.context.index) for key in gone))
    case.put(*(
        new_key(case, _sound(case, f.jwk), "administrator", f.officer, f.agency) for f in fresh.values()
    ))  # fmt: skip
    case.put(evolve(meta, administrators=tuple(sorted([*stay, *come])), policy_signers=told.policy_signers))


def rekey(case: Case) -> None:
    """Name the keys that sign checkpoints from here on: by as many founders as sign a policy.

    One key in force must stay, so that whoever knows only the old one can follow: first both, later the new alone.
    """
    _only_founders_beside(case, set())
    _need_founders(case, case.meta.policy_signers)
    keys = [_checkpoint_key(case, text) for text in case.details.keys]
    if len({key.public_key for key in keys}) != len(keys):
        case.refuse("ledger_key", "A key is named once.")
    if not set(case.details.keys) & set(case.meta.ledger_keys):
        case.refuse("ledger_key", "A rotation keeps one key that is in force: first both sign, then the new one alone.")
    case.put(evolve(case.meta, ledger_keys=case.details.keys))


def _checkpoint_key(case: Case, text: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(text)
    except ServiceError as error:
        case.refuse("ledger_key", error.detail)
    if key.type is not SignatureType.NOTE or key.name != case.body.ledger:
        case.refuse("ledger_key", "A key of checkpoints is of type 0x01 and named like the ledger's origin.")
    return key


def _sound(case: Case, jwk: object) -> PublicKey:
    try:
        key = PublicKey.from_jwk(jwk.model_dump(exclude_none=True))  # type: ignore[attr-defined]
    except ServiceError as error:
        case.refuse(error.code, error.detail)
    if case.get(Key, key.kid) is not None:
        case.refuse("key_reused", "That key was enrolled before; make a fresh one.", kid=key.kid)
    return key


def _founder(case: Case, kid: str) -> Key:
    key: Key | None = case.get(Key, kid)
    if key is None or key.kind != "administrator" or key.revoked_index is not None:
        case.refuse("unknown_key", "Only a founder's key ends this way.", kid=kid)
    return key


def _only_founders_beside(case: Case, fresh: set[str]) -> None:
    """Refuse a signature by anybody but founders and the keys that come in, and one of these that is missing."""
    others = [key for kid, key in _enrolled(case).items() if key.kind != "administrator" and kid not in fresh]
    if others or not fresh <= set(case.body.signers):
        case.refuse("signature_set", "Founders sign this, and every key that comes in, and nobody else.")


def _need_founders(case: Case, needed: int) -> None:
    present = len({key.officer for key in _enrolled(case).values() if key.kind == "administrator"})
    if present < needed:
        case.refuse("policy_unmet", "Too few founders sign this.", needed=needed, present=present)


def _enrolled(case: Case) -> dict[str, Key]:
    """Return the signers whose keys were there before this event."""
    own = introduced(case.event)
    return {kid: case.key(kid) for kid in case.body.signers if kid not in own or case.get(Key, kid) is not None}
