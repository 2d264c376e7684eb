"""A tiny fraction of the nation is really driven: real processes, real keys, every answer accepted, on both databases.

No timing is asserted; the figures belong to `custody simulate --nation` and docs/capacity.md.
"""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import psutil
import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from app.cli.main import app as custody
from app.cli.simulate import documents
from app.cli.simulate.driven import Run
from app.cli.simulate.nation import nation
from app.cli.simulate.sample import sample
from tests.postgres import drop_database, fresh_database

TINY = Fraction(1, 250_000)
SEED = 7


def drive(made, folder, url="", grain="field"):
    with Progress(disable=True) as bars:
        return made(folder, url, sample(nation(), TINY, SEED), grain, SEED, bars).drive()


@pytest.mark.slow
def test_the_command_drives_two_fractions_and_reckons_the_nation(tmp_path):
    page, out, data = tmp_path / "page.md", tmp_path / "told.json", tmp_path / "data"
    page.write_text("Before.\n<!-- simulate:begin sqlite field -->\n<!-- simulate:end sqlite field -->\nAfter.\n")
    told = CliRunner().invoke(
        custody,
        [
            "simulate",
            "--nation",
            "--fraction",
            "1/250000",
            "--out",
            str(out),
            "--markdown",
            str(page),
            "--data",
            str(data),
        ],
    )
    assert told.exit_code == 0, told.output
    figures = json.loads(out.read_text())
    assert [run["fraction"] for run in figures["runs"]] == ["1/500000", "1/250000"]
    for run in figures["runs"]:
        assert run["recorded"] > run["sent"]["events"]
        assert {row["phase"] for row in run["phases"]} >= {
            "enrol",
            "bind",
            "pack",
            "to_station",
            "station_day",
            "return",
        }
        assert len({row["election"] for row in run["phases"]}) == 2
        assert all(run["stored"]["full"][name] > run["stored"]["empty"][name] for name in ("events", "ledger"))
    reckoned = figures["reckoned"]
    assert reckoned["storage"]["low"] <= reckoned["storage"]["nation"] <= reckoned["storage"]["high"]
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "**Peaks of the general election**" in text
    assert "Machines" in told.stdout
    assert (data / "fraction-2" / "data" / "custody.db").exists()


@pytest.mark.postgres
def test_postgresql_is_driven_and_tells_its_log_and_its_own_work(tmp_path, postgres_server):
    url = fresh_database(postgres_server)
    try:
        told = drive(Run, tmp_path, url, "box")
    finally:
        drop_database(url)
    assert told["log_bytes"] > 0
    assert all(row["database_cpu_seconds"] >= 0 for row in told["phases"])
    assert told["stored"]["full"]["events"] > told["stored"]["empty"]["events"]
    assert told["environment"]["durability"].startswith("PostgreSQL")


class WrongStation(Run):
    """A run in which one kit is bound for another station than the boxes it is packed with."""

    def _labels(self):
        super()._labels()
        kits = [line for line in self.goods.lines.values() if line["item"] == "KIT"]
        kits[0]["destination"] = kits[1]["destination"]


class OneMore(Run):
    """A run in which one event more is recorded than is counted."""

    def _publish(self):
        sizes = super()._publish()
        self._put("policy.publish", documents.policy_document(self.found))
        return sizes


class Founded(Run):
    """A run that ends when its ledger is founded."""

    def _measured(self, db, settings, expected):
        return settings


class FastClock(Run):
    """A run in which one office's phone is an hour ahead: accepted, and noted."""

    def _labels(self):
        super()._labels()
        city = next(iter(self.cast.escorts))
        self.cast.sides[city].first.clock_offset_ms = 3_600_000


def test_an_event_that_is_refused_ends_the_run(tmp_path):
    """Control: an answer that is not as expected."""
    with pytest.raises(RuntimeError, match="wrong_destination"):
        drive(WrongStation, tmp_path)


def test_an_event_more_than_was_counted_ends_the_run(tmp_path):
    """Control: everything was accepted, nothing is open, and yet the ledger is another."""
    with pytest.raises(RuntimeError, match=r"the ledger has \d+ events, the plan counts"):
        drive(OneMore, tmp_path)


def test_settings_of_the_shell_are_not_those_of_a_simulation(tmp_path, monkeypatch):
    other = tmp_path / "in-use.db"
    for name in ("CUSTODY_MIGRATION_URL", "CUSTODY_READ_DATABASE_URL"):
        monkeypatch.setenv(name, f"sqlite:///{other}")
    monkeypatch.setenv("CUSTODY_KEYS_DIR", str(tmp_path / "keys"))
    settings = drive(Founded, tmp_path / "run")
    assert settings.keys_folder() == tmp_path / "run" / "data" / "keys"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_discrepancy_ends_the_run(tmp_path):
    """Control: everything was accepted, and yet something is open."""
    with pytest.raises(RuntimeError, match=r"discrepancies are open.*CLOCK_SUSPECT"):
        drive(FastClock, tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_nothing_running_and_says_where_the_data_are(tmp_path, how):
    data = tmp_path / "data"
    command = [sys.executable, "-m", "app.cli", "simulate", "--nation", "--fraction", "1/5000", "--data", str(data)]
    log = (tmp_path / "said").open("w+")
    process = subprocess.Popen(command, stderr=log, stdout=subprocess.DEVNULL, start_new_session=True)
    children = []
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end and len(children) < 2:  # the service and its writer
        children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.05)
    os.kill(process.pid, how)
    time.sleep(0.1)
    if process.poll() is None:
        os.kill(process.pid, how)  # whoever is impatient disturbs nothing
    process.wait(60)
    log.close()
    said = (tmp_path / "said").read_text()
    assert process.returncode == 130, said
    assert str(data) in said.replace("\n", "")
    assert (data / "fraction-1" / "data" / "custody.db").exists()
    assert len(children) >= 2
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
