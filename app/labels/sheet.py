"""Labels on paper: A4 sheets and rolls as one PDF of any length, with a page to check the printer by.

Knows how a page is filled. Takes labels one at a time from any iterator, so 10 000 labels hold one page in
memory, not 10 000. Never knows units, blocks or who prints.

Labels are never scaled: the PDF asks viewers for 100 %, a note at the foot of each page asks people, and
the calibration page shows whether the printer obeyed.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, pairwise
from typing import BinaryIO

from app.errors import RefusedError
from app.labels.fitting import BOLD, REGULAR, fit, latin
from app.labels.formats import A4_3X8_70X37, SheetFormat
from app.labels.layout import MM_PER_PT, TextRun, place
from app.labels.matrix import SIDE_MODULES, Matrix, matrix, packed_rows
from app.labels.payload import LabelText
from app.labels.pdf import PdfWriter, line_op, mask_op, text_op

_HAIRLINE = b"0 G[]0 d 0.25 w\n"
_FAINT_LINE = b"0.6 G[2]0 d 0.25 w\n"
_NOTE = "Cetak 100 %, jangan disesuaikan ke ukuran kertas"


def pdf_sheet(
    labels: Iterable[LabelText],
    out: BinaryIO,
    form: SheetFormat = A4_3X8_70X37,
    progress: Callable[[int], None] | None = None,
    draw: Callable[[str], Matrix] = matrix,
) -> int:
    """Print labels to one PDF, a page at a time.

    The same labels give the same bytes. When the iterator fails half way, `out` holds an unfinished PDF:
    write to a temporary file, or to a response that then breaks off.

    Args:
        labels: Labels in printing order; consumed once.
        out: Where the bytes go; only `write` is used.
        form: The paper.
        progress: Called after each page with the number of labels done so far.
        draw: Turns an address into modules; `partial(matrix, mask=None)` for the standard's own mask.

    Returns:
        The number of labels printed.

    Raises:
        RefusedError: `no_labels`: there is nothing to print, and nothing was written.
    """
    pages = _pages(labels, form.per_page)
    first = next(pages, None)
    if first is None:
        raise RefusedError("There are no labels to print.", code="no_labels")
    writer = PdfWriter(out, form.page_width_mm, form.page_height_mm, f"Label {form.name}")
    done = 0
    for number, page in enumerate(chain([first], pages), start=1):
        writer.page(_page_content(page, form, number, draw))
        done += len(page)
        if progress:
            progress(done)
    writer.finish()
    return done


def calibration_page(out: BinaryIO, form: SheetFormat = A4_3X8_70X37) -> None:
    """Print one page with two rulers, the outline of every label and what to do with them.

    Args:
        out: Where the PDF goes; only `write` is used.
        form: The paper to check.
    """
    writer = PdfWriter(out, form.page_width_mm, form.page_height_mm, f"Kalibrasi {form.name}")
    height = form.page_height_mm
    length = int(min(form.page_width_mm, height) * 0.7 / 10) * 10
    left, bottom = form.page_width_mm * 0.15, height * 0.15
    parts = chain(
        [_FAINT_LINE],
        _outlines(form),
        [_HAIRLINE],
        _ruler(left, bottom, length, upright=False),
        _ruler(left, bottom, length, upright=True),
        _calibration_words(form, left, bottom, length),
    )
    writer.page(b"".join(parts))
    writer.finish()


def _pages(labels: Iterable[LabelText], size: int) -> Iterator[list[LabelText]]:
    rest = iter(labels)
    while page := list(islice(rest, size)):
        yield page


def _page_content(page: list[LabelText], form: SheetFormat, number: int, draw: Callable[[str], Matrix]) -> bytes:
    parts = [_label_content(label, form, index, draw(label.url)) for index, label in enumerate(page)]
    if form.per_page > 1:
        parts.append(_foot_note(form, number))
    return b"".join(parts)


def _label_content(label: LabelText, form: SheetFormat, index: int, modules: Matrix) -> bytes:
    placed = place(label, form)
    x, y = form.corner_mm(index)
    top = form.page_height_mm - y
    code_bottom = top - placed.code_y_mm - form.code_mm
    code = mask_op(packed_rows(modules), SIDE_MODULES, x + placed.code_x_mm, code_bottom, form.code_mm)
    return code + b"".join(text_op(run, x, top) for run in placed.runs)


def _foot_note(form: SheetFormat, number: int) -> bytes:
    """Stand in the bottom margin, or in the blank edge of the lowest labels when there is no margin."""
    last_bottom = form.corner_mm(form.per_page - 1)[1] + form.label_height_mm
    margin = max(form.page_height_mm - last_bottom, form.padding_mm)
    size = 7.0 if margin > form.padding_mm else 4.5
    left = form.left_mm + form.padding_mm
    return _words(f"{_NOTE} · halaman {number} · {form.name}", left, margin * 0.5, size)


def _words(text: str, left_mm: float, bottom_mm: float, size_pt: float, font: str = REGULAR) -> bytes:
    words = fit(latin(text), font, size_pt, size_pt, 1000)
    return text_op(TextRun(0, 0, words.text, font, words.size_pt, words.width_pt), left_mm, bottom_mm)


def _outlines(form: SheetFormat) -> Iterator[bytes]:
    for index in range(form.per_page):
        x, y = form.corner_mm(index)
        top, right = form.page_height_mm - y, x + form.label_width_mm
        low = top - form.label_height_mm
        corners = [(x, top), (right, top), (right, low), (x, low), (x, top)]
        for start, end in pairwise(corners):
            yield line_op(*start, *end)


def _ruler(left: float, bottom: float, length: int, *, upright: bool) -> Iterator[bytes]:
    def stroke(along: float, from_: float, to: float) -> bytes:
        ends = (left + from_, bottom + along, left + to, bottom + along)
        return line_op(*ends) if upright else line_op(left + along, bottom + from_, left + along, bottom + to)

    yield line_op(left, bottom, left if upright else left + length, bottom + length if upright else bottom)
    for mark in range(length + 1):
        yield stroke(mark, 0, 5 if mark % 10 == 0 else 3.5 if mark % 5 == 0 else 2)
        if mark % 10 == 0 and mark:
            shift = (-5.0, mark - 0.8) if upright else (mark - 1.5, -3.0)
            yield _words(str(mark), left + shift[0], bottom + shift[1], 6)


def _calibration_words(form: SheetFormat, left: float, bottom: float, length: int) -> Iterator[bytes]:
    size = 10.0 if length >= 100 else 6.0
    step = size * 1.5 * MM_PER_PT
    lines = [
        (f"Halaman kalibrasi {form.name}", BOLD),
        ("Cetak 100 % (Actual size), jangan disesuaikan ke ukuran kertas (Fit to page).", REGULAR),
        (f"Ukur dengan penggaris: kedua skala harus tepat {length} mm.", REGULAR),
        ("Garis bingkai harus jatuh pada tepi label; bila tidak, sesuaikan margin format.", REGULAR),
    ]
    for number, (text, font) in enumerate(lines, start=1):
        yield _words(text, left + 8, bottom + 8 + step * (len(lines) - number), size, font)
