"""Every unit's latest event committed to: the tree, its proofs, the rounds that write it, and what replay says."""

import random

import pytest

from app.canon import b64url_encode, parse_json
from app.custody.committing import StoredHeads, commit_heads, newest, prove_units
from app.custody.heads import ZERO, Head, HeadProof, HeadsInMemory, prove_head
from app.custody.record import payload_of
from app.custody.sortednames import SortedNames
from app.errors import BusyError, MalformedError, UnprovenError
from app.ids import new_unit_id
from app.ledger.tree import leaf_hash, root_of

DICE = random.Random(5)


def unit_id():
    return new_unit_id(DICE.randbytes(10))


def link(seq):
    return seq, b64url_encode(DICE.randbytes(32))


class Grown:
    """A tree over units beside the plain list of records that it must be over."""

    def __init__(self):
        self.tree, self.links, self.order = HeadsInMemory(), {}, []

    def take(self, fresh, again):
        latest = {}
        for unit in [*[unit_id() for _ in range(fresh)], *DICE.sample(self.order, min(again, len(self.order)))]:
            latest[unit] = self.links[unit] = link(self.links.get(unit, (0, ""))[0] + 1)
            if unit not in self.order:
                self.order.append(unit)
        self.tree.take(latest)
        return self

    def records(self):
        names = sorted(self.order)
        following = dict(zip(["", *names], [*names, ""], strict=True))
        heads = [Head("", 0, 0, ZERO, following[""])]
        return heads + [Head(u, i, *self.links[u], following[u]) for i, u in enumerate(self.order, 1)]


def test_the_tree_is_over_one_record_a_unit_and_each_names_its_neighbour():
    grown = Grown()
    for fresh, again in [(0, 0), (1, 0), (7, 1), (0, 5), (40, 3), (300, 60), (0, 300)]:
        grown.take(fresh, again)
        assert grown.tree.n == len(grown.order)
        assert grown.tree.root == root_of([leaf_hash(head.to_bytes()) for head in grown.records()])
    assert dict(grown.tree.everything()[0]) == {head.unit: head for head in grown.records()}


def test_a_latest_event_is_proven_and_nothing_else_is():
    grown = Grown().take(50, 0)
    head = grown.tree.heads([grown.order[20]])[grown.order[20]]
    proof = prove_head(grown.tree, head, 50, 7)
    proof.verify(grown.tree.root, 50)
    assert HeadProof.parse(proof.as_json()) == proof
    for other in (
        Head(head.unit, head.position, head.seq + 1, head.hash, head.next),
        Head(head.unit, head.position, head.seq, ZERO, head.next),
        Head(head.unit, head.position, head.seq, head.hash, ""),
        Head(head.unit, head.position + 1, head.seq, head.hash, head.next),
        Head(unit_id(), head.position, head.seq, head.hash, head.next),
    ):
        with pytest.raises(UnprovenError):
            HeadProof(7, other, proof.path).verify(grown.tree.root, 50)
    with pytest.raises(UnprovenError):
        proof.verify(grown.tree.root, 9)
    with pytest.raises(UnprovenError):
        proof.verify(bytes(32), 50)


def test_exactly_one_record_lies_around_a_unit_that_is_not_there():
    grown = Grown().take(60, 0)
    for unit in [unit_id() for _ in range(20)]:
        assert [head for head in grown.records() if head.lies_around(unit)] == [grown.tree.before([unit])[unit]]
    for unit in grown.order:
        assert not [head for head in grown.records() if head.lies_around(unit)]


def test_before_the_first_unit_the_empty_record_lies_around_everything():
    tree = HeadsInMemory()
    tree.take({})
    assert (tree.n, tree.before([unit_id()]).popitem()[1]) == (0, Head("", 0, 0, ZERO, ""))


def proof_value():
    grown = Grown().take(9, 0)
    return prove_head(grown.tree, grown.tree.heads([grown.order[0]])[grown.order[0]], 9, 3).as_json()


BROKEN = [
    lambda v: v.pop("commit"), lambda v: v.update(more=1), lambda v: v.update(commit=-1), lambda v: v.update(commit=True),
    lambda v: v.update(position="1"), lambda v: v.update(path=["x"]), lambda v: v.update(path=[ZERO] * 64), lambda v: v.update(path=[1]),
    lambda v: v["record"].update(unit="7K3M9QXA2BTW5R0EX"), lambda v: v["record"].update(next="x"), lambda v: v["record"].update(hash="A"),
    lambda v: v["record"].update(seq=2**60), lambda v: v["record"].update(more=1), lambda v: v["record"].pop("next"),
]  # fmt: skip


