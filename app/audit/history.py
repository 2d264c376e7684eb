"""What happened to a unit, and to what contained it while it was inside, in ledger order.

`unit_history` answers `GET /v1/units/{id}/history`: one row per event, refused attempts among them, and one
row per gap: the time between a release and its answer, a handover past its time, goods reported missing or
received without a release. A gap is an interval with a cause; a later good scan never heals it silently
(domain reference section 8). With `size`, everything is told as it was known at that tree size, but for two things of
the policy in force: what a place is called and in which zone it lies; and a label that was replaced since is refused.

Two SQL statements, whatever the length of the history or the depth of containment: the timeline, which says who
asks as well, and the checkpoints that phones cite. A third only where something belongs to the history that does not
name the unit: the event that a verdict decided, when that is not of the unit itself; a retraction; events that named
another label of a unit whose label was printed again. And a third, after the timeline, before a spoiled label that
never had a unit is refused. Labels that were replaced and foreign codes cost none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from app.audit.events import event_words, seen_times
from app.audit.gaps import Gap, gaps_of, took_effect
from app.audit.gathered import Body, Gathered, body_of, pointed_to
from app.audit.moments import local_time, utc
from app.audit.places import Answer
from app.audit.scope import Scope
from app.audit.timeline import BY_TOKEN, END, GIVEN, Happened, Inside, Statement, more
from app.audit.units import label_retired, no_such_unit, refuse_blank
from app.canon import JsonValue
from app.db import ReadSession, decode_json
from app.errors import MalformedError
from app.ids import parse_unit_id
from app.keys.callers import token_hash, viewer_shown
from app.keys.grants import Viewer
from app.rows import Rows, among, run

MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """Whose history, as known when, and which page of it.

    `named` is a unit id, label or foreign code, as typed; `size` a tree size, None for now; `after` the last index of
    the page before; `limit` at most 1000 events a page, gaps stand with the event that began them.
    """

    ledger_id: int
    named: str
    size: int | None = None
    after: int | None = None
    limit: int = MAX_ROWS

    @property
    def known(self) -> int:
        """The tree size at which it is told."""
        return END if self.size is None else self.size

    def values(self) -> dict[str, object]:
        """Return the values that both forms of the timeline need.

        Raises:
            MalformedError: `label_checksum`, a misread label; nothing was looked up.
        """
        code, named = None, None
        try:
            named = parse_unit_id(self.named)
        except MalformedError as error:
            if error.code == "label_checksum":
                raise
            code = self.named
        return {"ledger": self.ledger_id, "named": named, "code": code, "known": self.known}


def unit_history(
    session: ReadSession, ledger_id: int, viewer: Viewer, named: str, *,
    size: int | None = None, after: int | None = None, limit: int = MAX_ROWS,
) -> Answer:  # fmt: skip
    """Return the history of a unit.

    Args:
        session: Reading; one snapshot.
        ledger_id: The ledger.
        viewer: Who asks.
        named: Unit id, label or foreign code, as typed.
        size: Tell it as known at this tree size; as of now when absent.
        after: The last index of the page before.
        limit: At most 1000 events a page; gaps stand with the event that began them.

    Returns:
        `unit`, `size`, `items` (rows of `kind` `event` or `gap`), `open_gaps` of the whole history, `next`.

    Raises:
        MalformedError: `label_checksum`.
        MissingError: No such unit for this viewer; `label_retired` with `successor`.
    """
    question = Question(ledger_id, named, size, after, limit)
    values = {**question.values(), "subject": viewer.subject, "place": viewer.place}
    return tell(session, viewer, question, Gathered.of(_run(session, GIVEN, values)))


def asked_by_token(question: Question, token: str, *, now_ms: int, demo: bool) -> tuple[str, tuple[object, ...]]:
    """Return the statement of a timeline for who shows a token, and its values; who that is, `caller` says.

    To be run on the database that is written, so that a revocation counts at once.

    Args:
        question: What is asked; its page may still be unknown.
        token: As shown.
        now_ms: The time that tokens expire by, UTC milliseconds.
        demo: Whether mandates are judged at the time of the newest event.

    Raises:
        MalformedError: `label_checksum`.
    """
    values = {**question.values(), "token": token_hash(token), "now": now_ms, "demo": int(demo)}
    return BY_TOKEN.sql, BY_TOKEN.values(values)


def caller(gathered: Gathered, now_ms: int, *, demo: bool) -> Viewer:
    """Return who asked a timeline by token.

    Raises:
        UnprovenError: `credentials`: unknown, expired, or its key or client was revoked or has lapsed.
    """
    asker = gathered.asker
    mandate_ms = (asker.newest_ms or 0) if demo and asker is not None else now_ms
    return viewer_shown(asker.shown() if asker is not None else None, now_ms, mandate_ms)


def tell(session: ReadSession, viewer: Viewer, question: Question, gathered: Gathered) -> Answer:
    """Tell a history from its timeline.

    Args:
        session: Reading, in the snapshot of the timeline.
        viewer: Who asks; the timeline has the path of his place.
        question: What was asked.
        gathered: The timeline.

    Returns:
        As `unit_history`.

    Raises:
        MissingError: As `unit_history`.
    """
    unit = _seen(session, viewer, question, gathered)
    story = Story(gathered.events, question)
    story.take(_more(session, unit, story))
    gaps = sorted(
        gaps_of(unit, story.found, gathered.breaks, question.known), key=lambda gap: (gap.since, gap.kind)
    )  # fmt: skip
    first = question.after if question.after is not None else -1
    page = [one for one in story.found if one.leaf_index > first][: min(question.limit, MAX_ROWS)]
    last = page[-1].leaf_index if page else first
    is_more = bool(story.found) and story.found[-1].leaf_index > last
    shown = [gap for gap in gaps if first < gap.since and (gap.since <= last or not is_more)]
    return {
        "unit": unit, "size": question.size, "items": _rows(session, story, page, shown),
        "open_gaps": sum(gap.until is None for gap in gaps), "next": last if is_more else None,
    }  # fmt: skip


def _run(session: ReadSession, statement: Statement, values: Mapping[str, object]) -> Rows:
    return run(session, statement.sql, *statement.values(values))


# -- who may see it --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sight:
    """What of a unit decides who sees it."""

    place: str
    destination: str | None
    agency: str
    agencies: tuple[str, ...]

    @classmethod
    def of(cls, row: Inside) -> "_Sight":
        agencies = decode_json(row.agencies)
        assert isinstance(agencies, tuple)  # noqa: S101 - the column's shape
        return cls(row.place, row.destination, row.agency, agencies)


def _seen(session: ReadSession, viewer: Viewer, question: Question, gathered: Gathered) -> str:
    """Return the id of the unit that was asked for, if the viewer sees it."""
    path = gathered.asker.path if viewer.place is not None and gathered.asker is not None else None
    scope = Scope(question.ledger_id, viewer, "" if viewer.place is None else path)
    if not gathered.chain:
        refuse_blank(session, scope, gathered.label)
    unit, top = gathered.chain[0], gathered.chain[-1]
    placed = {top.place: top.place_path, unit.destination: unit.destination_path}
    inside = frozenset(
        place for place, at in placed.items()
        if place is not None and at is not None and scope.path is not None and at.startswith(scope.path)
    )  # fmt: skip
    if not scope.sees_unit(_Sight.of(unit), _Sight.of(top), inside):
        raise no_such_unit()
    if gathered.label is not None and gathered.label.status == "retired":
        raise label_retired(gathered.label)
    return unit.unit


# -- events ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Story:
    """The events of a history in ledger order, and their payloads as far as they were read."""

    found: list[Happened]
    question: Question
    _bodies: dict[int, Body] = field(default_factory=dict)

    def body(self, one: Happened) -> Body:
        """Return the payload of an event."""
        known = self._bodies.get(one.leaf_index)
        if known is None:
            known = self._bodies[one.leaf_index] = body_of(one.leaf)
        return known

    def take(self, events: Iterable[Happened]) -> None:
        """Take events that are not among these yet."""
        known = {one.leaf_index for one in self.found}
        fresh = [one for one in events if one.leaf_index not in known]
        if fresh:
            self.found = sorted([*self.found, *fresh], key=lambda one: one.leaf_index)


def _more(session: ReadSession, unit: str, story: Story) -> Iterator[Happened]:
    """Yield what belongs to the history without naming the unit, or in the unit's name by another label.

    The event that a verdict decided and the retraction that marked an event reached the unit the way of these. Only
    what the service itself said counts: anybody may name a unit and, beside it, an event that is none of its story.
    """
    decided: dict[str, str | None] = {}
    marked: dict[int, str | None] = {}
    for one in story.found:
        if one.type == "verdict" and one.result == "accepted":
            decided[story.body(one)["details"]["event"]] = one.via
        if one.retracted_index is not None:
            marked[one.retracted_index] = one.via
    labels = _other_labels(unit, story)
    hashes = decided.keys() - {one.hash for one in story.found}
    marks = marked.keys() - {one.leaf_index for one in story.found}
    if not (hashes or marks or labels):
        return
    for one in _pointed(session, story.question, sorted(hashes), sorted(marks), sorted(labels)):
        via = decided.get(one.hash, marked.get(one.leaf_index))
        yield one._replace(unit=via, depth=int(via is not None))


def _pointed(
    session: ReadSession, question: Question, hashes: Sequence[str], marks: Sequence[int], labels: Sequence[str]
) -> list[Happened]:
    """Return events by hash, by index, and by a label that they named."""
    values: dict[str, object] = {"ledger": question.ledger_id, "known": question.known}
    keys: dict[str, str] = {}
    for name, column, wanted in (
        ("hash", "e.hash", hashes), ("leaf_index", "e.leaf_index", marks), ("unit", "x.unit", labels)
    ):  # fmt: skip
        if wanted:
            condition, values[name] = among(session, column, wanted)
            keys[name] = condition.replace("?", f":{name}")
    return [Happened._make(row) for row in _run(session, Statement.of(more(keys)), values)]


def _other_labels(unit: str, story: Story) -> set[str]:
    """Return the labels that were printed for the unit after its first."""
    lines = [
        line
        for one in story.found
        if one.type == "unit.commission" and one.result == "accepted"
        for line in story.body(one)["details"]["lines"]
        if line["act"] == "reprint"
    ]
    known = {unit}
    for line in lines:
        if line["of"] in known:
            known.add(line["unit"])
    return known - {unit}


# -- rows ------------------------------------------------------------------------------------------------


def _rows(session: ReadSession, story: Story, page: Sequence[Happened], gaps: Sequence[Gap]) -> list[JsonValue]:
    """Tell a page: events in ledger order, each gap after the event that began it."""
    question, corrected = story.question, _corrections(story)
    bodies = [story.body(one) for one in page]
    cited = [(body["checkpoint"]["size"], body["checkpoint"]["root"]) for body in bodies]
    seen = seen_times(session, question.ledger_id, cited)
    items: list[JsonValue] = []
    for one, body, tree in zip(page, bodies, cited, strict=True):
        row = event_words(one, pointed_to(body), seen.get(tree), one.place_name, one.zone, question.size)
        row["via"], row["seq"] = one.via, one.seq
        row["corrected"] = list(corrected[one.hash]) if one.hash in corrected else []
        items.append({"kind": "event", **row})
    if not gaps:
        return items
    by_index = {one.leaf_index: one for one in story.found}
    places = [(one.leaf_index, 0) for one in page] + [(gap.since, 1) for gap in gaps]
    items += [_gap_as_json(gap, by_index) for gap in gaps]
    return [row for _, row in sorted(zip(places, items, strict=True), key=itemgetter(0))]


def _corrections(story: Story) -> dict[str, list[str]]:
    """Return the hashes of the accepted corrections by what they correct."""
    corrected: dict[str, list[str]] = {}
    for one in story.found:
        if one.type == "correction" and took_effect(one, story.question.known):
            corrected.setdefault(story.body(one)["details"]["target"], []).append(one.hash)
    return corrected


def _gap_as_json(gap: Gap, events: Mapping[int, Happened]) -> Answer:
    return {
        "kind": "gap", "gap": gap.kind, "cause": gap.cause, "from": _edge(gap.since, events),
        "to": _edge(gap.until, events), "via": gap.via, "handover": gap.handover, "ended_by": gap.ended_by,
    }  # fmt: skip


def _edge(index: int | None, events: Mapping[int, Happened]) -> JsonValue:
    """Tell one end of a gap: the leaf, and the time at which we learned of it."""
    if index is None:
        return None
    event = events.get(index)
    if event is None:
        return {"index": index, "event": None, "at": None, "local": None}
    local = local_time(event.received_ms, event.zone) if event.zone is not None else None
    return {"index": index, "event": event.hash, "at": utc(event.received_ms), "local": local}
