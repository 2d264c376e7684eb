"""Instants as people read them: the place's own wall clock with its zone's name, UTC for who hovers or compares.

The audit tells an instant twice: in UTC, and in the place's zone with its offset. Indonesia has three zones whose
offsets are all different, so the offset names the zone; any other is told as it is written.
"""

from datetime import UTC, datetime

from babel.dates import format_datetime
from markupsafe import Markup

ZONES = {"+07:00": "WIB", "+08:00": "WITA", "+09:00": "WIT", "+00:00": "UTC"}
_PATTERNS = {"id": "d MMM y HH.mm.ss", "en": "d MMM y HH:mm:ss"}
_TIME = Markup('<time datetime="{exact}" title="{utc}">{words}</time>')


def moment(utc: str | None, local: str | None, language: str) -> Markup | str:
    """Return an instant as HTML: local words, UTC in the title; a dash for one that is not there.

    Args:
        utc: RFC 3339 in UTC, as the audit tells it.
        local: The same in the place's zone; UTC is shown where it is None.
        language: `id` or `en`.
    """
    if utc is None:
        return "–"
    words = spoken(local or utc, language)
    return _TIME.format(exact=utc, utc=spoken(utc, language), words=words)


def spoken(text: str, language: str) -> str:
    """Write an instant in words: day, month, year, time and the name of its zone."""
    at = datetime.fromisoformat(text)
    offset = at.isoformat()[-6:]
    face = format_datetime(at.replace(tzinfo=None), _PATTERNS[language], locale=language)
    return f"{face} {ZONES.get(offset, f'UTC{offset}')}"


def of_ms(ms: int, like: str | None, language: str) -> Markup | str:
    """Return an instant in UTC milliseconds as HTML, on the same wall as another that was told locally."""
    utc = datetime.fromtimestamp(ms // 1000, UTC)
    here = utc.astimezone(datetime.fromisoformat(like).tzinfo) if like is not None else utc
    return moment(utc.isoformat(), here.isoformat(), language)


def lasting(seconds: int, language: str) -> str:
    """Write a length of time in its two largest units."""
    days, rest = divmod(max(0, seconds), 86_400)
    hours, minutes = rest // 3600, rest % 3600 // 60
    day, hour, minute = ("hari", "jam", "menit") if language == "id" else ("d", "h", "min")
    if days:
        return f"{days} {day} {hours} {hour}"
    return f"{hours} {hour} {minutes} {minute}" if hours else f"{minutes} {minute}"
