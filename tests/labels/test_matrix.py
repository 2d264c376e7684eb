"""The squares of the code."""

from collections.abc import Callable

import pytest
from PIL import Image, ImageOps

from app.errors import RefusedError
from app.labels.matrix import SIDE_MODULES, matrix, packed_rows
from app.labels.payload import label_url

URL = label_url("a" * 19, "7K3M9QXA2BTW5R0EK")


@pytest.mark.parametrize("mask", [None, *range(8)])
def test_every_mask_decodes_at_the_longest_address(
    mask: int | None, read_codes: Callable[[Image.Image], list[str]]
) -> None:
    modules = matrix(URL, mask=mask)
    image = Image.new("L", (SIDE_MODULES, SIDE_MODULES))
    image.putdata([0 if dark else 255 for row in modules for dark in row])
    big = ImageOps.expand(image.resize((SIDE_MODULES * 4,) * 2, Image.Resampling.NEAREST), 16, 255)
    assert read_codes(big) == [URL]


def test_a_short_address_has_the_same_size() -> None:
    assert len(matrix("HTTPS://A/U/7K3M9QXA2BTW5R0EK")) == len(matrix(URL)) == SIDE_MODULES


@pytest.mark.parametrize("text", ["A" * 48, "lower", "É", "A?B"])
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        matrix(text)
    assert refused.value.code == "label_text"


def test_packed_rows_are_whole_bytes_from_the_left() -> None:
    packed = packed_rows(matrix(URL))
    assert len(packed) == SIDE_MODULES * 4
    assert packed[0] >> 1 == 0b1111111
    assert all(packed[end] & 0b111 == 0 for end in range(3, len(packed), 4))
