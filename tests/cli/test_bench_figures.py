"""Figures say what was measured: percentiles, medians of rounds, slopes, ratios, goals, tables and plots."""

import math
import xml.etree.ElementTree as ET

import pytest

from app.cli.bench.figures import latencies, slope, summary
from app.cli.bench.goals import goals, own_goals, ratios
from app.cli.bench.growth import COSTS, drawn, slopes, targets
from app.cli.bench.markdown import between, markdown, shown
from app.cli.bench.plot import Panel, nice, svg
from app.cli.bench.profile import room_of, short, summed
from app.cli.bench.report import Table, cell, tables


def round_of(events, seconds, cpu=0.1, **more):
    return {"events": events, "requests": events, "wall_seconds": seconds, "cpu_seconds": cpu, **more}


def test_percentiles_are_times_that_were_measured():
    told = latencies([n / 1000 for n in range(1, 1001)])
    assert told == {"p50_ms": 500, "p90_ms": 900, "p99_ms": 990, "p999_ms": 999, "max_ms": 1000}
    assert latencies([0.003])["p999_ms"] == latencies([0.003])["max_ms"] == 3


def test_rounds_are_told_by_their_medians_and_the_worst_of_all():
    rounds = [round_of(10, 1, max_ms=5), round_of(10, 2, max_ms=9), round_of(10, 5, max_ms=7)]
    told = summary(rounds)
    assert told["rate"] == 5
    assert told["rates"] == [10, 5, 2]
    assert told["max_ms"] == 9


def test_a_slope_is_least_squares_with_its_standard_error():
    told = slope([(4, 10.0), (5, 12.0), (6, 14.0), (7, 16.0)])
    assert told == {"slope": 2, "error": 0, "middle": 13, "percent": pytest.approx(100 * 2 / 13)}
    bent = slope([(0, 1.0), (1, 0.0), (2, 3.0)])
    assert bent["slope"] == pytest.approx(1)
    assert bent["error"] == pytest.approx(math.sqrt(4 / 3))  # by hand: residuals 2/3, -4/3, 2/3 over a spread of 2


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    told = {"single": [round_of(10, 1), round_of(10, 2)], "noop_post": [round_of(10, 0.5), round_of(10, 0.25)]}
    assert ratios(told) == {"single_vs_noop": pytest.approx((0.5 + 0.125) / 2, abs=0.001)}


def test_a_goal_that_is_missed_says_so_and_one_that_was_not_measured_is_not_told():
    told = {"batch_100": [round_of(100, 1)], "bare": [round_of(100, 0.95, verify_cpu_seconds=0.04)]}
    found = {
        "environment": {"durability": "SQLite"}, "scenarios": {"single_open": {"p99_ms": 61.0}}, "yardsticks": {},
        "storage": {"stored_vs_body": 1.7},
    }  # fmt: skip
    by_number = {(row["goal"] or row["what"]): row["met"] for row in goals(found, told)}
    assert by_number["G1"] is True
    assert by_number["G5"] is False
    assert by_number["G11"] is True
    assert by_number["single at 70 % open load, p99 ms"] is False
    assert "G3" not in by_number


def point(size, cost=350.0):
    return {"target": size, "size": size, "signature_us": 50.0, **dict.fromkeys(COSTS, cost)}


def test_growth_is_measured_at_half_powers_of_ten():
    assert targets(1_000_000) == [10_000, 31_623, 100_000, 316_228, 1_000_000]
    assert targets(10_000) == [10_000]
    assert targets(40_000) == [10_000, 31_623, 40_000]


def test_what_does_not_grow_has_no_slope_and_what_grows_has_one():
    flat = slopes([point(10_000), point(100_000), point(1_000_000)])
    assert flat["batch_cpu_us"]["percent"] == 0
    steep = slopes([point(10_000, 100.0), point(100_000, 200.0), point(1_000_000, 300.0)])
    assert steep["batch_cpu_us"] == {"slope": 100, "error": 0, "middle": 200, "percent": 50}
    assert steep["batch_cpu_in_signatures"]["slope"] == 2
    assert slopes([point(10_000)]) == {}
    fallen = {"scenarios": {}, "growth": {"points": [point(10_000, 9.0), point(100_000, 4.0)]}}
    assert [row["met"] for row in own_goals(fallen)] == [False]


