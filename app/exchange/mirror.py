"""Follow somebody else's ledger, keep a copy that proves itself, and keep what proves a fork.

One round: fetch the newest checkpoint and open it with the pinned keys and policy; see that it extends the one kept
last; fetch what grew, each tile proven against the signed root and each leaf against its tile before it is written;
judge every leaf again, from the genesis on; make the checkpoint the copy's own, last.

The copy is a static tree that any tile client reads. Nothing in it is trusted on the way back either: a process that
starts over a copy proves all of it once more, file by file, so what a crash cut off is completed and what a disk
changed is found. Two signed checkpoints that contradict each other are kept under `evidence/`, with the tiles that
show it, and the copy stays as it was.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import orjson

from app.audit.following import Follower, Following
from app.canon import b64url_encode
from app.errors import ForbiddenError, MalformedError, MissingError, ServiceError, TamperError, UnprovenError
from app.exchange.remote import RemoteLedger
from app.ledger.checkpoint import Checkpoint
from app.ledger.folder import Place, TileFolder
from app.ledger.tiles import (
    TILE_WIDTH,
    BundleCoordinate,
    TileCoordinate,
    tile_width,
    touched_bundles,
    touched_tiles,
)
from app.ledger.trust import Trust
from app.ledger.trusted import TrustedTree
from app.units.documents import document_hash

State = Literal["grown", "same", "behind"]
Read = Callable[[Place], bytes]
Progress = Callable[[str, int, int], None]
"""Told the name of the work, how much was done since the last call, and how much there is."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to: how the ledger stands to the copy, and how much of the copy is proven."""

    state: State
    size: int
    root: bytes
    offered: int
    written: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """How thorough a mirror is.

    `entries`: leaves, not hashes alone. `rules`: judge every event again; needs the documents. `genesis`: the pinned
    hash of the genesis event.
    """

    entries: bool = True
    rules: bool = True
    genesis: str | None = None


