"""The demonstration is the acceptance test: played once over HTTP, then looked at from every side.

It runs as a user would run it, `custody demo --json` in a process of its own; with pytest-xdist the workers
share one performance.
"""

import fcntl
import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from app.audit import reconcile
from app.audit.balance import balance
from app.audit.scope import Scope
from app.cli.demo import irregular, show
from app.cli.demo.ending import published
from app.cli.demo.figures import ELECTION, load_figures
from app.cli.demo.founding import CLIENT_FILE, FolderTakenError, clear_folder
from app.cli.demo.play import CHAPTERS
from app.cli.demo.prove import prove
from app.db import Database
from app.keys.grants import Viewer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FIGURES = load_figures()

# The acceptance table of issue 2, written by hand: rule, what it is about, place.
TABLE = [
    ("CLOCK_SUSPECT", None, "PPK-64.74.03"),
    ("LATE", "handover", "PPS-64.74.02.1005"),
    ("NO_ESCORT", "handover", "WH-6474"),
    ("OVER", None, "HALL-6474"),
    ("OVER", None, "HALL-6474"),
    ("SHORT", None, "TPS-64.74.01.1006-05"),
    ("UNKNOWN_LABEL", "unit", "PPS-64.74.02.1001"),
    ("UNSEALED", "unit", "PPK-64.74.02"),
    ("WRONG_DAPIL", "unit", "TPS-64.74.01.1001-01"),
    ("WRONG_DEST", "unit", "PPS-64.74.01.1002"),
]


def demo(folder, *options):
    """Run `custody demo` on a folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    env["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "app.cli", "demo", "--data", str(folder), *options]
    return subprocess.run(command, env=env, cwd=folder.parent, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """Play the demonstration once, for all workers, and give its JSON."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder, kept = shared / "demo" / "custody-data", shared / "demo.json"
    folder.parent.mkdir(exist_ok=True)
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            done = demo(folder, "--json")
            kept.write_text(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr}))
    told = json.loads(kept.read_text())
    assert told["code"] == 0, told["err"] + told["out"][-2000:]
    assert told["err"] == ""
    return json.loads(told["out"])


@pytest.fixture(scope="session")
def contributions(played):
    """Give every contribution to the balance, straight from the ledger's own database."""
    db = Database(f"sqlite:///{played['data_dir']}/custody.db")
    viewer = Viewer("test", "BAWASLU-6474", None, frozenset({"auditor"}))
    with db.read() as session:
        question = reconcile._question(session, 1, viewer, ELECTION, None, None)
        assert isinstance(question.scope, Scope)
        rows = list(reconcile._contributions(session, question))
    db.close()
    return rows


def adds_up(rows):
    found = balance(rows)
    return [one.contest for one in found] == ["PILGUB", "PILWALI"] and all(
        identity.holds for one in found for identity in one.identities()
    )


# -- the balance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("contest", ["PILGUB", "PILWALI"])
def test_the_balance_equals_the_published_figures_to_the_sheet(played, contest):
    told = next(c for c in played["balance"] if c["contest"] == contest)
    assert {line["figure"]: line["ledger"] for line in told["lines"]} == published(FIGURES, contest)
    assert all(identity["holds"] for identity in told["identities"])
    assert told["equal"]


def test_the_published_figures_are_those_of_the_press():
    assert published(FIGURES, "PILGUB") == {
        "ordered": 138_074, "over": 4, "replacements": 8, "allocated": 138_074, "revote": 0, "destroyed_excess": 4,
        "destroyed_damaged": 8,
    }  # fmt: skip
    assert published(FIGURES, "PILWALI") == {
        "ordered": 140_074, "over": 359, "replacements": 36, "allocated": 138_074, "revote": 2_000,
        "destroyed_excess": 359, "destroyed_damaged": 36,
    }  # fmt: skip


def test_dropping_any_one_packing_event_breaks_the_equality(played, contributions):
    assert adds_up(contributions)
    packings = set(played["packings"])
    assert len(packings) == len(played["packings"]) == 2 * 277
    assert packings <= {row.event for row in contributions if row.figure == "allocated"}
    survived = [event for event in packings if adds_up(row for row in contributions if row.event != event)]
    assert survived == []


# -- what went wrong -------------------------------------------------------------------------------------


def test_the_discrepancies_are_exactly_those_of_the_table(played):
    columns = ("rule", "unit", "handover", "place")
    told, expected = (
        Counter(tuple(row[name] for name in columns) for row in played[which])
        for which in ("discrepancies", "expected")
    )
    assert told == expected
    shapes = [
        (row["rule"], "unit" if row["unit"] else "handover" if row["handover"] else None, row["place"])
        for row in played["discrepancies"]
    ]
    assert sorted(shapes, key=str) == sorted(TABLE, key=str)
    assert played["differences"] == []


def test_a_missing_and_an_unexpected_row_are_both_told(played):
    names = {e.unit: "U" for e in irregular.EXPECTED if e.unit} | {
        e.handover: "H" for e in irregular.EXPECTED if e.handover
    }
    columns = ("rule", "unit", "handover", "place")
    right = [dict(zip(columns, e.row(names), strict=True)) for e in irregular.EXPECTED]
    assert irregular.differences(right, names) == []
    assert irregular.differences(right[1:], names)[0].startswith("missing: ('OVER'")
    extra = {**right[0], "rule": "OVERDUE"}
    assert irregular.differences([*right, extra], names)[0].startswith("unexpected: ('OVERDUE'")


