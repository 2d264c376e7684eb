"""What is reckoned from two fractions follows from them, and is written down where it belongs."""

import copy
import json
import sys
from collections import Counter
from types import SimpleNamespace

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from app.cli.bench.sending import Answered
from app.cli.bench.traffic import Ask, Load
from app.cli.main import app as custody
from app.cli.simulate import driven, giving, running
from app.cli.simulate.counts import Counts
from app.cli.simulate.facts import GENERAL
from app.cli.simulate.reckoning import UTILISATION, WINDOWS, Line, line, reckon, worst_of
from app.cli.simulate.storage import FAMILIES, OTHER, family
from app.cli.simulate.tables import Sheet, between, markdown, measured_sheets, nation_sheets, sentences
from app.db import metadata
from app.errors import RefusedError

FIXED, EACH = 10_000, 70
FOUND = {"stations": 10, "villages": 5, "officers": 30, "units": 60, "boxes": 50, "kits": 10, "cartons": 4}
PHASES = sorted({window.phase for window in WINDOWS})


def run(scale, cpu_us=500.0):
    """A run in which every family of tables has a fixed part and so many bytes an event, and everything else scales."""
    sent = {"events": 1000 * scale, "links": 5000 * scale, "signatures": 2000 * scale}
    phase = {
        "events": 100 * scale, "wall_seconds": 0.1 * scale, "cpu_seconds": 1e-6 * cpu_us * 100 * scale,
        "writes_cpu_seconds": 1e-6 * 200 * 100 * scale, "sent_bytes": 2000 * 100 * scale, "p50_ms": 1, "p99_ms": 2,
        "peak_rss_mb": 300,
    }  # fmt: skip
    return {
        "fraction": f"{scale}/1000", "things": {name: n * scale for name, n in FOUND.items()}, "sent": sent,
        "phases": [{"election": GENERAL, "phase": name, **phase} for name in PHASES],
        "stored": {
            "empty": dict.fromkeys((*FAMILIES, OTHER), FIXED),
            "full": dict.fromkeys((*FAMILIES, OTHER), FIXED + EACH * sent["events"]),
        },
        "log_bytes": None,
    }  # fmt: skip


NATION = run(1000)


def test_a_line_goes_through_both_points():
    assert line((1, 10), (3, 14)) == Line(8, 2)
    assert line((1, 10), (3, 14)).at(5) == 18
    assert line((2, 10), (2, 14)) == Line(14, 0)
    assert line((1, 10), (2, 8)).each == 0  # tables do not shrink as a nation grows


def test_bytes_that_lie_on_a_line_are_found_again_with_no_residual():
    storage = reckon([run(1), run(2)], NATION)["storage"]
    row = storage["families"]["events"]
    assert (row["each"], row["fixed"], row["residual"]) == (EACH, FIXED, 0)
    assert row["nation"] == FIXED + EACH * 1_000_000
    assert row["low"] <= row["nation"] <= row["high"]
    assert storage["nation"] == pytest.approx(len(storage["families"]) * (FIXED + EACH * 1_000_000))
    assert storage["per_event"] == [len(storage["families"]) * EACH] * 2


def test_bytes_that_lie_on_no_line_have_a_residual_and_a_range():
    """Control: the larger run stored more than the line says."""
    large = copy.deepcopy(run(2))
    large["stored"]["full"]["events"] += 40_000
    row = reckon([run(1), large], NATION)["storage"]["families"]["events"]
    assert row["each"] == EACH + 40
    assert row["residual"] == -40_000
    assert row["low"] < row["nation"]


def test_peaks_are_what_the_window_asks_at_the_measured_cost():
    [peak] = [p for p in reckon([run(1), run(2)], NATION)["peaks"] if p["name"] == "last hop, 12 h"]
    assert peak["needed"] == pytest.approx(100_000 * 3 / (12 * 3600))
    assert peak["measured"] == pytest.approx(1000)
    assert peak["cores"] == pytest.approx(peak["needed"] * 500e-6 / UTILISATION)
    assert peak["ledger_limit"] == pytest.approx(UTILISATION / 200e-6)
    assert (peak["error"], peak["database_cores"]) == (0, None)
    [changed] = [p for p in reckon([run(1, 600), run(2)], NATION)["peaks"] if p["name"] == peak["name"]]
    assert changed["error"] == pytest.approx(0.2)


