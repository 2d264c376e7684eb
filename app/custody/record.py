"""Record signed events: the use case behind `POST /v1/events`, and the only writer of the ledger.

A scan's walk, whole (design section 2). One group of events shares one transaction and one commit; each
stands alone in it.

1. `app.custody.prove` (outside the lock): bytes → envelope → proven event; the rest is not recorded.
2. Open the write transaction and lock the ledger's head: from here nobody else writes this ledger.
3. Load the facts of the whole group (`loading`).
4. Per event (`walk`): known already? its receipt again. Else judge, chain, build the leaf.
5. Outcomes that became due: a `verdict` leaf of the service each.
6. Store bytes, records and leaves in bulk; append to the tree; sign the checkpoint.
7. Commit. Sync the high-water mark. Publish the checkpoint. Only then answer.

What a crash leaves behind: before 7 nothing; after the commit everything, and whoever did not get an answer
sends the same event again and gets the same receipt.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from app.canon import JsonValue, b64url_decode, b64url_encode
from app.config import Settings
from app.custody import _store
from app.custody.chain import Link
from app.custody.details import LedgerRekey
from app.custody.events import Event, parse_event
from app.custody.loading import Loader, Wanted
from app.custody.newkeys import introduced
from app.custody.prove import ProvenEvent, Prover
from app.custody.receipts import Answer, Receipt
from app.custody.recent import RecentLinks, UpperTiles
from app.custody.remembered import NO_TREE, Remembered, Tree
from app.custody.serverkeys import ServerKeys
from app.custody.state import EventRef, Facts, Handover, Waiting
from app.custody.storing import Group, store_group
from app.custody.view import View
from app.custody.voice import Voice
from app.custody.walk import ParseDocument, Seen, Walk
from app.db import Database, Session, WriteSession
from app.errors import BusyError, RefusedError, ServiceError, TamperError, UnprovenError
from app.keys.state import Key
from app.ledger.append import Appended, Head, Reader, append, read_head
from app.ledger.fencing import Fence
from app.ledger.highwater import HighWater
from app.ledger.paths import Paths
from app.ledger.tiles import TileMemo
from app.ledger.witnessed import cosigned_note, first_witnessed_from
from app.units import records as unit_records
from app.units.documents import Plan, Policy

log = structlog.get_logger(__name__)
HOUR_MS = 3_600_000
MAX_PARSED_DOCUMENTS = 64
FROZEN_RETRY_SECONDS = 300


@dataclass(slots=True)
class Writing:
    """One write transaction of the ledger while it is open; `appended` is what it made, after the commit."""

    session: WriteSession
    head: Head
    walk: Walk
    group: Group
    appended: Appended | None = None


class Recorder:
    """The writer of one ledger in this process."""

    def __init__(self, db: Database, settings: Settings, keys: ServerKeys, high_water: HighWater) -> None:
        """Take the ledger named in the settings (or the only one).

        Raises:
            MissingError: There is no such ledger.
            TamperError: The tree is smaller than what was signed before, or another; see `app.ledger.highwater`.
        """
        self.db = db
        self.settings = settings
        self._keys = keys
        self._high_water = high_water
        self.fence = Fence(high_water, replicated=settings.synchronous_standby)
        self._voice = Voice(keys.service)
        with db.read() as session:
            head = read_head(session, settings.ledger)
            self.view = View.of(session, head)
            self.ledger_id, self.name, self.origin = head.ledger_id, head.name, head.origin
            self.reader = self.view.reader
        self.fence.on_change = self.reader.forget
        self._refuse_rollback(head)
        self.prover = Prover(db, self.ledger_id, self.origin)
        """Proves for whoever records in this very process."""
        self._parsed: dict[str, Policy | Plan] = {}
        self.recent = RecentLinks()
        """What this process appended since its last commitment to every unit's latest event."""
        self.upper = UpperTiles()
        self._remembered = Remembered()
        self._memo: TileMemo | None = None

    @property
    def published(self) -> tuple[int, bytes]:
        """Size and note of the newest checkpoint that may be shown."""
        return self.view.published

    def head(self, session: Session) -> Head:
        """Return the ledger's head as a session sees it."""
        return read_head(session, self.name)

    def _refuse_rollback(self, head: Head) -> None:
        mark = self._high_water.size
        self._high_water.refuse_rollback(head.size, self._root_at(mark) if 0 < mark <= head.size else None)
        if head.size:
            self._high_water.advance(head.size, head.root, self._root_at)

    def _root_at(self, size: int) -> bytes | None:
        """Return the root of our own tree at a size; asked of the database that is written, since a replica may lag."""
        with self.db.write() as session:
            return self.reader.nodes(session).root(size) if size <= self.head(session).size else None

    # -- under the lock ------------------------------------------------------------------------------

    def record(self, proven: Sequence[ProvenEvent], *, proofs: bool = True) -> list[Answer]:
        """Record a group and return one answer each, in order, after the commit.

        Args:
            proven: Proven events, judged in this order.
            proofs: Put an inclusion proof and the checkpoint into each receipt.

        Raises:
            BusyError: The database could not be locked; nothing was recorded.
        """
        with self.writing(proven) as writing:
            for position, item in enumerate(proven):
                self._take(writing.walk, writing.group, position, item)
        self._answer(writing.group, writing.appended, proofs=proofs)
        return [answer if answer is not None else BusyError("Send it again.") for answer in writing.group.answers]

    @contextmanager
    def writing(
        self, proven: Sequence[ProvenEvent] = (), *, also: Wanted | None = None, even_frozen: bool = False
    ) -> Iterator[Writing]:
        """Lock the ledger, let the caller take events or say something, store all of it, commit, and publish.

        Args:
            proven: Events whose facts are loaded.
            also: Further records that are loaded, by kind and key: what the service is about to speak of.
            even_frozen: Write to a frozen ledger, too: what ends it.

        Raises:
            BusyError: The database could not be locked, or `ledger_frozen`; nothing was recorded.
        """
        with self.fence.admitted(self.db, self.ledger_id) as (session, head):
            if head.frozen is not None and not even_frozen:
                raise BusyError(
                    "This ledger is frozen until its operator has looked into an alarm; keep your events.",
                    retry_after_seconds=FROZEN_RETRY_SECONDS, code="ledger_frozen",
                )  # fmt: skip
            writing = Writing(session, head, self._walk(session, head, proven, also), Group([None] * len(proven)))
            yield writing
            writing.appended = self._store(session, head, writing.walk, writing.group)
            self._remember(writing)
        self._publish(writing.appended)
        if writing.appended is not None:
            linked = (step.leaf.links for step in writing.group.steps)
            self.recent.add(writing.appended.first_index, zip(linked, writing.appended.leaf_hashes, strict=True))

    def _remember(self, writing: Writing) -> None:
        """Keep what is known now for the next group: under the lock still, so that nobody's older word comes later.

        If the commit fails, the head is another than what this is said to stand at, and it is forgotten.
        """
        if writing.appended is not None:
            facts, grown = writing.walk.facts, writing.appended.head
            tree = Tree(b64url_encode(grown.root), writing.walk.newest_ms)
            self._remembered.keep(grown.root, {**facts.kinds, Tree: {str(grown.size): tree}}, facts.dirty)

    def _walk(
        self, session: WriteSession, head: Head, proven: Sequence[ProvenEvent], also: Wanted | None = None
    ) -> Walk:
        self._remembered.stand_at(head.root)
        loader = Loader(session, head.ledger_id, lambda indexes: self._payloads(session, indexes), self._remembered)
        documents = {name: data for item in proven for name, data in item.documents.items()}
        events = [item.event for item in proven]
        loader.load(events, documents, (self._keys.service.kid,), also)
        seen = self._seen(session, head, [*events, *loader.bodies.values()])
        walk = Walk(loader.facts, head.size, seen, self._documents(session))
        walk.bodies.update(loader.bodies)
        return walk

    def _payloads(self, session: Session, indexes: list[int]) -> dict[int, bytes]:
        return {index: payload_of(leaf) for index, leaf in self.reader.leaves_at(session, indexes).items()}

    def _seen(self, session: Session, head: Head, events: Iterable[Event]) -> Seen:
        sizes = {event.body.checkpoint.size for event in events} | {head.size}
        trees = {0: NO_TREE, **{size: self._remembered.get(Tree, str(size)) for size in sizes if size}}
        unknown = [size for size, tree in trees.items() if tree is None and size <= head.size]
        if unknown:
            roots = self.reader.roots_at(session, sorted(unknown), head.size)
            times = _store.times(session, self.ledger_id, [size - 1 for size in roots if size])
            read = {size: Tree(b64url_encode(root), times.get(size - 1, 0)) for size, (root, _) in roots.items()}
            self._remembered.learn(Tree, {str(size): tree for size, tree in read.items()})
            trees |= read

        def seen(size: int) -> tuple[str | None, int]:
            tree = trees.get(size)
            return (tree.root, tree.received_ms) if tree is not None else (None, 0)

        return seen

    def _documents(self, session: Session) -> ParseDocument:
        """Return how the walk reads a published document; what was parsed once stays, since its name is its content."""

        def parse(content_hash: str) -> Policy | Plan | None:
            if content_hash in self._parsed:
                return self._parsed[content_hash]
            data = unit_records.read_document(session, self.ledger_id, content_hash)
            try:
                found = unit_records.parsed(data) if data is not None else None
            except ServiceError:
                return None
            if found is not None:
                self._parsed[content_hash] = found
            while len(self._parsed) > MAX_PARSED_DOCUMENTS:
                self._parsed.pop(next(iter(self._parsed)))
            return found

        return parse

    def _take(self, walk: Walk, group: Group, position: int, item: ProvenEvent) -> None:
        """Take one event, or note why it is not taken; it never takes its group along."""
        known: EventRef | None = walk.facts.kinds[EventRef].get(item.event.hash)
        if known is not None:
            group.replays.append((position, known))
            return
        size = walk.size
        try:
            self._need_keys(walk.facts, item.event)
            self._need_private_keys(item.event)
            step = walk.take(item.event, item.value, item.received_ms)
        except Exception as error:
            if walk.size != size:  # it was taken, and what follows from it failed: no part of this group may stand
                raise
            if isinstance(error, ServiceError):
                group.answers[position] = error
                return
            log.exception("event_failed", hash=item.event.hash)
            group.answers[position] = TamperError(
                "The event could not be judged; nothing of it was recorded.", code="internal"
            )
            return
        group.places[len(group.steps)] = position
        group.steps.append(step)
        group.private.extend((self.ledger_id, step.event.hash, p.name, p.salt, p.body) for p in item.private)
        self._settle(walk, group, step.ref.received_ms)

    def _need_keys(self, facts: Facts, event: Event) -> None:
        """Refuse to record an event whose offered key was not enrolled after all."""
        unknown = [kid for kid in event.body.signers if facts.get(Key, kid) is None]
        if not unknown or event.type.name == "ledger.genesis":
            return
        own = introduced(event)
        for kid in unknown:
            if kid not in own:
                raise UnprovenError("A signer's key is not enrolled on this ledger.", code="unknown_key", kid=kid)

    def _need_private_keys(self, event: Event) -> None:
        """Refuse to record a rotation to keys that this service could not sign with."""
        if isinstance(event.details, LedgerRekey) and not self._keys.held.keys() >= set(event.details.keys):
            raise RefusedError(
                "This service does not hold every key that the event names; `custody ledger new-key` makes one.",
                code="ledger_key_missing",
            )

    def _settle(self, walk: Walk, group: Group, received_ms: int) -> None:
        """Write the verdict of every event whose outcome became due."""
        while walk.ready:
            target = walk.ready.pop(0)
            ref: EventRef = walk.facts.get(EventRef, target)
            if ref.outcome is not None:
                continue
            via = walk.decision_on(target) if ref.result == "held" else None
            found = walk.outcome(target, received_ms, via=via)
            self._verdict(walk, group, target, (found.result, found.code), received_ms, via)

    def _verdict(
        self, walk: Walk, group: Group, target: str, told: tuple[str, str], received_ms: int, via: Event | None
    ) -> None:
        """Say what became of an event, in the name of the service."""
        body = walk.bodies[target].body
        self.say(
            walk, group, "verdict", {"event": target, "result": told[0], "code": told[1]}, received_ms,
            election=body.election, place=body.place, units=body.units, after=(target, *([via.hash] if via else [])),
        )  # fmt: skip

    def say(
        self, walk: Walk, group: Group, name: str, details: dict[str, JsonValue], at_ms: int, **where: Any
    ) -> EventRef:
        """Take an event of the service itself into a transaction; see `app.custody.voice`."""
        event, value = self._voice.event(walk, self.origin, name, details, at_ms, **where)
        step = walk.take(event, value, at_ms)
        group.steps.append(step)
        return step.ref

    def sweep(self, now_ms: int) -> int:
        """Do the clock's work: cancels that fall due, overdue goods, events that wait too long.

        Returns:
            How many verdicts were written.
        """
        with self.db.read() as session:
            waiting = _store.due_waiting(
                session, self.ledger_id, now_ms, now_ms - self.settings.pending_alarm_hours * HOUR_MS
            )
            late = _store.overdue_handovers(session, self.ledger_id, now_ms)
        targets = [
            (w.hash, "") if w.due_ms is not None and w.due_ms <= now_ms else (w.hash, "pending_overdue")
            for w in waiting
        ]
        targets += [(release, "overdue") for release in late]
        return sum(self._sweep_one(target, code, now_ms) for target, code in targets)

    def _sweep_one(self, target: str, code: str, now_ms: int) -> int:
        with self.db.read() as session:
            ref = next(iter(_store.refs(session, self.ledger_id, "hash", [target])))
            event = parse_event(self._payloads(session, [ref.leaf_index])[ref.leaf_index])
        with self.writing([ProvenEvent(event, None, now_ms)]) as writing:
            walk, group = writing.walk, writing.group
            walk.bodies[target] = event
            now_ms = walk.moment(now_ms)
            if _still_due(walk.facts, target, code):
                told = ("pending" if code == "pending_overdue" else "accepted", code)
                if not code:
                    found = walk.outcome(target, now_ms)
                    told = (found.result, found.code)
                self._verdict(walk, group, target, told, now_ms, None)
                self._settle(walk, group, now_ms)
        return len(group.steps)

    # -- storing -------------------------------------------------------------------------------------

    def _store(self, session: WriteSession, head: Head, walk: Walk, group: Group) -> Appended | None:
        """Store everything of the group in bulk and append its leaves; nothing when nothing is new."""
        if not group.steps:
            return None
        store_group(session, self.ledger_id, walk, group, self._documents(session))
        leaves = [step.leaf.data for step in group.steps]
        keys = self._keys.signing(walk.facts.meta.ledger_keys if walk.facts.meta else ())
        appended = append(session, head, leaves, keys, group.steps[-1].ref.received_ms, self._memo)
        self._memo = appended.memo
        return appended

    # -- after the commit ----------------------------------------------------------------------------

    def _publish(self, appended: Appended | None) -> None:
        """Remember the larger tree outside the database, then show its checkpoint.

        Raises:
            TamperError: A service on a copy of the database has signed another tree; nothing more may be shown.
        """
        if appended is not None:
            self.show(appended.head, appended.note)

    def show(self, head: Head, note: bytes) -> None:
        """Remember a tree that is committed, and show its checkpoint.

        Raises:
            TamperError: As `_publish`.
        """
        self._high_water.advance(head.size, head.root, self._root_at)
        self.fence.left(head)
        self.view.published = (head.size, note)

    def _answer(self, group: Group, appended: Appended | None, *, proofs: bool) -> None:
        if appended is not None:
            paths = self._paths(appended) if proofs else None
            checkpoint = appended.note.decode("utf-8")
            for number, step in enumerate(group.steps):
                position = group.places.get(number)
                if position is None:
                    continue
                group.answers[position] = Receipt.of_step(self.origin, step, paths, checkpoint)
        for position, known in group.replays:
            group.answers[position] = self.receipt(known)

    def _paths(self, appended: Appended) -> Paths:
        def read(level: int, n: int) -> bytes:
            if (level, n) in appended.tiles:
                return appended.tiles[(level, n)]
            with self.db.read() as session:
                return self.reader.tile(session, level, n)

        return Paths(appended.head.size, self.reader.nodes_from(read).node)

    def receipt(self, ref: EventRef) -> Receipt:
        """Return the receipt of a recorded event: the same as when it was first answered."""
        with self.db.read() as session:
            return receipt_of(session, self.reader, self.origin, ref)


