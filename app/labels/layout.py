"""Where everything on one label goes; the painters for PDF, SVG and PNG only follow.

Knows the label's words and its paper. The code stands at the top left with its quiet zone inside the
padding, the words to its right, the id in groups of four below both, as wide as the label allows. All
words are fitted here, so no painter can let them run into a neighbour.

Millimetres from the label's top left corner, y downwards; text stands on its baseline.
"""

from dataclasses import dataclass

from app.ids import group4
from app.labels.fitting import BOLD, MONO, REGULAR, Fitted, fit, latin, wrap
from app.labels.formats import SheetFormat
from app.labels.matrix import QUIET_MODULES
from app.labels.payload import LabelText

MM_PER_PT = 25.4 / 72

_CAP_HEIGHT = 0.73
_LEADING = 1.17
_ID_CAP_HEIGHT = 0.58
_MAX_DESTINATION_LINES = 4
_COLUMN_PT = (104.0, 66.0)
"""The column of words for which the sizes below are meant: that of the 70 by 37 mm label."""


@dataclass(frozen=True, slots=True)
class TextRun:
    """One run of words on a baseline."""

    x_mm: float
    y_mm: float
    text: str
    font: str
    size_pt: float
    width_mm: float


@dataclass(frozen=True, slots=True)
class Placed:
    """One label, ready to paint: its code's top left corner and its words."""

    code_x_mm: float
    code_y_mm: float
    runs: tuple[TextRun, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the column: words at the left, perhaps words at the right, and the gap above."""

    left: Fitted
    right: Fitted | None = None
    gap_pt: float = 0.0

    @property
    def height_pt(self) -> float:
        return self.gap_pt + self.left.size_pt * _LEADING


def place(label: LabelText, form: SheetFormat) -> Placed:
    """Lay one label out.

    Args:
        label: What it says.
        form: Its paper.

    Returns:
        The corner of the code and every run of words, none of which leaves the label's padding.
    """
    pad = form.padding_mm
    ident = _id_run(label.unit_id, form)
    column_x = pad + form.code_mm + QUIET_MODULES * form.module_mm
    width_mm = form.label_width_mm - pad - column_x
    cap_mm = ident.size_pt * _ID_CAP_HEIGHT * MM_PER_PT
    height_mm = ident.y_mm - cap_mm - form.module_mm - pad
    rows = _fitted_rows(label, width_mm / MM_PER_PT, height_mm / MM_PER_PT)
    return Placed(pad, pad, (*_column_runs(rows, column_x, pad, width_mm), ident))


def _id_run(unit_id: str, form: SheetFormat) -> TextRun:
    text = group4(unit_id)
    below_code_mm = form.padding_mm + form.code_mm + QUIET_MODULES * form.module_mm
    room_mm = form.label_height_mm - form.padding_mm - below_code_mm
    tallest_pt = room_mm / MM_PER_PT / _ID_CAP_HEIGHT
    width_pt = (form.label_width_mm - 2 * form.padding_mm) / MM_PER_PT
    best = fit(text, MONO, tallest_pt, 1.0, width_pt)
    return _run(best, form.padding_mm, form.label_height_mm - form.padding_mm)


def _fitted_rows(label: LabelText, width_pt: float, height_pt: float) -> list[_Row]:
    scale = min(width_pt / _COLUMN_PT[0], height_pt / _COLUMN_PT[1])
    rows = _rows(label, width_pt, scale)
    for _ in range(8):
        total = sum(row.height_pt for row in rows)
        if total <= height_pt:
            break
        scale *= max(0.8, min(0.98, height_pt / total))
        rows = _rows(label, width_pt, scale)
    return rows


def _rows(label: LabelText, width_pt: float, scale: float) -> list[_Row]:
    def line(text: str, font: str, size: float, least: float) -> Fitted:
        return fit(latin(text), font, round(size * scale, 2), round(least * scale, 2), width_pt)

    first, *rest = _destination(label)
    item_gap_pt = 1.5 * scale if label.title else 0.0
    rows = [_Row(line(label.title, REGULAR, 6.2, 5))]
    rows.append(_Row(line(label.item, BOLD, 10, 7), gap_pt=item_gap_pt))
    contest = wrap(latin(label.contest), REGULAR, round(7 * scale, 2), width_pt, 2)
    rows += [_Row(each) for each in contest]
    rows.append(_head_row(first, label.part, width_pt, scale))
    rows += [_Row(line(text, REGULAR, 7, 5.8)) for text in rest]
    return [row for row in rows if row.left.text or row.right]


def _head_row(first: str, part: str, width_pt: float, scale: float) -> _Row:
    right = fit(latin(part), BOLD, round(8 * scale, 2), round(6 * scale, 2), width_pt / 2) if part else None
    room_pt = width_pt - (right.width_pt + 5 * scale if right else 0)
    left = fit(latin(first), BOLD, round(9.5 * scale, 2), round(6.5 * scale, 2), room_pt)
    return _Row(left, right, gap_pt=2.5 * scale)


def _destination(label: LabelText) -> list[str]:
    lines = list(label.destination) or [""]
    kept = lines[: _MAX_DESTINATION_LINES - 1]
    rest = ", ".join(lines[_MAX_DESTINATION_LINES - 1 :])
    return [*kept, rest] if rest else kept


def _column_runs(rows: list[_Row], x_mm: float, top_mm: float, width_mm: float) -> list[TextRun]:
    runs = []
    y_pt = top_mm / MM_PER_PT
    for row in rows:
        baseline_mm = (y_pt + row.gap_pt + row.left.size_pt * _CAP_HEIGHT) * MM_PER_PT
        if row.left.text:
            runs.append(_run(row.left, x_mm, baseline_mm))
        if row.right:
            right_x_mm = x_mm + width_mm - row.right.width_pt * MM_PER_PT
            runs.append(_run(row.right, right_x_mm, baseline_mm))
        y_pt += row.height_pt
    return runs


def _run(words: Fitted, x_mm: float, y_mm: float) -> TextRun:
    return TextRun(x_mm, y_mm, words.text, words.font, words.size_pt, words.width_pt * MM_PER_PT)
