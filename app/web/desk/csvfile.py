"""Lists as CSV (RFC 4180), for people who open them in a spreadsheet and for programs that do not.

UTF-8 with a byte order mark, without which spreadsheets read it as something else; `?bom=0` leaves the mark out. A
text cell that a spreadsheet would take for a formula (`=`, `+`, `-`, `@`, a tab, a line break at its start) gets an
apostrophe before it: what somebody wrote as a reason must not run on an auditor's machine. Numbers stay numbers.

A file is bounded: at most so many rows, made page by page in one snapshot. One that was cut says so in its name
(`-sebagian`), in the header `Link` and in a last row, since a file that looks whole and is not misleads.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from app.units.plancells import harmless

MAX_ROWS = 5000
BOM = "\ufeff"
CUT = "…"
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its stable name, and what of a row stands in it."""

    name: str
    value: Callable[[Row], object]


def columns(*names: str, **others: Callable[[Row], object]) -> tuple[Column, ...]:
    """Return columns: members of a row by their own names, then others by how they are found."""
    plain = [Column(name, _member(name)) for name in names]
    return (*plain, *(Column(name, value) for name, value in others.items()))


def _member(name: str) -> Callable[[Row], object]:
    return lambda row: row[name]


def cell(value: object) -> str | int:
    """Return what stands in a cell: numbers as they are, texts made harmless, lists with a space between."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    text = "" if value is None else str(value)
    return harmless(text)


def csv_file(
    name: str, shape: Sequence[Column], rows: Iterable[Row], *, more: str | None = None, bom: bool = True
) -> Response:
    """Return rows as a CSV file.

    Args:
        name: The file's name without its ending.
        shape: Its columns.
        rows: What to tell, at most `MAX_ROWS`.
        more: The address of the rows that follow, when these are not all.
        bom: Begin with a byte order mark.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([column.name for column in shape])
    writer.writerows([cell(column.value(row)) for column in shape] for row in rows)
    if more is not None:
        writer.writerow([CUT] * len(shape))
    shown = f"{name}-sebagian" if more is not None else name
    headers = {"Content-Disposition": f'attachment; filename="{shown}.csv"', "Cache-Control": "no-store"}
    if more is not None:
        headers["Link"] = f'<{more}>; rel="next"'
    text = (BOM if bom else "") + out.getvalue()
    return Response(text.encode("utf-8", "replace"), 200, headers, media_type="text/csv; charset=utf-8; header=present")
