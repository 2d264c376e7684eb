"""Verify a tree of static files, exported or mirrored, offline: no network, no database.

In order: the checkpoint's signature and, with a policy, its witnesses; every hash tile against the signed root;
every leaf against its tile; then, leaf by leaf from the genesis, every signature, every link of a unit's chain and
every verdict, by the rules that let the event in.

    PASS         all of it, under a pinned genesis
    FAIL         something is wrong; each reason names its leaf or file
    INCOMPLETE   nothing is wrong, but something could not be decided: no genesis was pinned, a document is not here,
                 the rules are newer than this software, a file cannot be read

A size is only signed, so the tiles that hold its root are proven before anything that grows with it, and what is
wrong with the files is counted up to a bound: a tree of 2^40 leaves that is not there is told by its first files.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from app.audit.following import MAX_FINDINGS, Finding, Follower
from app.audit.readers import ReaderLostError, Readers, Round
from app.canon import JsonValue, b64url_encode
from app.errors import BusyError, MissingError, ServiceError, UnprovenError
from app.ledger.checkpoint import Checkpoint
from app.ledger.folder import Place, TileFolder
from app.ledger.tiles import TILE_HEIGHT, TILE_WIDTH, BundleCoordinate, touched_bundles, touched_tiles
from app.ledger.trust import Trust
from app.ledger.trusted import TrustedTree

Progress = Callable[[str, int, int], None]
"""Told the name of the work, how much was done since the last call, and how much there is."""

Result = Literal["PASS", "FAIL", "INCOMPLETE"]
_Bundle = tuple[BundleCoordinate, ServiceError | None]


@dataclass(slots=True)
class TreeReport:
    """What one verification of a tree found."""

    origin: str
    size: int = 0
    root: str = ""
    genesis: str | None = None
    findings: list[Finding] = field(default_factory=list)
    findings_dropped: int = 0
    not_checked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def result(self) -> Result:
        """Decide by what was found and what was left open."""
        if self.findings:
            return "FAIL"
        return "INCOMPLETE" if self.not_checked else "PASS"

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as JSON."""
        return {
            "result": self.result, "origin": self.origin, "size": self.size, "root": self.root, "genesis": self.genesis,
            "findings": [finding.as_json() for finding in self.findings], "findings_dropped": self.findings_dropped,
            "not_checked": list(self.not_checked), "milliseconds": round(self.seconds * 1000),
        }  # fmt: skip


def verify_tree(
    folder: TileFolder, trust: Trust, *, genesis: str | None = None, signatures: bool = True,
    readers: Readers | None = None, progress: Progress = lambda _name, _done, _total: None,
) -> TreeReport:  # fmt: skip
    """Verify the tree in a folder.

    Args:
        folder: `checkpoint`, `tile/…`, `tile/entries/…` and, for the rules, `documents/…`.
        trust: The pinned keys and policy.
        genesis: The pinned hash of the genesis event; without it never PASS.
        signatures: Verify every signature.
        readers: Processes that read leaves ahead; the report is the same with and without them.
        progress: Told of the progress.
    """
    report, started = TreeReport(trust.origin), time.monotonic()
    if genesis is None:
        report.not_checked.append("No genesis was pinned, so anybody with that key could have founded this ledger.")
    if not signatures:
        report.not_checked.append("Signatures of events were not asked for.")
    try:
        note = folder.checkpoint()
        if note is None:
            raise MissingError(f"There is no checkpoint in {folder.folder}.")
        checkpoint = _opened(note, trust, report)
    except BusyError as error:
        report.not_checked.append(error.detail)
    except ServiceError as error:
        report.findings.append(Finding(0, error.code, error.detail))
    else:
        report.size, report.root = checkpoint.size, b64url_encode(checkpoint.root)
        _Verification(folder, checkpoint, report, progress).run(genesis, readers, signatures=signatures)
    report.seconds = time.monotonic() - started
    return report


def _opened(note: bytes, trust: Trust, report: TreeReport) -> Checkpoint:
    """Open the checkpoint; too few witnesses say nothing against a tree, as in a bundle."""
    try:
        return trust.open(note)
    except UnprovenError as error:
        if error.code != "quorum":
            raise
        report.not_checked.append(error.detail)
        return trust.open(note, quorum=False)


