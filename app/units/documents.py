"""The documents that rules are judged by: the policy and the plan, content-addressed (pure).

`policy.publish` and `plan.publish` put the SHA-256 of a document on the ledger; the document itself is JSON
of at most 8 MiB, kept as received, and travels in evidence bundles (design section 6). This module gives
the strict models of a policy, reads either kind, and answers questions about a policy; `app.units.plans` does so for
a plan. It must never read a database or a clock.

Sizes: quantities are whole items; rates are per mille (no floats anywhere); times are RFC 3339 text with an
offset inside the document and UTC milliseconds in answers.
"""

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from app.canon import b64url_encode, parse_json, sha256
from app.clock import parse_rfc3339
from app.errors import MalformedError
from app.strict import Strict, read_strict
from app.units.plans import District, KitLine, Plan, RouteStop, Station, Stop, check_plan, reserve
from app.units.terms import (
    AgencyKind,
    Capacity,
    Code,
    Hash,
    Moment,
    Name,
    PlaceKind,
    Quantity,
    Sensitivity,
    Zone,
)

__all__ = [
    "MAX_DOCUMENT_BYTES", "MAX_DOCUMENT_DEPTH", "SENSITIVITY_RANK", "STATION_KINDS", "Agency", "AgencyKind", "Capacity",
    "Code", "Contest", "DestructionRule", "District", "Election", "Hash", "Item", "KitLine", "Moment", "Name", "Place",
    "PlaceKind", "Plan", "Policy", "Quantity", "RoleRule", "RouteStop", "Sensitivity", "SideRule", "SigningRule",
    "Station", "Stop", "Zone", "document_hash", "parse_document", "reserve",
]  # fmt: skip
"""The plan's models (`app.units.plans`) and the shared words (`app.units.terms`) are part of what documents are."""

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
MAX_DOCUMENT_DEPTH = 12

SENSITIVITY_RANK: dict[str, int] = {"general": 0, "controlled": 1, "accountable": 2}
STATION_KINDS = frozenset({"TPS", "TPS_LOKSUS"})


class Contest(Strict):
    """One contest of an election: its ballots never mix with another's."""

    id: Code
    name: Name
    revote: Quantity = 0


class Election(Strict):
    """One election: its day, contests and the grain at which ballots may be identified (design section 4)."""

    id: Code
    name: Name
    date: Annotated[str, Field(pattern=r"^20\d\d-\d\d-\d\d$")]
    zone: Zone
    reserve_permille: Annotated[int, Field(ge=0, le=1000)] = 25
    ballot_id_policy: Literal["pack", "stub", "sheet"] = "pack"
    contests: tuple[Contest, ...] = Field(min_length=1, max_length=64)
    published_from: Moment | None = None
    """From then on everybody may read what was signed: entry bundles are public. Never, when absent."""


class Item(Strict):
    """One line of the catalogue: what it is called, how it is counted and how sensitive it is.

    `per_contest` goods, such as ballots, belong to one contest each and are never bound without it.
    """

    code: Code
    name_id: Name
    name_en: Name
    item_class: Literal["V", "S", "O", "-"]
    unit_of_measure: Name
    kind: Literal["serialised", "lot"]
    sensitivity: Sensitivity
    seal_required: bool = False
    inspect_first: bool = False
    per_contest: bool = False


class Agency(Strict):
    """An organisation with keys of its own; supervisors observe and witness and never handle goods."""

    id: Code
    name: Name
    kind: AgencyKind


class Place(Strict):
    """A node of the one tree of places: regions by code, facilities hanging on them at any level."""

    id: Code
    name: Name
    kind: PlaceKind
    parent: Code | None = None
    zone: Zone = "Asia/Makassar"
    region: Code | None = None
    registered: bool = True
    aliases: tuple[Name, ...] = ()


class SideRule(Strict):
    """How many distinct officers of a side must sign, and whether an escort must."""

    officers: Annotated[int, Field(ge=1, le=4)] = 1
    escort: bool = False


class SigningRule(Strict):
    """The signatures a handover of one sensitivity needs on each side."""

    sensitivity: Sensitivity
    release: SideRule
    accept: SideRule


class RoleRule(Strict):
    """Which kinds of agency may hold a role, as what it signs, and which act types it may claim."""

    role: Code
    agency_kinds: tuple[AgencyKind, ...]
    capacities: tuple[Capacity, ...]
    acts: tuple[Code, ...] = ()


class DestructionRule(Strict):
    """Who must watch a destruction: agencies in number, and kinds that must be among them."""

    witnesses: Annotated[int, Field(ge=1, le=12)] = 2
    kinds: tuple[AgencyKind, ...] = ("police", "supervisor")


