"""Keys and signatures at the edges where libraries disagree: ours refuses all of them.

A small curve arithmetic of our own builds the attacks, so that no library under test is trusted to.
"""

import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OKPKey

from app.canon import b64url_encode
from app.errors import MalformedError, UnprovenError
from app.keys.signing import PrivateKey
from app.keys.verify import NON_CANONICAL_POINTS, SMALL_ORDER_POINTS, PublicKey, verify_signature

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
IDENTITY: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    k = D * a[0] * b[0] * a[1] * b[1] % P
    return (a[0] * b[1] + b[0] * a[1]) * pow(1 + k, -1, P) % P, (a[1] * b[1] + a[0] * b[0]) * pow(1 - k, -1, P) % P


def multiply(n: int, point: Point) -> Point:
    total = IDENTITY
    while n:
        if n & 1:
            total = add(total, point)
        point, n = add(point, point), n >> 1
    return total


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point | None:
    """Decode as lenient libraries do: y is reduced, and x = 0 may have its sign bit set."""
    number = int.from_bytes(data, "little")
    y, sign = (number & (1 << 255) - 1) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return (x if x & 1 == sign else -x % P), y


def challenge(r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or IDENTITY
SCALAR = 0x1234567890ABCDEF1234567890ABCDEF
SOUND = encode(multiply(SCALAR, BASE))
TORSION = [point for data in sorted(SMALL_ORDER_POINTS) if (point := decode(data)) is not None]
ORDER_8 = next(point for point in TORSION if multiply(4, point) != IDENTITY)
HASH_MULTIPLE = 8


def sign(scalar: int, public: bytes, r: bytes, nonce: int, message: bytes) -> bytes:
    return r + ((nonce + challenge(r, public, message) * scalar) % L).to_bytes(32, "little")


def forged(public: bytes, scalar: int = 0) -> tuple[bytes, bytes, bytes]:
    """Sign under a key with torsion: some message's challenge is a multiple of eight and cancels it."""
    r = encode(multiply(7, BASE))
    message = next(m for n in range(10_000) if challenge(r, public, m := b"%d" % n) % HASH_MULTIPLE == 0)
    return public, message, sign(scalar, public, r, 7, message)


def mixed(point: Point) -> bytes:
    return encode(add(multiply(SCALAR, BASE), point))


SMALL_KEYS = [forged(data) for data in sorted(SMALL_ORDER_POINTS)]
MIXED_KEYS = [forged(mixed(multiply(n, ORDER_8)), SCALAR) for n in range(1, 8)]
SMALL_R = [(SOUND, b"m", sign(SCALAR, SOUND, r, 0, b"m")) for r in sorted(SMALL_ORDER_POINTS)]
MIXED_R = [
    (SOUND, b"m", sign(SCALAR, SOUND, encode(add(multiply(9, BASE), multiply(n, ORDER_8))), 9, b"m"))
    for n in range(1, 8)
]
NON_CANONICAL_R = [(SOUND, b"m", sign(SCALAR, SOUND, r, 0, b"m")) for r in sorted(NON_CANONICAL_POINTS)]
GOOD = (SOUND, b"m", sign(SCALAR, SOUND, encode(multiply(9, BASE)), 9, b"m"))
LARGE_S = [
    (GOOD[0], GOOD[1], GOOD[2][:32] + (int.from_bytes(GOOD[2][32:], "little") + n * L).to_bytes(32, "little"))
    for n in range(1, 15)
]
Edge = tuple[bytes, bytes, bytes]
EDGES: dict[str, list[Edge]] = {
    "small-order keys": SMALL_KEYS,
    "mixed-order keys": MIXED_KEYS,
    "small-order R": SMALL_R,
    "mixed-order R": MIXED_R,
    "non-canonical R": NON_CANONICAL_R,
    "S >= L": LARGE_S,
}


def ed25519(raw: bytes) -> PublicKey:
    """Take the constructor that examines nothing, as a row from a damaged table would."""
    return PublicKey(kid="any", alg="Ed25519", raw=raw)


def plain_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_our_arithmetic_makes_signatures_that_libraries_accept() -> None:
    assert plain_verify(*GOOD)
    verify_signature(ed25519(GOOD[0]), *GOOD[1:])


def test_the_fourteen_encodings_are_exactly_those_of_points_of_small_order() -> None:
    """Every y that can belong to a torsion point, reduced or not, under both signs."""
    assert len(SMALL_ORDER_POINTS) == 14
    assert all(multiply(8, point) == IDENTITY for point in TORSION)
    torsion = {multiply(n, ORDER_8) for n in range(8)}
    assert len(torsion) == 8
    ys = {y for _, y in torsion} | {y + P for _, y in torsion if y + P < 2**255}
    encodings = {(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)}
    assert {data for data in encodings if decode(data) in torsion} == encodings == SMALL_ORDER_POINTS


def test_thirty_eight_encodings_are_not_canonical() -> None:
    assert len(NON_CANONICAL_POINTS) == 38
    assert all(int.from_bytes(data, "little") % 2**255 >= P for data in NON_CANONICAL_POINTS)


@pytest.mark.parametrize("name", EDGES)
def test_every_edge_case_is_refused(name: str) -> None:
    for public, message, signature in EDGES[name]:
        with pytest.raises(UnprovenError) as caught:
            verify_signature(ed25519(public), message, signature)
        assert caught.value.code == ("weak_key" if name.endswith("keys") else "signature")


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("small-order keys", 14),
        ("mixed-order keys", 7),
        ("small-order R", 1),
        ("mixed-order R", 0),
        ("non-canonical R", 0),
        ("S >= L", 0),
    ],
)
def test_a_plain_library_accepts_forgeries(name: str, accepted: int) -> None:
    """The negative control: without our rule a signature proves nothing. See security reference section 2."""
    assert sum(plain_verify(*edge) for edge in EDGES[name]) == accepted


