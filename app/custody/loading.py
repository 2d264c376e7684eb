"""Load the facts that a group of events may need, in a fixed number of statements.

Step 4 of a scan's walk. What a rule reads follows from what the events name: units and what contains them,
labels, seals, handovers and their units, keys, devices, earlier events, and the events that wait for one of
these. The loader asks in waves, kind by kind, until nothing new is named; the number of statements depends on
the depth of containment and never on the number of events or units.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cache
from typing import Any, cast

from app.canon import JsonValue
from app.custody import _store, desk, inspections
from app.custody import details as d
from app.custody.events import Event, parse_event
from app.custody.remembered import ABSENT, Remembered
from app.custody.state import (
    Discrepancy,
    EventRef,
    Facts,
    Gap,
    Handover,
    Incident,
    Inspection,
    Meta,
    Shard,
    Waiting,
    gap_id,
)
from app.custody.summed import sums_of
from app.db import Session
from app.ids import is_unit_id
from app.keys import records as key_records
from app.keys.state import Device, Key
from app.keys.verify import PublicKey
from app.strict import Strict
from app.units import records as unit_records
from app.units.state import Alias, Containment, Label, Seal, Unit

Wanted = dict[type, list[str]]
LeafPayload = Callable[[list[int]], dict[int, bytes]]


class Loader:
    """Loads facts for one group under one session."""

    def __init__(
        self, session: Session, ledger_id: int, payloads: LeafPayload, remembered: Remembered | None = None
    ) -> None:
        """Start with nothing loaded.

        Args:
            session: The write transaction (or a reading one, to look only).
            ledger_id: The ledger.
            payloads: Gives payload bytes of recorded events by leaf index.
            remembered: What is known already and stands at the locked head; it is not read again.
        """
        self._remembered = remembered if remembered is not None else Remembered()
        self.session = session
        self.ledger_id = ledger_id
        self.facts = Facts()
        self.bodies: dict[str, Event] = {}
        self._payloads = payloads

    def load(
        self, events: Iterable[Event], documents: dict[str, bytes], kids: Iterable[str] = (),
        also: Wanted | None = None,
    ) -> None:  # fmt: skip
        """Load everything that the rules may read of these events, of these keys, and what else the caller names."""
        todo = list(events)
        group: dict[str, Event] = {}
        self.facts.documents.update(documents)
        self._fetch({Meta: ["ledger"], Key: list(kids), Device: list(kids), **(also or {})})
        while todo:
            self._known_ids(todo)
            self._stored_lists(todo)
            self._close(named_by(todo, self.facts.documents))
            group.update((event.hash, event) for event in todo)
            self._fetch(sums_of(todo, self.facts, group))
            todo = self._earlier_events(todo)

    def _known_ids(self, events: list[Event]) -> None:
        """Find out which of these are recorded already, or have a twin; nothing waits for, or knows of, a new one."""
        names = ((e.body.author, e.body.event_id) for e in events)
        known = _store.refs_by_id(self.session, self.ledger_id, names)
        self.facts.load(known)
        new = {e.hash for e in events} - {ref.hash for ref in known}
        for kind in (EventRef, Waiting, Handover):
            self.facts.expect(kind, new)

    def _stored_lists(self, events: list[Event]) -> None:
        """Take lists of ids that came before their event, or with it when it had to wait."""
        named = {e.details.ids_hash for e in events if isinstance(e.details, d.LabelsIssue)}
        for content_hash in named - self.facts.documents.keys():
            data = unit_records.read_document(self.session, self.ledger_id, content_hash)
            if data is not None:
                self.facts.documents[content_hash] = data

    def _close(self, wanted: Wanted) -> None:
        """Fetch in waves: what was found names more, until nothing is new."""
        while wanted:
            found = self._fetch(wanted)
            wanted = {}
            for record in found:
                for kind, key in named_by_record(record):
                    wanted.setdefault(kind, []).append(key)
            wanted = {kind: keys for kind, keys in wanted.items() if any(k not in self.facts.kinds[kind] for k in keys)}

    def _fetch(self, wanted: Wanted) -> list[Any]:
        found: list[Any] = []
        for kind, keys in wanted.items():
            fresh = []
            for key in self.facts.expect(kind, keys):
                known = self._remembered.get(kind, key)
                if known is None:
                    fresh.append(key)
                elif known is not ABSENT:
                    found.append(known)
            if fresh:
                found.extend(self._rows(kind, fresh))
        self.facts.load(found)
        return found

    def _rows(self, kind: type, keys: list[str]) -> list[Any]:
        session, ledger_id = self.session, self.ledger_id
        if kind is Key:
            return list(key_records.keys_by_kid(session, ledger_id, keys))
        if kind is Device:
            return list(key_records.devices_by_kid(session, ledger_id, keys))
        if kind is EventRef:
            return list(_store.refs(session, ledger_id, "hash", keys))
        own = {
            Meta: _store.METAS,
            Handover: _store.HANDOVERS,
            Waiting: _store.WAITINGS,
            Discrepancy: _store.DISCREPANCIES,
            Shard: _store.SHARDS,
            Gap: _store.GAPS,
            Incident: _store.INCIDENTS,
            Inspection: _store.INSPECTIONS,
        }
        if kind in own:
            return cast("list[Any]", own[kind].fetch(session, ledger_id, keys))  # type: ignore[attr-defined]
        return unit_records.fetch(session, ledger_id, kind, keys)

    def _earlier_events(self, events: list[Event]) -> list[Event]:
        """Return the bodies of earlier events that these may bring to an outcome."""
        hashes = [event.hash for event in events]
        targets = [e.details.event for e in events if e.type.name in {"decision", "verdict"}]
        through = [h for e in events if e.type.name == "verdict" for h in e.body.after]
        waiting = _store.WAITINGS.fetch(self.session, self.ledger_id, [*hashes, *targets], by="awaited")
        self.facts.load(waiting)
        wanted = [w.hash for w in waiting if w.done_index is None] + targets + through
        self._fetch({EventRef: wanted, Waiting: wanted})
        refs = [self.facts.kinds[EventRef].get(h) for h in dict.fromkeys(wanted) if h not in self.bodies]
        known = {ref.hash: ref.leaf_index for ref in refs if ref is not None}
        payloads = self._payloads(list(known.values())) if known else {}
        fresh = [parse_event(payloads[index]) for index in known.values()]
        self.bodies.update({event.hash: event for event in fresh})
        return fresh


def named_by(events: Iterable[Event], documents: dict[str, bytes]) -> Wanted:
    """Return the keys, by kind, of every record that these events name themselves."""
    wanted: Wanted = defaultdict(list)
    hashes, keys, units = wanted[EventRef], wanted[Key], wanted[Unit]
    for event in events:
        body = event.body
        hashes.append(event.hash)
        hashes += body.after
        keys += body.signers
        units += body.units
        wanted[Device].append(body.author)
        wanted[Handover].append(event.hash)
        for kind, key in _named_by_details(event.details):
            wanted[kind].append(key)
        for kind, key in (*_named_at_the_desk(event), *_named_by_inspection(event)):
            wanted[kind].append(key)
        if isinstance(event.details, d.LabelsIssue):
            # What is no id the rule refuses; it names nothing.
            labels = documents.get(event.details.ids_hash, b"").decode("ascii", "replace").split()
            units += [label for label in labels if is_unit_id(label)]
    wanted[Waiting] = hashes
    wanted[Label] = units
    return wanted


@cache
def _naming(model: Hashable) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which members of a kind of details name units, and which name events."""
    fields = cast("type[Strict]", model).model_fields
    units = tuple(name for name in ("parent", "source", "target", "unit") if name in fields)
    hashes = tuple(name for name in ("release", "target", "event") if name in fields)
    return units, hashes


