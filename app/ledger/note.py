"""Signed notes, c2sp.org/signed-note, with the cosignatures of c2sp.org/tlog-cosignature.

    <text, one or more lines>
    <empty line>
    — <key name> <base64(4 bytes of key id || signature)>        one or more such lines

Knows text, keys and signatures; must never know what a text means. Only what parsed is verified, and
only what verified may be believed: `Note.parse` alone proves nothing. Three signature types are known,
0x01 (a note), 0x04 and 0x06 (a witness's cosignature with its time, by Ed25519 and by ML-DSA-44); any other
counts as an unknown key.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from app.errors import MalformedError, UnprovenError
from app.ledger.cosignature import MAX_NAME_BYTES, MAX_TIME, ed25519_message, mldsa_message
from app.ledger.spelling import decode_base64, encode_base64

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 100

_SIGNATURE_PREFIX = "\u2014 "
_FORBIDDEN_IN_TEXT = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_FORBIDDEN_IN_NAME = re.compile("[\x00-\x1f+\ud800-\udfff]")
_KEY_ID = re.compile("[0-9a-f]{8}")
_FIELD_PRIME = 2**255 - 19
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER_Y = frozenset({0, 1, _FIELD_PRIME - 1, _ORDER_8_Y, _FIELD_PRIME - _ORDER_8_Y})


class SignatureType(IntEnum):
    """The signature type identifier bytes that we sign and verify."""

    NOTE = 0x01
    COSIGNATURE = 0x04
    MLDSA_COSIGNATURE = 0x06


COSIGNATURES = frozenset({SignatureType.COSIGNATURE, SignatureType.MLDSA_COSIGNATURE})
_PUBLIC_BYTES = {SignatureType.NOTE: 32, SignatureType.COSIGNATURE: 32, SignatureType.MLDSA_COSIGNATURE: 1312}
_SIGNATURE_BYTES = {SignatureType.NOTE: 64, SignatureType.COSIGNATURE: 64, SignatureType.MLDSA_COSIGNATURE: 2420}


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line; `blob` is what follows the key id, unverified.

    Raises:
        MalformedError: `note`; the name, key id or blob cannot stand on a signature line.
    """

    name: str
    key_id: bytes
    blob: bytes

    def __post_init__(self) -> None:
        """Refuse what no signature line can carry."""
        if not is_key_name(self.name) or len(self.key_id) != 4 or not self.blob:
            raise MalformedError("A signature line needs a key name, a key id and a signature.", code="note")

    @classmethod
    def parse(cls, line: str) -> Self:
        """Parse a signature line without its newline, exactly as `to_text` writes it.

        Raises:
            MalformedError: `note` or `base64`.
        """
        name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
        if not line.startswith(_SIGNATURE_PREFIX):
            raise MalformedError("A signature line begins with a dash (U+2014) and a space.", code="note")
        data = decode_base64(encoded)
        return cls(name, data[:4], data[4:])

    def to_text(self) -> str:
        """Write the signature line without its newline."""
        return f"{_SIGNATURE_PREFIX}{self.name} {encode_base64(self.key_id + self.blob)}"

    def cosigned_at(self) -> int:
        """Read the POSIX time of a verified cosignature, 0x04 or 0x06; meaningless for a note's signature."""
        return int.from_bytes(self.blob[:8], "big")


