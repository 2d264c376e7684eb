"""Figures say what was measured: percentiles, medians of rounds, slopes, ratios, goals, tables and plots."""

import json
import math
import xml.etree.ElementTree as ET

import pytest

from app.cli.bench.costs import COSTS, drawn, slopes
from app.cli.bench.figures import latencies, slope, summary
from app.cli.bench.goals import goals, own_goals, ratios
from app.cli.bench.markdown import between, markdown, shown
from app.cli.bench.plot import Panel, nice, svg
from app.cli.bench.profile import _without_machine, room_of, short, summed
from app.cli.bench.report import FOOTNOTE, Table, cell, disk, machine, show, tables
from app.cli.bench.sources import ROOT


def round_of(events, seconds, cpu=0.1, **more):
    return {"events": events, "requests": events, "wall_seconds": seconds, "cpu_seconds": cpu, **more}


def test_percentiles_are_times_that_were_measured():
    told = latencies([n / 1000 for n in range(1, 10_001)])
    assert told == {"p50_ms": 5000, "p90_ms": 9000, "p99_ms": 9900, "p999_ms": 9990, "max_ms": 10_000}


@pytest.mark.parametrize(("name", "least"), [("p50_ms", 20), ("p90_ms", 100), ("p99_ms", 1000), ("p999_ms", 10_000)])
def test_a_percentile_that_so_few_times_cannot_carry_is_not_told(name, least):
    assert latencies([0.003] * least)[name] == 3
    few = latencies([0.003] * (least - 1))
    assert few[name] is None
    assert few["max_ms"] == 3
    assert summary([round_of(10, 1, **few)] * 3)[name] is None


def test_rounds_are_told_by_their_medians_and_the_worst_of_all():
    rounds = [round_of(10, 1, max_ms=5), round_of(10, 2, max_ms=9), round_of(10, 5, max_ms=7)]
    told = summary(rounds)
    assert told["rate"] == 5
    assert told["rates"] == [10, 5, 2]
    assert told["max_ms"] == 9
    assert told["rounds"] == 3
    assert told["every_round"] == rounds


def test_each_row_says_of_how_many_rounds_it_is():
    scenarios = {"fsck": summary([round_of(10, 1)]), "single": summary([round_of(10, 1)] * 3)}
    told = {"scenarios": scenarios, "yardsticks": {}, "ratios": {}, "goals": []}
    rates = tables(told)[0]
    assert [row[rates.heads.index("rounds")] for row in rates.rows] == ["1", "3"]


def test_a_mix_of_events_and_questions_is_told_by_the_request():
    rounds = [{**round_of(10, 1, cpu=0.5), "requests": 100, "per_request": True}]
    row = summary(rounds)
    assert (row["rate"], row["cpu_us_per_request"]) == (10, 5000)
    told = {"scenarios": {"field_day": row, "single": summary([round_of(10, 1)])}, "yardsticks": {}, "ratios": {}}
    costs = tables(told)[1]
    assert costs.heads[:3] == ("what", "of each", "service CPU µs")
    assert [row[:3] for row in costs.rows] == [("field_day", "request", "5,000"), ("single", "event", "10,000")]


def test_a_row_that_others_disturbed_is_marked_and_so_it_says_as_data(capsys):
    quiet, loud = (summary([round_of(10, 1, others_percent=share)]) for share in (9.9, 10.1))
    assert (quiet["disturbed"], loud["disturbed"]) == (False, True)
    told = {"scenarios": {"single": quiet, "batch_100": loud}, "yardsticks": {}, "ratios": {}}
    for one in tables(told):
        assert [row[0] for row in one.rows] == ["single", "batch_100 †"]
        assert one.note == FOOTNOTE
    assert markdown(tables(told)).count(FOOTNOTE) == 2
    calm = {"scenarios": {"single": quiet}, "yardsticks": {}, "ratios": {}}
    assert FOOTNOTE not in markdown(tables(calm))
    show({**told, "environment": HERE})
    assert FOOTNOTE in capsys.readouterr().out


def test_on_postgresql_nothing_is_said_of_the_disk_of_the_client():
    assert "ext4, fdatasync 0.2 ms; load 1.5 before it began" in machine({"environment": HERE})
    server = {name: value for name, value in HERE.items() if name not in {"file_system", "fdatasync_ms"}}
    assert "fdatasync" not in machine({"environment": server})
    assert disk(server) == ""


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
    at_own_rate = goals(found, told, own_rate=True)
    assert not [row for row in at_own_rate if "70 %" in row["what"]]
    assert len(at_own_rate) == len(goals(found, told)) - 1


def test_a_percentile_that_is_not_told_is_held_to_no_goal():
    told = {"single_4": [round_of(10, 1, p99_ms=5.0)] * 2, "insert_1": [round_of(100, 1)] * 2}
    assert ratios(told)["single_p99_vs_commit"] == 0.5
    told["single_4"][1:] = [round_of(10, 1, p99_ms=None)]
    assert "single_p99_vs_commit" not in ratios(told)
    found = {
        "environment": {"durability": "SQLite"}, "scenarios": {"single_open": {"p99_ms": None}}, "yardsticks": {},
    }  # fmt: skip
    assert goals(found, told) == []


HERE = {
    "at": "2026-01-02", "cpu": "A", "usable_cpus": 2, "memory_mb": 1000, "python": "3.11", "sqlite": "3", "openssl": "3",
    "packages": {}, "durability": "SQLite", "file_system": "ext4", "fdatasync_ms": 0.2, "load_average": 1.5, "code": "c",
}  # fmt: skip


