"""The doors that the desk's questions have in the API: every filter narrows, every bound holds, every page is followed."""

import pytest

from tests import small as s


def items(stage, path, **query):
    answer = asked(stage, path, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def asked(stage, path, **query):
    """Ask as an auditor who sees everything: a place among the parameters is the question's and not his."""
    return stage.http.get(path, params=query, headers=stage.headers("auditor"))


def joined(stage, path, limit, **query):
    """Follow the pages of a list to its end."""
    found, answer = [], asked(stage, path, limit=limit, **query)
    while True:
        found += answer.json()["items"]
        following = answer.links.get("next")
        if following is None:
            return found
        assert len(found) < 200, "the pages never end"
        answer = stage.http.get(following["url"], headers=stage.headers("auditor"))
        assert answer.status_code == 200, answer.text


def test_what_is_out_is_told_by_place_and_election_and_in_pages(stage):
    everything = items(stage, "/v1/outstanding")
    places = [one["place"] for one in everything]
    assert len(places) > 1
    assert places == sorted(set(places))
    assert joined(stage, "/v1/outstanding", 1) == everything
    assert items(stage, "/v1/outstanding", election=s.ELECTION) == everything
    assert [one["place"] for one in items(stage, "/v1/outstanding", place=s.TPS1)] == [s.TPS1]
    assert items(stage, "/v1/outstanding", place="64.74.01.B") == []
    for wrong, status in (({"election": "PSU-2025"}, 404), ({"place": "NOWHERE"}, 404), ({"limit": 201}, 422)):
        assert asked(stage, "/v1/outstanding", **wrong).status_code == status
    assert stage.get("/v1/outstanding", "field", agency=s.GOV).json() == {
        "election": None, "total": 0, "items": [], "next": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["status", "category", "severity", "place", "owner", "overdue"])
def test_each_filter_of_incidents_leaves_what_it_names_and_nothing_else(stage, name):
    everything = items(stage, "/v1/incidents")
    values = {one[name] for one in everything} - {None}
    assert len(values) > (0 if name == "owner" else 1), name
    for value in values:
        found = items(stage, "/v1/incidents", **{name: str(value).lower() if isinstance(value, bool) else value})
        assert found == [one for one in everything if one[name] == value], value
        assert 0 < len(found) < len(everything)


def test_incidents_join_to_the_whole(stage):
    assert joined(stage, "/v1/incidents", 1) == items(stage, "/v1/incidents")


def test_inspections_are_told_by_kind(stage):
    everything = items(stage, "/v1/inspections")
    assert {one["kind"] for one in everything} == {"surprise"}
    assert items(stage, "/v1/inspections", kind="surprise") == everything
    assert items(stage, "/v1/inspections", kind="full") == []
    assert items(stage, "/v1/inspections", place=s.WAREHOUSE) == everything
    assert items(stage, "/v1/inspections", place=s.TPS1) == []
    assert stage.get("/v1/inspections", "auditor", kind="thorough").status_code == 422


def test_an_inventory_goes_as_deep_as_it_is_asked_to(stage):
    path, story, pack = f"/v1/places/{s.TPS1}/inventory", stage.units["story"], stage.units["pack"]
    outside, inside = (set(stage.get(path, "auditor", contents=deep).json()["units"]) for deep in ("false", "true"))
    assert story in outside
    assert pack in inside - outside
    assert set(stage.get(path, "auditor", contents="true", item="BALLOT").json()["units"]) < inside
    assert stage.get(path, "auditor", item=["BALLOT"] * 32).status_code == 200
    assert stage.get(path, "auditor", item=["BALLOT"] * 33).status_code == 422
    assert stage.get(path, "auditor", contents="yes").status_code == 422
