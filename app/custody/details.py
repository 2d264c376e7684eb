"""What each type of event says in its `details`: one strict model per type (pure).

Names are the field's words; Indonesian stands in what people see, not here. Hashes are base64url of 32 bytes,
quantities are whole items, moments are RFC 3339 with an offset. Free text, names and coordinates never stand
here: they travel as salted commitments in `private` (design section 5).
"""

from typing import Annotated, Literal

from pydantic import Field

from app.strict import Strict
from app.units.documents import AgencyKind, Capacity, Code, Hash, Moment, Name, Quantity

UnitId = Annotated[str, Field(min_length=17, max_length=17, pattern=r"^[0-9A-HJKMNP-TV-Z]{17}$")]
SealNumber = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Z0-9][A-Z0-9./-]*$")]
Reason = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Z][A-Z0-9_]*$")]
Reference = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./_-]*$")]
Origin = Annotated[str, Field(min_length=1, max_length=200)]
TreeSize = Annotated[int, Field(ge=0, le=2**53 - 1)]
VerifierText = Annotated[str, Field(min_length=20, max_length=400)]
"""A key in the form of signed notes: name, key id and public key."""
Point = Annotated[int, Field(ge=1, le=16)]
Condition = Literal["good", "damaged", "excess", "revote", "missing"]
AccessRole = Literal["field", "registrar", "operator", "auditor", "administrator", "integrator"]
Finding = Literal["intact", "broken", "missing", "loose", "replaced"]


class Jwk(Strict):
    """A public key as RFC 7517 members; `app.keys.verify` judges whether it is sound."""

    kty: Literal["EC", "OKP"]
    crv: Literal["P-256", "Ed25519"]
    x: Hash
    y: Hash | None = None


# -- foundation ------------------------------------------------------------------------------------------


class Founder(Strict):
    """An administrator who signs the genesis and may publish policies."""

    officer: Code
    agency: Code
    jwk: Jwk


class FoundingAgency(Strict):
    """An agency and its root key, both fixed in leaf 0."""

    agency: Code
    name: Name
    kind: AgencyKind
    jwk: Jwk


class Predecessor(Strict):
    """The ledger that this one goes on from: its name, its genesis, and the last tree of it that counts."""

    origin: Origin
    genesis: Hash
    size: TreeSize
    root: Hash


class LedgerGenesis(Strict):
    """Leaf 0: who founds this ledger and with which keys (design section 6).

    `succeeds` cites the final checkpoint of a ledger that was closed, whose history this one takes up.
    """

    name: Code
    demo: bool = False
    ledger_key: VerifierText
    service_key: Jwk
    admission_key: Jwk
    administrators: tuple[Founder, ...] = Field(min_length=1, max_length=32)
    agencies: tuple[FoundingAgency, ...] = Field(default=(), max_length=64)
    policy_signers: Annotated[int, Field(ge=1, le=32)] = 1
    succeeds: Predecessor | None = None


class AgencyJoin(FoundingAgency):
    """An agency joins after the genesis, or brings another root key: signed by founders and by that key."""


class FoundersChange(Strict):
    """Founders come and go: signed by more than half of those there are, and by everyone who comes.

    `remove` names the keys that end, `policy_signers` how many founders sign a policy from here on.
    """

    add: tuple[Founder, ...] = Field(default=(), max_length=32)
    remove: tuple[Hash, ...] = Field(default=(), max_length=32)
    policy_signers: Annotated[int, Field(ge=1, le=32)]


class LedgerRekey(Strict):
    """Names every key that signs this ledger's checkpoints from this leaf on; signed by founders.

    A rotation is two of these: the old and the new key together, later the new one alone.
    """

    keys: tuple[VerifierText, ...] = Field(min_length=1, max_length=4)


class PolicyPublish(Strict):
    """Puts a policy document in force from this leaf on."""

    document: Hash


class PlanPublish(Strict):
    """Puts the plan of one election in force from this leaf on."""

    document: Hash
    election: Code


