"""A unit's story as a strip (pure): which agency's officer held it from event to event, and where nobody plainly did.

Every event takes the same step, since days without events would press all others into a corner; the days stand below.
It is drawn by `pages/desk/strip.svg`, and the list beneath tells the same in words: nothing is only in the picture.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, NARROWEST, WIDEST = 1040, 24, 88
"""How wide the strip wants to be, and how narrow and how wide a step may be for that."""
LEFT, RIGHT, TOP, HEIGHT, DAYS = 8, 48, 16, 30, 24
LETTER, DATE = 7.5, 60
TONES = 6
TAKING = frozenset({"unit.commission", "custody.accept"})
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the strip: from where, how wide, who held it there (empty: nobody plainly), and in which tone."""

    x: int
    width: int
    holder: str
    tone: int

    @property
    def label(self) -> str:
        """The holder's name, as far as it fits."""
        return self.holder if len(self.holder) * LETTER + LEFT < self.width else ""


@dataclass(frozen=True, slots=True)
class Tick:
    """One event on the strip."""

    x: int
    row: Row
    day: str


@dataclass(frozen=True, slots=True)
class Strip:
    """Everything that is drawn."""

    width: int
    stretches: tuple[Stretch, ...]
    ticks: tuple[Tick, ...]
    holders: tuple[tuple[str, int], ...]

    @property
    def height(self) -> int:
        """How high the picture is, the days included."""
        return TOP + HEIGHT + DAYS


def strip(rows: Sequence[Row]) -> Strip | None:
    """Return the strip of a page of a history; None where nothing took effect.

    Args:
        rows: Rows of a unit's history, events and gaps, in its order.
    """
    events = [row for row in rows if row["kind"] == "event" and _took_effect(row)]
    if not events:
        return None
    unsure = [(row["from"]["index"], row["to"]["index"] if row["to"] else None) for row in rows if row["kind"] == "gap"]
    step = max(NARROWEST, min(WIDEST, WIDTH // len(events)))
    tones: dict[str, int] = {}
    stretches: list[Stretch] = []
    holder = ""
    for n, row in enumerate(events):
        holder = f"{row['agency']} · {row['officer']}" if row["type"] in TAKING else holder
        shown = "" if _lies_in(row["index"], unsure) else holder
        tone = tones.setdefault(shown, len(tones) % TONES) if shown else -1
        if stretches and stretches[-1].holder == shown:
            last = stretches.pop()
            stretches.append(Stretch(last.x, last.width + step, shown, tone))
        else:
            stretches.append(Stretch(LEFT + n * step, step, shown, tone))
    width = LEFT + len(events) * step + RIGHT
    return Strip(width, tuple(stretches), tuple(_ticks(events, step)), tuple(tones.items()))


def _took_effect(row: Row) -> bool:
    return row["result"] == "accepted" or bool(row["outcome"] and row["outcome"]["result"] == "accepted")


def _lies_in(index: int, gaps: Iterable[tuple[int, int | None]]) -> bool:
    return any(since <= index and (until is None or index < until) for since, until in gaps)


def _ticks(events: Sequence[Row], step: int) -> Iterable[Tick]:
    """Yield a tick for each event; the first of a day bears its date, where there is room for it."""
    before, free_from = "", 0
    for n, row in enumerate(events):
        day = str(row["received_local"] or row["received_at"])[:10]
        x = LEFT + n * step
        bears = day != before and x >= free_from
        before = day if bears else before
        free_from = x + DATE if bears else free_from
        yield Tick(x, row, day if bears else "")
