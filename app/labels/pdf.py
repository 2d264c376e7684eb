"""A PDF written page by page: each page leaves memory as soon as it is written.

Knows the file format (ISO 32000-1) and nothing of labels. reportlab's Canvas, which the rest of this room
would gladly use, keeps every page until `save` and repeats fonts and boxes per page; a block of labels may
have thousands of pages, and a web server prints several at once. What labels need of PDF is small: three
standard fonts, one stream per page and a cross-reference table, so it is written here, forward only, to
anything that has `write`. Only the pages' offsets stay in memory, 16 bytes a page.

The same calls give the same bytes: no dates, no random identifier.
"""

import zlib
from array import array
from collections.abc import Iterator
from typing import BinaryIO

from app.labels.fitting import BOLD, ENCODING, MONO, REGULAR
from app.labels.layout import MM_PER_PT, TextRun

_FONT_KEYS = {REGULAR: b"F1", BOLD: b"F2", MONO: b"F3"}
_CATALOG, _PAGES, _INFO, _FIRST_FONT, _FIRST_PAGE = 1, 2, 3, 4, 7
_ESCAPES = {ord("("): "\\(", ord(")"): "\\)", ord("\\"): "\\\\"}


class PdfWriter:
    """Writes one PDF of equal pages; call `page` for each, then `finish` once."""

    def __init__(self, out: BinaryIO, width_mm: float, height_mm: float, title: str) -> None:
        """Write the head of the file.

        Args:
            out: Where the bytes go; never read back, never sought, left open.
            width_mm: Width of every page.
            height_mm: Height of every page.
            title: Title of the document, ASCII.
        """
        self._out = out
        self._size_mm = (width_mm, height_mm)
        self._written = 0
        self._page_count = 0
        self._offsets = array("Q", [0] * _FIRST_PAGE)
        self._write(b"%PDF-1.6\n%\xe2\xe3\xcf\xd3\n")
        self._object(_CATALOG, self._catalog())
        self._object(_INFO, b"<</Title(%b)/Producer(Ballot Custody)>>" % literal(title))
        for place, name in enumerate(_FONT_KEYS):
            self._object(_FIRST_FONT + place, _font(name))

    def page(self, content: bytes) -> None:
        """Write one page now.

        Args:
            content: Its operators, in points from the bottom left corner.
        """
        stream = zlib.compress(content, 6)
        body_id = _FIRST_PAGE + 2 * self._page_count
        self._offsets.extend((0, 0))
        head = b"<</Length %d/Filter/FlateDecode>>" % len(stream)
        self._object(body_id, b"%b\nstream\n%b\nendstream" % (head, stream))
        self._object(body_id + 1, b"<</Type/Page/Parent %d 0 R/Contents %d 0 R>>" % (_PAGES, body_id))
        self._page_count += 1

    def finish(self) -> None:
        """Write the list of pages, the cross-reference table and the trailer."""
        self._offsets[_PAGES] = self._written
        for part in self._page_tree():
            self._write(part)
        start = self._written
        self._write(b"xref\n0 %d\n0000000000 65535 f \n" % len(self._offsets))
        for offset in self._offsets[1:]:
            self._write(b"%010d 00000 n \n" % offset)
        trailer = b"<</Size %d/Root %d 0 R/Info %d 0 R>>" % (len(self._offsets), _CATALOG, _INFO)
        self._write(b"trailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (trailer, start))

    def _catalog(self) -> bytes:
        no_scaling = b"/ViewerPreferences<</PrintScaling/None>>"
        return b"<</Type/Catalog/Pages %d 0 R/Lang(id-ID)%b>>" % (_PAGES, no_scaling)

    def _page_tree(self) -> Iterator[bytes]:
        fonts = b"".join(b"/%b %d 0 R" % (key, _FIRST_FONT + place) for place, key in enumerate(_FONT_KEYS.values()))
        width, height = (points(side) for side in self._size_mm)
        yield b"%d 0 obj\n<</Type/Pages/Count %d/MediaBox[0 0 %b %b]/Resources<</Font<<%b>>>>\n/Kids[" % (
            _PAGES, self._page_count, width, height, fonts,
        )  # fmt: skip
        for number in range(self._page_count):
            yield b"%d 0 R\n" % (_FIRST_PAGE + 2 * number + 1)
        yield b"]>>\nendobj\n"

    def _object(self, number: int, body: bytes) -> None:
        self._offsets[number] = self._written
        self._write(b"%d 0 obj\n%b\nendobj\n" % (number, body))

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._written += len(data)


def points(length_mm: float) -> bytes:
    """Write a length in points, to a hundredth."""
    return b"%.2f" % (length_mm / MM_PER_PT)


def literal(text: str) -> bytes:
    """Escape words for a PDF string; characters must have been through `latin`."""
    return text.translate(_ESCAPES).encode(ENCODING, "replace")


def text_op(run: TextRun, left_mm: float, top_mm: float) -> bytes:
    """Show one run of words.

    Args:
        run: The words, placed on a label.
        left_mm: The label's left edge on the page.
        top_mm: The label's top edge, measured from the bottom of the page.
    """
    x, y = points(left_mm + run.x_mm), points(top_mm - run.y_mm)
    font = b"/%b %.2f Tf" % (_FONT_KEYS[run.font], run.size_pt)
    return b"BT %b %b %b Td(%b)Tj ET\n" % (font, x, y, literal(run.text))


def mask_op(packed: bytes, side: int, left_mm: float, bottom_mm: float, side_mm: float) -> bytes:
    """Paint a square of modules as an inline image mask: exact squares, 230 bytes before compression.

    Args:
        packed: Rows of bits, dark as 1, as `packed_rows` gives them.
        side: Modules in a row and in a column.
        left_mm: Left edge on the page.
        bottom_mm: Bottom edge, from the bottom of the page.
        side_mm: Side of the square.
    """
    size, x, y = points(side_mm), points(left_mm), points(bottom_mm)
    head = b"BI/W %d/H %d/IM true/BPC 1/D[1 0]/F/AHx ID " % (side, side)
    return b"q %b 0 0 %b %b %b cm %b%b>\nEI Q\n" % (size, size, x, y, head, packed.hex().encode())


def line_op(x1_mm: float, y1_mm: float, x2_mm: float, y2_mm: float) -> bytes:
    """Draw a hair line, in millimetres from the bottom left corner of the page."""
    ends = tuple(points(each) for each in (x1_mm, y1_mm, x2_mm, y2_mm))
    return b"%b %b m %b %b l S\n" % ends


def _font(name: str) -> bytes:
    return b"<</Type/Font/Subtype/Type1/BaseFont/%b/Encoding/WinAnsiEncoding>>" % name.encode()