def test_a_plot_is_wellformed_labelled_and_has_both_themes():
    told = {"points": [point(10_000), point(100_000), point(1_000_000)]}
    told["slopes"] = slopes(told["points"])
    text = drawn(told)
    tree = ET.fromstring(text)  # noqa: S314 - our own text
    words = " ".join(tree.itertext())
    assert "events in the ledger" in words
    assert "100 k" in words
    assert COSTS["batch_cpu_us"] in words
    assert "prefers-color-scheme:dark" in text
    assert len([each for each in tree.iter() if each.tag.endswith("circle")]) == 4 * 3


def test_a_plot_keeps_its_points_inside_its_panel():
    tree = ET.fromstring(svg("t", "x", [Panel("a < b", "", ((10.0, 0.0), (1e7, 9.0)))]))  # noqa: S314
    circles = [each for each in tree.iter() if each.tag.endswith("circle")]
    assert all(0 < float(each.get("cx")) < 400 and 0 < float(each.get("cy")) < 240 for each in circles)
    assert [nice(value) for value in (0, 0.3, 1, 11, 26, 351, 999)] == [1, 0.4, 1, 20, 40, 400, 1000]


def test_tables_are_written_between_the_marks_and_nothing_else_is_touched():
    one = Table("T", ("a", "b"), (("x|y", "1"),))
    text = markdown([one])
    assert text == "**T**\n\n| a | b |\n| --- | --- |\n| x/y | 1 |\n"
    page = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter <!-- bench:pg:begin --><!-- bench:pg:end -->\n"
    written = between(page, "", text)
    assert written.startswith("before\n<!-- bench:begin -->\n**T**")
    assert written.endswith("| x/y | 1 |\n<!-- bench:end -->\nafter <!-- bench:pg:begin --><!-- bench:pg:end -->\n")
    assert between(written, "", text) == written
    assert "\nold\n" in between(page, "pg", text)


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<!-- bench:begin -->",
        "<!-- bench:end --><!-- bench:begin -->",
        2 * "<!-- bench:begin --><!-- bench:end -->",
    ],
)
def test_a_document_without_its_marks_is_not_written(page):
    with pytest.raises(ValueError, match="marks"):
        between(page, "", "text")


def test_columns_without_a_figure_are_left_out():
    told = {"scenarios": {"single": {"rate": 1234.5}}, "yardsticks": {}, "ratios": {}, "goals": []}
    [one] = tables(told)
    assert one == Table("Rates and times", ("what", "events/s"), (("single", "1,234"),))
    assert [cell(value) for value in (True, False, None, 0.1234, 12.34, 1234.5)] == [
        *("yes", "**no**", "", "0.123", "12.3", "1,234")
    ]  # fmt: skip


def test_a_profile_is_told_by_room_without_those_who_wait(tmp_path):
    file = tmp_path / "one.json"
    frames = [
        ("prove", "/somewhere/app/keys/verify.py"), ("Condition.wait", "/usr/lib/python3.11/threading.py"),
        ("execute", "/x/site-packages/sqlalchemy/engine/base.py"),
    ]  # fmt: skip
    named = ", ".join(f'{{"name": "{name}", "file": "{path}"}}' for name, path in frames)
    file.write_text(
        f'{{"shared": {{"frames": [{named}]}}, "profiles": [{{"samples": [[0], [2, 0], [1], [0, 2], []], '
        '"weights": [1, 2, 9, 1, 5]}]}'
    )
    told = summed(file)
    assert told["rooms"] == {"app/keys": 75.0, "sqlalchemy": 25.0}
    assert told["functions"] == {"prove (app/keys/verify.py)": 75.0, "execute (sqlalchemy/engine/base.py)": 25.0}
    assert short("/x/site-packages/nacl/signing.py") == "nacl/signing.py"
    assert room_of("/x/site-packages/nacl/signing.py") == "crypto"


def test_a_document_shows_no_address_and_no_folder_of_a_machine():
    words = ["bench", "--database-url", "postgresql://u:secret@h/d", "--keep-world=kept/world", "--events", "10"]
    assert shown(words) == ["bench", "--database-url", "URL", "--keep-world=FOLDER", "--events", "10"]