def receipt_of(session: Session, reader: Reader, origin: str, ref: EventRef, *, witnessed: bool = False) -> Receipt:
    """Rebuild the receipt of a recorded event under the first checkpoint that contains it.

    Args:
        session: Reading.
        reader: The ledger's.
        origin: Its origin.
        ref: The event.
        witnessed: Prefer the first checkpoint that met the trust policy, with its cosignatures.
    """
    fresh = next(iter(_store.refs(session, reader.ledger_id, "hash", [ref.hash])), ref)
    rows = reader.leaves(session, fresh.leaf_index, fresh.leaf_index + 1)
    problem = _store.problem_of(session, reader.ledger_id, fresh.hash)
    receipt = Receipt.of_record(origin, fresh, b64url_encode(rows[0][2]), links_of(rows[0][1]), problem)
    size = first_witnessed_from(session, reader.ledger_id, fresh.leaf_index + 1) if witnessed else None
    if size is not None:
        note = cosigned_note(session, reader.ledger_id, size)
        return receipt.proven(Paths(size, reader.nodes(session).node), note, witnessed=True)
    checkpoint = reader.checkpoint_from(session, fresh.leaf_index + 1)
    if checkpoint is None:
        return receipt
    return receipt.proven(Paths(checkpoint[0], reader.nodes(session).node), checkpoint[1])


def _still_due(facts: Facts, target: str, code: str) -> bool:
    """Say, under the lock, whether the clock's word is still to be said: another process may have said it."""
    if code == "overdue":
        handover: Handover | None = facts.get(Handover, target)
        return handover is not None and handover.status == "open" and handover.overdue_index is None
    waiting: Waiting | None = facts.get(Waiting, target)
    return waiting is not None and waiting.done_index is None and not (code and waiting.alarmed)


def payload_of(leaf: bytes) -> bytes:
    """Return the payload bytes of the event inside a leaf that this service built."""
    return b64url_decode(orjson.loads(leaf)["event"]["payload"])


def links_of(leaf: bytes) -> tuple[Link, ...]:
    """Return the unit links of a leaf that this service built, in the leaf's order."""
    return tuple(Link(link["unit"], link["seq"], link["prev"]) for link in orjson.loads(leaf)["links"])
