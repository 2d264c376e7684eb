"""Proof files: one right one, and every single byte of it that may not change."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, UnprovenError
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import Note, verify
from app.ledger.proof import MAX_PROOF_BYTES, TlogProof, verify_tlog_proof
from app.ledger.tree import inclusion_path, leaf_hash, range_root, root_of
from tests.ledger import oracle
from tests.ledger.vectors import KEYS, LEAVES, LEDGER_KEY, ORIGIN, WITNESS_KEY, load, named

VECTOR = load("proof")
PROOF = VECTOR["proof"].encode()
LEAF = VECTOR["leaf"].encode()
TREE = oracle.Tree(LEAVES)


def node(level, index):
    return root_of([leaf_hash(leaf) for leaf in LEAVES[index << level : (index + 1) << level]])


def refused(data, leaf=LEAF, keys=KEYS):
    """Whether the proof is refused, by one of the two errors that it may raise."""
    try:
        verify_tlog_proof(data, leaf, keys, ORIGIN)
    except (MalformedError, UnprovenError):
        return True
    return False


def test_the_worked_proof_is_built_again_and_verifies():
    checkpoint = Checkpoint(ORIGIN, 300, range_root(0, 300, node))
    text = checkpoint.to_text()
    note = Note(text, (LEDGER_KEY.sign(text), WITNESS_KEY.cosign(text, 1_767_000_000))).to_bytes()
    proof = TlogProof(257, tuple(inclusion_path(257, 300, node)), note)
    assert proof.to_bytes() == PROOF
    assert TlogProof.parse(PROOF) == proof
    assert verify_tlog_proof(PROOF, LEAF, KEYS, ORIGIN) == checkpoint
    assert oracle.included(257, 300, leaf_hash(LEAF), proof.path, TREE.mth(0, 300))


def test_every_single_bit_of_the_proof_counts():
    """A change in the cosignature's name or key id makes it a stranger's: then the witness is missing."""
    accepted = []
    for at in range(len(PROOF)):
        for bit in range(8):
            changed = bytearray(PROOF)
            changed[at] ^= 1 << bit
            if not refused(bytes(changed)):
                accepted.append((at, bytes(changed)))
    cosignature = PROOF.rindex("\u2014".encode())
    assert all(at > cosignature for at, _ in accepted)
    assert all(verify(Note.parse(TlogProof.parse(data).checkpoint), KEYS) == [ORIGIN] for _, data in accepted)


def test_no_single_byte_of_a_proof_without_cosignatures_may_change():
    plain = PROOF[: PROOF.rindex("\u2014".encode())]
    assert not refused(plain)
    for at in range(len(plain)):
        for other in {*b"\n\r =+/0Aa\0\x80\xff", plain[at] ^ 1, plain[at] ^ 0x20, (plain[at] + 1) % 256} - {plain[at]}:
            assert refused(plain[:at] + bytes([other]) + plain[at + 1 :])
        assert refused(plain[:at] + plain[at + 1 :])
        assert refused(plain[:at])
        for more in b"\n =0A\0":
            inserted = plain[:at] + bytes([more]) + plain[at:]
            assert refused(inserted) or inserted == plain


@pytest.mark.parametrize("proof", named("proofs_malformed", "proof"))
def test_a_malformed_proof_is_refused(proof):
    with pytest.raises(MalformedError):
        verify_tlog_proof(proof.encode(), LEAF, KEYS, ORIGIN)


@pytest.mark.parametrize("proof", named("proofs_unproven", "proof"))
def test_a_proof_of_something_else_is_refused(proof):
    with pytest.raises(UnprovenError):
        verify_tlog_proof(proof.encode(), LEAF, KEYS, ORIGIN)


def test_the_proof_is_of_this_leaf_this_ledger_and_these_keys():
    for leaf in (b"", b"e256", b"e2570", leaf_hash(LEAF)):
        assert refused(PROOF, leaf)
    assert refused(PROOF, keys=KEYS[1:])
    assert refused(PROOF, keys=[])
    with pytest.raises(UnprovenError):
        verify_tlog_proof(PROOF, LEAF, KEYS, "log.example/prov-65")


def test_a_tree_of_one_leaf_has_an_empty_path():
    note = sign(Checkpoint(ORIGIN, 1, leaf_hash(b"only")), LEDGER_KEY)
    proof = TlogProof(0, (), note)
    assert proof.to_bytes() == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + note
    assert TlogProof.parse(proof.to_bytes()) == proof
    assert not refused(proof.to_bytes(), b"only")


def test_extra_data_travels_along_and_proves_nothing():
    proof = TlogProof.parse(PROOF)
    with_extra = TlogProof(proof.index, proof.path, proof.checkpoint, b"from the warehouse").to_bytes()
    assert b"\nextra " + b64encode(b"from the warehouse") + b"\nindex 257\n" in with_extra
    assert TlogProof.parse(with_extra).extra == b"from the warehouse"
    assert not refused(with_extra)


def test_limits_are_exact():
    proof = TlogProof.parse(PROOF)
    room = MAX_PROOF_BYTES - len(PROOF) - len("extra \n")
    fits = TlogProof(proof.index, proof.path, proof.checkpoint, bytes(room // 4 * 3))
    assert TlogProof.parse(fits.to_bytes()) == fits
    over = TlogProof(proof.index, proof.path, proof.checkpoint, bytes(room // 4 * 3 + 3))
    with pytest.raises(MalformedError):
        TlogProof.parse(over.to_bytes())


def test_a_proof_that_could_not_come_back_is_not_built():
    good = TlogProof.parse(PROOF)
    for index, path, checkpoint in (
        (-1, good.path, good.checkpoint),
        (2**63, good.path, good.checkpoint),
        (257, (*good.path, b"short"), good.checkpoint),
        (257, (bytes(32),) * 64, good.checkpoint),
        (257, good.path, b"no note"),
    ):
        with pytest.raises(MalformedError):
            TlogProof(index, path, checkpoint)


@given(st.one_of(st.binary(max_size=100), st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_garbage_is_malformed_or_unproven(garbage):
    head, checkpoint = PROOF.split(b"\n\n", 1)
    for data in (
        garbage,
        head + garbage,
        head + b"\n" + garbage + b"\n\n" + checkpoint,
        PROOF + garbage,
        garbage + PROOF,
    ):
        assert refused(data) or data == PROOF


@given(st.integers(1, 600), st.data())
def test_every_leaf_of_every_tree_is_proven_by_its_own_proof_only(size, data):
    index = data.draw(st.integers(0, size - 1))
    note = sign(Checkpoint(ORIGIN, size, TREE.mth(0, size)), LEDGER_KEY)
    proof = TlogProof(index, tuple(TREE.path(index, 0, size)), note).to_bytes()
    assert not refused(proof, LEAVES[index])
    assert refused(proof, LEAVES[index + 1])
