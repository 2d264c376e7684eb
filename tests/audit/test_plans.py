"""Which plans were published and which is in force, where a plan had to wait and where there are several elections."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit import plans as plans_module
from app.audit.plans import compare_plans, list_plans
from app.errors import MissingError
from tests import small as s
from tests.audit.books import BACKENDS, ask, new_town
from tests.custody.town import Town


@pytest.fixture(params=BACKENDS)
def town(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def listed(town: Town, **filters: Any) -> list[dict[str, Any]]:
    return ask(town, list_plans, **filters)["items"]


def test_a_plan_that_waited_is_in_force_from_where_it_took_effect(town: Town):
    """Published before the next one and in force after it; one that came to nothing is no version."""
    first, second = town.founders
    [founded] = listed(town)
    awaited = town.act(town.kpu1, "sighting", {}, capacity="witness")

    def waits(title: str, **changes: Any) -> str:
        told = {"document": town.put_document(s.plan(title=title, **changes)), "election": s.ELECTION}
        signed = first.sign(
            "plan.publish", told, at_ms=town.tick(), capacity="approver", after=[awaited.hash], with_={second: "approver"},
        )  # fmt: skip
        town.no(signed, "pending_predecessor", "pending")
        return signed.hash

    late = waits("Menunggu")
    nothing = waits("Percuma", stations=[s.station("ATLANTIS", 1)])
    assert listed(town) == [founded], "what waits is no version yet"
    town.put_plan(s.plan(title="Sementara"))
    town.ok(awaited)
    _, meanwhile, last = listed(town)
    assert (meanwhile["title"], meanwhile["in_force"]) == ("Sementara", False)
    assert (last["event"], last["title"], last["in_force"]) == (late, "Menunggu", True)
    assert last["index"] < meanwhile["index"], "told by the leaf of its event, ordered by its effect"
    assert ask(town, compare_plans, founded["event"], late)["plan"][0]["after"] == "Menunggu"
    with pytest.raises(MissingError):
        ask(town, compare_plans, founded["event"], nothing)


def test_each_election_has_a_plan_in_force(town: Town):
    document = s.policy()
    document["elections"].append({**document["elections"][0], "id": "PSU-2025", "date": "2025-03-01"})
    town.put_policy(document)
    town.put_plan(s.plan(title="Satu"))
    town.put_plan(s.plan(title="Dua", election="PSU-2025"))
    in_force = {(plan["election"], plan["title"]) for plan in listed(town) if plan["in_force"]}
    assert in_force == {(s.ELECTION, "Satu"), ("PSU-2025", "Dua")}
    assert [plan["title"] for plan in listed(town, election="PSU-2025")] == ["Dua"]


def test_a_page_is_bounded_whatever_is_asked_for(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plans_module, "MAX_PLANS", 1)
    town.put_plan(s.plan(title="Kedua"))
    answer = ask(town, list_plans, limit=50)
    assert len(answer["items"]) == 1
    assert [plan["title"] for plan in listed(town, after=answer["next"])] == ["Kedua"]
