"""Stock: what a place holds, with contents and what is on the way; now, as known then, and at a moment."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.stock import stock
from app.errors import MissingError
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer
from tests.audit.journey import play
from tests.custody.town import Town

Line = tuple[str, str, str, str | None, str, int, int]


@pytest.fixture(params=BACKENDS)
def town(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


def lines(town: Town, place: str, viewer: Any = None, **kwargs: Any) -> list[Line]:
    answer = ask(town, stock, viewer or auditor(), place, **kwargs)
    names = ("custody", "agency", "item", "contest", "condition", "units", "quantity")
    return [tuple(line[name] for name in names) for line in answer["lines"]]


def test_contents_count_where_the_outermost_container_is(town: Town):
    box, _ = town.sealed_box(103)
    town.lot(7, condition="damaged")
    load = town.load()
    town.ok(town.pack(load, box))
    assert lines(town, s.WAREHOUSE) == [
        ("held", s.KPU, "BALLOT", "PILGUB", "damaged", 1, 7),
        ("held", s.KPU, "BALLOT", "PILGUB", "good", 1, 103),
        ("held", s.KPU, "BOX_TPS", "PILGUB", "good", 1, 1),
        ("held", s.KPU, "LOAD", None, "good", 1, 1),
    ]
    release = town.release([load])
    town.ok(release)
    moving = [
        (s.KPU, "BALLOT", "PILGUB", "good", 1, 103), (s.KPU, "BOX_TPS", "PILGUB", "good", 1, 1), (s.KPU, "LOAD", None, "good", 1, 1),
    ]  # fmt: skip
    assert lines(town, s.PPK) == [("coming", *line) for line in moving]
    assert lines(town, s.WAREHOUSE)[1:] == [("released", *line) for line in moving]
    assert lines(town, s.CITY)[0][0] == "coming"
    town.ok(town.accept(release.hash, [load]))
    assert lines(town, s.PPK) == lines(town, "64.74.01") == [("held", *line) for line in moving]
    assert lines(town, s.WAREHOUSE) == [("held", s.KPU, "BALLOT", "PILGUB", "damaged", 1, 7)]
    assert lines(town, "64.74.01", include_below=False) == []


def test_overdue_and_missing_goods_are_uncertain_and_destroyed_ones_gone(town: Town):
    late, lost, other = town.box(), town.box(), town.box()
    burnt = town.lot(7, condition="damaged")
    town.ok(town.release([late], due="2024-10-25T12:00:00+08:00"))
    release = town.release([lost, other])
    town.ok(release)
    town.ok(town.accept(release.hash, [lost, other], exceptions=[(lost, "missing")]))
    town.tick(60 * 24 * 10)
    town.recorder.sweep(town.now_ms)
    told = {"minutes": "BA 1", "method": "BURNED", "lines": [{"unit": burnt, "quantity": 7, "reason": "DAMAGED"}]}
    witnesses = {"pol": "witness", "bws": "witness", "tni": "witness", "gov": "witness"}
    town.ok(town.act(town.kpu1, "unit.destroy", told, [burnt], kpu2="second", **witnesses))
    box = (s.KPU, "BOX_TPS", "PILGUB", "good")
    assert lines(town, s.WAREHOUSE) == [("uncertain", *box, 2, 2)]
    assert lines(town, s.PPK) == [("coming", *box, 1, 1), ("held", *box, 1, 1)]


def test_stock_then_is_what_stock_was(town: Town):
    then: dict[int, Any] = {}
    lot = town.lot(500)
    for step in range(4):
        box, part = town.box(), town.blanks.pop()
        town.ok(town.commission(town.bind(part, "BALLOT", contest="PILGUB", quantity=0, source="empty")))
        town.ok(town.move(lot, part, 100 + step))
        town.ok(town.pack(box, part))
        then[town.size()] = [lines(town, place) for place in ("64", s.PPK)]
        release = town.release([box])
        town.ok(release)
        then[town.size()] = [lines(town, place) for place in ("64", s.PPK)]
        town.ok(town.accept(release.hash, [box]))
    for size, was in then.items():
        assert [lines(town, place, size=size) for place in ("64", s.PPK)] == was
    assert lines(town, "64", size=0) == []
    with pytest.raises(MissingError):
        lines(town, "64", size=town.size() + 1)


def test_stock_now_equals_stock_at_the_present_size_for_everyone(town: Town):
    play(town)
    load = town.load()
    box, _ = town.sealed_box()
    town.ok(town.pack(load, box))
    town.ok(town.release([load], (s.POS, s.TRUCK)))
    places = [row[0] for row in town.query("SELECT place FROM place")]
    viewers = [auditor(), *(officer(agency) for agency in (s.KPU, s.POS, s.PROV))]
    seen = 0
    for viewer in viewers:
        for place in places:
            for below in (True, False):
                now = lines(town, place, viewer, include_below=below)
                seen += len(now)
                assert now == lines(town, place, viewer, include_below=below, size=town.size())
    assert seen > 50
    assert lines(town, s.TRUCK, officer(s.POS)) != []


def test_everything_that_is_not_destroyed_is_somewhere_once(town: Town):
    play(town)
    places = [row[0] for row in town.query("SELECT place FROM place")]
    once = sum(line[-1] for place in places for line in lines(town, place, include_below=False) if line[0] != "coming")
    assert once == town.one("SELECT sum(quantity) FROM unit WHERE lifecycle <> 'destroyed'") > 0


# -- at a moment -----------------------------------------------------------------------------------------


def at(town: Town, place: str, at_ms: int) -> list[tuple[Any, ...]]:
    answer = ask(town, stock, auditor(), place, at_ms=at_ms)
    return [(line["custody"], line["quantity"], line["uncertain"]) for line in answer["lines"]]


def test_a_moment_before_what_a_phone_had_seen_is_certain(town: Town):
    box = town.box()
    moment = town.now_ms
    size = town.size()
    town.tick(10)
    town.ok(town.act(town.kpu1, "access", {"act": "open", "purpose": "COUNT"}, capacity="witness"))
    town.look(*town.phones())
    release = town.release([box])
    town.ok(release)
    town.look(town.ppk1)
    town.ok(town.accept(release.hash, [box]))
    assert at(town, s.WAREHOUSE, moment) == [("held", 1, False)]
    assert at(town, s.PPK, moment) == []
    assert ask(town, stock, auditor(), s.PPK, at_ms=moment)["size"] == size
    assert at(town, s.PPK, town.now_ms) == [("held", 1, False)]


def test_what_an_offline_phone_may_have_done_by_then_is_uncertain(town: Town):
    box, still = town.box(), town.box(item="LOAD", destination=None, contest=None)
    release = town.release([box])
    town.ok(release)
    town.look(*town.phones())
    accepted = town.accept(release.hash, [box])
    moment = town.tick(60)
    town.tick(60)
    assert at(town, s.PPK, moment) == [("coming", 1, False)]
    town.ok(accepted)
    assert at(town, s.PPK, moment) == [("coming", 1, True), ("held", 0, True)]
    assert at(town, s.WAREHOUSE, moment) == [("held", 1, False), ("released", 1, True)]
    assert at(town, s.PPK, town.now_ms) == [("held", 1, False)]
    assert still != box


def test_a_verdict_is_as_unproven_as_the_event_that_it_decides(town: Town):
    box = town.box()
    release = town.release([box])
    town.no(town.accept(release.hash, [box]), "pending_predecessor", "pending")
    moment = town.tick(60)
    town.tick(60)
    town.ok(release)
    assert at(town, s.PPK, moment) == [("coming", 0, True), ("held", 0, True)]


def test_the_clock_s_own_word_is_as_late_as_its_leaf(town: Town):
    box = town.box()
    town.ok(town.release([box], due="2024-10-25T12:00:00+08:00"))
    moment = town.tick(60)
    town.tick(60 * 24 * 10)
    town.recorder.sweep(town.now_ms)
    assert at(town, s.WAREHOUSE, moment) == [("released", 1, False)]
    assert at(town, s.WAREHOUSE, town.now_ms) == [("uncertain", 1, False)]


def test_contents_are_as_uncertain_as_their_container(town: Town):
    box, load = town.box(), town.load()
    town.ok(town.pack(load, box))
    release = town.release([load])
    town.ok(release)
    moment = town.tick(60)
    town.tick(60)
    town.ok(town.accept(release.hash, [load]))
    assert at(town, s.PPK, moment) == [("coming", 1, True), ("coming", 1, True), ("held", 0, True), ("held", 0, True)]


def test_a_moment_before_the_ledger_is_empty(town: Town):
    town.box()
    assert at(town, s.CITY, 1_600_000_000_000) == []


def test_a_place_outside_is_missing(town: Town):
    for place, viewer in (("NOWHERE", auditor()), (s.WAREHOUSE, auditor(s.PPK)), (s.WAREHOUSE, auditor("NOWHERE"))):
        with pytest.raises(MissingError):
            lines(town, place, viewer)
