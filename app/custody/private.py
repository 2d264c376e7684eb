"""Private contents beside an event: salted commitments opened at intake, stored apart, erasable (pure).

The payload carries `private: {name: commitment}`; the contents travel beside the JWS and are checked against
it: commitment = SHA-256(salt || body), the salt 32 bytes (design section 5).
"""

from dataclasses import dataclass

from app.canon import JsonValue, b64url_decode, b64url_encode, sha256
from app.errors import MalformedError

SALT_BYTES = 32
MAX_BODY_BYTES = 16 * 1024


def commitment(salt: bytes, body: bytes) -> str:
    """Return the commitment to a private content, base64url."""
    return b64url_encode(sha256(salt + body))


@dataclass(frozen=True, slots=True)
class PrivateContent:
    """One private content that opens its commitment."""

    name: str
    salt: bytes
    body: bytes

    @classmethod
    def parse_all(cls, value: JsonValue, committed: dict[str, str]) -> tuple["PrivateContent", ...]:
        """Read the `private` member of a body; contents may be missing, but none may be unknown or wrong.

        Raises:
            MalformedError: `private` for a wrong shape, an unknown name or a body of more than 16 KiB;
                `commitment` when a content does not open its commitment.
        """
        if value is None:
            return ()
        if not isinstance(value, dict):
            raise MalformedError("`private` is an object of name to salt and body.", code="private")
        return tuple(cls._parse(name, item, committed) for name, item in sorted(value.items()))

    @classmethod
    def _parse(cls, name: str, item: JsonValue, committed: dict[str, str]) -> "PrivateContent":
        if name not in committed or not isinstance(item, dict) or set(item) != {"salt", "body"}:
            raise MalformedError("A private content has a committed name, a salt and a body.", code="private")
        salt_text, body_text = item["salt"], item["body"]
        if not isinstance(salt_text, str) or not isinstance(body_text, str):
            raise MalformedError("Salt and body are base64url text.", code="private")
        salt, body = b64url_decode(salt_text, length=SALT_BYTES), b64url_decode(body_text)
        if len(body) > MAX_BODY_BYTES:
            raise MalformedError("A private content has at most 16 KiB.", code="private")
        if commitment(salt, body) != committed[name]:
            raise MalformedError("A private content does not open its commitment.", code="commitment", name=name)
        return cls(name, salt, body)
