"""The squares of a label's code: QR version 3 at level Q, always 29 by 29 modules.

Knows the QR symbol and nothing of units or paper. Every label has the same version, so every label has the
same size. The mask is fixed by default: choosing it as ISO/IEC 18004 describes costs nearly ten times as much
(270 against 2 600 matrices a second), and readers take the mask from the symbol, so any mask decodes.
"""

from qrcode import constants, util
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode

from app.errors import RefusedError

Matrix = tuple[tuple[bool, ...], ...]
"""Rows from the top, each from the left; True is a dark module. The quiet zone is not in it."""

VERSION = 3
SIDE_MODULES = 29
QUIET_MODULES = 4

FIXED_MASK = 4
"""Lowest mean penalty of the eight masks over 100 random addresses of ours (566; mask 0 has 678)."""


def matrix(text: str, *, mask: int | None = FIXED_MASK) -> Matrix:
    """Draw a text of QR alphanumeric characters as modules.

    Args:
        text: At most 47 characters of `0-9 A-Z space $ % * + - . / :`.
        mask: Mask pattern 0 to 7; None lets the library choose as the standard says, slowly.

    Returns:
        29 rows of 29 modules.

    Raises:
        RefusedError: `label_text`: the text does not fit version 3 at level Q or is not alphanumeric.
    """
    code = QRCode(version=VERSION, error_correction=constants.ERROR_CORRECT_Q, border=0, mask_pattern=mask)
    try:
        code.add_data(util.QRData(text.encode("ascii"), mode=util.MODE_ALPHA_NUM), optimize=0)
        code.make(fit=False)
    except (ValueError, DataOverflowError) as error:
        raise RefusedError("The text does not fit the code of a label.", code="label_text") from error
    return tuple(tuple(map(bool, row)) for row in code.modules)


def packed_rows(modules: Matrix) -> bytes:
    """Pack modules to one bit each, dark as 1, every row padded to whole bytes: 29 times 4 bytes."""
    width = (len(modules) + 7) // 8
    pad = width * 8 - len(modules)
    return b"".join((_bits(row) << pad).to_bytes(width, "big") for row in modules)


def _bits(row: tuple[bool, ...]) -> int:
    value = 0
    for dark in row:
        value = value << 1 | dark
    return value