@cache
def _lines_of(model: Hashable) -> tuple[str, ...]:
    """Return the members of a kind of details that are lists of lines."""
    fields = cast("type[Strict]", model).model_fields
    return tuple(name for name in ("lines", "seals", "exceptions") if name in fields)


def _named_by_details(told: Any) -> Iterator[tuple[type, str]]:
    """Yield (kind, key); a label is looked up under every name of a unit, what waits under every event's."""
    model = cast("Hashable", type(told))
    units, hashes = _naming(model)
    for name in units:
        value = getattr(told, name)
        if isinstance(value, str) and len(value) == 17:
            yield Unit, value
    for name in hashes:
        value = getattr(told, name)
        if isinstance(value, str) and len(value) == 43:
            yield Handover, value
            yield EventRef, value
    yield from _named_by_lines(told)
    if isinstance(told, d.KeyEnrol):
        yield Key, _thumbprint(told.jwk)
    if isinstance(told, d.KeyRevoke):
        yield Key, told.kid
    if isinstance(told, d.LedgerGenesis):
        named = [told.service_key, told.admission_key, *(f.jwk for f in told.administrators)]
        for jwk in (*named, *(agency.jwk for agency in told.agencies)):
            yield Key, _thumbprint(jwk)
    if isinstance(told, d.AgencyJoin):
        yield Key, _thumbprint(told.jwk)
    if isinstance(told, d.FoundersChange):
        for founder in told.add:
            yield Key, _thumbprint(founder.jwk)
        for kid in told.remove:
            yield Key, kid
    if isinstance(told, d.ShardCheckpoint):
        yield Shard, told.origin


