"""Signatures: which keys are sound, what an envelope may look like, and whether it is proven.

Room `keys`, pure. Knows JWS, ES256 and Ed25519; must never know who holds a key, whether it was
enrolled, or what the payload says: callers bring the key for a `kid`. Second step of the walk, after
`canon.parse_json`. The offline verifier runs this very code.

Libraries disagree about edge cases of Ed25519, so the edge cases are refused: weak keys when a key is
read or loaded, small-order and non-canonical R and S >= L at every signature. ES256 accepts high s,
hence signature bytes identify nothing. The header chooses nothing: `alg` must be the key's own.

Spec: RFC 7515 section 7.2.1, RFC 7638, RFC 8032, RFC 9864; security reference section 2; ledger
reference sections 2 and 8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError

from app.canon import JsonValue, b64url_decode, b64url_encode, jcs, parse_json, sha256
from app.errors import MalformedError, TooLargeError, UnprovenError
from app.quick import quick

Algorithm: TypeAlias = Literal["ES256", "Ed25519"]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("ES256", "Ed25519")

EVENT_TYP: Final = "custody-event+json"
MAX_SIGNATURES: Final = 16
MAX_PAYLOAD_BYTES: Final = 16 * 1024
SIGNATURE_BYTES: Final = 64
_MAX_PAYLOAD_CHARACTERS: Final = -(-MAX_PAYLOAD_BYTES * 4 // 3)
_MAX_HEADER_CHARACTERS: Final = 342  # 256 bytes; ours have about 100
_CACHE_SIZE: Final = 4096

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_ECDSA_SHA256: Final = ec.ECDSA(SHA256())

_ED25519_PRIME: Final = 2**255 - 19
_ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
# The four points of order 8 have this y or its negative; the other small-order points have y = 0, 1 or -1.
_ORDER_8_Y: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826


def _encodings(*ys: int) -> frozenset[bytes]:
    return frozenset((y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1))


SMALL_ORDER_POINTS: Final = _encodings(
    *(0, 1, _ED25519_PRIME - 1, _ED25519_PRIME, _ED25519_PRIME + 1, _ORDER_8_Y, _ED25519_PRIME - _ORDER_8_Y)
)
"""The 14 encodings, canonical or not, of the 8 points of small order (security reference section 2)."""
NON_CANONICAL_POINTS: Final = _encodings(*range(_ED25519_PRIME, 2**255))
"""The 38 encodings with y >= p."""
_REFUSED_POINTS: Final = SMALL_ORDER_POINTS | NON_CANONICAL_POINTS


@quick
@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signs, named by its RFC 7638 thumbprint.

    Build it with `from_raw` or `from_jwk`, which refuse weak keys; the plain constructor is for rows
    of keys enrolled that way, and `verify_signature` refuses a weak one even then.

    Attributes:
        kid: base64url of the thumbprint, 43 characters.
        alg: The only algorithm this key is used with.
        raw: Ed25519: 32 bytes; ES256: x and y, 64 bytes.
    """

    kid: str
    alg: Algorithm
    raw: bytes

    @classmethod
    def from_raw(cls, alg: Algorithm, raw: bytes) -> "PublicKey":
        """Make a sound key out of its bytes.

        Args:
            alg: Its algorithm.
            raw: 32 bytes (Ed25519) or x and y of 32 bytes each (ES256).

        Returns:
            The key, its `kid` computed.

        Raises:
            MalformedError: `weak_key`, wrong length, not on the curve, small or mixed order, or not
                canonical.

        Spec: RFC 7638; security reference section 2.
        """
        _load(alg, raw)
        return cls(kid=b64url_encode(sha256(jcs(_jwk(alg, raw)))), alg=alg, raw=raw)

    @classmethod
    def from_jwk(cls, jwk: JsonValue) -> "PublicKey":
        """Make a sound key out of a public JWK with exactly the required members.

        Args:
            jwk: `{crv, kty, x, y}` for P-256 or `{crv, kty, x}` for Ed25519, nothing else.

        Returns:
            The key, its `kid` computed.

        Raises:
            MalformedError: `jwk`, other members, curve or lengths; `weak_key` as in `from_raw`.

        Spec: RFC 7517, RFC 7518 section 6.2.1, RFC 8037 section 2.
        """
        match jwk:
            case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y), **rest} if not rest:
                return cls.from_raw("ES256", _coordinate(x) + _coordinate(y))
            case {"kty": "OKP", "crv": "Ed25519", "x": str(x), **rest} if not rest:
                return cls.from_raw("Ed25519", _coordinate(x))
        raise MalformedError("A public key is a JWK of P-256 or Ed25519, required members only.", code="jwk")

    def jwk(self) -> dict[str, JsonValue]:
        """Return the public JWK, exactly the members that the thumbprint covers (RFC 7638 section 3.2)."""
        return _jwk(self.alg, self.raw)


