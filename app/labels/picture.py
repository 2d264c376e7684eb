"""One label as a picture: SVG for screens and print shops, PNG for everything else.

Knows how to paint what `layout` placed. The SVG's code is one path of our own; its words name their exact
width, so a viewer with another font squeezes them instead of letting them run on. The PNG gives every
module the same whole number of pixels, which is what readers ask of a picture.
"""

from html import escape
from io import BytesIO
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfbase.pdfmetrics import getTypeFace

from app.errors import RefusedError
from app.ids import group4
from app.labels.fitting import BOLD, MONO, REGULAR
from app.labels.formats import A4_3X8_70X37, SheetFormat
from app.labels.layout import MM_PER_PT, TextRun, place
from app.labels.matrix import SIDE_MODULES, Matrix, matrix, packed_rows
from app.labels.payload import LabelText

MAX_PX_PER_MODULE = 40
"""Bounds the picture to about 9 megapixels on the formats we ship."""

_CSS_FONTS = {
    REGULAR: 'font-family="Helvetica,Arial,sans-serif"',
    BOLD: 'font-family="Helvetica,Arial,sans-serif" font-weight="bold"',
    MONO: 'font-family="Courier,\'Courier New\',monospace" font-weight="bold"',
}


def svg(label: LabelText, form: SheetFormat = A4_3X8_70X37) -> bytes:
    """Paint one label as a stand-alone SVG in millimetres, about 5 kB.

    Args:
        label: What it says.
        form: The paper whose label size and module are used.

    Returns:
        UTF-8 SVG with a title and a description for screen readers.
    """
    placed = place(label, form)
    width, height = f"{form.label_width_mm:g}", f"{form.label_height_mm:g}"
    corner = f"{placed.code_x_mm:g} {placed.code_y_mm:g}"
    ident = label.unit_id
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm"',
        f' viewBox="0 0 {width} {height}" role="img" aria-labelledby="t{ident} d{ident}">',
        f'<title id="t{ident}">{group4(ident)}</title>',
        f'<desc id="d{ident}">{escape(_description(label))}</desc>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<path shape-rendering="crispEdges" transform="translate({corner}) scale({form.module_mm:g})"',
        f' d="{_path(matrix(label.url))}"/>',
        *(_svg_text(run) for run in placed.runs),
        "</svg>\n",
    ]
    return "".join(parts).encode()


def png(label: LabelText, form: SheetFormat = A4_3X8_70X37, *, px_per_module: int = 8) -> bytes:
    """Paint one label as a grey PNG whose stated resolution gives the true size.

    Args:
        label: What it says.
        form: The paper whose label size and module are used.
        px_per_module: Pixels a side of each module, 3 to 40.

    Returns:
        The PNG file.

    Raises:
        RefusedError: `png_scale`: too few pixels to be read, or too many to be sent.
    """
    if not 3 <= px_per_module <= MAX_PX_PER_MODULE:
        raise RefusedError(
            f"A module takes 3 to {MAX_PX_PER_MODULE} pixels a side.",
            code="png_scale",
        )
    scale = px_per_module / form.module_mm
    placed = place(label, form)
    size = (round(form.label_width_mm * scale), round(form.label_height_mm * scale))
    image = Image.new("L", size, 255)
    code = _code_image(matrix(label.url), px_per_module)
    image.paste(code, (round(placed.code_x_mm * scale), round(placed.code_y_mm * scale)))
    draw = ImageDraw.Draw(image)
    for run in placed.runs:
        font = ImageFont.truetype(_font_file(run.font), run.size_pt * MM_PER_PT * scale)
        draw.text((run.x_mm * scale, run.y_mm * scale), run.text, font=font, fill=0, anchor="ls")
    out = BytesIO()
    image.save(out, "PNG", dpi=(scale * 25.4, scale * 25.4))
    return out.getvalue()


def _description(label: LabelText) -> str:
    words = (label.title, label.item, label.contest, *label.destination, label.part)
    described = "; ".join(" ".join(each.split()) for each in words if each)
    return "".join(char if char.isprintable() else " " for char in described)


def _path(modules: Matrix) -> str:
    """Draw each run of dark modules in a row as one rectangle."""
    parts = []
    for y, row in enumerate(modules):
        x = 0
        for dark, run in groupby(row):
            length = len(list(run))
            if dark:
                parts.append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    return "".join(parts)


def _svg_text(run: TextRun) -> str:
    return (
        f'<text x="{run.x_mm:.2f}" y="{run.y_mm:.2f}" {_CSS_FONTS[run.font]} '
        f'font-size="{run.size_pt * MM_PER_PT:.3f}" textLength="{run.width_mm:.2f}" '
        f'lengthAdjust="spacingAndGlyphs">{escape(run.text)}</text>'
    )


def _code_image(modules: Matrix, px_per_module: int) -> Image.Image:
    side = SIDE_MODULES * px_per_module
    bits = Image.frombytes("1", (SIDE_MODULES, SIDE_MODULES), packed_rows(modules), "raw", "1;I")
    return bits.resize((side, side), Image.Resampling.NEAREST)


def _font_file(name: str) -> str:
    """Find the outline font that reportlab brings for a standard font; its widths are the same."""
    return str(getTypeFace(name).findT1File())
