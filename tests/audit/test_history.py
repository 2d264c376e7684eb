"""History: what happened to a unit and to what contained it, gaps as rows, and what was known at any size."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.history import unit_history
from app.audit.units import unit_state
from app.cli.phone import ids_commitment
from app.errors import MalformedError, MissingError
from app.ids import group4
from tests import small as s
from tests.audit.books import BACKENDS, ask, auditor, new_town, officer, plan_steps, statements, walks
from tests.audit.journey import play
from tests.custody.town import Town


@pytest.fixture(scope="module", params=BACKENDS)
def town(request, tmp_path_factory) -> Iterator[Town]:
    with new_town(request, tmp_path_factory.mktemp("history")) as own:
        yield own


def history(town: Town, unit: str, **kwargs: Any) -> dict[str, Any]:
    return ask(town, unit_history, auditor(), unit, **kwargs)


def told(town: Town, unit: str, **kwargs: Any) -> list[tuple[Any, ...]]:
    """Return (type, verdict, via) of events and (gap, cause, ended by, via) of gaps."""
    return [
        (row["type"], row["code"] or row["result"], row["via"]) if row["kind"] == "event"
        else (row["gap"], row["cause"], row["ended_by"], row["via"])
        for row in history(town, unit, **kwargs)["items"]
    ]  # fmt: skip


def loaded(town: Town) -> tuple[str, str, str]:
    """Return a pack of ballots in a sealed box in a load."""
    box, lot = town.sealed_box()
    load = town.load()
    town.ok(town.pack(load, box))
    return lot, box, load


def test_a_pack_travels_with_what_contains_it(town: Town):
    lot, box, load = loaded(town)
    town.no(town.release([lot]), "sealed_parent")
    release = town.hand_over([load])
    town.ok(town.act(town.ppk1, "unit.unpack", {"parent": load}, [box], place=s.PPK, ppk2="second"))
    town.ok(town.inspected([load], town.ppk1, s.PPK))
    town.ok(town.act(town.ppk1, "sighting", {}, [box], place=s.PPK, capacity="witness"))
    assert told(town, lot) == [
        ("unit.commission", "accepted", None),
        ("inspection", "accepted", None),
        ("unit.pack", "accepted", None),
        ("seal.apply", "accepted", box),
        ("unit.pack", "accepted", box),
        ("custody.release", "sealed_parent", None),
        ("custody.release", "accepted", load),
        ("released_not_accepted", "released", "accepted", load),
        ("custody.accept", "accepted", load),
        ("unit.unpack", "accepted", box),
        ("sighting", "accepted", box),
    ]
    gap = next(row for row in history(town, lot)["items"] if row["kind"] == "gap")
    assert gap["handover"] == release
    assert gap["from"]["event"] == release
    assert gap["to"]["index"] == gap["from"]["index"] + 1
    assert ("sighting", "accepted", None) in told(town, box)
    assert not any(row[0] == "sighting" for row in told(town, load)), "what left the load is no longer its story"


def test_a_sibling_packed_before_is_not_part_of_the_story(town: Town):
    box, other, late = town.box(), town.lot(10), town.lot(20)
    town.ok(town.pack(box, other))
    town.ok(town.pack(box, late))
    assert [row[0] for row in told(town, late)] == ["unit.commission", "inspection", "unit.pack"]
    assert told(town, other)[-1] == ("unit.pack", "accepted", box)


def test_rows_name_chain_time_and_place(town: Town):
    lot = town.lot(5)
    first, second = history(town, lot)["items"]
    assert (first["seq"], second["seq"]) == (1, 2)
    assert (first["agency"], first["officer"], first["place"]) == (s.KPU, "KPU-1", s.WAREHOUSE)
    assert first["claimed_local"].endswith("+08:00")
    assert first["claimed_at"].endswith("Z")
    assert first["provable"]["from"] < first["provable"]["to"] == first["received_at"]


def test_a_tree_that_never_was_proves_no_time(town: Town):
    lot = town.lot(5)
    town.kpu4.seen = (town.size(), "A" * 43)
    town.ok(town.inspected([lot], town.kpu4))
    assert history(town, lot)["items"][-1]["provable"]["from"] is None


# -- gaps ------------------------------------------------------------------------------------------------


def test_a_missing_box_stays_missing_however_often_it_is_seen(town: Town):
    box, _ = town.sealed_box()
    other, _ = town.sealed_box()
    release = town.release([box, other])
    town.ok(release)
    town.ok(town.accept(release.hash, [box, other], exceptions=[(box, "missing")]))
    town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))
    rows = told(town, box)
    assert rows[-5:] == [
        ("custody.release", "accepted", None),
        ("released_not_accepted", "released", "missing", None),
        ("custody.accept", "accepted", None),
        ("uncertain", "missing", None, None),
        ("sighting", "accepted", None),
    ]
    gap = history(town, box)["items"][-2]
    assert gap["to"] is None
    assert gap["handover"] == release.hash
    assert history(town, box)["open_gaps"] == 1
    assert history(town, other)["open_gaps"] == 0


def test_an_overdue_release_is_a_gap_of_its_own_until_it_is_answered(town: Town):
    box, _ = town.sealed_box()
    release = town.release([box], due="2024-10-25T12:00:00+08:00")
    town.ok(release)
    town.tick(60 * 24 * 10)
    town.recorder.sweep(town.now_ms)
    assert told(town, box)[-4:] == [
        ("custody.release", "accepted", None),
        ("released_not_accepted", "released", None, None),
        ("verdict", "overdue", None),
        ("overdue", "due_by_passed", None, None),
    ]
    assert history(town, box)["open_gaps"] == 2
    town.ok(town.accept(release.hash, [box]))
    ends = [row["ended_by"] for row in history(town, box)["items"] if row["kind"] == "gap"]
    assert ends == ["accepted", "accepted"]


def test_rejected_goods_and_unsolicited_receipts_are_gaps_that_end_by_signature(town: Town):
    box, _ = town.sealed_box()
    release = town.release([box])
    town.ok(release)
    reject = {"release": release.hash, "reason": "BROKEN"}
    town.ok(
        town.act(
            town.ppk1, "custody.reject", reject, place=s.PPK, capacity="taker", after=[release.hash], ppk2="second"
        )
    )
    town.ok(town.accept(None, [box], named=[box]))
    assert told(town, box)[-3:] == [
        ("custody.reject", "accepted", None),
        ("custody.accept", "accepted", None),
        ("uncertain", "unsolicited_receipt", None, None),
    ]
    assert [row[2] for row in told(town, box) if row[0] == "released_not_accepted"] == ["rejected"]
    town.ok(town.act(town.kpu1, "quarantine.clear", {"reason": "CHECKED"}, [box], bws="approver"))
    gap = next(row for row in history(town, box)["items"] if row["kind"] == "gap" and row["gap"] == "uncertain")
    assert gap["ended_by"] == "quarantine_cleared"
    assert gap["to"]["index"] == town.size() - 1


# -- refused, waiting, corrected, retracted ---------------------------------------------------------------


def test_attempts_that_failed_and_events_that_waited_are_shown_as_such(town: Town):
    lot, _, load = loaded(town)
    release = town.release([load])
    early = town.accept(release.hash, [load])
    town.no(early, "pending_predecessor", "pending")
    before = town.size()
    town.ok(release)
    late = town.accept(release.hash, [load])
    town.no(late, "already_accepted")
    rows = [row for row in history(town, lot)["items"] if row["kind"] == "event"][-4:]
    assert [(r["type"], r["result"], r["code"], r["via"]) for r in rows] == [
        ("custody.accept", "pending", "pending_predecessor", load),
        ("custody.release", "accepted", "", load),
        ("verdict", "accepted", "", load),
        ("custody.accept", "refused", "already_accepted", load),
    ]
    assert rows[0]["outcome"] == {"result": "accepted", "index": before + 1}
    assert rows[2]["about"] == rows[0]["event"] == early.hash
    assert rows[3]["about"] == release.hash
    gap = next(row for row in history(town, lot)["items"] if row["kind"] == "gap")
    assert (gap["from"]["index"], gap["to"]["index"]) == (before, before + 1)


def test_corrections_and_retractions_mark_what_they_are_about(town: Town):
    unit = town.blanks.pop()
    bound = town.commission(town.bind(unit, "BALLOT", contest="PILWALI", quantity=40))
    town.ok(bound)
    change = {"target": bound.hash, "unit": unit, "field": "contest", "value": "PILGUB", "reason": "TYPO"}
    correction = town.act(town.kpu1, "correction", change, [unit], ppk1="second")
    town.ok(correction)
    seen = town.inspected([unit])
    town.ok(seen)
    town.ok(town.act(town.kpu1, "retraction", {"target": seen.hash, "reason": "TYPO"}, ppk1="second"))
    rows = history(town, unit)["items"]
    assert [row["type"] for row in rows] == ["unit.commission", "correction", "inspection", "retraction"]
    assert rows[0]["corrected"] == [correction.hash]
    assert rows[2]["retracted"] == rows[3]["index"]
    then = history(town, unit, size=rows[1]["index"])["items"]
    assert [row["corrected"] for row in then] == [[]]
    assert history(town, unit, size=rows[3]["index"])["items"][-1]["retracted"] is None


@pytest.mark.parametrize(("type_", "code"), [("decision", "not_held"), ("verdict", "role")])
def test_nobody_writes_a_foreign_event_into_the_story_of_a_unit(town: Town, type_: str, code: str):
    """Only the service's own word brings in what does not name the unit; a claim to decide something does not."""
    mine, theirs = town.lot(5), town.lot(6)
    foreign = town.inspected([theirs])
    town.ok(foreign)
    before = [row["event"] for row in history(town, mine)["items"]]
    told = {"event": foreign.hash, "result": "accept", "reason": "X"}
    if type_ == "verdict":
        told = {"event": foreign.hash, "result": "accepted", "code": ""}
    claim = town.act(town.kpu1, type_, told, [mine], capacity="approver")
    town.no(claim, code)
    assert [row["event"] for row in history(town, mine)["items"]] == [*before, claim.hash]


