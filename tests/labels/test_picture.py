"""One label as SVG and as PNG."""

import re
from collections.abc import Callable
from io import BytesIO
from xml.etree import ElementTree as ET

import pytest
from PIL import Image, ImageDraw

from app.errors import RefusedError
from app.ids import group4
from app.labels.formats import BOX_100X50, FORMATS, SheetFormat
from app.labels.payload import LabelText
from app.labels.picture import MAX_PX_PER_MODULE, png, svg

Make = Callable[[int], list[LabelText]]
Read = Callable[[Image.Image], list[str]]
SVG = "{http://www.w3.org/2000/svg}"
each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


@each_format
def test_the_svg_is_read_again(form: SheetFormat, make_labels: Make, read_codes: Read) -> None:
    for label in make_labels(10):
        assert read_codes(_painted(svg(label, form))) == [label.url]


@each_format
@pytest.mark.parametrize("px_per_module", [3, 8])
def test_the_png_is_read_again(form: SheetFormat, px_per_module: int, make_labels: Make, read_codes: Read) -> None:
    for label in make_labels(10):
        image = Image.open(BytesIO(png(label, form, px_per_module=px_per_module)))
        assert read_codes(image) == [label.url]
        assert image.width / image.info["dpi"][0] * 25.4 == pytest.approx(form.label_width_mm, rel=0.01)


def test_the_svg_is_described_for_screen_readers(make_labels: Make) -> None:
    (label,) = make_labels(1)
    root = _parsed(svg(label))
    title, description = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert root.get("role") == "img"
    assert title == group4(label.unit_id)
    assert description is not None
    assert "Kotak suara" in description
    assert "1 dari 5" in description
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert group4(label.unit_id) in texts
    assert "TPS 001" in texts
    assert len(list(root.iter(f"{SVG}path"))) == 1


def test_hostile_words_stay_words(make_labels: Make) -> None:
    (label,) = make_labels(1)
    words = '</text><script>alert("1")</script>&amp;\x00\x0b\ud800\ufffe\uffff'
    hostile = LabelText(label.unit_id, label.short_host, words, words, (words,), 0, 0, words)
    root = _parsed(svg(hostile))
    assert not list(root.iter(f"{SVG}script"))
    assert png(hostile)


def test_svg_words_name_a_width_inside_the_label(long_labels: list[LabelText]) -> None:
    for label in long_labels:
        root = _parsed(svg(label, BOX_100X50))
        for text in root.iter(f"{SVG}text"):
            assert float(text.attrib["x"]) + float(text.attrib["textLength"]) <= 100 - 4.5 + 0.05


def test_long_words_leave_the_edge_of_the_png_white(long_labels: list[LabelText]) -> None:
    image = Image.open(BytesIO(png(long_labels[0], BOX_100X50, px_per_module=10)))
    ImageDraw.Draw(image).rectangle((30, 30, image.width - 30, image.height - 30), fill=255)
    assert image.getextrema() == (255, 255)


def test_pictures_are_the_same_every_time(make_labels: Make) -> None:
    (label,) = make_labels(1)
    assert svg(label) == svg(label)
    assert png(label) == png(label)


@pytest.mark.parametrize("px_per_module", [0, 2, MAX_PX_PER_MODULE + 1])
def test_unreadable_and_huge_pictures_are_refused(px_per_module: int, make_labels: Make) -> None:
    with pytest.raises(RefusedError) as refused:
        png(make_labels(1)[0], px_per_module=px_per_module)
    assert refused.value.code == "png_scale"


def _parsed(data: bytes) -> ET.Element:
    return ET.fromstring(data)  # noqa: S314 - our own SVG


def _painted(data: bytes) -> Image.Image:
    """Paint the one path of an SVG at 10 pixels a millimetre."""
    root = _parsed(data)
    path = next(root.iter(f"{SVG}path"))
    x0, y0, scale = (float(each) for each in re.findall(r"[\d.]+", path.attrib["transform"]))
    image = Image.new("L", tuple(int(float(side) * 10) for side in root.attrib["viewBox"].split()[2:]), 255)  # type: ignore[arg-type]
    draw = ImageDraw.Draw(image)
    rectangles = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path.attrib["d"])
    assert "".join(f"M{x} {y}h{w}v1h-{w}z" for x, y, w, _ in rectangles) == path.attrib["d"]
    for x, y, width, _ in rectangles:
        left, top = (x0 + int(x) * scale) * 10, (y0 + int(y) * scale) * 10
        draw.rectangle((left, top, left + int(width) * scale * 10 - 1, top + scale * 10 - 1), fill=0)
    return image
