"""Discrepancies: filters, order, neutral words, and the event behind each."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.discrepancies import RULE_WORDS, list_discrepancies
from app.errors import MalformedError
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town
from tests.audit.journey import play
from tests.custody.town import Town


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("discrepancies")) as own:
        own.named = play(own)
        own.unknown = own.fresh_ids(24)
        own.ok(own.act(own.ppk1, "sighting", {"source": "typed"}, own.unknown, place=s.PPK, capacity="witness"))
        own.kpu4.seq += 1
        own.skipped = own.kpu4.seq
        own.ok(own.act(own.kpu4, "access", {"act": "open", "purpose": "COUNT"}, capacity="witness"))
        yield own


def found(town: Town, **kwargs: Any) -> list[dict[str, Any]]:
    return ask(town, list_discrepancies, auditor(), **{"limit": 200, **kwargs})["items"]


def test_every_row_is_listed_in_ledger_order(town: Town):
    rows = found(town)
    numbers = [tuple(map(int, row["id"].split("-"))) for row in rows]
    assert numbers == sorted(numbers)
    assert len(rows) == town.one("SELECT count(*) FROM discrepancy") > 24
    assert {row["rule"] for row in rows} <= set(RULE_WORDS)


def test_pages_join_to_the_whole_within_one_event(town: Town):
    whole, pages, after = found(town), [], None
    while True:
        page = ask(town, list_discrepancies, auditor(), after=after, limit=7)
        pages += page["items"]
        after = page["next"]
        if after is None:
            break
    assert pages == whole


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-x", "²-1", "1-" + "9" * 60])
def test_a_cursor_of_something_else_is_malformed(town: Town, cursor: str):
    with pytest.raises(MalformedError) as error:
        ask(town, list_discrepancies, auditor(), after=cursor)
    assert error.value.code == "cursor"


def test_filters(town: Town):
    everything = found(town)
    for name, value in (
        ("rule", "UNKNOWN_LABEL"), ("status", "open"), ("agency", s.KPU), ("severity", "kritis"),
        ("unit", town.unknown[3]), ("handover", next(r["handover"] for r in everything if r["handover"])),
    ):  # fmt: skip
        assert found(town, **{name: value}) == [row for row in everything if row[name] == value] != []
    assert [row["unit"] for row in found(town, place="64.74.01", rule="UNKNOWN_LABEL")] == town.unknown
    assert found(town, place=s.PPK, rule="UNKNOWN_LABEL") == found(town, place="64.74.01", rule="UNKNOWN_LABEL")
    assert found(town, place=s.TPS1, rule="UNKNOWN_LABEL") == []


def test_words_are_neutral_and_the_event_stands_beside(town: Town):
    row = found(town, unit=town.unknown[0])[0]
    assert row["text"] == {"id": "terbuka, belum dijelaskan", "en": "open, unexplained"}
    assert row["rule_text"] == "label tidak dikenal"
    assert row["event"]["type"] == "sighting"
    assert row["event"]["officer"] == "PPK-1"
    assert row["place"] == s.PPK
    assert row["claimed_local"].endswith("+08:00")


def test_a_gap_that_fills_is_resolved_by_a_later_event(town: Town):
    gap = found(town, rule="SEQUENCE_GAP")[-1]
    assert (gap["status"], gap["facts"]["first"]) == ("open", town.skipped)
    seq, town.kpu4.seq = town.kpu4.seq, town.skipped - 1
    town.ok(town.act(town.kpu4, "access", {"act": "close", "purpose": "COUNT"}, capacity="witness"))
    town.kpu4.seq = seq
    gap = found(town, rule="SEQUENCE_GAP")[-1]
    assert (gap["status"], gap["ended_index"]) == ("resolved", town.size() - 1)
    assert gap["text"]["id"] == "selesai oleh peristiwa berikutnya"
    assert gap in found(town, status="resolved")
