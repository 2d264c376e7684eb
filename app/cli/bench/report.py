"""What was measured as tables: for people at a terminal, and for the documentation."""

import os
import platform
import sqlite3
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from app.cli.bench.costs import COSTS
from app.cli.bench.disk import file_system
from app.cli.bench.figures import DISTURBED_PERCENT, middle
from app.cli.bench.sources import code_version

PACKAGES = (
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "orjson", "cryptography", "PyNaCl"),
    *("SQLAlchemy", "psycopg"),
)
RATE = {
    "rate": "events/s", "p50_ms": "p50 ms", "p90_ms": "p90 ms", "p99_ms": "p99 ms", "p999_ms": "p99.9 ms",
    "max_ms": "max ms", "rounds": "rounds",
}  # fmt: skip
CPU = {
    "cpu_us": "service CPU µs", "answers_cpu_us": "of it answers", "writes_cpu_us": "of it writes",
    "database_cpu_us": "PostgreSQL", "driver_cpu_us": "load driver",
}  # fmt: skip
COST = {
    "each": "of each", **CPU, "others_percent": "others' CPU %", "rss_mb": "RSS MiB", "peak_rss_mb": "peak RSS MiB",
}  # fmt: skip
DISTURBED = " †"
FOOTNOTE = (
    f"†: somebody else took more than {DISTURBED_PERCENT} % of the machine while the load ran (median of the rounds); "
    "the figures of that row are not to be trusted."
)
EACH = {
    **dict.fromkeys(("noop_get", "history", "bundle", "reconcile", "desk_overview", "desk_unit"), "question"),
    **dict.fromkeys(("store", "insert_1000", "insert_1"), "row"),
    **dict.fromkeys(("verify_ed25519_libsodium", "verify_ed25519_openssl", "verify_es256_openssl"), "signature"),
    "labels": "label", "qrcode": "label",
}  # fmt: skip
"""Of what each a row's costs are, where that is no event."""
OPEN = {"offered": "requests/s offered", "late_ms": "sent late p99 ms"}
COMMITMENTS = {
    "units": "units", "events": "changed", "p50_ms": "p50 ms", "max_ms": "max ms", "tree_p50_ms": "tree p50 ms",
    "tree_max_ms": "tree max ms",
}  # fmt: skip
SLOPES = {"slope": "slope", "error": "standard error", "middle": "at the middle", "percent": "% a decade"}
WIDEST = 400
GOALS = {"goal": "goal", "what": "what", "bar": "bar", "value": "measured", "met": "met"}
KINDS = {"requests": "requests", "events": "events", **{k: v for k, v in RATE.items() if k not in {"rate", "rounds"}}}


@dataclass(frozen=True, slots=True)
class Table:
    """One table: a title, the heads of its columns, its rows of text, a note below it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def environment(folder: Path, durability: str, load_average: float) -> dict[str, Any]:
    """Return what a reader must know to believe a number: code, machine, versions, durability, the disk.

    Args:
        folder: Where the database lies, if it is a file.
        durability: What a commit waits for. The disk of a PostgreSQL server is its own, and nothing is said of it.
        load_average: Of the machine before the run began.
    """
    cpu = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    is_sqlite = durability.startswith("SQLite")
    return {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(), "cpus": os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)), "memory_mb": int(memory[0].split()[1]) // 1024 if memory else 0,
        "system": platform.platform(), "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version, "openssl": ssl.OPENSSL_VERSION,
        "packages": {name: version(name) for name in PACKAGES}, "code": code_version(), "durability": durability,
        **({"file_system": file_system(folder), "fdatasync_ms": sync_ms(folder)} if is_sqlite else {}),
        "load_average": load_average,
    }  # fmt: skip


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def sync_ms(folder: Path, times: int = 50) -> float:
    """Return the median time of writing 4 KiB and syncing it, milliseconds."""
    taken = []
    file = os.open(folder / "sync.probe", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for number in range(times):
            os.pwrite(file, bytes(4096), 4096 * number)
            started = time.perf_counter()
            os.fdatasync(file)
            taken.append(time.perf_counter() - started)
    finally:
        os.close(file)
        (folder / "sync.probe").unlink()
    return round(1000 * middle(taken), 3)


def tables(told: Mapping[str, Any]) -> list[Table]:
    """Return everything that was measured, table by table; columns without a figure are left out."""
    commitments = {name: row for name, row in told["scenarios"].items() if "tree_p50_ms" in row}
    scenarios = {name: row for name, row in told["scenarios"].items() if name not in commitments}
    both = {_marked(name, row): row for name, row in {**scenarios, **told["yardsticks"]}.items()}
    costs = {_marked(name, row): _costs(name, row) for name, row in {**scenarios, **told["yardsticks"]}.items()}
    note = FOOTNOTE if any(row.get("disturbed") for row in both.values()) else ""
    opened = {name: row for name, row in scenarios.items() if "offered" in row}
    kinds = {
        f"{name}: {kind}": one for name, row in scenarios.items() for kind, one in row.get("kinds", {}).items()
    }  # fmt: skip
    found = [
        table("Rates and times", "what", RATE, both, note),
        table("What it costs", "what", COST, costs, note),
        table("Open load", "what", OPEN, opened),
        table("Requests by kind", "what", KINDS, kinds),
        table("Commitments to every unit's latest event", "what", COMMITMENTS, commitments),
        _goals(told.get("goals", ())),
        _pairs("Ratios", told["ratios"]),
        _pairs("Storage", told.get("storage") or {}),
        *_profile(told.get("profile") or {}),
        *_growth(told.get("growth") or {}, told.get("environment")),
        _pairs("Backlog", told.get("backlog") or {}),
    ]
    return [one for one in found if one.rows]


def _marked(name: str, row: Mapping[str, Any]) -> str:
    return f"{name}{DISTURBED}" if row.get("disturbed") else name


def _costs(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row costs, and of what each: an event, a question, or a request of a mix of both, and so on."""
    what = "request" if "cpu_us_per_request" in row else "event"
    found = {key: row[f"{key}_per_{what}"] for key in CPU if f"{key}_per_{what}" in row}
    found |= {key: row[key] for key in COST if key in row}
    return {"each": EACH.get(name, what), **found} if found else {}