def _named_at_the_desk(event: Event) -> Iterator[tuple[type, str]]:
    """Yield (kind, key) of what an event of the auditor's desk is about."""
    told = event.details
    if isinstance(told, desk.DiscrepancyExplain | desk.Objection):
        about = told.about
        if isinstance(about, desk.AboutDiscrepancy):
            yield Discrepancy, about.discrepancy
        if isinstance(about, desk.AboutGap):
            yield Gap, gap_id(event.body.election, about.contest, about.identity, about.place, about.difference)
    if isinstance(told, desk.IncidentReport):
        yield Incident, event.hash
    if isinstance(told, desk.IncidentUpdate | desk.IncidentClose):
        yield Incident, told.incident
        yield EventRef, told.incident


def _named_by_inspection(event: Event) -> Iterator[tuple[type, str]]:
    """Yield (kind, key) of the inspection that an event begins or belongs to."""
    told = event.details
    if isinstance(told, inspections.InspectionPlan | inspections.InspectionOpen):
        yield Inspection, event.hash
    named = None
    if isinstance(told, inspections.InspectionOpen):
        named = told.plan
    elif isinstance(told, inspections.InspectionSkip | inspections.InspectionClose):
        named = told.inspection
    elif isinstance(told, d.Inspection):
        named = told.of
    if named is not None:
        yield Inspection, named
        yield EventRef, named


def _thumbprint(jwk: d.Jwk) -> str:
    try:
        return PublicKey.from_jwk(cast("JsonValue", jwk.model_dump(exclude_none=True))).kid
    except Exception:  # noqa: BLE001 - an unsound key is the rule's to refuse; it names nothing
        return ""


def _named_by_lines(told: Any) -> Iterator[tuple[type, str]]:
    model = cast("Hashable", type(told))
    for line in (line for name in _lines_of(model) for line in getattr(told, name)):
        for name in ("unit", "of"):
            value = getattr(line, name, None)
            if value:
                yield Unit, value
        if getattr(line, "number", None):
            yield Seal, line.number
        if isinstance(line, d.AliasLine):
            yield Alias, line.code


def named_by_record(record: Any) -> Iterator[tuple[type, str]]:
    """Yield (kind, key) of what a loaded record leads to."""
    if isinstance(record, Label) and record.unit:
        yield Unit, record.unit
    if isinstance(record, Handover):
        for unit in record.units:
            yield Unit, unit
            yield Label, unit
    if isinstance(record, Device):
        for _, _, found in record.missing:
            yield Discrepancy, found
    if isinstance(record, Discrepancy):
        if record.unit:
            yield Unit, record.unit
        if record.handover:
            yield Handover, record.handover
    if isinstance(record, Unit):
        yield from _named_by_unit(record)


def _named_by_unit(unit: Unit) -> Iterator[tuple[type, str]]:
    if unit.parent:
        yield Unit, unit.parent
        yield Containment, f"{unit.unit}:{unit.packed_index}"
    if unit.label:
        yield Label, unit.label
    for number in unit.seals.values():
        yield Seal, number
