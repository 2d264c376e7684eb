"""What cannot be meant, or could not be written in the end, is refused before anything is measured."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli.bench import command, disk, options, report
from app.cli.bench.command import extent_of
from app.cli.bench.options import check, open_seconds, spoken
from app.cli.bench.report import environment
from app.cli.bench.wish import FULL, QUICK
from app.cli.main import app as custody
from app.cli.simulate.running import working_folder

MARKED = "<!-- bench:begin -->\n<!-- bench:end -->\n"
MOUNTS = r"""
21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:5 / /dev rw - devtmpfs devtmpfs rw
41 21 0:24 / /mem rw,nosuid - tmpfs tmpfs rw
42 41 0:30 / /mem/on\040disk rw - xfs /dev/vdb rw
43 21 0:31 / /srv rw - ext4 /dev/vdc rw
44 43 0:32 / /srv rw - ramfs ramfs rw
not a mount
"""


def bench(*arguments, **how):
    return CliRunner().invoke(custody, ["bench", *map(str, arguments)], **how)


@pytest.fixture
def nothing_runs(monkeypatch):
    """Let the command come as far as its run, and no further."""

    def stopped(parent, wish, extent):
        raise LookupError("it would run now")

    monkeypatch.setattr(command, "_guarded", stopped)


# -- options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scenario", "labels", "--plot", "x.svg"], ["--scenario", "labels", "--keep-world", "kept"],
        ["--scenario", "history", "--open", "5"], ["--scenario", "labels", "--units", "5000"],
        ["--scenario", "labels", "--events", "5000"], ["--scenario", "growth", "--profile", "p"],
        ["--scenario", "growth", "--events", "9000"], ["--scenario", "labels", "--database-url", "sqlite:///x"],
        ["--scenario", "labels", "--database-url", "no url at all"], ["--scenario", "labels", "--folder", "/nowhere"],
        ["--scenario", "growth", "--plot", "/nowhere/at/all.svg"], ["--scenario", "growth", "--plot", "/"],
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_usage_error(nothing_runs, arguments):
    assert bench(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scenario", "growth", "--plot", "x.svg"], ["--scenario", "history", "--keep-world", "kept"],
        ["--scenario", "batch_100", "--open", "5"], ["--scenario", "heads", "--units", "5000"],
        ["--scenario", "reverify", "--events", "5000"], ["--scenario", "growth", "--events", "10000"], ["--open", "99"],
    ],
)  # fmt: skip
def test_what_can_be_meant_would_run(nothing_runs, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    told = bench(*arguments, "--folder", tmp_path)
    assert isinstance(told.exception, LookupError), told.output


def test_a_url_that_is_refused_is_not_shown(nothing_runs):
    assert "hush" not in bench("--scenario", "labels", "--database-url", "mysql://u:hush@h/d").output


@pytest.mark.parametrize("refused", ["folder", "file"])
def test_a_file_that_could_not_be_written_is_refused_before(nothing_runs, tmp_path, monkeypatch, refused):
    page, really = tmp_path / "page.md", disk.os.access
    page.write_text(MARKED)
    closed = page if refused == "file" else tmp_path
    monkeypatch.setattr(disk.os, "access", lambda path, how: really(path, how) and Path(path) != closed)
    told = bench("--scenario", "growth", "--markdown", page)
    assert told.exit_code == 2
    told = CliRunner().invoke(custody, ["simulate", "--nation", "--dry-run", "--out", str(page)])
    assert told.exit_code == 2


def test_a_kept_ledger_in_another_kind_of_database_is_refused_before(nothing_runs, tmp_path):
    (tmp_path / "world.json").write_text(json.dumps({"version": 4, "kind": "postgresql"}))
    told = bench("--scenario", "growth", "--keep-world", tmp_path, "--folder", tmp_path)
    assert isinstance(told.exception, RuntimeError)
    assert "is in postgresql, not in sqlite" in str(told.exception)
    told = bench(
        "--scenario", "growth", "--keep-world", tmp_path, "--folder", tmp_path, "--database-url", "postgresql://u@h/d"
    )
    assert isinstance(told.exception, LookupError)


def test_without_the_yardsticks_only_what_needs_none_is_run(monkeypatch, tmp_path):
    monkeypatch.setattr(options, "ROOT", tmp_path)
    check(("heads", "backlog"), {}, (), "")
    with pytest.raises(options.MissingError):
        check(("growth",), {}, (), "")


# -- how much, how long ----------------------------------------------------------------------------------


def test_a_quick_run_makes_smaller_ledgers():
    quick, full = (extent_of(3, None, None, quick=quick) for quick in (True, False))
    for name in ("growth", "reverify"):
        assert quick.events_of(name) < full.events_of(name)
        assert extent_of(3, 7, None, quick=True).events_of(name) == 7
    assert quick.units < full.units
    assert quick.commitments < full.commitments
    assert quick.batches < full.batches
    assert extent_of(3, None, 7, quick=True).units == 7


def test_how_long_open_loads_take_is_said_before_they_run(nothing_runs, tmp_path):
    told = bench("--scenario", "single", "--open", "10", "--folder", tmp_path)
    assert f"take {spoken(FULL.rounds * FULL.single / 10)} at 10 events a second" in told.stderr
    assert told.stdout == ""
    assert open_seconds(("single", "batch_100"), QUICK, 100) == (QUICK.single + QUICK.batch_100_open) / 100
    assert (spoken(90), spoken(1920)) == ("90 seconds", "32 minutes")
    assert "open loads" not in bench("--scenario", "single", "--folder", tmp_path).stderr


# -- the disk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/mem/run", "tmpfs"), ("/mem/on disk/run", "xfs"), ("/memother", "ext4"), ("/srv/a", "ramfs"), ("/", "ext4")],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(folder, kind):
    assert disk.file_system(Path(folder), MOUNTS) == kind
    assert disk.file_system(Path(folder), "") == "unknown"


def test_this_system_says_what_a_folder_lies_on(tmp_path):
    assert disk.file_system(tmp_path) not in {"", "unknown"}


@pytest.mark.parametrize("arguments", [["bench", "--scenario", "labels"], ["simulate", "--nation"]])
def test_memory_is_no_disk_unless_it_is_named(nothing_runs, monkeypatch, tmp_path, arguments):
    monkeypatch.setattr(disk, "file_system", lambda folder: "tmpfs")
    told = CliRunner().invoke(custody, arguments)
    assert told.exit_code == 2
    assert "--folder" in told.output


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_memory_that_is_named_is_used_and_so_is_any_folder_beside_a_server(monkeypatch, tmp_path, kind):
    monkeypatch.setattr(disk, "file_system", lambda folder: kind)
    assert disk.parent_of_run(tmp_path, is_ours=True) == tmp_path
    assert disk.parent_of_run(None, is_ours=False).is_dir()
    with pytest.raises(typer.BadParameter, match=kind):
        disk.parent_of_run(None, is_ours=True)


def test_the_disk_is_told_where_the_database_lies_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "file_system", lambda folder: "ext4")
    ours = environment(tmp_path, "SQLite synchronous=FULL", 1.5)
    assert (ours["file_system"], ours["load_average"]) == ("ext4", 1.5)
    assert ours["fdatasync_ms"] >= 0
    theirs = environment(tmp_path, "PostgreSQL fsync=on", 1.5)
    assert not {"file_system", "fdatasync_ms"} & set(theirs)


# -- results ---------------------------------------------------------------------------------------------


def test_results_are_printed_before_a_file_that_cannot_be_written_any_more(tmp_path, monkeypatch):
    page = tmp_path / "there" / "page.md"
    page.parent.mkdir()
    page.write_text(MARKED)
    told = {"environment": None, "scenarios": {}, "yardsticks": {}, "ratios": {}, "goals": []}

    def run(parent, wish, extent):
        shutil.rmtree(page.parent)
        return {**told, "environment": environment(tmp_path, "SQLite", 0.0)}

    monkeypatch.setattr(command, "_guarded", run)
    found = bench("--scenario", "labels", "--markdown", page, "--json", "--folder", tmp_path)
    assert found.exit_code == 2
    assert json.loads(found.stdout)["goals"] == []


def test_acknowledged_events_that_were_lost_are_printed_and_are_an_error(tmp_path, monkeypatch):
    told = {
        "environment": environment(tmp_path, "SQLite", 0.0), "scenarios": {}, "yardsticks": {}, "ratios": {},
        "goals": [], "backlog": {"acknowledged_and_lost": 2},
    }  # fmt: skip
    monkeypatch.setattr(command, "_guarded", lambda *_: told)
    found = bench("--scenario", "backlog", "--json", "--folder", tmp_path)
    assert json.loads(found.stdout)["backlog"] == {"acknowledged_and_lost": 2}
    assert isinstance(found.exception, RuntimeError)


def failing(*_):
    error = RuntimeError("1 of 4 answers are not as expected")
    error.add_note("service.log ends:\nthe disk is full")
    raise error


def test_what_a_server_said_last_is_shown_beside_the_error_of_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "run", failing)
    found = bench("--scenario", "labels", "--folder", tmp_path)
    assert isinstance(found.exception, RuntimeError)
    assert "the disk is full" in found.stderr
    assert found.stdout == ""
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError), working_folder(None, tmp_path):
        failing()
    assert "the disk is full" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_a_signal_ends_says_so_by_its_code_and_leaves_no_folder(tmp_path, monkeypatch, number):
    def interrupted(*_):
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(command, "run", interrupted)
    found = bench("--scenario", "labels", "--folder", tmp_path)
    assert found.exit_code == 128 + number
    assert list(tmp_path.iterdir()) == []
