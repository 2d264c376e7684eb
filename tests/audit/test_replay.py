"""Replay rebuilds every leaf and every record from leaves and documents alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.leaf import Recorded, read_leaf
from app.audit.replay import replay, replay_facts
from app.audit.replaying import GrownTree, Replayer
from app.canon import jcs, parse_json
from app.custody.chain import build_leaf
from app.custody.events import TYPES
from app.custody.state import EventRef
from app.errors import TamperError
from app.ledger.tree import leaf_hash, root_of
from app.units.state import Unit
from tests.audit.journey import play
from tests.custody.town import Town
from tests.house import House


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def test_every_leaf_is_rebuilt_byte_for_byte(town: Town):
    play(town)
    with town.db.read() as session:
        replayed = list(replay(session, town.recorder.ledger_id, signatures=True))
    assert [r.recorded.index for r in replayed if not r.same] == []
    assert len(replayed) == town.size()
    types = {r.recorded.event.type.name for r in replayed}
    assert (
        set(TYPES) - types
        == {
            "plan.publish",
            "heads.commit",
            "ledger.close",
            "correction",
            "seal.remove",
            "agency.join",
            "founders.change",
            "ledger.rekey",
            "shard.checkpoint",
        }
        - types
    )
    assert {r.step.judgement.result for r in replayed} == {"accepted", "refused", "pending", "held"}


def other_leaves(leaf: Recorded) -> Iterator[tuple[str, Recorded]]:
    """Yield the leaf with one part of it another, each a sound leaf by itself."""
    value = parse_json(leaf.data, max_bytes=65_535)
    verdict, links = value["verdict"], value["links"]
    changes = {
        "code": {"verdict": {**verdict, "code": verdict["code"] + "x"}},
        "policy": {"verdict": {**verdict, "policy": verdict["policy"] + "x"}},
        "rules": {"verdict": {**verdict, "rules": 2}},
        "received": {"received_at": value["received_at"][:-4] + ("000Z" if "001Z" in value["received_at"] else "001Z")},
    }
    if links:
        changes |= {
            "unlinked": {"links": links[1:]},
            "seq": {"links": [{**links[0], "seq": links[0]["seq"] + 1}, *links[1:]]},
            "prev": {"links": [{**links[0], "prev": "B" * 42 + "A"}, *links[1:]]},
        }
    else:
        changes["result"] = {"verdict": {**verdict, "result": "held" if verdict["result"] != "held" else "pending"}}
    for name, change in changes.items():
        other = read_leaf(leaf.index, jcs({**value, **change}))
        assert other.data != leaf.data
        yield name, other


def test_a_leaf_that_is_taken_as_it_stands_is_what_building_it_gives(town: Town):
    play(town)
    with town.db.read() as session:
        leaves = [r.recorded for r in replay(session, town.recorder.ledger_id)]
    replayer, tried = Replayer(lambda _: None), set()
    for leaf in leaves:
        said = leaf.verdict
        verdict = {"result": said.result, "code": said.code, "rules": said.rules, "policy": said.policy}
        for name, taken in [("same", leaf), *other_leaves(leaf)]:
            parts = (leaf.index, taken.value, verdict, leaf.links, leaf.received_ms)
            replayer._taken = taken
            rebuilt = replayer._rebuild(*parts)
            assert rebuilt == build_leaf(*parts), name
            assert (rebuilt.data is taken.data) == (name == "same"), name
            tried.add(name)
    assert tried == {"same", "code", "policy", "rules", "received", "unlinked", "seq", "prev", "result"}


def test_facts_at_a_past_size_are_those_of_then(town: Town):
    lot = town.lot(50)
    size = town.size()
    town.ok(town.flag("quarantine.set", [lot]))
    with town.db.read() as session:
        then, now = (replay_facts(session, town.recorder.ledger_id, until=until) for until in (size, None))
        beyond = replay_facts(session, town.recorder.ledger_id, until=10**9)
    assert then.get(Unit, lot).flags == frozenset()
    assert now.get(Unit, lot).flags == frozenset({"quarantine"})
    assert len(then.kinds[EventRef]) == size
    assert beyond.kinds == now.kinds
    assert then.complete
    assert now.get(Unit, "nothing") is None


def test_replay_refuses_a_ledger_with_a_hole(house: House):
    with house.db.write() as session:
        _drop_guards(session, "ledger_leaf")
        session.exec_driver_sql("DELETE FROM ledger_leaf WHERE leaf_index = 1")
    with house.db.read() as session, pytest.raises(TamperError) as caught:
        replay_facts(session, house.recorder.ledger_id)
    assert caught.value.code == "leaf_missing"
    assert caught.value.facts["index"] == 1


def test_a_grown_tree_answers_every_size():
    leaves = [leaf_hash(str(i).encode()) for i in range(70)]
    tree = GrownTree()
    for leaf in leaves:
        tree.append(leaf)
    assert [tree.root(size) for size in range(71)] == [root_of(leaves[:size]) for size in range(71)]


def _drop_guards(session, table: str) -> None:
    if session.dialect.name == "sqlite":
        session.exec_driver_sql(f"DROP TRIGGER {table}_keep")
    else:
        session.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
