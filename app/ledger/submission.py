"""What is said to a witness and what it answers, c2sp.org/tlog-witness "add-checkpoint" (pure).

    old <size>
    <base64 hash>*               the consistency proof from the old size, at most 63 lines
    <empty line>
    <checkpoint>                 the signed note

    200   — <name> <base64>      one cosignature or more
    409   <size>                 what this witness has seen last; media type text/x.tlog.size

Knows how both are written; must never know a network, nor what a witness has seen.
"""

from dataclasses import dataclass
from typing import Self

from app.errors import MalformedError, ServiceError
from app.ledger.note import Note, NoteSignature
from app.ledger.spelling import decode_base64, encode_base64, parse_decimal
from app.ledger.tree import HASH_BYTES

MAX_SUBMISSION_BYTES = 128 * 1024
MAX_PROOF_LINES = 63
MAX_ANSWER_BYTES = 64 * 1024
MAX_ANSWER_LINES = 16
SIZE_MEDIA_TYPE = "text/x.tlog.size"
"""Compared exactly by real clients: no charset may follow it."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One request to a witness, well-formed and unproven: the size it is to start from, the proof, the checkpoint.

    Raises:
        MalformedError: `submission`, or the code of the part that is wrong.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def __post_init__(self) -> None:
        """Refuse what `to_bytes` and `parse` would not bring back unchanged."""
        if len(self.proof) > MAX_PROOF_LINES or any(len(value) != HASH_BYTES for value in self.proof):
            raise MalformedError("A proof is at most 63 hashes of 32 bytes.", code="submission")
        Note.parse(self.checkpoint)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a request body in its one spelling.

        Raises:
            MalformedError: `submission`, or the code of the part that is wrong.
        """
        if len(data) > MAX_SUBMISSION_BYTES:
            raise MalformedError(f"A request has at most {MAX_SUBMISSION_BYTES} bytes.", code="submission")
        head, separator, checkpoint = data.partition(b"\n\n")
        if not separator or not head.isascii():
            raise MalformedError(
                "A request is an old size, a proof, an empty line and a checkpoint.", code="submission"
            )
        first, *lines = head.decode("ascii").split("\n", MAX_PROOF_LINES + 1)
        if not first.startswith("old "):
            raise MalformedError("A request begins with `old` and a size.", code="submission")
        old = parse_decimal(first.removeprefix("old "))
        return cls(old, tuple(decode_base64(line) for line in lines), checkpoint)

    def to_bytes(self) -> bytes:
        """Write the request body."""
        lines = [f"old {self.old}", *map(encode_base64, self.proof), "", ""]
        return "\n".join(lines).encode("ascii") + self.checkpoint


def write_answer(signatures: tuple[NoteSignature, ...]) -> bytes:
    """Write the body of a good answer."""
    return "".join(f"{signature.to_text()}\n" for signature in signatures).encode()


def read_answer(body: bytes) -> tuple[NoteSignature, ...]:
    """Read the cosignatures of a good answer; nothing about them is proven.

    Raises:
        MalformedError: `submission`; not 1 to 16 signature lines.
    """
    try:
        if len(body) > MAX_ANSWER_BYTES or not body.endswith(b"\n"):
            raise MalformedError("An answer is whole lines.", code="submission")
        lines = body.decode("utf-8").removesuffix("\n").split("\n", MAX_ANSWER_LINES)
        if len(lines) > MAX_ANSWER_LINES:
            raise MalformedError("An answer has at most 16 lines.", code="submission")
        return tuple(NoteSignature.parse(line) for line in lines)
    except (ServiceError, UnicodeDecodeError) as error:
        raise MalformedError("The witness's answer holds no signature lines.", code="submission") from error


def read_size(body: bytes) -> int | None:
    """Read the size in a 409 answer; None when the body is none, as with witnesses that send no size."""
    try:
        if not body.endswith(b"\n") or len(body) > 24:
            return None
        return parse_decimal(body[:-1].decode("ascii"))
    except (ServiceError, UnicodeDecodeError):
        return None
