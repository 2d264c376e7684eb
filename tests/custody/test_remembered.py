"""What a writer remembers of its last commit never stands for what somebody else has changed since."""

import pytest
from sqlalchemy.exc import IntegrityError

from app.custody import record as recording
from app.custody.remembered import ABSENT, NO_TREE, Remembered
from app.custody.state import Waiting
from app.errors import TamperError
from app.units.state import Label, Seal
from tests import small as s
from tests.custody.town import second_writer

A, B, C = (bytes([n]) * 32 for n in range(3))


def label(name: str, status: str = "bound") -> Label:
    return Label(name, "block", status)


def known(*records: Label) -> dict[type, dict[str, Label]]:
    return {Label: {record.label: record for record in records}}


# -- the memory alone ------------------------------------------------------------------------------------


def test_it_stands_at_one_tree_only():
    memory = Remembered()
    memory.keep(A, known(label("x")), {})
    memory.stand_at(A)
    assert memory.get(Label, "x") == label("x")
    memory.stand_at(B)
    assert memory.get(Label, "x") is None
    memory.stand_at(A)
    assert memory.get(Label, "x") is None, "what was forgotten stays forgotten"


def test_absence_is_known_but_for_what_nobody_asks_twice():
    memory = Remembered()
    memory.keep(A, {Seal: {"S-1": None}, Waiting: {"hash": None}}, {})
    memory.stand_at(A)
    assert memory.get(Seal, "S-1") is ABSENT
    assert memory.get(Waiting, "hash") is None


def test_a_changed_record_never_comes_back_as_it_was():
    memory = Remembered(most=4)
    memory.keep(A, known(label("x")), {})
    memory.keep(B, known(*(label(f"y{n}") for n in range(3))), {})  # a turn: x is old now
    memory.keep(C, known(label("x", "retired")), known(label("x", "retired")))
    for n in range(9):
        memory.keep(C, known(*(label(f"z{n}{m}") for m in range(3))), {})
        memory.stand_at(C)
        assert memory.get(Label, "x") in {None, label("x", "retired")}


def test_it_is_bounded_and_keeps_what_is_used():
    memory = Remembered(most=100)
    memory.keep(A, known(label("used")), {})
    for n in range(100):
        memory.stand_at(A)
        assert memory.get(Label, "used") is not None
        memory.keep(A, known(*(label(f"{n}-{m}") for m in range(10))), {})
        assert len(memory) <= 100 + 10
    assert NO_TREE.received_ms == 0


# -- in the writer ---------------------------------------------------------------------------------------


def two_writers(town):
    """Let one writer see a load, another release it, and the first be asked to release it again."""
    load = town.load()
    town.ok(town.act(town.bws, "sighting", {}, [load], capacity="witness"))
    other = second_writer(town)
    try:
        release = town.release([load], (s.POS, s.TRUCK), pol="escort")
        [answer] = other.record([other.prover.prove(release.jws, town.now_ms)])
        assert answer.result == "accepted"
    finally:
        other._high_water.close()
        other.db.close()
    again = town.release([load], (s.POS, s.TRUCK), pol="escort")
    return town.recorder.record([town.recorder.prover.prove(again.jws, town.now_ms)])[0]


@pytest.mark.usefixtures("alone")
def test_what_another_writer_did_is_not_overlooked(town):
    answer = two_writers(town)
    assert (answer.result, answer.code) == ("refused", "already_released")


def test_without_the_root_it_would_be(sqlite_town_mould, tmp_path, monkeypatch):
    """The control: a memory that does not ask which tree it stands at takes the load for held."""
    monkeypatch.setattr(Remembered, "stand_at", lambda _self, _root: None)
    town = sqlite_town_mould.pour(tmp_path)
    with pytest.raises((IntegrityError, AssertionError, TamperError)):
        assert two_writers(town).result == "refused"
    town.db.close()


@pytest.mark.usefixtures("alone")
def test_a_group_that_was_not_committed_leaves_nothing_behind(town, monkeypatch):
    load = town.load()
    town.ok(town.act(town.bws, "sighting", {}, [load], capacity="witness"))
    release = town.release([load], (s.POS, s.TRUCK), pol="escort")
    proven = town.recorder.prover.prove(release.jws, town.now_ms)
    original = recording.Recorder._remember

    def fails_after(self, writing):
        original(self, writing)
        raise OSError("the disk is full")

    monkeypatch.setattr(recording.Recorder, "_remember", fails_after)
    with pytest.raises(OSError, match="full"):
        town.recorder.record([proven])
    monkeypatch.undo()
    assert town.unit(load)["custody"] == "held"
    [answer] = town.recorder.record([proven])
    assert answer.result == "accepted", "what was rolled back is not remembered as released"