@pytest.mark.parametrize("breaking", BROKEN)
def test_what_is_no_proof_is_refused(breaking):
    value = proof_value()
    breaking(value)
    with pytest.raises(MalformedError) as caught:
        HeadProof.parse(value)
    assert caught.value.code == "heads"
    for other in (None, [], "x", 1):
        with pytest.raises(MalformedError):
            HeadProof.parse(other)


def test_names_stay_in_order_whatever_their_number():
    names, order = SortedNames(), []
    for _ in range(40):
        fresh = [unit_id() for _ in range(200)]
        names.add(fresh)
        order = sorted([*order, *fresh])
    for _ in range(300):
        name = unit_id()
        below = [other for other in order if other < name]
        assert names.below(name) == below[-1]
    assert names.below(order[1]) == order[0]
    with pytest.raises(KeyError):
        names.below(order[0])


# -- on a ledger ---------------------------------------------------------------------------------------


def chains(town):
    return {unit: (seq, head) for unit, seq, head in town.query("SELECT unit, seq, head FROM unit WHERE seq > 0")}


def test_a_round_commits_to_every_units_latest_event(town):
    first, second = town.box(), town.box()
    assert commit_heads(town.recorder, town.tick()) == 0
    with town.db.read() as session:
        commit, store = (
            newest(session, town.recorder.ledger_id),
            StoredHeads(session, town.recorder.ledger_id, town.size()),
        )
        stored = store.heads(list(chains(town)))
        proofs = prove_units(session, town.recorder.ledger_id, [first, second], town.size())
    assert {unit: (head.seq, head.hash) for unit, head in stored.items()} == chains(town)
    assert (commit.size, commit.n) == (commit.leaf_index, len(chains(town)))
    for unit in (first, second):
        proofs[unit].verify(commit.root, commit.n)
    town.check()
    assert commit_heads(town.recorder, town.tick()) is None, "nothing has come since"


def test_later_rounds_take_in_what_changed_and_unknown_units_are_proven_absent(town):
    commit_heads(town.recorder, town.tick())
    unit, absent = town.box(), unit_id()
    with town.db.read() as session:
        before = prove_units(session, town.recorder.ledger_id, [unit], town.size())[unit]
    assert before.head.lies_around(unit)
    commit_heads(town.recorder, town.tick())
    with town.db.read() as session:
        commit = newest(session, town.recorder.ledger_id)
        proofs = prove_units(session, town.recorder.ledger_id, [unit, absent], town.size())
        assert prove_units(session, town.recorder.ledger_id, [unit], commit.leaf_index) == {}
    proofs[unit].verify(commit.root, commit.n)
    proofs[absent].verify(commit.root, commit.n)
    assert proofs[unit].head.unit == unit
    assert proofs[absent].head.lies_around(absent)
    town.check()


def test_much_is_committed_to_in_parts(town):
    for _ in range(8):
        town.box()
    done, left = 0, 1
    while left:
        left = commit_heads(town.recorder, town.tick(), max_leaves=5) or 0
        done += 1
        assert done < 200
    assert done > 1
    with town.db.read() as session:
        stored = StoredHeads(session, town.recorder.ledger_id, town.size()).heads(list(chains(town)))
    assert {unit: (head.seq, head.hash) for unit, head in stored.items()} == chains(town)
    town.check()


def test_a_frozen_ledger_commits_to_nothing(town):
    with town.db.write() as session:
        session.exec_driver_sql("UPDATE ledger SET frozen = 'alarm'")
    try:
        with pytest.raises(BusyError) as caught:
            commit_heads(town.recorder, town.tick())
    finally:
        with town.db.write() as session:
            session.exec_driver_sql("UPDATE ledger SET frozen = NULL")
    assert caught.value.code == "ledger_frozen"


def test_what_stands_in_the_leaf_is_what_stands_in_the_table(town):
    town.box()
    commit_heads(town.recorder, town.tick())
    with town.db.read() as session:
        commit = newest(session, town.recorder.ledger_id)
        leaf = town.recorder.reader.leaves_at(session, [commit.leaf_index])[commit.leaf_index]
    told = parse_json(payload_of(leaf), max_bytes=70_000)
    assert told["details"] == {"size": commit.size, "root": b64url_encode(commit.root), "n": commit.n}
