"""What the events of the auditor's desk say: explanations, objections, incidents, attestations (pure).

Models as in `app.custody.details`, which has those of goods and people. Free text, names and coordinates never stand
here: they travel as salted commitments in `private` (design section 5). Source: domain reference sections 9, 12 and 13.
"""

from typing import Annotated, Literal

from pydantic import Field

from app.custody.details import Reason, TreeSize
from app.strict import Strict
from app.units.documents import Code, Hash, Moment

DiscrepancyId = Annotated[
    str, Field(min_length=3, max_length=24, pattern=r"^(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,5})$")
]
Difference = Annotated[int, Field(ge=-(2**53 - 1), le=2**53 - 1)]
Severity = Literal["info", "rendah", "sedang", "tinggi", "kritis"]
Category = Literal[
    "CYBER", "PARTY_DISPUTE", "INTIMIDATION", "LOGISTICS_DISRUPTION", "SABOTAGE", "DISINFORMATION", "RESULT_DISPUTE",
    "TERROR", "THEFT", "LOSS", "FIRE", "FLOOD", "SEAL_BREACH", "UNAUTHORISED_ACCESS", "CUSTODY_BREAK", "SWAP",
    "COUNTERFEIT", "OBSTRUCTED_SUPERVISION", "UNESCORTED", "LATE_DELIVERY", "SYSTEM_OUTAGE", "KEY_COMPROMISE",
    "INSIDER", "PERSON_SAFETY",
]  # fmt: skip
"""The origin document's eight risks first, then what the field adds to them (domain reference section 13)."""


class AboutDiscrepancy(Strict):
    """A discrepancy of this ledger, by id."""

    what: Literal["discrepancy"]
    discrepancy: DiscrepancyId


class AboutGap(Strict):
    """A difference that an identity of the balance had at a tree size; for every place of the election when absent."""

    what: Literal["gap"]
    contest: Code
    identity: Annotated[int, Field(ge=1, le=99)]
    difference: Difference
    size: TreeSize
    place: Code | None = None


class AboutEvent(Strict):
    """An event, by hash."""

    what: Literal["event"]
    event: Hash


class DiscrepancyExplain(Strict):
    """Says why something does not agree; it is closed when the holder's side and another agency have done so."""

    about: Annotated[AboutDiscrepancy | AboutGap, Field(discriminator="what")]
    reason: Reason


class Objection(Strict):
    """A named custodian, a party or an observer does not agree with what is recorded (keberatan)."""

    about: Annotated[AboutDiscrepancy | AboutEvent, Field(discriminator="what")]
    reason: Reason


class IncidentReport(Strict):
    """Something happened: the units and the place are the event's; what exactly is private."""

    category: Category
    severity: Severity
    occurred_at: Moment | None = None
    owner: Code | None = None
    due_by: Moment | None = None
    confidential: bool = False
    source: Literal["officer", "tip"] = "officer"
    links: tuple[Hash, ...] = Field(default=(), max_length=32)


class IncidentUpdate(Strict):
    """Moves an incident on, gives it an owner or a deadline, notes an action."""

    incident: Hash
    status: Literal["triaged", "assigned", "resolved"] | None = None
    severity: Severity | None = None
    owner: Code | None = None
    due_by: Moment | None = None
    action: Reason | None = None
    links: tuple[Hash, ...] = Field(default=(), max_length=32)


class IncidentClose(Strict):
    """The owner and a supervisor say together that an incident is over, and how."""

    incident: Hash
    outcome: Reason


class WitnessAttest(Strict):
    """A witness confirms what he saw of an event."""

    event: Hash
    saw: Literal["HANDOVER", "COUNT", "SEAL", "DESTRUCTION", "OPENING", "INSPECTION", "PAPERS"]


class WitnessRefuse(Strict):
    """A witness was there and does not sign, and says why."""

    reason: Reason
    event: Hash | None = None
