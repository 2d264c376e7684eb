"""`custody plan`: a table becomes the document that is published, and everything wrong with it is told."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.demo import documents as doc
from app.cli.demo.figures import load_figures
from app.cli.demo.plan import stations
from app.cli.main import app
from app.units.documents import document_hash, parse_document
from tests import small as s
from tests.custody.town import sqlite_mould

ROW = f"place,voters,kit BALLOT/PILGUB\n{s.TPS1},100,auto\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.json").write_text(json.dumps(s.policy()))
    (tmp_path / "plan.json").write_text(json.dumps(s.plan()))
    (tmp_path / "table.csv").write_text(ROW)
    return tmp_path


def run(folder: Path, *words: str, code: int = 0) -> str:
    words = tuple(str(folder / word) if word.endswith((".json", ".csv")) else word for word in words)
    found = CliRunner().invoke(app, ["plan", *words])
    assert found.exit_code == code, (found.output, found.exception)
    return found.output


def test_a_table_becomes_the_document_that_is_published(folder):
    words = ("--policy", "policy.json", "--capacity", "BOX_TPS/BALLOT=700", "--out", "new.json", "--title", "Baru")
    told = json.loads(run(folder, "import", "table.csv", *words, "--json"))
    data = (folder / "new.json").read_bytes()
    plan = parse_document(data)
    assert (told["document"], told["stations"]) == (document_hash(data), 1)
    assert (plan.title, plan.limits, plan.reserve_permille) == ("Baru", {("BOX_TPS", "BALLOT"): 700}, 25)
    assert [(one["contest"], one["total"]) for one in told["needs"]] == [("PILGUB", 0), ("PILWALI", 2000)]
    assert [one["code"] for one in told["findings"]] == ["DISTRICT_MISSING"]


def test_a_table_with_faults_writes_nothing_and_tells_them_all(folder):
    (folder / "table.csv").write_text("place,voters\n" + "".join(f"X{n},1.2\n" for n in range(60)))
    words = ("import", "table.csv", "--policy", "policy.json", "--out", "new.json")
    told = json.loads(run(folder, *words, "--json", "--most", "1000", code=1))
    assert (told["count"], len(told["faults"])) == (120, 120)
    assert told["faults"][0].keys() == {"row", "column", "what", "todo"}
    shown = run(folder, *words, code=1)
    assert "and 70 more" in shown
    assert "120 to correct. Nothing was written." in " ".join(shown.split())
    assert not (folder / "new.json").exists()


def test_the_demonstration_s_plan_goes_out_and_comes_back(folder):
    figures = load_figures()
    found = stations(figures)
    (folder / "policy.json").write_text(json.dumps(doc.policy_document(figures, found)))
    (folder / "plan.json").write_text(json.dumps(doc.plan_document(figures, found)))
    needs = json.loads(run(folder, "check", "plan.json", "--policy", "policy.json", "--json"))
    assert (needs["count"], [one["total"] for one in needs["needs"]]) == (0, [138_074, 140_074])
    run(folder, "export", "plan.json", "--out", "out.csv", "--policy", "policy.json", "--semicolons")
    run(folder, "import", "out.csv", "--like", "plan.json", "--policy", "policy.json", "--out", "back.json")
    told = json.loads(run(folder, "diff", "plan.json", "back.json", "--json"))
    assert told == {"added": [], "removed": [], "changed": {}, "plan": []}


def test_the_worked_example_of_the_page_is_the_demonstration_s_plan(folder):
    page = (Path(__file__).resolve().parents[2] / "docs" / "plans.md").read_text(encoding="utf-8")
    table = page.partition("<!-- example:begin -->")[2].partition("<!-- example:end -->")[0]
    (folder / "table.csv").write_text(table.replace("```csv", "").replace("```", "").strip() + "\n")
    figures = load_figures()
    found = stations(figures)
    demonstration = doc.plan_document(figures, found)
    (folder / "policy.json").write_text(json.dumps(doc.policy_document(figures, found)))
    (folder / "plan.json").write_text(json.dumps(demonstration))
    run(folder, "import", "table.csv", "--policy", "policy.json", "--like", "plan.json", "--out", "new.json")
    told = json.loads(run(folder, "diff", "new.json", "plan.json", "--json"))
    assert (told["removed"], told["changed"], len(told["added"])) == ([], {}, 274)


def test_differences_are_told_to_people_and_machines(folder):
    changed = s.plan(stations=[s.station(s.TPS1, 101), s.station(s.TPS3, 300, "DAPIL-2")])
    (folder / "new.json").write_text(json.dumps(changed))
    told = json.loads(run(folder, "diff", "plan.json", "new.json", "--json"))
    assert (told["removed"], list(told["changed"])) == ([s.TPS2], [s.TPS1])
    assert told["changed"][s.TPS1][0] == {"member": "voters", "before": 100, "after": 101}
    assert "voters" in run(folder, "diff", "plan.json", "new.json")
    assert "The plans are the same." in run(folder, "diff", "plan.json", "plan.json")


def test_findings_are_exit_code_one(folder):
    (folder / "plan.json").write_text(json.dumps(s.plan(stations=[{**s.station(s.TPS1, 100), "reserve": 9}])))
    assert "RESERVE_WRONG" in run(folder, "check", "plan.json", "--policy", "policy.json", code=1)
    told = json.loads(run(folder, "check", "plan.json", "--policy", "policy.json", "--json", code=1))
    assert told["findings"][0]["facts"] == {"planned": 9, "expected": 3}


@pytest.mark.parametrize(
    "words",
    [
        ("check", "policy.json", "--policy", "policy.json"), ("check", "plan.json", "--policy", "plan.json"),
        ("check", "table.csv", "--policy", "policy.json"), ("check", "none.json", "--policy", "policy.json"),
        ("check", "plan.json", "--policy", "policy.json", "--from-ledger"),
        ("import", "table.csv", "--policy", "policy.json", "--capacity", "BOX=1"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence_and_exit_code_two(folder, words):
    assert len(run(folder, *words, code=2).strip().splitlines()) == 1


def test_what_is_in_force_comes_from_the_ledger(sqlite_template, folder, monkeypatch):
    (folder / "mould").mkdir()
    mould = sqlite_mould(sqlite_template, folder / "mould")
    town = mould.pour(folder)
    try:
        monkeypatch.setenv("CUSTODY_DATABASE_URL", town.db.url.render_as_string(hide_password=False))
        table = run(folder, "export", "--from-ledger")
        assert table.lstrip("\ufeff").startswith("place,name,voters,")
        assert len(table.splitlines()) == 4
        run(folder, "check", "plan.json", "--from-ledger")
        run(folder, "import", "table.csv", "--from-ledger", "--out", "new.json")
    finally:
        mould.take_back(town)
