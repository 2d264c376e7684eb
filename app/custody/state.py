"""What custody knows, and the one way rules see it: `Facts` (pure).

`Facts` is a set of records by kind and key. At intake the store loads just what a group of events may need
and a rule that asks for anything else is a bug (`RuntimeError`); in replay the facts are complete and what is
absent does not exist. Rules never change facts: they return new records, which the walk puts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from app.keys.state import Device, Key
from app.quick import quick
from app.units.state import Alias, Containment, Label, Seal, Stowage, Supply, Unit

Result = Literal["accepted", "refused", "pending", "held"]
Severity = Literal["info", "rendah", "sedang", "tinggi", "kritis"]


@quick
@dataclass(frozen=True, slots=True)
class Meta:
    """The ledger's own state: its founders, its service, and what is in force."""

    id: str
    origin: str
    demo: bool
    service_kid: str
    administrators: tuple[str, ...]
    policy_signers: int
    policy: str | None = None
    plans: tuple[tuple[str, str], ...] = ()
    closed_index: int | None = None
    genesis: str = ""
    ledger_keys: tuple[str, ...] = ()
    """Verifier keys of checkpoints: the genesis's, or those of the last `ledger.rekey`."""

    def plan_of(self, election: str) -> str | None:
        """Return the hash of the plan in force for an election."""
        return dict(self.plans).get(election)


