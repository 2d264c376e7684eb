"""The cells of a plan's table: what a spreadsheet writes, read strictly; what we write, made harmless (pure).

A cell that could be read in two ways is refused with what to write instead: `1.250` is 1,250 in Jakarta and one and a
quarter elsewhere, `03/04/2024` is two days. A cell that a spreadsheet would calculate (it begins with =, +, - or @) is
never taken and never given: on the way out it gets an apostrophe in front, which the way in takes off again.
"""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

from app.clock import parse_rfc3339
from app.errors import MalformedError

MAX_CELL = 200
MOST = 2**31
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}")
_LOCAL = re.compile(r"(20\d\d-\d\d-\d\d)[ T](\d\d)[:.](\d\d)(?:[:.](\d\d))?")
_OFFSET = re.compile(r"20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_THOUSANDS = re.compile(r"\d{1,3}([.,  ]\d{3})+")
_CALCULATED = ("=", "+", "-", "@", "\t", "\r", "\n")
_YES, _NO = frozenset({"ya", "y", "yes", "true", "1"}), frozenset({"tidak", "t", "no", "n", "false", "0"})


class CellError(Exception):
    """A cell cannot be taken: `what` is wrong with it, and what `todo`."""

    def __init__(self, what: str, todo: str) -> None:
        """Keep both sentences; the first never repeats the cell."""
        super().__init__(what)
        self.what = what
        self.todo = todo


def plain(cell: str) -> str:
    """Return a cell without blanks around it, and without the apostrophe that keeps a spreadsheet from calculating.

    Raises:
        CellError: Too long, a control character, or a formula.
    """
    text = cell.strip()
    if len(text) > MAX_CELL:
        raise CellError(f"is longer than {MAX_CELL} characters", "shorten it")
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        raise CellError("holds a line break or a control character", "write it on one line")
    if text.startswith("'") and text[1:2] in _CALCULATED:
        return text[1:]
    if text.startswith(_CALCULATED) and not re.fullmatch(r"-\d+", text):
        raise CellError("begins like a formula (=, +, - or @)", "write the value that it should give")
    return text


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet calculates."""
    return f"'{text}" if text.startswith(_CALCULATED) else text


def code(text: str) -> str:
    """Return a code: letters, digits and . _ : - , at most 40.

    Raises:
        CellError: It is none.
    """
    if not _CODE.fullmatch(text):
        raise CellError("is no code", "write letters, digits and . _ : - only, at most 40, no blanks")
    return text


def whole(text: str) -> int:
    """Return a whole number.

    Raises:
        CellError: Below zero, too large, with a separator, or no number.
    """
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MOST:
        return int(text)
    if _THOUSANDS.fullmatch(text):
        raise CellError(
            "has a separator in it, which may mean thousands or a decimal",
            f"write {re.sub('[^0-9]', '', text)} if it is thousands; take the separator out of the cell's format",
        )
    if re.fullmatch(r"\d+[.,]\d*", text):
        raise CellError("has a decimal", "goods and voters are counted whole: write digits only")
    if re.fullmatch(r"-\d+", text):
        raise CellError("is below zero", "write zero or more, or leave the cell empty")
    raise CellError("is no whole number", "write digits only, such as 1250")


def yes_or_no(text: str) -> bool:
    """Return yes or no, in Indonesian or English.

    Raises:
        CellError: It is neither.
    """
    if text.casefold() in _YES:
        return True
    if text.casefold() in _NO:
        return False
    raise CellError("is neither yes nor no", "write ya or tidak")


def moment(text: str, zone: str) -> str:
    """Return a moment as RFC 3339: one with an offset as it is, one without as the clock on the place's wall.

    Args:
        text: `2024-11-26 23:59`, with seconds or not, or RFC 3339.
        zone: Of the place, such as `Asia/Makassar`.

    Raises:
        CellError: Another form, or a day or time that does not exist.
    """
    local = _LOCAL.fullmatch(text)
    if local is None and not _OFFSET.fullmatch(text):
        if re.fullmatch(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}.*", text):
            raise CellError("is a date that can be read in two ways", "write the year first: 2024-11-26 23:59")
        raise CellError("is no moment", "write 2024-11-26 23:59, the time of the place")
    try:
        if local is None:
            written = text.replace(" ", "T")
        else:
            day, hour, minute, second = local.groups()
            read = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second or '00'}")
            written = read.replace(tzinfo=ZoneInfo(zone)).isoformat()
        parse_rfc3339(written)
    except (ValueError, MalformedError):
        raise CellError("is a day or a time that does not exist", "correct it: 2024-11-26 23:59") from None
    return written
