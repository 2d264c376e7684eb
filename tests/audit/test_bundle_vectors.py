"""The vectors of bundles through the Python verifier; `tests/web/test_verify_vectors.py` gives a browser the same."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from app.audit.verify import verify_bundle

FOLDER = Path(__file__).parents[1] / "vectors" / "bundle"

# What this verifier does not do yet; an entry that it does fails here until it is taken out.
PENDING_BOOKS = {"heads", "policies"}
PENDING = {
    "two keys in force, the new one signs", "the old key retired", "the old key signs after it was retired",
    "the page that verifies is inside",
}  # fmt: skip
DONE = {"no witness is asked for"}


def is_pending(book: str, name: str) -> bool:
    return name in PENDING or (book in PENDING_BOOKS and name not in DONE)


def cases() -> list[Any]:
    return [
        pytest.param(
            vector,
            id=f"{path.stem}: {vector['name']}",
            marks=[pytest.mark.xfail(reason="not verified yet", strict=True)]
            if is_pending(path.stem, vector["name"])
            else [],
        )
        for path in sorted(FOLDER.glob("*.json"))
        for vector in json.loads(path.read_text("utf-8"))
        if not vector["browser_only"]
    ]


@pytest.mark.parametrize("vector", cases())
def test_the_verifier_says_what_the_vector_says(vector: dict[str, Any]):
    pins, told = vector["pins"], {**vector, **vector.get("python", {})}
    report = verify_bundle(
        b64decode(vector["zip"]), genesis=pins.get("genesis"), origin=pins.get("origin"),
        ledger_keys=pins.get("ledger_keys", ()),
    )  # fmt: skip
    assert (report.result, set(told["reasons"]) - {r.code for r in report.reasons}) == (told["result"], set()), (
        report.as_text()
    )


def test_there_are_vectors_of_every_result():
    results = [param.values[0]["result"] for param in cases()]
    assert {result: results.count(result) >= 4 for result in ("PASS", "FAIL", "INCOMPLETE")} == dict.fromkeys(
        ("PASS", "FAIL", "INCOMPLETE"), True
    )
