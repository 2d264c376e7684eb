"""The signed event: the envelope every type shares, and the one registry of types (pure).

Step 1 of a scan's walk: `parse_event` turns payload bytes into an `Event` or raises `MalformedError`; nothing
malformed is recorded. Adding a type is one model in `details.py` (or `desk.py`, `inspections.py`), one line in
`TYPES`, one rule, a row of the state table, and its name in the browser's verifier (`web/static/verify.js` and the
words of `verify-page.js`). Source: design section 5.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, create_model

from app.canon import JsonValue, b64url_encode, parse_json, sha256
from app.clock import parse_rfc3339
from app.custody import desk, inspections
from app.custody import details as d
from app.errors import MalformedError
from app.ids import is_unit_id, parse_unit_id, parse_uuid7
from app.quick import quick
from app.strict import Strict, malformed, read_strict
from app.units.documents import Capacity, Code, Hash, Moment

MAX_PAYLOAD_BYTES = 16 * 1024
MAX_PAYLOAD_DEPTH = 16
MAX_UNITS = 256
MAX_SIGNERS = 16
MAX_AFTER = 32

Kind = Literal["foundation", "command", "observation", "service"]


@quick
@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event: the model of its details, and whether it claims authority or states what was seen."""

    name: str
    kind: Kind
    details: type[Strict]


def _types() -> dict[str, EventType]:
    table: dict[Kind, dict[str, type[Strict]]] = {
        "foundation": {
            "ledger.genesis": d.LedgerGenesis, "policy.publish": d.PolicyPublish, "plan.publish": d.PlanPublish,
            "key.enrol": d.KeyEnrol, "key.revoke": d.KeyRevoke, "decision": d.Decision, "agency.join": d.AgencyJoin,
            "founders.change": d.FoundersChange, "ledger.rekey": d.LedgerRekey,
        },
        "command": {
            "labels.issue": d.LabelsIssue, "unit.commission": d.UnitCommission, "unit.pack": d.UnitPack,
            "unit.unpack": d.UnitUnpack, "lot.move": d.LotMove, "custody.release": d.CustodyRelease,
            "custody.accept": d.CustodyAccept, "custody.reject": d.CustodyReject, "custody.cancel": d.CustodyCancel,
            "seal.apply": d.SealApply, "seal.remove": d.SealRemove, "unit.open": d.UnitOpen, "unit.close": d.UnitClose,
            "quarantine.set": d.QuarantineSet, "quarantine.clear": d.QuarantineClear, "hold.set": d.HoldSet,
            "hold.clear": d.HoldClear, "unit.void": d.UnitVoid, "unit.destroy": d.UnitDestroy,
            "correction": d.Correction, "retraction": d.Retraction, "discrepancy.explain": desk.DiscrepancyExplain,
            "incident.update": desk.IncidentUpdate, "incident.close": desk.IncidentClose,
            "inspection.plan": inspections.InspectionPlan, "inspection.open": inspections.InspectionOpen,
            "inspection.skip": inspections.InspectionSkip, "inspection.close": inspections.InspectionClose,
        },
        "observation": {
            "sighting": d.Sighting, "inspection": d.Inspection, "count": d.Count, "seal.inspect": d.SealInspect,
            "position": d.Position, "condition": d.ConditionReport, "access": d.AccessReport,
            "departed": d.Departed, "arrived": d.Arrived, "incident.report": desk.IncidentReport,
            "objection": desk.Objection, "witness.attest": desk.WitnessAttest, "witness.refuse": desk.WitnessRefuse,
        },
        "service": {
            "heads.commit": d.HeadsCommit, "verdict": d.Verdict, "ledger.close": d.LedgerClose,
            "shard.checkpoint": d.ShardCheckpoint,
        },
    }  # fmt: skip
    return {name: EventType(name, kind, model) for kind, models in table.items() for name, model in models.items()}


TYPES = _types()


class Device(Strict):
    """The author's own sequence: number of this payload and hash of the one before (zero hash at first)."""

    seq: Annotated[int, Field(ge=1, le=2**53 - 1)]
    prev: Hash


class Seen(Strict):
    """The last checkpoint that the phone had seen when it signed."""

    size: Annotated[int, Field(ge=0, le=2**53 - 1)]
    root: Hash


