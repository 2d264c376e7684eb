"""Making signatures: what phones, the service's own keys, the demo and tests share.

Room `keys`, pure but for randomness. Knows how to sign in the forms that `app.keys.verify` accepts;
must never know what is signed, nor touch key files: a caller stores what `to_jwk` returns.

Spec: RFC 7515 sections 7.1 and 7.2.1, RFC 6979, RFC 8032; design section 5; security reference section 2.
"""

import secrets
from collections.abc import Sequence
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from app.canon import JsonValue, b64url_decode, b64url_encode, jcs
from app.errors import MalformedError
from app.keys.verify import EVENT_TYP, SIGNATURE_BYTES, Algorithm, PublicKey

# RFC 6979: no randomness can fail at signing time, and worked examples are reproducible.
_ECDSA_SHA256: Final = ec.ECDSA(SHA256(), deterministic_signing=True)


class PrivateKey:
    """A secret that signs; it shows its kid and never itself.

    Attributes:
        public: The key that verifies.
    """

    def __init__(self, alg: Algorithm, secret: bytes) -> None:
        """Take a secret; `generate`, `from_seed`, `from_scalar` and `from_jwk` are the usual ways.

        Args:
            alg: Its algorithm.
            secret: 32 bytes: the seed (Ed25519) or the scalar, big-endian (ES256).

        Raises:
            MalformedError: `jwk`, not 32 bytes or a scalar outside [1, n-1].
        """
        if len(secret) != 32:
            raise MalformedError("A private key has 32 bytes.", code="jwk")
        self._secret = secret
        if alg == "Ed25519":
            raw, self._expanded = crypto_sign_seed_keypair(secret)
        else:
            self._scalar = _derive(secret)
            point = self._scalar.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            raw = point[1:]
        self.public = PublicKey.from_raw(alg, raw)

    @classmethod
    def generate(cls, alg: Algorithm) -> Self:
        """Make a new key from the system's generator.

        Args:
            alg: `ES256` or `Ed25519`.
        """
        while True:
            try:
                return cls(alg, secrets.token_bytes(32))
            except MalformedError:  # a scalar of zero or beyond n: once in 2^32 tries
                continue

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Make an Ed25519 key.

        Args:
            seed: 32 bytes (RFC 8032 section 5.1.5).
        """
        return cls("Ed25519", seed)

    @classmethod
    def from_scalar(cls, scalar: bytes) -> Self:
        """Make an ES256 key.

        Args:
            scalar: 32 bytes, big-endian, in [1, n-1].
        """
        return cls("ES256", scalar)

    @classmethod
    def from_jwk(cls, jwk: JsonValue) -> Self:
        """Read a private JWK that `to_jwk` wrote.

        Args:
            jwk: The public members and `d`, nothing else.

        Returns:
            The key; its public part is computed and compared.

        Raises:
            MalformedError: `jwk` or `weak_key`; also when `d` is another key's.

        Spec: RFC 7518 section 6.2.2, RFC 8037 section 2.
        """
        secret = jwk.get("d") if isinstance(jwk, dict) else None
        if not isinstance(jwk, dict) or not isinstance(secret, str):
            raise MalformedError("A private key is a JWK with d.", code="jwk")
        public = PublicKey.from_jwk({name: member for name, member in jwk.items() if name != "d"})
        try:
            key = cls(public.alg, b64url_decode(secret, length=32))
        except MalformedError:
            raise MalformedError("A private key has 32 bytes of base64url.", code="jwk") from None
        if key.public != public:
            raise MalformedError("The private part belongs to another key.", code="jwk")
        return key

    @property
    def alg(self) -> Algorithm:
        """The only algorithm this key is used with."""
        return self.public.alg

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint of the public part."""
        return self.public.kid

    def to_jwk(self) -> dict[str, JsonValue]:
        """Return the private JWK. It is the secret: only for a key file with owner-only access."""
        return {**self.public.jwk(), "d": b64url_encode(self._secret)}

    def sign(self, message: bytes) -> bytes:
        """Sign bytes.

        Args:
            message: What to sign; the caller separates domains (`typ`).

        Returns:
            64 bytes: R and S (Ed25519), or r and s, big-endian (ES256, deterministic, s as it falls).
        """
        if self.alg == "Ed25519":
            return crypto_sign(message, self._expanded)[:SIGNATURE_BYTES]
        r, s = decode_dss_signature(self._scalar.sign(message, _ECDSA_SHA256))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def __repr__(self) -> str:
        """Show the kid, so that no log or traceback shows the secret."""
        return f"PrivateKey(kid={self.kid!r}, alg={self.alg!r})"


def _derive(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
    except ValueError:
        raise MalformedError("A P-256 scalar lies in [1, n-1].", code="jwk") from None


def sign_jws(payload: bytes, signers: Sequence[PrivateKey], typ: str = EVENT_TYP) -> dict[str, JsonValue]:
    """Wrap bytes in an envelope with one signature per signer.

    Args:
        payload: The bytes to carry, as they are.
        signers: In the order their signatures will have.
        typ: The purpose for which the signatures count.

    Returns:
        JWS General JSON Serialization, ready for `parse_jws`.

    Spec: RFC 7515 section 7.2.1; design section 5.
    """
    payload_b64 = b64url_encode(payload)
    signatures: list[JsonValue] = [_signature(payload_b64, signer, typ) for signer in signers]
    return {"payload": payload_b64, "signatures": signatures}


def sign_compact(payload: bytes, signer: PrivateKey, typ: str) -> str:
    """Sign bytes in the one-line form of receipts.

    Args:
        payload: The bytes to carry, as they are.
        signer: The one signer.
        typ: The purpose for which the signature counts.

    Returns:
        JWS Compact Serialization, for `parse_compact`.

    Spec: RFC 7515 section 7.1.
    """
    payload_b64 = b64url_encode(payload)
    signed = _signature(payload_b64, signer, typ)
    return f"{signed['protected']}.{payload_b64}.{signed['signature']}"


def _signature(payload_b64: str, signer: PrivateKey, typ: str) -> dict[str, JsonValue]:
    protected = b64url_encode(jcs({"alg": signer.alg, "kid": signer.kid, "typ": typ}))
    signature = signer.sign(f"{protected}.{payload_b64}".encode("ascii"))
    return {"protected": protected, "signature": b64url_encode(signature)}
