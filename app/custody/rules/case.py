"""One event before the rules: what a rule may read, and the only ways in which it may answer (pure).

A rule gets a `Case`. It reads records (its own earlier changes first), puts new ones, links units, writes
discrepancies and tallies, refuses or waits. Nothing of a refused case survives but its sticky reports and the
device's sequence: a refusal leaves no trace on any unit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from app.custody.events import Event
from app.custody.state import (
    Discrepancy,
    EventRef,
    Facts,
    Handover,
    Meta,
    Record,
    Result,
    Severity,
    Tally,
    key_of,
)  # fmt: skip
from app.custody.statetable import next_state
from app.keys.state import Key
from app.quick import evolve, quick
from app.units.documents import Item, Plan, Policy, SideRule
from app.units.state import Label, Seal, Unit

RULES_VERSION = 1


class Refusal(Exception):  # noqa: N818 - not an error: a verdict
    """A rule says no; `code` is the contract, `facts` let a phone go on."""

    def __init__(self, code: str, detail: str, **facts: object) -> None:
        """Keep the stable code, a sentence for people, and facts for machines."""
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.facts = facts


class WaitForEvent(Exception):  # noqa: N818 - not an error: a verdict
    """A command needs an event that has not arrived, or a moment that has not come."""

    def __init__(self, code: str, awaited: str | None, due_ms: int | None = None) -> None:
        """Name the awaited event hash, or the moment in UTC milliseconds."""
        super().__init__(code)
        self.code = code
        self.awaited = awaited
        self.due_ms = due_ms


@quick
@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds an event when it is judged.

    `index` is the leaf that will carry the outcome; `received_ms` the server's time; `seen_root` the true
    root at the size that the phone says it saw (None: no such tree) and `seen_ms` when that tree stood.
    `policy` and `plans` are those in force. `due` marks the second judgement of an event whose moment came;
    `origin_index` is the leaf of the event itself when an outcome is judged later.
    """

    index: int
    received_ms: int
    seen_root: str | None
    seen_ms: int
    policy: Policy | None
    plans: dict[str, Plan]
    parse_document: Callable[[str], Policy | Plan | None]
    due: bool = False
    decided: bool = False
    origin_index: int | None = None


@dataclass(slots=True)
class Judgement:
    """The verdict on one event and everything that follows from it."""

    result: Result
    code: str = ""
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    awaited: str | None = None
    due_ms: int | None = None


