"""Tables of the plan, of what was measured and of what follows, once for people and once for the documentation (pure).

Markdown goes between two marks of a file, `<!-- simulate:begin NAME -->` and `<!-- simulate:end NAME -->`, so that
the prose around it stays whoever wrote it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.cli.simulate import facts
from app.cli.simulate.documents import MAX_PLACES, MAX_STATIONS, places_of
from app.cli.simulate.facts import ABROAD, GENERAL, REGIONAL
from app.cli.simulate.nation import ELECTIONS, Nation, Province
from app.cli.simulate.reckoning import UTILISATION, worst_of
from app.errors import RefusedError

Told = dict[str, Any]
GIB, MIB = 2**30, 2**20


class Sheet(NamedTuple):
    """A table: its title, columns (the first is text, the others are figures), rows, and a sentence below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def number(value: float | None) -> str:
    """Return a figure with at most three digits behind the point, thousands parted; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


def size(value: float | None) -> str:
    """Return bytes as MiB or GiB."""
    if value is None:
        return ""
    return f"{value / GIB:,.1f} GiB" if abs(value) >= GIB else f"{value / MIB:,.1f} MiB"


# -- the plan --------------------------------------------------------------------------------------------


def province_row(province: Province) -> Told:
    """Return one province as data; `ledgers` is how many its policy and plan need by their own limits."""
    cities = len(province.cities)
    places = sum(places_of(city) - 2 for city in province.cities) + 2
    stations = {election: province.stations(election) for election in ELECTIONS}
    return {
        "code": province.code, "name": province.name, "published": province.published, "cities": cities,
        "districts": province.districts, "villages": province.villages, "stations_general": stations[GENERAL],
        "stations_regional": stations[REGIONAL], "boxes_general": province.boxes(GENERAL),
        "boxes_regional": province.boxes(REGIONAL), "cartons": sum(province.cartons.values()), "places": places,
        "ledgers": max(-(-places // MAX_PLACES), *(-(-n // MAX_STATIONS) for n in stations.values())),
    }  # fmt: skip


def plan_of(nation: Nation) -> Told:
    """Return the whole plan as data, cities included."""
    rows = [province_row(province) for province in nation.provinces]
    for row, province in zip(rows, nation.provinces, strict=True):
        row["per_city"] = [
            {"code": city.code, "kind": city.kind, "districts": city.districts, "villages": city.villages,
             "stations_general": city.stations[GENERAL], "stations_regional": city.stations[REGIONAL],
             "boxes_general": city.boxes(GENERAL) + city.spares, "boxes_regional": city.boxes(REGIONAL),
             "spare_boxes": city.spares}
            for city in province.cities
        ]  # fmt: skip
    return {"provinces": rows, "cartons": nation.cartons, "days": facts.ELECTION_DAY}


PLAN = ("cities", "districts", "villages", "stations_general", "stations_regional", "boxes_general", "boxes_regional",
        "cartons", "places", "ledgers")  # fmt: skip


def plan_sheets(plan: Told, counted: Sequence[tuple[str, Told]]) -> list[Sheet]:
    """Return the plan by province, and what each fraction (and the whole) of it makes."""
    rows = [
        [f"{row['code']} {row['name']}{'' if row['published'] else ' *'}", *(number(row[name]) for name in PLAN)]
        for row in plan["provinces"]
    ]
    home = [row for row in plan["provinces"] if row["code"] != ABROAD]
    sums = [[what, *(number(sum(row[name] for row in of)) for name in PLAN)] for what, of in
            (("at home", home), ("total", plan["provinces"]))]  # fmt: skip
    rows = [*rows[:-1], sums[0], rows[-1], sums[1]]
    note = (
        "* stations not published: the rest of the total, by voters. 99 is abroad: 128 missions, one "
        f"committee. A ledger's policy holds {MAX_PLACES:,} places and its plan {MAX_STATIONS:,} stations; `ledgers` "
        "is how many a province needs for that reason alone."
    )
    columns = ("province", "cities", "districts", "villages", "stations Feb", "stations Nov", "boxes Feb", "boxes Nov",
               "cartons", "places", "ledgers")  # fmt: skip
    return [Sheet("The plan", columns, rows, note), events_sheet(counted)]


def events_sheet(counted: Sequence[tuple[str, Told]]) -> Sheet:
    """Return events, links and signatures by what was counted."""
    keys = ("stations", "boxes", "kits", "cartons", "units", "officers")
    rows = [
        [name, *(number(one["things"][key]) for key in keys), *(number(one["sent"][key]) for key in _SENT),
         number(one["sent"]["links"] / one["things"]["boxes"])]
        for name, one in counted
    ]  # fmt: skip
    return Sheet(
        "What it makes",
        ("fraction", *keys, *_SENT, "links a box"), rows,
        "Both elections. A link is an event in the chain of one unit: an event that names 50 boxes links 50.",
    )  # fmt: skip


_SENT = ("events", "links", "signatures")


# -- measured and reckoned -------------------------------------------------------------------------------


def measured_sheets(told: Told) -> list[Sheet]:
    """Return what was measured, phase by phase, for both fractions."""
    sheets = []
    for run in told["runs"]:
        rows = [
            [f"{row['election']} {row['phase']}", number(row["events"]), number(row["events"] / row["wall_seconds"]),
             number(1e6 * row["cpu_seconds"] / row["events"]),
             number(1e6 * row.get("writes_cpu_seconds", 0) / row["events"]),
             *([number(1e6 * row["database_cpu_seconds"] / row["events"])] if "database_cpu_seconds" in row else []),
             number(row["sent_bytes"] / row["events"]), number(row["p50_ms"]), number(row["p99_ms"])]
            for row in run["phases"]
        ]  # fmt: skip
        database = ["PostgreSQL µs"] if any("database_cpu_seconds" in row for row in run["phases"]) else []
        grown = [f"{name} {size(run['stored']['full'][name])}" for name in run["stored"]["full"]]
        note = (
            f"{run['sent']['events']:,} events, {run['sent']['links']:,} links, {run['sent']['signatures']:,} "
            "signatures, as many as were counted beforehand; all accepted, included and proven, no discrepancy. "
            f"Stored: {', '.join(grown)}."
        )
        columns = ("phase", "events", "events/s", "service µs", "of it the writer", *database, "bytes sent", "p50 ms",
                   "p99 ms")  # fmt: skip
        sheets.append(Sheet(f"Measured: {run['fraction']} of the nation", columns, rows, note))
    return sheets


def nation_sheets(told: Told) -> list[Sheet]:
    """Return what follows for the nation: storage, peaks, machines."""
    reckoned = told["reckoned"]
    return [
        events_sheet([*((run["fraction"], run) for run in told["runs"]), ("1", told["nation"])]),
        _storage_sheet(reckoned["storage"]), _peaks_sheet(reckoned["peaks"]), _machines_sheet(reckoned["machines"]),
    ]  # fmt: skip


def _storage_sheet(storage: Told) -> Sheet:
    rows = [
        [name, row["driver"], number(row["each"]), size(row["fixed"]), size(row["residual"]), size(row["nation"]),
         f"{size(row['low'])} to {size(row['high'])}"]
        for name, row in storage["families"].items()
    ]  # fmt: skip
    rows.append(["total", "", "", "", size(storage["residual"]), size(storage["nation"]),
                 f"{size(storage['low'])} to {size(storage['high'])}"])  # fmt: skip
    if "log" in storage:
        log = storage["log"]
        rows.append(["write-ahead log", "events", number(log["each"]), size(log["fixed"]), "", size(log["nation"]),
                     f"{size(log['low'])} to {size(log['high'])}"])  # fmt: skip
    each = " and ".join(number(value) for value in storage["per_event"])
    return Sheet(
        "Storage of the nation",
        ("tables", "grow with", "bytes each", "fixed", "residual", "nation", "range"), rows,
        "Bytes each and fixed: the line through both fractions. Residual: what the line says of the ledger as founded, "
        f"less what that was. Bytes stored an event, all tables: {each}.",
    )  # fmt: skip


def _peaks_sheet(peaks: Sequence[Told]) -> Sheet:
    rows = [
        [peak["name"], number(peak["events"]), number(peak["factor"]), number(peak["needed"]), number(peak["measured"]),
         f"{number(peak['cpu_us'])} ± {100 * peak['error']:.0f} %", number(peak["cores"]),
         number(peak["database_cores"]), number(peak["ledger_limit"]), number(peak["ledgers"]),
         number(peak["megabit"])]
        for peak in peaks
    ]  # fmt: skip
    return Sheet(
        "Peaks of the general election",
        ("window", "events", "peak ÷ mean", "events/s needed", "measured here", "service µs/event", "cores",
         "PostgreSQL cores", "one ledger's limit/s", "ledgers", "Mbit/s in"), rows,
        f"Cores at {UTILISATION:.0%} use. ±: how far both fractions differ. One ledger has one writer, which uses one "
        "core: its limit is what half a core writes.",
    )  # fmt: skip


def _machines_sheet(rows: Sequence[Told]) -> Sheet:
    return Sheet(
        "Machines",
        ("for", "stations Feb", "events", "stored", "range", "disk", "log archive", "peak/s", "cores",
         "PostgreSQL cores", "service memory", "tables of units"),
        [
            [row["where"], number(row["stations"]), number(row["events"]), size(row["bytes"]),
             f"{size(row['low'])} to {size(row['high'])}", size(row["disk"]), size(row["log"]), number(row["needed"]),
             number(row["cores"]), number(row["database_cores"]), size(row["memory"]), size(row["hot"])]
            for row in rows
        ],
        "Both elections. Disk: the top of the range and 30 % more, backups not counted. Cores: at the peak that needs "
        "most of them. Service memory: of the one service measured here, over one ledger of its size; the many of the "
        "nation were not measured. Tables of units: what is read and changed again and again, and should fit memory.",
    )  # fmt: skip


def sentences(told: Told) -> list[str]:
    """Return what follows in a few sentences, so that no prose has to repeat the figures."""
    nation, reckoned = told["nation"], told["reckoned"]
    storage, peaks, machine = reckoned["storage"], reckoned["peaks"], reckoned["machines"][-1]
    worst = worst_of(peaks)
    hop = next(peak for peak in peaks if peak["phase"] == "to_station")
    database = "" if worst["database_cores"] is None else f" and {number(worst['database_cores'])} of PostgreSQL"
    log = "" if "log" not in storage else f" Its log archive takes {size(machine['log'])} more."
    several = "s" if worst["ledgers"] > 1 else ""
    stored = f"{size(storage['nation'])} ({size(storage['low'])} to {size(storage['high'])})"
    return [
        (
            f"The nation makes {nation['sent']['events'] / 1e6:,.1f} M events, "
            f"{nation['sent']['links'] / 1e6:,.1f} M links at this grain, and stores {stored}.{log}"
        ),
        (
            f"Its worst peak is {worst['name']}: {number(worst['needed'])} events/s, {number(worst['cores'])} cores of "
            f"the service{database} at {UTILISATION:.0%} use. The last hop in 12 hours: {number(hop['needed'])}/s."
        ),
        (
            f"One ledger's writer is held to {number(worst['ledger_limit'])} such events/s here: {worst['ledgers']} "
            f"ledger{several} at least for that peak."
        ),
        f"This machine took {number(worst['measured'])} of them a second beside its own load driver.",
    ]


# -- as Markdown -----------------------------------------------------------------------------------------


def markdown(sheets: Sequence[Sheet]) -> str:
    """Return tables as Markdown."""
    parts = []
    for sheet in sheets:
        head = "| " + " | ".join(sheet.columns) + " |"
        rule = "|---" + "|---:" * (len(sheet.columns) - 1) + "|"
        rows = ["| " + " | ".join(row) + " |" for row in sheet.rows]
        parts.append(
            "\n".join([f"**{sheet.title}**", "", head, rule, *rows, *(["", sheet.note] if sheet.note else [])])
        )
    return "\n\n".join(parts) + "\n"


def between(text: str, name: str, section: str) -> str:
    """Return a text with a section in place of what stood between its marks.

    Raises:
        RefusedError: The text lacks the marks, or has them twice.
    """
    begin, end = f"<!-- simulate:begin {name} -->", f"<!-- simulate:end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise RefusedError(f"The file needs the line {begin} and, below it, {end}.")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    return f"{before}{begin}\n\n{section}\n{end}{after}"