def test_databases_that_tell_more_are_reckoned_with():
    runs = [copy.deepcopy(run(scale)) for scale in (1, 2)]
    for scale, one in zip((1, 2), runs, strict=True):
        one["log_bytes"] = 3000 * 1000 * scale
        for row in one["phases"]:
            row["database_cpu_seconds"] = 300e-6 * row["events"]
    told = reckon(runs, NATION)
    assert told["storage"]["log"]["nation"] == pytest.approx(3000 * 1_000_000)
    assert all(peak["database_us"] == pytest.approx(300) for peak in told["peaks"])
    nation = told["machines"][-1]
    assert nation["log"] == pytest.approx(3e9)
    assert nation["database_cores"] == pytest.approx(max(p["needed"] for p in told["peaks"]) * 300e-6 / UTILISATION)


def test_the_worst_peak_is_the_one_that_needs_most_cores():
    """Many cheap events a second may need less than few dear ones; a database's work counts."""
    runs = [copy.deepcopy(run(scale)) for scale in (1, 2)]
    for one in runs:
        [dear] = [row for row in one["phases"] if row["phase"] == "return"]
        dear["cpu_seconds"] *= 1000
    told = reckon(runs, NATION)
    busiest = max(told["peaks"], key=lambda peak: peak["needed"])
    assert worst_of(told["peaks"])["phase"] == "return" != busiest["phase"]
    nation = told["machines"][-1]
    assert nation["cores"] == max(peak["cores"] for peak in told["peaks"]) > busiest["cores"]
    assert nation["peak"] == "return, 24 h"
    assert "Its worst peak is return, 24 h" in sentences({"nation": NATION, "reckoned": told})[1]
    beside = [{"cores": 2.0, "database_cores": None, "needed": 9}, {"cores": 1.0, "database_cores": 1.5, "needed": 1}]
    assert worst_of(beside) is beside[1]


def test_memory_is_told_of_what_was_measured_and_not_of_the_nation():
    told = reckon([run(1), run(2)], NATION)
    assert [row["memory"] for row in told["machines"]] == [300 * 2**20, 300 * 2**20, None]
    sheet = nation_sheets({"runs": [run(1), run(2)], "nation": NATION, "reckoned": told})[-1]
    place = sheet.columns.index("service memory")
    assert [row[place] for row in sheet.rows] == ["300.0 MiB", "300.0 MiB", ""]


# -- a phase, wave by wave -------------------------------------------------------------------------------


def asked(count, signatures=1):
    one = b'{"payload":"x","signatures":[' + b",".join([b'{"protected":"p","signature":"s"}'] * signatures) + b"]}"
    return Ask(b"POST / HTTP/1.1\r\n\r\n" + b",".join([one] * count), 200, events=count)


def a_run(tmp_path):
    bars = Progress(disable=True)
    found = driven.Run(tmp_path, "", SimpleNamespace(), "field", 1, bars)
    found.task, found.server, found.key = bars.add_task("-", total=None), None, None
    found.goods = SimpleNamespace(acts={}, units_of=lambda code: [])
    return found


def test_percentiles_of_a_phase_are_over_the_requests_of_all_its_waves(tmp_path, monkeypatch):
    waves = iter([[0.001] * 30, [0.009] * 10])

    def exchange(load, *_):
        answered = [Answered(asked(1), b"", 0.0, 0.0, seconds) for seconds in next(waves)]
        return {"events": load.events, "wall_seconds": 1.0, "cpu_seconds": 0.1, "peak_rss_mb": 5}, answered

    monkeypatch.setattr(driven, "exchange", exchange)
    monkeypatch.setattr(driven, "hold", lambda *_: None)
    one = a_run(tmp_path)
    one._send(GENERAL, "pack", iter([Load([[asked(3, 2)]]), Load([[asked(1, 3)], [asked(1)]])]))
    [row] = one.told
    assert (row["p50_ms"], row["max_ms"], row["p99_ms"]) == (1, 9, None)
    assert (row["events"], row["signatures"]) == (5, 6 + 4)
    large = run(2)
    large["phases"] = [{**row, "phase": name} for name in PHASES]
    [sheet] = measured_sheets({"runs": [large]})
    assert [line[sheet.columns.index("p99 ms")] for line in sheet.rows] == [""] * len(PHASES)


