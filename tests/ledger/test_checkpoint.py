"""Checkpoints: three lines, nothing else, and only by the ledger that they name."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, UnprovenError
from app.ledger.checkpoint import Checkpoint, open_checkpoint, sign
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.spelling import parse_decimal
from app.ledger.tree import EMPTY_ROOT, MAX_SIZE
from tests.ledger.vectors import KEYS, LEDGER_KEY, ORIGIN, WITNESS_KEY, load, named

VECTOR = load("checkpoint")
NOTE = VECTOR["note"].encode()
CHECKPOINT = Checkpoint(ORIGIN, VECTOR["size"], bytes.fromhex(VECTOR["root"]))


def test_the_worked_checkpoint_opens():
    assert open_checkpoint(NOTE, KEYS, ORIGIN) == CHECKPOINT
    assert Checkpoint.parse(CHECKPOINT.to_text()) == CHECKPOINT


def test_signing_makes_the_worked_note_without_its_cosignature():
    assert sign(CHECKPOINT, LEDGER_KEY) == b"".join(NOTE.splitlines(keepends=True)[:5])


@pytest.mark.parametrize("text", named("checkpoints_malformed", "text"))
def test_a_malformed_checkpoint_is_refused(text):
    with pytest.raises(MalformedError):
        Checkpoint.parse(text)


@pytest.mark.parametrize("text", [c for c in named("checkpoints_malformed", "text") if c.values[0].endswith("\n")])
def test_a_ledgers_signature_does_not_make_a_malformed_checkpoint_right(text):
    try:
        data = Note(text, (LEDGER_KEY.sign(text),)).to_bytes()
    except MalformedError:
        return
    with pytest.raises(MalformedError):
        open_checkpoint(data, KEYS, ORIGIN)


@pytest.mark.parametrize("note", named("checkpoints_unproven", "note"))
def test_an_unproven_checkpoint_is_refused(note):
    with pytest.raises(UnprovenError) as refused:
        open_checkpoint(note.encode(), KEYS, ORIGIN)
    assert refused.value.code == "note_signature"


def test_a_checkpoint_belongs_to_the_origin_that_was_pinned():
    other = SignerKey("log.example/prov-65", SignatureType.NOTE, b"\x05" * 32)
    keys = [*KEYS, other.verifier()]
    with pytest.raises(UnprovenError):  # a trusted ledger's, but not the one that was asked for
        open_checkpoint(sign(Checkpoint(other.name, 1, bytes(32)), other), keys, ORIGIN)
    text = CHECKPOINT.to_text()
    with pytest.raises(UnprovenError):  # another ledger's key under this ledger's text
        open_checkpoint(Note(text, (other.sign(text),)).to_bytes(), keys, ORIGIN)
    text = Checkpoint(other.name, 1, bytes(32)).to_text()
    with pytest.raises(UnprovenError) as refused:  # this ledger's key under another ledger's text
        open_checkpoint(Note(text, (LEDGER_KEY.sign(text),)).to_bytes(), keys, ORIGIN)
    assert refused.value.code == "checkpoint_origin"


def test_a_witness_named_like_the_ledger_is_not_the_ledger():
    impostor = SignerKey(ORIGIN, SignatureType.COSIGNATURE, b"\x06" * 32)
    text = CHECKPOINT.to_text()
    with pytest.raises(UnprovenError):
        open_checkpoint(Note(text, (impostor.cosign(text, 1),)).to_bytes(), [impostor.verifier()], ORIGIN)


def test_during_rotation_either_ledger_key_is_enough():
    new = SignerKey(ORIGIN, SignatureType.NOTE, b"\x07" * 32)
    text = CHECKPOINT.to_text()
    both = Note(text, (new.sign(text), LEDGER_KEY.sign(text))).to_bytes()
    for keys in ([KEYS[0]], [new.verifier()], [KEYS[0], new.verifier()]):
        assert open_checkpoint(both, keys, ORIGIN) == CHECKPOINT


def test_our_own_misuse_is_a_runtime_error():
    for checkpoint, key in (
        (CHECKPOINT, SignerKey("log.example/prov-65", SignatureType.NOTE, b"\x04" * 32)),
        (CHECKPOINT, SignerKey(ORIGIN, SignatureType.COSIGNATURE, b"\x04" * 32)),
        (Checkpoint(WITNESS_KEY.name, 3, bytes(32)), WITNESS_KEY),
        (Checkpoint(ORIGIN, 0, bytes(32)), LEDGER_KEY),
    ):
        with pytest.raises(RuntimeError):
            sign(checkpoint, key)


def test_sizes_from_zero_to_the_largest_are_signed_and_read():
    for size, root in ((0, EMPTY_ROOT), (1, bytes(32)), (MAX_SIZE, bytes(32))):
        checkpoint = Checkpoint(ORIGIN, size, root)
        assert open_checkpoint(sign(checkpoint, LEDGER_KEY), KEYS, ORIGIN) == checkpoint
    for size, root in ((-1, bytes(32)), (MAX_SIZE + 1, bytes(32)), (1, bytes(31))):
        with pytest.raises(MalformedError):
            Checkpoint(ORIGIN, size, root)


def test_the_checkpoints_of_others_may_have_spaces_in_their_origin():
    assert Checkpoint.parse(f"go.sum database tree\n0\n{'A' * 43}=\n").origin == "go.sum database tree"


@given(st.one_of(st.text(max_size=80), st.text(st.sampled_from("\n0123A=/ \u0663"), max_size=60)))
def test_garbage_is_malformed_and_what_parses_comes_back(garbage):
    for text in (garbage, f"{ORIGIN}\n{garbage}", f"{ORIGIN}\n3\n{garbage}"):
        with suppress(MalformedError):
            assert Checkpoint.parse(text).to_text() == text


@given(st.integers(0, MAX_SIZE))
def test_a_decimal_comes_back(number):
    assert parse_decimal(str(number)) == number
    with pytest.raises(MalformedError):
        parse_decimal(f"0{number}")