class Possession(Strict):
    """A signature by the new key over `custody-enrol` LF origin LF challenge LF thumbprint."""

    challenge: Annotated[str, Field(min_length=22, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]
    signature: Annotated[str, Field(min_length=86, max_length=86, pattern=r"^[A-Za-z0-9_-]+$")]


class KeyEnrol(Strict):
    """Gives a key to an officer: agency, role, place and time of the mandate, and what it may read."""

    jwk: Jwk
    officer: Code
    agency: Code
    role: Code
    place: Code
    access: tuple[AccessRole, ...] = Field(default=("field",), max_length=6)
    valid_from: Moment
    valid_until: Moment
    possession: Possession


class KeyRevoke(Strict):
    """Ends a key; what it signs after this leaf is held for a decision."""

    kid: Hash
    reason: Literal["lost", "stolen", "compromised", "left", "replaced"]
    compromised_since: Moment | None = None


class Decision(Strict):
    """The supervisor and the other side decide what becomes of a held event."""

    event: Hash
    result: Literal["accept", "refuse"]
    reason: Reason


# -- commands --------------------------------------------------------------------------------------------


class LabelsIssue(Strict):
    """Reserves a block of labels; the hash is over the sorted ids, one a line."""

    count: Annotated[int, Field(ge=1, le=20_000)]
    ids_hash: Hash
    purpose: Reason = "FIRST"


class BindLine(Strict):
    """Binds a blank label to a new unit; for lots the quantity counts in the item's unit of measure."""

    act: Literal["bind"]
    unit: UnitId
    item: Code
    contest: Code | None = None
    district: Code | None = None
    quantity: Quantity = 1
    source: Literal["print", "stock", "surplus", "replacement", "empty"] = "stock"
    condition: Condition = "good"
    destination: Code | None = None


class ReprintLine(Strict):
    """Binds a blank label to a unit that has one; the old label is retired."""

    act: Literal["reprint"]
    unit: UnitId
    of: UnitId


class AliasLine(Strict):
    """Binds a foreign code, such as the commission's own box QR, to a unit."""

    act: Literal["alias"]
    unit: UnitId
    code: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e][\x20-\x7e]*$")]


class RetireLine(Strict):
    """Retires a blank label that was spoiled in print or lost."""

    act: Literal["retire"]
    unit: UnitId
    reason: Reason


class UnitCommission(Strict):
    """Binds labels to units, line by line; all lines take effect or none."""

    lines: tuple[Annotated[BindLine | ReprintLine | AliasLine | RetireLine, Field(discriminator="act")], ...] = Field(
        min_length=1, max_length=256
    )
    waybill: Reference | None = None


class Override(Strict):
    """A named officer lets through, with a reason, what the policy or the plan would refuse."""

    reason: Reason


class UnitPack(Strict):
    """Puts the event's units into a parent; `override` lets it hold more than the plan says that it can."""

    parent: UnitId
    override: Override | None = None


class UnitUnpack(Strict):
    """Takes the event's units out of their parent."""

    parent: UnitId


class LotMove(Strict):
    """Moves a quantity between two lots of one holder at one place."""

    source: UnitId
    target: UnitId
    quantity: Annotated[int, Field(ge=1, le=2**31)]
    reason: Reason


class CustodyRelease(Strict):
    """The holder gives the units to an agency, to be received at a place by a time."""

    to_agency: Code
    to_place: Code
    due_by: Moment
    to_officer: Code | None = None
    internal: bool = False
    waybill: Reference | None = None
    vehicle: Code | None = None
    override: Override | None = None


class Scanned(Strict):
    """How many units were scanned and the SHA-256 of their sorted ids, one a line."""

    n: Quantity
    hash: Hash


class AcceptLine(Strict):
    """A unit of the release that did not arrive as released."""

    unit: UnitId
    kind: Literal["missing", "rejected", "damaged"]
    reason: Reason


class CustodyAccept(Strict):
    """The receiver takes what the release gave, but for the exceptions; without a release: an unsolicited receipt."""

    release: Hash | None
    scanned: Scanned
    exceptions: tuple[AcceptLine, ...] = Field(default=(), max_length=256)


class CustodyReject(Strict):
    """The receiver takes nothing; the goods stay with the releaser."""

    release: Hash
    reason: Reason


class CustodyCancel(Strict):
    """The releaser takes the release back: at once if the named taker signed too, else when it falls due."""

    release: Hash
    reason: Reason


class SealLine(Strict):
    """A seal number at a point of a unit."""

    unit: UnitId
    point: Point
    number: SealNumber


class SealApply(Strict):
    """Seals units; a number is applied once, ever."""

    seals: tuple[SealLine, ...] = Field(min_length=1, max_length=256)


class SealRemove(Strict):
    """Takes seals off with authority."""

    seals: tuple[SealLine, ...] = Field(min_length=1, max_length=256)
    reason: Reason


class SealFinding(Strict):
    """What was found at a point: which number, and in what state."""

    unit: UnitId
    point: Point
    number: SealNumber | None = None
    finding: Finding


class UnitOpen(Strict):
    """Opens units: each seal found is named; at a polling station the secrecy wall stands from here."""

    seals: tuple[SealFinding, ...] = Field(default=(), max_length=256)
    reason: Reason


class UnitClose(Strict):
    """Closes units again after the count, with new seals."""

    seals: tuple[SealLine, ...] = Field(default=(), max_length=256)


