"""Walk a ledger again from its leaves alone (pure): the same `Walk`, the bytes compared.

One `Replayer` takes leaf after leaf, from the genesis on. It reads the leaf strictly, judges its event with
everything the earlier leaves gave, builds the leaf anew and says whether both are the same bytes. The tree
grows beside it, so that every root a phone ever cited can be answered. No database, no clock: `custody fsck`,
the history at a past size and tests share this text with intake.
"""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.audit.ahead import AnyLeaf, Arrived, prove_each
from app.audit.heads import HeadsWatch
from app.audit.leaf import Recorded, read_leaf
from app.canon import JsonValue, b64url_decode, b64url_encode
from app.custody.chain import Leaf, Link, build_leaf
from app.custody.details import LabelsIssue, LedgerGenesis, PlanPublish, PolicyPublish
from app.custody.events import Event, parse_event
from app.custody.newkeys import genesis_keys, introduced
from app.custody.rules.case import RULES_VERSION
from app.custody.state import EventRef, Facts
from app.custody.walk import Step, Walk
from app.errors import MissingError, ServiceError, TamperError, UnprovenError
from app.keys.state import Key
from app.keys.verify import Jws, PublicKey, prove
from app.ledger.tree import HASH_BYTES, node_hash, range_root
from app.quick import quick
from app.units.documents import Plan, Policy, document_hash, parse_document
from app.units.state import Unit

ReadDocument = Callable[[str], bytes | None]
"""Gives the bytes of a stored document by hash; they are hashed again before they are believed."""

OnUnproven = Callable[[AnyLeaf, UnprovenError], None]

NOT_THERE_YET = frozenset({"document_missing", "ids_missing"})
"""Refusals for a document that was not stored when the event came; that it came later changes nothing."""
_RELEASE, _DECISION = "custody.release", "decision"


