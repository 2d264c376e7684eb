"""Follow a ledger leaf by leaf from its genesis, and say what is wrong with it: no database, no network, no clock.

What a mirror and the verification of an exported tree share. Each leaf is read strictly, its signatures are proven
under the keys that earlier leaves enrolled, and the rules judge its event again; a leaf that does not come out byte
for byte is a finding. That the leaves are those of a signed tree is the caller's to check.

A finding never ends the walk where the walk can go on. Where it cannot (a leaf that cannot be read, a document that
is not here, rules that this software does not have) everything from there on is told as not checked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from app.audit.ahead import READ_AHEAD, AnyLeaf, read_each
from app.audit.leaf import Recorded, read_leaf
from app.audit.replaying import MissingDocumentError, ReadDocument, Replayer
from app.canon import JsonValue
from app.custody.details import LabelsIssue, PlanPublish, PolicyPublish
from app.errors import ServiceError

MAX_FINDINGS = 1000
_UNKNOWN_RULES = "rules_version"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with one leaf; `code` says what, `detail` says it to people."""

    index: int
    code: str
    detail: str

    def as_json(self) -> dict[str, JsonValue]:
        """Return the members as reports show them."""
        return {"index": self.index, "code": self.code, "detail": self.detail}


@dataclass(slots=True)
class Following:
    """What was found so far; `not_checked` says from which leaf on nothing was judged, and why."""

    findings: list[Finding] = field(default_factory=list)
    dropped: int = 0
    not_checked: Finding | None = None
    genesis: str | None = None

    def add(self, finding: Finding) -> None:
        """Note a finding; beyond the first thousand only their number."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)
        else:
            self.dropped += 1

    @property
    def clean(self) -> bool:
        """Say whether nothing is wrong with what was checked."""
        return not self.findings

    @property
    def complete(self) -> bool:
        """Say whether everything was checked."""
        return self.not_checked is None


class Follower:
    """Takes the leaves of one ledger in order."""

    def __init__(
        self, read_document: ReadDocument, *, genesis: str | None = None, rules: bool = True, signatures: bool = True,
        on_leaf: Callable[[AnyLeaf], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Start before the genesis.

        Args:
            read_document: Where policies, plans and lists of ids come from; they are hashed again.
            genesis: The pinned hash of the genesis event.
            rules: Judge every event again; without, leaves are only counted after the genesis.
            signatures: Verify every signature as well.
            on_leaf: Told of each leaf that was judged.
        """
        self.told = Following()
        self.size = 0
        self._pinned = genesis
        self._on_leaf = on_leaf
        self._replayer = None
        if rules:
            unproven = self._unproven if signatures else None
            self._replayer = Replayer(read_document, signatures=signatures, on_unproven=unproven)

    def take(self, data: bytes) -> None:
        """Take the next leaf; nothing is raised for any bytes."""
        self._take(data, None)

    def take_all(self, leaves: list[bytes]) -> None:
        """Take the next leaves, exactly as `take` one after the other would, at less cost."""
        for start in range(0, len(leaves), READ_AHEAD):
            some = leaves[start : start + READ_AHEAD]
            self.take_read(some, self.read_ahead(self.size, some))

    def take_read(self, leaves: list[bytes], read: Sequence[AnyLeaf]) -> None:
        """Take the next leaves, the first of which were read before, exactly as `take` one after the other would.

        Args:
            leaves: The bytes.
            read: What `read_ahead` gave for them, here or in another process.
        """
        for data, recorded in zip_longest(leaves, read):
            self._take(data, recorded)

    def read_ahead(self, first: int, leaves: list[bytes]) -> list[Recorded]:
        """Read leaves and prove what can be proven by now, up to the first that is none: its turn comes.

        Args:
            first: The index of the first of them.
            leaves: The bytes.
        """
        if not self.is_judging:
            return []
        read = read_each(first, leaves)
        if self._replayer is not None:
            self._replayer.prove_ahead(read)
        return read

    @property
    def is_judging(self) -> bool:
        """Say whether leaves are read and judged, still."""
        return self._replayer is not None and self.told.not_checked is None

    def _take(self, data: bytes, read: AnyLeaf | None) -> None:
        index, self.size = self.size, self.size + 1
        if index == 0:
            self._check_genesis(data)
        if self._replayer is not None and self.told.not_checked is None:
            self._replay(self._replayer, index, read or data)

    def end(self) -> None:
        """Say what is missing at the end of the tree as it is now; leaves may still follow."""
        if self._replayer is None or self.told.not_checked is not None:
            return
        for target in self._replayer.overdue_verdicts():
            self.told.add(Finding(self.size, "verdict_missing", f"The outcome of event {target} is due and not told."))

    def _check_genesis(self, data: bytes) -> None:
        try:
            self.told.genesis = read_leaf(0, data).event.hash
        except ServiceError as error:
            self.told.add(Finding(0, error.code, error.detail))
        if self._pinned is not None and self.told.genesis != self._pinned:
            self.told.add(Finding(0, "genesis_mismatch", "This is another ledger than the pinned one."))

    def _replay(self, replayer: Replayer, index: int, leaf: bytes | AnyLeaf) -> None:
        try:
            replayed = replayer.take(leaf)
        except MissingDocumentError as error:
            self._stop(
                index, "document_missing", f"A document that the rules used is not here: {error.facts['document']}."
            )
        except ServiceError as error:
            if error.code != _UNKNOWN_RULES:
                self.told.add(Finding(index, error.code, error.detail))
            self._stop(index, error.code, error.detail)
        else:
            for what in replayed.differences:
                self.told.add(Finding(index, what, "The leaf is not what the rules make of its event."))
            self._on_leaf(replayed.recorded)

    def _stop(self, index: int, code: str, detail: str) -> None:
        self.told.not_checked = Finding(index, code, detail)

    def _unproven(self, recorded: AnyLeaf, error: ServiceError) -> None:
        self.told.add(Finding(recorded.index, error.code, error.detail))


def documents_named(data: bytes) -> list[str]:
    """Return the hashes of the documents that a leaf's event names, for whoever keeps them beside the leaves.

    Raises:
        ServiceError: The bytes are no leaf.
    """
    details = read_leaf(0, data).event.details
    if isinstance(details, PolicyPublish | PlanPublish):
        return [details.document]
    return [details.ids_hash] if isinstance(details, LabelsIssue) else []
