"""Checkpoints, c2sp.org/tlog-checkpoint: what a ledger signs, and all that it signs.

    log.example/prov-64                                  origin, which is also the key's name
    3                                                    tree size
    ZLJJxOBgbj2XQsSb/VfNHj6xcPXM76JuoEXKGT1kp18=         root hash
                                                         (then the signatures of the note)

Knows these three lines; must never know trees or time. The specification allows further lines, we read
and write none: witnesses disagree about them, so what they could say becomes a leaf instead.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from app.errors import MalformedError, UnprovenError
from app.ledger.note import Note, SignatureType, SignerKey, VerifierKey, verified_keys
from app.ledger.spelling import decode_base64, encode_base64, parse_decimal
from app.ledger.tree import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

MAX_ORIGIN_BYTES = 255

_CONTROL = re.compile("[\x00-\x1f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree head of one ledger at one size; believed only when it came from `open_checkpoint`.

    The origin may hold spaces, since ledgers of others do (`go.sum database tree`); ours never do,
    because `sign` wants the origin to be the key's name. Size 0 with a root that is not the empty one
    parses: c2sp.org/tlog-witness answers it with 422, not as malformed.

    Raises:
        MalformedError: `checkpoint`; the origin, size or root is out of bounds.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what `to_text` and `parse` would not bring back unchanged."""
        if not self.origin or _CONTROL.search(self.origin) or len(self.origin.encode()) > MAX_ORIGIN_BYTES:
            raise MalformedError("An origin is one line of 1 to 255 bytes.", code="checkpoint")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedError("A tree size is from 0 to 2^63 - 1.", code="checkpoint")
        if len(self.root) != HASH_BYTES:
            raise MalformedError("A root hash has 32 bytes.", code="checkpoint")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a note's text, c2sp.org/tlog-checkpoint "Note text", without extension lines.

        Proves nothing: use `open_checkpoint` for a checkpoint that is to be believed.

        Raises:
            MalformedError: `checkpoint` or `base64`; not exactly what `to_text` writes.
        """
        lines = text.split("\n", 4)
        if len(lines) != 4 or lines[3]:
            raise MalformedError("A checkpoint has exactly three lines.", code="checkpoint")
        return cls(lines[0], parse_decimal(lines[1]), decode_base64(lines[2]))

    def to_text(self) -> str:
        """Write the three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def sign(checkpoint: Checkpoint, *keys: SignerKey) -> bytes:
    """Sign a checkpoint with the ledger's own key, or keys while it rotates, c2sp.org/tlog-checkpoint "Signatures".

    Does not check that it extends the one signed before; the caller must have verified exactly that,
    because a ledger that signs two inconsistent checkpoints is at its end.

    Args:
        checkpoint: The committed tree head.
        keys: Keys of type 0x01 named like the origin.

    Returns:
        The note as it is served and stored, with a signature by each.

    Raises:
        RuntimeError: The key is not this ledger's, or an empty tree has another root than the empty one.
    """
    if not keys or any(key.name != checkpoint.origin for key in keys):
        raise RuntimeError("a ledger signs with the key that is named like its origin")
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise RuntimeError("the root of an empty tree is the hash of nothing")
    text = checkpoint.to_text()
    return Note(text, tuple(key.sign(text) for key in keys)).to_bytes()


def open_checkpoint(data: bytes, keys: Iterable[VerifierKey], origin: str) -> Checkpoint:
    """Parse and verify a checkpoint of the ledger that has this origin.

    Cosignatures by any of `keys` must be right as well, but none is required: a quorum is the business
    of `policy`. The signature is verified before the text is looked at.

    Args:
        data: The note as received.
        keys: The ledger's keys of type 0x01 (several while it rotates), and those of witnesses if wanted.
        origin: The origin that the caller pinned.

    Raises:
        MalformedError: The note or its text is not a checkpoint.
        UnprovenError: `note_signature` as for `note.verify`, or no 0x01 key named like the origin signed;
            `checkpoint_origin` if the text names another ledger.
    """
    note = Note.parse(data)
    signers = verified_keys(note, keys)
    if not any(key.type is SignatureType.NOTE and key.name == origin for key in signers):
        raise UnprovenError("The ledger itself has not signed this checkpoint.", code="note_signature")
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != origin:
        raise UnprovenError("This checkpoint belongs to another ledger.", code="checkpoint_origin")
    return checkpoint
