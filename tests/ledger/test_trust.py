"""Whose checkpoints are believed, and which of two notes of one tree is the better signed."""

import pytest

from app.errors import MalformedError
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import Note, NoteSignature, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from app.ledger.trust import Trust

ORIGIN = "trust.example/l"
OLD, NEW = (SignerKey(ORIGIN, SignatureType.NOTE, bytes([n]) * 32) for n in (1, 2))
WITNESSES = [SignerKey(f"w{n}.example", SignatureType.COSIGNATURE, bytes([10 + n]) * 32) for n in range(3)]
HEAD = Checkpoint(ORIGIN, 5, bytes(range(32)))
KNOWN = "".join(f"witness w{n} {key.verifier().to_text()}\n" for n, key in enumerate(WITNESSES[:2]))
POLICY = TrustPolicy.parse(f"log {OLD.verifier().to_text()}\n{KNOWN}group any any w0 w1\nquorum any\n".encode())
PLAIN, ROTATING = Trust((OLD.verifier(),)), Trust((OLD.verifier(), NEW.verifier()))
WITNESSED = Trust(policy=POLICY)


def note(*keys, more=()):
    signed = Note.parse(sign(HEAD, *(key for key in keys if key.type is SignatureType.NOTE)))
    cosigned = [key.cosign(signed.text, 7) for key in keys if key.type is not SignatureType.NOTE]
    return Note(signed.text, (*signed.signatures, *cosigned, *more)).to_bytes()


def junk(count, key=None):
    """Lines that anybody can write, under a name of their own or that of a key."""
    name, key_id = (key.name, key.verifier().key_id) if key is not None else ("junk", b"1234")
    return [NoteSignature(name, key_id, bytes([n]) * 72) for n in range(count)]


@pytest.mark.parametrize(
    ("trust", "data", "weight"),
    [
        (PLAIN, note(OLD), (True, 1)),
        (PLAIN, note(OLD, more=junk(9)), (True, 1)),
        (PLAIN, note(OLD, *WITNESSES), (True, 1)),
        (PLAIN, note(NEW), (False, 0)),
        (ROTATING, note(NEW), (True, 1)),
        (ROTATING, note(OLD, NEW), (True, 2)),
        (WITNESSED, note(OLD), (False, 1)),
        (WITNESSED, note(OLD, WITNESSES[2]), (False, 1)),
        (WITNESSED, note(OLD, WITNESSES[0]), (True, 2)),
        (WITNESSED, note(OLD, *WITNESSES), (True, 3)),
        (WITNESSED, note(OLD, WITNESSES[0], WITNESSES[0]), (True, 2)),
        (WITNESSED, note(OLD, WITNESSES[0], more=junk(9)), (True, 2)),
        (WITNESSED, note(OLD, WITNESSES[0], more=junk(3, WITNESSES[1])), (False, 2)),
        (PLAIN, b"", (False, 0)),
        (PLAIN, b"no note", (False, 0)),
    ],
)
def test_only_signatures_that_verify_weigh(trust, data, weight):
    assert trust.weight(data) == weight


def test_a_line_by_a_pinned_key_is_seen_right_or_wrong():
    assert PLAIN.names_a_signer(note(OLD))
    assert PLAIN.names_a_signer(note(NEW, more=junk(1, OLD)))
    assert not PLAIN.names_a_signer(note(NEW, *WITNESSES))
    assert not WITNESSED.names_a_signer(note(NEW, *WITNESSES)), "witnesses do not sign for a ledger"
    with pytest.raises(MalformedError):
        PLAIN.names_a_signer(b"no note")
