"""What was measured, as data and as a table; rates mean little by themselves, the ratios of one run do."""

import os
import platform
import sqlite3
import ssl
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = (
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "pydantic", "orjson", "cryptography", "PyNaCl"),
    *("SQLAlchemy", "psycopg"),
)
RATES = {
    "rate": "events/s", "cpu_us_per_event": "server CPU µs/event", "p50_ms": "p50 ms", "p99_ms": "p99 ms",
    "rss_mb": "RSS MiB",
}  # fmt: skip
COMMITMENTS = {
    "units": "units", "events": "changed", "p50_ms": "p50 ms", "max_ms": "max ms", "tree_p50_ms": "tree p50 ms",
    "tree_max_ms": "tree max ms",
}  # fmt: skip
Round = dict[str, Any]


def environment(folder: Path, durability: str) -> dict[str, Any]:
    """Return what a reader must know to believe a number: machine, versions, durability, the disk's sync."""
    cpu = [line for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.processor(), "cpus": os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)), "system": platform.platform(), "python": sys.version.split()[0],
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
    return round(1000 * statistics.median(taken), 3)


def summary(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the median of several rounds of one scenario; rates are events a second."""

    def middle(name: str) -> float:
        return float(statistics.median(told[name] for told in rounds))

    rates = [told["events"] / told["wall_seconds"] for told in rounds]
    found: dict[str, Any] = {
        "events": rounds[0]["events"], "rate": round(statistics.median(rates), 1),
        "rates": [round(rate, 1) for rate in rates],
        "cpu_us_per_event": round(statistics.median(1e6 * t["cpu_seconds"] / t["events"] for t in rounds), 1),
    }  # fmt: skip
    for name in ("p50_ms", "p99_ms", "p999_ms", "rss_mb"):
        if name in rounds[0]:
            found[name] = middle(name)
    return found


def ratios(scenarios: dict[str, Any], yardsticks: dict[str, Any]) -> dict[str, float]:
    """Return the ratios that may be compared between machines; absent ones were not measured."""
    pairs = {
        "batch_vs_bare": ("batch_100", "bare", "rate"),
        "batch_1000_vs_bare": ("batch_1000", "bare", "rate"),
        "single_vs_noop": ("single", "noop_post", "rate"),
        "single_vs_naive": ("single", "naive", "rate"),
        "history_vs_noop_get": ("history", "noop_get", "rate"),
    }
    found = {
        name: round(scenarios[ours][what] / yardsticks[theirs][what], 3)
        for name, (ours, theirs, what) in pairs.items()
        if ours in scenarios and theirs in yardsticks
    }
    if "batch_100" in scenarios and "bare" in yardsticks:
        cpu = yardsticks["bare"]["cpu_us_per_event"] / scenarios["batch_100"]["cpu_us_per_event"]
        found["batch_vs_bare_cpu"] = round(cpu, 3)
    if "bare" in yardsticks:
        bare = yardsticks["bare"]
        found["bare_vs_verify_cpu"] = round(bare["verify_cpu_us_per_event"] / bare["cpu_us_per_event"], 3)
    return found


def show(told: dict[str, Any]) -> None:
    """Print the run as tables for people."""
    console = Console()
    env = told["environment"]
    console.print(f"[bold]{env['cpu']}[/], {env['usable_cpus']} CPUs, Python {env['python']}; {env['durability']}; "
                  f"fdatasync {env['fdatasync_ms']} ms; {told['rounds']} round(s)")  # fmt: skip
    commitments = {name: row for name, row in told["scenarios"].items() if "tree_p50_ms" in row}
    scenarios = {name: row for name, row in told["scenarios"].items() if name not in commitments}
    for columns, parts in ((RATES, (scenarios, told["yardsticks"])), (COMMITMENTS, (commitments,))):
        if any(parts):
            console.print(_table(columns, parts))
    for name, value in told["ratios"].items():
        console.print(f"{name:22} {value:.2f}")
    if size := told.get("storage"):
        console.print(f"{'stored_vs_body':22} {size['stored_vs_body']:.2f} ({size['bytes_per_event']} bytes an event)")


def _table(columns: dict[str, str], parts: Sequence[dict[str, Any]]) -> Table:
    table = Table("what", *columns.values())
    for rows in parts:
        for name, row in rows.items():
            table.add_row(name, *(_cell(row.get(key, ""), whole=key == "rate") for key in columns))
        table.add_section()
    return table


def _cell(value: object, *, whole: bool) -> str:
    if isinstance(value, int) or (isinstance(value, float) and whole):
        return f"{value:,.0f}"
    return str(value)
