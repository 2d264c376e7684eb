"""The witness at work: check and persist in one transaction, move the mark, and only then sign.

What a crash leaves behind, by the last step that was done:

    before the commit        nothing: the request may come again
    commit                   the tree is held, nobody has a cosignature; the next request for it gets one
    mark moved               the same
    signed                   as if the answer had been lost on the way

so no two roots of one size are ever signed. The mark is held from before the transaction until it has moved: a copy of
this folder that names the same mark finds what the other has committed, and stops before it signs anything.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from app.canon import b64url_encode
from app.clock import Clock, SystemClock
from app.errors import BusyError, ConflictError, MalformedError, MissingError, RefusedError, TamperError
from app.ledger.note import Note, NoteSignature, SignerKey, VerifierKey
from app.ledger.policy import cosigned
from app.ledger.submission import Submission
from app.witness._store import Change, EvidenceRow, Identity, LedgerRow, note_of
from app.witness.decide import Held, Request, finding, prove, refusal
from app.witness.folder import Folder


class Witness:
    """One open witness; safe between threads, and beside another process that serves the same folder."""

    def __init__(self, folder: Folder, clock: Clock | None = None) -> None:
        """Open a witness's folder.

        Raises:
            MissingError: There is no database, or no key.
            TamperError: The database is not the newest, or others may read a key; it must not sign.
        """
        self.folder = folder
        self._clock = clock or SystemClock()
        self._signers: tuple[SignerKey, ...] = folder.signers()
        self._store, self._mark = folder.open()
        self._lock = threading.Lock()
        self._broken = self._closed = False
        self._signed: dict[str, tuple[tuple[int, int], bytes]] = {}

    @property
    def name(self) -> str:
        """Return the name that stands on its cosignatures."""
        return self.folder.name

    @property
    def vkeys(self) -> tuple[VerifierKey, ...]:
        """Return its public keys."""
        return tuple(key.verifier() for key in self._signers)

    def close(self) -> None:
        """Close its files; once is enough."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._store.close()
                self._mark.close()

    def add_checkpoint(self, body: bytes) -> tuple[NoteSignature, ...]:
        """Judge one request, c2sp.org/tlog-witness "add-checkpoint", and cosign its checkpoint.

        Returns:
            One cosignature per key, made after what they say was committed.

        Raises:
            ServiceError: As `decide.prove` raises and `decide.refusal` returns; evidence was committed before.
            BusyError: `clock_behind`, the clock runs before the newest cosignature; `storage`, nothing could be
                kept; `witness_stopped`, this witness met its own signature on a tree it does not know, or its mark
                tells of changes that its database does not hold.
        """
        request = prove(body, self._store.keys)
        with self._marked():
            refused, at = self._persist(request, body)
        if refused is not None:
            raise refused
        return self._sign(request.note, at)

    def _persist(self, request: Request, body: bytes) -> tuple[ConflictError | RefusedError | BusyError | None, int]:
        """Commit what follows from a request, and return why it is not to be signed, with the time if it is."""
        with self._store.write() as change:
            now = self._clock.now_ms() // 1000  # read when all others have finished: waiting is no clock that runs back
            held, told = change.ledger(request.checkpoint.origin).held, change.identity()
            if told.stopped or self._forgot(change, request, body, held, told):
                return _stopped(), 0
            refused = refusal(request, held)
            if refused is not None:
                found = finding(request, held)
                if found is not None:
                    change.keep(request, found, body, now)
                return refused, 0
            if now < max(told.newest_at, 1):
                behind = told.newest_at - now
                return BusyError("The clock of this witness runs back.", code="clock_behind",
                                 retry_after_seconds=min(behind, 3600)), 0  # fmt: skip
            change.accept(request, now)
        return None, now

    def _forgot(self, change: Change, request: Request, body: bytes, held: Held, told: Identity) -> bool:
        """Stop for good when the checkpoint bears our own signature and we hold nothing of it: our memory is older."""
        times = cosigned(Submission.parse(body).checkpoint, self.vkeys)
        size, root = request.checkpoint.size, request.checkpoint.root
        if not times or (max(times.values()) <= told.newest_at and size <= held.size
                         and (size < held.size or root == held.root)):  # fmt: skip
            return False
        change.stop(f"it signed {request.checkpoint.origin} at size {size}, which its database does not know.")
        return True

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """Do what changes the memory, or is to be signed from it, alone among all who have this mark.

        Of one database the mark tells what was committed last, or less after a crash. One that tells more, or other
        than that, was moved by another copy of it.
        """
        with self._lock, ExitStack() as held:
            if self._broken:
                raise BusyError("The mark could not be written; restart this witness.", code="storage")
            try:
                held.enter_context(self._mark.held())
            except (OSError, TamperError) as error:
                self._broken = True
                raise BusyError("The mark cannot be read.", code="storage") from error
            self._refuse_twin()
            yield
            self._advance()

    def _refuse_twin(self) -> None:
        """Stop for good, and leave the mark to the other copy, when it tells of changes that we do not hold."""
        told = self._store.identity()
        if not told.stopped:
            mark, digest = (self._mark.size, self._mark.root), b64url_encode(told.digest)
            if mark[0] < told.sequence or mark == (told.sequence, digest):
                return
            with self._store.write() as change:
                change.stop(f"its mark tells of change {mark[0]}, which its database does not know: a copy of it runs.")
        raise _stopped()

    def _advance(self) -> None:
        """Move the mark to the last commit; a failure is as fatal as a failed commit: nothing more is signed."""
        told = self._store.identity()
        try:
            self._mark.advance(told.sequence, told.digest)
        except OSError as error:
            self._broken = True
            raise BusyError("The mark cannot be written.", code="storage") from error

    def _sign(self, note: Note, at: int) -> tuple[NoteSignature, ...]:
        return tuple(key.cosign(note.text, at) for key in self._signers)

    def newest(self, origin_hash: str) -> bytes:
        """Return the newest checkpoint that was cosigned for a ledger, with the ledger's signature and ours.

        Args:
            origin_hash: Lower-case hexadecimal SHA-256 of the origin.

        Raises:
            MissingError: `no_ledger`; it is not known, or was never cosigned.
            BusyError: As for `add_checkpoint`.
        """
        row, _ = self._cosigned(origin_hash)
        known = self._signed.get(origin_hash)
        if known is not None and known[0] == (row.size, row.cosigned_at):
            return known[1]
        with self._marked():  # another process may have committed this row and not yet moved the mark
            row, note = self._cosigned(origin_hash)
        data = Note(note.text, (*note.signatures, *self._sign(note, row.cosigned_at))).to_bytes()
        self._signed[origin_hash] = (row.size, row.cosigned_at), data
        return data

    def _cosigned(self, origin_hash: str) -> tuple[LedgerRow, Note]:
        row = self._store.ledger(origin_hash)
        note = None if row is None else note_of(row)
        if row is None or note is None:
            raise MissingError("This witness has cosigned nothing of such a ledger.", code="no_ledger")
        return row, note

    def failing(self) -> list[str]:
        """Return what keeps this witness from signing: `clock`, `storage` or `stopped`; nothing when it is well."""
        try:
            told = self._store.identity()
        except BusyError:
            return ["storage"]
        if self._broken:
            return ["storage"]
        behind = self._clock.now_ms() // 1000 < told.newest_at
        return [name for name, fails in (("stopped", bool(told.stopped)), ("clock", behind)) if fails]

    def newest_at(self) -> int:
        """Return the POSIX time of the newest cosignature, 0 before the first."""
        return self._store.identity().newest_at

    def ledgers(self) -> list[LedgerRow]:
        """Return every ledger, by origin."""
        return self._store.ledgers()

    def keys(self, origin: str) -> list[VerifierKey]:
        """Return the keys that are trusted for a ledger; none when it was removed."""
        return self._store.keys(origin)

    def evidence(self, after: int = 0, limit: int = 1000) -> list[EvidenceRow]:
        """Return evidence, oldest first, from the one after a number."""
        return self._store.evidence(after, limit)

    def evidence_counts(self) -> dict[tuple[str, str], int]:
        """Return how much evidence is kept, by origin and finding."""
        return self._store.evidence_counts()

    def add_ledger(self, origin: str, key: VerifierKey, url: str | None = None) -> None:
        """Trust a ledger's key from now on; what was seen of the ledger stays. For `url` None keeps the one there is.

        Raises:
            MalformedError: `verifier_key`; the key is a witness's.
        """
        if key.is_cosigner:
            raise MalformedError("That is a witness's key; a ledger's is of type 0x01.", code="verifier_key")
        self._change(lambda change: change.add_ledger(origin, key.to_text(), url))

    def remove_ledger(self, origin: str, key: VerifierKey | None = None) -> int:
        """Trust a ledger's keys, or one of them, no longer; what was seen of it is never forgotten.

        Returns:
            How many keys were trusted until now.

        Raises:
            MissingError: `no_ledger`.
        """
        removed: list[int] = []

        def work(change: Change) -> None:
            change.ledger(origin)
            removed.append(change.remove_ledger(origin, None if key is None else key.to_text()))

        self._change(work)
        return removed[0]

    def _change(self, work: Callable[[Change], None]) -> None:
        with self._marked(), self._store.write() as change:
            work(change)


def _stopped() -> BusyError:
    return BusyError("This witness has stopped.", code="witness_stopped", retry_after_seconds=3600)
