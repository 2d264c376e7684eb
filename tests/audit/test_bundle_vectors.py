"""The vectors of bundles, and of lists of ledgers, in Python; `tests/web/test_verify_vectors.py` gives a browser the same."""

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.audit.report import Report
from app.audit.verify import verify_bundle
from app.audit.witnesses import signers_of
from app.cli.main import app
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


def verified(vector: dict[str, Any]) -> Report:
    pins = vector["pins"]
    return verify_bundle(
        b64decode(vector["zip"]), genesis=pins.get("genesis"), origin=pins.get("origin"),
        ledger_keys=pins.get("ledger_keys", ()), policy=b64decode(pins["policy"]) if "policy" in pins else None,
    )  # fmt: skip


@pytest.mark.parametrize("vector", cases(listed=False))
def test_the_verifier_says_what_the_vector_says(vector: dict[str, Any]):
    report, told = verified(vector), {**vector, **vector.get("python", {})}
    assert (report.result, set(told["reasons"]) - {r.code for r in report.reasons}) == (told["result"], set()), (
        report.as_text()
    )


def named_keys(verification: Any, _judging: object) -> list[VerifierKey]:
    """Return every key that any rotation names, as if all were in force."""
    texts = {
        text: None
        for leaf in verification.leaves
        for text in getattr(leaf.event.details, "keys", [getattr(leaf.event.details, "ledger_key", None)])
        if text is not None
    }
    return [VerifierKey.parse(text) for text in texts]


def with_both(data: bytes, in_force: list[VerifierKey], origin: str) -> list[VerifierKey]:
    """Return the keys that signed, and none when one in force did not."""
    signers = signers_of(data, in_force, origin)
    return signers if signers == in_force else []


LIES: dict[str, tuple[str, str, Any, str]] = {  # what is set where, what it is then, and the vector that must notice
    "in force is as good as signed": (
        "rotations", "app.audit.verify.signers_of", lambda _data, in_force, _origin: in_force,
        "a thief of the old key with a quorum, a policy names the new one",
    ),
    "named is as good as in force": (
        "rotations", "app.audit.verify._Verification._in_force", named_keys, "the retired key signs wrongly beside the new one",
    ),
    "all in force must sign": (
        "rotations", "app.audit.verify.signers_of", with_both, "two in force, the old one signs, a policy names it",
    ),
    "anybody signs a proof": (
        "rotations", "app.audit.verify.check_proof_notes", lambda *_: None, "a proof has the retired key's signature alone",
    ),
    "nobody looks for the absent unit": (
        "absences", "app.audit.lateness._last", lambda *_: None, "a unit that stands in the bundle",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_check_that_is_taken_away_is_missed(lie: str, monkeypatch: pytest.MonkeyPatch):
    """The negative control of the verifier; `tests/web/test_verify_mutants.py` has the browser's."""
    book, place, other, vector = LIES[lie]
    vectors = json.loads((FOLDER / f"{book}.json").read_text("utf-8"))
    assert all(verified(one).result == one["result"] for one in vectors), "the control"
    monkeypatch.setattr(place, other)
    noticed = [one["name"] for one in vectors if verified(one).result != one["result"]]
    assert vector in noticed
    assert len(noticed) < len(vectors), "the mutant does not run at all"


def test_there_are_vectors_of_every_result():
    results = [param.values[0]["result"] for param in cases(listed=False)]
    assert {result: results.count(result) >= 4 for result in ("PASS", "FAIL", "INCOMPLETE")} == dict.fromkeys(
        ("PASS", "FAIL", "INCOMPLETE"), True
    )


# -- under a signed list of ledgers ----------------------------------------------------------------------


@pytest.mark.parametrize("vector", cases(listed=True))
def test_the_command_says_what_the_vector_says_of_a_bundle_under_a_list(vector: dict[str, Any], tmp_path: Path):
    """The command has no report of a list that is none, nor of pins that do not go together: both are usage."""
    bundle, arguments = tmp_path / "bundle.zip", ["--json"]
    bundle.write_bytes(b64decode(vector["zip"]))
    for name, value in vector["pins"].items():
        given = value
        if name in {"ledgers", "policy"}:
            (tmp_path / name).write_bytes(b64decode(value))
            given = str(tmp_path / name)
        arguments += [f"--{name.replace('_', '-')}", given]
    done = CliRunner().invoke(app, ["verify", str(bundle), *arguments])
    if done.exit_code == 2:
        named = re.search(r"\[(\w+)\]$", done.stderr.strip())
        assert (done.stdout, done.stderr.count("\n")) == ("", 1), "one sentence, and no report"
        result, codes = ("FAIL", {named[1]}) if named else ("INCOMPLETE", {"usage"})
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