@quick
@dataclass(frozen=True, slots=True)
class EventRef:
    """A recorded event: an index over its leaf for rules and readers.

    `outcome_index` is the leaf that later decided a pending or held event, `retracted_index` the one that
    marked it as withdrawn. `twin` is 0 for the first payload under its author's event id and the leaf index for
    any other, which is always refused.
    """

    hash: str
    leaf_index: int
    event_id: str
    author: str
    officer: str
    agency: str
    type: str
    election: str
    place: str
    at_ms: int
    received_ms: int
    result: Result
    code: str
    twin: int = 0
    outcome: str | None = None
    outcome_index: int | None = None
    retracted_index: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Handover:
    """A release and what became of it.

    `due_ms` is UTC milliseconds; `officers` are those who signed the giving side; `units` those released.
    """

    release: str
    leaf_index: int
    agency: str
    officers: tuple[str, ...]
    roles: tuple[str, ...]
    from_place: str
    to_agency: str
    to_place: str
    to_officer: str | None
    internal: bool
    due_ms: int
    at_ms: int
    sensitivity: str
    units: tuple[str, ...]
    status: str = "open"
    closed_index: int | None = None
    closed_by: str | None = None
    cancel: str | None = None
    overdue_index: int | None = None
    exceptions: tuple[tuple[str, str, str], ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits: for the event `awaited`, or for the moment `due_ms` when `awaited` is None."""

    hash: str
    awaited: str | None
    due_ms: int | None
    since_ms: int
    leaf_index: int
    alarmed: bool = False
    done_index: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A contradiction that the rules found; it stays open until somebody signs an explanation.

    `id` is `<leaf index>-<n>`. Facts are JSON-ready and name no person.
    """

    id: str
    leaf_index: int
    event: str
    rule: str
    severity: Severity
    unit: str | None
    handover: str | None
    place: str | None
    agency: str | None
    at_ms: int
    facts: dict[str, Any]
    status: str = "open"
    ended_index: int | None = None
    explained: tuple[tuple[str, str, str, int], ...] = ()
    """Who has explained it so far: agency, event, reason, leaf index."""
    objections: tuple[str, ...] = ()
    """The events by which somebody objected to it."""


@quick
@dataclass(frozen=True, slots=True)
class Gap:
    """A difference in the balance that somebody has explained: as long as it is just this one.

    `id` says which identity of which contest, for which place, and the difference; see `gap_id`.
    """

    id: str
    leaf_index: int
    election: str
    contest: str
    identity: int
    place: str | None
    difference: int
    size: int
    explained: tuple[tuple[str, str, str, int], ...]
    closed_index: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened, and what is done about it; `id` is the hash of the event that reported it.

    Times are UTC milliseconds of our receipt, but for `at_ms`, which is the reporter's word, and `due_ms`.
    """

    id: str
    leaf_index: int
    category: str
    severity: Severity
    status: str
    election: str
    place: str
    agency: str | None
    owner: str | None
    source: str
    confidential: bool
    units: tuple[str, ...]
    links: tuple[str, ...]
    at_ms: int
    opened_ms: int
    due_ms: int | None = None
    triaged_ms: int | None = None
    assigned_ms: int | None = None
    resolved_ms: int | None = None
    closed_ms: int | None = None
    latest_index: int = 0
    events: tuple[str, ...] = ()
    """What moved it on, by hash, in ledger order."""


@quick
@dataclass(frozen=True, slots=True)
class Inspection:
    """An inspection from its plan, or its opening, to its minutes; `id` is the hash of the event that began it.

    While it is `planned`, `place` is where the plan was signed and says nothing of where it will be. `n` and `ids_hash`
    are the opener's word on the inventory as of the leaf `frozen_index`, `sample_n` and `sample_hash` the closer's on
    the sample. `skipped` gives the reason of each unit.
    """

    id: str
    leaf_index: int
    kind: str
    status: str
    election: str
    place: str
    agency: str
    officer: str
    commitment: str | None = None
    opened: str | None = None
    frozen_index: int | None = None
    opened_ms: int | None = None
    items: tuple[str, ...] = ()
    contents: bool = False
    confidence: int = 0
    rate: int = 0
    n: int = 0
    ids_hash: str | None = None
    inspected: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    sample_n: int | None = None
    sample_hash: str | None = None
    inspected_n: int | None = None
    found_n: int | None = None
    left_n: int | None = None
    minutes: str | None = None
    closed_index: int | None = None
    closed_ms: int | None = None
    latest_index: int = 0
    events: tuple[str, ...] = ()
    """What moved it on; beyond the most that are kept, the ledger alone tells."""


def gap_id(election: str, contest: str, identity: int, place: str | None, difference: int) -> str:
    """Return the key of a difference of the balance."""
    return f"{election}/{contest}/{identity}/{place or ''}/{difference}"


@quick
@dataclass(frozen=True, slots=True)
class Tally:
    """One contribution of one event to one figure of the balance; figures are sums of these."""

    id: str
    leaf_index: int
    event: str
    figure: str
    election: str
    item: str
    contest: str | None
    unit: str
    place: str | None
    quantity: int


@quick
@dataclass(frozen=True, slots=True)
class Shard:
    """The newest checkpoint of another ledger that this one has recorded."""

    origin: str
    size: int
    root: str
    leaf_index: int


Record = (
    Meta
    | Shard
    | EventRef
    | Handover
    | Waiting
    | Discrepancy
    | Tally
    | Gap
    | Incident
    | Inspection
    | Key
    | Device
    | Unit
    | Label
    | Alias
    | Seal
    | Containment
    | Stowage
    | Supply
)

KEY_OF: dict[type, str] = {
    Meta: "id", Shard: "origin", EventRef: "hash", Handover: "release", Waiting: "hash", Discrepancy: "id",
    Tally: "id", Gap: "id", Incident: "id", Inspection: "id", Key: "kid", Device: "kid", Unit: "unit", Label: "label",
    Alias: "code", Seal: "number", Containment: "id", Stowage: "unit", Supply: "id",
}  # fmt: skip


_KEY = {kind: attrgetter(name) for kind, name in KEY_OF.items()}


_INDEXED = frozenset({EventRef, Waiting})
"""Kinds that are found by more than their key."""


def key_of(record: Record) -> str:
    """Return the key of a record among its kind."""
    return str(_KEY[type(record)](record))


class Facts:
    """Records by kind and key, as of one leaf index."""

    def __init__(self, *, complete: bool = False) -> None:
        """Start empty.

        Args:
            complete: What is absent does not exist (replay). Otherwise every key a rule asks for must have
                been loaded, present or `expect`ed absent.
        """
        self.complete = complete
        self.kinds: dict[type, dict[str, Any]] = {kind: {} for kind in KEY_OF}
        self.dirty: dict[type, dict[str, Any]] = {kind: {} for kind in KEY_OF}
        self.ids: dict[tuple[str, str], str] = {}
        self.documents: dict[str, bytes] = {}
        self._waiting: dict[str, dict[str, None]] = {}

    def expect(self, kind: type, keys: Iterable[str]) -> list[str]:
        """Mark keys as asked for; return those not loaded yet, for the store to fetch."""
        known = self.kinds[kind]
        fresh = [key for key in dict.fromkeys(keys) if key not in known]
        known.update(dict.fromkeys(fresh))
        return fresh

    def load(self, records: Iterable[Record]) -> None:
        """Take records as they stand in the store."""
        for record in records:
            kind = type(record)
            self.kinds[kind][_KEY[kind](record)] = record
            if kind in _INDEXED:
                self._index(record)

    def put(self, record: Record) -> None:
        """Take a new version of a record and remember it for the store."""
        kind = type(record)
        key = _KEY[kind](record)
        self.kinds[kind][key] = self.dirty[kind][key] = record
        if kind in _INDEXED:
            self._index(record)

    def _index(self, record: Record) -> None:
        if isinstance(record, EventRef) and record.twin == 0:
            self.ids[(record.author, record.event_id)] = record.hash
        if isinstance(record, Waiting) and record.awaited is not None:
            self._waiting.setdefault(record.awaited, {})[record.hash] = None

    def waiting_on(self, event_hash: str) -> list[Waiting]:
        """Return the events that wait for another, oldest first."""
        known = [self.kinds[Waiting][name] for name in self._waiting.get(event_hash, ())]
        return sorted(
            (w for w in known if w.awaited == event_hash and w.done_index is None), key=lambda w: w.leaf_index
        )

    def get(self, kind: type, key: str) -> Any:
        """Return a record or None.

        Raises:
            RuntimeError: The key was never loaded: the loader forgot what this rule reads.
        """
        try:
            return self.kinds[kind][key]
        except KeyError:
            if self.complete:
                return None
            raise RuntimeError(f"a rule read {kind.__name__} {key!r}, which was not loaded") from None

    @property
    def meta(self) -> Meta | None:
        """The ledger's own state; None before the genesis."""
        value: Meta | None = self.kinds[Meta].get("ledger")
        return value
