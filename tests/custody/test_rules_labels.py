"""Labels: issued once, bound once, retired for ever; and what may be bound to them (rules/labels.py)."""

import pytest

from app.audit.fsck_tables import document_kind
from app.units.records import keep_document
from tests import small as s


def issue(town, ids, *, data=None, count=None):
    """Keep a list, as a door would beside the event, and sign the event that commits to it."""
    data = "".join(f"{i}\n" for i in sorted(ids)).encode() if data is None else data
    with town.db.write() as session:
        content = keep_document(session, town.recorder.ledger_id, document_kind(data), data)
    told = {"count": count or len(ids), "ids_hash": content}
    return town.act(town.kpu1, "labels.issue", told, place=s.CITY), {content: data}


# -- issue ---------------------------------------------------------------------------------------------


def test_a_block_is_issued(town):
    ids = town.fresh_ids(3)
    signed, documents = issue(town, ids)
    town.accepted(signed, documents=documents)
    assert town.query(f"SELECT status, block, unit FROM label WHERE label = '{ids[0]}'") == [
        ("blank", signed.hash, None)
    ]


def test_a_list_that_was_not_sent_is_missing(town):
    signed = town.act(town.kpu1, "labels.issue", {"count": 1, "ids_hash": "B" * 43}, place=s.CITY)
    town.refused(signed, "ids_missing")


def test_a_list_that_was_sent_before_is_found_and_an_issue_that_waits_finds_it_later(town):
    ids = town.fresh_ids(2)
    seen = town.act(town.bws, "sighting", {}, capacity="witness")
    signed, documents = issue(town, ids)
    waiting = town.act(
        town.kpu1, "labels.issue", {"count": 2, "ids_hash": next(iter(documents))}, place=s.CITY, after=[seen.hash]
    )
    town.waits(waiting)
    town.accepted(seen)
    assert town.outcome(waiting) == ("accepted", "")
    town.refused(signed, "label_exists")


@pytest.mark.parametrize(
    "data", [b"HELLO\n", "ÄÖÜÄÖÜÄÖÜÄÖÜÄÖÜ12\n".encode(), b"\xff\xfe\x00\n", b"0000000000000000Z\n", b"", b"\n\n"]
)
def test_a_list_holds_unit_ids_one_a_line(town, data):
    signed, documents = issue(town, [], data=data, count=1)
    town.refused(signed, "label_checksum" if data else "count", documents=documents)


def test_a_list_is_sorted_and_ends_its_lines(town):
    a, b = town.fresh_ids(2)
    signed, documents = issue(town, [], data=f"{b}\n{a}\n".encode(), count=2)
    town.refused(signed, "label_checksum", documents=documents)
    signed, documents = issue(town, [], data=f"{a}\n{b}".encode(), count=2)
    town.refused(signed, "label_checksum", documents=documents)


def test_a_list_repeats_no_id(town):
    (one,) = town.fresh_ids(1)
    signed, documents = issue(town, [], data=f"{one}\n{one}\n".encode(), count=2)
    town.refused(signed, "count", documents=documents)


def test_a_list_is_as_long_as_the_event_says(town):
    signed, documents = issue(town, town.fresh_ids(2), count=3)
    town.refused(signed, "count", documents=documents)


def test_an_id_is_issued_once(town):
    signed, documents = issue(town, [*town.fresh_ids(1), town.blanks[0]])
    town.refused(signed, "label_exists", documents=documents)


def test_an_id_of_a_unit_is_not_issued_again(town):
    signed, documents = issue(town, [town.lot()])
    town.refused(signed, "label_exists", documents=documents)


def test_labels_are_issued_by_a_giver(town):
    ids = town.fresh_ids(1)
    _, documents = issue(town, ids)
    told = {"count": 1, "ids_hash": next(iter(documents))}
    town.refused(town.act(town.kpu1, "labels.issue", told, capacity="witness"), "policy_unmet", documents=documents)


# -- bind ----------------------------------------------------------------------------------------------


def ballots(town, **more):
    line = town.bind(town.blanks.pop(), "BALLOT", contest="PILGUB", district="64", quantity=50)
    return {name: value for name, value in (line | more).items() if value is not None}


