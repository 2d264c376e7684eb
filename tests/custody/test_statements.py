"""How many SQL statements a group costs: a number that depends on neither events nor units (performance reference)."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from tests import small as s

MOST = 24  # one group, whatever is in it, of which nothing is known yet
WARM = 18  # one group of which the last one left everything but units and new signers: BEGIN, reads, nine writes
SLACK = 8  # tiles that a larger group touches


@contextmanager
def counting(town) -> Iterator[list[str]]:
    """Collect the statements of both engines; a statement over many rows is one."""
    seen: list[str] = []

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    engines = (town.db.write_engine, town.db.read_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def loads(town, count: int) -> list[str]:
    """Commission empty loads, 128 in one event."""
    ids = town.labels(town.kpu1, count)
    for first in range(0, count, 128):
        town.ok(town.commission(*(town.bind(unit, "LOAD") for unit in ids[first : first + 128])))
    return ids


def cost(town, *signed) -> int:
    proven = [town.recorder.prover.prove(each.jws, town.now_ms) for each in signed]
    with counting(town) as seen:
        answers = town.recorder.record(proven)
    assert all(getattr(answer, "result", "") == "accepted" for answer in answers), answers
    return len(seen)


@pytest.mark.usefixtures("alone")
def test_units_cost_no_statements(town):
    units = loads(town, 257)
    one = cost(town, town.release(units[:1], (s.KPU, s.PPK), pol="escort"))
    many = town.release(units[1:], (s.KPU, s.PPK), pol="escort")
    assert cost(town, many) <= min(one + SLACK, MOST)
    accept = cost(town, town.accept(many.hash, units[1:], pol="witness"))
    assert accept <= min(one + SLACK, MOST)


@pytest.mark.usefixtures("alone")
def test_an_event_with_a_hundred_units_costs_no_more_than_eighteen(town):
    """The bar of issue 4 is ten: nine of these write, each another table."""
    units = loads(town, 101)
    town.ok(town.release(units[:1], (s.KPU, s.PPK), pol="escort"))
    release = town.release(units[1:], (s.KPU, s.PPK), pol="escort")
    assert cost(town, release) <= WARM
    assert cost(town, town.accept(release.hash, units[1:], pol="witness")) <= WARM


@pytest.mark.usefixtures("alone")
def test_events_cost_no_statements(town):
    units = loads(town, 200)
    one = cost(town, town.act(town.bws, "sighting", {}, units[:1], capacity="witness"))
    group = [town.act(town.bws, "sighting", {}, [unit], capacity="witness") for unit in units]
    assert cost(town, *group) <= min(one + SLACK, MOST)


def test_depth_costs_a_little_and_breadth_nothing(town):
    outer, inner, box = town.load(), town.load(), town.box()
    town.ok(town.pack(inner, box))
    town.ok(town.pack(outer, inner))
    town.ok(town.act(town.bws, "sighting", {}, [town.load()], capacity="witness"))  # what every event asks is known
    flat = cost(town, town.act(town.bws, "sighting", {}, [outer], capacity="witness"))
    deep = cost(town, town.act(town.bws, "sighting", {}, [box], capacity="witness"))
    assert flat <= deep <= flat + 3 * 3


def test_sending_again_writes_nothing(town):
    signed = town.act(town.bws, "sighting", {}, capacity="witness")
    town.ok(signed)
    proven = town.recorder.prover.prove(signed.jws, town.now_ms)
    with counting(town) as seen:
        town.recorder.record([proven])
    assert [each for each in seen if not each.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA"))] == []
