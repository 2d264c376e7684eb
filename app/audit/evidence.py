"""Evidence of one unit: every leaf that tells its story, with what a stranger needs to believe it.

Which leaves: the unit's own chain, and everything else that names it; the chains of what contained it, up to
when it left; what those events name (releases, predecessors, targets) and what became of them (verdicts,
decisions, retractions); the enrolments of every signer and of whoever enrolled them, and revocations; policy,
plans and lists of ids with their documents; the genesis. All under one signed checkpoint: the newest that the
policy's witnesses have cosigned enough, else the newest. The newest commitment below it proves which event of the unit,
and of whatever it lay in, is the latest; or that there is no such unit.
"""

import io
from collections.abc import Iterable, Iterator
from typing import TypeVar

from sqlalchemy import func, select, union

from app.audit.bundle import Bundle, write_bundle
from app.audit.leaf import Recorded, read_leaf
from app.audit.page import verify_page
from app.audit.scope import Scope
from app.audit.units import look_up
from app.canon import JsonValue, b64url_encode, jcs
from app.custody._tables import CHARTER, EVENT, EVENT_UNIT, OUTCOME, PRIVATE
from app.custody.committing import prove_units
from app.custody.details import LabelsIssue, PlanPublish, PolicyPublish
from app.custody.heads import HeadProof
from app.db import ReadSession
from app.errors import ConflictError, MissingError
from app.keys._tables import KEY
from app.keys.grants import Viewer
from app.ledger.append import Reader
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note
from app.ledger.proof import TlogProof
from app.ledger.stamps import newest_stamped, stamps_of
from app.ledger.tree import inclusion_path
from app.ledger.witnessed import cosigned_note, newest_witnessed
from app.units import records as unit_records
from app.units._tables import CONTAINMENT, LABEL

KEYS_PER_QUERY = 500
T = TypeVar("T")


def build_evidence(
    session: ReadSession, ledger_id: int, viewer: Viewer, unit: str, *, private: bool = False,
    policy: bytes | None = None, stamped: bool = False,
) -> bytes:  # fmt: skip
    """Build the evidence bundle of a unit as a zip.

    Args:
        session: One snapshot.
        ledger_id: The ledger.
        viewer: Who asks; a unit that he does not see does not exist for him.
        unit: A unit id, label or foreign code.
        private: Put in the private contents of the unit's events that are still kept.
        policy: The trust policy that the ledger recommends, put in as it is.
        stamped: Prefer the newest checkpoint with a legal time stamp to the newest that was witnessed.

    Raises:
        MissingError: There is no such unit for this viewer, or nothing is signed yet.
        TooLargeError: `bundle_too_large`, more than a verifier reads.
    """
    found = look_up(session, Scope.of(session, ledger_id, viewer), unit)
    return _zip(gather(session, ledger_id, found.unit.unit, private=private, stamped=stamped), policy)


def build_absence(session: ReadSession, ledger_id: int, unit: str, *, policy: bytes | None = None) -> bytes:
    """Build a bundle that proves that the ledger knows no unit of an id, as of its newest commitment.

    Args:
        session: One snapshot.
        ledger_id: The ledger.
        unit: A well-formed unit id.
        policy: The trust policy that the ledger recommends, put in as it is.

    Raises:
        ConflictError: `unit_exists`: there is one, whether the caller sees it or not.
        MissingError: `no_commitment`: nothing is committed to below the checkpoint yet.
    """
    gathering = _Gathering(session, ledger_id, unit)
    gathering.nothing()
    proofs = gathering.prove([unit])
    if not proofs:
        raise MissingError(
            "No commitment to every unit's latest event stands yet; ask again later.", code="no_commitment"
        )
    if not proofs[unit].head.lies_around(unit):
        raise ConflictError("The ledger knows a unit of that id.", code="unit_exists")
    return _zip(gathering.bundle(unit, private=False), policy)


