"""Ledgers for a witness to watch: real keys, trees by the naive oracle, and two histories that share a beginning."""

from base64 import b64encode
from functools import cache

from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import SignatureType, SignerKey
from tests.ledger.oracle import Tree
from tests.ledger.vectors import LEDGER_KEY, ORIGIN

NEXT_KEY = SignerKey(ORIGIN, SignatureType.NOTE, b"\x0a" * 32)
"""The key that the same ledger rotates to."""
STRANGER = SignerKey("stranger.example/log", SignatureType.NOTE, b"\x0b" * 32)


class Log:
    """One history of the ledger of the worked vectors: `shared` leaves as everybody has them, then its own."""

    def __init__(self, shared: int = 400, tag: str = "x", size: int = 400, key: SignerKey = LEDGER_KEY) -> None:
        self.key = key
        self.tree = Tree([(f"e{i}" if i < shared else f"{tag}{i}").encode() for i in range(size)])

    def root(self, size: int) -> bytes:
        return self.tree.mth(0, size)

    def checkpoint(self, size: int, *more: SignerKey) -> bytes:
        """Return the signed checkpoint, with signatures by more keys if wanted."""
        note = sign(Checkpoint(self.key.name, size, self.root(size)), self.key)
        text = Checkpoint(self.key.name, size, self.root(size)).to_text()
        return note + b"".join(f"{key.sign(text).to_text()}\n".encode() for key in more)

    def proof(self, old: int, size: int) -> list[bytes]:
        return self.tree.proof(old, size) if 0 < old < size else []

    def request(self, old: int, size: int, proof: list[bytes] | None = None) -> bytes:
        """Return the body of an honest `add-checkpoint`, or one with another proof."""
        return body(old, self.proof(old, size) if proof is None else proof, self.checkpoint(size))


def body(old: object, proof: list[bytes], checkpoint: bytes) -> bytes:
    """Write a request by hand, so that it may be wrong."""
    lines = "".join(f"{b64encode(value).decode()}\n" for value in proof)
    return f"old {old}\n{lines}\n".encode() + checkpoint


@cache
def honest() -> Log:
    return Log()


@cache
def fork() -> Log:
    """The same ledger with other leaves from 5 on."""
    return Log(shared=5, tag="f")