@pytest.mark.parametrize("name", ["small-order keys", "mixed-order keys", "small-order R", "non-canonical R", "S >= L"])
def test_our_own_rules_refuse_even_if_the_library_turned_lenient(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later libsodium may verify otherwise; only the cofactorless equation itself is left to it."""
    monkeypatch.setattr("app.keys.verify.crypto_sign_open", lambda signed, _: signed)
    for public, message, signature in EDGES[name]:
        with pytest.raises(UnprovenError):
            verify_signature(ed25519(public), message, signature)


WEAK = [*sorted(SMALL_ORDER_POINTS | NON_CANONICAL_POINTS), *(public for public, *_ in MIXED_KEYS)]
OFF_CURVE = [data for y in range(2, 30) if decode(data := y.to_bytes(32, "little")) is None]


@pytest.mark.parametrize("raw", [*WEAK, *OFF_CURVE, SOUND[:31], SOUND + b"\x00", b""], ids=lambda raw: raw.hex()[:16])
def test_weak_ed25519_keys_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        PublicKey.from_raw("Ed25519", raw)
    assert caught.value.code == "weak_key"
    with pytest.raises(MalformedError) as caught:
        PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(raw)})
    assert caught.value.code == ("weak_key" if len(raw) == 32 else "jwk")


def p256(x: int, y: int) -> bytes:
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


FIELD = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NUMBERS = ec.derive_private_key(5, ec.SECP256R1()).public_key().public_numbers()


def point_with_small_x() -> Point:
    """Find a point whose x + p still fits 32 bytes: its second encoding must be refused."""
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    for x in range(2, 100):
        square = (x**3 - 3 * x + b) % FIELD
        y = pow(square, (FIELD + 1) // 4, FIELD)
        if y * y % FIELD == square:
            return x, y
    raise AssertionError


def test_a_point_of_p256_is_taken() -> None:
    x, y = point_with_small_x()
    assert PublicKey.from_raw("ES256", p256(x, y)).jwk()["crv"] == "P-256"


@pytest.mark.parametrize(
    "raw",
    [
        p256(NUMBERS.x, NUMBERS.y ^ 1),
        p256(NUMBERS.y, NUMBERS.x),
        p256(0, 0),
        p256(point_with_small_x()[0] + FIELD, point_with_small_x()[1]),
        b"\xff" * 64,
        p256(NUMBERS.x, NUMBERS.y)[:63],
        b"\x04" + p256(NUMBERS.x, NUMBERS.y),
        b"\x00",
        b"",
    ],
    ids=["off curve", "swapped", "zeros", "x + p", "beyond p", "short", "with prefix", "infinity", "empty"],
)
def test_what_is_no_point_of_p256_cannot_be_read_nor_verify(raw: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        PublicKey.from_raw("ES256", raw)
    assert caught.value.code == "weak_key"
    with pytest.raises(UnprovenError) as unproven:
        verify_signature(PublicKey("any", "ES256", raw), b"m", bytes(31) + b"\x01" + bytes(31) + b"\x01")
    assert unproven.value.code == "weak_key"


ES = PrivateKey.from_scalar(b"\x11" * 32)
ED = PrivateKey.from_seed(b"\x22" * 32)
ES_JWK, ED_JWK = ES.public.jwk(), ED.public.jwk()
P384 = {"kty": "EC", "crv": "P-384", "x": "A" * 64, "y": "A" * 64}


@pytest.mark.parametrize(
    "jwk",
    [
        *(
            None,
            [],
            "x",
            {},
            {**ES_JWK, "kid": "x"},
            {**ED_JWK, "alg": "Ed25519"},
            ES.to_jwk(),
            ED.to_jwk(),
            P384,
        ),
        *(
            {**ES_JWK, "crv": "P-384"},
            {**ES_JWK, "crv": "secp256k1"},
            {**ES_JWK, "kty": "OKP"},
            {**ED_JWK, "kty": "EC"},
        ),
        *(
            {**ED_JWK, "crv": "X25519"},
            {**ED_JWK, "crv": "Ed448"},
            {"kty": "oct", "k": "AAAA"},
            {**ED_JWK, "y": ES_JWK["y"]},
        ),
        *(
            {**ES_JWK, "x": 5},
            {**ES_JWK, "x": ["A"]},
            {**ES_JWK, "x": "A"},
            {**ES_JWK, "x": f"{ES_JWK['x']}="},
        ),
        *(
            {**ES_JWK, "y": f"{ES_JWK['y']}AA"},
            {k: v for k, v in ES_JWK.items() if k != "y"},
            {**ED_JWK, "x": "é" * 43},
        ),
    ],
    ids=lambda jwk: json.dumps(jwk)[:60],
)
def test_other_jwks_are_refused(jwk: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        PublicKey.from_jwk(jwk)
    assert caught.value.code == "jwk"


@pytest.mark.parametrize("alg", ["ES256", "Ed25519"])
def test_thumbprints_agree_with_a_second_library(alg: Any) -> None:
    for _ in range(5):
        key = PrivateKey.generate(alg)
        imported = (ECKey if alg == "ES256" else OKPKey).import_key(key.public.jwk())
        assert imported.thumbprint() == key.kid == PublicKey.from_jwk(key.public.jwk()).kid


def test_thumbprint_vector_of_rfc_8037() -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert PublicKey.from_jwk(jwk).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_signing_vector_of_rfc_8032() -> None:
    key = PrivateKey.from_seed(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
    assert key.public.raw.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    signature = key.sign(b"\xaf\x82")
    assert signature.hex().startswith("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac")
    assert signature == Ed25519PrivateKey.from_private_bytes(key._secret).sign(b"\xaf\x82")


def test_signing_vector_of_rfc_6979() -> None:
    key = PrivateKey.from_scalar(bytes.fromhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"))
    signature = key.sign(b"sample")
    assert signature[:32].hex() == "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    assert signature[32:].hex() == "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"


@pytest.mark.parametrize("key", [ES, ED], ids=lambda key: key.alg)
@pytest.mark.parametrize("size", [0, 1, 63, 65, 72, 128])
def test_signatures_have_64_bytes(key: PrivateKey, size: int) -> None:
    signature = (key.sign(b"m") * 2)[:size]
    with pytest.raises(UnprovenError):
        verify_signature(key.public, b"m", signature)


@pytest.mark.parametrize(
    "r_and_s", [(0, 1), (1, 0), (0, 0), (ORDER, 1), (1, ORDER), (ORDER + 1, 1), (2**256 - 1, 2**256 - 1)]
)
def test_es256_values_lie_within_the_order(r_and_s: Point) -> None:
    with pytest.raises(UnprovenError):
        verify_signature(ES.public, b"m", p256(*r_and_s))


@pytest.mark.parametrize("key", [ES, ED], ids=lambda key: key.alg)
def test_bytes_never_move_between_signature_and_message(key: PrivateKey) -> None:
    """A library takes the two joined: a longer signature must not prove the rest of the message."""
    signature = key.sign(b"message")
    for moved, rest in ((signature + b"m", b"essage"), (signature[:-1], signature[-1:] + b"message")):
        with pytest.raises(UnprovenError):
            verify_signature(key.public, rest, moved)


def test_both_twins_of_es256_verify() -> None:
    for n in range(20):
        message = b"%d" % n
        signature = ES.sign(message)
        twin = signature[:32] + (ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
        verify_signature(ES.public, message, signature)
        verify_signature(ES.public, message, twin)


@given(st.binary(max_size=80), st.binary(min_size=64, max_size=64), st.sampled_from([ES, ED]))
@settings(deadline=None, max_examples=200)
def test_arbitrary_signatures_are_unproven_and_nothing_else(message: bytes, signature: bytes, key: PrivateKey) -> None:
    with pytest.raises(UnprovenError):
        verify_signature(key.public, message, signature)


@given(st.binary(min_size=30, max_size=66), st.sampled_from(["ES256", "Ed25519"]))
@settings(deadline=None, max_examples=200)
def test_arbitrary_key_bytes_are_sound_or_weak_and_nothing_else(raw: bytes, alg: Any) -> None:
    try:
        assert PublicKey.from_jwk(PublicKey.from_raw(alg, raw).jwk()).raw == raw
    except MalformedError as error:
        assert error.code == "weak_key"  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    "key", [ES, ED, PrivateKey.generate("ES256"), PrivateKey.generate("Ed25519")], ids=lambda key: key.alg
)
def test_private_keys_come_back_from_their_files_and_never_show_themselves(key: PrivateKey) -> None:
    again = PrivateKey.from_jwk(json.loads(json.dumps(key.to_jwk())))
    assert again.public == key.public
    assert again.sign(b"m") == key.sign(b"m")
    assert str(key.to_jwk()["d"]) not in repr(key) + str(key)
    assert key.kid in repr(key)


@pytest.mark.parametrize(
    "jwk",
    [
        *(
            None,
            [],
            ES_JWK,
            {**ES.to_jwk(), "d": 1},
            {**ES.to_jwk(), "d": "AA"},
            {**ES.to_jwk(), "d": ED.to_jwk()["d"]},
        ),
        *(
            {**ED.to_jwk(), "d": ES.to_jwk()["d"]},
            {**ES.to_jwk(), "d": "A" * 43},
            {**ES.to_jwk(), "use": "sig"},
        ),
        {**ES.to_jwk(), "d": b64url_encode(ORDER.to_bytes(32, "big"))},
    ],
    ids=lambda jwk: str(type(jwk)),
)
def test_damaged_private_jwks_are_refused(jwk: Any) -> None:
    with pytest.raises(MalformedError) as caught:
        PrivateKey.from_jwk(jwk)
    assert caught.value.code == "jwk"


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_private_keys_have_32_bytes(secret: bytes) -> None:
    for make in (PrivateKey.from_seed, PrivateKey.from_scalar):
        with pytest.raises(MalformedError):
            make(secret)


@pytest.mark.parametrize("scalar", [0, ORDER, 2**256 - 1])
def test_scalars_lie_within_the_order(scalar: int) -> None:
    with pytest.raises(MalformedError):
        PrivateKey.from_scalar(scalar.to_bytes(32, "big"))