# -- as known then ---------------------------------------------------------------------------------------


def test_history_at_a_size_is_what_history_was_then(town: Town):
    lot, box, load = loaded(town)
    then: dict[int, dict[str, Any]] = {}

    def send(signed: Any, *args: str) -> None:
        town.no(signed, *args) if args else town.ok(signed)
        then[town.size()] = history(town, lot)

    release = town.release([load], due="2024-12-01T12:00:00+08:00")
    send(town.accept(release.hash, [load]), "pending_predecessor", "pending")
    send(release)
    send(town.act(town.ppk1, "unit.unpack", {"parent": load}, [box], place=s.PPK, ppk2="second"))
    send(town.accept(None, [box], named=[box]))
    send(town.act(town.kpu1, "quarantine.clear", {"reason": "CHECKED"}, [box], bws="approver"))
    seen = town.inspected([load])
    send(seen)
    send(town.act(town.kpu1, "retraction", {"target": seen.hash, "reason": "TYPO"}, ppk1="second"))
    assert len(then) == 7
    for size, was in then.items():
        assert history(town, lot, size=size) == {**was, "size": size}


def test_pages_join_to_the_whole(town: Town):
    lot, _, load = loaded(town)
    town.hand_over([load])
    whole = history(town, lot)["items"]
    pages, after = [], None
    while True:
        page = history(town, lot, after=after, limit=2)
        pages += page["items"]
        after = page["next"]
        if after is None:
            break
    assert pages == whole