def _zip(bundle: Bundle, policy: bytes | None) -> bytes:
    bundle.policy, bundle.page = policy, verify_page()
    target = io.BytesIO()
    write_bundle(bundle, target)
    return target.getvalue()


def gather(session: ReadSession, ledger_id: int, unit: str, *, private: bool = False, stamped: bool = False) -> Bundle:
    """Gather the parts of a unit's bundle; who may see it is the caller's business."""
    gathering = _Gathering(session, ledger_id, unit, stamped=stamped)
    gathering.story(unit)
    gathering.prove(sorted(gathering.focus))
    return gathering.bundle(unit, private=private)


class _Gathering:
    """Collects leaves by index until nothing that they rest on is missing."""

    def __init__(self, session: ReadSession, ledger_id: int, unit: str, *, stamped: bool = False) -> None:
        self.session = session
        self.ledger_id = ledger_id
        self.reader = Reader(ledger_id)
        last = self.reader.last_checkpoint(session)
        if last is None:
            raise MissingError("Nothing is signed on this ledger yet.")
        found = newest_witnessed(session, ledger_id)
        legal = newest_stamped(session, ledger_id) if stamped else None
        found = (legal.size, 0) if legal is not None else found
        # What is younger than anything that was witnessed is shown under the ledger's word alone, and says so.
        self.size = found[0] if found is not None and self._first(unit) < found[0] else last[0]
        self.note = cosigned_note(session, ledger_id, self.size)
        self.stamps = stamps_of(session, ledger_id, self.size)
        if self.stamps:  # a stamp is over these very bytes; cosignatures that came later stay out
            self.note = self.stamps[0].stamped
        self.heads: dict[str, HeadProof] = {}
        self.leaves: dict[int, Recorded] = {}
        self.focus: set[str] = set()

    # -- which leaves --------------------------------------------------------------------------------

    def story(self, unit: str) -> None:
        """Collect everything that belongs to a unit's story."""
        self._take([0])
        self._chain(unit, None)
        self._containers(unit, None)
        self._labels()
        self._close(set(self.leaves))
        self._in_force()
        self._close(set(self.leaves))

    def _first(self, unit: str) -> int:
        """Return the leaf at which a unit's chain begins; 0 for one that there is not."""
        query = select(func.min(EVENT_UNIT.c.leaf_index)).where(
            EVENT_UNIT.c.ledger_id == self.ledger_id, EVENT_UNIT.c.unit == unit, EVENT_UNIT.c.seq.is_not(None)
        )
        return int(self.session.execute(query).scalar() or 0)

    def nothing(self) -> None:
        """Collect only what every story rests on: the genesis, and what changed the ledger's keys."""
        self._take([0])
        self._in_force()
        self._close(set(self.leaves))

    def prove(self, units: list[str]) -> dict[str, HeadProof]:
        """Take the proofs of these units' latest events, and the commitment that they are under."""
        self.heads = prove_units(self.session, self.ledger_id, units, self.size)
        commits = {proof.commit for proof in self.heads.values()} - self.leaves.keys()
        self._take(commits)
        self._close(commits)
        return self.heads

    def _take(self, indexes: Iterable[int | None]) -> None:
        """Read the leaves of these indexes that are not here yet."""
        wanted = sorted({i for i in indexes if i is not None and i < self.size} - self.leaves.keys())
        for part in _parts(wanted):
            for index, data in sorted(self.reader.leaves_at(self.session, part).items()):
                self.leaves[index] = read_leaf(index, data)

    def _chain(self, unit: str, until: int | None) -> None:
        """Take every event of a unit; of a container only what its own chain grew by, until its goods left."""
        self.focus.add(unit)
        query = select(EVENT_UNIT.c.leaf_index).where(
            EVENT_UNIT.c.ledger_id == self.ledger_id, EVENT_UNIT.c.unit == unit
        )
        if until is not None:
            query = query.where(EVENT_UNIT.c.seq.is_not(None), EVENT_UNIT.c.leaf_index <= until)
        self._take(row[0] for row in self.session.execute(query))

    def _containers(self, unit: str, until: int | None) -> None:
        """Take the chains of what a unit lay in, and of what that lay in meanwhile."""
        rows = self.session.execute(
            select(CONTAINMENT.c.parent, CONTAINMENT.c.since_index, CONTAINMENT.c.until_index).where(
                CONTAINMENT.c.ledger_id == self.ledger_id, CONTAINMENT.c.child == unit
            )
        )
        for parent, since, left in list(rows):
            end = min(x for x in (left, until, self.size) if x is not None)
            if since <= end:
                self._chain(parent, end)
                self._containers(parent, end)

    def _labels(self) -> None:
        """Take the issues of the labels that the unit and its containers ever had."""
        # Two ways in, each by its key: joined by OR, the database would read every label.
        ways = [
            select(LABEL.c.block).where(LABEL.c.ledger_id == self.ledger_id, column.in_(sorted(self.focus)))
            for column in (LABEL.c.unit, LABEL.c.label)
        ]
        rows = self.session.execute(union(*ways))
        self._take(self._indexes_of({row[0] for row in rows}))

    def _in_force(self) -> None:
        """Take what put a policy or plan in force up to the newest leaf at hand, and all of the ledger's charter."""
        self._took_effect(("policy.publish", "plan.publish"), max(self.leaves))
        self._took_effect(("ledger.rekey", "agency.join", "founders.change"), self.size)

    def _took_effect(self, types: tuple[str, ...], until: int) -> None:
        rows = self.session.execute(
            select(EVENT.c.leaf_index, OUTCOME.c.outcome_index)
            .outerjoin(OUTCOME, (OUTCOME.c.ledger_id == EVENT.c.ledger_id) & (OUTCOME.c.hash == EVENT.c.hash))
            .where(
                EVENT.c.ledger_id == self.ledger_id, CHARTER, EVENT.c.type.in_(types), EVENT.c.leaf_index <= until,
                (EVENT.c.result == "accepted") | (OUTCOME.c.outcome == "accepted"),
            )
        )  # fmt: skip
        self._take(index for row in rows for index in row)

    def _close(self, fresh: set[int]) -> None:
        """Take what leaves rest on, and what that rests on, until nothing is new."""
        told = set(fresh)
        while fresh:
            leaves = [self.leaves[index] for index in sorted(fresh)]
            before = set(self.leaves)
            self._take(self._keys_of(leaves))
            about = [leaf for leaf in leaves if leaf.index in told or leaf.event.type.name in {"verdict", "decision"}]
            self._take(self._indexes_of(set(_references(about))))
            self._take(self._outcomes_of(about))
            fresh = set(self.leaves) - before
            told |= {i for i in fresh if self._is_told(self.leaves[i])}

    def _is_told(self, leaf: Recorded) -> bool:
        """Say whether a leaf is itself part of the story, not only referred to by it."""
        return self._is_about(leaf) or leaf.event.type.name in {"verdict", "decision"}

    def _is_about(self, leaf: Recorded) -> bool:
        """Say whether a leaf names or moved the unit, or what it lay in."""
        return bool({*(link.unit for link in leaf.links), *leaf.event.body.units} & self.focus)

    def _keys_of(self, leaves: list[Recorded]) -> list[int]:
        """Return the leaves that enrolled or revoked the signers of these."""
        kids = {kid for leaf in leaves for kid in leaf.event.body.signers}
        found: list[int] = []
        for part in _parts(sorted(kids)):
            query = select(KEY.c.enrolled_index, KEY.c.revoked_index).where(
                KEY.c.ledger_id == self.ledger_id, KEY.c.kid.in_(part)
            )
            found += [index for row in self.session.execute(query) for index in row if index is not None]
        return found

    def _indexes_of(self, hashes: set[str]) -> list[int]:
        found: list[int] = []
        for part in _parts(sorted(hashes)):
            query = select(EVENT.c.leaf_index).where(EVENT.c.ledger_id == self.ledger_id, EVENT.c.hash.in_(part))
            found += [row[0] for row in self.session.execute(query)]
        return found

    def _outcomes_of(self, leaves: list[Recorded]) -> list[int]:
        """Return the leaves that later decided or retracted these events."""
        found: list[int] = []
        for part in _parts([leaf.event.hash for leaf in leaves]):
            query = select(OUTCOME.c.outcome_index, OUTCOME.c.retracted_index).where(
                OUTCOME.c.ledger_id == self.ledger_id, OUTCOME.c.hash.in_(part)
            )
            found += [index for row in self.session.execute(query) for index in row if index is not None]
        return found

    # -- the parts -----------------------------------------------------------------------------------

    def bundle(self, unit: str, *, private: bool) -> Bundle:
        """Return the parts: leaves with proofs under the one checkpoint, documents, private contents."""
        genesis = self.leaves[0]
        checkpoint = Checkpoint.parse(Note.parse(self.note).text)
        bundle = Bundle(
            unit, checkpoint.origin, checkpoint.size, b64url_encode(checkpoint.root), genesis.event.hash, self.note
        )
        # A proof names the tree and the ledger's signature; witnesses' cosignatures stand once, in `checkpoint`.
        own = self.reader.checkpoint_from(self.session, self.size)
        signed = own[1] if own is not None and own[0] == self.size else self.note
        node = self.reader.nodes(self.session).node
        for index, leaf in sorted(self.leaves.items()):
            bundle.leaves[index] = leaf.data
            path = tuple(inclusion_path(index, self.size, node))
            bundle.proofs[index] = TlogProof(index, path, signed).to_bytes()
            for name in _documents_of(leaf):
                data = unit_records.read_document(self.session, self.ledger_id, name)
                if data is not None:
                    bundle.documents[name] = data
        bundle.stamps = dict(enumerate(stamp.token for stamp in self.stamps if stamp.stamped == self.note))
        bundle.heads = {name: jcs(proof.as_json()) for name, proof in self.heads.items()}
        if private:
            bundle.private = dict(self._private())
        return bundle

    def _private(self) -> Iterator[tuple[tuple[int, str], bytes]]:
        # Of goods in question alone: what other events hold is none of this story, whoever named them in it.
        own = [leaf for leaf in self.leaves.values() if leaf.event.body.private and self._is_about(leaf)]
        by_hash = {leaf.event.hash: leaf.index for leaf in own}
        for part in _parts(sorted(by_hash)):
            rows = self.session.execute(
                select(PRIVATE.c.event, PRIVATE.c.name, PRIVATE.c.salt, PRIVATE.c.body).where(
                    PRIVATE.c.ledger_id == self.ledger_id, PRIVATE.c.event.in_(part)
                )
            )
            for event, name, salt, body in rows:
                value: JsonValue = {"salt": b64url_encode(bytes(salt)), "body": b64url_encode(bytes(body))}
                yield (by_hash[event], name), jcs(value)


def _references(leaves: list[Recorded]) -> Iterator[str]:
    """Yield the hashes of events that these name."""
    for leaf in leaves:
        yield from leaf.event.body.after
        for name in ("release", "target", "event"):
            value = getattr(leaf.event.details, name, None)
            if isinstance(value, str):
                yield value


def _documents_of(leaf: Recorded) -> Iterator[str]:
    told = leaf.event.details
    if isinstance(told, PolicyPublish | PlanPublish):
        yield told.document
    if isinstance(told, LabelsIssue):
        yield told.ids_hash


def _parts(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), KEYS_PER_QUERY):
        yield items[start : start + KEYS_PER_QUERY]
