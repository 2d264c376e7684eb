"""What time alone brings about: overdue goods and events that wait too long (rules/clockwork.py)."""

import pytest

from tests import small as s

pytestmark = pytest.mark.usefixtures("alone")  # the sweep goes over the whole ledger

DAY_MS = 86_400_000


def late_release(town, units):
    release = town.release(units, due="2024-10-25T12:00:00+08:00")
    town.ok(release)
    return release


def test_goods_that_nobody_took_by_their_time_are_overdue_once(town):
    lots = [town.lot(), town.lot()]
    release = late_release(town, lots)
    since = town.size()
    assert town.recorder.sweep(town.now_ms + 60_000) == 0
    assert town.recorder.sweep(town.now_ms + 10 * DAY_MS) == 1
    assert town.rows(since=since) == [("OVERDUE", None, release.hash, s.PPK)]
    assert [town.unit(lot)["custody"] for lot in lots] == ["uncertain", "uncertain"]
    verdict = town.leaf(town.size() - 1)
    assert verdict["verdict"]["code"] == "overdue"
    assert {link["unit"] for link in verdict["links"]} == set(lots)
    assert town.recorder.sweep(town.now_ms + 11 * DAY_MS) == 0


def test_two_sweepers_say_it_once(town):
    late_release(town, [town.lot()])
    now = town.now_ms + 10 * DAY_MS
    assert town.recorder._sweep_one(town.one("SELECT release FROM handover"), "overdue", now) == 1
    size = town.size()
    assert town.recorder._sweep_one(town.one("SELECT release FROM handover"), "overdue", now) == 0
    assert town.size() == size


def test_overdue_goods_may_still_arrive(town):
    lot = town.lot()
    release = late_release(town, [lot])
    town.recorder.sweep(town.now_ms + 10 * DAY_MS)
    town.accepted(town.accept(release.hash, [lot]))
    assert town.unit(lot)["custody"] == "held"


def test_overdue_goods_may_be_taken_back(town):
    lot = town.lot()
    release = late_release(town, [lot])
    town.recorder.sweep(town.now_ms + 10 * DAY_MS)
    town.tick(60 * 24 * 11)
    town.accepted(town.act(town.kpu1, "custody.cancel", {"release": release.hash, "reason": "LOST"}, kpu2="second"))
    assert town.unit(lot)["custody"] == "held"


def test_what_arrived_is_not_overdue(town):
    town.hand_over([town.lot()], due="2024-10-25T12:00:00+08:00")
    assert town.recorder.sweep(town.now_ms + 10 * DAY_MS) == 0


def test_a_unit_that_left_the_handover_is_not_uncertain(town):
    """A verdict of another process over a handover that is over by now says nothing of its goods."""
    here, gone = town.lot(), town.lot()
    release = town.release([here, gone], due="2024-10-25T12:00:00+08:00")
    town.ok(release)
    town.ok(town.accept(release.hash, [here, gone], exceptions=[(gone, "missing")]))
    assert town.recorder.sweep(town.now_ms + 10 * DAY_MS) == 0
    assert town.unit(here)["custody"] == "held"


def test_an_event_that_waits_for_three_days_raises_the_alarm_once(town):
    lot = town.lot()
    never = town.release([lot])
    accept = town.accept(never.hash, [lot])
    town.waits(accept)
    since = town.size()
    assert town.recorder.sweep(town.now_ms + 71 * 3_600_000) == 0
    assert town.recorder.sweep(town.now_ms + 73 * 3_600_000) == 1
    assert town.rows(since=since) == [("PENDING_OVERDUE", None, None, s.PPK)]
    assert town.recorder.sweep(town.now_ms + 80 * 3_600_000) == 0
    town.ok(never)
    assert town.outcome(accept) == ("accepted", ""), "the alarm is not its outcome"


def test_the_alarm_over_one_event_does_not_end_what_waits_for_it(town):
    lot = town.lot()
    never = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    release = town.release([lot], after=[never.hash])
    accept = town.accept(release.hash, [lot])
    town.waits(release)
    town.waits(accept)
    assert town.recorder.sweep(town.now_ms + 73 * 3_600_000) == 2
    assert town.outcome(accept) == (None, "")
    town.ok(never)
    assert town.outcome(release) == ("accepted", "")
    assert town.outcome(accept) == ("accepted", "")


def test_an_event_whose_wait_is_over_raises_no_alarm(town):
    lot = town.lot()
    release = town.release([lot])
    accept = town.accept(release.hash, [lot])
    town.waits(accept)
    town.ok(release)
    assert town.recorder._sweep_one(accept.hash, "pending_overdue", town.now_ms + 90 * 3_600_000) == 0
    assert town.recorder._sweep_one(accept.hash, "", town.now_ms + 90 * 3_600_000) == 0
    assert town.outcome(accept) == ("accepted", "")


def verdict(town, event, result, code):
    told = {"event": event, "result": result, "code": code}
    return town.act(town.service, "verdict", told, place=s.CITY, capacity="witness", after=[event])


def test_an_overdue_word_over_a_handover_that_is_over_changes_nothing(town):
    lot = town.lot()
    release = town.hand_over([lot])
    before = town.unit(lot)
    answer = town.no(verdict(town, release, "accepted", "overdue"), "overdue", "accepted")
    assert answer.links == ()
    assert town.rows() == []
    assert town.unit(lot) == before


def test_an_alarm_is_raised_once_whoever_says_it(town):
    lot = town.lot()
    accept = town.accept(town.release([lot]).hash, [lot])
    town.waits(accept)
    town.no(verdict(town, accept.hash, "pending", "pending_overdue"), "pending_overdue", "accepted")
    assert town.rows() == [("PENDING_OVERDUE", None, None, s.PPK)]
    town.no(verdict(town, accept.hash, "pending", "pending_overdue"), "pending_overdue", "accepted")
    assert town.rows() == [("PENDING_OVERDUE", None, None, s.PPK)]
