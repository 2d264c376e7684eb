"""Incidents: reported by anybody, moved on by their owner, closed by owner and supervisor together (rules/incidents.py)."""

import json

import pytest

from app.custody.rules import incidents as rules
from tests import small as s


def report(town, phone=None, units=(), *, place=s.WAREHOUSE, **changes):
    told = {"category": "FIRE", "severity": "tinggi", **changes}
    return town.act(phone or town.pos1, "incident.report", told, units, place=place, capacity="witness")


def update(town, incident, phone=None, *, with_=None, place=s.WAREHOUSE, **told):
    return town.act(
        phone or town.kpu1, "incident.update", {"incident": incident, **told}, place=place, capacity="approver",
        **(with_ or {}),
    )  # fmt: skip


def close(town, incident, phone=None, **with_):
    return town.act(
        phone or town.kpu1, "incident.close", {"incident": incident, "outcome": "PUT_OUT"}, capacity="approver", **with_
    )


def incident(town, id_):
    names = (
        "status", "owner", "severity", "units", "triaged_ms", "assigned_ms", "resolved_ms", "closed_ms", "events",
        "latest_index", "due_ms", "links", "agency", "place", "confidential", "opened_ms", "at_ms",
    )  # fmt: skip
    [row] = town.query(f"SELECT {', '.join(names)} FROM incident WHERE id = '{id_}'")
    return dict(zip(names, row, strict=True))


def test_anybody_reports_and_the_units_are_told_of_it(town):
    lot, stranger = town.lot(), town.fresh_ids(1)[0]
    told = report(town, units=[lot, stranger], occurred_at="2024-10-20T01:00:00+08:00", owner=s.KPU, confidential=True)
    receipt = town.accepted(told, ("UNKNOWN_LABEL", stranger, None, s.WAREHOUSE))
    assert [link.unit for link in receipt.links] == [lot]
    found = incident(town, told.hash)
    assert (found["status"], found["owner"], found["agency"], found["place"]) == ("open", s.KPU, s.POS, s.WAREHOUSE)
    assert bool(found["confidential"])
    assert found["at_ms"] < found["opened_ms"]
    assert found["triaged_ms"] is None


def test_a_report_that_names_an_owner_whom_nobody_knows_stands_without_one(town):
    told = report(town, owner="NOBODY")
    town.accepted(told)
    assert incident(town, told.hash)["owner"] is None


def test_a_report_with_a_day_that_no_calendar_has_stands_with_the_days_that_are_known(town):
    told = report(town, occurred_at="2024-02-31T01:00:00+08:00", due_by="2024-06-31T01:00:00+08:00")
    town.accepted(told)
    found = incident(town, told.hash)
    assert found["due_ms"] is None
    assert found["at_ms"] <= found["opened_ms"]


def test_an_incident_goes_through_its_states_and_its_times_are_kept(town):
    told = report(town)
    town.ok(told)
    town.accepted(update(town, told.hash, town.bws, status="triaged", severity="kritis"))
    town.accepted(update(town, told.hash, town.pol, status="assigned", owner=s.KPU, due_by="2024-10-21T08:00:00+08:00"))
    town.accepted(update(town, told.hash, action="CALLED_FIRE_BRIGADE", links=["A" * 43]))
    town.accepted(update(town, told.hash, status="resolved"))
    last = town.accepted(close(town, told.hash, bws="witness"))
    found = incident(town, told.hash)
    times = [found[name] for name in ("opened_ms", "triaged_ms", "assigned_ms", "resolved_ms", "closed_ms")]
    assert times == sorted(times)
    assert None not in times
    assert (found["status"], found["severity"], found["latest_index"]) == ("closed", "kritis", last.index)
    assert len(json.loads(found["events"])) == 5
    assert found["due_ms"] is not None
    assert "A" * 43 in found["links"]
    town.refused(update(town, told.hash, status="resolved"), "incident_closed")
    town.refused(close(town, told.hash, bws="witness"), "incident_closed")


@pytest.mark.usefixtures("alone")
def test_an_incident_names_so_many_links_and_events_and_the_ledger_the_rest(monkeypatch, town):
    monkeypatch.setattr(rules, "MAX_LINKS", 2)
    monkeypatch.setattr(rules, "MAX_EVENTS", 1)
    told = report(town, owner=s.KPU, links=["A" * 43])
    town.ok(told)
    first = update(town, told.hash, links=["A" * 43])
    town.ok(first)
    assert json.loads(incident(town, told.hash)["links"]) == ["A" * 43], "each once"
    last = town.accepted(update(town, told.hash, links=["B" * 42 + "A", "C" * 42 + "A"]))
    found = incident(town, told.hash)
    assert json.loads(found["links"]) == ["A" * 43, "B" * 42 + "A"]
    assert (json.loads(found["events"]), found["latest_index"]) == ([first.hash], last.index)


def test_what_an_update_does_not_speak_of_stays_as_it_was(town):
    told = report(town, owner=s.KPU, severity="kritis", due_by="2024-10-21T08:00:00+08:00", links=["A" * 43])
    town.ok(told)
    before = incident(town, told.hash)
    town.ok(update(town, told.hash, action="LOOKED"))
    after = incident(town, told.hash)
    assert before["due_ms"] is not None
    assert json.loads(before["links"]) == ["A" * 43]
    for name in ("owner", "severity", "due_ms", "links", "status", "opened_ms"):
        assert after[name] == before[name], name


