"""A plan as a table, one row per polling station: read with every fault told (pure). `plantable` writes one.

`read_table` takes what spreadsheets save: UTF-8 with or without a byte order mark, commas, semicolons or tabs, any
line ends, a `sep=` line. What it cannot take for sure is refused with row, column and what to do, all of it at once.
It makes the document of a plan and not yet the plan in force: whether it agrees with the policy beyond names is
`app.units.plancheck`'s, and `plan.publish` puts it in force.

Sizes: at most 16 MiB, 20,000 rows and 300 columns; of the faults the first 1,000 are kept, the rest counted.
"""

import csv
import io
import json
from dataclasses import dataclass, field
from typing import Any

from app.errors import MalformedError, TooLargeError
from app.units.documents import STATION_KINDS, Election, Policy, parse_document
from app.units.plancells import CellError, code, moment, plain, whole, yes_or_no
from app.units.planframe import Column, Fault, Frame, columns, nearest_place
from app.units.plans import Station, reserve

MAX_TABLE_BYTES = 16 * 1024 * 1024
MAX_ROWS = 20_000
MAX_COLUMNS = 300
MAX_FAULTS = 1_000
AUTO = "auto"
_WHOLE_FILE = "file"


@dataclass(slots=True)
class Reading:
    """What came of a table: the document of a plan, or what is wrong; `count` counts faults that were not kept, too."""

    document: bytes | None = None
    faults: list[Fault] = field(default_factory=list)
    count: int = 0

    def tell(self, row: int, column: str, what: str, todo: str) -> None:
        """Take a fault in."""
        self.count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(row, column, what, todo))


def read_table(data: bytes, policy: Policy, frame: Frame) -> Reading:
    """Read a table of stations.

    Args:
        data: The file as it was saved.
        policy: In force, or about to be: what places, contests, items and rate there are.
        frame: What of the plan is not said per station.

    Returns:
        The document's bytes when nothing is wrong, else every fault.
    """
    reading = Reading()
    election = policy.election_by_id.get(frame.election)
    if election is None:
        known = ", ".join(policy.election_by_id)
        reading.tell(0, _WHOLE_FILE, "is for an election that the policy does not have", f"the policy has {known}")
        return reading
    rows = _rows(data, reading)
    stations = _Stations(policy, election, reading).read(rows) if rows else []
    if not reading.count:
        _finish(reading, frame, election, stations)
    return reading


def _finish(reading: Reading, frame: Frame, election: Election, stations: list[dict[str, Any]]) -> None:
    document = {
        "v": 1, "kind": "plan", "election": frame.election, "title": frame.title, "synthetic": frame.synthetic,
        "reserve_permille": election.reserve_permille, "capacity": list(frame.capacity), "stations": stations,
        "stops": list(frame.stops),
    }  # fmt: skip
    made = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    try:
        parse_document(made)
    except TooLargeError:
        todo = "publish one plan per ledger: split the table by province or city"
        reading.tell(0, _WHOLE_FILE, "makes a document of more than 8 MiB", todo)
    except MalformedError as error:
        reading.tell(0, _WHOLE_FILE, f"makes no plan: {error.detail}", "correct title, capacity or windows")
    else:
        reading.document = made


# -- the file --------------------------------------------------------------------------------------------


def _rows(data: bytes, reading: Reading) -> list[tuple[int, list[str]]]:
    """Return the rows with something in them, numbered as a spreadsheet does; nothing when the file is no table."""
    text = _text(data, reading)
    if text is None:
        return []
    first, _, rest = text.partition("\n")
    skipped = 1 if first.strip().casefold().startswith("sep=") else 0
    head = rest.partition("\n")[0] if skipped else first
    delimiter = first.strip()[4:5] if skipped else max(",;\t", key=head.count)
    if delimiter not in {",", ";", "\t"}:
        reading.tell(1, _WHOLE_FILE, "names an unknown separator", "separate cells by comma, semicolon or tab")
        return []
    rows: list[tuple[int, list[str]]] = []
    try:
        for n, row in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True), 1):
            if n > skipped and any(cell.strip() for cell in row):
                rows.append((n, row))
            if len(rows) > MAX_ROWS + 1:
                reading.tell(n, _WHOLE_FILE, f"has more than {MAX_ROWS} stations", "split it by province or city")
                return []
    except csv.Error:
        last = rows[-1][0] + 1 if rows else skipped + 1
        reading.tell(last, _WHOLE_FILE, "has a quotation mark that does not end", 'double it (""), or take it out')
        return []
    return _checked(rows, reading)