class QuarantineSet(Strict):
    """Sets units apart until two sides clear them."""

    reason: Reason


class QuarantineClear(Strict):
    """Ends a quarantine; needs an approver of the supervisor beside the holder."""

    reason: Reason


class HoldSet(Strict):
    """A legal hold by case number; blocks release, opening and every ending."""

    case: Reference


class HoldClear(Strict):
    """Ends a legal hold of the same case."""

    case: Reference


class UnitVoid(Strict):
    """Declares units void by a numbered decision."""

    decision: Reference
    reason: Reason


class DestroyLine(Strict):
    """How much of a unit was destroyed: all of it, counted."""

    unit: UnitId
    quantity: Quantity
    reason: Reason


class UnitDestroy(Strict):
    """Witnessed destruction under numbered minutes; the counts must equal the ledger's."""

    minutes: Reference
    method: Reason
    lines: tuple[DestroyLine, ...] = Field(min_length=1, max_length=256)


class Correction(Strict):
    """Corrects one field of what an earlier event said; acts from its own leaf, never on custody."""

    target: Hash
    unit: UnitId
    field: Literal["contest", "district", "destination", "item"]
    value: Code
    reason: Reason


class Retraction(Strict):
    """Marks an earlier event of the author's agency as withdrawn; undoes nothing."""

    target: Hash
    reason: Reason


# -- observations ----------------------------------------------------------------------------------------


class Sighting(Strict):
    """A label was scanned or typed here."""

    source: Literal["camera", "typed", "photo", "wedge"] = "camera"


class InspectedThing(Strict):
    """One thing looked at: count, kind, destination, quality, seal, label, papers, storage, vehicle, escort, time."""

    what: Literal[
        "COUNT",
        "KIND",
        "DESTINATION",
        "CONDITION",
        "SEAL",
        "LABEL",
        "PAPERS",
        "STORAGE",
        "VEHICLE",
        "ESCORT",
        "IDENTITY",
        "TIME",
    ]
    conform: bool
    reason: Reason | None = None


class Inspection(Strict):
    """The warehouse check (pemeriksaan): what was looked at and whether it conforms.

    `of` names the inspection that it belongs to, by the event that began it; then the event's units count as inspected
    there, and as bad when anything does not conform.
    """

    kind: Literal["receipt", "routine", "full", "surprise"]
    things: tuple[InspectedThing, ...] = Field(min_length=1, max_length=16)
    of: Hash | None = None


class CountLine(Strict):
    """What was counted: of a unit, or of an item (and contest) at the place."""

    counted: Quantity
    unit: UnitId | None = None
    item: Code | None = None
    contest: Code | None = None
    expected: Quantity | None = None


class Count(Strict):
    """An official count; `waybill` lines name what was expected, `kit` compares with the plan of the place."""

    basis: Literal["waybill", "kit", "stock"]
    lines: tuple[CountLine, ...] = Field(min_length=1, max_length=256)


class SealInspect(Strict):
    """Seals as found; anything but the bound number, intact, quarantines the unit."""

    seals: tuple[SealFinding, ...] = Field(min_length=1, max_length=256)


class Position(Strict):
    """A position fix; coordinates are private, only their commitment is public."""

    source: Literal["gps", "network", "manual"] = "gps"


class ConditionReport(Strict):
    """The condition of units as seen."""

    condition: Literal["good", "damaged"]
    reason: Reason


class AccessReport(Strict):
    """A store was opened or closed."""

    act: Literal["open", "close"]
    purpose: Reason
    key_holders: Annotated[int, Field(ge=1, le=8)] = 2


class Departed(Strict):
    """A vehicle left with the units of a release."""

    release: Hash
    vehicle: Code | None = None


class Arrived(Strict):
    """A vehicle came with the units of a release."""

    release: Hash
    vehicle: Code | None = None


# -- the service itself ----------------------------------------------------------------------------------


class HeadsCommit(Strict):
    """A tree over every unit's latest event as of a size (ledger reference section 14)."""

    size: TreeSize
    root: Hash
    n: TreeSize


class ShardCheckpoint(Strict):
    """The newest checkpoint of another ledger, with its own signature: how a national ledger binds all the others."""

    origin: Origin
    size: TreeSize
    root: Hash
    key: VerifierText
    note: Annotated[str, Field(min_length=1, max_length=4096)]


class Verdict(Strict):
    """The outcome of an event that was pending or held, or an alarm about one that still is."""

    event: Hash
    result: Literal["accepted", "refused", "pending"]
    code: Annotated[str, Field(max_length=60, pattern=r"^[a-z0-9_]*$")]


class LedgerClose(Strict):
    """Nothing but verdicts follows."""

    reason: Reason


__all__ = ["AccessRole", "Capacity", "Condition", "Finding"]