def test_each_row_says_by_how_much(played):
    facts = {(row["rule"], row["why"]): row["facts"] for row in played["discrepancies"]}
    over = sorted(f["counted"] - f["expected"] for (rule, _), f in facts.items() if rule == "OVER")
    assert over == [4, 359]
    short = next(f for (rule, _), f in facts.items() if rule == "SHORT")
    assert (short["item"], short["expected"], short["counted"]) == ("INK", 2, 1)
    clock = next(f for (rule, _), f in facts.items() if rule == "CLOCK_SUSPECT")
    assert 2.5 * 3600 < clock["ahead_seconds"] <= 3 * 3600
    district = next(f for (rule, _), f in facts.items() if rule == "WRONG_DAPIL")
    assert (district["found"], district["expected"]) == ("64.72", "64.74")


def test_a_phone_that_was_offline_for_a_day_raises_nothing(played):
    db = Database(f"sqlite:///{played['data_dir']}/custody.db")
    with db.read() as session:
        rows = session.exec_driver_sql(
            "SELECT type, result, received_ms - at_ms FROM event WHERE place = ? AND officer = ? ORDER BY leaf_index",
            (irregular.OFFLINE_STATION, f"{irregular.OFFLINE_STATION}-1"),
        ).all()
        noted = session.exec_driver_sql(
            "SELECT count(*) FROM discrepancy WHERE place = ?", (irregular.OFFLINE_STATION,)
        ).scalar()
    db.close()
    late = [(type_, result) for type_, result, ms in rows if ms > 3_600_000]
    assert late == [("custody.accept", "accepted"), ("unit.open", "accepted"), ("count", "accepted")]
    assert max(ms for _, _, ms in rows) > 24 * 3_600_000
    assert noted == 0


# -- one box ---------------------------------------------------------------------------------------------


def test_the_box_tells_its_whole_way_and_the_wrong_village_in_it(played):
    box = played["box"]
    events = [row for row in box["history"] if row["kind"] == "event"]
    types = [row["type"] for row in events if row["via"] is None]
    assert types[0] == "unit.commission"
    assert [t for t in types if t in {"unit.open", "unit.close"}] == ["unit.open", "unit.close"]
    places = [row["place"] for row in events if row["type"] == "custody.accept"]
    assert places == [
        "PPK-64.74.01", "PPS-64.74.01.1005", "TPS-64.74.01.1005-12", "PPS-64.74.01.1005", "PPK-64.74.01", "WH-6474",
    ]  # fmt: skip
    assert ("sighting", irregular.STRAY_SEEN_AT) in [(row["type"], row["place"]) for row in events]
    assert [row["rule"] for row in box["rows"]] == ["WRONG_DEST"]
    assert [row for row in box["history"] if row["kind"] == "gap" and row["to"] is None] == []


def test_the_box_is_proven_under_the_pinned_genesis_and_no_other(played):
    proof = played["box"]["proof"]
    assert (proof["result"], proof["judged"]) == ("PASS", proof["leaves"])
    other = played["box"]["history"][0]["event"]
    assert prove(Path(proof["file"]), other)["result"] == "FAIL"


# -- the command -----------------------------------------------------------------------------------------


def test_json_says_what_was_played_and_what_is_synthetic(played):
    assert played["good"]
    assert "synthetic" in played["synthetic"].lower()
    assert "ODbL" in played["licence"]
    assert [(c["title"], c["events"]) for c in played["chapters"]] == [(c.title, c.events) for c in CHAPTERS]
    assert played["events"] == sum(c.events for c in CHAPTERS)
    assert played["ledger"]["size"] == played["events"] + 1  # and the genesis; no verdict was needed
    assert set(played) >= {
        "ledger",
        "balance",
        "discrepancies",
        "expected",
        "box",
        "seconds",
        "data_dir",
        "look_around",
    }


def test_three_officers_enrolled_face_to_face_with_a_match_code(played):
    codes = [remark for remark in played["remarks"] if "both screens" in remark]
    assert len(codes) == 3


def test_the_ending_fits_a_terminal_of_a_hundred_columns(played):
    out = Console(width=100, record=True, file=io.StringIO(), highlight=False)
    show.tail(out, played)
    text = out.export_text()
    paths = [line for line in text.splitlines() if played["data_dir"] in line]
    assert max(len(line) for line in text.splitlines() if line not in paths) <= 100
    assert "PASS" in text
    assert "138,074" in text


def test_keys_of_the_founders_and_of_the_auditor_are_kept_for_their_owner_only(played):
    folder = Path(played["data_dir"]) / "keys"
    for name in ("founder.jwk", "founder-2.jwk", CLIENT_FILE):
        assert (folder / name).stat().st_mode & 0o777 == 0o400


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    folder = tmp_path / "custody-data"
    folder.mkdir()
    (folder / "custody.db").write_bytes(b"somebody's ledger")
    done = demo(folder, "--json")
    assert done.returncode == 1
    assert "--fresh" in done.stderr
    assert done.stdout == ""
    assert [path.name for path in folder.iterdir()] == ["custody.db"]
    assert (folder / "custody.db").read_bytes() == b"somebody's ledger"


def test_fresh_moves_an_existing_folder_aside(tmp_path):
    folder = tmp_path / "custody-data"
    for n in (1, 2):
        folder.mkdir()
        (folder / "custody.db").write_text(str(n))
        with pytest.raises(FolderTakenError):
            clear_folder(folder, fresh=False)
        aside = clear_folder(folder, fresh=True)
        assert not folder.exists()
        assert aside.name.startswith("custody-data.")
        assert (aside / "custody.db").read_text() == str(n)
    folder.mkdir()
    assert clear_folder(folder, fresh=False) is None  # an empty folder is nobody's