class Policy(Strict):
    """The facts and limits that rules use until the next `policy.publish`."""

    v: Literal[1]
    kind: Literal["policy"]
    title: Name
    elections: tuple[Election, ...] = Field(min_length=1, max_length=16)
    items: tuple[Item, ...] = Field(max_length=256)
    agencies: tuple[Agency, ...] = Field(max_length=2048)
    places: tuple[Place, ...] = Field(max_length=40000)
    signing: tuple[SigningRule, ...] = Field(max_length=3)
    roles: tuple[RoleRule, ...] = Field(max_length=128)
    destruction: DestructionRule = DestructionRule()
    clock_skew_seconds: Annotated[int, Field(ge=0, le=86400)] = 300

    @cached_property
    def item_by_code(self) -> dict[str, Item]:
        """Catalogue by item code."""
        return {item.code: item for item in self.items}

    @cached_property
    def place_by_id(self) -> dict[str, Place]:
        """Places by id."""
        return {place.id: place for place in self.places}

    @cached_property
    def agency_by_id(self) -> dict[str, Agency]:
        """Agencies by id."""
        return {agency.id: agency for agency in self.agencies}

    @cached_property
    def role_by_code(self) -> dict[str, RoleRule]:
        """Roles by code."""
        return {rule.role: rule for rule in self.roles}

    @cached_property
    def election_by_id(self) -> dict[str, Election]:
        """Elections by id."""
        return {election.id: election for election in self.elections}

    @cached_property
    def signing_by_sensitivity(self) -> dict[str, SigningRule]:
        """Signing rules by sensitivity; a sensitivity without a rule needs one officer a side."""
        rules = {rule.sensitivity: rule for rule in self.signing}
        names: tuple[Sensitivity, ...] = ("accountable", "controlled", "general")
        plain = SideRule()
        return {n: rules.get(n) or SigningRule(sensitivity=n, release=plain, accept=plain) for n in names}

    @cached_property
    def published_from_ms(self) -> int | None:
        """From when entry bundles are public, UTC milliseconds: the last of its elections' moments; None for never."""
        told = [moment for moment in map(_publication, self.elections) if moment is not None]
        return max(told) if len(told) == len(self.elections) else None

    def ancestry(self, place_id: str) -> Iterator[str]:
        """Yield the place itself, then each ancestor up to the root; nothing for an unknown place."""
        place = self.place_by_id.get(place_id)
        while place is not None:
            yield place.id
            place = self.place_by_id.get(place.parent) if place.parent else None

    def within(self, place_id: str, root_id: str) -> bool:
        """Say whether a place lies in the subtree of another (itself included)."""
        return any(node == root_id for node in self.ancestry(place_id))

    def serves(self, place_id: str, destination_id: str) -> bool:
        """Say whether goods for a destination may rightly be at a place.

        True when the region that the place hangs on contains the destination; vehicles and ports serve
        every destination, an unknown place none.
        """
        place = self.place_by_id.get(place_id)
        if place is None:
            return False
        if place.kind in {"VEHICLE", "PORT"} or place_id == destination_id:
            return True
        if place.kind in STATION_KINDS:
            return False
        region = place.id if place.kind == "REGION" else place.parent
        return region is not None and self.within(destination_id, region)


def document_hash(data: bytes) -> str:
    """Return the content address of a document: SHA-256 of its bytes, base64url."""
    return b64url_encode(sha256(data))


_MODELS: dict[str, TypeAdapter[Policy | Plan]] = {"policy": TypeAdapter(Policy), "plan": TypeAdapter(Plan)}


def parse_document(data: bytes) -> Policy | Plan:
    """Read a policy or a plan strictly and check that it agrees with itself.

    Raises:
        MalformedError: Not I-JSON (its own code), `document_shape` with the first wrong member, or
            `document_inconsistent` for an unknown parent, a cycle, a duplicate or an unknown reference.
        TooLargeError: More than 8 MiB.
    """
    value = parse_json(data, max_bytes=MAX_DOCUMENT_BYTES, max_depth=MAX_DOCUMENT_DEPTH)
    kind = value.get("kind") if isinstance(value, dict) else None
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise MalformedError("A document is a JSON object whose `kind` is `policy` or `plan`.", code="document_shape")
    document = read_strict(model, data, "document_shape")
    _check_policy(document) if isinstance(document, Policy) else check_plan(document)
    return document


def _inconsistent(detail: str) -> MalformedError:
    return MalformedError(detail, code="document_inconsistent")


def _check_unique(what: str, ids: list[str]) -> None:
    if len(set(ids)) != len(ids):
        raise _inconsistent(f"The document names a {what} twice.")


def _check_policy(policy: Policy) -> None:
    _check_unique("place", [p.id for p in policy.places])
    _check_unique("item", [i.code for i in policy.items])
    _check_unique("agency", [a.id for a in policy.agencies])
    _check_unique("role", [r.role for r in policy.roles])
    _check_unique("election", [e.id for e in policy.elections])
    for election in policy.elections:
        _check_date(election)
        _publication(election)
    depth_of: dict[str, int] = {}
    for place in policy.places:
        _depth(policy, place, depth_of)


def _check_date(election: Election) -> None:
    try:
        date.fromisoformat(election.date)
    except ValueError:
        raise _inconsistent(f"The election {election.id} is on a day that no calendar has.") from None


def _publication(election: Election) -> int | None:
    """Return when an election's entry bundles become public, UTC milliseconds; None for never."""
    return parse_rfc3339(election.published_from) if election.published_from is not None else None


def _depth(policy: Policy, place: Place, known: dict[str, int]) -> int:
    trail: list[Place] = []
    node: Place | None = place
    while node is not None and node.id not in known:
        if len(trail) > 16:
            raise _inconsistent(f"The places above {place.id} form a cycle or more than 16 levels.")
        trail.append(node)
        if node.parent is not None and node.parent not in policy.place_by_id:
            raise _inconsistent(f"Place {node.id} names an unknown parent.")
        node = policy.place_by_id[node.parent] if node.parent else None
    depth = known[node.id] if node is not None else -1
    for item in reversed(trail):
        depth += 1
        known[item.id] = depth
    return depth
