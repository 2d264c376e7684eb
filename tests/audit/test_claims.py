"""The rumour desk: true of what is not there, false of what is, and never telling where anything is."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.claims import CLAIMS, Asked, state
from app.errors import MissingError
from app.ledger.checkpoint import open_checkpoint
from tests import small as s
from tests.audit.books import BACKENDS, ask, new_town
from tests.custody.town import Town


@pytest.fixture(params=BACKENDS)
def town(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def holds(town: Town, kind: str, **asked: Any) -> bool:
    return bool(ask(town, state, kind, Asked(**asked))["holds"])


def test_an_item_is_denied_until_a_unit_of_it_is_commissioned(town: Town):
    assert holds(town, "no_unit_of_item", item="BALLOT")
    town.lot()
    assert not holds(town, "no_unit_of_item", item="BALLOT")
    assert not holds(town, "no_unit_of_item", item="BALLOT", contest="PILGUB")
    assert holds(town, "no_unit_of_item", item="BALLOT", contest="PILWALI")
    assert holds(town, "no_unit_of_item", item="CONTAINER_L")


def test_a_statement_names_the_checkpoint_that_it_is_told_of(town: Town):
    town.lot()
    told = ask(town, state, "no_unit_of_item", Asked(item="BALLOT"))
    checkpoint = open_checkpoint(
        told["checkpoint"].encode(), [town.recorder._keys.ledger.verifier()], town.origin
    )  # fmt: skip
    assert checkpoint.size == told["size"] == town.size()


def test_goods_at_a_place_that_is_not_registered_are_said_to_be_there(town: Town):
    lot = town.lot()
    assert holds(town, "no_unit_outside_registered_places")
    document = s.policy()
    for place in document["places"]:
        place["registered"] = place["id"] != s.WAREHOUSE
    town.put_policy(document)
    assert not holds(town, "no_unit_outside_registered_places"), lot


def test_a_region_is_empty_until_goods_are_held_in_it(town: Town):
    lot = town.lot()
    town.ok(town.inspected([lot]))
    assert holds(town, "no_unit_in_region", place="64.74.01")
    assert not holds(town, "no_unit_in_region", place=s.CITY)
    town.hand_over([lot])
    assert not holds(town, "no_unit_in_region", place="64.74.01")
    assert holds(town, "no_unit_in_region", place="64.74.01.B")


def test_what_was_declared_void_is_held_nowhere(town: Town):
    box = town.box()
    document = s.policy()
    for place in document["places"]:
        place["registered"] = place["id"] != s.WAREHOUSE
    town.put_policy(document)
    statements = {"no_unit_in_region": {"place": s.CITY}, "no_unit_outside_registered_places": {}}
    for kind, asked in statements.items():
        assert not holds(town, kind, **asked)
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [box], kpu2="second"))
    for kind, asked in statements.items():
        assert holds(town, kind, **asked)


def test_what_is_packed_is_where_its_container_is(town: Town):
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    release = town.release([load], (s.PROV, s.HUB))
    town.ok(release)
    town.ok(town.accept(release.hash, [load], phone=town.prov1, place=s.HUB, prov2="second"))
    assert not holds(town, "no_unit_in_region", place="64")
    assert holds(town, "no_unit_in_region", place=s.CITY)


def test_a_statement_says_what_it_was_asked_of(town: Town):
    told = ask(town, state, "no_unit_of_item", Asked(item="BALLOT", contest="PILGUB"))
    assert told["about"] == {"item": "BALLOT", "contest": "PILGUB"}
    assert told["text"]["en"] == "No unit of item BALLOT of PILGUB has been commissioned."
    town.lot()
    told = ask(town, state, "no_unit_of_item", Asked(item="BALLOT"))
    assert told["about"] == {"item": "BALLOT"}
    assert told["text"] == {
        "id": "Pernyataan ini tidak benar: Belum ada unit barang BALLOT yang didaftarkan.",
        "en": "This statement is not true: No unit of item BALLOT has been commissioned.",
    }


@pytest.mark.parametrize("place", [s.WAREHOUSE, s.TRUCK, s.TPS1, "NOWHERE"])
def test_nobody_is_told_what_is_at_a_store_a_lorry_or_a_station(town: Town, place: str):
    with pytest.raises(MissingError):
        holds(town, "no_unit_in_region", place=place)


def test_a_label_that_was_never_issued_is_denied(town: Town):
    assert not holds(town, "no_label", label=town.blanks[0])
    assert holds(town, "no_label", label=town.fresh_ids(1)[0])


@pytest.mark.parametrize("kind", sorted(CLAIMS))
def test_every_statement_reads_in_both_languages_whichever_way_it_is(town: Town, kind: str):
    asked = Asked(
        item="BALLOT" if "item" in CLAIMS[kind].needs else None,
        contest="PILGUB" if "contest" in CLAIMS[kind].may else None,
        place=s.CITY if "place" in CLAIMS[kind].needs else None,
        label=town.blanks[0] if "label" in CLAIMS[kind].needs else None,
    )
    for _ in range(2):
        told = ask(town, state, kind, asked)
        assert set(told["text"]) == {"id", "en"}
        assert "{" not in "".join(told["text"].values())
        assert told["text"]["en"].startswith("This statement is not true") is not told["holds"]
        town.lot()
