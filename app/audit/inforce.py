"""Which policies and plans were published, and which of them are in force: now, or as known at a tree size.

What is in force now stands in the ledger's own state, ready to hand. What was in force at a size follows from the
events that published documents: those that took effect, at once or by a later verdict.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import orjson
from sqlalchemy import and_, func, or_, select

from app.canon import b64url_decode
from app.custody._tables import CHARTER, EVENT, OUTCOME
from app.custody.lookup import meta_of
from app.db import ReadSession, Session
from app.errors import MissingError
from app.ledger._tables import LEAF
from app.units import records as unit_records
from app.units.documents import Plan, Policy


@dataclass(frozen=True, slots=True)
class Published:
    """A published document by its hash: the event of it, that event's leaf, and the leaf from which it has effect.

    `election` is None for a policy; `received_ms` is UTC milliseconds.
    """

    effect: int
    leaf_index: int
    event: str
    received_ms: int
    election: str | None
    document: str


def published(
    session: ReadSession, ledger_id: int, type_: Literal["policy.publish", "plan.publish"], size: int | None = None
) -> Iterator[Published]:
    """Yield what was published and took effect, the newest first.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        type_: Policies or plans.
        size: As known at this tree size; now, when absent.
    """
    outcome = and_(OUTCOME.c.ledger_id == ledger_id, OUTCOME.c.hash == EVENT.c.hash, OUTCOME.c.outcome == "accepted")
    effect = func.coalesce(OUTCOME.c.outcome_index, EVENT.c.leaf_index)
    query = (
        select(effect, EVENT.c.leaf_index, EVENT.c.hash, EVENT.c.received_ms, LEAF.c.leaf)
        .join(LEAF, and_(LEAF.c.ledger_id == ledger_id, LEAF.c.leaf_index == EVENT.c.leaf_index))
        .outerjoin(OUTCOME, outcome)
        .where(EVENT.c.ledger_id == ledger_id, CHARTER, EVENT.c.type == type_)
        .where(or_(EVENT.c.result == "accepted", OUTCOME.c.outcome_index.is_not(None)))
        .order_by(effect.desc())
    )
    for index, leaf_index, event, ms, leaf in session.execute(query if size is None else query.where(effect < size)):
        told = orjson.loads(b64url_decode(orjson.loads(bytes(leaf))["event"]["payload"]))["details"]
        yield Published(index, leaf_index, event, ms, told.get("election"), told["document"])


def policy_in_force(session: Session, ledger_id: int) -> Policy | None:
    """Return the policy in force now; None before the first one."""
    meta = meta_of(session, ledger_id)
    found = document(session, ledger_id, meta.policy) if meta is not None and meta.policy else None
    return found if isinstance(found, Policy) else None


def plan_in_force(session: Session, ledger_id: int, election: str) -> Plan | None:
    """Return the plan in force now for an election; None before its first one."""
    meta = meta_of(session, ledger_id)
    content = meta.plan_of(election) if meta is not None else None
    found = document(session, ledger_id, content) if content else None
    return found if isinstance(found, Plan) else None


def document(session: Session, ledger_id: int, content_hash: str) -> Policy | Plan | None:
    """Return a policy or plan by its hash; None when it is not kept here."""
    data = unit_records.read_document(session, ledger_id, content_hash)
    return unit_records.parsed(data) if data is not None else None


def need_election(session: ReadSession, ledger_id: int, election: str) -> None:
    """Hold the name of an election against the policy: of one that is not there, no figure is told, not even zero.

    Raises:
        MissingError: The policy in force knows no such election, or there is none.
    """
    policy = policy_in_force(session, ledger_id)
    if policy is None or election not in policy.election_by_id:
        raise MissingError("There is no such election.", election=election)
