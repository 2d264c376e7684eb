"""Instants: written one way, read strictly."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.clock import END_MS, FIRST_MS, Clock, FixedClock, SystemClock, parse_rfc3339, rfc3339_ms
from app.errors import MalformedError

INSTANTS = st.integers(FIRST_MS, END_MS - 1)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-02-12T07:30:00+08:00", "2024-02-11T23:30:00.000Z"),
        ("2024-02-11T23:30:02.125Z", "2024-02-11T23:30:02.125Z"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000Z"),
        ("2024-11-26T08:30:00.1+09:00", "2024-11-25T23:30:00.100Z"),
        ("2024-11-26T08:30:00.123999999-03:30", "2024-11-26T12:00:00.123Z"),
        ("2024-11-26T08:30:00+00:00", "2024-11-26T08:30:00.000Z"),
        ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000Z"),
        ("2100-12-31T23:59:59.999Z", "2100-12-31T23:59:59.999Z"),
        ("2101-01-01T07:59:59+08:00", "2100-12-31T23:59:59.000Z"),
    ],
)
def test_good_forms(text: str, utc: str) -> None:
    assert rfc3339_ms(parse_rfc3339(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "2024-02-12",
            "2024-02-12T07:30:00",
            "2024-02-12 07:30:00Z",
            "2024-02-12t07:30:00z",
            "2024-02-12T07:30Z",
        ),
        *(
            "2024-02-12T07:30:00.Z",
            "2024-02-12T07:30:00,5Z",
            "2024-02-12T07:30:00-00:00",
            "2024-02-12T07:30:00+0800",
        ),
        *(
            "2024-02-12T07:30:00+08",
            "2024-02-12T07:30:00+24:00",
            "2024-02-12T07:30:00+08:60",
            "2024-02-12T07:30:00+08:00:00",
        ),
        *("2016-12-31T23:59:60Z", "2024-06-30T23:59:60Z", "2024-02-12T24:00:00Z", "2024-02-12T07:60:00Z"),
        *(
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-10T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-04-00T00:00:00Z",
        ),
        *(
            "2019-12-31T23:59:59.999Z",
            "2020-01-01T07:59:59+08:00",
            "2101-01-01T00:00:00Z",
            "0001-01-01T00:00:00+14:00",
        ),
        *(
            "9999-12-31T23:59:59-14:00",
            "2024-W07-1T00:00:00Z",
            "2024-043T00:00:00Z",
            "20240212T073000Z",
            "1707694202125",
        ),
        *(
            "2024-02-12T07:30:00Z\n",
            " 2024-02-12T07:30:00Z",
            "٢024-02-12T07:30:00Z",
            "2024-02-12T07:30:00.1234567890Z",
        ),
    ],
    ids=ascii,
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_rfc3339(text)
    assert caught.value.code == "time"


@given(INSTANTS)
@settings(deadline=None)
def test_what_is_written_reads_back(ms: int) -> None:
    assert parse_rfc3339(rfc3339_ms(ms)) == ms


@given(INSTANTS, st.integers(-23 * 60 - 59, 23 * 60 + 59).filter(bool))
@settings(deadline=None)
def test_offsets_are_taken_off(ms: int, minutes: int) -> None:
    utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    local = utc.astimezone(timezone(timedelta(minutes=minutes)))
    assert parse_rfc3339(local.isoformat(timespec="milliseconds")) == ms


@given(st.lists(INSTANTS, min_size=2, max_size=6))
@settings(deadline=None)
def test_text_sorts_by_time(instants: list[int]) -> None:
    assert [rfc3339_ms(ms) for ms in sorted(instants)] == sorted(rfc3339_ms(ms) for ms in instants)


@given(st.text(max_size=30) | st.text(st.sampled_from("0123456789-:.TZ+"), min_size=18, max_size=30))
@settings(deadline=None, max_examples=300)
def test_arbitrary_text_raises_nothing_else(text: str) -> None:
    try:
        assert FIRST_MS <= parse_rfc3339(text) < END_MS
    except MalformedError as error:
        assert error.code == "time"  # noqa: PT017 - either outcome is right


def test_a_fixed_clock_moves_when_told() -> None:
    clock = FixedClock(FIRST_MS)
    told: Clock = clock
    assert told.now_ms() == told.now_ms() == FIRST_MS
    clock.advance(1500)
    clock.advance(-500)
    assert told.now_ms() == FIRST_MS + 1000


def test_the_system_clock_tells_utc_milliseconds() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns() // 1_000_000
    assert before <= clock.now_ms() <= time.time_ns() // 1_000_000
