"""The first look: what it counts, from which midnight, and that it asks the same few questions of any ledger."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.audit.overview import overview, start_of_day
from app.clock import parse_rfc3339
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer, statements
from tests.custody.town import Town

MOST_STATEMENTS = 22


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("overview")) as own:
        yield own


def look(town: Town, viewer=None, **more):
    return ask(town, overview, viewer or auditor(), now_ms=town.now_ms, **more)


def counted(town: Town, viewer=None, **more) -> int:
    with statements(town) as ran:
        look(town, viewer, **more)
    return len(ran)


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2024-11-27T00:30:00+08:00", "Asia/Makassar", "2024-11-27T00:00:00+08:00"),
        ("2024-11-27T00:30:00+08:00", "Asia/Jakarta", "2024-11-26T00:00:00+07:00"),
        ("2024-11-27T00:30:00+08:00", "Asia/Jayapura", "2024-11-27T00:00:00+09:00"),
        ("2024-11-27T00:00:00+08:00", "Asia/Makassar", "2024-11-27T00:00:00+08:00"),
    ],
)
def test_a_day_begins_at_the_zones_own_midnight(now, zone, midnight):
    assert start_of_day(parse_rfc3339(now), zone) == parse_rfc3339(midnight)


def test_it_asks_as_many_questions_of_a_full_ledger_as_of_an_empty_one(town: Town):
    viewers = (auditor(), auditor(s.CITY), officer(s.KPU, s.CITY))
    before = [counted(town, viewer) for viewer in viewers]
    for n in range(7):
        box, _ = town.sealed_box(number=f"OV-{n}")
        town.ok(town.release([box], due="2024-10-21T12:00:00+08:00"))
        told = {"category": "LOSS", "severity": "sedang", "due_by": "2024-10-21T12:00:00+08:00"}
        town.ok(town.act(town.kpu1, "incident.report", told, [box], capacity="witness"))
        town.ok(town.act(town.kpu1, "sighting", {"source": "typed"}, town.fresh_ids(1), capacity="witness"))
    town.tick(60 * 24 * 5)
    town.recorder.sweep(town.now_ms)
    after = [counted(town, viewer) for viewer in viewers]
    assert max(before) <= max(after) <= MOST_STATEMENTS, (before, after)
    told = look(town)
    assert told["handovers"]["overdue"] == told["incidents"]["overdue"] == 7
    assert (
        len(told["handovers"]["first"]) == len(told["incidents"]["first"]) == len(told["discrepancies"]["newest"]) == 5
    )
    for n in range(20):
        town.ok(town.act(town.kpu1, "sighting", {"source": "typed"}, town.fresh_ids(1), capacity="witness"))
        del n
    assert [counted(town, viewer) for viewer in viewers] == after


def test_only_what_was_received_since_midnight_is_todays(town: Town):
    town.tick(60 * 24 * 2)
    known = town.lot(3)
    before = look(town)["today"]
    town.ok(town.act(town.kpu1, "sighting", {"source": "camera"}, [known], capacity="witness"))
    after = look(town)["today"]
    assert {row["type"] for row in before} <= {"unit.commission", "inspection", "overdue", "verdict", "heads.commit"}
    assert {"type": "sighting", "result": "accepted", "count": 1} in after
    since = datetime.fromisoformat(look(town)["since_local"])
    assert (since.hour, since.minute) == (0, 0)
    assert since.astimezone(UTC).timestamp() * 1000 <= town.now_ms


def test_others_see_their_own_part_and_no_discrepancies_without_their_list(town: Town):
    nothing = look(town, officer(s.GOV, "64.74.01.B"))
    assert (nothing["handovers"]["open"], nothing["incidents"]["open"], nothing["today"]) == (0, 0, [])
    assert nothing["discrepancies"]["open"] == 0
    assert look(town, with_discrepancies=False)["discrepancies"] is None


def test_severities_add_up_to_what_is_open(town: Town):
    told = look(town)["discrepancies"]
    assert sum(row["count"] for row in told["by_severity"]) == told["open"] > 0
    newest = [row["index"] for row in told["newest"]]
    assert newest == sorted(newest, reverse=True)


def test_the_checkpoint_is_the_newest(town: Town):
    assert look(town)["checkpoint"]["size"] == town.recorder.published[0]


@pytest.fixture(params=BACKENDS)
def quiet(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def test_what_is_over_is_neither_open_nor_late(quiet: Town):
    """With a control: before it was over, it was both."""
    due = "2024-10-21T08:00:00+08:00"
    box, _ = quiet.sealed_box()
    release = quiet.release([box], due=due)
    quiet.ok(release)
    told = {"category": "LOSS", "severity": "sedang", "due_by": due, "owner": s.KPU}
    report = quiet.act(quiet.kpu1, "incident.report", told, [box], capacity="witness")
    quiet.ok(report)
    for now, overdue in ((parse_rfc3339(due), 0), (parse_rfc3339(due) + 1, 1)):
        found = ask(quiet, overview, auditor(), now_ms=now)
        assert found["handovers"] | {"first": len(found["handovers"]["first"])} == {
            "open": 1, "overdue": overdue, "first": overdue,
        }  # fmt: skip
        assert found["incidents"] | {"first": len(found["incidents"]["first"])} == {
            "open": 1, "overdue": overdue, "first": overdue,
        }  # fmt: skip
    quiet.ok(quiet.accept(release.hash, [box]))
    over = {"incident": report.hash, "status": "resolved"}
    quiet.ok(quiet.act(quiet.kpu1, "incident.update", over, capacity="approver"))
    quiet.tick(60 * 24 * 5)
    found = look(quiet)
    nothing = {"open": 0, "overdue": 0, "first": []}
    assert (found["handovers"], found["incidents"]) == (nothing, nothing)


def test_the_day_is_that_of_the_viewers_own_place(quiet: Town):
    document = s.policy()
    next(place for place in document["places"] if place["id"] == s.PPK)["zone"] = "Asia/Jayapura"
    quiet.put_policy(document)
    assert look(quiet)["zone"] == look(quiet, auditor(s.CITY))["zone"] == "Asia/Makassar"
    assert look(quiet, auditor(s.PPK))["zone"] == "Asia/Jayapura"
    assert look(quiet, auditor("NOWHERE"))["zone"] == "Asia/Jakarta"


def test_the_most_frequent_type_of_the_day_stands_first(quiet: Town):
    counts = [row["count"] for row in look(quiet)["today"]]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]
