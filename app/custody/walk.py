"""The walk without I/O: events in, leaves and new facts out (pure).

Intake gives it the facts of one group and the events as they come; replay gives it everything and the events
as the ledger holds them, and compares the leaves byte for byte. So the text that let an event in and the text
that proves it later are one (design section 2).

A pending event is judged again when what it waits for has come, a held one when it was decided; the outcome
is a `verdict` leaf of the service. `ready` names the events whose outcome is due.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from app.canon import JsonValue
from app.custody.chain import Leaf, Link, build_leaf
from app.custody.details import Verdict
from app.custody.events import TYPES, Event
from app.custody.rules.case import RULES_VERSION, Case, Context, Judgement
from app.custody.rules.clockwork import CLOCK_RULES
from app.custody.rules.judge import judge
from app.custody.state import EventRef, Facts, Handover, Meta, Waiting
from app.keys.state import Key
from app.quick import evolve, quick
from app.units.documents import Plan, Policy
from app.units.state import Unit

_NAMING_A_RELEASE = frozenset(t.name for t in TYPES.values() if "release" in t.details.model_fields)
"""Known beforehand: a model that is asked for a field that it has not takes long to say so."""

BuildLeaf = Callable[[int, JsonValue, dict[str, JsonValue], tuple[Link, ...], int], Leaf]
Seen = Callable[[int], tuple[str | None, int]]
ParseDocument = Callable[[str], Policy | Plan | None]


@quick
@dataclass(frozen=True, slots=True)
class Step:
    """What became of one event: its leaf, the verdict, and every unit that it names or moves."""

    event: Event
    leaf: Leaf
    judgement: Judgement
    subjects: tuple[str, ...]
    ref: EventRef


class Walk:
    """Judges, chains and remembers, one event after the other."""

    def __init__(
        self, facts: Facts, size: int, seen: Seen, parse_document: ParseDocument, build: BuildLeaf = build_leaf
    ) -> None:
        """Start at a tree size.

        Args:
            facts: What is known; new records are put there.
            size: The index of the next leaf.
            seen: Gives (root as base64url, received_ms of the last leaf) for a tree size, None for no such tree.
            parse_document: Gives a published document by hash, or None.
            build: Puts a leaf together; whoever has the leaf already may give another that gives the same.
        """
        self.facts = facts
        self.size = size
        self.newest_ms = seen(size)[1]
        """Receipt of the last leaf."""
        self.ready: list[str] = []
        self.bodies: dict[str, Event] = {}
        self._decisions: dict[str, str] = {}
        self._seen = seen
        self._build = build
        self._parse_document = parse_document
        self._meta: Meta | None = None
        self._named: tuple[Policy | None, dict[str, Plan]] = (None, {})

    def take(self, event: Event, jws: JsonValue, received_ms: int) -> Step:
        """Judge a proven event, build its leaf, and put everything that follows.

        The facts change only after the leaf stands: an event that fails here leaves no trace.

        Raises:
            TooLargeError: The leaf would be too large.
        """
        received_ms = self.moment(received_ms)
        context = self._context(event, received_ms)
        judgement = self._judge(event, context)
        links = tuple(self._link(unit, judgement) for unit in judgement.links)
        policy = self.facts.meta.policy if self.facts.meta else None
        verdict: dict[str, JsonValue] = {
            "result": judgement.result, "code": judgement.code, "rules": RULES_VERSION, "policy": policy or "",
        }  # fmt: skip
        leaf = self._build(self.size, jws, verdict, links, received_ms)
        step = Step(
            event, leaf, judgement, self._subjects(event, links), self._reference(event, judgement, received_ms)
        )
        self._keep(step)
        return step

    def moment(self, received_ms: int) -> int:
        """Return the ledger's time at a moment of the machine's: it never goes back.

        Only a demo's does, since its time is told by whoever plays it.
        """
        told = self.facts.meta is not None and self.facts.meta.demo
        return received_ms if told else max(received_ms, self.newest_ms)

    def _judge(self, event: Event, context: Context) -> Judgement:
        if event.type.name != "verdict":
            return judge(event, self.facts, context)
        return self._judge_verdict(event, context)

    def _context(self, event: Event, received_ms: int) -> Context:
        policy, plans = self._in_force()
        root, seen_ms = self._seen(event.body.checkpoint.size)
        if root != event.body.checkpoint.root:  # a tree that the phone does not hold says nothing about time
            seen_ms = 0
        return Context(
            index=self.size, received_ms=received_ms, seen_root=root, seen_ms=seen_ms,
            policy=policy, plans=plans, parse_document=self._parse_document,
        )  # fmt: skip

    def _in_force(self) -> tuple[Policy | None, dict[str, Plan]]:
        """Return the policy and plans in force; remembered while the ledger's state names the same and all are here."""
        meta = self.facts.meta
        if meta is None:
            return None, {}
        if meta is not self._meta:
            policy = self._parse_document(meta.policy) if meta.policy else None
            plans = {name: self._parse_document(content) for name, content in meta.plans}
            self._named = (
                policy if isinstance(policy, Policy) else None,
                {name: plan for name, plan in plans.items() if isinstance(plan, Plan)},
            )
            self._meta = meta if None not in (policy, *plans.values()) else None
        return self._named

    def _link(self, unit: str, judgement: Judgement) -> Link:
        fresh = next((r for r in reversed(judgement.records) if isinstance(r, Unit) and r.unit == unit), None)
        record: Unit = fresh or self.facts.get(Unit, unit)
        return Link(unit, record.seq + 1, record.head)

    def _subjects(self, event: Event, links: tuple[Link, ...]) -> tuple[str, ...]:
        release = event.details.release if event.type.name in _NAMING_A_RELEASE else None
        handover: Handover | None = self.facts.get(Handover, release) if release is not None else None
        answered = handover.units if handover is not None else ()
        return tuple(dict.fromkeys([*[link.unit for link in links], *event.body.units, *answered]))

    def _reference(self, event: Event, judgement: Judgement, received_ms: int) -> EventRef:
        known: Key | None = self.facts.get(Key, event.body.author)
        first = self.facts.ids.get((event.body.author, event.body.event_id))
        return EventRef(
            hash=event.hash, leaf_index=self.size, event_id=event.body.event_id, author=event.body.author,
            officer=known.officer if known else "", agency=known.agency if known else "", type=event.type.name,
            election=event.body.election, place=event.body.place, at_ms=event.at_ms, received_ms=received_ms,
            result=judgement.result, code=judgement.code, twin=0 if first is None else self.size,
        )  # fmt: skip

    def _keep(self, step: Step) -> None:
        for record in step.judgement.records:
            self.facts.put(record)
        for link in step.leaf.links:
            unit: Unit = self.facts.get(Unit, link.unit)
            self.facts.put(evolve(unit, seq=link.seq, head=step.leaf.hash))
        self.facts.put(self._with_author(step))
        self.bodies[step.event.hash] = step.event
        self.size += 1
        self.newest_ms = step.ref.received_ms
        judgement = step.judgement
        if judgement.result == "pending":
            self.facts.put(Waiting(
                step.event.hash, judgement.awaited, judgement.due_ms, step.ref.received_ms, step.leaf.index,
            ))  # fmt: skip
            if judgement.due_ms is not None:
                self._note_cancel(step.event)
        self._wake(step)

    def _with_author(self, step: Step) -> EventRef:
        """Name the author of a genesis, whose key exists only once the genesis stands."""
        if step.ref.agency:
            return step.ref
        key: Key | None = self.facts.get(Key, step.event.body.author)
        return evolve(step.ref, officer=key.officer, agency=key.agency) if key else step.ref

    def _note_cancel(self, event: Event) -> None:
        handover: Handover | None = self.facts.get(Handover, event.details.release)
        if handover is not None:
            self.facts.put(evolve(handover, cancel=event.hash))

    # -- outcomes ------------------------------------------------------------------------------------

    def _wake(self, step: Step) -> None:
        """Find the events whose outcome this one brings about."""
        event = step.event
        if step.judgement.result == "accepted":
            self._let_in(event)
        woken = self.facts.waiting_on(event.hash)
        if event.type.name == "verdict":
            woken += self.facts.waiting_on(event.details.event)
        for waiting in woken:
            again = self.outcome(waiting.hash, step.ref.received_ms)
            if again.result == "pending":
                self._wait_on(waiting, again)
            else:
                self.ready.append(waiting.hash)

    def _let_in(self, event: Event) -> None:
        """Note the held event that a decision lets in or not: the decision itself, or its late acceptance."""
        decision: Event | None = event
        if event.type.name == "verdict" and event.details.result == "accepted":
            decision = self.bodies.get(event.details.event)
        if decision is not None and decision.type.name == "decision":
            held: EventRef = self.facts.get(EventRef, decision.details.event)
            if held.outcome is None:
                self._decisions[held.hash] = decision.hash
                self.ready.append(held.hash)

    def decision_on(self, target_hash: str) -> Event | None:
        """Return the decision that brings a held event to its outcome, when one was just taken."""
        return self.bodies.get(self._decisions.get(target_hash, ""))

    def _wait_on(self, waiting: Waiting, again: Judgement) -> None:
        """Let an event wait for what it needs next."""
        self.facts.put(evolve(waiting, awaited=again.awaited, due_ms=again.due_ms))
        if again.due_ms is not None:
            self._note_cancel(self.bodies[waiting.hash])

    def outcome(self, target_hash: str, received_ms: int, *, via: Event | None = None, code: str = "") -> Judgement:
        """Judge an event again whose moment has come, as of now; nothing is put.

        Args:
            target_hash: A pending or held event whose body is among `bodies`.
            received_ms: The server's time, UTC milliseconds.
            via: The decision that lets a held event in.
            code: `overdue` or `pending_overdue` for what the clock has to say instead.
        """
        target = self.bodies[target_hash]
        ref: EventRef = self.facts.get(EventRef, target_hash)
        context = evolve(self._context(target, received_ms), origin_index=ref.leaf_index)
        if code in CLOCK_RULES:
            return self._by_the_clock(target, context, code)
        if ref.result == "held":
            if via is None or via.type.name != "decision" or via.details.result == "refuse":
                return Judgement("refused", "decision")
            found = judge(target, self.facts, evolve(context, decided=True))
            return found if found.result != "pending" else Judgement("refused", found.code)
        waiting: Waiting = self.facts.get(Waiting, target_hash)
        due = waiting.awaited is None and waiting.due_ms is not None and received_ms >= waiting.due_ms
        return judge(target, self.facts, evolve(context, due=due))

    def _by_the_clock(self, target: Event, context: Context, code: str) -> Judgement:
        case = Case(target, self.facts, context)
        CLOCK_RULES[code](case)
        return case.accepted(code)

    def _judge_verdict(self, event: Event, context: Context) -> Judgement:
        """Judge the service's verdict: the outcome it tells must be the one that the rules give."""
        own = judge(event, self.facts, context)
        if own.result != "accepted":
            return own
        told: Verdict = event.details
        ref: EventRef = self.facts.get(EventRef, told.event)
        via = self.bodies.get(event.body.after[-1]) if ref.result == "held" and event.body.after else None
        clock = told.code in CLOCK_RULES
        if not clock and (ref.result not in {"pending", "held"} or ref.outcome is not None):
            return replace(own, result="refused", code="not_waiting", links=[], records=own.records)
        found = self.outcome(told.event, context.received_ms, via=via, code=told.code)
        if not clock and (found.result, found.code) != (told.result, told.code):
            return replace(own, result="refused", code="verdict_mismatch", links=[], records=own.records)
        found.records.extend(own.records)
        if not clock:
            found.records.append(evolve(ref, outcome=found.result, outcome_index=context.index))
            waiting: Waiting | None = self.facts.get(Waiting, told.event)
            if waiting is not None:
                found.records.append(evolve(waiting, done_index=context.index))
        return replace(
            found, result="accepted", code=found.code if clock else "", detail="", facts={}, awaited=None, due_ms=None
        )
