"""Making words fit: the characters that standard fonts have, shrinking, wrapping and cutting.

Knows widths of the standard PDF fonts and nothing of labels. Widths come from Adobe's metrics as reportlab
carries them, so what fits here fits in every viewer that honours the standard fonts.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from reportlab.pdfbase.pdfmetrics import stringWidth

REGULAR = "Helvetica"
BOLD = "Helvetica-Bold"
MONO = "Courier-Bold"

ENCODING = "cp1252"
"""Latin-1 with the typographic marks; the PDF standard calls it WinAnsiEncoding."""

_ELLIPSIS = "…"
_LONGEST_CHARS = 160


@dataclass(frozen=True, slots=True)
class Fitted:
    """Words that fit, with the size in points at which they do."""

    text: str
    font: str
    size_pt: float
    width_pt: float


@lru_cache(maxsize=1024)
def latin(text: str) -> str:
    """Keep what the standard fonts can show, on one line.

    Accents that have no glyph fall away, other foreign characters become `?`, control characters become a
    space, invisible ones vanish and runs of space shrink to one. At most 160 characters are kept.
    """
    shown = "".join(_glyphs(char) for char in unicodedata.normalize("NFC", text[: 4 * _LONGEST_CHARS]))
    return " ".join(shown.split())[:_LONGEST_CHARS]


@lru_cache(maxsize=1024)
def fit(text: str, font: str, size_pt: float, min_size_pt: float, width_pt: float) -> Fitted:
    """Shrink words to a width, down to a least size, then cut them with an ellipsis.

    Args:
        text: Words as `latin` gives them.
        font: One of the three fonts above.
        size_pt: Wanted size.
        min_size_pt: Size below which cutting is better than shrinking.
        width_pt: The width that is never exceeded.

    Returns:
        The words, perhaps cut, and their size rounded down to a twentieth of a point.
    """
    natural = stringWidth(text, font, 1.0)
    wanted = min(size_pt, width_pt / natural) if natural else size_pt
    size = max(int(wanted * 20) / 20, min(min_size_pt, size_pt))
    shown = text if natural * size <= width_pt else _cut(text, font, width_pt / size)
    return Fitted(shown, font, size, stringWidth(shown, font, size))


@lru_cache(maxsize=1024)
def wrap(text: str, font: str, size_pt: float, width_pt: float, max_lines: int) -> tuple[Fitted, ...]:
    """Break words over at most `max_lines` lines of one size; the last line is cut when more is left."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < max_lines - 1:
        taken = _words_that_fit(words, font, width_pt / size_pt)
        lines.append(" ".join(words[:taken]))
        words = words[taken:]
    if words:
        lines.append(" ".join(words))
    return tuple(fit(line, font, size_pt, size_pt, width_pt) for line in lines)


def _glyphs(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    if category in {"Cc", "Zl", "Zp", "Zs"}:
        return " "
    if _has_glyph(char):
        return char
    return "".join(filter(_has_glyph, unicodedata.normalize("NFKD", char))) or "?"


def _has_glyph(char: str) -> bool:
    try:
        char.encode(ENCODING)
    except UnicodeEncodeError:
        return False
    return char.isprintable()


def _cut(text: str, font: str, width_em: float) -> str:
    for length in range(len(text) - 1, 0, -1):
        shown = text[:length].rstrip(" ,.-") + _ELLIPSIS
        if stringWidth(shown, font, 1.0) <= width_em:
            return shown
    return ""


def _words_that_fit(words: list[str], font: str, width_em: float) -> int:
    for taken in range(len(words), 1, -1):
        if stringWidth(" ".join(words[:taken]), font, 1.0) <= width_em:
            return taken
    return 1
