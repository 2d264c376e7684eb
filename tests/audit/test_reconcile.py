"""Reconciliation: the identities to the sheet, every figure with its events, and no contribution too many."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.balance import Contribution, balance
from app.audit.reconcile import _contributions, _question, figure_events, reconcile
from app.errors import MissingError
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer
from tests.custody.town import Town

NEED = {"PILGUB": 616, "PILWALI": 616 + 2000}
WITNESSES = {"pol": "witness", "bws": "witness", "tni": "witness", "gov": "witness"}


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("reconcile")) as own:
        own.then = {}
        tell(own)
        yield own


def tell(town: Town) -> None:
    """Play the whole account as in Bontang 2024: over-delivery, damage, replacement, packing, destruction."""
    for contest, district in (("PILGUB", "64"), ("PILWALI", None)):
        spare = {"contest": contest, "district": district}
        good = town.lot(NEED[contest], source="print", **spare)
        over = town.lot(4, source="surplus", **spare)
        remember(town)
        damaged, excess = (empty(town, contest, condition) for condition in ("damaged", "excess"))
        town.ok(town.move(good, damaged, 8))
        town.ok(town.move(over, excess, 4))
        town.ok(town.move(town.lot(8, source="replacement", **spare), good, 8))
        if contest == "PILWALI":
            town.ok(town.move(good, empty(town, contest, "revote"), 2000))
        remember(town)
        for station, quantity in ((s.TPS1, 103), (s.TPS2, 205), (s.TPS3, 308)):
            part = empty(town, contest, "good")
            town.ok(town.move(good, part, quantity))
            town.ok(town.pack(town.box(station, contest), part))
        remember(town)
        told = {"minutes": "BA 1", "method": "BURNED", "lines": [
            {"unit": damaged, "quantity": 8, "reason": "DAMAGED"}, {"unit": excess, "quantity": 4, "reason": "EXCESS"},
        ]}  # fmt: skip
        town.ok(town.act(town.kpu1, "unit.destroy", told, [damaged, excess], kpu2="second", **WITNESSES))
        remember(town)


def remember(town: Town) -> None:
    town.then[town.size()] = ask(town, reconcile, auditor())


def empty(town: Town, contest: str, condition: str) -> str:
    unit = town.blanks.pop()
    line = town.bind(unit, "BALLOT", contest=contest, quantity=0, source="empty", condition=condition)
    town.ok(town.commission(line))
    return unit


def identities(answer: dict[str, Any], contest: str) -> dict[int, dict[str, Any]]:
    found = next(one for one in answer["contests"] if one["contest"] == contest)
    return {identity["number"]: identity for identity in found["identities"]}


def figures(answer: dict[str, Any], contest: str) -> dict[str, Any]:
    found = next(one for one in answer["contests"] if one["contest"] == contest)
    return {figure["figure"]: figure for figure in found["figures"]}


def test_the_whole_account_balances_to_the_sheet(town: Town):
    answer = ask(town, reconcile, auditor())
    assert [one["contest"] for one in answer["contests"]] == ["PILGUB", "PILWALI"]
    for contest in NEED:
        found = identities(answer, contest)
        assert {number: i["holds"] for number, i in found.items()} == dict.fromkeys(range(1, 7), True)
        assert {i["difference"] for i in found.values()} == {0}
    first = identities(answer, "PILWALI")[1]
    assert first["left"] == {"total": 2616, "terms": {"voters": 600, "reserve": 16, "revote_planned": 2000}}
    assert first["right"] == {"total": 2616, "terms": {"ordered": 2616}}
    third = identities(answer, "PILWALI")[3]
    assert third["left"]["terms"] == {
        "ordered": 2616,
        "over": 4,
        "replacements": 8,
        "other": 0,
        "-short": 0,
        "-damaged": -8,
    }
    assert third["right"]["terms"] == {"allocated": 616, "revote": 2000, "excess": 4, "voided": 0}
    assert identities(answer, "PILGUB")[4]["left"]["terms"] == {"destroyed_damaged": 8, "destroyed_excess": 4}
    assert identities(answer, "PILGUB")[5]["right"]["total"] == 628


def test_every_figure_names_the_events_behind_it(town: Town):
    answer = figures(ask(town, reconcile, auditor(), events_per_figure=500), "PILGUB")
    hashes = dict(town.query("SELECT hash, leaf_index FROM event"))
    types = dict(town.query("SELECT hash, type FROM event"))
    for name, figure in answer.items():
        assert sum(row["quantity"] for row in figure["events"]) == figure["quantity"], name
        assert figure["count"] == len(figure["events"])
        assert all(hashes[row["event"]] == row["index"] for row in figure["events"])
    assert {types[row["event"]] for row in answer["allocated"]["events"]} == {"unit.pack"}
    assert {types[row["event"]] for row in answer["damaged"]["events"]} == {"lot.move"}
    assert {types[row["event"]] for row in answer["voters"]["events"]} == {"plan.publish"}
    assert [row["place"] for row in answer["allocated"]["events"]] == [s.TPS1, s.TPS2, s.TPS3]


def test_figures_page(town: Town):
    first = figures(ask(town, reconcile, auditor(), events_per_figure=2), "PILGUB")["allocated"]
    assert (first["count"], len(first["events"]), first["next"]) == (3, 2, 2)
    rest = ask(town, figure_events, auditor(), contest="PILGUB", figure="allocated", after=first["next"])
    assert [row["place"] for row in (*first["events"], *rest["events"])] == [s.TPS1, s.TPS2, s.TPS3]
    assert rest["next"] is None
    for wrong in ({"contest": "PILGUB", "figure": "nothing"}, {"contest": "PILPRES", "figure": "allocated"}):
        with pytest.raises(MissingError):
            ask(town, figure_events, auditor(), **wrong)


def test_dropping_any_one_contribution_breaks_an_equality(town: Town):
    with town.db.read() as session:
        question = _question(session, town.recorder.ledger_id, auditor(), None, None, None)
        rows = list(_contributions(session, question))
    assert all(i.holds for one in balance(rows) for i in one.identities())
    for dropped in [row for row in rows if row.quantity]:
        left = balance(row for row in rows if row is not dropped)
        assert not all(i.holds for one in left for i in one.identities()), dropped
    assert len(rows) == 50


def test_as_known_at_a_size_is_what_was_known_then(town: Town):
    assert len(town.then) == 8
    for size, was in town.then.items():
        assert json.dumps(ask(town, reconcile, auditor(), size=size)) == json.dumps({**was, "size": size})
    first = min(town.then)
    assert identities(ask(town, reconcile, auditor(), size=first), "PILGUB")[3]["difference"] == NEED["PILGUB"] + 4
    with pytest.raises(MissingError):
        ask(town, reconcile, auditor(), size=town.size() + 1)
    with pytest.raises(MissingError) as none_yet:
        ask(town, reconcile, auditor(), size=1)
    assert none_yet.value.code == "no_policy"


def test_a_part_of_the_country_answers_for_its_stations(town: Town):
    for answer in (ask(town, reconcile, auditor(), place="64.74.01.A"), ask(town, reconcile, auditor("64.74.01.A"))):
        found = identities(answer, "PILGUB")
        assert {number: i["holds"] for number, i in found.items()} == {**dict.fromkeys(range(1, 6)), 6: True}
        assert found[6]["left"]["terms"] == {"voters": 300, "reserve": 8}
        assert found[6]["right"]["terms"] == {"allocated": 308}
    whole = ask(town, reconcile, auditor(), place=s.CITY)
    assert all(i["holds"] for contest in NEED for i in identities(whole, contest).values())
    store = identities(ask(town, reconcile, auditor(), place=s.WAREHOUSE), "PILGUB")
    assert {number: i["holds"] for number, i in store.items()} == {1: None, 2: True, 3: True, 4: True, 5: True, 6: None}


def test_a_difference_is_open_until_two_agencies_have_explained_just_that(fresh: Town):
    fresh.lot(40, source="print", contest="PILGUB", district="64")

    def third(**filters: Any) -> dict[str, Any]:
        return identities(ask(fresh, reconcile, auditor(), **filters), "PILGUB")[3]

    assert (third()["difference"], third()["state"], third()["explained"]) == (40, "open", [])
    first_size = fresh.size()
    for phone in (fresh.kpu1, fresh.bws):
        gap = {"what": "gap", "contest": "PILGUB", "identity": 3, "difference": 40, "size": first_size}
        signed = fresh.act(phone, "discrepancy.explain", {"about": gap, "reason": "NOT_PACKED"}, capacity="approver")
        fresh.ok(signed)
        told = third()
        assert told["explained"][-1]["event"] == signed.hash
        assert told["state"] == ("open" if phone is fresh.kpu1 else "explained")
    assert (told["difference"], told["holds"]) == (40, False), "explained is not balanced"
    assert (third(size=first_size)["state"], third(size=first_size)["explained"]) == ("open", [])
    between = third(size=first_size + 1)
    assert (between["state"], [one["agency"] for one in between["explained"]]) == ("open", [s.KPU])
    assert third(place=s.WAREHOUSE)["state"] == "open", "the whole country's difference is not one place's"
    fresh.lot(2, source="print", contest="PILGUB", district="64")
    assert (third()["difference"], third()["state"], third()["explained"]) == (42, "open", [])


def test_others_see_their_own_account_only(town: Town):
    ours = ask(town, reconcile, officer(s.KPU))
    assert [identities(ours, contest)[5]["holds"] for contest in NEED] == [True, True]
    theirs = ask(town, reconcile, officer(s.POS))
    assert {figures(theirs, contest)["ordered"]["quantity"] for contest in NEED} == {0}
    assert identities(theirs, "PILGUB")[3]["holds"] is None


def test_one_contest_and_unknown_elections(town: Town):
    assert [one["contest"] for one in ask(town, reconcile, auditor(), contest="PILWALI")["contests"]] == ["PILWALI"]
    with pytest.raises(MissingError):
        ask(town, reconcile, auditor(), election="PEMILU-1955")


def test_a_lot_that_arrives_damaged_is_counted_as_such(fresh: Town):
    lot, apart = fresh.lot(50, source="print"), fresh.lot(7, source="surplus", condition="excess")
    release = fresh.release([lot, apart])
    fresh.ok(release)
    fresh.ok(fresh.accept(release.hash, [lot, apart], exceptions=[(lot, "damaged"), (apart, "damaged")]))
    answer = ask(fresh, reconcile, auditor())
    found = {name: figure["quantity"] for name, figure in figures(answer, "PILGUB").items()}
    assert (found["damaged"], found["excess"], found["good"]) == (57, 0, 0)
    assert identities(answer, "PILGUB")[2]["holds"]


@pytest.fixture(params=BACKENDS)
def fresh(request, tmp_path) -> Iterator[Town]:
    with new_town(request, tmp_path) as own:
        yield own


# -- the arithmetic alone --------------------------------------------------------------------------------


def bontang() -> list[Contribution]:
    """Return the published account of Bontang, November 2024 (data/bontang-2024.json, `balance`)."""
    rows = []
    for contest, revote, damaged, excess in (("PILGUB", 0, 8, 4), ("PILWALI", 2000, 36, 359)):
        ordered = 134_567 + 3_507 + revote
        for figure, quantity in (
            ("need:voters", 134_567), ("need:reserve", 3_507), ("need:revote", revote), ("in:print", ordered),
            ("in:surplus", excess), ("in:replacement", damaged), ("is:damaged", damaged), ("is:excess", excess),
            ("is:revote", revote), ("allocated", 138_074), ("destroyed:damaged", damaged), ("destroyed:excess", excess),
            ("now:good", 138_074), ("now:excess", excess), ("now:revote", revote),
        ):  # fmt: skip
            rows.append(Contribution(figure, contest, quantity))
    return rows


def test_the_published_figures_of_bontang_balance():
    found = {one.contest: one for one in balance(bontang())}
    for one in found.values():
        assert all(i.holds for i in one.identities()[:5])
    assert found["PILGUB"].identities()[4].left == {
        "ordered": 138_074,
        "over": 4,
        "replacements": 8,
        "other": 0,
        "-short": 0,
    }
    assert sum(found["PILWALI"].identities()[4].right.values()) == 138_074 + 2_000 + 359 + 36
    assert sum(sum(one.identities()[3].left.values()) for one in found.values()) == 407


@given(st.data())
def test_a_sheet_more_or_less_anywhere_is_seen(data):
    rows = bontang()
    index = data.draw(st.integers(0, len(rows) - 1))
    change = data.draw(st.integers(-1000, 1000).filter(bool))
    old = rows[index]
    rows[index] = Contribution(old.figure, old.contest, old.quantity + change)
    broken = [i for one in balance(rows) for i in one.identities() if not i.holds]
    assert abs(broken[0].difference) == abs(change)


def test_a_voided_lot_counts_once():
    loose = [Contribution("in:print", "A", 10, unit="x"), Contribution("is:voided", "A", 10, 1, unit="x")]
    packed = [*loose, Contribution("allocated", "A", 10, 0, unit="x")]
    apart = [*loose, Contribution("is:damaged", "A", 10, 0, unit="x")]
    for rows in (loose, packed, apart):
        assert balance(rows)[0].identities()[2].holds
