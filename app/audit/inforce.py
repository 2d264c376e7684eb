"""The policy in force now, for readers that hold a name against it; as known at a size see `app.audit.reconcile`."""

from app.custody.lookup import meta_of
from app.db import ReadSession
from app.errors import MissingError
from app.units import records as unit_records
from app.units.documents import Policy


def policy_in_force(session: ReadSession, ledger_id: int) -> Policy | None:
    """Return the policy in force; None before the first one."""
    meta = meta_of(session, ledger_id)
    data = unit_records.read_document(session, ledger_id, meta.policy) if meta is not None and meta.policy else None
    found = unit_records.parsed(data) if data is not None else None
    return found if isinstance(found, Policy) else None


def need_election(session: ReadSession, ledger_id: int, election: str) -> None:
    """Hold the name of an election against the policy: of one that is not there, no figure is told, not even zero.

    Raises:
        MissingError: The policy in force knows no such election, or there is none.
    """
    policy = policy_in_force(session, ledger_id)
    if policy is None or election not in policy.election_by_id:
        raise MissingError("There is no such election.", election=election)
