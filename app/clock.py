"""Time: one clock that is passed in, and one way to read and write instants.

Ground floor. An instant is an integer, UTC milliseconds since 1970-01-01; text appears only at the
edges. Knows nothing of events; rules and other pure modules take instants and never a clock.

Spec: RFC 3339; design sections 5 and 8; ledger reference section 3 (`received_at`).
"""

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NoReturn, Protocol

from app.errors import MalformedError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC by construction; saves a conversion
_DAY_MS: Final = 86_400_000
FIRST_MS: Final = (datetime(2020, 1, 1, tzinfo=UTC) - _EPOCH).days * _DAY_MS
"""2020-01-01T00:00:00Z, the first instant that is accepted."""
END_MS: Final = (datetime(2101, 1, 1, tzinfo=UTC) - _EPOCH).days * _DAY_MS
"""2101-01-01T00:00:00Z, the first instant that is not."""

# Upper-case T and Z, no 24:00, no leap second, an offset that is stated; -00:00 means unknown.
_RFC3339: Final = re.compile(
    r"2[01][0-9]{2}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|(?!-00:00)[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)


class Clock(Protocol):
    """Whatever tells the time; wired once, in the entrances."""

    def now_ms(self) -> int:
        """Return UTC milliseconds since 1970."""
        ...


class SystemClock:
    """The machine's own clock, for entrances only."""

    def now_ms(self) -> int:
        """Return the machine's time, rounded down to a millisecond."""
        return time.time_ns() // 1_000_000


class FixedClock:
    """A clock that stands still until it is told to move, for tests and demos."""

    def __init__(self, ms: int) -> None:
        """Stand at an instant.

        Args:
            ms: UTC milliseconds since 1970.
        """
        self._ms = ms

    def now_ms(self) -> int:
        """Return the instant at which this clock stands."""
        return self._ms

    def advance(self, ms: int) -> None:
        """Move the clock.

        Args:
            ms: Milliseconds; negative moves it back, as real clocks do.
        """
        self._ms += ms


@lru_cache(maxsize=1024)
def rfc3339_ms(ms: int) -> str:
    """Write an instant the one way this service writes it; the events of a group share theirs, so it is remembered.

    Args:
        ms: UTC milliseconds since 1970, within the years that `datetime` has.

    Returns:
        `2024-02-11T23:30:02.125Z`: UTC, three decimals, `Z`; sorts by time.

    Spec: RFC 3339 section 5.6; ledger reference section 3.
    """
    return (_NAIVE_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds") + "Z"


def parse_rfc3339(text: str) -> int:
    """Read an instant that somebody else wrote.

    Digits beyond the millisecond are dropped. Whether the time is plausible is not decided here.

    Args:
        text: RFC 3339 in upper case, offset required and known, up to nine decimals.

    Returns:
        UTC milliseconds since 1970.

    Raises:
        MalformedError: `time`, another form, no such date, a leap second, or outside the years
            2020 to 2100 UTC.

    Spec: RFC 3339 section 5.6; design section 8.
    """
    if not _RFC3339.fullmatch(text):
        _refuse()
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        _refuse()
    ms = since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000
    if not FIRST_MS <= ms < END_MS:
        _refuse()
    return ms


def _refuse() -> NoReturn:
    raise MalformedError("A time is RFC 3339 with an offset, 2020 to 2100.", code="time") from None
