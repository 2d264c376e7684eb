"""Instants as people read them: the same text as the slow and obvious way gives."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from app.audit import moments
from app.audit.moments import local_time, utc
from app.clock import END_MS, FIRST_MS, rfc3339_ms

INSTANTS = st.integers(FIRST_MS, END_MS - 1)
ZONES = st.sampled_from(
    ["Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
CASEY = 1_601_740_860_000
"""2020-10-03T16:01:00Z, when Casey changed its clocks: not at the full hour."""


def plainly(ms: int, zone: str) -> str:
    moment = datetime.fromtimestamp(ms // 1000, tz=UTC).replace(microsecond=ms % 1000 * 1000)
    return moment.astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")


@given(INSTANTS)
@example(FIRST_MS)
@example(END_MS - 1)
def test_utc_is_what_the_clock_writes(ms):
    assert utc(ms) == rfc3339_ms(ms)
    assert utc(None) is None


@given(INSTANTS, ZONES)
@example(FIRST_MS, "Asia/Makassar")
@example(1_711_846_799_999, "Europe/Berlin")
@example(1_711_846_800_000, "Europe/Berlin")
def test_local_time_is_what_the_zone_says(ms, zone):
    assert local_time(ms, zone) == plainly(ms, zone)


def test_a_zone_that_changes_within_an_hour():
    """Casey did at 16:01 UTC; an offset that was taken for the whole hour would be wrong for a part of it."""
    around = [CASEY + 60_000 * minutes for minutes in range(-90, 91)]
    assert [local_time(ms, "Antarctica/Casey") for ms in around] == [plainly(ms, "Antarctica/Casey") for ms in around]
    hour = CASEY // moments._HOUR_MS
    assert moments._throughout("Antarctica/Casey", hour) is None
    for_all = moments._offset("Antarctica/Casey", hour * moments._HOUR_MS)
    assert any(moments._offset("Antarctica/Casey", ms) != for_all for ms in around if ms // moments._HOUR_MS == hour)
