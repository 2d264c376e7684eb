"""The trees of all listed ledgers, verified side by side by the real command in processes of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli.ledger import export_tree
from app.cli.main import app
from app.db import Database
from app.ledger.append import read_head
from app.ledger.directory import HEADER
from app.ledger.note import SignatureType, SignerKey
from tests.house import House

ABSENT = SignerKey("absent.example/ledger/kota", SignatureType.NOTE, b"\x09" * 32)
LIST_KEY = SignerKey("kpu.example/ledgers", SignatureType.NOTE, b"\x08" * 32)


@pytest.fixture(scope="module")
def trees(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Two ledgers' exported trees below one folder, and their lines of the list."""
    folder, lines = tmp_path_factory.mktemp("trees"), []
    for name in ("a", "b"):
        database = folder / f"{name}.db"
        database.write_bytes(sqlite_template.read_bytes())
        db = Database(f"sqlite:///{database}")
        house = House(db, folder / f"house-{name}", name=name)
        with db.read() as session:
            export_tree(session, read_head(session), folder / "trees" / f"tree of {name}", documents=True)
            genesis = session.exec_driver_sql("SELECT genesis FROM ledger_state").scalar()
        lines.append(f"{house.origin} {genesis} {house.recorder._keys.ledger.verifier().to_text()}")
        db.close()
    return folder / "trees", sorted(lines)


def run(folder: Path, lines: list[str], *more: str) -> Result:
    text, key, out = folder / "list.txt", folder / "list.key", folder / "ledgers.note"
    text.write_text("".join(f"{line}\n" for line in (HEADER, *lines)))
    if not key.exists():
        key.write_text(LIST_KEY.to_text() + "\n")
        key.chmod(0o400)
    signed = CliRunner().invoke(app, ["ledgers", "sign", str(text), "--key", str(key), "--out", str(out)])
    assert signed.exit_code == 0, signed.output
    vkey = LIST_KEY.verifier().to_text()
    return CliRunner().invoke(app, ["ledgers", "verify", str(out), *more, "--vkey", vkey, "--processes", "2"])


def reports(done: Result) -> dict[str, dict[str, Any]]:
    return {one["origin"]: one for one in json.loads(done.stdout)["ledgers"]}


def origin(line: str) -> str:
    return line.partition(" ")[0]


def test_all_listed_ledgers_pass_side_by_side(trees: tuple[Path, list[str]], tmp_path: Path):
    folder, lines = trees
    done = run(tmp_path, lines, str(folder), "--json")
    assert done.exit_code == 0, done.output
    found = reports(done)
    assert {one["result"] for one in found.values()} == {"PASS"}
    assert set(found) == {origin(line) for line in lines}
    assert run(tmp_path, lines, str(folder)).stdout.endswith("PASS: 2 ledgers\n")


def test_a_ledger_without_a_tree_is_incomplete_and_one_that_is_not_listed_is_told(
    trees: tuple[Path, list[str]], tmp_path: Path
):
    folder, lines = trees
    absent = f"{ABSENT.name} {'A' * 43} {ABSENT.verifier().to_text()}"
    done = run(tmp_path, sorted([lines[0], absent]), str(folder), "--json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert [one["origin"] for one in told["not_listed"]] == [origin(lines[1])]
    found = reports(done)
    assert (found[ABSENT.name]["result"], found[origin(lines[0])]["result"]) == ("INCOMPLETE", "PASS")


def test_one_bad_tree_makes_the_whole_fail_and_names_its_leaf(trees: tuple[Path, list[str]], tmp_path: Path):
    folder, lines = trees
    other = tmp_path / "trees"
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            target = other / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    [bundle] = sorted((other / "tree of a" / "tile/entries").rglob("*"))[-1:]
    data = bytearray(bundle.read_bytes())
    data[-1] ^= 1
    bundle.write_bytes(bytes(data))
    done = run(tmp_path, lines, str(other), "--json")
    assert done.exit_code == 1
    assert sorted(one["result"] for one in reports(done).values()) == ["FAIL", "PASS"]


def test_a_process_that_ends_without_an_answer_is_no_pass(
    trees: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, lines = trees
    deadly = tmp_path / "deadly"
    deadly.write_text("#!/bin/sh\nkill -9 $$\n")
    deadly.chmod(0o700)
    monkeypatch.setattr("app.cli.trees.sys.executable", str(deadly))
    done = run(tmp_path, lines, str(folder), "--json")
    assert done.exit_code == 3
    assert all("ended by signal 9" in one["not_checked"][0] for one in reports(done).values())
    monkeypatch.setattr("app.cli.trees.sys.executable", "/bin/true")
    assert run(tmp_path, lines, str(folder)).exit_code == 3, "an exit code alone is no answer"


def test_what_cannot_be_used_is_said_in_one_sentence(trees: tuple[Path, list[str]], tmp_path: Path):
    _, lines = trees
    done = run(tmp_path, lines, str(tmp_path / "nowhere"))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    (tmp_path / "ledgers.note").write_bytes(b"no note")
    vkey = LIST_KEY.verifier().to_text()
    done = CliRunner().invoke(app, ["ledgers", "verify", str(tmp_path / "ledgers.note"), str(tmp_path), "--vkey", vkey])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
