"""Following leaves many at a time tells what following them one by one tells, whatever the leaves are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.following import READ_AHEAD, Follower
from app.audit.replay import replay
from app.canon import jcs, parse_json
from app.db import Database
from app.units import records
from tests.audit.journey import play
from tests.custody.town import Town

Told = tuple[list[object], object, int, list[int]]


@pytest.fixture
def town(sqlite_url, tmp_path: Path) -> Iterator[Town]:
    db = Database(sqlite_url)
    yield Town(db, tmp_path / "house").settle()
    db.close()


def without_signature(data: bytes) -> bytes:
    """Change the last signature of a leaf and nothing else."""
    value = parse_json(data, max_bytes=65_535)
    value["event"]["signatures"][-1]["signature"] = "A" * 86
    return jcs(value)


def without_links(data: bytes) -> bytes:
    """Leave a leaf's links out."""
    return jcs({**parse_json(data, max_bytes=65_535), "links": []})


def of_other_rules(data: bytes) -> bytes:
    """Let a leaf name rules that nobody has."""
    value = parse_json(data, max_bytes=65_535)
    return jcs({**value, "verdict": {**value["verdict"], "rules": 99}})


DAMAGES = {
    "none": lambda data: data,
    "cut": lambda data: data[:-1],
    "space": lambda data: data + b" ",
    "signature": without_signature,
    "links": without_links,
    "rules": of_other_rules,
}


def test_many_at_a_time_tells_the_same_as_one_by_one(town):
    play(town)
    with town.db.read() as session:
        leaves = [r.recorded.data for r in replay(session, town.recorder.ledger_id)]
        assert len(leaves) > READ_AHEAD + 2, "more than one round is read"

        def follow(some: list[bytes], sizes: list[int]) -> Told:
            seen: list[int] = []
            follower = Follower(
                lambda name: records.read_document(session, town.recorder.ledger_id, name),
                on_leaf=lambda recorded: seen.append(recorded.index),
            )
            at = 0
            for size in sizes:
                if size == 1:
                    follower.take(some[at])
                else:
                    follower.take_all(some[at : at + size])
                at += size
            follower.end()
            return follower.told.findings, follower.told.not_checked, follower.size, seen

        linked = next(i for i in range(READ_AHEAD, len(leaves)) if without_links(leaves[i]) != leaves[i])
        for where in (0, 1, READ_AHEAD - 1, READ_AHEAD, linked):
            for name, damage in DAMAGES.items():
                some = [*leaves[:where], damage(leaves[where]), *leaves[where + 1 :]]
                one_by_one = follow(some, [1] * len(some))
                assert follow(some, [len(some)]) == one_by_one, (where, name)
                assert follow(some, [1, 7, len(some) - 8]) == one_by_one, (where, name)
                if name == "none" or (name == "links" and some == leaves):
                    assert one_by_one == ([], None, len(leaves), list(range(len(leaves))))
                else:
                    assert one_by_one[0] or one_by_one[1], (where, name)
