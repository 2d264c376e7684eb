"""Signed notes: the published one byte for byte, and everything that is none."""

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError, ServiceError, UnprovenError
from app.ledger.note import (
    MAX_NOTE_BYTES,
    Note,
    NoteSignature,
    SignatureType,
    SignerKey,
    VerifierKey,
    decode_base64,
    encode_base64,
    is_key_name,
    verified_keys,
    verify,
)
from tests.ledger.vectors import KEYS, LEDGER_KEY, ORIGIN, WITNESS_KEY, load, named

VECTOR = load("checkpoint")
NOTE = VECTOR["note"].encode()
TEXT = NOTE.decode().split("\n\n")[0] + "\n"
LEDGER, WITNESS = KEYS


def test_the_worked_note_is_made_again_byte_for_byte():
    signatures = (LEDGER_KEY.sign(TEXT), WITNESS_KEY.cosign(TEXT, VECTOR["cosigned_at"]))
    assert Note(TEXT, signatures).to_bytes() == NOTE


def test_the_worked_note_parses_and_verifies():
    note = Note.parse(NOTE)
    assert note.text == TEXT
    assert note.to_bytes() == NOTE
    assert note.signatures[1].cosigned_at() == VECTOR["cosigned_at"]
    assert verify(note, KEYS) == [ORIGIN, WITNESS.name]
    assert verify(note, [WITNESS]) == [WITNESS.name]
    assert verified_keys(note, KEYS) == [LEDGER, WITNESS]


def test_the_worked_keys_have_the_published_text():
    for signer, key, text in ((LEDGER_KEY, LEDGER, "ledger_vkey"), (WITNESS_KEY, WITNESS, "witness_vkey")):
        assert key.to_text() == VECTOR[text]
        assert VerifierKey.parse(VECTOR[text]) == key
        assert SignerKey.parse(signer.to_text()) == signer
        assert signer.to_text().startswith(f"PRIVATE+KEY+{key.name}+{key.key_id.hex()}+")


