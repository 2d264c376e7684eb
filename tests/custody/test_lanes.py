"""Live requests come before bulk, in order, and neither is starved."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.custody.lanes import BULK_BESIDE_LIVE, Lanes, room

GROUP = 512


@dataclass(frozen=True)
class Request:
    name: int
    size: int = 1
    kind: object = True
    bulk: bool = False


def drained(lanes: Lanes) -> list[list[Request]]:
    groups = []
    while len(lanes):
        groups.append(lanes.take())
    return groups


def filled(*requests: Request) -> Lanes:
    lanes: Lanes = Lanes(GROUP)
    for request in requests:
        lanes.add(request)
    return lanes


def test_live_ones_overtake_bulk_and_some_bulk_rides_along():
    bulk = [Request(n, 100, bulk=True) for n in range(20)]
    live = [Request(100 + n) for n in range(10)]
    first, second, *_ = drained(filled(*bulk, *live))
    assert first == [*live, bulk[0]]
    assert second == bulk[1:6]


def test_bulk_that_found_no_place_is_next():
    lanes = filled(Request(0, 1000, bulk=True), *(Request(n) for n in range(1, 600)))
    first = lanes.take()
    assert [r.name for r in first] == list(range(1, 513))
    lanes.add(Request(999))
    assert [r.name for r in lanes.take()] == [0]


def test_work_of_its_own_kind_stands_alone():
    work = Request(1, 0, None)
    groups = drained(filled(Request(0), work, Request(2), Request(3, kind=False)))
    assert [[r.name for r in group] for group in groups] == [[0], [1], [2], [3]]


def test_bulk_may_not_fill_the_whole_queue():
    assert room(1000, bulk=True) < room(1000, bulk=False) == 1000


@given(
    st.lists(
        st.builds(
            Request,
            st.integers(0, 10**6),
            st.integers(1, 1000),
            st.sampled_from([True, False, None]),
            st.booleans(),
        ),
        unique_by=lambda r: r.name,
    )
)
def test_whatever_comes_everything_goes_once_in_the_order_of_its_lane(requests):
    groups = drained(filled(*requests))
    for bulk in (True, False):
        assert [r for group in groups for r in group if r.bulk is bulk] == [r for r in requests if r.bulk is bulk]
    for group in groups:
        assert group
        assert len(group) == 1 or (sum(r.size for r in group) <= GROUP and len({r.kind for r in group}) == 1)
        assert len(group) == 1 or None not in {r.kind for r in group}


@given(st.integers(1, 300), st.integers(1, 200))
def test_a_bulk_request_waits_for_one_group_at_most_when_it_is_first(live_size, bulk_size):
    """However many live ones keep coming."""
    lanes = filled(Request(0, bulk_size, bulk=True))
    for turn in range(2):
        for n in range(600):
            lanes.add(Request(1000 * turn + n + 1, live_size if n % 2 else 1))
        if any(r.bulk for r in lanes.take()):
            return
    raise AssertionError("bulk was overtaken twice")


def test_what_rides_along_is_little():
    lanes = filled(Request(0), *(Request(n, 20, bulk=True) for n in range(1, 30)))
    assert sum(r.size for r in lanes.take() if r.bulk) <= BULK_BESIDE_LIVE
