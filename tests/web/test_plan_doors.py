"""Published plans over HTTP: which there are, which is in force, and what one changes (web/plans.py, audit/plans.py)."""

import pytest

from tests import small


@pytest.fixture(scope="module")
def hashes(live):
    """Three versions of one election and one of another in between; the last says the same as the first."""
    house, first = live.house, small.plan(title="Pertama")
    second = small.plan(
        title="Kedua", stations=[small.station(small.TPS1, 120), small.station(small.TPS3, 300, "DAPIL-2")]
    )
    before = len(listed(live))
    for document in (first, second, first):
        house.put_plan(document)
    return [plan["event"] for plan in listed(live)[before:]]


def listed(live, **query):
    answer = live.get("/v1/plans", "field", limit=50, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def test_every_version_is_listed_and_one_is_in_force(live, hashes):
    plans = {plan["event"]: plan for plan in listed(live, election=small.ELECTION)}
    mine = [plans[event] for event in hashes]
    assert [plan["title"] for plan in mine] == ["Pertama", "Kedua", "Pertama"]
    assert [plan["in_force"] for plan in mine] == [False, False, True]
    assert [plan["event"] for plan in plans.values() if plan["in_force"]] == [hashes[2]]
    assert mine[0]["document"] == mine[2]["document"] != mine[1]["document"]
    assert (mine[1]["stations"], mine[1]["election"], mine[1]["published_at"][:2]) == (2, small.ELECTION, "20")
    document = live.get(f"/v1/documents/{mine[1]['document']}", "field").json()
    assert document["title"] == "Kedua"


@pytest.mark.usefixtures("hashes")
def test_versions_are_by_election_and_in_pages(live):
    assert listed(live, election="PEMILU-2029") == []
    found, answer = [], live.get("/v1/plans", "field", limit=1)
    while True:
        found += answer.json()["items"]
        following = answer.links.get("next")
        if following is None:
            break
        answer = live.http.get(following["url"], headers=live.headers("field"))
    assert [plan["event"] for plan in found] == [plan["event"] for plan in listed(live)]


def difference(live, old, new, **query):
    return live.get("/v1/plans/diff", "auditor", **{"from": old, "to": new, **query})


def test_what_a_version_changes_is_told_station_by_station(live, hashes):
    told = difference(live, *hashes[:2]).json()
    assert told["counts"] == {"added": 0, "removed": 1, "changed": 1}
    assert told["plan"] == [{"member": "title", "before": "Pertama", "after": "Kedua"}]
    changed, removed = told["items"]
    assert (changed["place"], changed["change"], removed["place"], removed["change"]) == (
        small.TPS1, "changed", small.TPS2, "removed",
    )  # fmt: skip
    assert {"member": "voters", "before": 100, "after": 120} in changed["members"]
    back = difference(live, *hashes[1::-1]).json()
    assert back["counts"] == {"added": 1, "removed": 0, "changed": 1}


def test_a_version_is_named_by_event_or_document_and_its_stations_come_in_pages(live, hashes):
    old, new = (live.get(f"/v1/events/{event}", "auditor").json() for event in hashes[:2])
    assert old["event"] == hashes[0]
    plans = {plan["event"]: plan["document"] for plan in listed(live)}
    by_document = difference(live, plans[hashes[0]], plans[new["event"]], limit=1)
    assert by_document.json()["from"]["event"] == hashes[2], "of a document that was published twice, the newer version"
    following = live.http.get(by_document.links["next"]["url"], headers=live.headers("auditor")).json()
    assert [one["place"] for one in (*by_document.json()["items"], *following["items"])] == [small.TPS1, small.TPS2]
    assert following["next"] is None


def test_the_same_plan_published_twice_is_no_difference(live, hashes):
    told = difference(live, hashes[0], hashes[2]).json()
    assert (told["items"], told["plan"], told["next"]) == ([], [], None)


def test_what_was_only_uploaded_or_is_no_plan_is_no_version(live, hashes):
    only = live.post("/v1/documents", small.plan(title="Belum terbit"), "operator").json()["hash"]
    policy = live.http.get("/v1/ledger").json()["policy"]
    for unknown in (only, policy, "A" * 43, "x"):
        assert difference(live, hashes[0], unknown).status_code == 404
    assert live.get("/v1/plans/diff", "auditor").json()["code"] == "parameter"


def test_a_plan_that_was_refused_is_no_version(live, hashes):
    house, (first, second) = live.house, live.house.founders
    document = house.put_document(small.plan(title="Ditolak", stations=[small.station("ATLANTIS", 1)]))
    told = {"document": document, "election": small.ELECTION}
    signed = first.sign("plan.publish", told, at_ms=house.tick(), capacity="approver", with_={second: "approver"})
    house.no(signed, "unknown_place")
    assert difference(live, hashes[0], document).status_code == 404
