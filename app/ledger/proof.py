"""Proof files, c2sp.org/tlog-proof: one leaf's path and a checkpoint, verifiable with no network.

    c2sp.org/tlog-proof@v1
    [extra <base64>]             opaque and never trusted
    index <n>
    <base64 hash>*               the leaf's sibling first, the root's child last
    <empty line>
    <checkpoint verbatim, with its cosignatures>

Knows how the parts are written and which must be verified against which; must never know what a leaf says
or which quorum of witnesses is enough. Extension of such files: `.tlog-proof`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from app.errors import MalformedError
from app.ledger.checkpoint import Checkpoint, open_checkpoint
from app.ledger.note import MAX_NOTE_BYTES, Note, VerifierKey
from app.ledger.spelling import decode_base64, encode_base64, parse_decimal
from app.ledger.tree import HASH_BYTES, MAX_SIZE, leaf_hash, verify_inclusion

MAX_PATH_HASHES = 63
MAX_PROOF_BYTES = 2 * MAX_NOTE_BYTES

_MAGIC = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof file, well-formed but unverified.

    Attributes:
        index: The leaf's index.
        path: The inclusion path in the tree of the checkpoint.
        checkpoint: The note as served, byte for byte.
        extra: Opaque bytes that nothing authenticates; empty if the line is absent.

    Raises:
        MalformedError: `tlog_proof`, or `note` for the checkpoint's outer form.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what would not come back unchanged from `to_bytes` and `parse`."""
        if not 0 <= self.index <= MAX_SIZE:
            raise MalformedError("A leaf index is from 0 to 2^63 - 1.", code="tlog_proof")
        if len(self.path) > MAX_PATH_HASHES or any(len(value) != HASH_BYTES for value in self.path):
            raise MalformedError("An inclusion path is at most 63 hashes of 32 bytes.", code="tlog_proof")
        Note.parse(self.checkpoint)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a proof file, c2sp.org/tlog-proof "Format", in its one spelling.

        Raises:
            MalformedError: `tlog_proof`, or the code of the part that is wrong.
        """
        if len(data) > MAX_PROOF_BYTES:
            raise MalformedError(f"A proof has at most {MAX_PROOF_BYTES} bytes.", code="tlog_proof")
        head, _, checkpoint = data.partition(b"\n\n")
        if not head.isascii():
            raise MalformedError("A proof is ASCII up to its checkpoint.", code="tlog_proof")
        magic, *lines = head.decode("ascii").split("\n")
        extra = b""
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "))
            if not extra:
                raise MalformedError("A proof without extra data omits the line.", code="tlog_proof")
        if magic != _MAGIC or not lines or not lines[0].startswith("index "):
            raise MalformedError("A proof names its format, then the index.", code="tlog_proof")
        index = parse_decimal(lines[0].removeprefix("index "))
        return cls(index, tuple(decode_base64(line) for line in lines[1:]), checkpoint, extra)

    def to_bytes(self) -> bytes:
        """Write the proof file."""
        extra = [f"extra {encode_base64(self.extra)}"] if self.extra else []
        lines = [_MAGIC, *extra, f"index {self.index}", *map(encode_base64, self.path), "", ""]
        return "\n".join(lines).encode("ascii") + self.checkpoint


def verify_tlog_proof(data: bytes, leaf: bytes, keys: Iterable[VerifierKey], origin: str) -> Checkpoint:
    """Verify that a leaf is in the ledger of this origin, ledger.md section 13 steps 1, 2 and 5.

    Does not check what the leaf says, the quorum of witnesses (only that no cosignature by a key given
    here is wrong), how fresh the checkpoint is, or the extra data.

    Args:
        data: The `.tlog-proof` file.
        leaf: The bytes of the leaf, not its hash.
        keys: The ledger's pinned keys, and those of witnesses if wanted.
        origin: The pinned origin.

    Returns:
        The verified checkpoint under which the leaf is included.

    Raises:
        MalformedError: The file is not a proof.
        UnprovenError: `note_signature`, `checkpoint_origin` or `inclusion_proof`.
    """
    proof = TlogProof.parse(data)
    checkpoint = open_checkpoint(proof.checkpoint, keys, origin)
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.path, checkpoint.root)
    return checkpoint