def test_the_number_of_statements_does_not_depend_on_length(town: Town):
    short, long = town.lot(5), town.lot(5)
    town.ok(town.commission({"act": "alias", "unit": long, "code": "KPU/LONG/1"}))
    for lot in (short, long):
        box, load = town.box(), town.load()
        town.ok(town.pack(box, lot))
        if lot is long:
            for _ in range(30):
                town.ok(town.inspected([lot]))
                town.ok(town.inspected([box]))
        town.ok(town.pack(load, box))
        town.hand_over([load])
    for named in (short, long, "KPU/LONG/1"):
        assert asked(town, named) == 2
        assert asked(town, named, viewer=officer(s.KPU, s.CITY)) == 2
        assert asked(town, named, size=town.size() - 5, limit=3) == 2
    assert len(history(town, long)["items"]) > 60


def test_what_does_not_name_the_unit_costs_one_statement_more(town: Town):
    """The count sees a third statement where there is one: a retraction, and a label that was printed again."""
    lot, fresh = town.lot(5), town.blanks.pop()
    assert asked(town, lot) == 2
    seen = town.inspected([lot])
    town.ok(seen)
    town.ok(town.act(town.kpu1, "retraction", {"target": seen.hash, "reason": "TYPO"}, ppk1="second"))
    assert asked(town, lot) == 3
    other = town.lot(5)
    town.ok(town.commission({"act": "reprint", "unit": fresh, "of": other}))
    assert asked(town, fresh) == 3


