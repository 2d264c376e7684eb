"""Ratios of one run and the goals they are held to (pure): nothing else may be compared between machines or days."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.bench.figures import Round, middle

RATES = {
    "batch_vs_bare": ("batch_100", "bare"),
    "batch_1000_vs_bare": ("batch_1000", "bare"),
    "single_vs_noop": ("single", "noop_post"),
    "single_vs_naive": ("single", "naive"),
    "history_vs_noop_get": ("history", "noop_get"),
    "two_signatures_vs_single": ("two_signatures", "single"),
    "store_vs_driver": ("store", "insert_1000"),
    "labels_vs_qrcode": ("labels", "qrcode"),
}
"""By name: a scenario and its yardstick, both as events a second."""
Rounds = Mapping[str, Sequence[Round]]
Measured = tuple[str, str, str, float, float | None]
"""Number of the goal, words, sign, bar, and what was measured, if it was."""


def ratios(told: Rounds) -> dict[str, float]:
    """Return every ratio that was measured: the median of the rounds' own ratios, whose two sides ran side by side."""
    found = {
        name: _median(told, ours, theirs, _rate) for name, (ours, theirs) in RATES.items() if {ours, theirs} <= {*told}
    }
    if {"batch_100", "bare"} <= {*told}:
        found["batch_vs_bare_cpu"] = _median(told, "bare", "batch_100", _cpu)
    if "bare" in told:
        found["bare_vs_verify_cpu"] = middle(one["verify_cpu_seconds"] / one["cpu_seconds"] for one in told["bare"])
    if {"single_4", "insert_1"} <= {*told}:
        pairs = zip(told["single_4"], told["insert_1"], strict=False)
        slowest = [ours["p99_ms"] and ours["p99_ms"] * _rate(theirs) / 1000 for ours, theirs in pairs]
        if None not in slowest:
            found["single_p99_vs_commit"] = middle(slowest)
    return {name: round(value, 3) for name, value in found.items()}


def _rate(told: Round) -> float:
    return float(told["events"] / told["wall_seconds"])


def _cpu(told: Round) -> float:
    return float(told["cpu_seconds"] / told["events"])


def _median(told: Rounds, ours: str, theirs: str, of: Any) -> float:
    return middle(of(one) / of(other) for one, other in zip(told[ours], told[theirs], strict=False))


def goals(found: Mapping[str, Any], told: Rounds, *, own_rate: bool = False) -> list[dict[str, Any]]:
    """Return each goal that this run can speak of: number, words, bar, what was measured, whether it is met.

    Args:
        found: The run's result so far.
        told: Its rounds by scenario and yardstick.
        own_rate: Open loads were sent at a rate of somebody's choice, and not at 70 % of the closed one.
    """
    value = ratios(told)
    sqlite = str(found["environment"]["durability"]).startswith("SQLite")
    rows = {**found["scenarios"], **found["yardsticks"]}
    opened = {} if own_rate else rows
    measured: list[Measured] = [
        ("G1", "batch of 100 ÷ bare pipeline", "≥", 0.9, value.get("batch_vs_bare")),
        ("G2", "the same per CPU second", "≥", 0.5, value.get("batch_vs_bare_cpu")),
        ("G3", "single ÷ no-op POST", "≥", 0.35, value.get("single_vs_noop")),
        ("G4", "single ÷ naive service", "≥", 5, value.get("single_vs_naive")),
        ("G5", "bare pipeline ÷ raw verification, CPU", "≥", 0.5, value.get("bare_vs_verify_cpu")),
        ("G6", "history ÷ no-op GET", "≥", 0.25, value.get("history_vs_noop_get")),
        ("G7", "bulk insert ÷ the driver's best", "≥", 0.8, value.get("store_vs_driver")),
        ("G10", "labels ÷ qrcode's default call", "≥", 4, value.get("labels_vs_qrcode")),
        ("G11", "stored bytes ÷ body", "≤", 1.7 if sqlite else 2.0, found.get("storage", {}).get("stored_vs_body")),
        ("G12", "p99 of single, 4 connections ÷ one-row commit", "≤", 30, value.get("single_p99_vs_commit")),
        ("", "batch of 100, events/s", "≥", 10_000, rows.get("batch_100", {}).get("rate")),
        ("", "single, events/s", "≥", 3_000, rows.get("single", {}).get("rate")),
        ("", "single at 70 % open load, p99 ms", "≤", 60, opened.get("single_open", {}).get("p99_ms")),
        ("", "batch of 100 at 70 % open load, p99 ms", "≤", 60, opened.get("batch_100_open", {}).get("p99_ms")),
        ("", "an event with 100 units, p50 ms", "≤", 50, rows.get("hundred_units", {}).get("p50_ms")),
        ("", "the desk's overview, p50 ms", "≤", 100, rows.get("desk_overview", {}).get("p50_ms")),
        ("", "the desk's page of a unit, p50 ms", "≤", 100, rows.get("desk_unit", {}).get("p50_ms")),
        ("", "the balance of a city, p50 ms", "≤", 200, rows.get("reconcile", {}).get("p50_ms")),
    ]
    return _judged(measured)


def own_goals(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the goals of the scenarios with a ledger of their own."""
    row, by_two = told["scenarios"].get("reverify", {}), told["scenarios"].get("reverify_2", {})
    points = told.get("growth", {}).get("points", ())
    backlog = told.get("backlog", {})
    verified = row["signature_us"] / row["cpu_us_per_event"] if row else None
    gained = None
    if row and by_two and (told["environment"] or {}).get("usable_cpus", 2) > 1:
        gained = middle(two / one for one, two in zip(row["rates"], by_two["rates"], strict=True))
    rates = [point["grown_per_second"] for point in (points[0], points[-1])] if len(points) > 1 else []
    slowed = rates[1] / rates[0] if all(rates) and rates else None
    return _judged(
        [
            ("G8", "recording rate while growing, last interval ÷ first", "≥", 0.5, slowed),
            ("G9", "ledger verified again ÷ raw verification, one core", "≥", 0.85, verified),
            ("G9", "ledger verified again, two processes ÷ one", "≥", 1.5, gained),
            ("", "acknowledged under backlog and lost", "≤", 0, backlog.get("acknowledged_and_lost")),
        ]
    )


def _judged(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    return [
        {"goal": number, "what": what, "bar": f"{sign} {bar:g}", "value": round(at, 3), "met": _met(sign, bar, at)}
        for number, what, sign, bar, at in measured
        if at is not None
    ]


def _met(sign: str, bar: float, value: float) -> bool:
    return value >= bar if sign == "≥" else value <= bar
