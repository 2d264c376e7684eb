"""The columns of a plan's table, and what of a plan is not said per station (pure).

Columns are told by their names, in any order: `place`, `name` (for people; never read), `voters`, `reserve`, `escort`,
`release_from`, `deliver_by`, `district CONTEST`, `kit ITEM` or `kit ITEM/CONTEST`, `stop1` to `stop16` and for each
`stop1 release_from`, `stop1 deliver_by`, `stop1 escort`. See docs/plans.md.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from app.units.documents import Election, Policy
from app.units.plans import MAX_STOPS, Plan

SINGLE = ("place", "name", "voters", "reserve", "escort", "release_from", "deliver_by")
OF_STOP = ("release_from", "deliver_by", "escort")
_CODE = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}"
_DISTRICT = re.compile(rf"district ({_CODE})")
_KIT = re.compile(rf"kit ({_CODE})(?:/({_CODE}))?")
_STOP = re.compile(rf"stop([1-9]\d?)(?: ({'|'.join(OF_STOP)}))?")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is of (`single`, `district`, `kit`, `stop`), and which."""

    kind: str
    name: str
    of: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a table: row as the spreadsheet counts them (the header is 1; 0 is the whole file)."""

    row: int
    column: str
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What of a plan is not said per station."""

    election: str
    title: str
    synthetic: bool = False
    capacity: tuple[dict[str, Any], ...] = ()
    stops: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> "Frame":
        """Return the frame of an earlier plan, for a table that replaces its stations."""
        told = plan.model_dump(mode="json", exclude_none=True)
        return cls(plan.election, plan.title, plan.synthetic, tuple(told["capacity"]), tuple(told["stops"]))


def columns(header: list[str], row: int, policy: Policy, election: Election) -> tuple[list[Column | None], list[Fault]]:
    """Return the column of each cell of the header, None for one that cannot be taken, and what is wrong."""
    found: list[Column | None] = []
    faults: list[Fault] = []
    for n, cell in enumerate(header, 1):
        column = _column(" ".join(cell.split()))
        what = _wrong(column, cell, policy, election) if column not in found else ("stands twice", "keep one of them")
        if what is not None:
            faults.append(Fault(row, cell.strip()[:60] or f"column {n}", *what))
        found.append(column if what is None else None)
    missing = [name for name in ("place", "voters") if Column("single", name) not in found]
    faults.extend(Fault(row, name, "is missing", f"add a column named {name}") for name in missing)
    return found, faults


def _column(name: str) -> Column | None:
    first, _, rest = name.partition(" ")
    name = f"{first.casefold()} {rest}".strip()
    if name in SINGLE:
        return Column("single", name)
    if found := _DISTRICT.fullmatch(name):
        return Column("district", found[1])
    if found := _KIT.fullmatch(name):
        return Column("kit", found[1], found[2])
    if (found := _STOP.fullmatch(name)) and int(found[1]) <= MAX_STOPS:
        return Column("stop", found[2] or "place", number=int(found[1]))
    return None


def _wrong(column: Column | None, cell: str, policy: Policy, election: Election) -> tuple[str, str] | None:
    contests = [contest.id for contest in election.contests]
    if column is None:
        if not cell.strip():
            return "has no name", "name the column or delete it"
        known = [*SINGLE, *(f"district {c}" for c in contests), *(f"kit {i}" for i in policy.item_by_code), "stop1"]
        return "is no column of a plan", _nearest(
            " ".join(cell.split()), known
        ) or "delete it; docs/plans.md has the names"
    contest = column.name if column.kind == "district" else column.of
    if column.kind in {"district", "kit"} and contest is not None and contest not in contests:
        return "names a contest that the election does not have", f"the election has {', '.join(contests)}"
    if column.kind == "kit":
        item = policy.item_by_code.get(column.name)
        if item is None:
            return (
                "names an item that is not in the policy's catalogue",
                _nearest(column.name, policy.item_by_code) or "add the item to the policy first",
            )
        if item.per_contest and column.of is None:
            return "names goods that belong to one contest", f"write kit {column.name}/{contests[0]}, and so on"
    return None


def _nearest(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else ""


def nearest_place(name: str, policy: Policy) -> str:
    """Return what to do about a place that the policy does not know, with the nearest one."""
    return _nearest(name, policy.place_by_id) or "add the place to the policy first, or correct the code"