class _Verification:
    """One tree under examination."""

    def __init__(self, folder: TileFolder, checkpoint: Checkpoint, report: TreeReport, progress: Progress) -> None:
        self._folder, self._report, self._progress = folder, report, progress
        self._size = checkpoint.size
        self._tree = TrustedTree(checkpoint, self._file)

    def _file(self, place: Place) -> bytes:
        data = self._folder.read(place)
        if data is None:
            raise MissingError(f"{place.path()} is missing.", code="not_found")
        return data

    def run(self, genesis: str | None, readers: Readers | None, *, signatures: bool) -> None:
        """Check tiles, leaves and what the leaves say, in one pass over the leaves."""
        follower = Follower(self._document, genesis=genesis, signatures=signatures)
        whole = self._edge()
        if whole and not self._folder.has_entries():
            self._tiles(lowest=0)
            self._report.not_checked.append(
                "There are no leaves here: the hashes are those of a signed tree, and no more."
            )
            whole = self._size == 0
        elif whole:
            self._tiles(lowest=1)
            whole = self._bundles(follower, self._read(readers, follower, signatures=signatures))
        if whole:
            follower.end()
        self._conclude(follower, whole=whole)

    def _edge(self) -> bool:
        """Prove the partial tiles, which hold the root between them: without them nothing else can be proven."""
        try:
            self._tree.edge()
        except ServiceError as error:
            self._find(0, error)
            return False
        return True

    def _tiles(self, *, lowest: int) -> None:
        """Prove the tiles from a level up; the lowest of all is proven with its leaves, where there are any."""
        places = touched_tiles(0, self._size, lowest=lowest)
        for place in places:
            if self._has_enough():
                return
            try:
                self._tree.tile(place.level, place.n)
            except ServiceError as error:
                self._find(place.n * TILE_WIDTH << TILE_HEIGHT * place.level, error)
            self._progress("tiles", 1, len(places))

    def _bundles(self, follower: Follower, rounds: Iterator[Round[_Bundle]]) -> bool:
        """Prove the leaves, and judge them up to the first that is not there; say whether all were."""
        whole = True
        try:
            for one in rounds:
                if self._has_enough():
                    return False
                place, error = one.tag
                if error is not None:
                    self._find(place.n * TILE_WIDTH, error)
                    whole = False
                elif whole and one.read is not None:
                    follower.take_read(one.leaves, one.read)
                elif whole:
                    follower.take_all(one.leaves)
                self._progress("events", place.width, self._size)
        except ReaderLostError as error:
            self._report.not_checked.append(error.detail)
            return False
        return whole

    def _read(self, readers: Readers | None, follower: Follower, *, signatures: bool) -> Iterator[Round[_Bundle]]:
        """Read and prove the bundles; what is wrong with one is told when its turn comes, however early it was read."""
        rounds = map(self._bundle, touched_bundles(0, self._size))
        if readers is None or self._size < readers.least_leaves:
            return rounds
        return readers.ahead(_as_long_as_judged(rounds, follower), follower.read_ahead, signatures=signatures)

    def _bundle(self, place: BundleCoordinate) -> Round[_Bundle]:
        try:
            return Round((place, None), place.n * TILE_WIDTH, self._tree.leaves(place, self._file(place)))
        except ServiceError as error:
            return Round((place, error))

    def _has_enough(self) -> bool:
        return len(self._report.findings) + len(self._report.not_checked) >= MAX_FINDINGS

    def _document(self, content_hash: str) -> bytes | None:
        """Return a document, or None: what lies in its place says nothing of the ledger, which signs its hash alone."""
        try:
            return self._folder.document(content_hash)
        except ServiceError as error:
            self._report.not_checked.append(error.detail)
            return None

    def _find(self, index: int, error: ServiceError) -> None:
        if isinstance(error, BusyError):
            self._report.not_checked.append(error.detail)
            return
        told = error.facts.get("index")
        self._report.findings.append(Finding(told if isinstance(told, int) else index, error.code, error.detail))

    def _conclude(self, follower: Follower, *, whole: bool) -> None:
        told, report = follower.told, self._report
        report.genesis = told.genesis
        report.findings += told.findings
        report.findings_dropped = told.dropped
        if told.not_checked is not None:
            stopped = told.not_checked
            report.not_checked.append(f"Leaf {stopped.index} and all after it were not judged: {stopped.detail}")
        elif not whole:
            report.not_checked.append(f"Leaf {follower.size} and all after it were not judged.")


def _as_long_as_judged(rounds: Iterator[Round[_Bundle]], follower: Follower) -> Iterator[Round[_Bundle]]:
    """Let nobody read what will not be judged: what follows a gap, or an end of the judging."""
    whole = True
    for one in rounds:
        whole = whole and one.tag[1] is None
        one.is_asked = whole and follower.is_judging
        yield one
