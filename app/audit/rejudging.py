"""Judge the events of a bundle again, by the rules that let them in (pure).

The leaves of a bundle are a small part of a ledger. They are walked in order with the very `Walk` of intake,
over facts that hold what these leaves give; `assuming` fills in other goods in the event's favour. A leaf that
comes out byte for byte confirms the verdict as far as the bundle goes. One that does not is a contradiction
(`fail`), or rests on something outside the bundle (`incomplete`, or a note where the event had no effect).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from app.audit.assuming import Overlay, Scene, assume, names
from app.audit.leaf import Recorded
from app.audit.replaying import NOT_THERE_YET, compare, public_key
from app.custody.details import LabelsIssue, ReprintLine, UnitPack
from app.custody.events import Event
from app.custody.rules.case import RULES_VERSION
from app.custody.rules.clockwork import CLOCK_RULES
from app.custody.state import EventRef, Facts, Record, Waiting, key_of
from app.custody.walk import Step, Walk
from app.errors import ServiceError
from app.keys.state import Key
from app.keys.verify import PublicKey
from app.units.documents import Plan, Policy, parse_document
from app.units.state import Unit

Level = Literal["fail", "incomplete", "note"]
Tell = Callable[[Level, str, str, Recorded], None]

RESTS_ELSEWHERE: dict[str, frozenset[str]] = {
    "seal_reuse": frozenset({"seal.apply", "unit.close"}),
    "alias_exists": frozenset({"unit.commission"}),
    "label_exists": frozenset({"labels.issue"}),
    "label_not_blank": frozenset({"unit.commission"}),
    "key_reused": frozenset({"key.enrol"}),
    "already_retracted": frozenset({"retraction"}),
    **{code: frozenset({"policy.publish", "plan.publish", "labels.issue"}) for code in NOT_THERE_YET},
}
"""Refusals for something that another event did, which need not be in the bundle, and the types that they can meet."""
_ABSENT = object()


class PartialWalk(Walk):
    """A walk in which waking another event may fail: it may need goods that are not here."""

    def _wake(self, step: Step) -> None:
        with suppress(Exception):
            super()._wake(step)


class UndoableFacts(Facts):
    """Complete facts that remember what the last event changed, so that it can be taken back."""

    def __init__(self) -> None:
        super().__init__(complete=True)
        self._before: list[tuple[type, str, object]] = []

    def put(self, record: Record) -> None:
        """Put a record and remember what stood there."""
        kind, key = type(record), key_of(record)
        self._before.append((kind, key, self.kinds[kind].get(key, _ABSENT)))
        super().put(record)

    def settle(self) -> None:
        """Keep what was put since the last time."""
        self._before.clear()
        for changed in self.dirty.values():
            changed.clear()

    def undo(self) -> None:
        """Take back what was put since the last time."""
        for kind, key, record in reversed(self._before):
            put_back(self, kind, key, record)
        self.settle()


def put_back(facts: Facts, kind: type, key: str, record: object) -> None:
    """Let a record be again what it was, absent included."""
    if record is _ABSENT:
        facts.kinds[kind].pop(key, None)
    else:
        facts.kinds[kind][key] = record


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a leaf's event acts on: the event itself, or the one that a verdict is about."""

    acting: Event
    overlay: Overlay


