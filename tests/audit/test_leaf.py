"""Leaves are read in one go where that is safe: it accepts and refuses exactly what the strict way does."""

import json
import random
from pathlib import Path

import pytest

from app.audit import leaf as leaf_module
from app.audit.leaf import read_leaf
from app.canon import jcs
from app.db import Database
from app.errors import ServiceError
from app.ledger.append import Reader
from tests.audit.journey import play
from tests.custody.town import Town


@pytest.fixture(scope="module")
def leaves(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Leaves of a journey through almost every type of event."""
    folder = tmp_path_factory.mktemp("leaves")
    path = folder / "custody.db"
    path.write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{path}")
    town = Town(db, folder / "house").settle()
    play(town)
    with db.read() as session:
        rows = Reader(town.recorder.ledger_id).leaves(session, 0, 10_000)
    town.recorder._high_water.close()
    db.close()
    return [data for _, data, _ in rows]


def said(data: bytes, monkeypatch: pytest.MonkeyPatch, *, strict: bool) -> object:
    """Return what reading gives, or the code of its refusal."""
    with monkeypatch.context() as patch:
        if strict:
            patch.setattr(leaf_module, "_plain", lambda _: None)
        try:
            return read_leaf(7, data)
        except ServiceError as error:
            return error.code


def test_every_leaf_of_a_journey_is_plain_and_reads_the_same(leaves, monkeypatch):
    assert len(leaves) > 80
    for data in leaves:
        assert leaf_module._plain(data) is not None
        assert said(data, monkeypatch, strict=False) == said(data, monkeypatch, strict=True)


def bent(data: bytes) -> list[bytes]:
    """Return a leaf bent in ways that the two could see differently: numbers, names, escapes, order, shapes."""
    value = json.loads(data)
    odd = (1.0, -0.0, 1e300, 2**53, 2**64, -1, 0, True, None, "1", [], {}, "\u0000", "é", "\\")
    found = [json.dumps(value).encode(), json.dumps(value, separators=(",", ":")).encode() + b" ", b"[]", b"1", b""]
    for name in ("v", "event", "verdict", "links", "received_at", "more"):
        found += [json.dumps({**value, name: each}, sort_keys=True, separators=(",", ":")).encode() for each in odd]
        found.append(jcs({key: member for key, member in value.items() if key != name}))
    for name in ("rules", "code", "result", "policy", "more"):
        told = [{**value, "verdict": {**value["verdict"], name: each}} for each in odd]
        found += [json.dumps(each, sort_keys=True, separators=(",", ":")).encode() for each in told]
    link = {"prev": "A" * 43, "seq": 1, "unit": "0" * 17}
    for each in odd:
        for name in ("prev", "seq", "unit", "more"):
            told_links = {**value, "links": [{**link, name: each}]}
            found.append(json.dumps(told_links, sort_keys=True, separators=(",", ":")).encode())
        line = {**value["event"]["signatures"][0], "more": each}
        event = {**value, "event": {**value["event"], "signatures": [line]}}
        found.append(json.dumps(event, sort_keys=True, separators=(",", ":")).encode())
    return found


def test_bent_leaves_are_refused_with_the_same_code(leaves, monkeypatch):
    rng, tried = random.Random(5), 0
    for data in rng.sample(leaves, 12):
        for other in bent(data):
            fast, slow = (said(other, monkeypatch, strict=strict) for strict in (False, True))
            assert fast == slow, other[:300]
            tried += 1
        for _ in range(300):
            place = rng.randrange(len(data))
            other = data[:place] + bytes([rng.randrange(256)]) + data[place + rng.randrange(2) :]
            fast, slow = (said(other, monkeypatch, strict=strict) for strict in (False, True))
            assert fast == slow, (place, other[:300])
            tried += 1
    assert tried > 5000