class Case:
    """One event, the facts, and the answer in the making."""

    def __init__(self, event: Event, facts: Facts, context: Context) -> None:
        """Open the case; nothing is judged yet."""
        self.event = event
        self.details = event.details
        self.body = event.body
        self.context = context
        self._facts = facts
        self._changes: dict[tuple[type, str], Record] = {}
        self._links: dict[str, None] = {}
        self._reports: list[Discrepancy] = []
        self._sticky: list[Record] = []
        self._amended: list[Discrepancy] = []
        self._tallies: list[Tally] = []
        self._first_report = 0

    # -- reading -------------------------------------------------------------------------------------

    def get(self, kind: type, key: str) -> Any:
        """Return a record as this case sees it, or None."""
        if self._changes and (changed := self._changes.get((kind, key))) is not None:
            return changed
        return self._facts.get(kind, key)

    @property
    def meta(self) -> Meta:
        """The ledger's own state; every event but the genesis has one."""
        meta: Meta | None = self.get(Meta, "ledger")
        if meta is None:
            self.refuse("no_genesis", "The ledger has no genesis yet.")
        return meta

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        if self.context.policy is None:
            self.refuse("no_policy", "No policy is in force yet; an administrator publishes one first.")
        return self.context.policy

    @property
    def plan(self) -> Plan | None:
        """The plan in force for the event's election."""
        return self.context.plans.get(self.body.election)

    def document(self, content_hash: str) -> bytes | None:
        """Return the bytes of a stored document."""
        return self._facts.documents.get(content_hash)

    def first_of_id(self) -> str | None:
        """Return the hash of the event that used this author's event id first, or None."""
        return self._facts.ids.get((self.body.author, self.body.event_id))

    def key(self, kid: str) -> Key:
        """Return the enrolled key of a signer (the walk has proven that it is one)."""
        key: Key | None = self.get(Key, kid)
        if key is None:
            self.refuse("unknown_key", "A signer's key is not enrolled on this ledger.", kid=kid)
        return key

    def keys_as(self, *capacities: str) -> list[Key]:
        """Return the keys of those who sign in one of the capacities."""
        return [self.key(kid) for kid in self.event.signers_as(*capacities)]

    def handover(self, release: str) -> Handover | None:
        """Return the handover of a release that took effect."""
        found: Handover | None = self.get(Handover, release)
        return found

    def recorded(self, event_hash: str) -> EventRef | None:
        """Return what is recorded of an event."""
        found: EventRef | None = self.get(EventRef, event_hash)
        return found

    def seal(self, number: str) -> Seal | None:
        """Return a seal by number."""
        found: Seal | None = self.get(Seal, number)
        return found

    def find_unit(self, named: str) -> Unit | None:
        """Return the unit that a label names: its own id, or a later label bound to it."""
        label: Label | None = self.get(Label, named)
        unit: Unit | None = self.get(Unit, label.unit if label is not None and label.unit else named)
        return unit

    def unit(self, named: str) -> Unit:
        """Return the unit a command names, or refuse.

        Retired and unknown labels are refused and reported: a claim over a thing that the ledger does not
        know, or by a label that should no longer exist, is what a counterfeit looks like.
        """
        label: Label | None = self.get(Label, named)
        if label is not None and label.status == "retired":
            self.report("RETIRED_LABEL", "kritis", unit=named, sticky=True)
            self.refuse(
                "label_retired",
                "That label was retired; scan the one that replaced it.",
                unit=named,
                successor=label.successor,
            )
        unit = self.find_unit(named)
        if unit is None:
            self.report("UNKNOWN_LABEL", "tinggi", unit=named, sticky=True)
            self.refuse("unknown_label", "No unit of this ledger has that label.", unit=named)
        if unit.lifecycle == "destroyed":
            self.report("RESURRECTED_UNIT", "kritis", unit=unit.unit, sticky=True)
            self.refuse("resurrected_unit", "The ledger says that this unit was destroyed.", unit=unit.unit)
        return unit

    def units(self) -> list[Unit]:
        """Return the units that a command names, in order, each once."""
        found = {unit.unit: unit for unit in map(self.unit, self.body.units)}
        if not found:
            self.refuse("no_units", "This type of event names at least one unit.")
        return list(found.values())

    def changed(self, kind: type) -> list[tuple[Any, Any]]:
        """Return (before, after) of every record of a kind that this case has put; None before what is new."""
        return [(self._facts.get(kind, key), new) for (known, key), new in self._changes.items() if known is kind]

    def outermost(self, unit: Unit) -> Unit:
        """Return the outermost container of a unit, or the unit itself."""
        return self.above(unit)[-1] if unit.parent is not None else unit

    def above(self, unit: Unit) -> list[Unit]:
        """Return the containers of a unit, innermost first.

        Raises:
            RuntimeError: They form a circle, which no ledger's facts do; a stranger's bundle may claim it.
        """
        found: list[Unit] = []
        names = {unit.unit}
        seen = unit
        while seen.parent is not None:
            seen = self.get(Unit, seen.parent)
            if seen.unit in names:
                raise RuntimeError("containers form a circle")
            names.add(seen.unit)
            found.append(seen)
        return found

    def item(self, code: str) -> Item:
        """Return a line of the catalogue, or refuse."""
        item = self.policy.item_by_code.get(code)
        if item is None:
            self.refuse("unknown_item", "The policy's catalogue has no such item.", item=code)
        return item

    # -- answering -----------------------------------------------------------------------------------

    def put(self, *records: Record) -> None:
        """Put new versions of records."""
        for record in records:
            self._changes[(type(record), key_of(record))] = record

    def link(self, units: Iterable[Unit | str]) -> None:
        """Let the chains of these units grow by this event."""
        self._links.update((u if isinstance(u, str) else u.unit, None) for u in units)

    def advance(self, act: str, unit: Unit, **changes: Any) -> Unit:
        """Move a unit along the state table and put it with its other changes; refuse what the table forbids."""
        lifecycle = next_state(act, unit.lifecycle)
        if lifecycle is None:
            self.refuse(
                "state",
                f"A unit that is {unit.lifecycle} does not allow {self.event.type.name}.",
                unit=unit.unit,
                lifecycle=unit.lifecycle,
            )
        moved = evolve(unit, lifecycle=lifecycle, **changes)
        self.put(moved)
        self.link((moved,))
        return moved

    def report(self, rule: str, severity: Severity, *, unit: str | None = None, handover: str | None = None,
               place: str | None = None, sticky: bool = False, **facts: object) -> str:  # fmt: skip
        """Write a discrepancy and return its id; a `sticky` one stays even when the event is refused."""
        found = Discrepancy(
            id=f"{self.context.index}-{self._first_report + len(self._reports)}",
            leaf_index=self.context.index,
            event=self.event.hash,
            rule=rule,
            severity=severity,
            unit=unit,
            handover=handover,
            place=place or self.body.place,
            agency=self.author_agency,
            at_ms=self.event.at_ms,
            facts=facts,
        )
        self._reports.append(found)
        if sticky:
            self._sticky.append(found)
        return found.id

    def number_reports_from(self, first: int) -> None:
        """Start the numbers of reports elsewhere, so that two cases of one leaf do not collide."""
        self._first_report = first

    def amend_report(self, discrepancy: Discrepancy) -> None:
        """Put a new version of an earlier discrepancy beside the reports of this case."""
        self._amended.append(discrepancy)

    def reported(self) -> list[Discrepancy]:
        """Return what this case reported or amended."""
        return [*self._reports, *self._amended]

    @property
    def author_agency(self) -> str | None:
        """The agency of the author's key, as far as it is known."""
        key: Key | None = self.get(Key, self.body.author)
        return key.agency if key is not None else None

    def tally(self, figure: str, unit: Unit, quantity: int, place: str | None = None) -> None:
        """Contribute to a figure of the balance; nothing for a quantity of zero."""
        if quantity:
            self._tallies.append(Tally(
                id=f"{self.context.index}-{len(self._tallies)}", leaf_index=self.context.index, event=self.event.hash,
                figure=figure, election=unit.election, item=unit.item, contest=unit.contest, unit=unit.unit,
                place=place, quantity=quantity,
            ))  # fmt: skip

    def refuse(self, code: str, detail: str, **facts: object) -> NoReturn:
        """End the case with a refusal."""
        raise Refusal(code, detail, **facts)

    def wait(self, code: str, *, awaited: str | None = None, due_ms: int | None = None) -> NoReturn:
        """End the case for now: it waits for an event or a moment."""
        raise WaitForEvent(code, awaited, due_ms)

    # -- who signs -----------------------------------------------------------------------------------

    def side(self, first: str) -> list[Key]:
        """Return the keys of one side (`giver` or `taker`, then seconds), refusing a side of two agencies."""
        keys = [*self.keys_as(first), *self.keys_as("second")]
        if not keys or self.body.signers[keys[0].kid] != first:
            self.refuse("policy_unmet", f"Nobody signs as {first}.", missing=first)
        if len({key.agency for key in keys}) != 1:
            self.refuse("policy_unmet", "The officers of one side belong to one agency.", missing="second")
        return keys

    def need_officers(self, keys: list[Key], rule: SideRule) -> None:
        """Refuse when fewer distinct officers sign than the policy asks."""
        officers = {key.officer for key in keys}
        if len(officers) < rule.officers:
            self.refuse(
                "policy_unmet",
                f"The policy in force asks for {rule.officers} officers on this side.",
                missing="second",
                needed=rule.officers,
                present=len(officers),
            )

    def holding_side(self, unit: Unit, *, anywhere: bool = False) -> list[Key]:
        """Return the giver's side, refusing officers who do not hold the unit, or who are not where it is.

        Holding means: of the agency that holds the outermost container, at a place within the officer's
        mandate. Supervisors never hold (domain reference section 7).

        Args:
            unit: The unit that is acted on.
            anywhere: The act is a decision on paper, which need not be taken beside the goods.
        """
        keys = self.side("giver")
        top = self.outermost(unit)
        holder = all(
            key.agency == top.agency and (key.place is None or self.policy.within(top.place, key.place)) for key in keys
        )
        if not holder or top.custody != "held":
            code = "not_holder" if not holder else "already_released"
            self.refuse(
                code, "Only who holds the goods may do this.", unit=unit.unit, holder=top.agency, place=top.place
            )
        if top.place != self.body.place and not anywhere:
            self.refuse("other_place", "The ledger has the unit at another place.", unit=unit.unit, place=top.place)
        return keys

    def not_blocked(self, unit: Unit) -> None:
        """Refuse work on goods in quarantine or under a legal hold (of the unit or what contains it)."""
        for part in (unit, *self.above(unit)):
            for flag in ("hold", "quarantine"):
                if flag in part.flags:
                    self.refuse(flag, f"The unit is under {flag}.", unit=part.unit)

    # -- closing -------------------------------------------------------------------------------------

    def accepted(self, code: str = "") -> Judgement:
        """Close the case: everything takes effect."""
        records = [*self._changes.values(), *self._reports, *self._tallies]
        return Judgement("accepted", code, links=list(self._links), records=records)

    def without_effect(
        self, result: Result, code: str, detail: str = "", facts: dict[str, Any] | None = None
    ) -> Judgement:
        """Close the case: only what was reported as sticky, and the device's sequence, stay."""
        return Judgement(result, code, detail, facts or {}, records=list(self._sticky))