def _checked(rows: list[tuple[int, list[str]]], reading: Reading) -> list[tuple[int, list[str]]]:
    if len(rows) < 2:
        reading.tell(0, _WHOLE_FILE, "has no stations", "write a header and one row per polling station")
        return []
    if len(rows[0][1]) > MAX_COLUMNS:
        reading.tell(rows[0][0], _WHOLE_FILE, f"has more than {MAX_COLUMNS} columns", "delete what is not of the plan")
        return []
    return rows


def _text(data: bytes, reading: Reading) -> str | None:
    if len(data) > MAX_TABLE_BYTES:
        reading.tell(0, _WHOLE_FILE, "is larger than 16 MiB", "split it by province or city")
        return None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        reading.tell(0, _WHOLE_FILE, "is a workbook and no CSV", "save it as CSV UTF-8")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\x00"
    if "\x00" in text:
        reading.tell(0, _WHOLE_FILE, "is not written in UTF-8", "save it as CSV UTF-8 (comma delimited)")
        return None
    return text


# -- the stations ----------------------------------------------------------------------------------------


class _Row:
    """One row by column; a cell that cannot be taken is told once and counts as empty."""

    def __init__(self, number: int, cells: dict[Column, tuple[str, str]], reading: Reading) -> None:
        self.number = number
        self._cells = cells
        self._reading = reading

    def text(self, column: Column) -> str:
        """Return a cell, empty when there is none."""
        return self.read(column, lambda text: text) or ""

    def read(self, column: Column, take: Any) -> Any:
        """Return what a cell says, None when it is empty or wrong."""
        header, cell = self._cells.get(column, ("", ""))
        try:
            text = plain(cell)
            return take(text) if text else None
        except CellError as error:
            self._reading.tell(self.number, header, error.what, error.todo)
            return None

    def empty(self, column: Column) -> bool:
        """Say whether there is such a column and nothing in it; a column that is not there was told with the header."""
        return column in self._cells and not self._cells[column][1].strip()

    def tell(self, column: Column, what: str, todo: str) -> None:
        """Take a fault of a cell in."""
        self._reading.tell(self.number, self._cells.get(column, (column.name, ""))[0], what, todo)

    def of(self, kind: str) -> list[Column]:
        """Return the columns of a kind in the order of the table."""
        return [column for column in self._cells if column.kind == kind]


_PLACE, _VOTERS, _RESERVE, _ESCORT, _RELEASE, _DELIVER = (
    Column("single", name) for name in ("place", "voters", "reserve", "escort", "release_from", "deliver_by")
)