def asked(town: Town, named: str, *, viewer: Any = None, **kwargs: Any) -> int:
    """Return how many statements a history costs, without BEGIN."""
    with statements(town) as ran:
        ask(town, unit_history, viewer or auditor(), named, **kwargs)
    return sum(sql.startswith(("SELECT", "WITH")) for sql, _ in ran)


# -- names -----------------------------------------------------------------------------------------------


def test_a_unit_is_found_by_label_as_typed_and_by_foreign_code(town: Town):
    unit = town.lot(5)
    fresh = town.blanks.pop()
    town.ok(town.commission({"act": "alias", "unit": unit, "code": "KPU/KOTAK/1"}))
    for named in (unit, group4(unit).lower(), "KPU/KOTAK/1"):
        assert history(town, named)["unit"] == unit
    town.ok(town.commission({"act": "reprint", "unit": fresh, "of": unit}))
    town.ok(town.act(town.kpu1, "sighting", {}, [unit], capacity="witness"))
    town.no(town.release([unit]), "label_retired")
    with pytest.raises(MissingError) as retired:
        history(town, unit)
    assert (retired.value.code, retired.value.facts["successor"]) == ("label_retired", fresh)
    assert history(town, fresh)["unit"] == unit
    assert [row[:2] for row in told(town, fresh)][-2:] == [
        ("sighting", "accepted"),
        ("custody.release", "label_retired"),
    ]
    town.no(
        town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [fresh], kpu2="witness"),
        "policy_unmet",
    )
    assert told(town, fresh)[-1] == ("unit.void", "policy_unmet", None)


def test_unknown_and_misread_labels(town: Town):
    for named in (town.fresh_ids(1)[0], "KPU/NONE", town.blanks[0]):
        with pytest.raises(MissingError) as missing:
            history(town, named)
        assert missing.value.code == "not_found"
    wrong = town.blanks[0]
    with pytest.raises(MalformedError) as misread:
        history(town, wrong[:-1] + ("0" if wrong[-1] != "0" else "1"))
    assert misread.value.code == "label_checksum"
    spoiled = town.blanks.pop()
    town.ok(town.commission({"act": "retire", "unit": spoiled, "reason": "SPOILED"}))
    with pytest.raises(MissingError) as retired:
        history(town, spoiled)
    assert (retired.value.code, retired.value.facts["successor"]) == ("label_retired", None)


# -- state -----------------------------------------------------------------------------------------------


def test_state_tells_three_facets_through_the_outermost_container(town: Town):
    lot, box, load = loaded(town)
    release = town.release([load], (s.KPU, s.PPK))
    town.ok(release)
    state = ask(town, unit_state, auditor(), lot, now_ms=town.now_ms, contents_limit=1)
    custody = state["custody"]
    assert (custody["status"], custody["agency"], custody["place"], custody["via"]) == (
        "released",
        s.KPU,
        s.WAREHOUSE,
        load,
    )
    assert [c["unit"] for c in state["containment"]] == [box, load]
    assert (state["lifecycle"], state["condition"]["condition"], state["quantity"]) == ("allocated", "good", 103)
    assert state["handover"]["release"] == release.hash
    assert state["handover"]["status"] == "open"
    row = town.unit(lot)
    assert state["chain"] == {"seq": row["seq"], "head": row["head"]}
    assert state["label"]["label"] == lot
    outer = ask(town, unit_state, auditor(), load, now_ms=town.now_ms)
    assert outer["contents"] == {
        "count": 1, "next": None,
        "items": [{
            "unit": box, "item": "BOX_TPS", "contest": "PILGUB", "quantity": 1, "condition": "good", "lifecycle": "sealed",
            "destination": s.TPS1, "sealed": True, "children": 1,
        }],
    }  # fmt: skip
    sealed = ask(town, unit_state, auditor(), box, now_ms=town.now_ms)
    assert [seal["point"] for seal in sealed["condition"]["seals"]] == [1]
    assert sealed["effective_sensitivity"] == "accountable"


