"""Who signed a bundle's checkpoint: which of the ledger's keys in force, and enough of the pinned witnesses (pure)."""

from app.audit.bundle import Bundle
from app.audit.leaf import Recorded
from app.audit.report import Report
from app.custody.details import LedgerGenesis, LedgerRekey, Verdict
from app.errors import ServiceError
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import Note, SignatureType, VerifierKey, verified_keys
from app.ledger.policy import TrustPolicy, cosigned


def keys_as_told(leaves: list[Recorded]) -> tuple[str, ...]:
    """Return the keys of checkpoints after the last rotation that these leaves call accepted, or the genesis's.

    Proves nothing: it stands in where the rules of some leaf are not known, and the result is INCOMPLETE at best.
    """
    keys: tuple[str, ...] = ()
    waiting: dict[str, tuple[str, ...]] = {}
    for leaf in leaves:
        told = leaf.event.details
        if isinstance(told, LedgerGenesis):
            keys = keys or (told.ledger_key,)
        elif isinstance(told, LedgerRekey) and leaf.verdict.result == "accepted":
            keys = told.keys
        elif isinstance(told, LedgerRekey) and leaf.verdict.result in {"pending", "held"}:
            waiting[leaf.event.hash] = told.keys
        elif isinstance(told, Verdict) and told.result == "accepted":
            keys = waiting.pop(told.event, keys)
    return keys


def signers_of(data: bytes, in_force: list[VerifierKey], origin: str) -> list[VerifierKey]:
    """Return the keys in force that signed a checkpoint; one is enough.

    While two keys are in force the ledger signs with both, which `custody fsck` demands of it, so that whoever knows
    one of them alone can follow. For the same reason a verifier asks for one. To ask for both would keep no thief of
    the old key out: he would leave the rotation out of his bundle, too. Who wants the new key's word pins that key.

    A signature in the name of a key that is not in force, not yet, no longer or never, is a stranger's: right or wrong,
    it neither helps nor hurts. A wrong one in the name of a key in force refuses the checkpoint (c2sp.org/signed-note).

    Args:
        data: The note as received.
        in_force: The ledger's keys after the last rotation below the checkpoint, each one there.
        origin: The ledger's origin, which its keys are named like.

    Raises:
        MalformedError: It is no checkpoint.
        UnprovenError: `note_signature`: no key in force signed it, or one of them wrongly; `checkpoint_origin`.
    """
    open_checkpoint(data, in_force, origin)
    verified = verified_keys(Note.parse(data), in_force)
    return [key for key in verified if key.type is SignatureType.NOTE and key.name == origin]


def check_proof_notes(report: Report, notes: list[tuple[Recorded, Note]], signers: list[VerifierKey]) -> None:
    """Tell of every proof whose own copy of the checkpoint lacks a signature by one of the signers.

    Args:
        report: Told what is wrong.
        notes: Leaves and the notes of their proofs, whose signature lines all stand on the checkpoint.
        signers: Those that `signers_of` returned, so each line in their names is right.
    """
    names = {(key.name, key.key_id) for key in signers}
    for leaf, note in notes:
        if not any((line.name, line.key_id) in names for line in note.signatures):
            report.tell("fail", "inclusion_proof", "The ledger has not signed the checkpoint of this proof.", leaf)


def check_witnesses(
    bundle: Bundle, report: Report, pinned: bytes | None, in_force: list[VerifierKey], signers: list[VerifierKey]
) -> None:
    """Compare the checkpoint's signatures with the pinned policy, or show the cosignatures of the bundle's own.

    Args:
        bundle: Its parts; the ledger's own signature is verified elsewhere.
        report: INCOMPLETE without a quorum, FAIL on a wrong cosignature by a witness of the pinned policy.
        pinned: The verifier's policy file. When it names logs, one of these must have signed: that the ledger once
            named the key, or that it is in force, is not enough.
        in_force: The ledger's keys in force.
        signers: Those of them that signed the checkpoint.
    """
    if pinned is None:
        report.tell("note", "policy_not_pinned", "No policy was pinned: witnesses are shown, and count for nothing.")
        _show_recommended(bundle, report)
        return
    try:
        policy = TrustPolicy.parse(pinned)
    except ServiceError as error:
        report.tell("incomplete", "tlog_policy", f"The pinned policy cannot be used: {error.detail}")
        return
    if policy.logs and not {log.key for log in policy.logs} & set(signers):
        report.tell(
            "fail", "ledger_key_mismatch", "No key that the pinned policy names for this ledger signed the checkpoint."
        )
    try:
        verified_keys(Note.parse(bundle.checkpoint), [*in_force, *policy.cosigners])
    except ServiceError as error:
        report.tell("fail", error.code, error.detail)
        return
    times = cosigned(bundle.checkpoint, policy.cosigners)
    report.witnesses = {w.name: times[w.key] for w in policy.witnesses if w.key in times}
    if not policy.is_met_by(times.keys()):
        report.tell("incomplete", "quorum", "Too few of the pinned policy's witnesses have cosigned this checkpoint.")


def _show_recommended(bundle: Bundle, report: Report) -> None:
    if bundle.policy is None:
        return
    try:
        policy = TrustPolicy.parse(bundle.policy)
        times = cosigned(bundle.checkpoint, policy.cosigners)
    except ServiceError as error:
        report.tell("note", "policy_recommended", f"The policy in the bundle is of no use: {error.detail}")
        return
    report.witnesses = {w.name: times[w.key] for w in policy.witnesses if w.key in times}
    word = "are" if policy.is_met_by(times.keys()) else "are not"
    report.tell("note", "policy_recommended", f"By the policy in the bundle, its cosignatures {word} a quorum.")
