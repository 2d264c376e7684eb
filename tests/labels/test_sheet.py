"""Sheets that a phone can read, of any length, the same every time."""

import re
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import pairwise
from random import Random
from tempfile import TemporaryFile

import pypdfium2
import pytest
from PIL import Image, ImageDraw

from app.errors import RefusedError
from app.labels.formats import A4_3X8_70X37, A4_L7159, BOX_100X50, FORMATS, SheetFormat
from app.labels.matrix import matrix
from app.labels.payload import LabelText
from app.labels.sheet import calibration_page, pdf_sheet

Make = Callable[[int], list[LabelText]]
Print = Callable[[list[LabelText], SheetFormat], bytes]
Pages = Callable[[bytes, int], list[Image.Image]]
Read = Callable[[Image.Image], list[str]]

each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


@each_format
@pytest.mark.parametrize("dpi", [150, 300])
def test_every_code_of_a_printed_sheet_is_read_again(
    form: SheetFormat, dpi: int, make_labels: Make, printed: Print, pages: Pages, read_codes: Read
) -> None:
    labels = make_labels(50)
    images = pages(printed(labels, form), dpi)
    assert len(images) == -(-50 // form.per_page)
    for number, image in enumerate(images):
        expected = labels[number * form.per_page : (number + 1) * form.per_page]
        assert read_codes(image) == sorted(label.url for label in expected)


@each_format
def test_every_label_shows_its_own_words(form: SheetFormat, make_labels: Make, printed: Print) -> None:
    labels = make_labels(form.per_page)
    with pypdfium2.PdfDocument(printed(labels, form)) as document:
        text = document[0].get_textpage()
        for index, label in enumerate(labels):
            x, y = (side * 72 / 25.4 for side in form.corner_mm(index))
            width, height = (side * 72 / 25.4 for side in (form.label_width_mm, form.label_height_mm))
            top = form.page_height_mm * 72 / 25.4 - y
            shown = text.get_text_bounded(x, top - height, x + width, top)
            ident = "".join(shown.split()).replace("\ufffe", "")
            assert label.unit_id in ident
            assert label.item in shown
            assert label.part in shown
            assert label.destination[0] in shown


@each_format
def test_long_words_leave_ink_neither_at_the_edge_nor_in_the_quiet_zone(
    form: SheetFormat, long_labels: list[LabelText], printed: Print, pages: Pages, read_codes: Read
) -> None:
    labels = long_labels[: form.per_page]
    dots = 300 / 25.4
    (image,) = pages(printed(labels, form), 300)
    assert read_codes(image) == sorted(label.url for label in labels)
    for index in range(len(labels)):
        x, y = form.corner_mm(index)
        label = image.crop(_box(x, y, form.label_width_mm, form.label_height_mm, dots))
        edge = form.padding_mm * 0.6
        foot = form.padding_mm if index >= form.per_page - form.columns else edge
        ImageDraw.Draw(label).rectangle(
            (edge * dots, edge * dots, label.width - edge * dots, label.height - foot * dots), fill=255
        )
        ImageDraw.Draw(label).rectangle((0, label.height - foot * dots, label.width, label.height), fill=255)
        assert label.getextrema() == (255, 255), f"ink at the edge of label {index}"
        quiet = 3.8 * form.module_mm
        code = form.padding_mm - quiet
        side = form.code_mm + 2 * quiet
        around = image.crop(_box(x + code, y + code, side, side, dots))
        inner = (quiet * dots - 2, quiet * dots - 2, (side - quiet) * dots + 2, (side - quiet) * dots + 2)
        ImageDraw.Draw(around).rectangle(inner, fill=255)
        assert around.getextrema() == (255, 255), f"ink in the quiet zone of label {index}"


def test_the_same_labels_give_the_same_bytes(make_labels: Make, printed: Print) -> None:
    assert printed(make_labels(30), A4_L7159) == printed(make_labels(30), A4_L7159)


def test_the_standards_own_mask_is_an_option(make_labels: Make, printed: Print, pages: Pages, read_codes: Read) -> None:
    labels, out = make_labels(3), BytesIO()
    pdf_sheet(labels, out, BOX_100X50, draw=partial(matrix, mask=None))
    assert out.getvalue() != printed(labels, BOX_100X50)
    read = [code for image in pages(out.getvalue(), 150) for code in read_codes(image)]
    assert read == [label.url for label in labels]


def test_progress_counts_labels_page_by_page(make_labels: Make) -> None:
    seen: list[int] = []
    assert pdf_sheet(iter(make_labels(50)), BytesIO(), A4_3X8_70X37, seen.append) == 50
    assert seen == [24, 48, 50]


def test_nothing_to_print_is_refused_and_writes_nothing() -> None:
    out = BytesIO()
    with pytest.raises(RefusedError) as refused:
        pdf_sheet([], out)
    assert refused.value.code == "no_labels"
    assert not out.getvalue()


def test_every_page_reaches_the_output_before_the_next_label_is_asked_for(make_labels: Make) -> None:
    out, sizes = BytesIO(), []

    def labels() -> Iterator[LabelText]:
        for label in make_labels(5):
            sizes.append(out.tell())
            yield label

    pdf_sheet(labels(), out, BOX_100X50)
    assert all(later > earlier for earlier, later in pairwise(sizes[1:]))


@pytest.mark.slow
def test_ten_thousand_labels_take_no_more_memory_than_a_thousand(make_labels: Make) -> None:
    """The codes are drawn once: what is counted is what the sheet keeps, and drawing is slow to trace."""
    block, modules = make_labels(1000), matrix("HTTPS://S.EXAMPLE.GO.ID/U/7K3M9QXA2BTW5R0EK")
    peaks: dict[int, int] = {}

    def note(done: int) -> None:
        if done in {1000, 10_000}:
            peaks[done] = tracemalloc.get_traced_memory()[1]

    labels = (label for _ in range(10) for label in block)
    tracemalloc.start()
    try:
        with TemporaryFile() as out:
            assert pdf_sheet(labels, out, BOX_100X50, note, draw=lambda _: modules) == 10_000
            assert out.tell() > 5_000_000
    finally:
        tracemalloc.stop()
    assert peaks[10_000] - peaks[1000] < 500_000


@each_format
def test_the_cross_reference_table_is_right(form: SheetFormat, make_labels: Make, printed: Print) -> None:
    pdf = printed(make_labels(30), form)
    start = int(pdf[pdf.rindex(b"startxref") :].split()[1])
    entries = re.findall(rb"(\d{10}) \d{5} ([nf]) \n", pdf[start:])
    assert entries[0][1] == b"f"
    for number, (offset, _) in enumerate(entries[1:], start=1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj\n" % number)
    assert b"/PrintScaling/None" in pdf
    assert b"/CreationDate" not in pdf


def test_each_sheet_asks_for_full_size(make_labels: Make, printed: Print) -> None:
    for form in (A4_3X8_70X37, A4_L7159):
        with pypdfium2.PdfDocument(printed(make_labels(25), form)) as document:
            for number, page in enumerate(document, start=1):
                text = page.get_textpage().get_text_range()
                assert "Cetak 100 %" in text
                assert f"halaman {number}" in text


@each_format
def test_the_calibration_page_has_true_rulers(form: SheetFormat, pages: Pages) -> None:
    out = BytesIO()
    calibration_page(out, form)
    (image,) = pages(out.getvalue(), 254)
    assert abs(image.width - form.page_width_mm * 10) <= 1
    length = int(min(form.page_width_mm, form.page_height_mm) * 0.7 / 10) * 10
    left, base = form.page_width_mm * 1.5, form.page_height_mm * 8.5
    ruler = image.crop((round(left - 4), round(base - 3), round(left + length * 10 + 20), round(base + 4)))
    columns = (ruler.crop((x, 0, x + 1, ruler.height)).histogram() for x in range(ruler.width))
    dark = [x for x, counts in enumerate(columns) if any(counts[:120])]
    assert abs((max(dark) - min(dark)) - length * 10) <= 6


def test_a_stained_label_is_mostly_read(make_labels: Make, printed: Print, pages: Pages, read_codes: Read) -> None:
    """A 2 mm stain anywhere on the code; finder patterns are what no level protects."""
    random, read = Random(2), 0
    labels = make_labels(40)
    dots = 300 / 25.4
    for label, image in zip(labels, pages(printed(labels, BOX_100X50), 300), strict=True):
        low, high = BOX_100X50.padding_mm, BOX_100X50.padding_mm + BOX_100X50.code_mm - 2
        x, y = random.uniform(low, high) * dots, random.uniform(low, high) * dots
        ImageDraw.Draw(image).ellipse((x, y, x + 2 * dots, y + 2 * dots), fill=0)
        read += read_codes(image) == [label.url]
    assert read >= 32


def _box(x: float, y: float, width: float, height: float, dots: float) -> tuple[int, int, int, int]:
    return round(x * dots), round(y * dots), round((x + width) * dots), round((y + height) * dots)
