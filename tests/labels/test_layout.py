"""Words fit their label, whatever they are."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.errors import RefusedError
from app.ids import group4
from app.labels.fitting import BOLD, ENCODING, REGULAR, fit, latin, wrap
from app.labels.formats import A4_3X8_70X37, FORMATS, SheetFormat
from app.labels.layout import MM_PER_PT, TextRun, place
from app.labels.matrix import QUIET_MODULES
from app.labels.payload import LabelText

ID = "7K3M9QXA2BTW5R0EK"
HOST = "s.example.go.id"
HAIR_MM = 0.02
CONTEST = "Wali Kota dan Wakil Wali Kota Bontang"
FULLEST = {
    "item": "Kotak suara", "contest": CONTEST, "title": "Pilkada 2024", "total": 5,
    "destination": ("TPS 012", "Kel. Bontang Baru", "Kec. Bontang Utara", "Kota Bontang"),
}  # fmt: skip
words = st.text(max_size=80) | st.text("W w.", max_size=400)


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(list(FORMATS.values())),
    item=words,
    contest=words,
    title=words,
    destination=st.lists(words, max_size=7).map(tuple),
    total=st.sampled_from([0, 5, 10**9]),
)
@example(form=FORMATS["A4_3X8_70x37"], **FULLEST)
@example(form=FORMATS["A4_L7159"], **FULLEST)
@example(form=FORMATS["BOX_100x50"], **FULLEST)
def test_no_words_leave_their_label_or_touch_the_code(
    form: SheetFormat, item: str, contest: str, title: str, destination: tuple[str, ...], total: int
) -> None:
    label = LabelText(ID, HOST, item, contest, destination, total, total, title)
    placed = place(label, form)
    *column, ident = placed.runs
    right = form.label_width_mm - form.padding_mm
    quiet_end = placed.code_x_mm + form.code_mm + QUIET_MODULES * form.module_mm
    assert ident.text == group4(ID)
    assert ident.y_mm <= form.label_height_mm - form.padding_mm + HAIR_MM
    assert _top(ident) >= placed.code_y_mm + form.code_mm + QUIET_MODULES * form.module_mm - HAIR_MM
    assert all(run.x_mm + run.width_mm <= right + HAIR_MM for run in placed.runs)
    assert all(run.x_mm >= quiet_end - HAIR_MM for run in column)
    assert all(form.padding_mm - HAIR_MM <= _top(run) and run.y_mm < _top(ident) for run in column)
    assert all(_apart(one, other) for one in column for other in column if one is not other)
    assert all(run.size_pt >= 4 for run in column)


def test_ordinary_words_are_shown_whole_and_large() -> None:
    destination = ("TPS 012", "Kel. Bontang Baru", "Kec. Bontang Utara", "Kota Bontang")
    placed = place(LabelText(ID, HOST, "Kotak suara", CONTEST, destination, 1, 5), A4_3X8_70X37)
    shown = [run.text for run in placed.runs]
    assert shown == [
        "Kotak suara", "Wali Kota dan Wakil Wali Kota", "Bontang", "TPS 012", "1 dari 5", *destination[1:],
        group4(ID),
    ]  # fmt: skip
    assert min(run.size_pt for run in placed.runs) >= 6


def test_more_than_four_destination_lines_share_the_last() -> None:
    placed = place(LabelText(ID, HOST, "Segel", destination=tuple("ABCDEF")), A4_3X8_70X37)
    assert [run.text for run in placed.runs][1:5] == ["A", "B", "C", "D, E, F"]


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("Kotak\n suara\t1", "Kotak suara 1"),
        ("Café – “dua”…", "Café – “dua”…"),
        ("e\u0301", "é"),
        ("Łódź ﬁ", "?ódz fi"),
        ("投票", "??"),
        ("a\u202eb\u200bc\x00d\ud800", "abc d?"),
        ("x" * 500, "x" * 160),
    ],
)
def test_words_keep_only_what_the_fonts_can_show(given_text: str, shown: str) -> None:
    assert latin(given_text) == shown


@given(st.text())
def test_every_shown_word_can_be_written_to_the_pdf(text: str) -> None:
    assert latin(text).encode(ENCODING).decode(ENCODING).isprintable()


@given(st.text("abcW i.,", max_size=60), st.floats(20, 300))
def test_fitted_words_never_exceed_the_width(text: str, width: float) -> None:
    fitted = fit(latin(text), BOLD, 12, 7, width)
    assert fitted.width_pt <= width + 1e-9
    assert 7 <= fitted.size_pt <= 12
    lines = wrap(latin(text), REGULAR, 9, width, 2)
    assert len(lines) <= 2
    assert all(line.width_pt <= width + 1e-9 for line in lines)


def test_wrapping_loses_no_word_when_there_is_room() -> None:
    lines = wrap("satu dua tiga empat", REGULAR, 10, 60, 4)
    assert " ".join(line.text for line in lines) == "satu dua tiga empat"
    assert len(lines) > 1


@pytest.mark.parametrize(
    "change",
    [
        {"columns": 0}, {"rows": 9}, {"columns": 4}, {"left_mm": 1}, {"top_mm": -1}, {"pitch_x_mm": 60},
        {"pitch_y_mm": 30}, {"module_mm": 0.3}, {"module_mm": 1.2}, {"padding_mm": 2.0},
        {"module_mm": 0.95, "padding_mm": 4.0}, {"page_width_mm": math.nan},
    ],
)  # fmt: skip
def test_a_format_that_cannot_be_printed_is_refused(change: dict[str, float]) -> None:
    sound = {name: getattr(A4_3X8_70X37, name) for name in SheetFormat.__dataclass_fields__}
    with pytest.raises(RefusedError) as refused:
        SheetFormat(**{**sound, **change})
    assert refused.value.code == "sheet_format"


def _top(run: TextRun) -> float:
    return run.y_mm - run.size_pt * 0.58 * MM_PER_PT


def _apart(one: TextRun, other: TextRun) -> bool:
    sideways = one.x_mm + one.width_mm <= other.x_mm or other.x_mm + other.width_mm <= one.x_mm
    return sideways or one.y_mm <= _top(other) or other.y_mm <= _top(one)
