"""What one group of events leaves in the tables, stored in bulk; the leaves themselves are `app.ledger.append`'s.

Step 6 of a scan's walk. Everything here follows from the leaves and can be made again from them (`custody fsck`).
"""

from dataclasses import dataclass, field

from app.custody import _store
from app.custody.receipts import Answer
from app.custody.state import Discrepancy, EventRef, Gap, Handover, Incident, Inspection, Meta, Shard, Tally, Waiting
from app.custody.walk import ParseDocument, Step, Walk
from app.db import WriteSession
from app.keys import records as key_records
from app.keys.state import Device, Key
from app.units import records as unit_records
from app.units.documents import Policy


@dataclass(slots=True)
class Group:
    """One group in the making: answers by position, and what the transaction will store."""

    answers: list[Answer | None]
    steps: list[Step] = field(default_factory=list)
    replays: list[tuple[int, EventRef]] = field(default_factory=list)
    places: dict[int, int] = field(default_factory=dict)
    private: list[tuple[int, str, str, bytes, bytes]] = field(default_factory=list)


def store_group(session: WriteSession, ledger_id: int, walk: Walk, group: Group, documents: ParseDocument) -> None:
    """Store the rows of a group's events and every record that they changed.

    Args:
        session: The transaction that holds the ledger's lock.
        ledger_id: The ledger.
        walk: What the events made of the facts.
        group: The events that were taken.
        documents: Reads a published document by hash.
    """
    dirty = walk.facts.dirty
    _store_events(session, ledger_id, walk, group)
    key_records.store(session, ledger_id, dirty[Key].values(), dirty[Device].values())
    for kind in unit_records.KINDS:
        unit_records.store(session, ledger_id, kind, dirty[kind].values())
    _store.METAS.store(session, ledger_id, dirty[Meta].values())
    _store.SHARDS.store(session, ledger_id, dirty[Shard].values())
    _store.HANDOVERS.store(session, ledger_id, dirty[Handover].values())
    _store.WAITINGS.store(session, ledger_id, dirty[Waiting].values())
    _store.DISCREPANCIES.store(session, ledger_id, dirty[Discrepancy].values())
    _store.GAPS.store(session, ledger_id, dirty[Gap].values())
    _store.INCIDENTS.store(session, ledger_id, dirty[Incident].values())
    _store.INSPECTIONS.store(session, ledger_id, dirty[Inspection].values())
    _store.TALLIES.insert(session, ledger_id, dirty[Tally].values())
    _store.insert_private(session, group.private)
    _index_places(session, ledger_id, walk, group, documents)


def _store_events(session: WriteSession, ledger_id: int, walk: Walk, group: Group) -> None:
    refs = [walk.facts.get(EventRef, step.event.hash) for step in group.steps]
    problems = [_problem(step) for step in group.steps]
    _store.insert_events(session, ledger_id, zip(refs, problems, strict=True))
    decided = [
        r for r in walk.facts.dirty[EventRef].values() if r.outcome_index is not None or r.retracted_index is not None
    ]
    _store.put_outcomes(session, ledger_id, decided)
    rows: list[tuple[int, str, int, int | None]] = []
    for step in group.steps:
        links = {link.unit: link for link in step.leaf.links}
        for unit in step.subjects:
            link = links.get(unit)
            rows.append((ledger_id, unit, step.leaf.index, link.seq if link else None))
    _store.insert_event_units(session, rows)


def _index_places(session: WriteSession, ledger_id: int, walk: Walk, group: Group, documents: ParseDocument) -> None:
    """Keep the index over places in step with the policy in force."""
    # A policy comes into force by its own event or, when that had to wait, by the verdict on it.
    if walk.facts.dirty[Meta] and any(step.event.type.name in {"policy.publish", "verdict"} for step in group.steps):
        meta = walk.facts.meta
        policy = documents(meta.policy) if meta and meta.policy else None
        if isinstance(policy, Policy):
            unit_records.index_places(session, ledger_id, policy)


def _problem(step: Step) -> dict[str, object] | None:
    judgement = step.judgement
    if judgement.result == "accepted" and not judgement.detail:
        return None
    return {"detail": judgement.detail, "facts": judgement.facts}
