"""The vectors of bundles, and of lists of ledgers, in Python; `tests/web/test_verify_vectors.py` gives a browser the same."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.audit.verify import verify_bundle
from app.cli.main import app
from app.errors import ServiceError
from app.ledger.directory import LedgerList, open_list
from app.ledger.note import VerifierKey
from tests.audit.list_vectors import code_of, make_lists

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"


def cases(*, listed: bool) -> list[Any]:
    return [
        pytest.param(vector, id=f"{path.stem}: {vector['name']}")
        for path in sorted(FOLDER.glob("*.json"))
        for vector in json.loads(path.read_text("utf-8"))
        if not vector["browser_only"] and bool(vector["pins"].keys() & {"ledgers", "ledgers_key"}) is listed
    ]


def lists(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "lists" / f"{name}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("vector", cases(listed=False))
def test_the_verifier_says_what_the_vector_says(vector: dict[str, Any]):
    pins, told = vector["pins"], {**vector, **vector.get("python", {})}
    report = verify_bundle(
        b64decode(vector["zip"]), genesis=pins.get("genesis"), origin=pins.get("origin"),
        ledger_keys=pins.get("ledger_keys", ()), policy=b64decode(pins["policy"]) if "policy" in pins else None,
    )  # fmt: skip
    assert (report.result, set(told["reasons"]) - {r.code for r in report.reasons}) == (told["result"], set()), (
        report.as_text()
    )


def test_there_are_vectors_of_every_result():
    results = [param.values[0]["result"] for param in cases(listed=False)]
    assert {result: results.count(result) >= 4 for result in ("PASS", "FAIL", "INCOMPLETE")} == dict.fromkeys(
        ("PASS", "FAIL", "INCOMPLETE"), True
    )


# -- under a signed list of ledgers ----------------------------------------------------------------------


@pytest.mark.parametrize("vector", cases(listed=True))
def test_the_command_says_what_the_vector_says_of_a_bundle_under_a_list(vector: dict[str, Any], tmp_path: Path):
    """The command has no report of a list that is none, nor of pins that do not go together: it ends before."""
    bundle, arguments = tmp_path / "bundle.zip", ["--json"]
    bundle.write_bytes(b64decode(vector["zip"]))
    for name, value in vector["pins"].items():
        given = value
        if name in {"ledgers", "policy"}:
            (tmp_path / name).write_bytes(b64decode(value))
            given = str(tmp_path / name)
        arguments += [f"--{name.replace('_', '-')}", given]
    done = CliRunner().invoke(app, ["verify", str(bundle), *arguments])
    if isinstance(done.exception, ServiceError):
        result, codes = "FAIL", {done.exception.code}
    elif done.exit_code == 2:
        result, codes = "INCOMPLETE", {"usage"}
    else:
        told = json.loads(done.stdout)
        result, codes = told["result"], {reason["code"] for reason in told["reasons"]}
    assert (result, set(vector["reasons"]) - codes) == (vector["result"], set()), done.output


@pytest.mark.parametrize("vector", [pytest.param(one, id=one["name"]) for one in lists("texts")])
def test_a_text_is_a_list_or_refused_for_what_the_vector_says(vector: dict[str, Any]):
    assert code_of(lambda: LedgerList.parse(vector["text"])) == vector["code"]
    if vector["code"] is None:
        assert LedgerList.parse(vector["text"]).to_text() == vector["text"]


@pytest.mark.parametrize("vector", [pytest.param(one, id=one["name"]) for one in lists("notes")])
def test_a_note_is_a_list_or_refused_for_what_the_vector_says(vector: dict[str, Any]):
    note = b64decode(vector["note"])
    assert code_of(lambda: open_list(note, VerifierKey.parse(vector["key"]))) == vector["code"]


def test_the_vectors_of_lists_are_those_of_the_flaws_that_are_known():
    assert {name: lists(name) for name in ("texts", "notes")} == make_lists(), "make the vectors again"
