"""Policies and plans: strict, consistent with themselves, and what they answer (pure)."""

import json

import pytest

from app.errors import MalformedError
from app.units.documents import Plan, Policy, parse_document, reserve
from tests import small as s


def read(document):
    return parse_document(json.dumps(document).encode())


def code_of(document) -> str:
    with pytest.raises(MalformedError) as caught:
        read(document)
    return caught.value.code


def test_the_small_country_is_sound():
    assert isinstance(read(s.policy()), Policy)
    assert isinstance(read(s.plan()), Plan)


@pytest.mark.parametrize(
    "change", [{"v": 2}, {"kind": "law"}, {"more": 1}, {"title": ""}, {"items": 5}, {"elections": []}]
)
def test_a_policy_has_its_members_and_no_others(change):
    assert code_of(s.policy(**change)) == "document_shape"


@pytest.mark.parametrize("text", [b"[]", b"5", b"null", b"{}", b'{"kind": 1}'])
def test_a_document_is_an_object_of_a_kind(text):
    with pytest.raises(MalformedError) as caught:
        parse_document(text)
    assert caught.value.code == "document_shape"


@pytest.mark.parametrize("what", ["places", "items", "agencies", "roles", "elections"])
def test_nothing_stands_twice(what):
    document = s.policy()
    document[what] = [*document[what], document[what][0]]
    assert code_of(document) == "document_inconsistent"


def test_a_place_hangs_on_a_known_one_and_never_on_itself():
    unknown = s.policy(places=[s.place("A", "REGION", "B")])
    cycle = s.policy(places=[s.place("A", "REGION", "B"), s.place("B", "REGION", "A")])
    deep = s.policy(
        places=[s.place("P0", "REGION", None), *(s.place(f"P{n}", "REGION", f"P{n - 1}") for n in range(1, 40))]
    )
    assert code_of(unknown) == "document_inconsistent"
    assert code_of(cycle) == "document_inconsistent"
    assert isinstance(read(deep), Policy) or code_of(deep) == "document_inconsistent"


def test_a_window_opens_before_it_closes():
    stop = {"place": s.PPK, "release_from": "2024-11-26T10:00:00+08:00", "deliver_by": "2024-11-26T09:00:00+08:00"}
    assert code_of(s.plan(stops=[stop])) == "document_inconsistent"


def test_a_plan_names_a_station_once():
    station = s.station(s.TPS1, 10)
    assert code_of(s.plan(stations=[station, station])) == "document_inconsistent"


@pytest.mark.parametrize(
    ("place", "destination", "serves"),
    [
        (s.WAREHOUSE, s.TPS1, True), (s.HUB, s.TPS1, True), (s.PPK, s.TPS3, True), (s.PPS_A, s.TPS1, True),
        (s.PPS_A, s.TPS3, False), (s.TPS1, s.TPS1, True), (s.TPS1, s.TPS2, False), (s.TRUCK, s.TPS3, True),
        ("ATLANTIS", s.TPS1, False), (s.CITY, s.TPS1, True), ("64.74.01.A", s.TPS3, False),
    ],
)  # fmt: skip
def test_which_places_serve_a_station(place, destination, serves):
    assert read(s.policy()).serves(place, destination) is serves


@pytest.mark.parametrize(
    ("place", "root", "within"), [(s.TPS1, "64", True), ("64", s.TPS1, False), (s.HUB, s.CITY, False)]
)
def test_which_places_lie_within(place, root, within):
    assert read(s.policy()).within(place, root) is within


def test_a_sensitivity_without_a_rule_needs_one_officer():
    rule = read(s.policy()).signing_by_sensitivity["general"]
    assert (rule.release.officers, rule.release.escort, rule.accept.officers) == (1, False, 1)


def test_the_reserve_is_rounded_up_per_station_in_integers():
    assert [reserve(n, 25) for n in (0, 1, 40, 41, 100, 571)] == [0, 1, 1, 2, 3, 15]
    assert reserve(10**9, 25) == 25 * 10**6


def test_a_district_is_by_station_and_contest():
    plan = read(s.plan())
    assert plan.district_of(s.TPS3, "PILWALI") == "DAPIL-2"
    assert plan.district_of(s.TPS3, "PILPRES") is None
    assert plan.district_of("ATLANTIS", "PILWALI") is None


@pytest.mark.parametrize("day", ["2024-02-30", "2024-13-01", "2023-02-29"])
def test_an_election_is_on_a_day_that_exists(day):
    document = s.policy()
    document["elections"][0]["date"] = day
    assert code_of(document) == "document_inconsistent"


def published(*moments):
    first = s.policy()["elections"][0]
    return [
        {**first, "id": f"E-{n}", **({"published_from": at} if at else {})} for n, at in enumerate(moments, start=1)
    ]


def test_entries_are_public_from_the_last_moment_and_never_while_one_is_missing():
    early, late = "2025-03-01T00:00:00+08:00", "2025-03-01T00:00:00Z"
    assert read(s.policy()).published_from_ms is None
    assert read(s.policy(elections=published(early, None))).published_from_ms is None
    both = read(s.policy(elections=published(late, early)))
    assert both.published_from_ms == read(s.policy(elections=published(late))).published_from_ms == 1_740_787_200_000


@pytest.mark.parametrize(
    ("moment", "code"),
    [("2025-03-01", "document_shape"), (5, "document_shape"), ("", "document_shape"), ("2025-02-30T00:00:00Z", "time")],
)
def test_a_publication_is_a_moment_that_a_calendar_has(moment, code):
    assert (
        code_of(
            s.policy(
                elections=published(None, moment) if moment else [{**published(None)[0], "published_from": moment}]
            )
        )
        == code
    )