@pytest.mark.parametrize("what", ["events", "signatures"])
def test_another_number_than_was_counted_ends_the_run(tmp_path, what):
    one = a_run(tmp_path)
    one.door = SimpleNamespace(get=lambda path: {"size": 9}, pages=lambda path, status: [])
    expected = Counts(phases={(GENERAL, "pack"): Counter(events=3, signatures=6)})
    one.told = [{"events": 3, "signatures": 6}]
    assert one._check(expected) == 9
    one.told = [{"events": 3, "signatures": 6, what: 4}]
    with pytest.raises(RuntimeError, match=f"4 {what} were sent"):
        one._check(expected)


@pytest.mark.parametrize(("held", "says"), [
    ({"events": 7, "links": 8}, None), ({"events": 8, "links": 8}, "8 events"), ({"events": 6, "links": 8}, "6 events"),
    ({"events": 7, "links": 9}, "9 links"),
])  # fmt: skip
def test_a_ledger_that_holds_more_or_less_than_was_counted_ends_the_run(tmp_path, monkeypatch, held, says):
    monkeypatch.setattr(driven, "recorded", lambda db: held)
    expected = Counts(phases={(GENERAL, "pack"): Counter(events=3, links=8)})
    if says is None:
        a_run(tmp_path)._hold_ledger(None, expected)
        return
    with pytest.raises(RuntimeError, match=f"the ledger has {says}"):
        a_run(tmp_path)._hold_ledger(None, expected)


def test_every_table_has_a_family():
    assert {name for name in metadata.tables if family(name) == OTHER} <= {
        "api_client", "access_token", "client_assertion", "shard",
    }  # fmt: skip
    assert family("event_2_0") == family("event")
    assert family("alembic_version") == OTHER


# -- what is written -------------------------------------------------------------------------------------


def test_a_section_takes_the_place_of_the_last_one_and_nothing_else_changes():
    text = "# Head\n<!-- simulate:begin plan -->\nold\n<!-- simulate:end plan -->\ntail\n"
    once = between(text, "plan", "new")
    assert once == "# Head\n<!-- simulate:begin plan -->\n\nnew\n<!-- simulate:end plan -->\ntail\n"
    assert between(once, "plan", "new") == once


@pytest.mark.parametrize(
    "text", ["", "<!-- simulate:begin plan -->", "<!-- simulate:end plan --><!-- simulate:begin plan -->",
             2 * "<!-- simulate:begin plan --><!-- simulate:end plan -->"],
)  # fmt: skip
def test_a_file_without_its_marks_is_left_alone(text):
    with pytest.raises(RefusedError, match="simulate:begin plan"):
        between(text, "plan", "new")


def test_tables_are_complete_as_markdown():
    told = {"runs": [run(1), run(2)], "nation": NATION, "reckoned": reckon([run(1), run(2)], NATION)}
    sheets = nation_sheets(told)
    assert all(len(row) == len(sheet.columns) for sheet in sheets for row in sheet.rows)
    lines = markdown([Sheet("T", ("a", "b"), [["x", "1"]], "Note.")]).splitlines()
    assert lines == ["**T**", "", "| a | b |", "|---|---:|", "| x | 1 |", "", "Note."]


# -- the command, before anything starts -----------------------------------------------------------------


def simulate(*arguments):
    return CliRunner().invoke(custody, ["simulate", *arguments])


@pytest.mark.parametrize("fraction", ["0", "2", "-1", "half", "1/0", "1e-3"])
def test_a_bad_fraction_is_a_usage_error(fraction):
    told = simulate("--nation", "--dry-run", f"--fraction={fraction}")
    assert told.exit_code == 2
    assert "fraction" in told.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dry-run"], ["--nation", "--dry-run", "--grain", "sheet"],
        ["--nation", "--dry-run", *("--fraction=1/2000",) * 2],
        ["--nation", "--dry-run", "--fraction=1/2", "--fraction=1/3", "--fraction=1/4"],
        ["--nation", "--dry-run", "--out", "/nowhere/at/all.json"],
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(arguments):
    assert simulate(*arguments).exit_code == 2