@pytest.mark.parametrize("data", named("notes_malformed", "note"))
def test_a_malformed_note_is_refused(data):
    with pytest.raises(MalformedError):
        Note.parse(data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize("text", named("verifier_keys_malformed", "vkey"))
def test_a_malformed_verifier_key_is_refused(text):
    with pytest.raises(MalformedError):
        VerifierKey.parse(text)


def test_a_malformed_signer_key_is_refused_and_never_shown():
    text = LEDGER_KEY.to_text()
    key_id = LEDGER.key_id.hex()
    seed = text.rsplit("+", 1)[1]
    for bad in (
        "",
        text.removeprefix("PRIVATE+KEY+"),
        text.replace("PRIVATE", "private"),
        text.replace(key_id, "00000000"),
        text.replace(ORIGIN, "log.example/prov-65"),
        text + "=",
        text[:-4],
        text.replace(seed, encode_base64(b"\x06" + b"\x04" * 32)),
        text.replace(seed, encode_base64(b"\x01" + b"\x04" * 31)),
        LEDGER.to_text(),
    ):
        with pytest.raises(MalformedError) as refused:
            SignerKey.parse(bad)
        assert seed not in refused.value.detail
    assert "\\x04" not in repr(LEDGER_KEY)


def test_limits_are_exact():
    signature = LEDGER_KEY.sign(TEXT)
    assert len(Note.parse(Note(TEXT, (signature,) * 100).to_bytes()).signatures) == 100
    with pytest.raises(MalformedError):
        Note(TEXT, (signature,) * 101)
    room = MAX_NOTE_BYTES - len(Note("\n", (signature,)).to_bytes())
    assert Note.parse(Note("x" * room + "\n", (signature,)).to_bytes()).text == "x" * room + "\n"
    with pytest.raises(MalformedError):
        Note.parse(Note("x" * (room + 1) + "\n", (signature,)).to_bytes())


def test_empty_lines_belong_to_the_text_and_the_last_one_parts_it():
    for text in ("\n", "\n\n", "a\n\nb\n\n", f"{NOTE.decode()}"):
        note = Note(text, (LEDGER_KEY.sign(text),))
        assert Note.parse(note.to_bytes()) == note
        assert verify(Note.parse(note.to_bytes()), KEYS) == [ORIGIN]


def test_unknown_keys_are_ignored_even_with_a_known_name_or_id():
    note = Note.parse(NOTE)
    ledger, witness = note.signatures
    strangers = (
        NoteSignature(ORIGIN, b"\0\0\0\0", b"junk"),
        NoteSignature("stranger.example", ledger.key_id, b"junk"),
        NoteSignature("pq.example", b"\1\2\3\4", bytes(2428)),
    )
    assert verify(Note(note.text, (*strangers, ledger, witness)), KEYS) == [ORIGIN, WITNESS.name]
    with pytest.raises(UnprovenError):
        verify(Note(note.text, strangers), KEYS)
    with pytest.raises(UnprovenError):
        verify(note, [])


def test_a_key_that_signed_twice_is_named_once():
    note = Note(TEXT, (WITNESS_KEY.cosign(TEXT, 1), WITNESS_KEY.cosign(TEXT, 2), LEDGER_KEY.sign(TEXT)))
    assert verify(note, [*KEYS, LEDGER]) == [WITNESS.name, ORIGIN]


def test_two_trusted_keys_that_share_name_and_id_are_refused(monkeypatch):
    other = SignerKey(ORIGIN, SignatureType.NOTE, b"\x05" * 32).verifier()
    monkeypatch.setattr(VerifierKey, "key_id", b"same")
    with pytest.raises(UnprovenError):
        verify(Note.parse(NOTE), [LEDGER, other])


def test_a_signature_does_not_serve_for_the_other_type():
    """The same Ed25519 key under both types: the key id and the signed message both differ."""
    as_witness = SignerKey(ORIGIN, SignatureType.COSIGNATURE, LEDGER_KEY.seed)
    assert as_witness.verifier().key_id != LEDGER.key_id
    cosigned = as_witness.cosign(TEXT, 1)
    for blob in (cosigned.blob, cosigned.blob[8:]):
        assert not LEDGER.accepts(TEXT, blob)
    assert not as_witness.verifier().accepts(TEXT, bytes(8) + LEDGER_KEY.sign(TEXT).blob)
    assert as_witness.verifier().accepts(TEXT, cosigned.blob)


def test_a_cosignature_time_beyond_63_bits_is_refused_though_rightly_signed():
    private = Ed25519PrivateKey.from_private_bytes(WITNESS_KEY.seed)
    for at, accepted in ((2**63 - 1, True), (2**63, False)):
        signature = private.sign(f"cosignature/v1\ntime {at}\n{TEXT}".encode())
        assert WITNESS.accepts(TEXT, at.to_bytes(8, "big") + signature) is accepted


def test_our_own_misuse_is_a_runtime_error():
    for wrong in (
        lambda: LEDGER_KEY.cosign(TEXT, 1),
        lambda: WITNESS_KEY.sign(TEXT),
        lambda: WITNESS_KEY.cosign(TEXT, 0),
        lambda: WITNESS_KEY.cosign(TEXT, 2**63),
    ):
        with pytest.raises(RuntimeError):
            wrong()


def test_openssl_alone_would_accept_what_the_low_order_rule_refuses():
    """Trap 7 of ledger.md section 8: the rule is ours, the library does not have it."""
    case = next(c for c in load("checkpoints_unproven") if "low order" in c["name"])
    note = Note.parse(case["note"].encode())
    Ed25519PublicKey.from_public_bytes(LEDGER.public_key).verify(note.signatures[0].blob, note.text.encode())
    assert not LEDGER.accepts(note.text, note.signatures[0].blob)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a+b", "a\u00a0b", "a\u3000b", "a\u2028b", "a\u0085b", "a\nb", "a\x1bb", "a\ud800b"],
)
def test_a_key_name_without_a_line_to_stand_on_is_refused(name):
    assert not is_key_name(name)
    with pytest.raises(MalformedError):
        VerifierKey(name, SignatureType.NOTE, LEDGER.public_key)
    with pytest.raises(MalformedError):
        NoteSignature(name, b"1234", b"x")


def test_a_signer_needs_a_whole_seed():
    with pytest.raises(MalformedError):
        SignerKey(ORIGIN, SignatureType.NOTE, bytes(31))


@given(st.binary(max_size=60))
def test_base64_has_one_spelling(data):
    assert decode_base64(encode_base64(data)) == data


@given(st.text(max_size=12))
def test_base64_that_decodes_encodes_back(text):
    with suppress(MalformedError):
        assert encode_base64(decode_base64(text)) == text


lines = st.text(st.sampled_from("\u2014 +\n=aA0/\x00\ud7ff\u00a0\r"), max_size=40)


@given(st.one_of(st.binary(max_size=200), lines.map(str.encode)), st.integers(0, len(NOTE)), st.integers(0, 40))
def test_garbage_is_malformed_or_unproven_and_what_parses_comes_back(garbage, at, cut):
    for data in (garbage, NOTE[:at] + garbage + NOTE[at + cut :]):
        try:
            note = Note.parse(data)
            assert note.to_bytes() == data
            verify(note, KEYS)
        except (MalformedError, UnprovenError):
            pass


@given(st.text(max_size=80))
def test_garbage_is_no_key(text):
    for parse in (VerifierKey.parse, SignerKey.parse):
        for candidate in (text, f"PRIVATE+KEY+{text}", f"{ORIGIN}+86f87816+{text}"):
            with pytest.raises(ServiceError) as refused:
                parse(candidate)
            assert isinstance(refused.value, MalformedError)