class Envelope(Strict):
    """The members that every payload has, in design section 5's words; each type says what its `details` are."""

    v: Literal[1]
    event_id: Annotated[str, Field(min_length=36, max_length=36)]
    type: Annotated[str, Field(max_length=40)]
    ledger: Annotated[str, Field(min_length=1, max_length=200)]
    election: Code
    place: Code
    author: Hash
    signers: Annotated[dict[Hash, Capacity], Field(min_length=1, max_length=MAX_SIGNERS)]
    units: Annotated[tuple[str, ...], Field(max_length=MAX_UNITS)] = ()
    after: Annotated[tuple[Hash, ...], Field(max_length=MAX_AFTER)] = ()
    at: Moment
    checkpoint: Seen
    device: Device
    details: Any
    private: Annotated[dict[Code, Hash], Field(max_length=16)] = Field(default_factory=dict)


class _AnyDetails(Envelope):
    details: dict[str, Any]


_ANY_DETAILS = TypeAdapter(_AnyDetails)


def _payload_of(event_type: EventType) -> TypeAdapter[Envelope]:
    """Return the model of a whole payload of one type: the envelope, with details of that type."""
    details: Any = (event_type.details, ...)
    return TypeAdapter(create_model(f"Payload[{event_type.name}]", __base__=Envelope, details=details))


_PAYLOADS = {name: _payload_of(event_type) for name, event_type in TYPES.items()}

ZERO_HASH = b64url_encode(bytes(32))


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """A well-formed event; nothing about it is proven yet.

    `hash` is base64url of SHA-256 over the payload bytes: the event's identity wherever another names it.
    `at_ms` is the device's word, UTC milliseconds.
    """

    hash: str
    type: EventType
    body: Envelope
    details: Any
    at_ms: int

    @property
    def is_command(self) -> bool:
        """Say whether the event claims authority and may be refused."""
        return self.type.kind in {"command", "foundation"}

    def signers_as(self, *capacities: str) -> list[str]:
        """Return the key ids that sign in one of the capacities, in the payload's order."""
        return [kid for kid, capacity in self.body.signers.items() if capacity in capacities]


def parse_event(payload: bytes) -> Event:
    """Read payload bytes as an event.

    Raises:
        MalformedError: Not I-JSON (its own code); `event_shape` or `details_shape` naming the first wrong
            member; `unknown_type`; `event_id`; `label_checksum` or `unit_id`; `time`; `signature_set` when
            the author is not among the signers; `units_repeated`.
        TooLargeError: More than 16 KiB.
    """
    value = parse_json(payload, max_bytes=MAX_PAYLOAD_BYTES, max_depth=MAX_PAYLOAD_DEPTH)
    body = _read(value, payload)
    parse_uuid7(body.event_id)
    _check_units(body.units)
    if body.author not in body.signers:
        raise MalformedError("The author must be one of the signers.", code="signature_set")
    return Event(b64url_encode(sha256(payload)), TYPES[body.type], body, body.details, parse_rfc3339(body.at))


def read_again(payload: bytes, type_name: str, hash_: str, at_ms: int) -> Event:
    """Return an event that `parse_event` let pass before, in another process of this service.

    Args:
        payload: The same bytes.
        type_name: Its type, hash and moment as parsed then.
        hash_: See there.
        at_ms: See there.
    """
    body = _PAYLOADS[type_name].validate_json(payload)
    return Event(hash_, TYPES[type_name], body, body.details, at_ms)


def _read(value: JsonValue, payload: bytes) -> Envelope:
    """Read the whole payload by the model of the type that it names, in one go; say then what is wrong, if anything."""
    named = value.get("type") if isinstance(value, dict) else None
    model = _PAYLOADS.get(named) if isinstance(named, str) else None
    try:
        if model is not None:
            return model.validate_json(payload)
    except ValidationError as error:
        read_strict(_ANY_DETAILS, payload, "event_shape")
        raise malformed(error, "details_shape") from None
    read_strict(_ANY_DETAILS, payload, "event_shape")
    raise MalformedError("This service does not know that type of event.", code="unknown_type")


def _check_units(units: tuple[str, ...]) -> None:
    for unit in units:
        if not is_unit_id(unit):
            parse_unit_id(unit)
            raise MalformedError("Unit ids are written in upper case without hyphens.", code="unit_id", unit=unit[:32])
    if len(set(units)) != len(units):
        raise MalformedError("An event names a unit once.", code="units_repeated")
