"""The group writer: groups, order, a full queue, failures that stay where they are, and the drain."""

import threading
import time
from dataclasses import dataclass

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from app.config import Settings
from app.custody.intake import Intake
from app.errors import BusyError, TamperError


@dataclass
class Thing:
    """Stands in for a proven event: the intake looks at nothing of it."""

    name: str


class Writer:
    """Records names; fails where it is told to."""

    def __init__(self):
        self.groups, self.swept, self.go = [], [], threading.Event()
        self.go.set()
        self.poison, self.error, self.failures = set(), None, 0

    def record(self, proven, *, proofs=True):
        assert self.go.wait(10)
        names = [one.name for one in proven]
        if self.error is not None and self.failures:
            self.failures -= 1
            raise self.error
        if self.poison & set(names):
            raise IntegrityError("INSERT", {}, Exception("poison"))
        self.groups.append((names, proofs))
        return [f"receipt of {name}" for name in names]

    def sweep(self, now_ms):
        self.swept.append(now_ms)
        return 0


@pytest.fixture
def writer():
    return Writer()


@pytest.fixture
def intake(writer):
    made = Intake(writer, Settings(queue_events=10, group_events=4))
    made.start()
    yield made
    writer.go.set()
    made.stop()


def put(intake, *names, **how):
    return intake.submit([Thing(name) for name in names], **how)


def held(writer, intake):
    """Stop the writer inside a first group, so that what follows waits."""
    writer.go.clear()
    first = put(intake, "first")
    deadline = time.monotonic() + 5
    while intake.waiting and time.monotonic() < deadline:
        time.sleep(0.005)
    return first


def test_a_lone_event_is_recorded_at_once(intake, writer):
    assert put(intake, "a").result(5) == ["receipt of a"]
    assert writer.groups == [(["a"], True)]


def test_what_waits_shares_a_commit_and_requests_stay_whole(intake, writer):
    first = held(writer, intake)
    futures = [put(intake, "a"), put(intake, "b", "c"), put(intake, "d", "e"), put(intake, "f", proofs=False)]
    assert intake.waiting == 6
    writer.go.set()
    assert [f.result(5) for f in (first, *futures)][2] == ["receipt of b", "receipt of c"]
    assert writer.groups == [(["first"], True), (["a", "b", "c"], True), (["d", "e"], True), (["f"], False)]


def test_a_request_larger_than_a_group_is_one_group(intake, writer):
    assert len(put(intake, *"abcdefg").result(5)) == 7
    assert writer.groups == [(list("abcdefg"), True)]


def test_a_full_queue_refuses_and_takes_again(intake, writer):
    held(writer, intake)
    futures = [put(intake, *"abcde"), put(intake, *"fghij")]
    with pytest.raises(BusyError) as full:
        put(intake, "k")
    assert full.value.retry_after_seconds >= 1
    writer.go.set()
    assert [len(f.result(5)) for f in futures] == [5, 5]
    assert put(intake, "k").result(5)


def test_a_waiting_request_cannot_be_withdrawn(intake, writer):
    held(writer, intake)
    future = put(intake, "a")
    assert future.cancel() is False
    writer.go.set()
    assert future.result(5) == ["receipt of a"]


def test_one_that_cannot_be_recorded_hurts_nobody_else(intake, writer):
    first = held(writer, intake)
    writer.poison = {"bad"}
    good, bad, mixed = put(intake, "a"), put(intake, "bad"), put(intake, "b", "bad")
    writer.go.set()
    assert first.result(5)
    assert good.result(5) == ["receipt of a"]
    with pytest.raises(TamperError) as told:
        bad.result(5)
    assert told.value.code == "internal"
    ok, not_ok = mixed.result(5)
    assert ok == "receipt of b"
    assert isinstance(not_ok, TamperError)
    assert intake.healthy


def test_a_locked_database_is_busy_for_the_whole_group_and_passes(intake, writer):
    writer.error, writer.failures = BusyError("locked", retry_after_seconds=2), 1
    with pytest.raises(BusyError):
        put(intake, "a").result(5)
    assert put(intake, "a").result(5)


@pytest.mark.parametrize("text", ["database or disk is full", "server closed the connection unexpectedly"])
def test_storage_that_fails_is_busy_and_passes(intake, writer, text):
    writer.error, writer.failures = OperationalError("COMMIT", {}, Exception(text)), 1
    with pytest.raises(BusyError) as told:
        put(intake, "a").result(5)
    assert told.value.code == "storage"
    assert intake.healthy
    assert put(intake, "a").result(5)


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error"),
        TamperError("The tiles do not give the root."),
        OperationalError("COMMIT", {}, Exception("disk I/O error")),
    ],
)
def test_what_must_not_happen_stops_the_writer_for_good(intake, writer, error):
    first = held(writer, intake)
    later = put(intake, "a")
    writer.error, writer.failures = error, 1
    writer.go.set()
    for future in (first, later):
        with pytest.raises(BusyError) as told:
            future.result(5)
        assert told.value.code == "storage"
    assert not intake.healthy
    assert writer.groups == []
    with pytest.raises(BusyError):
        put(intake, "b")
    with pytest.raises(BusyError):
        intake.call(lambda: 1)


def test_stopping_records_what_waits_and_takes_no_more(writer):
    intake = Intake(writer, Settings(group_events=1))
    intake.start()
    held(writer, intake)
    futures = [put(intake, name) for name in "abcdef"]
    stopper = threading.Thread(target=intake.stop)
    stopper.start()
    time.sleep(0.05)
    with pytest.raises(BusyError):
        put(intake, "late")
    writer.go.set()
    stopper.join(5)
    assert [f.result(0) for f in futures] == [[f"receipt of {name}"] for name in "abcdef"]
    assert not intake.healthy


def test_other_work_keeps_its_turn(intake, writer):
    held(writer, intake)
    order = []
    one = intake.call(lambda: order.append("work") or 7)
    two = put(intake, "a")
    writer.go.set()
    assert (one.result(5), two.result(5)) == (7, ["receipt of a"])


def test_other_work_that_fails_says_so(intake):
    def fail():
        raise ValueError("no")

    with pytest.raises(TamperError):
        intake.call(fail).result(5)
    assert intake.healthy


def test_scenario_time_lets_the_clock_go_first(intake, writer):
    put(intake, "a", sweep_to_ms=1_000_000).result(5)
    put(intake, "b", sweep_to_ms=1_010_000).result(5)
    put(intake, "c", sweep_to_ms=1_100_000).result(5)
    put(intake, "d").result(5)
    assert writer.swept == [1_000_000, 1_100_000]