def _jwk(alg: Algorithm, raw: bytes) -> dict[str, JsonValue]:
    if alg == "Ed25519":
        return {"crv": "Ed25519", "kty": "OKP", "x": b64url_encode(raw)}
    return {"crv": "P-256", "kty": "EC", "x": b64url_encode(raw[:32]), "y": b64url_encode(raw[32:])}


def _coordinate(text: str) -> bytes:
    try:
        return b64url_decode(text, length=32)
    except MalformedError:
        raise MalformedError("A coordinate of a JWK is 32 bytes of base64url.", code="jwk") from None


@lru_cache(maxsize=_CACHE_SIZE)
def _load(alg: Algorithm, raw: bytes) -> ec.EllipticCurvePublicKey | bytes:
    """Return what the library verifies with, for a sound key; refusals are not remembered."""
    if alg == "Ed25519":
        if len(raw) == 32 and raw not in _REFUSED_POINTS and crypto_core_ed25519_is_valid_point(raw):
            return raw
    elif len(raw) == 64:  # uncompressed points cannot say infinity
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)
        except ValueError:
            pass
    raise MalformedError("The public key is weak or is no point of its curve.", code="weak_key")


def verify_signature(key: PublicKey, message: bytes, signature: bytes) -> None:
    """Prove that the key's holder signed exactly these bytes.

    Every conforming verifier gives the same answer, since the inputs on which they differ are refused.

    Args:
        key: The signer's key; its soundness is examined again (and remembered).
        message: The bytes that were signed.
        signature: 64 bytes: r and s (ES256; high s is fine) or R and S (Ed25519).

    Raises:
        UnprovenError: `signature`, it does not verify; `weak_key`, the key is unsound.

    Spec: RFC 7518 section 3.4, RFC 8032 section 5.1.7 (cofactorless); security reference section 2.
    """
    try:
        loaded = _load(key.alg, key.raw)
    except MalformedError as error:
        raise UnprovenError(error.detail, code="weak_key") from None
    if len(signature) != SIGNATURE_BYTES:
        sound = False
    elif isinstance(loaded, bytes):
        sound = _ed25519(loaded, message, signature)
    else:
        sound = _es256(loaded, message, signature)
    if not sound:
        raise UnprovenError("A signature does not verify.", code="signature")


def _ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    if signature[:32] in _REFUSED_POINTS or int.from_bytes(signature[32:], "little") >= _ED25519_ORDER:
        return False
    try:
        crypto_sign_open(signature + message, public)
    except BadSignatureError:
        return False
    return True


def _es256(public: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < _P256_ORDER and 0 < s < _P256_ORDER):
        return False
    try:
        public.verify(encode_dss_signature(r, s), message, _ECDSA_SHA256)
    except InvalidSignature:
        return False
    return True


@quick
@dataclass(frozen=True, slots=True)
class JwsSignature:
    """One signature of an envelope, its header read but nothing verified."""

    protected_b64: str
    kid: str
    alg: Algorithm
    signature_b64: str
    signature: bytes


@quick
@dataclass(frozen=True, slots=True)
class Jws:
    """An envelope of the right shape: text as received beside the decoded bytes."""

    payload_b64: str
    payload: bytes
    signatures: tuple[JwsSignature, ...]


def parse_jws(value: JsonValue, *, typ: str = EVENT_TYP) -> Jws:
    """Read JWS General JSON Serialization in our closed grammar; nothing is verified yet.

    Only `payload` and `signatures`; in each signature only `protected` and `signature`; in the
    protected header only `alg`, `kid`, `typ`. So no header can bring its own key or change what is
    signed. The payload is decoded and not parsed.

    Args:
        value: What `parse_json` returned.
        typ: The one purpose for which these signatures count.

    Returns:
        The envelope, signatures in the order received.

    Raises:
        MalformedError: `jws_shape`, `jws_header`, `jws_typ`, `jws_alg`, `jws_duplicate_kid`, `base64`,
            or a code of `parse_json` for the header.
        TooLargeError: `payload_too_large`, a payload over 16 KiB.

    Spec: RFC 7515 section 7.2.1; design section 5; security reference section 2, "JWS".
    """
    if not isinstance(value, dict) or len(value) != 2:
        raise _misshapen()
    payload_b64, listed = value.get("payload"), value.get("signatures")
    if not isinstance(payload_b64, str) or not isinstance(listed, list):
        raise _misshapen()
    if not 0 < len(listed) <= MAX_SIGNATURES:
        raise _misshapen()
    payload = _payload(payload_b64)
    signatures = tuple([_parse_signature(item, typ) for item in listed])
    if len({signature.kid for signature in signatures}) != len(signatures):
        raise MalformedError("A key signs an event once.", code="jws_duplicate_kid")
    return Jws(payload_b64=payload_b64, payload=payload, signatures=signatures)


