"""How hashes and numbers are spelled in the files of the C2SP family: in one way only (pure).

What has two spellings has two hashes: every reader here refuses whatever its writer would not have written.
"""

import re
from base64 import b64decode, b64encode

from app.errors import MalformedError

MAX_NUMBER = 2**63 - 1

_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")


def decode_base64(text: str) -> bytes:
    """Decode RFC 4648 section 4, padded, in the one spelling that encodes these bytes.

    Raises:
        MalformedError: `base64`; foreign characters, missing padding or stray trailing bits.
    """
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedError("This is not standard base64.", code="base64") from error
    if encode_base64(data) != text:
        raise MalformedError("This base64 is not canonical.", code="base64")
    return data


def encode_base64(data: bytes) -> str:
    """Encode with RFC 4648 section 4, padded, on one line."""
    return b64encode(data).decode("ascii")


def parse_decimal(text: str) -> int:
    """Parse an ASCII decimal without sign and leading zeros, at most 2^63 - 1.

    Raises:
        MalformedError: `decimal`; any other spelling, or a larger number.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_NUMBER:
        raise MalformedError("This is no decimal below 2^63 without leading zeros.", code="decimal")
    return int(text)
