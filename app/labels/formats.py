"""The geometry of label sheets and rolls: all of it parameters, in millimetres from the top left corner.

Knows paper and nothing of what is printed on it. A new sheet is a new value, never new code.
"""

from dataclasses import dataclass

from app.errors import RefusedError
from app.labels.matrix import QUIET_MODULES, SIDE_MODULES

MIN_MODULE_MM = 0.4
"""Smallest module that phones read at hand distance (reference/exchange.md section 9)."""

_SLACK_MM = 0.01
_MIN_TEXT_WIDTH_MM = 15.0
_MIN_ID_HEIGHT_MM = 2.0


@dataclass(frozen=True, slots=True)
class SheetFormat:
    """One kind of label sheet, or one label of a roll when it has one row and one column.

    Attributes:
        name: Short name for people and file names, ASCII.
        page_width_mm: Width of the page as printed.
        page_height_mm: Height of the page as printed.
        columns: Labels side by side.
        rows: Labels one below another.
        label_width_mm: Width of one label.
        label_height_mm: Height of one label.
        pitch_x_mm: From one label's left edge to the next one's.
        pitch_y_mm: From one label's top edge to the next one's.
        left_mm: From the page's left edge to the first label.
        top_mm: From the page's top edge to the first label.
        padding_mm: Blank edge inside each label; holds the quiet zone and what printers cannot reach.
        module_mm: Side of one module of the code.
    """

    name: str
    page_width_mm: float
    page_height_mm: float
    columns: int
    rows: int
    label_width_mm: float
    label_height_mm: float
    pitch_x_mm: float
    pitch_y_mm: float
    left_mm: float
    top_mm: float
    padding_mm: float
    module_mm: float

    def __post_init__(self) -> None:
        """Refuse a geometry whose labels overlap, leave the page or hold no readable code."""
        for sound, reason in self._demands():
            if not sound:
                raise RefusedError(f"This label format cannot be printed: {reason}.", code="sheet_format")

    @property
    def per_page(self) -> int:
        """How many labels one page holds."""
        return self.columns * self.rows

    @property
    def code_mm(self) -> float:
        """Side of the code without its quiet zone."""
        return SIDE_MODULES * self.module_mm

    def corner_mm(self, index: int) -> tuple[float, float]:
        """Find the top left corner of a page's label; labels run left to right, then down."""
        row, column = divmod(index, self.columns)
        return self.left_mm + column * self.pitch_x_mm, self.top_mm + row * self.pitch_y_mm

    def _demands(self) -> list[tuple[bool, str]]:
        right = self.left_mm + (self.columns - 1) * self.pitch_x_mm + self.label_width_mm
        bottom = self.top_mm + (self.rows - 1) * self.pitch_y_mm + self.label_height_mm
        quiet_mm = QUIET_MODULES * self.module_mm
        code_and_quiet = self.padding_mm + self.code_mm + quiet_mm
        return [
            (self.columns >= 1 and self.rows >= 1, "it has no labels"),
            (min(self.left_mm, self.top_mm) >= 0, "labels start outside the page"),
            (right <= self.page_width_mm + _SLACK_MM, "labels leave the page on the right"),
            (bottom <= self.page_height_mm + _SLACK_MM, "labels leave the page at the bottom"),
            (self.columns == 1 or self.pitch_x_mm >= self.label_width_mm, "labels overlap sideways"),
            (self.rows == 1 or self.pitch_y_mm >= self.label_height_mm, "labels overlap downwards"),
            (self.module_mm >= MIN_MODULE_MM, f"modules are under {MIN_MODULE_MM} mm"),
            (self.padding_mm >= quiet_mm, "the padding is narrower than the quiet zone of 4 modules"),
            (
                code_and_quiet + self.padding_mm + _MIN_TEXT_WIDTH_MM <= self.label_width_mm,
                "the words have no room beside the code",
            ),
            (
                code_and_quiet + self.padding_mm + _MIN_ID_HEIGHT_MM <= self.label_height_mm,
                "the id has no room below the code",
            ),
        ]


A4_3X8_70X37 = SheetFormat(
    name="A4_3X8_70x37",
    page_width_mm=210, page_height_mm=297, columns=3, rows=8,
    label_width_mm=70, label_height_mm=37, pitch_x_mm=70, pitch_y_mm=37,
    left_mm=0, top_mm=0.5, padding_mm=5, module_mm=0.7,
)  # fmt: skip
"""24 labels without gaps; the padding keeps ink out of the 5 mm that many printers cannot reach."""

A4_L7159 = SheetFormat(
    name="A4_L7159",
    page_width_mm=210, page_height_mm=297, columns=3, rows=8,
    label_width_mm=63.5, label_height_mm=33.9, pitch_x_mm=66.04, pitch_y_mm=33.9,
    left_mm=7.21, top_mm=12.9, padding_mm=3, module_mm=0.7,
)  # fmt: skip
"""24 rounded labels; margins centre the grid and are unconfirmed, so print the calibration page first."""

BOX_100X50 = SheetFormat(
    name="BOX_100x50",
    page_width_mm=100, page_height_mm=50, columns=1, rows=1,
    label_width_mm=100, label_height_mm=50, pitch_x_mm=100, pitch_y_mm=50,
    left_mm=0, top_mm=0, padding_mm=4.5, module_mm=1.0,
)  # fmt: skip
"""One label a page for roll printers; for boxes and crates."""

FORMATS = {each.name: each for each in (A4_3X8_70X37, A4_L7159, BOX_100X50)}
