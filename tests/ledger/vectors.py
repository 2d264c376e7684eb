"""Reads tests/vectors/ledger and the keys of ledger.md section 9, shared by the tests of this room."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from app.ledger.note import SignatureType, SignerKey

ORIGIN = "log.example/prov-64"
LEDGER_KEY = SignerKey(ORIGIN, SignatureType.NOTE, b"\x04" * 32)
WITNESS_KEY = SignerKey("bawaslu.example/w1", SignatureType.COSIGNATURE, b"\x02" * 32)
KEYS = (LEDGER_KEY.verifier(), WITNESS_KEY.verifier())
LEAVES = [f"e{i}".encode() for i in range(700)]


def load(name: str) -> Any:
    """One vector file, parsed."""
    return json.loads((Path(__file__).parents[1] / "vectors" / "ledger" / f"{name}.json").read_text("utf-8"))


def named(file: str, member: str) -> list[Any]:
    """The cases of a vector file as pytest parameters: bytes if the case is given in base64."""
    return [
        pytest.param(case[member] if member in case else b64decode(case["base64"]), id=case["name"])
        for case in load(file)
    ]
