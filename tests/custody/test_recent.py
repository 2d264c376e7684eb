"""Links that are remembered are those that the leaves hold, or none."""

from app.custody.chain import Link
from app.custody.committing import commit_heads
from app.custody.recent import MAX_UNITS, RecentLinks, UpperTiles
from app.custody.record import Recorder
from app.custody.serverkeys import ServerKeys
from app.ledger.highwater import HighWater
from tests.custody.recheck import recheck


def link(unit: str, seq: int) -> Link:
    return Link(unit, seq, "A" * 43)


def test_a_run_holds_the_newest_link_of_each_unit_in_the_order_of_the_first():
    recent = RecentLinks()
    recent.add(0, [([link("b", 1)], b"0"), ([], b"1"), ([link("a", 1), link("b", 2)], b"2")])
    assert recent.between(0, 3) == {"b": (2, b"2"), "a": (1, b"2")}
    assert list(recent.between(0, 3) or ()) == ["b", "a"]
    assert recent.between(1, 3) is not None, "more than was asked for does no harm"
    assert recent.between(0, 2) is None, "what a run held before its end is not remembered"
    assert recent.between(0, 4) is None


def test_what_others_appended_breaks_the_run():
    recent = RecentLinks()
    recent.add(0, [([link("a", 1)], b"0")])
    recent.add(5, [([link("b", 1)], b"5")])
    assert recent.between(0, 6) is None
    assert recent.between(5, 6) == {"b": (1, b"5")}
    recent.restart(6, 7)
    assert recent.between(6, 7) == {}
    assert recent.between(5, 7) is None


def test_a_run_is_bounded():
    recent = RecentLinks()
    recent.add(0, [([link(str(n), 1) for n in range(MAX_UNITS + 1)], b"0")])
    recent.add(1, [([link("b", 1)], b"1")])
    assert recent.between(0, 2) is None
    assert recent.between(1, 2) == {"b": (1, b"1")}


def test_upper_tiles_are_those_of_one_commitment():
    upper = UpperTiles()
    assert upper.of(-1) == {}
    upper.keep(7, {(0, 1): b"low", (1, 0): b"high"})
    assert upper.of(7) == {(1, 0): b"high"}
    upper.keep(9, {(1, 0): b"higher", (2, 0): b"top"})
    assert upper.of(9) == {(1, 0): b"higher", (2, 0): b"top"}
    assert upper.of(11) == {}, "another process has committed since"


def test_two_processes_that_commit_in_turn_commit_to_one_tree(town):
    """Each remembers tiles and links; the other's commitments make them worthless."""
    settings = town.settings.model_copy(update={"ledger": town.recorder.name})
    mark = HighWater(settings.high_water_file(), town.origin)
    first, second = town.recorder, Recorder(town.db, settings, ServerKeys.load(settings.keys_folder()), mark)
    for number in range(36):
        town.recorder = second if number % 3 == 1 else first
        town.ok(town.inspected([town.box()]))
        assert commit_heads(first if number % 2 else second, town.tick()) == 0
    town.recorder = first
    assert recheck(first) == []
    mark.close()


def test_a_commitment_says_the_same_whether_it_remembers_or_reads(town):
    """One process forgets between the events and the commitment; the leaf's rules find the same tree."""
    town.ok(town.inspected([town.box(), town.box()]))
    assert commit_heads(town.recorder, town.tick()) == 0
    town.ok(town.inspected([town.box()]))
    assert commit_heads(town.recorder, town.tick()) == 0
    town.box()
    town.recorder.recent.restart(0)
    assert commit_heads(town.recorder, town.tick()) == 0
    town.ok(town.inspected([town.box()]))
    assert commit_heads(town.recorder, town.tick(), max_leaves=1)
    while commit_heads(town.recorder, town.tick()):
        pass
    assert recheck(town.recorder) == []
