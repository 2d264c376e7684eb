"""What the events of an inspection say: its hidden plan, its opening, what was left out, its end (pure).

Models as in `app.custody.details`. An inspection (pemeriksaan) is one of three kinds: `full` looks at everything,
`routine` at a sample, `surprise` (sidak) at a sample and by a plan that nobody knows before it begins. What was found
is told by the observation `inspection`, which names the inspection that it belongs to. Source: domain reference
section 10, A20 and A21.
"""

from typing import Annotated, Literal

from pydantic import Field

from app.canon import JsonValue, b64url_decode, b64url_encode, jcs, sha256
from app.custody.details import Reason, Reference, Scanned, UnitId
from app.strict import Strict
from app.units.documents import Code, Hash, Quantity

Confidence = Annotated[int, Field(ge=50, le=99)]
Rate = Annotated[int, Field(ge=1, le=1000)]
InspectionKind = Literal["full", "routine", "surprise"]
MAX_COUNTED = 4096
"""Units that one inspection keeps count of; a larger one is opened in parts."""


class InspectionPlan(Strict):
    """Commits to a surprise inspection and says nothing of it: see `plan_commitment`."""

    commitment: Hash


class InspectionOpen(Strict):
    """Freezes what is held at the event's place, and below it, as of this leaf, and says how it will be looked at.

    The inventory is every unit there that somebody answers for: outermost ones, or with `contents` what is inside them,
    too; of these items only, if any are named. `inventory` is the opener's word on how many and which. `confidence` is
    in per cent; `rate`, in per mille, is the share of bad units that the sample must not miss at that confidence.
    `plan` and `salt` reveal the hidden plan of a surprise inspection.
    """

    kind: InspectionKind
    inventory: Scanned
    confidence: Confidence
    rate: Rate
    items: tuple[Code, ...] = Field(default=(), max_length=32)
    contents: bool = False
    plan: Hash | None = None
    salt: Hash | None = None


class SkipLine(Strict):
    """A unit that is not looked at, and why."""

    unit: UnitId
    reason: Reason


class InspectionSkip(Strict):
    """Leaves units out, each with a reason. What was looked for and is not there is no skip, but a finding.

    They stand in lines and not among the event's units: nothing happens to them, so no unit's evidence needs it.
    """

    inspection: Hash
    lines: tuple[SkipLine, ...] = Field(min_length=1, max_length=256)


class InspectionClose(Strict):
    """Ends an inspection under numbered minutes: of this sample so many were inspected, and of those so many were bad.

    `aside` are units that were inspected or skipped and are not of the sample, `left` those of the sample that were
    neither; with some left, the inspection ends only as `incomplete`.
    """

    inspection: Hash
    sample: Scanned
    inspected: Quantity
    found: Quantity
    minutes: Reference
    left: tuple[UnitId, ...] = Field(default=(), max_length=256)
    aside: tuple[UnitId, ...] = Field(default=(), max_length=256)
    incomplete: bool = False


def plan_commitment(salt: str, place: str, election: str, told: InspectionOpen) -> str:
    """Return the commitment to a plan: SHA-256 over 32 salt bytes and the canonical JSON (RFC 8785) of what it says.

    What it says is where, of which election, which items, how deep and how sure:
    `{"confidence":95,"contents":false,"election":"…","items":[],"kind":"surprise","place":"…","rate":10,"v":1}`.

    Args:
        salt: 32 bytes, base64url; as long as nobody has it, nobody can try places.
        place: Where it will be.
        election: Of which election.
        told: The opening, of which plan, salt and inventory are left out.

    Raises:
        MalformedError: `base64`, the salt is no 32 bytes.
    """
    plan: JsonValue = {
        "v": 1, "kind": told.kind, "place": place, "election": election, "items": list(told.items),
        "contents": told.contents, "confidence": told.confidence, "rate": told.rate,
    }  # fmt: skip
    return b64url_encode(sha256(b64url_decode(salt, length=32) + jcs(plan)))
