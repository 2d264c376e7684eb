"""Verify a time stamp: that an authority saw these very bytes at that time (RFC 3161; pure).

A stamp is kept as the authority's whole answer (TimeStampResp, DER), which `openssl ts -verify` reads, too. Its CMS
signature, the certificate chain at the stamp's own time and the critical purpose `timeStamping` are verified by
rfc3161-client, which builds on OpenSSL; what a verifier of evidence must add stands here:

- the imprint is over the bytes in hand, by SHA-256, SHA-384 or SHA-512, and nothing weaker was used for the
  signature or in the chain;
- the roots come from the caller; a certificate inside the answer never makes itself trusted.

Free to change without being noticed, since nobody signs it and it changes neither time nor authority: certificates
that the chain does not need, the version numbers of the message and of its signer, and the name of the signature's
algorithm where the key already decides it.

Not proven: that the authority's certificate was not revoked (an offline verifier has no list of revoked ones), that
its clock is right, and its ESSCertID attribute (RFC 5816), which the library does not show: the signer is known by
issuer and serial number under the roots. The accuracy that an authority states, often a second, is not added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from rfc3161_client import TimeStampResponse, VerificationError, VerifierBuilder, decode_timestamp_response

from app.audit.findings import printable
from app.audit.stamp_form import in_der_order
from app.errors import MalformedError, MissingError, ServiceError, UnprovenError

MAX_STAMP_BYTES = 64 * 1024
MAX_ROOTS_BYTES = 1024 * 1024
MAX_AUTHORITY = 200
MIN_RSA_BITS = 2048
GRANTED = 0
NO_STAMP = "The stamp is no answer of a time-stamping authority."
IMPRINTS = {"2.16.840.1.101.3.4.2.1": sha256, "2.16.840.1.101.3.4.2.2": sha384, "2.16.840.1.101.3.4.2.3": sha512}
WEAK = (hashes.MD5, hashes.SHA1, hashes.SHA224)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a stamp proves.

    `at_ms` is UTC milliseconds, of which the library reads whole seconds and drops the rest; `authority` is the
    subject of the certificate that signed (RFC 4514).
    """

    at_ms: int
    authority: str


def read_stamp(token: bytes, stamped: bytes, roots: bytes, *, nonce: int | None = None) -> Stamp:
    """Verify a stamp.

    Args:
        token: The authority's answer as received; anything at all.
        stamped: The bytes that it is to be about.
        roots: PEM bundle of the certificates that the caller trusts; empty when there are none.
        nonce: What the answer must repeat, when the caller has just asked.

    Returns:
        The time and the authority.

    Raises:
        MalformedError: `stamp`: not an answer of RFC 3161 in DER, or too large.
        UnprovenError: `stamp`: refused by the authority, over other bytes, with another nonce, too weak, signed by a
            certificate that may not or did not sign, or by one that only looks like the roots'.
        MissingError: `stamp_roots`: INCOMPLETE. No root was given, or none of those given issued anything in the
            answer, so that nothing can be said about it.
        MalformedError: `stamp_roots`: the bundle of roots is no PEM; the caller's own mistake.
    """
    trusted = read_roots(roots)
    if len(token) > MAX_STAMP_BYTES:
        raise MalformedError("The stamp is larger than such an answer can be.", code="stamp")
    try:
        return _read(token, stamped, trusted, nonce)
    except ServiceError:
        raise
    except VerificationError:
        raise UnprovenError("The stamp is not the authority's, or not for time stamps.", code="stamp") from None
    except Exception:  # noqa: BLE001 - two parsers of foreign bytes raise errors of many families
        raise MalformedError(NO_STAMP, code="stamp") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a parser's compiled part gave up; it is no `Exception`
            raise
        raise MalformedError(NO_STAMP, code="stamp") from None


