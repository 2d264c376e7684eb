"""A sample of receipts verified as a stranger would: the path to the root, and the ledger's signature over that root.

The project's own offline verification does it, after the clock. Every answer must hold a proof (`app.cli.bench.sending`
counts them); that each of them is right is for the tests of the service.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import SystemRandom
from typing import Any

import orjson

from app.canon import b64url_decode
from app.cli.bench.traffic import PROOF, Ask
from app.errors import ServiceError
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import VerifierKey
from app.ledger.tree import verify_inclusion

ANSWERS, RECEIPTS_EACH = 8, 4
"""So many answers of a load, and so many receipts of each, drawn by lot."""


def verify_sample(answered: Iterable[tuple[Ask, bytes]], key: VerifierKey) -> int:
    """Verify some of the receipts in the answers to a load; returns how many.

    Args:
        answered: Requests and their answers as they came; those without a receipt are left out.
        key: The ledger's, whose name is the ledger's origin.

    Raises:
        RuntimeError: A path does not lead to its checkpoint, or the ledger did not sign it; the text says what.
    """
    told = [answer for ask, answer in answered if any(piece == PROOF for piece, _ in ask.needed)]
    chosen = SystemRandom().sample(told, min(ANSWERS, len(told)))
    count = 0
    for answer in chosen:
        receipts = list(receipts_of(answer))
        for receipt, note in SystemRandom().sample(receipts, min(RECEIPTS_EACH, len(receipts))):
            _verify(receipt, note, key)
            count += 1
    return count


def receipts_of(answer: bytes) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the receipts of an answer, each with the checkpoint of its proof: its own, or the one that all share."""
    body = orjson.loads(answer.partition(b"\r\n\r\n")[2])
    receipts: Sequence[dict[str, Any]] = [one["receipt"] for one in body["results"]] if "results" in body else [body]
    for receipt in receipts:
        yield receipt, receipt["proof"].get("checkpoint") or body["checkpoint"]


def _verify(receipt: dict[str, Any], note: str, key: VerifierKey) -> None:
    proof = receipt["proof"]
    try:
        checkpoint = open_checkpoint(note.encode(), [key], key.name)
        path = [b64url_decode(each) for each in proof["path"]]
        verify_inclusion(
            receipt["index"], proof["tree_size"], b64url_decode(receipt["leaf_hash"]), path, checkpoint.root
        )
    except ServiceError as error:
        raise RuntimeError(f"the receipt of {receipt['event']} does not verify: {error.detail}") from None
    if proof["tree_size"] != checkpoint.size or receipt["ledger"] != key.name:
        raise RuntimeError(f"the receipt of {receipt['event']} is under another checkpoint than it says")