class _Stations:
    """Reads the stations of one table."""

    def __init__(self, policy: Policy, election: Election, reading: Reading) -> None:
        self._policy = policy
        self._election = election
        self._reading = reading
        self._seen: dict[str, int] = {}

    def read(self, rows: list[tuple[int, list[str]]]) -> list[dict[str, Any]]:
        """Return the stations as a document has them."""
        (first, header), *rest = rows
        found, faults = columns(header, first, self._policy, self._election)
        for fault in faults:
            self._reading.tell(fault.row, fault.column, fault.what, fault.todo)
        stations = []
        for number, cells in rest:
            if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
                self._reading.tell(number, _WHOLE_FILE, "has more cells than the header", "check separators and quotes")
                continue
            named = {c: (h.strip(), cell) for c, h, cell in zip(found, header, cells, strict=False) if c is not None}
            stations.append(self._station(_Row(number, named, self._reading)))
        return stations

    def _station(self, row: _Row) -> dict[str, Any]:
        place = self._place(row)
        voters = self._needed(row, _VOTERS)
        kept = reserve(voters, self._election.reserve_permille)
        made: dict[str, Any] = {"place": place, "voters": voters, **self._reserve(row, kept)}
        made["districts"] = [
            {"contest": c.name, "district": told} for c in row.of("district") if (told := row.read(c, code))
        ]
        made["kit"] = [line for c in row.of("kit") if (line := self._line(row, c, voters + kept)) is not None]
        made |= self._timed(row, place, _RELEASE, _DELIVER)
        if (escort := row.read(_ESCORT, yes_or_no)) is not None:
            made["escort"] = escort
        if route := self._route(row, place):
            made["route"] = route
        return made

    def _place(self, row: _Row) -> str:
        text = row.text(_PLACE)
        known = self._policy.place_by_id.get(text)
        if not text:
            if row.empty(_PLACE):
                row.tell(_PLACE, "is empty", "write the code of the polling station")
            return text
        if known is None:
            row.tell(_PLACE, "is no place of the policy", nearest_place(text, self._policy))
        elif known.kind not in STATION_KINDS:
            row.tell(_PLACE, "is no polling station", "write the code of a TPS")
        elif text in self._seen:
            row.tell(_PLACE, f"stands in row {self._seen[text]} already", "keep one row per polling station")
        self._seen.setdefault(text, row.number)
        return text

    def _needed(self, row: _Row, column: Column) -> int:
        if row.empty(column):
            row.tell(column, "is empty", "write a whole number")
        return int(row.read(column, whole) or 0)

    def _reserve(self, row: _Row, right: int) -> dict[str, int]:
        """Return the reserve that a row tells; the formula decides, so another number is a fault."""
        told = row.read(_RESERVE, lambda text: right if text.casefold() == AUTO else whole(text))
        if told is None:
            return {}
        if told != right:
            rate = self._election.reserve_permille
            row.tell(_RESERVE, f"is not the legal reserve, {rate} per mille rounded up", f"write {right}, or {AUTO}")
        return {"reserve": told}

    def _line(self, row: _Row, column: Column, ballots: int) -> dict[str, Any] | None:
        item = self._policy.item_by_code.get(column.name)

        def take(text: str) -> int:
            if text.casefold() != AUTO:
                return whole(text)
            if item is None or not item.per_contest:
                raise CellError("cannot be computed", f"{AUTO} is for ballots; write a number")
            return ballots

        quantity = row.read(column, take)
        if quantity is None:
            return None
        return {"item": column.name, **({"contest": column.of} if column.of else {}), "quantity": quantity}

    def _timed(self, row: _Row, place: str, opens: Column, closes: Column) -> dict[str, str]:
        known = self._policy.place_by_id.get(place)
        zone = known.zone if known is not None else self._election.zone
        told = {
            name: text
            for name, column in (("release_from", opens), ("deliver_by", closes))
            if (text := row.read(column, lambda text: moment(text, zone))) is not None
        }
        if len(told) == 2 and _window_of(told) is False:
            row.tell(closes, "is before the release", "the window must open before it closes")
        return told

    def _route(self, row: _Row, station: str) -> list[dict[str, Any]]:
        numbers = sorted({column.number for column in row.of("stop")})
        stops: list[dict[str, Any]] = []
        gap = 0
        for n in numbers:
            stop = self._stop(row, n)
            if not stop:
                gap = gap or n
                continue
            at = Column("stop", "place", number=n)
            if "place" not in stop and row.empty(at):
                row.tell(at, "is empty, though its window or escort is given", "write the code of the stop")
            elif gap:
                row.tell(at, f"follows the empty stop{gap}", "write stops without gaps, the first in stop1")
            elif stop.get("place") in {station, *(earlier["place"] for earlier in stops)}:
                row.tell(at, "stands on the way already, or is the station itself", "name each stop between once")
            else:
                stops.append(stop)
        return stops

    def _stop(self, row: _Row, number: int) -> dict[str, Any]:
        place, opens, closes, escort = (
            Column("stop", name, number=number) for name in ("place", "release_from", "deliver_by", "escort")
        )
        stop: dict[str, Any] = {}
        if text := row.text(place):
            stop["place"] = text
            if text not in self._policy.place_by_id:
                row.tell(place, "is no place of the policy", nearest_place(text, self._policy))
        stop |= self._timed(row, text, opens, closes)
        if (told := row.read(escort, yes_or_no)) is not None:
            stop["escort"] = told
        return stop


def _window_of(told: dict[str, str]) -> bool:
    from_, by = Station(place="X", voters=0, districts=(), kit=(), **told).window  # type: ignore[arg-type]
    return from_ is None or by is None or from_ <= by