def read_roots(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM bundle, each once; none of an empty one.

    Raises:
        MalformedError: `stamp_roots`: too large, or not PEM certificates.
    """
    if not pem.strip():
        return []
    if len(pem) > MAX_ROOTS_BYTES:
        raise MalformedError("The roots of time stamps are larger than such a bundle can be.", code="stamp_roots")
    try:
        return list(dict.fromkeys(x509.load_pem_x509_certificates(pem)))
    except Exception:  # noqa: BLE001 - PEM, ASN.1 and unknown versions fail in families of their own
        raise MalformedError(
            "The roots of time stamps are no PEM bundle of certificates.", code="stamp_roots"
        ) from None


def _read(token: bytes, stamped: bytes, trusted: Sequence[x509.Certificate], nonce: int | None) -> Stamp:
    answer = decode_timestamp_response(in_der_order(token))
    if answer.status != GRANTED:
        raise UnprovenError(f"The authority did not grant the stamp: status {answer.status}.", code="stamp")
    certificates = _certificates(answer)
    _refuse_other(answer, stamped, nonce)
    _refuse_weak(answer, certificates, trusted)
    _refuse_unknown(certificates, trusted)
    _verify(answer, stamped, trusted)
    return Stamp(int(answer.tst_info.gen_time.timestamp() * 1000), _signer(answer, certificates))


def _certificates(answer: TimeStampResponse) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in sorted(answer.signed_data.certificates)]


def _refuse_other(answer: TimeStampResponse, stamped: bytes, nonce: int | None) -> None:
    imprint = answer.tst_info.message_imprint
    hashed = IMPRINTS.get(imprint.hash_algorithm.dotted_string)
    if hashed is None:
        raise UnprovenError("The stamp names a hash other than SHA-256, SHA-384 and SHA-512.", code="stamp")
    if imprint.message != hashed(stamped).digest():
        raise UnprovenError("The stamp is over other bytes.", code="stamp")
    if nonce is not None and answer.tst_info.nonce != nonce:
        raise UnprovenError("The stamp answers another request.", code="stamp")


def _refuse_weak(
    answer: TimeStampResponse, certificates: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]
) -> None:
    """Refuse weak hashes of the signature, and of certificates that are not trusted for themselves."""
    if any(algorithm.dotted_string not in IMPRINTS for algorithm in answer.signed_data.digest_algorithms):
        raise UnprovenError("The stamp is signed over a weak hash.", code="stamp")
    for certificate in certificates:
        if certificate in trusted or certificate.issuer == certificate.subject:
            continue  # a root's own signature proves nothing, strong or weak
        key = certificate.public_key()
        is_short = isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS
        if is_short or isinstance(certificate.signature_hash_algorithm, WEAK):
            raise UnprovenError("A certificate of the stamp is too weak.", code="stamp")


def _refuse_unknown(certificates: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]) -> None:
    """Say that material is missing when the roots have nothing to do with the stamp.

    Raises:
        MissingError: `stamp_roots`.
    """
    if not trusted:
        raise MissingError("INCOMPLETE: no root certificate of the authority was given.", code="stamp_roots")
    names = {root.subject.public_bytes() for root in trusted}
    if not any(c.issuer.public_bytes() in names or c in trusted for c in certificates):
        raise MissingError(
            "INCOMPLETE: none of the root certificates given is the authority's; ask for the right one.",
            code="stamp_roots",
        )


def _verify(answer: TimeStampResponse, stamped: bytes, trusted: Sequence[x509.Certificate]) -> None:
    """Verify signature, chain at the stamp's time, purpose and imprint.

    Raises:
        VerificationError: One of them is wrong.
    """
    if not VerifierBuilder(roots=list(trusted)).build().verify_message(answer, stamped):
        raise VerificationError


def _signer(answer: TimeStampResponse, certificates: Sequence[x509.Certificate]) -> str:
    """Return the subject of the one certificate that signed; the library has verified that it did."""
    (info,) = answer.signed_data.signer_infos
    signer = next(c for c in certificates if c.issuer == info.issuer and c.serial_number == info.serial_number)
    name = printable(signer.subject.rfc4514_string())
    if not name or len(name) > MAX_AUTHORITY:
        raise UnprovenError("The certificate of the stamp names nobody, or says too much.", code="stamp")
    return name
