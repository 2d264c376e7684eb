"""What is still out: everything that left the stores, once, where it is; nothing that is home, packed or ended."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit import outstanding as outstanding_module
from app.audit.outstanding import outstanding
from app.clock import parse_rfc3339
from app.errors import MissingError
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer
from tests.custody.town import Town


@pytest.fixture(params=BACKENDS)
def town(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def out(town: Town, viewer: Any = None, **filters: Any) -> dict[str, int]:
    return {one["place"]: one["n"] for one in ask(town, outstanding, viewer or auditor(), **filters)["items"]}


def to_the_station(town: Town, box: str) -> None:
    town.hand_over([box])
    release = town.release([box], (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    town.ok(release)
    town.ok(town.accept(release.hash, [box], phone=town.tps1, place=s.TPS1, tps2="second"))


def test_goods_are_out_from_the_committee_to_the_station_and_home_in_the_store(town: Town):
    box, _ = town.sealed_box()
    assert out(town) == {}, "what is in the store is not out"
    release = town.release([box])
    town.ok(release)
    assert out(town) == {s.WAREHOUSE: 1}, "on the way: last held here"
    town.ok(town.accept(release.hash, [box]))
    assert out(town) == {s.PPK: 1}
    release = town.release([box], (s.KPU, s.WAREHOUSE), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort")
    town.ok(release)
    town.ok(town.accept(release.hash, [box], phone=town.kpu1, place=s.WAREHOUSE, kpu2="second"))
    assert out(town) == {}


def test_a_line_tells_role_officer_and_stage_and_contents_count_once(town: Town):
    box, _ = town.sealed_box()
    to_the_station(town, box)
    told = ask(town, outstanding, auditor())
    [place] = told["items"]
    assert (told["total"], place["place"], place["n"]) == (1, s.TPS1, 1)
    assert place["lines"] == [{
        "role": "KPPS", "agency": s.KPU, "officer": "KPPS-1", "custody": "held", "item": "BOX_TPS",
        "lifecycle": "deployed", "n": 1,
    }]  # fmt: skip
    assert place["since_local"].endswith("+08:00")


@pytest.mark.parametrize(
    ("kind", "home"),
    [
        ("WH_KPU", True), ("OFFICE", True), ("EVIDENCE", True), ("DESTRUCTION_SITE", True), ("PPK_KEC", False),
        ("PPS", False), ("VEHICLE", False), ("SORT_HALL", False), ("RECAP_SITE", False),
    ],
)  # fmt: skip
def test_goods_are_home_in_every_kind_of_store_and_nowhere_else(town: Town, kind: str, home: bool):
    box, _ = town.sealed_box()
    town.hand_over([box])
    document = s.policy()
    next(place for place in document["places"] if place["id"] == s.PPK)["kind"] = kind
    town.put_policy(document)
    assert out(town) == ({} if home else {s.PPK: 1})


def test_goods_stay_out_when_they_are_opened_closed_and_sent_back(town: Town):
    box, _ = town.opened_box()
    assert out(town) == {s.TPS1: 1}
    shut = {"seals": [{"unit": box, "point": 1, "number": "KT-9"}]}
    town.ok(town.act(town.tps1, "unit.close", shut, [box], place=s.TPS1, tps2="second"))
    assert out(town) == {s.TPS1: 1}
    release = town.release([box], phone=town.tps1, place=s.TPS1, tps2="second", pol="escort")
    town.ok(release)
    town.ok(town.accept(release.hash, [box]))
    assert town.unit(box)["lifecycle"] == "returned"
    assert out(town) == {s.PPK: 1}


def test_a_line_begins_when_the_first_of_its_goods_came(town: Town):
    came = []
    for n in range(3):
        box, _ = town.sealed_box()
        town.hand_over([box])
        came.append(town.now_ms)
        town.tick(60 * (n + 1))
    town.ok(town.release([box], (s.KPU, s.TPS1), phone=town.ppk1, place=s.PPK, ppk2="second", pol="escort"))
    [place] = ask(town, outstanding, auditor())["items"]
    assert sorted(line["n"] for line in place["lines"]) == [1, 2]
    assert parse_rfc3339(place["since"]) == came[0]


def test_a_role_is_that_of_the_key_that_was_enrolled_last(town: Town):
    box, _ = town.sealed_box()
    town.hand_over([box])
    town.enrol("PPK-1", s.KPU, "LOGISTIK", "64.74.01")
    [place] = ask(town, outstanding, auditor())["items"]
    assert [(line["officer"], line["role"]) for line in place["lines"]] == [("PPK-1", "LOGISTIK")]


def test_goods_of_another_election_are_not_out_in_this_one(town: Town):
    document = s.policy()
    document["elections"].append({**document["elections"][0], "id": "PSU-2025", "date": "2025-03-01"})
    town.put_policy(document)
    box, _ = town.sealed_box()
    town.hand_over([box])
    assert (out(town), out(town, election=s.ELECTION), out(town, election="PSU-2025")) == ({s.PPK: 1}, {s.PPK: 1}, {})
    assert ask(town, outstanding, auditor(), election="PSU-2025")["total"] == 0


def test_filters_pages_and_sight(town: Town):
    first, _ = town.sealed_box()
    second, _ = town.sealed_box()
    to_the_station(town, first)
    town.hand_over([second])
    assert out(town) == {s.PPK: 1, s.TPS1: 1}
    assert out(town, place="64.74.01.A") == {s.TPS1: 1}
    assert out(town, election=s.ELECTION) == out(town)
    page = ask(town, outstanding, auditor(), limit=1)
    assert (page["total"], page["next"]) == (2, s.PPK)
    assert out(town, after=page["next"], limit=1) == {s.TPS1: 1}
    assert out(town, officer(s.POS, s.CITY)) == {}
    assert out(town, auditor("64.74.01.B")) == {}
    with pytest.raises(MissingError):
        out(town, auditor("64.74.01.B"), place=s.TPS1)


def test_a_page_is_bounded_whatever_is_asked_for(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outstanding_module, "MAX_LINES", 1)
    first, _ = town.sealed_box()
    second, _ = town.sealed_box()
    to_the_station(town, first)
    town.hand_over([second])
    told = ask(town, outstanding, auditor(), limit=200)
    assert ([one["place"] for one in told["items"]], told["next"]) == ([s.PPK], s.PPK)


def test_of_an_election_that_is_not_there_nobody_is_told_that_nothing_is_out(town: Town):
    for election in ("PEMILU-1955", "", s.ELECTION.lower()):
        with pytest.raises(MissingError):
            out(town, election=election)


def test_what_ended_is_not_out(town: Town):
    """With a control: before it was declared void, it was out."""
    box, _ = town.sealed_box()
    town.hand_over([box])
    assert out(town) == {s.PPK: 1}
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [box], kpu2="second"))
    assert out(town) == {}
