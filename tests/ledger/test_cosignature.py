"""What witnesses sign, byte for byte: the messages are written out here a second time, from the specification alone."""

import struct
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError
from app.ledger.checkpoint import Checkpoint
from app.ledger.cosignature import MAX_TIME, ed25519_message, mldsa_message
from app.ledger.note import NoteSignature, SignatureType, SignerKey, VerifierKey
from app.ledger.spelling import encode_base64
from tests.ledger.vectors import ORIGIN, WITNESS_KEY, load

TEXT = load("checkpoint")["note"].split("\n\n")[0] + "\n"
ROOT = bytes.fromhex("64b249c4e0606e3d9742c49bfd57cd1e3eb170f5ccefa26ea045ca193d64a75f")
AT = 1_767_000_000
MLDSA = SignerKey("bawaslu.example/w1", SignatureType.MLDSA_COSIGNATURE, b"\x06" * 32)


def by_hand(name: bytes, at: int, origin: bytes, size: int, root: bytes) -> bytes:
    """`struct cosigned_message` of tlog-cosignature, written with struct."""
    label = b"subtree/v1\n\x00"
    assert len(label) == 12
    return label + struct.pack(
        f">B{len(name)}sQB{len(origin)}sQQ32s", len(name), name, at, len(origin), origin, 0, size, root
    )


def test_the_ed25519_message_is_a_header_and_the_whole_text():
    assert ed25519_message(TEXT, AT) == (
        b"cosignature/v1\ntime 1767000000\nlog.example/prov-64\n3\nZLJJxOBgbj2XQsSb/VfNHj6xcPXM76JuoEXKGT1kp18=\n"
    )
    blob = WITNESS_KEY.cosign(TEXT, AT).blob
    assert len(blob) == 72
    assert blob[:8] == AT.to_bytes(8, "big")
    Ed25519PublicKey.from_public_bytes(WITNESS_KEY.verifier().public_key).verify(blob[8:], ed25519_message(TEXT, AT))


def test_the_mldsa_message_is_the_struct_of_the_specification():
    message = mldsa_message("bawaslu.example/w1", TEXT, AT)
    assert message == by_hand(b"bawaslu.example/w1", AT, b"log.example/prov-64", 3, ROOT)
    assert message == (
        b"subtree/v1\n\x00" + b"\x12bawaslu.example/w1" + b"\x00\x00\x00\x00\x69\x52\x47\xc0"
        + b"\x13log.example/prov-64" + b"\x00" * 8 + b"\x00\x00\x00\x00\x00\x00\x00\x03" + ROOT
    )  # fmt: skip


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=60),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=60),
    st.integers(0, MAX_TIME), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32),
)  # fmt: skip
def test_the_mldsa_message_of_any_checkpoint(name, origin, at, size, root):
    message = mldsa_message(name, Checkpoint(origin, size, root).to_text(), at)
    assert message == by_hand(name.encode(), at, origin.encode(), size, root)


def test_an_mldsa_cosignature_is_made_and_verified_by_the_library_alone():
    line = MLDSA.cosign(TEXT, AT)
    assert len(line.blob) == 8 + 2420
    assert line.cosigned_at() == AT
    public = MLDSA44PrivateKey.from_seed_bytes(b"\x06" * 32).public_key().public_bytes_raw()
    assert len(public) == 1312
    message = by_hand(b"bawaslu.example/w1", AT, ORIGIN.encode(), 3, ROOT)
    MLDSA44PublicKey.from_public_bytes(public).verify(line.blob[8:], message)
    signature = MLDSA44PrivateKey.from_seed_bytes(b"\x06" * 32).sign(message)
    assert MLDSA.verifier().accepts(TEXT, AT.to_bytes(8, "big") + signature)
    assert line.key_id == sha256(b"bawaslu.example/w1\n\x06" + public).digest()[:4]


@pytest.mark.parametrize("key", [WITNESS_KEY, MLDSA], ids=["Ed25519", "ML-DSA-44"])
def test_a_cosignature_is_for_this_text_this_time_and_this_key(key):
    line, verifier = key.cosign(TEXT, AT), key.verifier()
    assert verifier.accepts(TEXT, line.blob)
    for text in (TEXT.replace("3", "4"), TEXT.replace("64", "65"), TEXT + "more\n", TEXT[:-1], "", "\n"):
        assert not verifier.accepts(text, line.blob)
    signature = line.blob[8:]
    for at in (0, AT - 1, AT + 1, MAX_TIME, 2**63, 2**64 - 1):
        assert not verifier.accepts(TEXT, at.to_bytes(8, "big") + signature)
    for blob in (
        b"",
        line.blob[:7],
        line.blob[:8],
        line.blob[:-1],
        line.blob + b"\0",
        signature,
        bytes(len(line.blob)),
    ):
        assert not verifier.accepts(TEXT, blob)
    other = SignerKey(key.name, key.type, b"\x07" * 32)
    assert not other.verifier().accepts(TEXT, line.blob)


