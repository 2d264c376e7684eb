"""What a request to a witness deserves, c2sp.org/tlog-witness "add-checkpoint": the conditions, in their order (pure).

    prove      malformed 400, unknown origin 404, not signed 403, old beyond the checkpoint 400
    refusal    old is not what we hold 409; an inconsistent tree 422
    finding    whether a refused checkpoint is evidence against its ledger

Knows one request and what is held of one ledger; must never know where that is kept, nor what time it is. Size 0 is
handled here: every tree extends the empty one without a proof, while the verifier in `tree` refuses it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from app.errors import ConflictError, ForbiddenError, MalformedError, MissingError, RefusedError, UnprovenError
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note, VerifierKey, verified_keys
from app.ledger.submission import Submission
from app.ledger.tree import EMPTY_ROOT, verify_consistency

KeysOf = Callable[[str], Collection[VerifierKey]]
"""`keys_of(origin)` gives the ledger's trusted keys, several while it rotates; none when the ledger is unknown."""


class Finding(StrEnum):
    """What a refused but rightly signed checkpoint shows."""

    FORK = "fork"
    """Two signed trees of one size with different roots: the ledger is convicted by its own signatures."""
    UNPROVEN = "unproven"
    """The proof that came with it does not join it to what we hold. Anybody can send a wrong proof with a right
    checkpoint: the ledger clears itself with a right one, or cannot."""


@dataclass(frozen=True, slots=True)
class Held:
    """The largest tree of one ledger that a witness has seen; the empty one at first contact."""

    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose checkpoint a trusted key has signed; whether its tree is consistent is not decided yet.

    `note` is made again from what was parsed and holds the ledger's verified signatures alone: lines that nobody
    verified can be crafted to collide with ours, so they are neither kept nor passed on.
    """

    checkpoint: Checkpoint
    note: Note
    old: int
    proof: tuple[bytes, ...]


def prove(body: bytes, keys_of: KeysOf) -> Request:
    """Parse a request and verify the ledger's signature.

    Raises:
        MalformedError: `submission`, `note`, `checkpoint`, `base64` or `decimal`; 400. The checkpoint has more than
            three lines, or `old` exceeds its size.
        MissingError: `no_ledger`; 404, no trusted ledger has that origin.
        ForbiddenError: `checkpoint_signature`; 403, no trusted key has signed, or a trusted key's signature is wrong.
    """
    submission = Submission.parse(body)
    note = Note.parse(submission.checkpoint)
    checkpoint = Checkpoint.parse(note.text)
    keys = keys_of(checkpoint.origin)
    if not keys:
        raise MissingError("This witness does not know that ledger.", code="no_ledger")
    try:
        signers = verified_keys(note, keys)
    except UnprovenError as error:
        raise ForbiddenError(error.detail, code="checkpoint_signature") from error
    if submission.old > checkpoint.size:
        raise MalformedError("The old size is larger than the checkpoint.", code="submission")
    wanted = {(key.name, key.key_id) for key in signers}
    lines = {(line.name, line.key_id): line for line in note.signatures if (line.name, line.key_id) in wanted}
    return Request(checkpoint, Note(checkpoint.to_text(), tuple(lines.values())), submission.old, submission.proof)


def refusal(request: Request, held: Held) -> ConflictError | RefusedError | None:
    """Return why a proven request cannot be cosigned over what is held, or None when it may be.

    Returns:
        ConflictError: `witness_size`; 409, the client starts from another size than the one held, which is `size`.
        RefusedError: `inconsistent`; 422, this tree does not extend the one that is held.
    """
    if request.old != held.size:
        return ConflictError("This witness has seen another size.", code="witness_size", size=held.size)
    why = _inconsistency(request, held)
    return None if why is None else RefusedError(why, code="inconsistent")


def _inconsistency(request: Request, held: Held) -> str | None:
    size, root = request.checkpoint.size, request.checkpoint.root
    if size == 0 and root != EMPTY_ROOT:
        return "An empty tree has the root of nothing."
    if request.old == 0:
        return "From size 0 there is nothing to prove, yet there are proof lines." if request.proof else None
    if size == held.size and root != held.root:
        return "This witness holds another root for that size."
    try:
        verify_consistency(held.size, size, held.root, root, request.proof)
    except UnprovenError as error:
        return error.detail
    return None


def finding(request: Request, held: Held) -> Finding | None:
    """Return what a refused request shows about its ledger, or None when only the client was at fault.

    Two roots for one size convict whatever the client sent as `old`; a failed proof counts when it started from what
    is held.
    """
    size, root = request.checkpoint.size, request.checkpoint.root
    if root != (EMPTY_ROOT if size == 0 else held.root) and size in {0, held.size}:
        return Finding.FORK
    if 0 < request.old == held.size < size:
        return Finding.UNPROVEN
    return None