def test_a_unit_comes_to_be_and_is_counted(town):
    line = ballots(town, source="print", condition="damaged")
    receipt = town.accepted(town.commission(line))
    unit = town.unit(line["unit"])
    assert (unit["lifecycle"], unit["custody"], unit["agency"], unit["officer"], unit["place"], unit["quantity"]) == (
        "registered", "held", s.KPU, "KPU-1", s.WAREHOUSE, 50,
    )  # fmt: skip
    assert (unit["sensitivity"], unit["effective"], unit["agencies"]) == ("accountable", "accountable", [s.KPU])
    assert town.tallies(receipt.index) == {("in:print", "PILGUB"): 50, ("is:damaged", "PILGUB"): 50}
    assert town.query(f"SELECT status, unit FROM label WHERE label = '{line['unit']}'") == [("bound", line["unit"])]


def test_an_empty_lot_starts_checked_and_at_zero(town):
    line = ballots(town, quantity=0, source="empty")
    receipt = town.accepted(town.commission(line))
    assert town.unit(line["unit"])["lifecycle"] == "checked"
    assert town.tallies(receipt.index) == {}


def test_a_label_that_was_never_issued_is_not_bound(town):
    stranger = town.fresh_ids(1)[0]
    town.refused(
        town.commission(town.bind(stranger, "BOX_TPS")), "unknown_label", ("UNKNOWN_LABEL", stranger, None, s.WAREHOUSE)
    )


def test_a_bound_label_is_not_bound_again(town):
    town.refused(town.commission(town.bind(town.box(), "BOX_TPS")), "label_not_blank")


def test_the_units_of_a_commission_are_those_of_its_lines(town):
    lines = [town.bind(town.blanks.pop(), "BOX_TPS")]
    other = town.blanks[0]
    town.refused(town.act(town.kpu1, "unit.commission", {"lines": lines}, [other], kpu2="second"), "units_mismatch")


def test_a_label_stands_in_one_line(town):
    line = town.bind(town.blanks.pop(), "BOX_TPS")
    signed = town.act(town.kpu1, "unit.commission", {"lines": [line, line]}, [line["unit"]], kpu2="second")
    town.refused(signed, "units_mismatch")


def test_all_lines_take_effect_or_none(town):
    good = town.bind(town.blanks.pop(), "BOX_TPS")
    bad = town.bind(town.blanks.pop(), "BOX_TPS", quantity=2)
    town.refused(town.commission(good, bad), "quantity")


def test_an_item_is_of_the_catalogue(town):
    town.refused(town.commission(town.bind(town.blanks.pop(), "ROCKET")), "unknown_item")


def test_one_thing_counts_one(town):
    town.refused(town.commission(town.bind(town.blanks.pop(), "BOX_TPS", quantity=2)), "quantity")


def test_an_empty_lot_counts_zero(town):
    town.refused(town.commission(ballots(town, source="empty", quantity=1)), "quantity")


def test_ballots_are_never_bound_without_their_contest(town):
    town.refused(town.commission(ballots(town, contest=None)), "contest_missing")


def test_a_contest_is_of_the_election(town):
    town.refused(town.commission(ballots(town, contest="PILPRES")), "unknown_contest")


@pytest.mark.parametrize("place", ["ATLANTIS", s.PPK])
def test_a_destination_is_a_polling_station(town, place):
    town.refused(town.commission(ballots(town, destination=place)), "wrong_destination")


def test_goods_for_a_station_are_of_its_district(town):
    line = ballots(town, contest="PILWALI", district="DAPIL-2", destination=s.TPS1)
    town.refused(town.commission(line), "dapil_mismatch", ("WRONG_DAPIL", line["unit"], None, s.TPS1))
    town.accepted(town.commission({**line, "district": "DAPIL-1"}))


@pytest.mark.usefixtures("mended")
def test_goods_for_a_station_are_of_a_contest_held_there(town):
    stations = [{**s.station(s.TPS1, 100), "districts": []}]
    stations[0]["kit"] = []
    town.put_plan(s.plan(stations=stations))
    line = ballots(town, destination=s.TPS1)
    town.refused(town.commission(line), "wrong_contest", ("WRONG_KIND", line["unit"], None, s.TPS1))


