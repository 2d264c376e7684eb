r"""What a witness signs, c2sp.org/tlog-cosignature: the two messages over a checkpoint (pure).

    0x04 Ed25519     cosignature/v1 LF time <t> LF <the whole text of the checkpoint>
    0x06 ML-DSA-44   "subtree/v1\n\0" || name || u64 time || origin || u64 0 || u64 size || root

Both say: as of that time, this is the largest consistent tree of that ledger that the cosigner has seen. Only
the second covers the cosigner's name, so a key of the first kind belongs to one cosigner. Lines of a checkpoint
beyond the third are not covered by the second; we refuse them everywhere.
"""

from app.errors import MalformedError
from app.ledger.spelling import decode_base64, parse_decimal

MAX_NAME_BYTES = 255
MAX_TIME = 2**63 - 1

_LABEL = b"subtree/v1\n\0"


def ed25519_message(text: str, at: int) -> bytes:
    """Return the message of a cosignature/v1, tlog-cosignature "Ed25519 signed message".

    Args:
        text: The text of the checkpoint with its last newline.
        at: POSIX time, seconds.
    """
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def mldsa_message(name: str, text: str, at: int) -> bytes:
    """Return the `cosigned_message` over a checkpoint, tlog-cosignature "ML-DSA-44 signed message".

    Args:
        name: The cosigner's name, 1 to 255 bytes.
        text: The text of the checkpoint with its last newline.
        at: POSIX time, seconds.

    Raises:
        MalformedError: `checkpoint`, `decimal` or `base64`; the text is no checkpoint of three lines.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise MalformedError("A checkpoint has exactly three lines.", code="checkpoint")
    origin, size, root = lines[0].encode(), parse_decimal(lines[1]), decode_base64(lines[2])
    cosigner = name.encode()
    if not (1 <= len(cosigner) <= MAX_NAME_BYTES and 1 <= len(origin) <= MAX_NAME_BYTES and len(root) == 32):
        raise MalformedError("Names have 1 to 255 bytes, and a root hash has 32.", code="checkpoint")
    return b"".join((
        _LABEL, bytes([len(cosigner)]), cosigner, _u64(at), bytes([len(origin)]), origin, _u64(0), _u64(size), root,
    ))  # fmt: skip


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")
