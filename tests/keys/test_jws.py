"""The envelope: the reference's worked example, named refusals, and anything at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, KeySet, OKPKey

from app.canon import b64url_decode, b64url_encode, jcs, parse_json, sha256
from app.errors import MalformedError, ServiceError, TooLargeError, UnprovenError
from app.keys.signing import PrivateKey, sign_compact, sign_jws
from app.keys.verify import Jws, PublicKey, parse_compact, parse_jws, prove

VECTORS = Path(__file__).parent.parent / "vectors" / "event"
EXAMPLE = json.loads((VECTORS / "worked_example.json").read_text())
REFUSED = json.loads((VECTORS / "refused.json").read_text())["cases"]
KEYS = {key["kid"]: PublicKey.from_jwk(key["jwk"]) for key in EXAMPLE["keys"]}
LIMIT = 64 * 1024
ES256 = PrivateKey.from_scalar(b"\x11" * 32)
ED25519 = PrivateKey.from_seed(b"\x22" * 32)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def read(text: str) -> Jws:
    return parse_jws(parse_json(text.encode(), max_bytes=LIMIT))


def joserfc_payload(envelope: Any) -> bytes:
    keys = KeySet(
        [
            (ECKey if key["alg"] == "ES256" else OKPKey).import_key({**key["jwk"], "kid": key["kid"]})
            for key in EXAMPLE["keys"]
        ]
    )
    return joserfc_jws.deserialize_json(envelope, keys, algorithms=["ES256", "Ed25519"]).payload


def test_worked_example_keys_have_their_thumbprints() -> None:
    for private, key in zip((ES256, ED25519), EXAMPLE["keys"], strict=True):
        assert (private.kid, private.alg) == (key["kid"], key["alg"])
        assert private.public.jwk() == key["jwk"]
        assert KEYS[key["kid"]] == private.public


def test_worked_example_is_proven() -> None:
    envelope = read(json.dumps(EXAMPLE["envelope"]))
    prove(envelope, KEYS.get)
    assert envelope.payload.decode() == EXAMPLE["payload"]
    assert sha256(envelope.payload).hex() == EXAMPLE["payload_sha256"]
    assert [signature.kid for signature in envelope.signatures] == list(KEYS)
    assert len(envelope.payload) == 298


def test_worked_example_is_what_our_signers_make() -> None:
    assert sign_jws(EXAMPLE["payload"].encode(), [ES256, ED25519]) == EXAMPLE["envelope"]


def test_worked_example_leaf_is_canonical_and_hashes() -> None:
    leaf = jcs(parse_json(EXAMPLE["leaf"].encode(), max_bytes=LIMIT))
    assert leaf == EXAMPLE["leaf"].encode()
    assert len(leaf) == 1074
    assert sha256(b"\x00" + leaf).hex() == EXAMPLE["leaf_hash"]


def test_a_second_jose_library_reads_the_worked_example() -> None:
    assert joserfc_payload(EXAMPLE["envelope"]).decode() == EXAMPLE["payload"]


@given(st.binary(max_size=300), st.sampled_from([[ES256], [ED25519], [ED25519, ES256]]))
@settings(deadline=None, max_examples=40)
def test_a_second_jose_library_reads_what_we_sign(payload: bytes, signers: list[PrivateKey]) -> None:
    envelope = sign_jws(payload, signers)
    assert joserfc_payload(envelope) == payload
    prove(parse_jws(envelope), KEYS.get)


def test_we_read_what_a_second_jose_library_signs() -> None:
    members = [{"protected": {"alg": key.alg, "kid": key.kid, "typ": "custody-event+json"}} for key in (ES256, ED25519)]
    private = KeySet(
        [
            ECKey.import_key({**ES256.to_jwk(), "kid": ES256.kid}),
            OKPKey.import_key({**ED25519.to_jwk(), "kid": ED25519.kid}),
        ]
    )
    made = joserfc_jws.serialize_json(members, b'{"v":1}', private, algorithms=["ES256", "Ed25519"])
    envelope = read(json.dumps(made))
    prove(envelope, KEYS.get)
    assert envelope.payload == b'{"v":1}'


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in REFUSED])
def test_each_hostile_envelope_is_refused_with_its_own_code(case: dict[str, Any]) -> None:
    value = parse_json(case["envelope"].encode(), max_bytes=LIMIT)
    if case["stage"] == "parse":
        with pytest.raises((MalformedError, TooLargeError)) as caught:
            parse_jws(value)
    else:
        envelope = parse_jws(value)
        with pytest.raises(UnprovenError) as caught:
            prove(envelope, KEYS.get)
    assert caught.value.code == case["code"]
    with pytest.raises(ServiceError):  # no cache may let it pass the second time
        prove(parse_jws(value), KEYS.get)


def test_unknown_keys_are_named_and_looked_up_before_any_signature_is_computed() -> None:
    stranger = PrivateKey.from_seed(b"\x33" * 32)
    envelope = sign_jws(b"{}", [ES256, stranger])
    envelope["signatures"][0]["signature"] = "A" * 86  # type: ignore[index, call-overload]
    with pytest.raises(UnprovenError) as caught:
        prove(parse_jws(envelope), KEYS.get)
    assert (caught.value.code, caught.value.facts) == ("unknown_key", {"kid": stranger.kid})


def test_a_key_answered_for_another_kid_is_unknown() -> None:
    envelope = parse_jws(sign_jws(b"{}", [ES256]))
    with pytest.raises(UnprovenError, match="not enrolled"):
        prove(envelope, lambda _: ED25519.public)


def test_an_envelope_without_signatures_is_our_own_mistake() -> None:
    with pytest.raises(RuntimeError):
        prove(Jws("", b"", ()), KEYS.get)


def test_limits_are_exact() -> None:
    full = parse_jws(sign_jws(b" " * 16384, [ES256]))
    prove(full, KEYS.get)
    signers = [PrivateKey.from_seed(bytes([i]) * 32) for i in range(16)]
    prove(parse_jws(sign_jws(b"{}", signers)), {signer.kid: signer.public for signer in signers}.get)


def test_the_high_s_twin_is_accepted_and_is_the_same_payload() -> None:
    envelope = parse_jws(EXAMPLE["envelope"])
    first = EXAMPLE["envelope"]["signatures"][0]
    raw = b64url_decode(first["signature"], length=64)
    s = int.from_bytes(raw[32:], "big")
    assert s > P256_ORDER // 2
    twin_signature = b64url_encode(raw[:32] + (P256_ORDER - s).to_bytes(32, "big"))
    twin = parse_jws({"payload": envelope.payload_b64, "signatures": [{**first, "signature": twin_signature}]})
    prove(twin, KEYS.get)
    assert twin.payload == envelope.payload
    assert twin.signatures[0].signature != envelope.signatures[0].signature


@pytest.mark.parametrize("signer", [ES256, ED25519], ids=lambda key: key.alg)
def test_any_flipped_bit_breaks_the_proof(signer: PrivateKey) -> None:
    good = sign_jws(b'{"v":1}', [signer])
    protected, signature = (good["signatures"][0][name] for name in ("protected", "signature"))  # type: ignore[index, call-overload]
    raw = b64url_decode(signature)
    for bit in range(0, 512, 7):
        broken = bytearray(raw)
        broken[bit // 8] ^= 1 << bit % 8
        member = {"protected": protected, "signature": b64url_encode(bytes(broken))}
        with pytest.raises(UnprovenError):
            prove(parse_jws({"payload": good["payload"], "signatures": [member]}), KEYS.get)


def test_a_signature_for_one_purpose_is_refused_for_every_other() -> None:
    receipt = sign_jws(b"{}", [ES256], typ="custody-receipt")
    prove(parse_jws(receipt, typ="custody-receipt"), KEYS.get)
    for typ in ("custody-event+json", "custody-receipt ", ""):
        with pytest.raises(MalformedError) as caught:
            parse_jws(receipt, typ=typ)
        assert caught.value.code == "jws_typ"


@pytest.mark.parametrize("signer", [ES256, ED25519], ids=lambda key: key.alg)
def test_compact_receipts_are_read_by_us_and_by_a_second_library(signer: PrivateKey) -> None:
    text = sign_compact(b'{"state":"accepted"}', signer, typ="custody-receipt+jws")
    proven = parse_compact(text, typ="custody-receipt+jws")
    prove(proven, KEYS.get)
    assert proven.payload == b'{"state":"accepted"}'
    key = (ECKey if signer.alg == "ES256" else OKPKey).import_key(signer.public.jwk())
    assert joserfc_jws.deserialize_compact(text, key, algorithms=[signer.alg]).payload == proven.payload


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "..", "...."])
def test_other_compact_forms_are_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_compact(text, typ="custody-receipt+jws")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4) | st.sampled_from(["e30", "eyJ9", "A" * 86]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["payload", "signatures", "protected", "signature", "header"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)
HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]), JSON_VALUES | st.sampled_from([ES256.kid, "ES256"])
)


@given(JSON_VALUES)
@settings(deadline=None, max_examples=300)
def test_arbitrary_values_raise_nothing_else(value: Any) -> None:
    with pytest.raises((MalformedError, TooLargeError)):
        parse_jws(value)


@given(HEADERS | st.binary(max_size=60), st.text(st.sampled_from("AQgw-_=é"), max_size=90))
@settings(deadline=None, max_examples=300)
def test_arbitrary_headers_raise_nothing_else(header: Any, signature: str) -> None:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    member = {"protected": b64url_encode(data), "signature": signature}
    with pytest.raises((MalformedError, TooLargeError)):
        parse_jws({"payload": "e30", "signatures": [member]})


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_a_changed_byte_never_proves_other_contents(data: st.DataObject) -> None:
    """Whatever one byte of the envelope becomes: refused, or the very same payload and headers."""
    raw = bytearray(jcs(EXAMPLE["envelope"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        envelope = parse_jws(parse_json(bytes(raw), max_bytes=LIMIT))
        prove(envelope, KEYS.get)
    except (MalformedError, TooLargeError, UnprovenError):
        return
    assert envelope == parse_jws(EXAMPLE["envelope"])
