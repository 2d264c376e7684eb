"""The signed event: the envelope every type shares, and the one registry of types (pure).

Step 1 of a scan's walk: `parse_event` turns payload bytes into an `Event` or raises `MalformedError`; nothing
malformed is recorded. Adding a type is one model in `details.py`, one line in `TYPES`, one rule and a row of
the state table. Source: design section 5.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from app.canon import b64url_encode, parse_json, sha256
from app.clock import parse_rfc3339
from app.custody import details as d
from app.errors import MalformedError
from app.ids import is_unit_id, parse_unit_id, parse_uuid7
from app.units.documents import Capacity, Code, Hash, Moment, Strict

MAX_PAYLOAD_BYTES = 16 * 1024
MAX_PAYLOAD_DEPTH = 16
MAX_UNITS = 256
MAX_SIGNERS = 16
MAX_AFTER = 32

Kind = Literal["foundation", "command", "observation", "service"]


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
            "key.enrol": d.KeyEnrol, "key.revoke": d.KeyRevoke, "decision": d.Decision,
        },
        "command": {
            "labels.issue": d.LabelsIssue, "unit.commission": d.UnitCommission, "unit.pack": d.UnitPack,
            "unit.unpack": d.UnitUnpack, "lot.move": d.LotMove, "custody.release": d.CustodyRelease,
            "custody.accept": d.CustodyAccept, "custody.reject": d.CustodyReject, "custody.cancel": d.CustodyCancel,
            "seal.apply": d.SealApply, "seal.remove": d.SealRemove, "unit.open": d.UnitOpen, "unit.close": d.UnitClose,
            "quarantine.set": d.QuarantineSet, "quarantine.clear": d.QuarantineClear, "hold.set": d.HoldSet,
            "hold.clear": d.HoldClear, "unit.void": d.UnitVoid, "unit.destroy": d.UnitDestroy,
            "correction": d.Correction, "retraction": d.Retraction,
        },
        "observation": {
            "sighting": d.Sighting, "inspection": d.Inspection, "count": d.Count, "seal.inspect": d.SealInspect,
            "position": d.Position, "condition": d.ConditionReport, "access": d.AccessReport,
            "departed": d.Departed, "arrived": d.Arrived,
        },
        "service": {"heads.commit": d.HeadsCommit, "verdict": d.Verdict, "ledger.close": d.LedgerClose},
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
    """The members that every payload has, in design section 5's words."""

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
    details: dict[str, Any]
    private: Annotated[dict[Code, Hash], Field(max_length=16)] = Field(default_factory=dict)


_ENVELOPE = TypeAdapter(Envelope)
_DETAILS = {name: TypeAdapter(event_type.details) for name, event_type in TYPES.items()}

_MAY_HOLD_ARRAYS = frozenset({"units", "after", "details"})
ZERO_HASH = b64url_encode(bytes(32))


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
    body = _validated(_ENVELOPE, _members(value), "event_shape")
    event_type = TYPES.get(body.type)
    if event_type is None:
        raise MalformedError("This service does not know that type of event.", code="unknown_type")
    parse_uuid7(body.event_id)
    _check_units(body.units)
    if body.author not in body.signers:
        raise MalformedError("The author must be one of the signers.", code="signature_set")
    details = _validated(_DETAILS[body.type], body.details, "details_shape")
    return Event(b64url_encode(sha256(payload)), event_type, body, details, parse_rfc3339(body.at))


def _members(value: object) -> object:
    """Turn the arrays of a payload into tuples where the envelope may have any; elsewhere they are wrong anyway."""
    if not isinstance(value, dict):
        return value
    return {n: _tuples(v) if n in _MAY_HOLD_ARRAYS else v for n, v in value.items()}


def _tuples(value: object) -> object:
    """Turn JSON arrays into tuples, which strict models ask for."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return value


def _validated(adapter: TypeAdapter[Any], value: object, code: str) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:120]
        if first["loc"] and "unit" in str(first["loc"][-1]):
            code = "unit_id"
        raise MalformedError(
            f"The event is wrong at {where or 'its top'}: {first['type']}.", code=code, at=where
        ) from None


def _check_units(units: tuple[str, ...]) -> None:
    for unit in units:
        if not is_unit_id(unit):
            parse_unit_id(unit)
            raise MalformedError("Unit ids are written in upper case without hyphens.", code="unit_id", unit=unit[:32])
    if len(set(units)) != len(units):
        raise MalformedError("An event names a unit once.", code="units_repeated")