class Mirror:
    """One copy of one ledger; `once` does a round."""

    def __init__(
        self, source: RemoteLedger, files: TileFolder, trust: Trust, wanted: Wanted | None = None,
        progress: Progress = lambda _name, _done, _total: None,
    ) -> None:  # fmt: skip
        """Begin over a copy, or over an empty folder; nothing is read yet.

        Args:
            source: The ledger.
            files: The copy; the caller holds its lock.
            trust: The pinned keys and policy.
            wanted: How thorough to be.
            progress: Told of the progress.
        """
        self._source, self._files, self._trust = source, files, trust
        self._wanted = wanted or Wanted()
        self._progress = progress
        self._lost: ServiceError | None = None
        self._proven = self._written = 0
        self._begin()

    @property
    def told(self) -> Following:
        """What is wrong with the leaves so far."""
        return self._follower.told

    def once(self) -> Round:
        """Do one round.

        Raises:
            TamperError: `fork`, two signed checkpoints contradict each other, and both are kept now; `file_differs`,
                the copy was changed.
            UnprovenError: What the ledger serves does not verify: `note_signature`, `checkpoint_origin`, `quorum`,
                `tile`, `genesis_mismatch`.
            MalformedError, TooLargeError: It is not even of the right form.
            ForbiddenError: Entry bundles need credentials.
            MissingError: The ledger does not serve what it signed for.
            BusyError: It cannot be reached.
        """
        note, seen = self._newest()
        kept_note, kept = self._kept()
        self._refuse_fork(kept_note, kept, note, seen)
        self._written = 0
        if kept is not None and seen.size < kept.size:
            self._copy(kept, self._local)
            return Round("behind", kept.size, kept.root, seen.size, self._written)
        before = self._proven
        self._copy(seen, self._source.read)
        # Of one tree the note that was kept stays, unless this one is better signed by keys that are pinned here.
        # Without a policy no witness's key is, so the first stays whatever lines the next one has: adding lines that
        # nobody can verify to it would let a wrong one under a witness's name spoil it for whoever knows that key.
        if kept != seen or self._trust.weight(note) > self._trust.weight(kept_note):
            self._written += self._files.show_checkpoint(note)
        self._files.drop_narrow(before, seen.size)
        return Round("same" if kept == seen else "grown", seen.size, seen.root, seen.size, self._written)

    # -- checkpoints ---------------------------------------------------------------------------------

    def _newest(self) -> tuple[bytes, Checkpoint]:
        """Return the newest checkpoint that is trusted; where witnesses are asked for, an older one may have them."""
        note = self._source.checkpoint()
        try:
            return note, self._trust.open(note)
        except UnprovenError as error:
            if error.code != "quorum":
                raise
            try:
                note = self._source.checkpoint(witnessed=True)
            except MissingError:
                raise error from None
            return note, self._trust.open(note)

    def _kept(self) -> tuple[bytes, Checkpoint | None]:
        note = self._files.checkpoint()
        if note is None:
            return b"", None
        try:
            return note, self._trust.open(note, quorum=False)
        except ServiceError as error:
            raise self._not_opened(note, error) from None

    def _not_opened(self, note: bytes, error: ServiceError) -> ServiceError:
        """Tell damage of the kept checkpoint from keys that are not those it was signed with."""
        where = self._files.folder / "checkpoint"
        with suppress(MalformedError):
            if not self._trust.names_a_signer(note):
                return UnprovenError(
                    f"{where} was kept before and is signed by none of the pinned keys: if the ledger's key has "
                    "changed since, pin the earlier one as well (--vkey once for each); else it is of another ledger.",
                    code="note_signature",
                )  # fmt: skip
        return TamperError(f"{where} is damaged or of another ledger: {error.detail}", code="file_differs")

    def _refuse_fork(self, kept_note: bytes, kept: Checkpoint | None, note: bytes, seen: Checkpoint) -> None:
        """See that one of two checkpoints extends the other, from tiles that the larger one's root vouches for."""
        if kept is None or kept.size == 0 or kept == seen:
            return
        used: dict[str, bytes] = {}
        if seen.size < kept.size:
            smaller, tree = seen, TrustedTree(kept, self._local)
        else:
            smaller, tree = (
                kept,
                TrustedTree(seen, lambda place: used.setdefault(place.path(), self._source.read(place))),
            )
        if tree.root_at(smaller.size) == smaller.root:
            return
        # Named by what is signed: who serves a note can change its other lines with every request, and would fill
        # the disk with one fork.
        signed = sha256(f"{kept.to_text()}{seen.to_text()}".encode()).hexdigest()[:16]
        name = f"fork-{seen.size}-{signed}"
        where = self._files.keep_evidence(f"{name}/kept", kept_note).parent
        self._files.keep_evidence(f"{name}/seen", note)
        for path, data in used.items():
            self._files.keep_evidence(f"{name}/{path}", data)
        told = {"origin": seen.origin, "ledger": self._source.url, **_told("kept", kept), **_told("seen", seen)}
        self._files.keep_evidence(f"{name}/fork.json", orjson.dumps(told, option=orjson.OPT_INDENT_2))
        raise TamperError(
            f"The ledger has signed two histories: {kept.size} leaves, kept before, and {seen.size} leaves, seen now. "
            f"Both checkpoints are in {where}; the copy was left as it is.", code="fork",
        )  # fmt: skip

    # -- tiles and leaves ----------------------------------------------------------------------------

    def _copy(self, target: Checkpoint, read_edge: Read) -> None:
        """Prove, write and judge what this process has not proven yet, up to a checkpoint.

        Args:
            target: The tree to arrive at.
            read_edge: Where its partial tiles come from; full ones are read from the copy where it has them.
        """
        tree = TrustedTree(target, lambda place: self._read(place) if place.width == TILE_WIDTH else read_edge(place))
        with self._blaming(tree):
            if self._proven < target.size:
                tree.edge()  # all that a size costs which is only signed: some tiles, one of which proves nothing
            tiles = touched_tiles(self._proven, target.size, lowest=1 if self._wanted.entries else 0)
            for tile in tiles:
                self._written += self._files.keep(tile, tree.tile(tile.level, tile.n))
                self._progress("tiles", 1, len(tiles))
            for bundle in touched_bundles(self._proven, target.size) if self._wanted.entries else ():
                self._copy_bundle(tree, bundle)
        self._follower.end()
        self._proven = target.size

    def _copy_bundle(self, tree: TrustedTree, bundle: BundleCoordinate) -> None:
        data = self._read(bundle)
        leaves = tree.leaves(bundle, data)
        fresh = leaves[self._follower.size - bundle.n * TILE_WIDTH :]
        for leaf in fresh:
            self._follower.take(leaf)
            self._refuse_gaps()
        self._written += self._files.keep(TileCoordinate(0, bundle.n, bundle.width), tree.tile(0, bundle.n))
        self._written += self._files.keep(bundle, data)
        self._progress("events", len(fresh), tree.size)

    def _refuse_gaps(self) -> None:
        """Stop at a genesis that is not the pinned one, and where a document could not be fetched just now.

        What was judged without that document is judged again, from the copy, in the next round.
        """
        if self._wanted.genesis is not None and self.told.genesis != self._wanted.genesis:
            raise UnprovenError("This is another ledger than the pinned one.", code="genesis_mismatch")
        if self._lost is not None:
            lost, self._lost = self._lost, None
            self._begin()
            raise lost

    def _begin(self) -> None:
        """Take nothing as proven by this process."""
        self._follower = Follower(self._document, genesis=self._wanted.genesis, rules=self._wanted.rules)
        self._proven = 0

    def _read(self, place: Place) -> bytes:
        found = self._files.read(place)
        return found if found is not None else self._source.read(place)

    def _local(self, place: Place) -> bytes:
        found = self._files.read(place)
        if found is None:
            raise TamperError(f"{self._files.folder / place.path()} is missing from the copy.", code="file_differs")
        return found

    @contextmanager
    def _blaming(self, tree: TrustedTree) -> Iterator[None]:
        """Tell damage of the copy from what the ledger serves wrongly: the file in question is there, or is not."""
        try:
            yield
        except UnprovenError as error:
            match error.facts:
                case {"index": int(index)}:
                    n = index // TILE_WIDTH
                    place: Place = BundleCoordinate(n, tile_width(0, n, tree.size))
                case {"level": int(level), "n": int(n)} if tile_width(level, n, tree.size) == TILE_WIDTH:
                    place = TileCoordinate(level, n)
                case _:
                    raise
            if self._files.read(place) is None:
                raise
            where = self._files.folder / place.path()
            raise TamperError(f"{where} in the copy was changed: {error.detail}", code="file_differs") from error

    def _document(self, content_hash: str) -> bytes | None:
        try:
            return self._fetched(content_hash)
        except (MissingError, ForbiddenError):
            return None
        except ServiceError as error:
            self._lost = error  # raised once the rules have let go of this leaf: they take errors for answers
            return None

    def _fetched(self, content_hash: str) -> bytes | None:
        """Return a document from the copy, else from the ledger, and keep it; None when the ledger has other bytes."""
        found = self._files.document(content_hash)
        if found is not None and document_hash(found) == content_hash:
            return found
        data = self._source.document(content_hash)
        if document_hash(data) != content_hash:
            return None
        self._files.keep_document(content_hash, data)
        return data


def _told(name: str, checkpoint: Checkpoint) -> dict[str, object]:
    return {name: {"size": checkpoint.size, "root": b64url_encode(checkpoint.root)}}
