"""What the ledger knows of units, labels, seals and containment, as immutable records (pure).

Three facets of a unit are never mixed: lifecycle, custody, condition; flags lie over them (design section 5).
Every field follows from leaves alone, so replay rebuilds it and `custody fsck` compares.
"""

from dataclasses import dataclass, field
from typing import Literal

from app.quick import quick

Custody = Literal["held", "released", "uncertain"]
LabelStatus = Literal["blank", "bound", "retired"]


@quick
@dataclass(frozen=True, slots=True)
class Unit:
    """One thing or lot under custody.

    `agency`, `officer`, `place` and `custody` are the unit's own as of when it was last outside a parent;
    while it is packed, those of its outermost container count. `effective` is the highest sensitivity of
    the unit and its contents; `packed_index` is the leaf that put it in; `contents` counts direct children
    by their effective sensitivity. `flag_since` gives the leaf index that set each flag. `agencies` are all
    that ever held it.
    """

    unit: str
    seq: int
    head: str
    item: str
    election: str
    contest: str | None
    district: str | None
    quantity: int
    source: str
    condition: str
    lifecycle: str
    sensitivity: str
    effective: str
    destination: str | None
    agency: str
    officer: str
    place: str
    custody: Custody
    since_index: int
    handover: str | None = None
    parent: str | None = None
    packed_index: int | None = None
    label: str | None = None
    children: int = 0
    contents: dict[str, int] = field(default_factory=dict)
    seals: dict[str, str] = field(default_factory=dict)
    flag_since: dict[str, int] = field(default_factory=dict)
    agencies: tuple[str, ...] = ()

    @property
    def flags(self) -> frozenset[str]:
        """The flags that lie over the facets: quarantine, hold, missing, orphan, unsealed."""
        return frozenset(self.flag_since)


@quick
@dataclass(frozen=True, slots=True)
class Label:
    """An issued id: blank until it is bound, retired when reprinted or spoiled; never used again."""

    label: str
    block: str
    status: LabelStatus
    unit: str | None = None
    successor: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Alias:
    """A foreign code that is bound to a unit."""

    code: str
    unit: str
    bound_index: int


@quick
@dataclass(frozen=True, slots=True)
class Seal:
    """A seal number and where it is; a number is applied once, ever."""

    number: str
    unit: str
    point: int
    status: str
    applied_index: int
    ended_index: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Containment:
    """An interval of leaf indexes in which a child lay in a parent; open while `until_index` is None."""

    id: str
    child: str
    parent: str
    since_index: int
    until_index: int | None = None


@quick
@dataclass(frozen=True, slots=True)
class Stowage:
    """How much lies in one container, at every depth, by line of goods (`app.units.plans.line_key`).

    A running sum, so that judging a full container costs no more than judging an empty one.
    """

    unit: str
    lines: dict[str, int]


@quick
@dataclass(frozen=True, slots=True)
class Supply:
    """What the ledger knows of one polling station's supply in one election, by line of goods.

    `bound` sums what is bound for the station: in good condition, and neither void, destroyed nor missing. `arrived`
    sums what its officers accepted there. Both are running sums. `id` is `<election>/<place>`.
    """

    id: str
    election: str
    place: str
    bound: dict[str, int]
    arrived: dict[str, int]


def supply_id(election: str, place: str) -> str:
    """Return the key of a station's supply in an election."""
    return f"{election}/{place}"
