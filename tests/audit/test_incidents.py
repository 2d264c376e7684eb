"""Incidents as they are asked for: who sees which, how long the answer took, and what moved them on."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit import incidents as incidents_module
from app.audit.incidents import CATEGORY_WORDS, list_incidents, one_incident
from app.clock import parse_rfc3339
from app.custody.desk import Category
from app.errors import MissingError
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer
from tests.custody.town import Town


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("incidents")) as own:
        own.named = _happen(own)
        yield own


def _happen(town: Town) -> dict[str, str]:
    """Let four things happen: a fire that is over, a late lorry, something confidential, and a tip."""
    lot = town.lot()
    fire = _report(town, town.kpu1, [lot], category="FIRE", severity="kritis", owner=s.KPU)
    for told in ({"status": "triaged"}, {"status": "assigned"}, {"status": "resolved", "action": "PUT_OUT"}):
        town.ok(town.act(town.kpu1, "incident.update", {"incident": fire, **told}, capacity="approver"))
    ended = {"incident": fire, "outcome": "NO_BALLOT_LOST"}
    town.ok(town.act(town.kpu1, "incident.close", ended, capacity="approver", bws="witness"))
    late = _report(
        town, town.pos1, category="LATE_DELIVERY", place=s.TRUCK, due_by="2024-10-20T01:00:00+08:00", owner=s.POS
    )
    secret = _report(town, town.pol, [lot], category="INTIMIDATION", confidential=True)
    tip = _report(town, town.bws, category="DISINFORMATION", source="tip", place=s.PPK)
    return {"fire": fire, "late": late, "secret": secret, "tip": tip, "lot": lot}


def _report(town: Town, phone: Any, units: Any = (), *, place: str = s.WAREHOUSE, **told: Any) -> str:
    details = {"category": "LOSS", "severity": "sedang", **told}
    signed = town.act(phone, "incident.report", details, units, place=place, capacity="witness")
    town.ok(signed)
    return signed.hash


def listed(town: Town, viewer: Any = None, **filters: Any) -> list[dict[str, Any]]:
    return ask(town, list_incidents, viewer or auditor(), now_ms=town.now_ms, **filters)["items"]


def names(town: Town, viewer: Any = None, **filters: Any) -> list[str]:
    by_hash = {value: name for name, value in town.named.items()}
    return [by_hash[one["incident"]] for one in listed(town, viewer, **filters)]


def test_every_category_has_indonesian_words():
    assert set(CATEGORY_WORDS) == set(Category.__args__)  # type: ignore[attr-defined]


def test_an_incident_tells_its_answers_times_in_the_order_of_its_states(town: Town):
    [fire] = listed(town, category="FIRE")
    steps = [fire["seconds_to"][name] for name in ("triage", "assignment", "resolution", "closing")]
    assert steps == sorted(steps)
    assert (fire["status"], fire["category_text"], fire["verified"]) == ("closed", "kebakaran", True)
    assert fire["units"] == [town.named["lot"]]
    [late] = listed(town, category="LATE_DELIVERY")
    assert late["seconds_to"] == {"triage": None, "assignment": None, "resolution": None, "closing": None}
    assert late["overdue"] is True
    [tip] = listed(town, category="DISINFORMATION")
    assert tip["verified"] is False


def test_one_incident_tells_who_moved_it_on_and_how(town: Town):
    told = ask(town, one_incident, auditor(), town.named["fire"], now_ms=town.now_ms)
    assert [(one["type"], one["agency"], one.get("status"), one.get("action"), one.get("outcome")) for one in told["events"]] == [
        ("incident.report", s.KPU, None, None, None),
        ("incident.update", s.KPU, "triaged", None, None),
        ("incident.update", s.KPU, "assigned", None, None),
        ("incident.update", s.KPU, "resolved", "PUT_OUT", None),
        ("incident.close", s.KPU, None, None, "NO_BALLOT_LOST"),
    ]  # fmt: skip
    with pytest.raises(MissingError):
        ask(town, one_incident, auditor(), "A" * 43, now_ms=town.now_ms)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["fire", "late", "secret", "tip"]), ({"status": "open"}, ["late", "secret", "tip"]),
        ({"status": "closed"}, ["fire"]), ({"owner": s.POS}, ["late"]), ({"severity": "kritis"}, ["fire"]),
        ({"place": "64.74.01"}, ["tip"]), ({"overdue": True}, ["late"]), ({"overdue": False}, ["fire", "secret", "tip"]),
    ],
)  # fmt: skip
def test_filters(town: Town, filters: dict[str, Any], found: list[str]):
    assert names(town, **filters) == found


def test_pages_join_to_the_whole(town: Town):
    first = ask(town, list_incidents, auditor(), now_ms=town.now_ms, limit=3)
    rest = ask(town, list_incidents, auditor(), now_ms=town.now_ms, limit=3, after=first["next"])
    assert [*first["items"], *rest["items"]] == listed(town)
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("viewer", "found"),
    [
        (auditor(s.PPK), ["tip"]), (auditor("64.74.01.B"), []), (officer(s.KPU, s.CITY), ["fire"]),
        (officer(s.POS, s.CITY), ["late"]), (officer(s.POL, s.CITY), ["secret"]), (officer(s.BWS, s.CITY), ["tip"]),
        (officer(s.KPU, s.PPK), []), (officer(s.TNI, s.CITY), []), (auditor("NOWHERE"), []),
    ],
)  # fmt: skip
def test_who_sees_which(town: Town, viewer: Any, found: list[str]):
    """The commission holds the goods that a confidential report is about, and does not see it."""
    assert names(town, viewer) == found
    for name in ("fire", "late", "secret", "tip"):
        if name in found:
            assert ask(town, one_incident, viewer, town.named[name], now_ms=town.now_ms)["incident"]
        else:
            with pytest.raises(MissingError):
                ask(town, one_incident, viewer, town.named[name], now_ms=town.now_ms)


@pytest.fixture(params=BACKENDS)
def quiet(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def test_row_and_filter_agree_on_what_is_overdue_whatever_was_resolved_late(quiet: Town):
    gone = _report(quiet, quiet.kpu1, due_by="2024-10-20T01:00:00+08:00", owner=s.KPU)
    _report(quiet, quiet.kpu1)
    assert [one["incident"] for one in listed(quiet, overdue=True)] == [gone]
    quiet.ok(quiet.act(quiet.kpu1, "incident.update", {"incident": gone, "status": "resolved"}, capacity="approver"))
    assert [one["overdue"] for one in listed(quiet)] == [False, False]
    assert listed(quiet, overdue=True) == []
    assert listed(quiet, overdue=False) == listed(quiet)


def test_an_incident_names_to_each_the_units_that_he_sees_anyway(quiet: Town):
    mine, theirs = quiet.lot(), quiet.load()
    release = quiet.release([theirs], (s.POS, s.TRUCK))
    quiet.ok(release)
    quiet.ok(quiet.accept(release.hash, [theirs], phone=quiet.pos1, place=s.TRUCK, pos2="second"))
    named = _report(quiet, quiet.pos1, [mine, theirs], place=s.TRUCK, owner=s.POL)
    for viewer, seen in (
        (auditor(), [mine, theirs]), (auditor(s.TRUCK), [mine, theirs]), (officer(s.KPU, s.CITY), [mine, theirs]),
        (officer(s.POS, s.CITY), [theirs]), (officer(s.POL, s.CITY), []),
    ):  # fmt: skip
        [row] = listed(quiet, viewer)
        assert row["units"] == seen, viewer
        assert ask(quiet, one_incident, viewer, named, now_ms=quiet.now_ms)["units"] == seen, viewer


def test_a_deadline_has_passed_the_moment_after_it(quiet: Town):
    due = "2024-10-25T08:00:00+08:00"
    _report(quiet, quiet.kpu1, due_by=due)
    for later, overdue in ((0, False), (1, True)):
        now = parse_rfc3339(due) + later
        [row] = ask(quiet, list_incidents, auditor(), now_ms=now)["items"]
        late = ask(quiet, list_incidents, auditor(), now_ms=now, overdue=True)["items"]
        assert (row["overdue"], len(late)) == (overdue, overdue)


def test_an_answer_is_timed_from_the_report_and_not_from_what_happened_long_before(quiet: Town):
    named = _report(quiet, quiet.kpu1, occurred_at="2024-10-01T00:00:00+08:00", owner=s.KPU)
    quiet.ok(quiet.act(quiet.kpu1, "incident.update", {"incident": named, "status": "triaged"}, capacity="approver"))
    [row] = listed(quiet)
    assert row["seconds_to"]["triage"] == 60


def test_a_page_is_bounded_whatever_is_asked_for(quiet: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(incidents_module, "MAX_INCIDENTS", 1)
    _report(quiet, quiet.kpu1)
    _report(quiet, quiet.kpu1)
    answer = ask(quiet, list_incidents, auditor(), now_ms=quiet.now_ms, limit=50)
    assert (len(answer["items"]), answer["next"]) == (1, answer["items"][0]["index"])