class GrownTree:
    """The tree over leaf hashes with every complete subtree kept, 64 bytes a leaf."""

    def __init__(self) -> None:
        """Start with the empty tree."""
        self.levels: list[bytearray] = [bytearray()]
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        level, value, position = 0, leaf, self.size
        self.levels[0] += value
        self.size += 1
        while position & 1:
            row = self.levels[level]
            value = node_hash(bytes(row[-2 * HASH_BYTES : -HASH_BYTES]), value)
            level, position = level + 1, position >> 1
            if level == len(self.levels):
                self.levels.append(bytearray())
            self.levels[level] += value

    def node(self, level: int, index: int) -> bytes:
        """Give the root of a complete subtree, as `app.ledger.tree.Node`."""
        return bytes(self.levels[level][index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def root(self, size: int) -> bytes:
        """Give the tree head at a size up to the present one."""
        return range_root(0, size, self.node)


class MissingDocumentError(MissingError):
    """The event was judged by a document that is not here, or whose bytes are not its hash's."""


class _AbsentDocument(Exception):  # noqa: N818 - a signal through the rules, which answer our errors as refusals
    """A document that must be here is not; the argument is its hash."""


@quick
@dataclass(frozen=True, slots=True)
class Replayed:
    """One leaf beside what the rules make of its event now; `differences` names what is not the same."""

    recorded: AnyLeaf
    step: Step
    differences: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Say whether the leaf was rebuilt byte for byte."""
        return not self.differences


class Replayer:
    """Replays leaves in order from the genesis; `facts` are complete as of the leaves taken."""

    def __init__(
        self, read_document: ReadDocument, *, signatures: bool = False, on_unproven: OnUnproven | None = None
    ) -> None:
        """Start before the genesis.

        Args:
            read_document: Where documents come from.
            signatures: Verify every signature of every event as well; the larger part of the work.
            on_unproven: Told of a signature that does not verify, instead of an error.
        """
        self.facts = Facts(complete=True)
        self._dirty = list(self.facts.dirty.values())
        self.tree = GrownTree()
        self.received: array[int] = array("q")
        self.heads = HeadsWatch()
        self._key_changes: list[tuple[int, tuple[str, ...]]] = []
        self._read_document = read_document
        self._signatures = signatures
        self._on_unproven = on_unproven
        self._hide_documents = False
        self._needed: set[str] = set()
        self._parsed: dict[str, Policy | Plan | None] = {}
        self._roots: dict[int, str] = {}
        self._keys: dict[str, PublicKey] = {}
        self._ahead: dict[int, Jws] = {}
        self._taken: AnyLeaf | None = None
        self._releases: dict[str, bytes] = {}
        self._walk = Walk(self.facts, 0, self._seen, self._document, self._rebuild)

    @property
    def size(self) -> int:
        """The number of leaves taken."""
        return self._walk.size

    def take(self, leaf: bytes | AnyLeaf) -> Replayed:
        """Replay the next leaf, from its bytes or as it was read at this index.

        Raises:
            MalformedError, TooLargeError: The bytes are no leaf (`app.audit.leaf`).
            UnprovenError: A signature does not verify under the key as of this index, or there is no such key.
            MissingDocumentError: `document_missing` in the replay's own sense: see the class.
            TamperError: `rules_version`, judged by rules that this software does not have; `unjudgeable`,
                the rules cannot make sense of the event at all.
        """
        recorded = read_leaf(self.size, leaf) if isinstance(leaf, bytes) else leaf
        if recorded.index != self.size:
            raise RuntimeError("leaves are replayed in order")
        if recorded.verdict.rules != RULES_VERSION:
            raise TamperError("The leaf was judged by rules that are not known here.", code="rules_version")
        self.check_signers(recorded)
        missing = self._missing_verdict(recorded.event)
        step = self._judge(recorded)
        self._remember(recorded, step)
        heads = () if self.heads.take(recorded) else ("heads",)
        return Replayed(recorded, step, (*missing, *heads, *compare(recorded, step)))

    def keys_at(self, size: int) -> tuple[str, ...]:
        """Return the verifier keys that sign a checkpoint of that size: those that its last leaf left in force."""
        return next((keys for index, keys in reversed(self._key_changes) if index < size), ())

    def overdue_verdicts(self) -> list[str]:
        """Return the events whose outcome is due and not yet told; none at the end of an honest ledger."""
        return [t for t in dict.fromkeys(self._walk.ready) if self.facts.get(EventRef, t).outcome is None]

    # -- signatures ----------------------------------------------------------------------------------

    def prove_ahead(self, leaves: Sequence[Recorded]) -> None:
        """Prove the signatures of the next leaves together, as far as the keys that are known by now go.

        Nothing is decided here: what cannot be proven yet is proven or refused in its turn. A key that is known stays
        what it is, since its name is its hash.
        """
        if self._signatures:
            self._ahead |= {recorded.index: recorded.jws for recorded in prove_each(leaves, self._public_key)}

    def check_signers(self, recorded: AnyLeaf) -> None:
        """Prove the signatures under keys that earlier leaves enrolled, where asked; else only look the keys up."""
        if isinstance(recorded.event.details, LedgerGenesis):
            self._keys.update(genesis_keys(recorded.event.details))
        if not self._signatures or self._is_proven(recorded):
            return
        try:
            own = introduced(recorded.event)
            prove(recorded.jws, lambda kid: own.get(kid) or self._public_key(kid))
        except UnprovenError as error:
            if self._on_unproven is None:
                raise
            self._on_unproven(recorded, error)

    def _is_proven(self, recorded: AnyLeaf) -> bool:
        """Say whether the signatures were proven before this leaf's turn, under keys that are enrolled by now.

        Another process proves under any key of the right name, enrolled or not: whether it is, is looked up here, as
        `prove` does it first of all. What is not settled here is proven again, and refused by the same words.
        """
        if not isinstance(recorded, Arrived):
            return self._ahead.pop(recorded.index, None) is recorded.jws
        known = [(self._public_key(kid), alg) for kid, alg in recorded.proven_by]
        return bool(known) and all(key is not None and key.alg == alg for key, alg in known)

    def _public_key(self, kid: str) -> PublicKey | None:
        known = self._keys.get(kid)
        if known is None:
            record: Key | None = self.facts.get(Key, kid)
            if record is None:
                return None
            known = public_key(record)
            self._keys[kid] = known
        return known

    # -- judging -------------------------------------------------------------------------------------

    def _missing_verdict(self, event: Event) -> tuple[str, ...]:
        """Say when an outcome that was due is not the next leaf, as intake always makes it."""
        ready = self._walk.ready
        if not ready:
            return ()
        due = self.overdue_verdicts()
        told = event.details.event if event.type.name == "verdict" else None
        ready[:] = [target for target in due if target != told]
        if due and told != due[0]:
            return ("verdict_missing",)
        return ()

    def _judge(self, recorded: AnyLeaf) -> Step:
        event, self._taken = recorded.event, recorded
        target = self._target(event.details.event) if event.type.name == "verdict" else None
        code = event.details.code if event.type.name == "verdict" else recorded.verdict.code
        told = event.details.result if event.type.name == "verdict" else recorded.verdict.result
        self._hide_documents = code in NOT_THERE_YET
        self._needed = self._in_force()
        try:
            for one in (event, target) if not self._hide_documents else ():
                if one is not None and isinstance(one.details, LabelsIssue):
                    self._lay_out_ids(one.details.ids_hash, accepted=told == "accepted")
                elif one is not None and isinstance(one.details, PolicyPublish | PlanPublish):
                    self._needed.add(one.details.document)
            return self._walk.take(event, None, recorded.received_ms)  # the envelope: `_rebuild` has it
        except _AbsentDocument as absent:
            raise MissingDocumentError(
                "A document that the rules used is missing or damaged.", code="document", document=str(absent)
            ) from None
        except ServiceError:
            raise
        except Exception as error:
            raise TamperError(
                f"The rules cannot judge this event: {type(error).__name__}.", code="unjudgeable"
            ) from error
        finally:
            self.facts.documents.clear()
            self._hide_documents = False
            if target is not None and target.hash in self._releases:
                self._walk.bodies.pop(target.hash, None)

    def _target(self, told: str) -> Event | None:
        """Return the event that a verdict speaks of, if it may; a release lies there only for the while."""
        payload = self._releases.get(told)
        if payload is not None:
            self._walk.bodies[told] = parse_event(payload)
        return self._walk.bodies.get(told)

    def _rebuild(
        self, index: int, _: JsonValue, verdict: dict[str, JsonValue], links: tuple[Link, ...], received_ms: int
    ) -> Leaf:
        """Build the leaf anew, as `build_leaf`; where all its parts are those of the leaf as it stands, that is it.

        A leaf that `read_leaf` let pass is the canonical form of exactly these parts, which have one each. So equal
        parts have equal bytes, and writing and hashing them again could only repeat what is known. The envelope is
        that of the leaf which is being judged, always.
        """
        told = self._taken
        if told is None:
            raise RuntimeError("no leaf is being judged")
        if links == told.links and received_ms == told.received_ms:
            said = told.verdict
            if verdict == {"result": said.result, "code": said.code, "rules": said.rules, "policy": said.policy}:
                return Leaf(index, told.data, told.hash, links)
        return build_leaf(index, told.value, verdict, links, received_ms)

    def _lay_out_ids(self, content_hash: str, *, accepted: bool) -> None:
        """Lay a list of ids before the rules; one that was refused for another reason may never have come."""
        if accepted or self._read_document(content_hash) is not None:
            self.facts.documents[content_hash] = self._bytes_of(content_hash)

    def _remember(self, recorded: AnyLeaf, step: Step) -> None:
        self.tree.append(b64url_decode(recorded.hash))
        self.received.append(recorded.received_ms)
        if step.leaf.hash != recorded.hash:  # what follows was chained to the leaf as it stands
            for link in recorded.links:
                unit: Unit | None = self.facts.get(Unit, link.unit)
                if unit is not None:
                    self.facts.put(replace(unit, seq=link.seq, head=recorded.hash))
        meta = self.facts.meta
        if meta is not None and (not self._key_changes or self._key_changes[-1][1] != meta.ledger_keys):
            self._key_changes.append((recorded.index, meta.ledger_keys))
        self._forget(recorded, step)
        for changed in self._dirty:
            if changed:
                changed.clear()

    def _forget(self, recorded: AnyLeaf, step: Step) -> None:
        """Let go of events that nobody asks for again; of a release, which the clock may speak of, bytes are enough."""
        event = recorded.event
        if step.judgement.result in {"pending", "held"} or event.type.name == _DECISION:
            return
        del self._walk.bodies[event.hash]
        if event.type.name == _RELEASE:
            self._releases[event.hash] = recorded.payload

    # -- what the walk asks for ----------------------------------------------------------------------

    def _seen(self, size: int) -> tuple[str | None, int]:
        if size > self.tree.size:
            return None, 0
        root = self._roots.get(size)
        if root is None:
            root = self._roots[size] = b64url_encode(self.tree.root(size))
        return root, self.received[size - 1] if size else 0

    def _document(self, content_hash: str) -> Policy | Plan | None:
        if content_hash not in self._needed:  # only a look at what may come true later
            return None
        if content_hash not in self._parsed:
            self._parsed[content_hash] = _parsed(self._bytes_of(content_hash))
        return self._parsed[content_hash]

    def _in_force(self) -> set[str]:
        meta = self.facts.meta
        return {meta.policy or "", *(content for _, content in meta.plans)} if meta is not None else set()

    def _bytes_of(self, content_hash: str) -> bytes:
        data = self._read_document(content_hash)
        if data is None or document_hash(data) != content_hash:
            raise _AbsentDocument(content_hash)
        return data


def compare(recorded: AnyLeaf, step: Step) -> tuple[str, ...]:
    """Name what differs between a leaf and its rebuilt self: `verdict`, `links`, or `bytes` for anything else."""
    if step.leaf.data == recorded.data:
        return ()
    judged, told = step.judgement, recorded.verdict
    found = []
    if (judged.result, judged.code) != (told.result, told.code):
        found.append("verdict")
    if step.leaf.links != recorded.links:
        found.append("links")
    return tuple(found) or ("bytes",)


def public_key(record: Key) -> PublicKey:
    """Return the public key that verifies a record's signatures."""
    return PublicKey.from_raw(record.alg, b64url_decode(record.raw))  # type: ignore[arg-type]


def _parsed(data: bytes) -> Policy | Plan | None:
    try:
        return parse_document(data)
    except ServiceError:
        return None
