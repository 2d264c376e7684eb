"""Long benchmarks keep what they made, lose nothing that was acknowledged, and end cleanly when they are interrupted.

No timing is asserted anywhere here.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import psycopg
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from app.audit.fsck import fsck
from app.cli.bench import backlog as backlog_of
from app.cli.bench import fieldday
from app.cli.bench import growth as growth_of
from app.cli.bench.costs import COSTS
from app.cli.bench.grown import place
from app.cli.bench.offline import Extent
from app.cli.bench.sending import Answered
from app.cli.bench.sources import ROOT, code_version
from app.cli.bench.traffic import Ask, Load
from app.cli.main import app as custody
from app.db import Database
from app.ledger.append import read_head
from tests.cli.benching import measured, small


def test_a_ledger_that_is_kept_grows_on_and_is_measured_where_it_was_not_before(tmp_path, monkeypatch):
    monkeypatch.setattr(growth_of, "FIRST", 700)
    monkeypatch.setattr(growth_of, "targets", lambda events: [700, events] if events > 700 else [700])
    for name, few in (("STREAMS", 4), ("REPEATS", 1), ("BATCHED", 40), ("READS", 8), ("ALONE", 8), ("WARM_UP", 20)):
        monkeypatch.setattr(growth_of, name, few)
    kept = tmp_path / "kept"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    [first] = measured(tmp_path / "one", "growth", extent=Extent(events=700), keep=kept)["growth"]["points"]
    told = measured(tmp_path / "two", "growth", extent=Extent(events=2500), keep=kept)
    assert told["growth"]["points"][0] == first
    assert [point["target"] for point in told["growth"]["points"]] == [700, 2500]
    assert 700 < first["size"] < 2500 < told["growth"]["points"][1]["size"]
    assert set(told["growth"]["points"][1]) >= {*COSTS, "signature_us"}
    assert set(told["growth"]["slopes"]) >= {*COSTS} - {"grown_per_second", "history_p50_ms", "checkpoint_p50_ms"}
    for point in told["growth"]["points"]:
        assert point["environment"]["code"] == code_version()
        assert point["environment"]["durability"] == "SQLite journal_mode=wal synchronous=FULL"
        assert len(point["every_round"]["batch"]) == point["rounds"] == 1
    assert (kept / "world.json").stat().st_mode & 0o077 == 0
    db = Database(f"sqlite:///{kept / 'custody.db'}")
    with db.read() as session:
        units = json.loads((kept / "world.json").read_bytes())["units"]
        assert len(units) == len(set(units)) > 40
        assert read_head(session).size > 2500
    db.close()
    assert fsck(Database(f"sqlite:///{kept / 'custody.db'}")).clean
    monkeypatch.setattr(growth_of, "code_version", lambda: "another")
    with pytest.raises(RuntimeError, match="measured by other code"):
        measured(tmp_path / "one" / "growth", "growth", extent=Extent(events=9000), keep=kept)
    with (
        pytest.raises(RuntimeError, match="is in sqlite, not in postgresql"),
        place(tmp_path, "postgresql://nobody@127.0.0.1:1/none", kept),
    ):
        pass


def test_nothing_acknowledged_is_lost_when_the_ledger_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_of, "CONNECTIONS", 12)
    extent = Extent(batches=24, held_seconds=1.5, queue_events=300)
    told = measured(tmp_path, "backlog", extent=extent)["backlog"]
    assert told["events_in_the_end"] == told["events"] == 2400
    assert told["turned_away_and_sent_again"] > 0
    assert told["acknowledged_and_lost"] == 0
    assert told["acknowledged"] == 2400 - 100 * told["requests_refused"]


def test_an_acknowledged_event_that_is_not_there_any_more_is_counted():
    load = Load([[Ask(b"", 0, events=1)], [Ask(b"", 0, events=1)]])
    assert backlog_of.lost_of({"a": (1, "x")}, {"a": (1, "x"), "b": (2, "y")}, load) == []
    assert backlog_of.lost_of({"c": (3, "z")}, {"a": (1, "x"), "b": (2, "y")}, load) == ["c"]
    assert backlog_of.lost_of({"a": (1, "x")}, {"a": (3, "x"), "b": (2, "y")}, load) == ["a"]  # another receipt
    with pytest.raises(RuntimeError, match="2 events lie in 1 leaves"):
        backlog_of.lost_of({}, {"a": (1, "x"), "b": (1, "x")}, load)


def test_a_receipt_without_a_proof_is_no_acknowledgement():
    receipt = {"event": "H", "index": 3, "leaf_hash": "L", "proof": {}}

    def told(receipt):
        body = json.dumps({"results": [{"status": 201, "receipt": receipt}]}).encode()
        return [Answered(Ask(b"", 0), b"HTTP/1.1 200 OK\r\n\r\n" + body, 0.0, 0.0, 0.0)]

    assert backlog_of._looked_at(told(receipt)) == ({"H": (3, "L")}, 0)
    del receipt["proof"]
    with pytest.raises(RuntimeError, match="an event was answered"):
        backlog_of._looked_at(told(receipt))


@pytest.mark.parametrize(("answer", "says"), [(b"500 Oops", "500 Oops"), (b"503 Busy", "503 Busy")])
def test_whoever_is_turned_away_is_told_when_to_come_again(answer, says):
    ask = Ask(b"", 0)
    told = Answered(ask, b"HTTP/1.1 " + answer + b"\r\nretry-after: 1\r\n\r\n", 0.0, 0.0, 0.0)
    bare_of_it = Answered(ask, b"HTTP/1.1 " + answer + b"\r\n\r\n", 0.0, 0.0, 0.0)
    if answer.startswith(b"503"):
        assert backlog_of._looked_at([told]) == ({}, 1)
    with pytest.raises(RuntimeError, match=says):
        backlog_of._looked_at([bare_of_it])


def test_the_mix_of_a_field_day_is_the_one_that_is_written_down():
    kinds = fieldday._kinds(40_000, Random(fieldday.SEED))
    assert {kind: 100 * kinds.count(kind) / len(kinds) for kind in fieldday.MIX} == fieldday.MIX
    assert kinds == fieldday._kinds(40_000, Random(fieldday.SEED))
    assert sum(fieldday.MIX.values()) == 100


ENDLESS = """
import app.cli.bench.command as command
from dataclasses import replace
command.QUICK = replace(command.QUICK, streams=4, single=8, naive=4, warm_up=8, rounds=100_000)
from app.cli.main import app
app(["bench", "--quick", "--scenario", "single"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_interrupted_leaves_no_process_and_no_folder(tmp_path, number):
    command = [sys.executable, "-P", "-c", ENDLESS]
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while len(of_session(process.pid)) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(of_session(process.pid)) >= 4  # the command, the service's two, and a yardstick
    process.send_signal(number)
    time.sleep(0.1)
    process.send_signal(number)  # whoever is impatient disturbs nothing
    process.wait(60)
    assert process.returncode == 128 + number
    deadline = time.monotonic() + 20
    while of_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert of_session(process.pid) == []
    assert [path for path in tmp_path.iterdir() if path.name.startswith("custody-bench")] == []


def of_session(session):
    """Return the processes of a session, those that have ended not counted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.postgres
def test_a_run_on_postgresql_tells_the_servers_share_and_leaves_no_database(tmp_path, postgres_url, monkeypatch):
    small(monkeypatch)
    scenarios = ("single", "batch_100", "two_signatures", "hundred_units", "history", "store", "reconcile")
    told = measured(tmp_path, *scenarios, database_url=postgres_url)
    assert told["environment"]["durability"].startswith("PostgreSQL server_version=")
    assert "database_cpu_us_per_event" in told["scenarios"]["single"]
    assert told["storage"]["bytes_per_event"] > 0
    with psycopg.connect(make_url(postgres_url).set(drivername="postgresql").render_as_string()) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'custody_bench_%'").fetchall()
    assert left == []


def test_a_document_without_marks_is_refused_before_anything_is_measured(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks")
    told = CliRunner().invoke(custody, ["bench", "--scenario", "labels", "--markdown", str(page)])
    assert told.exit_code == 2
    assert page.read_text() == "no marks"


def test_tables_go_into_the_document_whatever_the_shell_says(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("# P\n<!-- bench:begin -->\n<!-- bench:end -->\nrest\n")
    other = tmp_path / "in-use.db"
    shell = {
        **dict.fromkeys(("CUSTODY_DATABASE_URL", "CUSTODY_MIGRATION_URL"), f"sqlite:///{other}"),
        "CUSTODY_LEDGER": "another", "CUSTODY_HIGH_WATER_PATH": str(tmp_path / "mark"), "CUSTODY_GROUP_EVENTS": "none",
    }  # fmt: skip
    for name, value in shell.items():  # not one of them is read
        monkeypatch.setenv(name, value)
    arguments = ["bench", "--quick", "--scenario", "reverify", "--events", "20", "--markdown", str(page), "--json"]
    told = CliRunner().invoke(custody, [*arguments, "--folder", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.md"]
    assert json.loads(told.stdout)["environment"]["code"] == code_version()
    assert "| reverify |" in page.read_text()
    assert page.read_text().endswith("<!-- bench:end -->\nrest\n")
