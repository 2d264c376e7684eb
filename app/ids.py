"""Names that mean nothing: unit ids with their check character, and event ids.

Ground floor. Knows how an id is written, typed, printed and made; must never know what it names. A
mistyped unit id is refused here, before any database access. Randomness is passed in.

Spec: design section 4; exchange reference section 8; RFC 9562 section 5.7 (UUIDv7).
"""

import re
from typing import Final, NoReturn

from app.errors import MalformedError

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
UNIT_ID_LENGTH: Final = 17
UNIT_ID_RANDOM_BYTES: Final = 10
EVENT_ID_RANDOM_BYTES: Final = 10
_MAX_TYPED_CHARACTERS: Final = 64
_FIELD_POLYNOMIAL: Final = 0b100101

_FOLDED: Final = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})
_SHAPE: Final = re.compile(f"[{ALPHABET}]{{{UNIT_ID_LENGTH}}}")
_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

# One byte per character: its value, or the high bit for what is not in the alphabet.
_FOREIGN: Final = 0x80
_VALUES: Final = bytes(ALPHABET.index(chr(byte)) if chr(byte) in ALPHABET else _FOREIGN for byte in range(256))
_ANY_FOREIGN: Final = int.from_bytes(bytes([_FOREIGN]) * UNIT_ID_LENGTH, "big")


def _weights() -> tuple[int, ...]:
    """Return alpha^1 .. alpha^16 in GF(2^5), then 1 for the check character itself."""
    weights, power = [], 1
    for _ in range(UNIT_ID_LENGTH - 1):
        power = _double(power)
        weights.append(power)
    return (*weights, 1)


def _double(value: int) -> int:
    return value << 1 ^ (_FIELD_POLYNOMIAL if value & 0b10000 else 0)


def _multiply(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left, right = _double(left), right >> 1
    return product


_WEIGHTS: Final = _weights()


def _parity_mask(bit: int) -> int:
    """Return which bits of the 17 value bytes XOR into `bit` of the checksum: the code is linear."""
    mask = 0
    for weight in _WEIGHTS:
        mask <<= 8
        for place in range(5):
            mask |= (_multiply(weight, 1 << place) >> bit & 1) << place
    return mask


_MASK_0, _MASK_1, _MASK_2, _MASK_3, _MASK_4 = (_parity_mask(bit) for bit in range(5))


def check_character(first16: str) -> str:
    """Compute the check character of an id's sixteen random characters.

    It is the XOR over i = 0..15 of alpha^(i+1) times the value of character i, in GF(2^5) with
    x^5 + x^2 + 1 and alpha = 2. It finds every single wrong character and every swap of two.

    Args:
        first16: Sixteen characters of `ALPHABET`.

    Returns:
        The seventeenth character.

    Raises:
        MalformedError: `unit_id`, not sixteen characters of the alphabet.

    Spec: exchange reference section 8; domain reference section 5.
    """
    if not _SHAPE.fullmatch(first16 + "0"):
        _refuse_shape()
    value = 0
    for character, weight in zip(first16, _WEIGHTS, strict=False):
        value ^= _multiply(ALPHABET.index(character), weight)
    return ALPHABET[value]


def is_unit_id(text: str) -> bool:
    """Tell whether text is a unit id in canonical form: the hot path's test, about half a microsecond.

    Args:
        text: Seventeen upper-case characters, check included; nothing is folded or dropped.

    Returns:
        True when it is exactly one id that could have been issued.

    Spec: design section 4.
    """
    if len(text) != UNIT_ID_LENGTH or not text.isascii():
        return False
    values = int.from_bytes(text.encode().translate(_VALUES), "big")
    return not (
        values & _ANY_FOREIGN
        or (values & _MASK_0).bit_count() & 1
        or (values & _MASK_1).bit_count() & 1
        or (values & _MASK_2).bit_count() & 1
        or (values & _MASK_3).bit_count() & 1
        or (values & _MASK_4).bit_count() & 1
    )


def parse_unit_id(text: str) -> str:
    """Read an id as people type it and cameras see it.

    Args:
        text: Any case; I and L count as 1, O as 0; hyphens and spaces are dropped.

    Returns:
        The canonical seventeen characters.

    Raises:
        MalformedError: `unit_id`, not seventeen characters of the alphabet; `label_checksum`, the
            check character contradicts the rest: a misread label.

    Spec: design section 4; exchange reference section 8, "Typed input".
    """
    # ASCII before folding: upper() turns some foreign letters into I and S.
    if len(text) > _MAX_TYPED_CHARACTERS or not text.isascii():
        _refuse_shape()
    unit_id = text.upper().translate(_FOLDED)
    if not _SHAPE.fullmatch(unit_id):
        _refuse_shape()
    if not is_unit_id(unit_id):
        raise MalformedError("The id was misread: its check character does not fit.", code="label_checksum")
    return unit_id


def _refuse_shape() -> NoReturn:
    raise MalformedError("A unit id has 17 characters, check character included.", code="unit_id")


def new_unit_id(random_bytes: bytes) -> str:
    """Make an id out of 80 random bits.

    Args:
        random_bytes: Ten bytes of a cryptographic generator; a guessable id would leak ballot totals.

    Returns:
        A canonical id. Uniqueness is the store's to enforce.

    Raises:
        RuntimeError: Not ten bytes, which is our own mistake.

    Spec: exchange reference section 8.
    """
    if len(random_bytes) != UNIT_ID_RANDOM_BYTES:
        raise RuntimeError("a unit id takes 10 random bytes")
    number = int.from_bytes(random_bytes, "big")
    first16 = "".join(ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))
    return first16 + check_character(first16)


def group4(unit_id: str) -> str:
    """Set an id in groups of four for print, the check character last and alone.

    Args:
        unit_id: A canonical id; not verified.

    Returns:
        `7K3M 9QXA 2BTW 5R0E K`; `parse_unit_id` takes it back.

    Spec: design section 4, "readable text".
    """
    return " ".join(unit_id[start : start + 4] for start in range(0, len(unit_id), 4))


def new_event_id(ms: int, random: bytes) -> str:
    """Make a UUIDv7.

    Args:
        ms: UTC milliseconds since 1970, below 2^48.
        random: Ten bytes; the low 74 bits are used.

    Returns:
        Canonical lower-case text; sorts by time.

    Raises:
        RuntimeError: Not ten bytes, or a time out of range, which is our own mistake.

    Spec: RFC 9562 section 5.7.
    """
    if len(random) != EVENT_ID_RANDOM_BYTES or not 0 <= ms < 1 << 48:
        raise RuntimeError("an event id takes a 48-bit time and 10 random bytes")
    bits = int.from_bytes(random, "big")
    high, low = bits >> 62 & 0xFFF, bits & (1 << 62) - 1
    digits = f"{ms << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_uuid7(text: str) -> str:
    """Accept an event id in its one canonical form.

    Args:
        text: Lower case, hyphens in place, version 7, RFC variant.

    Returns:
        The same text.

    Raises:
        MalformedError: `event_id`, anything else.

    Spec: RFC 9562 sections 4 and 5.7; design section 5.
    """
    if not _UUID7.fullmatch(text):
        raise MalformedError("An event id is a UUIDv7 in lower case.", code="event_id")
    return text
