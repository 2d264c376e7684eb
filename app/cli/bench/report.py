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

from app.cli.bench.figures import middle
from app.cli.bench.growth import COSTS

PACKAGES = (
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "orjson", "cryptography", "PyNaCl"),
    *("SQLAlchemy", "psycopg"),
)
RATE = {
    "rate": "events/s", "p50_ms": "p50 ms", "p90_ms": "p90 ms", "p99_ms": "p99 ms", "p999_ms": "p99.9 ms",
    "max_ms": "max ms",
}  # fmt: skip
COST = {
    "cpu_us_per_event": "service CPU µs/event", "answers_cpu_us_per_event": "of it answers",
    "writes_cpu_us_per_event": "of it writes", "database_cpu_us_per_event": "PostgreSQL",
    "driver_cpu_us_per_event": "load driver", "others_percent": "others' CPU %",
    "rss_mb": "RSS MiB", "peak_rss_mb": "peak RSS MiB",
}  # fmt: skip
OPEN = {"offered": "requests/s offered", "late_ms": "sent late p99 ms"}
COMMITMENTS = {
    "units": "units", "events": "changed", "p50_ms": "p50 ms", "max_ms": "max ms", "tree_p50_ms": "tree p50 ms",
    "tree_max_ms": "tree max ms",
}  # fmt: skip
SLOPES = {"slope": "slope", "error": "standard error", "middle": "at the middle", "percent": "% a decade"}
GOALS = {"goal": "goal", "what": "what", "bar": "bar", "value": "measured", "met": "met"}
KINDS = {"requests": "requests", "events": "events", **{k: v for k, v in RATE.items() if k != "rate"}}


@dataclass(frozen=True, slots=True)
class Table:
    """One table: a title, the heads of its columns, its rows of text."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def environment(folder: Path, durability: str) -> dict[str, Any]:
    """Return what a reader must know to believe a number: machine, versions, durability, the disk's sync."""
    cpu = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(), "cpus": os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)), "memory_mb": int(memory[0].split()[1]) // 1024 if memory else 0,
        "system": platform.platform(), "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version, "openssl": ssl.OPENSSL_VERSION,
        "packages": {name: version(name) for name in PACKAGES}, "durability": durability,
        "fdatasync_ms": sync_ms(folder), "load_average": os.getloadavg()[0],
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
    both = {**scenarios, **told["yardsticks"]}
    opened = {name: row for name, row in scenarios.items() if "offered" in row}
    kinds = {
        f"{name}: {kind}": one for name, row in scenarios.items() for kind, one in row.get("kinds", {}).items()
    }  # fmt: skip
    found = [
        table("Rates and times", "what", RATE, both),
        table("What it costs", "what", COST, both),
        table("Open load", "what", OPEN, opened),
        table("Requests by kind", "what", KINDS, kinds),
        table("Commitments to every unit's latest event", "what", COMMITMENTS, commitments),
        _goals(told.get("goals", ())),
        _pairs("Ratios", told["ratios"]),
        _pairs("Storage", told.get("storage") or {}),
        *_profile(told.get("profile") or {}),
        *_growth(told.get("growth") or {}),
        _pairs("Backlog", told.get("backlog") or {}),
    ]
    return [one for one in found if one.rows]


def table(title: str, first: str, columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return rows by name as a table, without the columns that no row has."""
    used = {key: head for key, head in columns.items() if any(key in row for row in rows.values())}
    told = tuple((name, *(cell(row.get(key)) for key in used)) for name, row in rows.items() if {*used} & {*row})
    return Table(title, (first, *used.values()), told)


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


def _growth(told: Mapping[str, Any]) -> list[Table]:
    points = {f"{point['size']:,}": point for point in told.get("points", ())}
    columns = {**COSTS, "signature_us": "a signature alone: µs"}
    found = [table("Costs by size of the ledger", "leaves", columns, points)]
    slopes = told.get("slopes", {})
    if slopes:
        found.append(table("Slopes over a tenfold ledger", "what", SLOPES, slopes))
    return found


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
        f"{env['at']}: {env['cpu']}, {env['usable_cpus']} CPUs, {env['memory_mb']:,} MiB, Python {env['python']}, "
        f"SQLite {env['sqlite']}, {env['openssl']}, {packages}; {env['durability']}; fdatasync {env['fdatasync_ms']} "
        f"ms; load {env['load_average']:.1f} when it began; median of {told['rounds']} round(s)."
    )


def show(told: Mapping[str, Any]) -> None:
    """Print the run as tables for people."""
    console = Console()
    console.print(machine(told), soft_wrap=True)
    for one in tables(told):
        console.print(_rich(one))


def _rich(one: Table) -> RichTable:
    found = RichTable(*one.heads, title=one.title, title_justify="left")
    for row in one.rows:
        found.add_row(*(text.replace("**", "") for text in row))
    return found
