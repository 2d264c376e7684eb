"""Labels to print, and the eyes that read them back."""

from collections.abc import Callable
from io import BytesIO
from random import Random

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from app.ids import new_unit_id
from app.labels.formats import SheetFormat
from app.labels.payload import LabelText
from app.labels.sheet import pdf_sheet

HOST = "s.example.go.id"


@pytest.fixture
def make_labels() -> Callable[[int], list[LabelText]]:
    """Give labels of an ordinary block, the same ones every time."""

    def make(count: int) -> list[LabelText]:
        random = Random(count)
        return [_label(new_unit_id(random.randbytes(10)), number) for number in range(count)]

    return make


@pytest.fixture
def long_labels(make_labels: Callable[[int], list[LabelText]]) -> list[LabelText]:
    """Give a page of labels whose every field is far too long."""
    wide, words = "W" * 300, "Pemilihan Gubernur dan Wakil Gubernur " * 20
    return [
        LabelText(label.unit_id, HOST, text, text, (text,) * 9, 1_000_000, 1_000_000, text)
        for label, text in zip(make_labels(24), [wide, words] * 12, strict=True)
    ]


@pytest.fixture
def read_codes() -> Callable[[Image.Image], list[str]]:
    """Read every QR of a picture."""

    def read(image: Image.Image) -> list[str]:
        found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
        return sorted(each.text for each in found)

    return read


@pytest.fixture
def printed() -> Callable[[list[LabelText], SheetFormat], bytes]:
    """Print to bytes."""

    def write(labels: list[LabelText], form: SheetFormat) -> bytes:
        out = BytesIO()
        pdf_sheet(labels, out, form)
        return out.getvalue()

    return write


@pytest.fixture
def pages() -> Callable[[bytes, int], list[Image.Image]]:
    """Rasterise each page of a PDF at so many dots per inch."""

    def rasterise(pdf: bytes, dpi: int) -> list[Image.Image]:
        with pypdfium2.PdfDocument(pdf) as document:
            return [page.render(scale=dpi / 72).to_pil().convert("L") for page in document]

    return rasterise


def _label(unit_id: str, number: int) -> LabelText:
    return LabelText(
        unit_id=unit_id,
        short_host=HOST,
        item="Kotak suara",
        contest="Wali Kota dan Wakil Wali Kota Bontang",
        destination=(f"TPS {number // 5 + 1:03}", "Kel. Bontang Baru", "Kec. Bontang Utara", "Kota Bontang"),
        number=number % 5 + 1,
        total=5,
        title="Pilkada 27 November 2024",
    )