def test_a_dry_run_tells_the_plan_as_data(tmp_path):
    out = tmp_path / "plan.json"
    told = simulate("--nation", "--dry-run", "--json", "--fraction", "1/1000", "--out", str(out))
    assert told.exit_code == 0
    data = json.loads(told.stdout)
    assert data == json.loads(out.read_text(encoding="utf-8"))
    assert [one["fraction"] for one in data["fractions"]] == ["1/2000", "1/1000"]
    assert data["nation"]["things"]["stations_general"] == 823_220
    assert data["nation"]["things"]["boxes_general"] == 4_164_552
    assert len(data["plan"]["provinces"]) == 39
    assert "runs" not in data


def test_a_dry_run_prints_whole_numbers_however_narrow_the_screen():
    told = CliRunner().invoke(custody, ["simulate", "--nation", "--dry-run"], env={"COLUMNS": "40"})
    assert told.exit_code == 0
    assert "823,220" in told.stdout
    assert "4,164,552" in told.stdout


def test_a_run_that_the_disk_cannot_hold_is_refused_with_the_number(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 50 * 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    told = simulate("--nation", "--data", str(tmp_path / "d"))
    assert isinstance(told.exception, RefusedError)
    assert "MiB of disk" in told.exception.detail
    assert "50.0 MiB are free" in told.exception.detail


def test_a_large_run_asks_and_nobody_to_ask_means_no(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "ASK_ABOVE_BYTES", 1)
    told = simulate("--nation", "--data", str(tmp_path / "d"))
    assert isinstance(told.exception, RefusedError)
    assert "--yes" in told.exception.detail


def test_a_page_without_its_marks_is_refused_before_anything_starts(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("prose", encoding="utf-8")
    told = simulate("--nation", "--markdown", str(page), "--data", str(tmp_path / "d"))
    assert isinstance(told.exception, RefusedError)
    assert "simulate:begin sqlite field" in told.exception.detail
    assert not (tmp_path / "d").exists()
    assert page.read_text(encoding="utf-8") == "prose"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    told = simulate("--nation", "--data", str(tmp_path))
    assert isinstance(told.exception, RefusedError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_database_server_that_does_not_answer_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told = simulate("--nation", "--fraction", "1/100000", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert told.exit_code == 1
    assert told.exception is not None
    assert list(tmp_path.iterdir()) == []


def test_a_phase_that_took_less_than_the_system_counts_bounds_the_writer_all_the_same():
    tiny = [copy.deepcopy(run(n)) for n in (1, 2)]
    for one in tiny:
        for row in one["phases"]:
            row |= {name: 0.0 for name in ("cpu_seconds", "writes_cpu_seconds") if name in row}
    for peak in reckon(tiny, NATION)["peaks"]:
        assert peak["cores"] == 0
        assert peak["ledger_limit"] > 0


def test_what_was_measured_is_printed_before_a_file_that_cannot_be_written(tmp_path, capsys):
    told = {"made_at": "2026-01-02T00:00:00Z", "grain": "field", "seed": 1}
    with pytest.raises(FileNotFoundError):
        giving.give(told, [], "plan field", as_json=True, out=tmp_path / "gone" / "x.json", markdown=None)
    assert json.loads(capsys.readouterr().out) == told


def test_a_question_goes_where_no_data_go(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "ASK_ABOVE_BYTES", 1)
    person = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True), stderr=sys.stderr)
    monkeypatch.setattr(running, "sys", person)
    arguments = ["simulate", "--nation", "--fraction", "1/100000", "--json", "--data", str(tmp_path / "d")]
    told = CliRunner().invoke(custody, arguments, input="n\n")
    assert "Go on?" in told.stderr
    assert "Go on?" not in told.stdout


def test_data_and_folder_exclude_each_other(tmp_path):
    told = simulate("--nation", "--data", str(tmp_path / "d"), "--folder", str(tmp_path))
    assert told.exit_code == 2
    assert not (tmp_path / "d").exists()
