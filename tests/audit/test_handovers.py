"""Handovers: open, overdue, disputed, done, from and to places and agencies."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.handovers import list_handovers
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town
from tests.custody.town import Town


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("handovers")) as own:
        own.named = settle(own)
        yield own


def settle(town: Town) -> dict[str, str]:
    """Play one handover of each kind; return the releases by name."""
    boxes = [town.box() for _ in range(7)]
    releases = {
        "open": town.release([boxes[0]]), "late": town.release([boxes[1]], due="2024-10-21T12:00:00+08:00"),
        "done": town.release([boxes[2]]), "short": town.release([boxes[3], boxes[4]]),
        "rejected": town.release([boxes[5]]), "away": town.release([boxes[6]], (s.POS, s.TRUCK)),
    }  # fmt: skip
    for signed in releases.values():
        town.ok(signed)
    town.ok(town.accept(releases["done"].hash, [boxes[2]]))
    town.ok(town.accept(releases["short"].hash, boxes[3:5], exceptions=[(boxes[4], "missing")]))
    reject = {"release": releases["rejected"].hash, "reason": "BROKEN"}
    town.ok(town.act(town.ppk1, "custody.reject", reject, place=s.PPK, capacity="taker", ppk2="second"))
    return {name: signed.hash for name, signed in releases.items()}


def found(town: Town, *, now_ms: int | None = None, **kwargs: Any) -> list[str]:
    answer = ask(town, list_handovers, auditor(), now_ms=now_ms or town.now_ms, **kwargs)
    names = {release: name for name, release in town.named.items()}
    return [names[item["release"]] for item in answer["items"]]


def test_the_four_questions(town: Town):
    later = town.now_ms + 3 * 86_400_000
    assert found(town) == ["open", "late", "done", "short", "rejected", "away"]
    assert found(town, status="open") == ["open", "late", "away"]
    assert found(town, status="overdue") == []
    assert found(town, status="overdue", now_ms=later) == ["late"]
    assert found(town, status="disputed") == ["short", "rejected"]
    assert found(town, status="done") == ["done", "short", "rejected"]


def test_by_place_agency_and_page(town: Town):
    assert found(town, place=s.TRUCK) == found(town, agency=s.POS) == ["away"]
    assert found(town, place="64.74.01") == ["open", "late", "done", "short", "rejected"]
    assert found(town, place="64.74.01", status="open") == ["open", "late"]
    first = ask(town, list_handovers, auditor(), now_ms=town.now_ms, limit=4)
    rest = ask(town, list_handovers, auditor(), now_ms=town.now_ms, limit=4, after=first["next"])
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [4, 2, None]


def test_a_row_says_who_what_and_until_when(town: Town):
    rows = {row["release"]: row for row in ask(town, list_handovers, auditor(), now_ms=town.now_ms)["items"]}
    short, late = rows[town.named["short"]], rows[town.named["late"]]
    assert (short["status"], short["disputed"], short["overdue"], short["n"]) == ("partial", True, False, 2)
    assert [(e["unit"], e["kind"], e["reason"]) for e in short["exceptions"]] == [
        (short["units"][1], "missing", "SEEN")
    ]
    assert [d["rule"] for d in short["discrepancies"]] == ["SHORT"]
    assert (short["from"]["agency"], short["from"]["place"], short["to"]["place"]) == (s.KPU, s.WAREHOUSE, s.PPK)
    assert short["from"]["officers"] == ["KPU-1", "KPU-2"]
    assert late["due_local"] == "2024-10-21T12:00:00.000+08:00"
    assert late["due_by"] == "2024-10-21T04:00:00.000Z"
    assert late["internal"] is False