class Rejudging:
    """Takes the leaves of one bundle in order of their indexes."""

    def __init__(self, unit: str, documents: Mapping[str, bytes], leaves: list[Recorded], tell: Tell) -> None:
        """Start before the genesis.

        Args:
            unit: The unit that the bundle is about.
            documents: Documents by hash; they were hashed before.
            leaves: Every leaf of the bundle, in order.
            tell: Told what was found.
        """
        self.facts = UndoableFacts()
        self.subjects: dict[int, tuple[str, ...]] = {}
        self.judged = 0
        self.assumed = 0
        self._documents = documents
        self._tell = tell
        self._parsed: dict[str, Policy | Plan | None] = {}
        self._by_hash = {leaf.event.hash: leaf for leaf in leaves}
        self.focus, self._labels = focus_of(unit, leaves)
        self._loose: set[str] = set()
        self._lost: set[str] = set()
        self._stopped = False
        self._walk = PartialWalk(self.facts, 0, lambda _size: (None, 0), self._document)

    def key_of(self, kid: str) -> PublicKey | None:
        """Return a key that leaves of the bundle before this one enrolled."""
        record: Key | None = self.facts.get(Key, kid)
        return public_key(record) if record is not None else None

    def take(self, recorded: Recorded) -> None:
        """Judge the next leaf's event again, or only remember it when it is about other goods."""
        if recorded.verdict.rules != RULES_VERSION:
            self._tell("incomplete", "rules_version", "Judged by rules that this verifier does not have.", recorded)
            self._stopped = True
        if self._stopped or not self._is_ours(recorded):
            self._remember(recorded)
            return
        self._walk.size = recorded.index
        setting = self._setting(recorded)
        before = self._install(setting.overlay, recorded)
        try:
            step = self._walk.take(recorded.event, recorded.value, recorded.received_ms)
        except Exception as error:  # noqa: BLE001 - a stranger's bundle: what the rules cannot judge is told, not raised
            self._unjudged(recorded, setting, error)
        else:
            self._settle(recorded, setting, step)
        finally:
            self._restore(before)

    # -- what is ours --------------------------------------------------------------------------------

    def _is_ours(self, recorded: Recorded) -> bool:
        event = recorded.event
        if event.type.kind == "foundation" or isinstance(event.details, LabelsIssue):
            return True
        acting = self._acting(event)
        if acting is None or (acting is not event and acting.hash not in self._walk.bodies):
            return bool(self.focus & {link.unit for link in recorded.links})
        about = {*names(acting, self.facts), *(link.unit for link in recorded.links)}
        release = self._by_hash.get(str(getattr(acting.details, "release", "")))
        about |= set(release.event.body.units) if release is not None else set()
        return bool(about & (self.focus | self._labels)) or acting.type.kind == "foundation"

    def _acting(self, event: Event) -> Event | None:
        if event.type.name != "verdict":
            return event
        target = self._by_hash.get(event.details.event)
        return target.event if target is not None else None

    def _remember(self, recorded: Recorded) -> None:
        """Know that an event is recorded, and how, without judging it."""
        body, verdict = recorded.event.body, recorded.verdict
        key: Key | None = self.facts.get(Key, body.author)
        self.facts.put(EventRef(
            hash=recorded.event.hash, leaf_index=recorded.index, event_id=body.event_id, author=body.author,
            officer=key.officer if key else "", agency=key.agency if key else "", type=recorded.event.type.name,
            election=body.election, place=body.place, at_ms=recorded.event.at_ms, received_ms=recorded.received_ms,
            result=verdict.result, code=verdict.code,  # type: ignore[arg-type]
        ))  # fmt: skip
        self._walk.bodies[recorded.event.hash] = recorded.event
        self._walk.newest_ms = max(self._walk.newest_ms, recorded.received_ms)

    # -- the setting ---------------------------------------------------------------------------------

    def _setting(self, recorded: Recorded) -> _Setting:
        event = recorded.event
        acting = self._acting(event) or event
        policy = self._document(self.facts.meta.policy) if self.facts.meta and self.facts.meta.policy else None
        known = policy if isinstance(policy, Policy) else None
        overlay: Overlay = {}
        for waiting in self.facts.waiting_on(event.hash):
            other = self._walk.bodies.get(waiting.hash)
            if other is not None:
                overlay |= assume(Scene(other, replace(recorded, links=()), self.facts, known, self.focus))
        overlay |= assume(Scene(acting, recorded, self.facts, known, self.focus))
        return _Setting(acting, overlay)

    def _install(self, overlay: Overlay, recorded: Recorded) -> Overlay:
        before: Overlay = {}
        for (kind, key), record in overlay.items():
            before[(kind, key)] = self.facts.kinds[kind].get(key, _ABSENT)
            self.facts.kinds[kind][key] = record
        for one in (recorded.event, self._acting(recorded.event)):
            if one is not None and isinstance(one.details, LabelsIssue) and recorded.verdict.code not in NOT_THERE_YET:
                data = self._documents.get(one.details.ids_hash)
                if data is not None:
                    self.facts.documents[one.details.ids_hash] = data
        return before

    def _restore(self, before: Overlay) -> None:
        for (kind, key), record in before.items():
            put_back(self.facts, kind, key, record)
        self.facts.documents.clear()
        self.facts.settle()

    def _document(self, content_hash: str) -> Policy | Plan | None:
        if content_hash not in self._parsed:
            data = self._documents.get(content_hash)
            self._parsed[content_hash] = None
            if data is not None:
                with suppress(ServiceError):
                    self._parsed[content_hash] = parse_document(data)
        return self._parsed[content_hash]

    # -- what came out -------------------------------------------------------------------------------

    def _settle(self, recorded: Recorded, setting: _Setting, step: Step) -> None:
        self.judged += 1
        self.subjects[recorded.index] = step.subjects
        self.assumed += bool(setting.overlay)
        different = compare(recorded, step)
        if setting.overlay and recorded.links and setting.acting.type.kind != "observation":
            self._loose |= self.focus & {link.unit for link in recorded.links}
        if different:
            level, code, detail = self._why(recorded, setting, step, different)
            self._tell(level, code, detail, recorded)
            self._go_on_as_told(recorded, lose=level != "note")

    def _go_on_as_told(self, recorded: Recorded, *, lose: bool) -> None:
        """Let the leaf have the last word, so that one contradiction is told once."""
        if recorded.verdict.result != "accepted":
            self.facts.undo()
        self._remember(recorded)
        for link in recorded.links:
            unit: Unit | None = self.facts.get(Unit, link.unit)
            if unit is not None:
                self.facts.put(replace(unit, seq=link.seq, head=recorded.hash))
        if lose:
            self._lost |= {recorded.event.hash, *(link.unit for link in recorded.links)}
        if recorded.verdict.result not in {"pending", "held"}:
            self.facts.kinds[Waiting].pop(recorded.event.hash, None)

    def _unjudged(self, recorded: Recorded, setting: _Setting, error: Exception) -> None:
        level: Level = "incomplete" if recorded.verdict.result == "accepted" else "note"
        self.facts.undo()
        self._tell(
            level,
            "not_rejudged",
            f"The rules cannot judge this event from the bundle alone ({type(error).__name__}).",
            recorded,
        )
        self._remember(recorded)
        self._loose |= {key for _, key in setting.overlay}
        for link in recorded.links:
            unit: Unit | None = self.facts.get(Unit, link.unit)
            if unit is not None and link.unit in self.focus:
                self.facts.put(replace(unit, seq=link.seq, head=recorded.hash))
        self._lost |= {recorded.event.hash, *(link.unit for link in recorded.links)}

    def _why(
        self, recorded: Recorded, setting: _Setting, step: Step, different: tuple[str, ...]
    ) -> tuple[Level, str, str]:
        told, judged = recorded.verdict, step.judgement
        if "verdict" not in different:
            return self._why_bytes(recorded, setting, different)
        if told.result == "accepted":
            return self._why_accepted(setting, step)
        tainted = bool(setting.overlay) or bool((self._loose | self._lost) & {*names(setting.acting, self.facts)})
        if told.result == "held":
            return "incomplete", "revocation_missing", "The event is held, and why is not in the bundle."
        elsewhere = told.code == "event_id_reuse" or setting.acting.type.name in RESTS_ELSEWHERE.get(told.code, ())
        if tainted or elsewhere:
            return (
                "note",
                "refusal_not_rejudged",
                f"It was {told.result} ({told.code}) for something outside this bundle.",
            )
        return (
            "fail",
            "verdict",
            f"The leaf says {told.result} ({told.code}); the rules say {judged.result} ({judged.code}).",
        )

    def _why_accepted(self, setting: _Setting, step: Step) -> tuple[Level, str, str]:
        judged = step.judgement
        assumed = {key for _, key in setting.overlay}
        if judged.result == "pending" and judged.awaited is not None and judged.awaited not in self._by_hash:
            return "incomplete", "predecessor_missing", "An event that it depends on is not in the bundle."
        if judged.code in {*NOT_THERE_YET, "no_policy"}:
            return "incomplete", "document_missing", "A document that it was judged by is not in the bundle."
        if judged.code in {"unknown_key", "unknown_event"}:
            return "incomplete", "key_missing", "An event or key that it rests on is not in the bundle."
        if {judged.facts.get("unit"), judged.facts.get("release")} & (assumed | self._lost):
            return "incomplete", "not_rejudged", "Whether it was rightly accepted rests on goods outside this bundle."
        if setting.acting is not step.event and step.event.details.code in CLOCK_RULES:
            return "incomplete", "not_rejudged", "What the clock had to say rests on events outside this bundle."
        return "fail", "verdict", f"The leaf says accepted; the rules say {judged.result} ({judged.code})."

    def _why_bytes(self, recorded: Recorded, setting: _Setting, different: tuple[str, ...]) -> tuple[Level, str, str]:
        meta = self.facts.meta
        if recorded.verdict.policy != (meta.policy or "" if meta is not None else ""):
            return (
                "incomplete",
                "policy_missing",
                "The policy that it was judged by is not put in force in this bundle.",
            )
        if setting.overlay or self._lost:
            return "incomplete", "links", "Which chains it continues rests on goods outside this bundle."
        return "fail", different[0], "The leaf is not what the rules make of its event."


def focus_of(unit: str, leaves: list[Recorded]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the units that a bundle must tell whole, the unit and all that ever contained it, and their labels.

    A packing links its children, then the parent.
    """
    focus: set[str] = {unit}
    labels: set[str] = set()
    events = {leaf.event.hash: leaf.event for leaf in leaves}
    for _ in range(len(leaves)):
        size = len(focus)
        for leaf in leaves:
            event = leaf.event if leaf.event.type.name != "verdict" else events.get(leaf.event.details.event)
            if (
                event is None
                or len(leaf.links) < 2
                or not isinstance(event.details, UnitPack)
                or event.type.name != "unit.pack"
            ):
                continue
            *children, parent = (link.unit for link in leaf.links)
            if focus & set(children):
                focus.add(parent)
        if len(focus) == size:
            break
    for leaf in leaves:
        for line in getattr(leaf.event.details, "lines", ()):
            if isinstance(line, ReprintLine) and {line.of, line.unit} & (focus | labels):
                labels |= {line.of, line.unit}
    return frozenset(focus), frozenset(labels)
