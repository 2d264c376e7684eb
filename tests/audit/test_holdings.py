"""The tree of places: what each part holds, what the plan wants there, and that the parts make up the whole."""

from collections.abc import Iterator

import pytest

from app.audit.holdings import Part, holdings
from app.audit.stock import stock
from app.errors import MissingError
from app.units.documents import Plan, parse_document
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer, statements
from tests.audit.journey import play
from tests.custody.town import Town


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("holdings")) as own:
        play(own)
        own.box_at_station, own.pack = own.sealed_box(103)
        own.deliver(own.box_at_station)
        yield own


@pytest.fixture(scope="module")
def plan() -> Plan:
    import json  # noqa: PLC0415 - here alone

    document = parse_document(json.dumps(s.plan()).encode())
    assert isinstance(document, Plan)
    return document


def at(town: Town, place=None, viewer=None, plans=()):
    return ask(town, holdings, viewer or auditor(), place=place, plans=plans)


def test_it_begins_at_the_root_or_at_the_viewers_own_place(town: Town):
    assert at(town)["place"]["place"] == "64"
    assert at(town, viewer=auditor(s.CITY))["place"]["place"] == s.CITY
    with pytest.raises(MissingError):
        at(town, s.WAREHOUSE, viewer=auditor("64.74.01.A"))
    with pytest.raises(MissingError):
        at(town, "NOWHERE")


@pytest.mark.parametrize("place", ["64", s.CITY, "64.74.01", s.WAREHOUSE, s.TPS1])
@pytest.mark.parametrize("viewer", [auditor(), officer(s.KPU), officer(s.POS), officer(s.GOV)], ids=lambda v: v.agency)
def test_what_is_held_is_what_the_stock_holds(town: Town, place, viewer):
    held: dict = {}
    for line in ask(town, stock, viewer, place)["lines"]:
        if line["custody"] == "held":
            key = (line["item"], line["contest"])
            held[key] = held.get(key, 0) + line["quantity"]
    told = at(town, place, viewer)
    assert {(line["item"], line["contest"]): line["held"] for line in told["lines"]} == held


def test_units_of_the_parts_and_of_the_place_itself_are_the_whole(town: Town):
    told = at(town, s.CITY)
    below = sum(row["units"] for row in told["items"])
    whole = sum(row["units"] for row in at(town, "64")["items"] if row["place"] == s.CITY)
    assert below == whole > 0


def test_missing_is_the_plan_less_what_is_there_in_good_condition(town: Town, plan: Plan):
    lines = {(line["item"], line["contest"]): line for line in at(town, s.TPS1, plans=[plan])["lines"]}
    kit = plan.station_by_place[s.TPS1].kit_by_line
    good = sum(line["good"] for (item, _), line in lines.items() if item == "BOX_TPS")
    boxes, ballots = lines["BOX_TPS", None], lines["BALLOT", "PILGUB"]
    assert lines["BOX_TPS", "PILGUB"]["good"] > 0, "boxes of a contest count for a line that names none"
    assert (boxes["planned"], boxes["missing"]) == (kit["BOX_TPS"], max(0, kit["BOX_TPS"] - good))
    assert ballots["planned"] == kit["BALLOT/PILGUB"]
    assert ballots["missing"] == max(0, ballots["planned"] - ballots["good"])
    village = at(town, "64.74.01", plans=[plan])
    parts = {row["place"]: row for row in village["items"]}
    assert (parts["64.74.01.A"]["stations"], parts["64.74.01.B"]["stations"]) == (2, 1)
    assert parts["64.74.01.B"]["missing_lines"] == len(plan.station_by_place[s.TPS3].kit_by_line)
    assert parts[s.PPK]["missing_lines"] == parts[s.PPK]["stations"] == 0


def test_the_number_of_statements_does_not_depend_on_how_much_there_is(town: Town, plan: Plan):
    def counted(place):
        with statements(town) as ran:
            at(town, place, plans=[plan])
        return len(ran)

    assert {counted(place) for place in ("64", s.CITY, s.TPS2)} == {counted(s.HALL)}


def test_a_line_without_a_contest_does_not_take_what_has_a_line_of_its_own():
    mine, any_, other = ("BALLOT", "PILGUB"), ("BALLOT", ""), ("BALLOT", "PILWALI")
    part = Part(good={mine: 5, any_: 1, other: 2}, planned={mine: 4, any_: 10})
    assert (part.missing(any_), part.missing(mine)) == (7, 0), "more than the plan wants is not less than nothing"


def test_void_goods_are_held_and_not_good(town: Town):
    def boxes() -> tuple[int, int]:
        [line] = [
            one for one in at(town, s.WAREHOUSE)["lines"] if (one["item"], one["contest"]) == ("BOX_TPS", "PILGUB")
        ]
        return line["held"], line["good"]

    box = town.box()
    held, good = boxes()
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [box], kpu2="second"))
    assert boxes() == (held, good - 1)