def table(
    title: str, first: str, columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]], note: str = ""
) -> Table:
    """Return rows by name as a table, without the columns that no row has."""
    used = {key: head for key, head in columns.items() if any(key in row for row in rows.values())}
    told = tuple((name, *(cell(row.get(key)) for key in used)) for name, row in rows.items() if {*used} & {*row})
    return Table(title, (first, *used.values()), told, note if told else "")


def _goals(rows: Iterable[Mapping[str, Any]]) -> Table:
    return Table("Goals", tuple(GOALS.values()), tuple(tuple(cell(row[key]) for key in GOALS) for row in rows))


def _profile(told: Mapping[str, Any]) -> list[Table]:
    rooms = tuple(
        (name, ", ".join(f"{room} {share:g}" for room, share in part["rooms"].items() if share >= 1))
        for name, part in told.items()
    )
    functions = tuple(
        (name, function, cell(share)) for name, part in told.items() for function, share in part["functions"].items()
    )
    return [
        Table("Self time by room, per cent", ("load, process", "rooms"), rooms),
        Table("Self time by function, per cent", ("load, process", "function", "%"), functions),
    ]


def _growth(told: Mapping[str, Any], here: Mapping[str, Any] | None) -> list[Table]:
    """Return the points and their slopes; and when and where each was measured, unless all of them are of this run."""
    points = {
        f"{point['size']:,}": {**point, "when": _when(point["environment"])} for point in told.get("points", ())
    }  # fmt: skip
    columns = {**COSTS, "signature_us": "a signature alone: µs"}
    if here is None or {point["when"] for point in points.values()} - {_when(here)}:
        columns["when"] = "measured"
    found = [table("Costs by size of the ledger", "leaves", columns, points)]
    slopes = told.get("slopes", {})
    if slopes:
        found.append(table("Slopes over a tenfold ledger", "what", SLOPES, slopes))
    return found


def _when(env: Mapping[str, Any]) -> str:
    return f"{env['at']}, {env['cpu']}, {env['usable_cpus']} CPUs, Python {env['python']}; {env['durability']}"


def _pairs(title: str, told: Mapping[str, Any]) -> Table:
    return Table(title, ("what", "value"), tuple((name, cell(value)) for name, value in told.items()))


def cell(value: object) -> str:
    """Return a figure as text: as many digits as say something."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, int | float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
    return "" if value is None else str(value)


def machine(told: Mapping[str, Any]) -> str:
    """Return the line that says where and how the figures were taken."""
    env = told["environment"]
    packages = ", ".join(f"{name} {number}" for name, number in env["packages"].items())
    return (
        f"{env['at']}, code {env['code']}: {env['cpu']}, {env['usable_cpus']} CPUs, {env['memory_mb']:,} MiB, Python "
        f"{env['python']}, SQLite {env['sqlite']}, {env['openssl']}, {packages}; {env['durability']}; {disk(env)}load "
        f"{env['load_average']:.1f} before it began; each figure is the median of its row's rounds."
    )


def disk(env: Mapping[str, Any]) -> str:
    """Return what is known of the disk that a commit waits for, with a semicolon; nothing where a server has it."""
    return f"{env['file_system']}, fdatasync {env['fdatasync_ms']} ms; " if "fdatasync_ms" in env else ""


def show(told: Mapping[str, Any]) -> None:
    """Print the run as tables for people."""
    console, wide = Console(), Console(width=WIDEST)
    console.print(machine(told), soft_wrap=True)
    for one in tables(told):
        # A figure that is cut off is a wrong one: a narrow screen wraps the lines of the table instead.
        console.print(f"\n[bold]{one.title}[/]")
        wide.print(_rich(one))
        if one.note:
            console.print(one.note, highlight=False, soft_wrap=True)


def _rich(one: Table) -> RichTable:
    found = RichTable()
    for head in one.heads:
        found.add_column(head, no_wrap=True)
    for row in one.rows:
        found.add_row(*(text.replace("**", "") for text in row))
    return found