def test_accountable_goods_are_commissioned_by_two(town):
    town.refused(town.commission(ballots(town), gov="witness"), "policy_unmet")


# -- reprint, alias, retire ----------------------------------------------------------------------------


def test_a_reprint_retires_the_old_label(town):
    lot, label = town.lot(), town.blanks.pop()
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    assert town.query(f"SELECT status, successor FROM label WHERE label = '{lot}'") == [("retired", label)]
    assert town.query(f"SELECT status, unit FROM label WHERE label = '{label}'") == [("bound", lot)]
    assert town.unit(lot)["label"] == label
    town.refused(town.release([lot]), "label_retired", ("RETIRED_LABEL", lot, None, s.WAREHOUSE))


def test_a_reprint_of_a_reprint_retires_the_first_reprint(town):
    lot, first, second = town.lot(), town.blanks.pop(), town.blanks.pop()
    town.accepted(town.commission({"act": "reprint", "unit": first, "of": lot}))
    town.accepted(town.commission({"act": "reprint", "unit": second, "of": first}))
    assert town.query(f"SELECT status, successor FROM label WHERE label = '{first}'") == [("retired", second)]
    assert town.unit(lot)["seq"] == 4


def test_a_reprint_takes_a_blank_label(town):
    town.refused(town.commission({"act": "reprint", "unit": town.box(), "of": town.lot()}), "label_not_blank")


def test_only_the_holder_reprints(town):
    line = {"act": "reprint", "unit": town.blanks.pop(), "of": town.lot()}
    town.refused(town.commission(line, phone=town.pos1, pos2="second"), "not_holder")


def test_a_retired_label_raises_the_alarm_when_it_is_seen(town):
    lot, label = town.lot(), town.blanks.pop()
    town.accepted(town.commission({"act": "reprint", "unit": label, "of": lot}))
    seen = town.act(town.bws, "sighting", {}, [lot], capacity="witness")
    town.accepted(seen, ("RETIRED_LABEL", lot, None, s.WAREHOUSE))


def test_a_foreign_code_is_bound_once(town):
    box, other = town.box(), town.box()
    line = {"act": "alias", "unit": box, "code": "KPU/2024/0001"}
    code = f"KPU/{box}"
    town.accepted(town.commission(line | {"code": code}))
    assert town.query(f"SELECT unit FROM alias WHERE code = '{code}'") == [(box,)]
    assert town.unit(box)["seq"] == 2
    town.refused(town.commission(line | {"unit": other, "code": code}), "alias_exists")


def test_only_the_holder_binds_a_foreign_code(town):
    line = {"act": "alias", "unit": town.box(), "code": "X-1"}
    town.refused(town.commission(line, phone=town.pos1, pos2="second"), "not_holder")


def test_a_spoiled_blank_is_retired_and_never_used(town):
    label = town.blanks.pop()
    town.accepted(town.commission({"act": "retire", "unit": label, "reason": "SPOILED"}))
    town.refused(town.commission(town.bind(label, "BOX_TPS")), "label_not_blank")
    seen = town.act(town.bws, "sighting", {}, [label], capacity="witness")
    town.accepted(seen, ("RETIRED_LABEL", label, None, s.WAREHOUSE), ("UNKNOWN_LABEL", label, None, s.WAREHOUSE))


def test_a_bound_label_is_not_retired(town):
    town.refused(town.commission({"act": "retire", "unit": town.box(), "reason": "SPOILED"}), "label_not_blank")


def test_a_label_that_was_never_issued_is_not_retired(town):
    line = {"act": "retire", "unit": town.fresh_ids(1)[0], "reason": "SPOILED"}
    town.refused(town.commission(line), "label_not_blank")


def test_an_unknown_label_in_a_command_is_refused_and_reported(town):
    stranger = town.fresh_ids(1)[0]
    town.refused(town.release([stranger]), "unknown_label", ("UNKNOWN_LABEL", stranger, None, s.WAREHOUSE))


def test_a_wrong_check_character_is_not_even_recorded(town):
    lot = town.lot()
    wrong = lot[:-1] + ("0" if lot[-1] != "0" else "1")
    town.unrecorded(town.release([wrong]), "label_checksum")