def point(size, cost=350.0, **more):
    costs = dict.fromkeys(COSTS, cost)
    return {"target": size, "size": size, "signature_us": 50.0, "environment": HERE, **costs, **more}


def test_a_ledger_verified_again_is_held_to_one_core_and_to_two_processes():
    one = {"signature_us": 50.0, "cpu_us_per_event": 100.0, "rates": [100, 200, 400]}
    told = {
        "environment": HERE, "scenarios": {"reverify": one, "reverify_2": {"rates": [160, 300, 700]}},
    }  # fmt: skip
    by_core, by_two = own_goals(told)
    assert (by_core["goal"], by_core["value"], by_core["met"]) == ("G9", 0.5, False)
    assert (by_two["goal"], by_two["value"], by_two["met"]) == ("G9", 1.6, True)
    assert len(own_goals({**told, "environment": {**HERE, "usable_cpus": 1}})) == 1  # nothing to gain there


def test_what_does_not_grow_has_no_slope_and_what_grows_has_one():
    flat = slopes([point(10_000), point(100_000), point(1_000_000)])
    assert flat["batch_cpu_us"]["percent"] == 0
    steep = slopes([point(10_000, 100.0), point(100_000, 200.0), point(1_000_000, 300.0)])
    assert steep["batch_cpu_us"] == {"slope": 100, "error": 0, "middle": 200, "percent": 50}
    assert steep["batch_cpu_in_signatures"]["slope"] == 2
    assert slopes([point(10_000)]) == {}
    fallen = {"scenarios": {}, "growth": {"points": [point(10_000, 9.0), point(100_000, 4.0)]}}
    [goal] = own_goals(fallen)
    assert (goal["what"], goal["met"]) == ("recording rate while growing, last interval ÷ first", False)


@pytest.mark.parametrize("rate", [None, 0])
def test_where_nothing_grew_there_is_no_rate_and_no_goal(rate):
    points = [point(10_000, grown_per_second=rate), point(100_000), point(1_000_000)]
    told = {"scenarios": {}, "growth": {"points": points, "slopes": slopes(points)}}
    assert own_goals(told) == []
    assert told["growth"]["slopes"]["batch_cpu_us"]["percent"] == 0
    if rate is None:
        [costs, _] = tables({**told, "yardsticks": {}, "ratios": {}, "environment": HERE})
        assert [row[costs.heads.index(COSTS["grown_per_second"])] for row in costs.rows] == ["", "350", "350"]


def test_points_of_several_days_or_machines_say_when_and_where_they_were_measured():
    def columns(*points):
        told = {"scenarios": {}, "yardsticks": {}, "ratios": {}, "growth": {"points": points}, "environment": HERE}
        [costs] = tables(told)
        return costs.heads, [row[-1] for row in costs.rows]

    assert "measured" not in columns(point(10_000), point(100_000))[0]
    later = point(100_000, environment={**HERE, "at": "2026-01-03"})
    heads, last = columns(point(10_000), later)
    assert heads[-1] == "measured"
    assert [text[:10] for text in last] == ["2026-01-02", "2026-01-03"]
    assert "measured" in columns(later)[0]  # all of one day, which is not the day of this run
    assert "measured" in columns(point(10_000), point(100_000, environment={**HERE, "cpu": "B"}))[0]


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


NESTED = "/srv/app/.venv/lib/python3.11/site-packages/sqlalchemy/engine/base.py"


@pytest.mark.parametrize(
    ("file", "shortened", "room"),
    [
        (NESTED, "sqlalchemy/engine/base.py", "sqlalchemy"),
        (f"{ROOT}/app/keys/verify.py", "app/keys/verify.py", "app/keys"),
        ("/elsewhere/app/db.py", "app/db.py", "app/db"),
        ("/usr/lib/python3.11/asyncio/base_events.py", "asyncio/base_events.py", "asyncio"),
        ("<string>", "<string>", "<string>"),
        ("", "", "other"),
    ],
)
def test_a_path_is_shortened_once_and_keeps_its_library(file, shortened, room):
    assert short(file) == short(short(file)) == shortened
    assert room_of(file) == room_of(short(file)) == room


def test_a_profile_without_paths_of_this_machine_is_summed_as_before(tmp_path):
    file = tmp_path / "one.json"
    frames = [{"name": "execute", "file": NESTED}, {"name": "f", "file": f"{ROOT}/app/db.py"}, {"name": "g"}]
    profile = {"samples": [[0], [1], [2]], "weights": [2, 1, 1]}
    file.write_text(json.dumps({"name": "py-spy", "shared": {"frames": frames}, "profiles": [profile]}))
    before = summed(file)
    _without_machine(file, "single")
    assert summed(file) == before
    assert before["rooms"] == {"sqlalchemy": 50.0, "app/db": 25.0, "other": 25.0}
    assert str(ROOT) not in file.read_text()
    assert "/srv" not in file.read_text()


def test_a_document_shows_no_address_and_no_folder_of_a_machine():
    words = ["bench", "--database-url", "postgresql://u:secret@h/d", "--keep-world=kept/world", "--events", "10"]
    assert shown(words) == ["bench", "--database-url", "URL", "--keep-world=FOLDER", "--events", "10"]
    paths = ["--plot", "/x/g.svg", "--markdown=/x/p.md", "--folder", "/x/fast", "--profile", "/x/p"]
    hidden = ["--plot", "FILE", "--markdown=FILE", "--folder", "FOLDER", "--profile", "FOLDER"]
    assert shown(paths) == hidden