@dataclass(frozen=True, slots=True)
class Note:
    """A text with its signatures, well-formed but unverified.

    Raises:
        MalformedError: `note`; the text is empty, does not end in a newline or holds a control
            character, or the signatures are none or more than 100.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    def __post_init__(self) -> None:
        """Refuse what would not come back unchanged from `to_bytes` and `parse`."""
        if not self.text.endswith("\n") or _FORBIDDEN_IN_TEXT.search(self.text):
            raise MalformedError("A note is UTF-8 lines without control characters.", code="note")
        if not 1 <= len(self.signatures) <= MAX_SIGNATURES:
            raise MalformedError(f"A note has 1 to {MAX_SIGNATURES} signatures.", code="note")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a note, c2sp.org/signed-note "Format"; the signatures start after the last empty line.

        Raises:
            MalformedError: `note` or `base64`; not exactly what `to_bytes` writes, or over 64 KiB.
        """
        if len(data) > MAX_NOTE_BYTES:
            raise MalformedError(f"A note has at most {MAX_NOTE_BYTES} bytes.", code="note")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError("A note is UTF-8.", code="note") from error
        text, separator, block = whole.rpartition("\n\n")
        if not separator or not block.endswith("\n"):
            raise MalformedError("A note is a text, an empty line and signature lines.", code="note")
        lines = block[:-1].split("\n", MAX_SIGNATURES)
        return cls(text + "\n", tuple(NoteSignature.parse(line) for line in lines))

    def to_bytes(self) -> bytes:
        """Write the note as it is signed, served and stored."""
        lines = "".join(f"{signature.to_text()}\n" for signature in self.signatures)
        return f"{self.text}\n{lines}".encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key for one signature type, c2sp.org/signed-note "Verifier keys".

    Ed25519 for 0x01 and 0x04, ML-DSA-44 for 0x06. Ed25519 points of low order and encodings that are not
    canonical are refused, because verifiers disagree about them: a custodian could sign what we accept and an
    auditor's tool rejects.

    Raises:
        MalformedError: `verifier_key`; the name or the point cannot be used.
    """

    name: str
    type: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        """Refuse a name that no line can carry and a point that verifiers disagree about."""
        if not is_key_name(self.name) or len(self.name.encode()) > MAX_NAME_BYTES:
            raise MalformedError("A key name is 1 to 255 bytes without spaces and plus.", code="verifier_key")
        if len(self.public_key) != _PUBLIC_BYTES[self.type]:
            raise MalformedError("A public key of that type has another length.", code="verifier_key")
        if self.type is not SignatureType.MLDSA_COSIGNATURE and not _is_sound_point(self.public_key):
            raise MalformedError("This is no Ed25519 public key of full order.", code="verifier_key")

    @property
    def key_id(self) -> bytes:
        """Four bytes of SHA-256(name || 0x0A || type || public key), c2sp.org/signed-note "Signatures"."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public_key).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `<name>+<8 hex digits of key id>+<base64(type || public key)>`.

        Raises:
            MalformedError: `verifier_key` or `base64`; another type or form, or a key id that is wrong.
        """
        name, key_id, data = _split_key(text, "verifier_key")
        key = cls(name, SignatureType(data[0]), data[1:])
        if key.key_id.hex() != key_id:
            raise MalformedError("The key id does not belong to this key.", code="verifier_key")
        return key

    def to_text(self) -> str:
        """Write the key in the form that `parse` reads."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes([self.type]) + self.public_key)}"

    @property
    def is_cosigner(self) -> bool:
        """Say whether this is a witness's key and not a ledger's."""
        return self.type in COSIGNATURES

    @property
    def line_bytes(self) -> int:
        """The length of a signature line by this key, with its newline."""
        blob = _SIGNATURE_BYTES[self.type] + (8 if self.is_cosigner else 0)
        return len(f"{_SIGNATURE_PREFIX}{self.name} \n".encode()) + 4 * -(-(4 + blob) // 3)

    def accepts(self, text: str, blob: bytes) -> bool:
        """Tell whether `blob` is this key's signature over a note text (0x01) or cosignature (0x04, 0x06)."""
        signature, at = blob, 0
        if self.is_cosigner:
            at, signature = int.from_bytes(blob[:8], "big"), blob[8:]
        if at > MAX_TIME or len(signature) != _SIGNATURE_BYTES[self.type]:
            return False
        try:
            message = _message(self.type, self.name, text, at)
            if self.type is SignatureType.MLDSA_COSIGNATURE:
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature, message)
            elif _is_sound_point(signature[:32]):
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
            else:
                return False
        except (InvalidSignature, MalformedError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SignerKey:
    """A named private key for one signature type, in the text form of Go's x/mod: a seed of 32 bytes.

    Raises:
        MalformedError: `signer_key` or `verifier_key`; the name or the seed cannot be used.
    """

    name: str
    type: SignatureType
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what has no usable public half."""
        if len(self.seed) != 32:
            raise MalformedError("A seed has 32 bytes.", code="signer_key")
        self.verifier()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `PRIVATE+KEY+<name>+<8 hex digits of key id>+<base64(type || seed)>`.

        Raises:
            MalformedError: `signer_key`, `verifier_key` or `base64`; the text is never echoed.
        """
        if not text.startswith("PRIVATE+KEY+"):
            raise MalformedError("A signer key begins with PRIVATE+KEY+.", code="signer_key")
        name, key_id, data = _split_key(text.removeprefix("PRIVATE+KEY+"), "signer_key")
        key = cls(name, SignatureType(data[0]), data[1:])
        if key.verifier().key_id.hex() != key_id:
            raise MalformedError("The key id does not belong to this key.", code="signer_key")
        return key

    def to_text(self) -> str:
        """Write the key in the form that `parse` reads. This text is the secret itself."""
        data = encode_base64(bytes([self.type]) + self.seed)
        return f"PRIVATE+KEY+{self.name}+{self.verifier().key_id.hex()}+{data}"

    def verifier(self) -> VerifierKey:
        """Give the public half."""
        return _public(self.name, self.type, self.seed)

    def sign(self, text: str) -> NoteSignature:
        """Sign a note text, c2sp.org/signed-note "Ed25519 signatures".

        Raises:
            RuntimeError: The key is for another signature type.
        """
        return self._signature(SignatureType.NOTE, text.encode())

    def cosign(self, text: str, at: int) -> NoteSignature:
        """Cosign a checkpoint's text, c2sp.org/tlog-cosignature.

        Args:
            text: The note text of a checkpoint whose consistency the cosigner has verified.
            at: POSIX time in seconds; by c2sp.org/tlog-witness not zero.

        Raises:
            RuntimeError: The key is for another signature type, or the time out of range.
            MalformedError: The text is no checkpoint, which an ML-DSA-44 key needs.
        """
        if not 0 < at <= MAX_TIME:
            raise RuntimeError("a cosignature needs a POSIX time")
        if self.type not in COSIGNATURES:
            raise RuntimeError(f"a key of type {self.type:#04x} makes no cosignature")
        return self._signature(self.type, _message(self.type, self.name, text, at), at.to_bytes(8, "big"))

    def _signature(self, wanted: SignatureType, message: bytes, prefix: bytes = b"") -> NoteSignature:
        if self.type is not wanted:
            raise RuntimeError(f"a key of type {self.type:#04x} makes no signature of type {wanted:#04x}")
        signature = _private(self.type, self.seed).sign(message)
        return NoteSignature(self.name, self.verifier().key_id, prefix + signature)


def verify(note: Note, keys: Iterable[VerifierKey]) -> list[str]:
    """Verify a note, c2sp.org/signed-note "Signatures", and name the keys that signed it.

    Does not decide whether these names are enough: a quorum is the caller's. A key that signed twice is
    verified twice and named once.

    Args:
        note: Well-formed, not yet believed.
        keys: The keys that are trusted beforehand; signatures by any other are ignored.

    Returns:
        Names in the order of the signature lines, each once.

    Raises:
        UnprovenError: `note_signature`; a trusted key's signature is wrong, none is there, or two
            trusted keys share both name and key id.
    """
    return list(dict.fromkeys(key.name for key in verified_keys(note, keys)))


def verified_keys(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Do what `verify` does, and give the keys themselves, so that a caller can tell their types apart.

    Raises:
        UnprovenError: `note_signature`, as for `verify`.
    """
    trusted: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if trusted.setdefault((key.name, key.key_id), key) != key:
            raise UnprovenError("Two trusted keys share their name and key id.", code="note_signature")
    verified: dict[VerifierKey, None] = {}
    for signature in note.signatures:
        signer = trusted.get((signature.name, signature.key_id))
        if signer is None:
            continue
        if not signer.accepts(note.text, signature.blob):
            raise UnprovenError("A signature by a trusted key is wrong.", code="note_signature")
        verified[signer] = None
    if not verified:
        raise UnprovenError("No trusted key has signed this note.", code="note_signature")
    return list(verified)


def signed_only(data: bytes, keys: Iterable[VerifierKey]) -> bytes:
    """Return a note with the signatures of these keys alone, each once: what others put beside them is left out.

    Raises:
        MalformedError: It is no note.
        UnprovenError: `note_signature`, as for `verify`.
    """
    note = Note.parse(data)
    own = {(key.name, key.key_id) for key in verified_keys(note, keys)}
    kept = {(line.name, line.key_id): line for line in reversed(note.signatures)}
    return Note(note.text, tuple(line for name, line in reversed(kept.items()) if name in own)).to_bytes()


@lru_cache(maxsize=64)
def is_key_name(name: str) -> bool:
    """Tell whether a key name is non-empty and free of Unicode spaces, plus and control characters; few are asked."""
    return bool(name) and not any(c.isspace() or _FORBIDDEN_IN_NAME.match(c) for c in name)


def _split_key(text: str, code: str) -> tuple[str, str, bytes]:
    """Split name, key id and typed bytes; base64 may itself contain a plus."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise MalformedError("A key is a name, 8 hex digits and base64, joined by plus.", code=code)
    data = decode_base64(parts[2])
    if data[:1] not in {bytes([known]) for known in SignatureType}:
        raise MalformedError("Only keys of type 0x01, 0x04 and 0x06 are known here.", code=code)
    return parts[0], parts[1], data


def _message(kind: SignatureType, name: str, text: str, at: int) -> bytes:
    """Return what a key of this type signs; `at` counts for cosignatures only."""
    if kind is SignatureType.NOTE:
        return text.encode()
    return ed25519_message(text, at) if kind is SignatureType.COSIGNATURE else mldsa_message(name, text, at)


@lru_cache(maxsize=16)
def _private(kind: SignatureType, seed: bytes) -> Ed25519PrivateKey | MLDSA44PrivateKey:
    if kind is SignatureType.MLDSA_COSIGNATURE:
        return MLDSA44PrivateKey.from_seed_bytes(seed)
    return Ed25519PrivateKey.from_private_bytes(seed)


@lru_cache(maxsize=16)
def _public(name: str, kind: SignatureType, seed: bytes) -> VerifierKey:
    """Return the public half; remembered, as every group of events is signed by the same key."""
    return VerifierKey(name, kind, _private(kind, seed).public_key().public_bytes_raw())


def _is_sound_point(encoded: bytes) -> bool:
    """Tell whether 32 bytes are a canonical encoding (RFC 8032 section 5.1.3) of no low-order point.

    The sign bit is left aside: negating keeps the order. Being on the curve shows on verifying.
    """
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    return y < _FIELD_PRIME and y not in _LOW_ORDER_Y
