"""The vectors of bundles through the Python verifier; `tests/web/test_verify_vectors.py` gives a browser the same."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from app.audit.verify import verify_bundle

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"


def cases() -> list[Any]:
    return [
        pytest.param(vector, id=f"{path.stem}: {vector['name']}")
        for path in sorted(FOLDER.glob("*.json"))
        for vector in json.loads(path.read_text("utf-8"))
        if not vector["browser_only"]
    ]


@pytest.mark.parametrize("vector", cases())
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
    results = [param.values[0]["result"] for param in cases()]
    assert {result: results.count(result) >= 4 for result in ("PASS", "FAIL", "INCOMPLETE")} == dict.fromkeys(
        ("PASS", "FAIL", "INCOMPLETE"), True
    )