def test_state_tells_flags_and_open_discrepancies(town: Town):
    box = town.box()  # empty: what is packed for a station that has more than its kit is a row of its own
    town.ok(town.seal(box, f"KT-{box[:8]}"))
    wrong = [{"unit": box, "point": 1, "number": "KT-WRONG", "finding": "intact"}]
    town.ok(town.act(town.kpu1, "seal.inspect", {"seals": wrong}, [box], capacity="witness"))
    state = ask(town, unit_state, auditor(), box, now_ms=town.now_ms)
    assert [flag["flag"] for flag in state["flags"]] == ["quarantine"]
    assert state["discrepancies"]["open"] == 1
    assert state["discrepancies"]["items"][0]["rule"] == "SEAL_MISMATCH"


def test_contents_page(town: Town):
    load = town.load()
    boxes = sorted(town.box() for _ in range(3))
    town.ok(town.pack(load, *boxes))
    first = ask(town, unit_state, auditor(), load, now_ms=town.now_ms, contents_limit=2)["contents"]
    rest = ask(town, unit_state, auditor(), load, now_ms=town.now_ms, contents_after=first["next"])["contents"]
    assert [c["unit"] for c in (*first["items"], *rest["items"])] == boxes
    assert (first["count"], rest["next"]) == (3, None)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_history_of_a_long_journey_accounts_for_its_chain(backend, request, tmp_path):
    request.param = backend
    with new_town(request, tmp_path) as town:
        play(town)
        for unit, seq, label in town.query("SELECT unit, seq, label FROM unit"):
            rows = [row for row in history(town, label)["items"] if row["kind"] == "event"]
            assert [row["seq"] for row in rows if row["seq"] is not None] == list(range(1, seq + 1)), unit
            assert [row["index"] for row in rows] == sorted({row["index"] for row in rows})


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_history_never_walks_the_ledger(backend, request, tmp_path):
    """Every step over a growing table searches by a whole key, not by a range of the ledger (SQLite's own plan)."""
    request.param = backend
    with new_town(request, tmp_path) as town:
        plans_search_by_key(town)


def plans_search_by_key(town: Town) -> None:
    """Ask for a history and hold every step of its plan to the rule."""
    lot, _, load = loaded(town)
    town.hand_over([load])
    with statements(town) as ran:
        history(town, lot)
        history(town, pointed_at_three_ways(town))
        ask(town, unit_state, auditor(s.CITY), lot, now_ms=town.now_ms)
    steps = plan_steps(town, ran)
    assert len(steps) > 40
    assert (
        walks(steps, ("event", "event_unit", "ledger_leaf", "discrepancy", "containment", "unit", *"exldcuahop")) == []
    )


def pointed_at_three_ways(town: Town) -> str:
    """Return a label whose history needs an event by hash, one by index, and one by another label's name."""
    lot, fresh = town.lot(5), town.blanks.pop()
    release = town.release([lot])
    early = town.act(
        town.ppk1, "custody.accept", {"release": release.hash, "scanned": {"n": 1, "hash": ids_commitment([lot])}},
        place=s.PPK, capacity="taker", ppk2="second",
    )  # fmt: skip
    town.no(early, "pending_predecessor", "pending")  # names no unit: only the verdict on it will
    town.ok(release)
    seen = town.inspected([lot], town.ppk1, s.PPK)
    town.ok(seen)
    town.ok(town.act(town.ppk1, "retraction", {"target": seen.hash, "reason": "TYPO"}, place=s.PPK, kpu1="second"))
    town.ok(town.commission({"act": "reprint", "unit": fresh, "of": lot}, phone=town.ppk1, place=s.PPK, ppk2="second"))
    rows = {row.get("event") for row in history(town, fresh)["items"]}
    assert {early.hash, release.hash, seen.hash} <= rows
    return fresh
