"""Whether enough witnesses have cosigned a bundle's checkpoint, by the verifier's own policy (pure)."""

from collections.abc import Mapping

from app.audit.bundle import Bundle
from app.audit.leaf import read_leaf
from app.audit.report import Report
from app.custody.details import LedgerGenesis, LedgerRekey
from app.errors import ServiceError
from app.ledger.note import Note, VerifierKey, verified_keys
from app.ledger.policy import TrustPolicy, cosigned


def named_keys(leaves: Mapping[int, bytes]) -> list[VerifierKey]:
    """Return every key of checkpoints that the genesis or a rotation among these leaves names, unproven.

    Which of them were in force follows from judging the leaves; until then they only open the checkpoint.
    """
    texts: dict[str, None] = {}
    for index, data in sorted(leaves.items()):
        try:
            told = read_leaf(index, data).event.details
        except ServiceError:
            continue
        if isinstance(told, LedgerGenesis):
            texts[told.ledger_key] = None
        elif isinstance(told, LedgerRekey):
            texts.update(dict.fromkeys(told.keys))
    return [VerifierKey.parse(text) for text in texts]


def check_witnesses(bundle: Bundle, report: Report, pinned: bytes | None, ledger_keys: list[VerifierKey]) -> None:
    """Compare the checkpoint's cosignatures with the pinned policy, or show those of the bundle's own.

    Args:
        bundle: Its parts; the ledger's own signature is verified elsewhere.
        report: INCOMPLETE without a quorum, FAIL on a wrong cosignature by a witness of the pinned policy.
        pinned: The verifier's policy file.
        ledger_keys: The ledger's keys in force.
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
    if policy.logs and not {log.key for log in policy.logs} & set(ledger_keys):
        report.tell("fail", "ledger_key_mismatch", "The pinned policy names another ledger or other keys of it.")
    try:
        verified_keys(Note.parse(bundle.checkpoint), [*ledger_keys, *policy.cosigners])
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
