"""What is wrong with a commitment to every unit's latest event is found: by replay, and row by row by fsck."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.fsck import fsck
from app.audit.replay import replay
from app.canon import b64url_encode
from app.custody.committing import commit_heads
from app.custody.voice import Voice
from tests.custody.town import Town


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def test_an_honest_commitment_has_no_finding(town: Town):
    """Control of all the others."""
    town.box()
    commit_heads(town.recorder, town.tick())
    town.box()
    commit_heads(town.recorder, town.tick())
    town.check(signatures=True)


@pytest.mark.parametrize("lie", ["root", "n", "size"])
def test_replay_says_when_a_commitment_does_not_follow(town: Town, lie, monkeypatch):
    """Control: the same ledger with the true words is clean, see above."""
    town.box()
    honest = Voice.event

    def lying(self, walk, origin, name, details, at_ms, **where):
        wrong = {"root": b64url_encode(bytes(32)), "n": details["n"] - 1, "size": details["size"] - 5}[lie]
        return honest(self, walk, origin, name, {**details, lie: wrong}, at_ms, **where)

    monkeypatch.setattr(Voice, "event", lying)
    commit_heads(town.recorder, town.tick())
    with town.db.read() as session:
        differences = [r.differences for r in replay(session, town.recorder.ledger_id) if r.differences]
    assert differences == [("heads",)]
    assert ("heads", town.size() - 1) in {(f.what, f.leaf) for f in fsck(town.db, signatures=False).findings}


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        (
            "head_record",
            "UPDATE head_record SET position = position + 1 WHERE unit = (SELECT max(unit) FROM head_record)",
        ),
        ("head_record", "DELETE FROM head_record WHERE unit = (SELECT max(unit) FROM head_record)"),
        ("head_tile", "DELETE FROM head_tile WHERE level = 0 AND n = 0"),
        ("head_commit", "INSERT INTO head_commit SELECT ledger_id, leaf_index - 1, size, n, root FROM head_commit"),
    ],
)
def test_fsck_names_a_damaged_row_of_the_tree_over_units(town, table, damage):
    town.box()
    commit_heads(town.recorder, town.tick())
    with town.db.write() as session:
        session.exec_driver_sql(damage)
    assert table in {finding.table for finding in fsck(town.db, signatures=False).findings}