def test_the_name_is_covered_by_mldsa_and_not_by_ed25519():
    named = {key.type: SignerKey("other.example/w", key.type, key.seed).verifier() for key in (WITNESS_KEY, MLDSA)}
    assert named[SignatureType.COSIGNATURE].accepts(TEXT, WITNESS_KEY.cosign(TEXT, AT).blob)
    assert not named[SignatureType.MLDSA_COSIGNATURE].accepts(TEXT, MLDSA.cosign(TEXT, AT).blob)


def test_every_bit_of_an_ed25519_blob_and_every_byte_of_an_mldsa_one_counts():
    blob, verifier = WITNESS_KEY.cosign(TEXT, AT).blob, WITNESS_KEY.verifier()
    for bit in range(8 * len(blob)):
        changed = int.from_bytes(blob, "big") ^ 1 << bit
        assert not verifier.accepts(TEXT, changed.to_bytes(len(blob), "big"))
    blob, verifier = MLDSA.cosign(TEXT, AT).blob, MLDSA.verifier()
    for at in range(len(blob)):
        assert not verifier.accepts(TEXT, blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "\n\n\n", "a\n1\n", "a\n1\nAAAA\n", f"a\n01\n{'A' * 43}=\n", f"a\n-1\n{'A' * 43}=\n", f"a\n1\n{'A' * 43}=",
        f"a\n1\n{'A' * 43}=\nmore\n", f"a\n1\n{'A' * 42}B=\n", f"\n1\n{'A' * 43}=\n", f"{'a' * 256}\n1\n{'A' * 43}=\n",
        f"a\n9223372036854775808\n{'A' * 43}=\n",
    ],
)  # fmt: skip
def test_mldsa_signs_nothing_that_is_no_checkpoint_of_three_lines(text):
    with pytest.raises(MalformedError):
        mldsa_message("w.example", text, AT)
    with pytest.raises(MalformedError):
        MLDSA.cosign(text, AT)
    assert not MLDSA.verifier().accepts(text, bytes(2428))


def test_names_are_at_most_255_bytes():
    assert mldsa_message("é" * 127, TEXT, AT)[12] == 254
    for name in ("", "é" * 128, "a" * 256):
        with pytest.raises(MalformedError):
            mldsa_message(name, TEXT, AT)
        with pytest.raises(MalformedError):
            VerifierKey(name, SignatureType.COSIGNATURE, WITNESS_KEY.verifier().public_key)


def test_a_key_text_of_the_new_type_is_read_back_and_its_id_is_checked():
    """transparency-dev/formats publishes a sample whose id does not follow the rule: parsers that never compare pass it."""
    text = MLDSA.verifier().to_text()
    assert VerifierKey.parse(text) == MLDSA.verifier()
    assert SignerKey.parse(MLDSA.to_text()) == MLDSA
    key_id = MLDSA.verifier().key_id.hex()
    public = MLDSA.verifier().public_key
    for bad in (
        text.replace(key_id, "00000000"), text.replace(key_id, key_id.upper() if key_id.upper() != key_id else "0"),
        f"{MLDSA.name}+{key_id}+{encode_base64(bytes([6]) + public[:-1])}",
        f"{MLDSA.name}+{key_id}+{encode_base64(bytes([5]) + public)}",
        f"{MLDSA.name}+{key_id}+{encode_base64(bytes([4]) + public)}",
    ):  # fmt: skip
        with pytest.raises(MalformedError):
            VerifierKey.parse(bad)


def test_a_note_signature_is_no_cosignature_and_the_other_way_round():
    as_note = SignerKey(WITNESS_KEY.name, SignatureType.NOTE, WITNESS_KEY.seed)
    line = NoteSignature(as_note.name, as_note.verifier().key_id, bytes(8) + as_note.sign(TEXT).blob)
    assert not WITNESS_KEY.verifier().accepts(TEXT, line.blob)
    assert not WITNESS_KEY.verifier().accepts(TEXT, as_note.sign(TEXT).blob)
