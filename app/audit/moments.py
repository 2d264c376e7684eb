"""Instants as people read them (pure): in UTC, and on the wall of a place.

An answer tells each event's times four or five times over, and making each by `datetime` costs more than reading
the event. Here a day's date is remembered and the rest looked up: the same text as `app.clock.rfc3339_ms`.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_MINUTES = [f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440)]
_SECONDS = [f"{ms // 1000:02d}.{ms % 1000:03d}" for ms in range(_MINUTE_MS)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%dT")


@lru_cache(maxsize=8192)
def _minute(minute: int) -> str:
    day, rest = divmod(minute, 1440)
    return _date(day) + _MINUTES[rest]


def _face(ms: int) -> str:
    """Write date and time of a day, without a zone."""
    minute, rest = divmod(ms, _MINUTE_MS)
    return _minute(minute) + _SECONDS[rest]


def utc(ms: int | None) -> str | None:
    """Write an instant (UTC milliseconds) in UTC with `Z`, or None."""
    return _face(ms) + "Z" if ms is not None else None


def local_time(ms: int, zone: str) -> str:
    """Write an instant (UTC milliseconds) as RFC 3339 in a zone, with the zone's offset."""
    found = _throughout(zone, ms // _HOUR_MS)
    shift_ms, offset = found if found is not None else _offset(zone, ms)
    return _face(ms + shift_ms) + offset


@lru_cache(maxsize=4096)
def _throughout(zone: str, hour: int) -> tuple[int, str] | None:
    """Return a zone's offset in an hour when it is the same at both ends; zones do change in the middle of one."""
    first, last = _offset(zone, hour * _HOUR_MS), _offset(zone, (hour + 1) * _HOUR_MS)
    return first if first == last else None


def _offset(zone: str, ms: int) -> tuple[int, str]:
    """Return a zone's offset at an instant: milliseconds, and as it is written."""
    there = (_EPOCH + timedelta(milliseconds=ms)).replace(microsecond=0).astimezone(ZoneInfo(zone))
    shift = there.utcoffset() or timedelta()
    return int(shift.total_seconds()) * 1000, there.isoformat()[19:]
