"""A plot as SVG text, by itself and without a library (pure): small panels over a logarithmic axis of sizes.

It has no colours of its own but two for the light and the dark theme, which the reader's system chooses.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 44, 40
COLUMNS = 2
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600}.note{fill:#666;font-size:11px}"
    ".grid{stroke:#ddd}.line{stroke:#1f6feb;stroke-width:2;fill:none}.dot{fill:#1f6feb}"
    ".fit{stroke:#888;stroke-dasharray:4 4}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.note{fill:#999}.grid{stroke:#444}.line{stroke:#79b8ff}"
    ".dot{fill:#79b8ff}.fit{stroke:#888}}"
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity: its title with the unit, a note below it, its points (x > 0, y ≥ 0), and a fitted line.

    `fit` is the line's value at the first and at the last x.
    """

    title: str
    note: str
    points: tuple[tuple[float, float], ...]
    fit: tuple[float, float] | None = None


def svg(title: str, axis: str, panels: Sequence[Panel]) -> str:
    """Return the panels in two columns as an SVG document.

    Args:
        title: Said by screen readers.
        axis: What x is; stands below each panel.
        panels: At least one, each with at least one point.
    """
    rows = -(-len(panels) // COLUMNS)
    width, height = WIDTH * min(COLUMNS, len(panels)), HEIGHT * rows
    drawn = "".join(
        f'<g transform="translate({WIDTH * (n % COLUMNS)} {HEIGHT * (n // COLUMNS)})">{_panel(panel, axis)}</g>\n'
        for n, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n{drawn}</svg>\n'
    )


def _panel(panel: Panel, axis: str) -> str:
    low, high = _decades([x for x, _ in panel.points])
    top = nice(max([y for _, y in panel.points] + list(panel.fit or ())))
    inner, deep = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        along = (math.log10(x) - low) / (high - low)
        return round(LEFT + inner * along, 1), round(TOP + deep * (1 - y / top), 1)

    parts = [_words(LEFT, 16, panel.title, "title"), _words(LEFT, 32, panel.note, "note")]
    for step in range(5):
        x, y = at(10**low, top * step / 4)
        parts.append(f'<path class="grid" d="M{x} {y}H{WIDTH - RIGHT}"/>')
        parts.append(_words(LEFT - 6, y + 4, f"{top * step / 4:,.4g}", "", "end"))
    for power in range(math.ceil(low), math.floor(high) + 1):
        x, y = at(10.0**power, 0)
        parts.append(f'<path class="grid" d="M{x} {TOP}V{y}"/>')
        parts.append(_words(x, y + 16, _power(power), "", "middle"))
    parts.append(_words(LEFT + inner / 2, HEIGHT - 6, axis, "note", "middle"))
    places = [at(x, y) for x, y in panel.points]
    if panel.fit is not None:
        (x1, y1), (x2, y2) = at(panel.points[0][0], panel.fit[0]), at(panel.points[-1][0], panel.fit[1])
        parts.append(f'<path class="fit" d="M{x1} {y1}L{x2} {y2}"/>')
    parts.append(f'<path class="line" d="M{"L".join(f"{x} {y}" for x, y in places)}"/>')
    parts += [f'<circle class="dot" cx="{x}" cy="{y}" r="3.5"/>' for x, y in places]
    return "".join(parts)


def _words(x: float, y: float, text: str, class_: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{class_}" text-anchor="{anchor}">{escape(text)}</text>'


def _decades(xs: Sequence[float]) -> tuple[float, float]:
    """Return the logarithms between which the axis runs: a little around the points."""
    low, high = math.log10(min(xs)), math.log10(max(xs))
    return low - 0.1, high + 0.1


def _power(power: int) -> str:
    return {3: "1 k", 4: "10 k", 5: "100 k", 6: "1 M", 7: "10 M", 8: "100 M"}.get(power, f"10^{power}")


def nice(value: float) -> float:
    """Return a round number that is no less: 1, 2, 2.5, 4, 5 or 8 times a power of ten; 1 for nothing."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= value * 0.999999)