def test_what_nobody_owns_is_neither_assigned_nor_resolved(town):
    told = report(town)
    town.ok(told)
    for status in ("assigned", "resolved"):
        town.refused(update(town, told.hash, status=status), "policy_unmet")


def test_what_was_skipped_counts_as_reached_with_what_came_next(town):
    told = report(town, owner=s.KPU)
    town.ok(told)
    town.ok(update(town, told.hash, status="resolved"))
    found = incident(town, told.hash)
    assert found["triaged_ms"] == found["assigned_ms"] == found["resolved_ms"]
    town.ok(update(town, told.hash, status="assigned"))
    assert incident(town, told.hash)["resolved_ms"] is None, "it was not over after all"


@pytest.mark.parametrize("status", ["triaged", "assigned"])
def test_an_incident_never_goes_back_but_from_resolved_to_assigned(town, status):
    told = report(town, owner=s.KPU)
    town.ok(told)
    town.ok(update(town, told.hash, status="assigned"))
    if status == "triaged":
        town.refused(update(town, told.hash, status="triaged"), "incident_state")
        town.ok(update(town, told.hash, status="resolved"))
        town.refused(update(town, told.hash, status="triaged"), "incident_state")
    else:
        town.ok(update(town, told.hash, status="resolved"))
        town.ok(update(town, told.hash, status="assigned"))


def test_only_the_owner_moves_an_owned_incident_on(town):
    told = report(town, owner=s.POL)
    town.ok(told)
    town.refused(update(town, told.hash, status="triaged"), "not_incident_owner")
    town.refused(update(town, told.hash, town.bws, status="triaged"), "not_incident_owner")
    town.accepted(update(town, told.hash, town.pol, status="triaged", owner=s.KPU))
    town.accepted(update(town, told.hash, status="assigned"))


def test_without_an_owner_the_reporter_or_an_authority_triages(town):
    told = report(town)
    town.ok(told)
    mine = town.act(
        town.pos1, "incident.update", {"incident": told.hash, "status": "triaged"}, capacity="witness"
    )  # fmt: skip
    town.accepted(mine)
    gov = town.act(town.gov, "incident.update", {"incident": told.hash, "action": "X"}, capacity="witness")
    town.refused(gov, "not_incident_owner")
    town.refused(update(town, told.hash, status="assigned"), "policy_unmet")
    town.refused(update(town, told.hash, status="assigned", owner="NOBODY"), "unknown_agency")


@pytest.mark.parametrize("who", ["kpu1", "bws", "pol"])
def test_each_authority_triages_what_nobody_owns(town, who):
    told = report(town)
    town.ok(told)
    town.accepted(update(town, told.hash, getattr(town, who), status="triaged"))


def test_who_drove_along_does_not_make_his_agency_speak(town):
    told = report(town, owner=s.POL)
    town.ok(told)
    town.refused(update(town, told.hash, with_={"pol": "escort"}, status="triaged"), "not_incident_owner")
    town.ok(update(town, told.hash, town.pol, status="resolved"))
    town.refused(close(town, told.hash, bws="witness", pol="escort"), "policy_unmet")


def test_only_a_resolved_incident_is_closed_and_only_by_owner_and_supervisor(town):
    told = report(town, owner=s.KPU)
    town.ok(told)
    town.refused(close(town, told.hash, bws="witness"), "incident_state")
    town.ok(update(town, told.hash, status="resolved"))
    town.refused(close(town, told.hash), "policy_unmet")
    town.refused(close(town, told.hash, town.pol, bws="witness"), "policy_unmet")
    town.refused(close(town, told.hash, pol="witness"), "policy_unmet")
    town.accepted(close(town, told.hash, bws="witness"))


def test_an_update_that_comes_before_its_report_waits_for_it(town):
    told = report(town, owner=s.KPU)
    early = update(town, told.hash, status="triaged")
    town.waits(early)
    town.ok(told)
    assert town.outcome(early) == ("accepted", "")
    assert incident(town, told.hash)["status"] == "triaged"


def test_an_event_that_reports_nothing_is_no_incident(town):
    seen = town.act(town.bws, "sighting", {}, capacity="witness")
    town.ok(seen)
    town.refused(update(town, seen.hash, status="triaged"), "unknown_incident")


# -- witnesses --------------------------------------------------------------------------------------------


def test_a_witness_attests_and_another_refuses(town):
    lot = town.lot()
    seen = town.inspected([lot])
    town.ok(seen)
    attest = town.act(town.bws, "witness.attest", {"event": seen.hash, "saw": "COUNT"}, [lot], capacity="witness")
    assert [link.unit for link in town.accepted(attest).links] == [lot]
    refuse = town.act(town.pol, "witness.refuse", {"event": seen.hash, "reason": "NOT_LET_IN"}, capacity="witness")
    town.accepted(refuse, ("WITNESS_REFUSED", None, None, s.WAREHOUSE))
    other = town.act(town.pol, "witness.refuse", {"reason": "NOT_LET_IN"}, [lot], capacity="witness")
    town.accepted(other, ("WITNESS_REFUSED", lot, None, s.WAREHOUSE))
