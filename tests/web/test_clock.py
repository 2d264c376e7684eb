"""What happens because time passes: scenario time lets the clock go first, a demo never ages by itself."""

import pytest

from app.clock import FixedClock, parse_rfc3339
from app.custody.rounds import Rounds
from tests import small
from tests.web.live import living


@pytest.fixture
def served(sqlite_url, tmp_path):
    with living(sqlite_url, tmp_path / "data") as found:
        yield found


@pytest.fixture
def released(served):
    """A box that was released and is due on 25 October, noon."""
    phone = served.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    phone.place = small.WAREHOUSE
    box = served.boxes(phone, [small.TPS1])[0]
    told = {"to_agency": small.POS, "to_place": small.WAREHOUSE, "due_by": "2024-10-25T12:00:00+08:00"}
    served.ok(phone.sign("custody.release", told, at_ms=served.house.tick(), units=[box]))
    return phone, box


def rounds_of(served, clock=None, *, demo=True):
    """Return the clock's rounds over the served ledger, not started."""
    services = served.services
    writer = services.intake
    return Rounds(services.settings, clock or services.clock, services.db, writer.recorder, writer, demo=demo)


def verdicts(served):
    return [one["code"] or one["result"] for one in served.get("/v1/events", "auditor", type="verdict").json()["items"]]


def test_an_event_of_a_later_hour_finds_what_fell_due_before_it(served, released):
    phone, box = released
    served.house.now_ms = parse_rfc3339("2024-10-25T13:00:00+08:00")
    last = served.ok(served.sighting(phone, box))
    events = served.get("/v1/events", "auditor", limit=200).json()["items"]
    assert [one["type"] for one in events][-2:] == ["verdict", "sighting"]
    assert events[-1]["index"] == last["index"]
    rules = [one["rule"] for one in served.get("/v1/discrepancies", "auditor", rule="OVERDUE").json()["items"]]
    assert rules == ["OVERDUE"]
    assert len(served.get("/v1/handovers", "auditor", status="overdue").json()["items"]) == 1


def test_a_demo_ledger_does_not_age_by_itself(served, released):
    assert rounds_of(served).sweep() == 0
    assert verdicts(served) == []
    assert served.get("/v1/handovers", "auditor", status="overdue").json()["items"] == []


def test_a_ledger_of_today_goes_by_the_machines_clock(served, released):
    clock = FixedClock(parse_rfc3339("2024-10-25T13:00:00+08:00"))
    rounds = rounds_of(served, clock, demo=False)
    assert rounds.sweep() == 1
    assert rounds.sweep() == 0
    assert len(verdicts(served)) == 1


def test_the_clock_forgets_what_expired_now_and_then(served):
    served.token("field")
    rounds = rounds_of(served, FixedClock(2**42))
    assert rounds.purge() == 1
    assert [rounds.purge() for _ in range(3)] == [0, 0, 0]


def test_a_round_that_fails_is_tried_again(served):
    rounds, failed = rounds_of(served), []

    def broken():
        failed.append(1)
        raise ZeroDivisionError

    rounds._guarded(broken)
    rounds._guarded(broken)
    assert failed == [1, 1]