def parse_compact(text: str, *, typ: str) -> Jws:
    """Read JWS Compact Serialization, the form of receipts, in the same closed grammar.

    Args:
        text: `header.payload.signature`.
        typ: The one purpose for which the signature counts.

    Returns:
        An envelope with one signature, for `prove`; then `payload` is proven.

    Raises:
        MalformedError, TooLargeError: As `parse_jws`.

    Spec: RFC 7515 section 7.1.
    """
    parts = text.split(".", 3)
    if len(parts) != 3:
        raise _misshapen()
    signature: JsonValue = {"protected": parts[0], "signature": parts[2]}
    return parse_jws({"payload": parts[1], "signatures": [signature]}, typ=typ)


def _misshapen() -> MalformedError:
    return MalformedError("The envelope has exactly payload and 1 to 16 signatures.", code="jws_shape")


def _payload(payload_b64: str) -> bytes:
    if len(payload_b64) > _MAX_PAYLOAD_CHARACTERS:  # exact, as the encoding is canonical
        limit = MAX_PAYLOAD_BYTES
        raise TooLargeError("The payload exceeds 16 KiB.", code="payload_too_large", max_bytes=limit)
    return b64url_decode(payload_b64)


def _parse_signature(item: JsonValue, typ: str) -> JwsSignature:
    if not isinstance(item, dict) or len(item) != 2:
        raise _misshapen()
    protected_b64, signature_b64 = item.get("protected"), item.get("signature")
    if not isinstance(protected_b64, str) or not isinstance(signature_b64, str):
        raise _misshapen()
    alg, kid, signed_typ = _parse_header(protected_b64)
    if signed_typ != typ:
        raise MalformedError("A signature was made for another purpose.", code="jws_typ")
    signature = b64url_decode(signature_b64, length=SIGNATURE_BYTES)
    return JwsSignature(protected_b64, kid, alg, signature_b64, signature)


@lru_cache(maxsize=_CACHE_SIZE)
def _parse_header(protected_b64: str) -> tuple[Algorithm, str, str]:
    """Return alg, kid and typ. Remembered, as a phone sends the same header with every event."""
    fits = len(protected_b64) <= _MAX_HEADER_CHARACTERS
    header = parse_json(b64url_decode(protected_b64), max_bytes=256) if fits else None
    match header:
        case {"alg": alg, "kid": str(kid), "typ": str(typ), **rest} if not rest:
            b64url_decode(kid, length=32)
        case _:
            raise MalformedError("A protected header has exactly alg, kid and typ.", code="jws_header")
    if alg not in ALGORITHMS:
        raise MalformedError("Signatures are ES256 or Ed25519.", code="jws_alg")
    return cast("Algorithm", alg), kid, typ


def prove(jws: Jws, key_of: Callable[[str], PublicKey | None]) -> None:
    """Prove every signature that an envelope lists, under the signers' own keys.

    It does not decide whether a key was valid, may act, or had to sign.

    Args:
        jws: What `parse_jws` returned.
        key_of: The enrolled key with that kid, or None.

    Raises:
        UnprovenError: `unknown_key` (`facts["kid"]`), `key_alg` (`facts["kid"]`), `weak_key`, or
            `signature`. Keys are looked up, and refused, before any signature is computed.

    Spec: RFC 7515 section 5.2; design section 5; ledger reference section 2.
    """
    if not jws.signatures:
        raise RuntimeError("an envelope without signatures proves nothing")
    keys = [_signer(signature, key_of) for signature in jws.signatures]
    payload = jws.payload_b64.encode()
    for key, signature in zip(keys, jws.signatures, strict=True):
        verify_signature(key, signature.protected_b64.encode() + b"." + payload, signature.signature)


def _signer(signature: JwsSignature, key_of: Callable[[str], PublicKey | None]) -> PublicKey:
    key = key_of(signature.kid)
    if key is None or key.kid != signature.kid:
        raise UnprovenError("A signing key is not enrolled here.", code="unknown_key", kid=signature.kid)
    if key.alg != signature.alg:
        raise UnprovenError("A signature names another algorithm.", code="key_alg", kid=signature.kid)
    return key
