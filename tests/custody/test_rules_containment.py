"""What may lie in what: one parent, no cycle, and only what belongs to the station (rules/containment.py)."""

from tests import small as s


def test_packing_links_both_and_allocates(town):
    lot, box = town.lot(103), town.box()
    receipt = town.accepted(town.pack(box, lot))
    child, parent = town.unit(lot), town.unit(box)
    assert (child["parent"], child["destination"], child["lifecycle"]) == (box, s.TPS1, "allocated")
    assert (parent["lifecycle"], parent["children"], parent["effective"]) == ("allocated", 1, "accountable")
    assert {link.unit for link in receipt.links} == {lot, box}
    assert town.tallies(receipt.index) == {("allocated", "PILGUB"): 103}
    assert town.query(f"SELECT parent, since_index, until_index FROM containment WHERE child = '{lot}'") == [
        (box, receipt.index, None)
    ]


def test_unpacking_gives_the_child_its_container_s_place(town):
    lot, load = town.lot(), town.load()
    town.ok(town.pack(load, lot))
    town.hand_over([load])
    receipt = town.accepted(town.act(town.ppk1, "unit.unpack", {"parent": load}, [lot], place=s.PPK, ppk2="second"))
    child = town.unit(lot)
    assert (child["parent"], child["place"], child["officer"], child["lifecycle"]) == (None, s.PPK, "PPK-1", "checked")
    assert (town.unit(load)["children"], town.unit(load)["effective"]) == (0, "general")
    assert {link.unit for link in receipt.links} == {lot, load}
    assert town.query(f"SELECT until_index FROM containment WHERE child = '{lot}'") == [(receipt.index,)]


def test_what_was_unpacked_remembers_who_held_its_container(town):
    lot, load = town.lot(), town.load()
    town.ok(town.pack(load, lot))
    release = town.release([load], (s.POS, s.TRUCK))
    town.ok(release)
    town.ok(town.accept(release.hash, [load], phone=town.pos1, place=s.TRUCK, pos2="second"))
    town.ok(town.act(town.pos1, "unit.unpack", {"parent": load}, [lot], place=s.TRUCK, pos2="second"))
    assert town.unit(lot)["agencies"] == [s.KPU, s.POS]
    assert town.unit(lot)["agency"] == s.POS


def test_unpacking_takes_back_the_allocation(town):
    lot, box = town.lot(103), town.box()
    town.ok(town.pack(box, lot))
    receipt = town.accepted(town.unpack(box, lot))
    child = town.unit(lot)
    assert (child["parent"], child["destination"], child["lifecycle"]) == (None, None, "checked")
    assert town.tallies(receipt.index) == {("allocated", "PILGUB"): -103}
    assert town.unit(box)["effective"] == "controlled"


def test_an_unsealed_box_keeps_its_destination_when_its_load_is_unpacked(town):
    lot, box, load = town.lot(), town.box(), town.load()
    town.ok(town.pack(box, lot))
    town.ok(town.pack(load, box))
    town.accepted(town.unpack(load, box))
    assert (town.unit(box)["lifecycle"], town.unit(box)["destination"]) == ("allocated", s.TPS1)


def test_a_packed_unit_keeps_its_chain_while_its_container_travels(town):
    box, lot = town.sealed_box()
    before = town.unit(lot)
    town.deliver(box)
    assert town.unit(lot) == before


def test_sensitivity_climbs_to_the_outermost_container_and_back(town):
    lot, load, outer = town.lot(), town.load(), town.load()
    town.ok(town.pack(outer, load))
    assert town.unit(outer)["effective"] == "general"
    town.ok(town.pack(load, lot))
    assert [town.unit(u)["effective"] for u in (load, outer)] == ["accountable", "accountable"]
    town.ok(town.unpack(load, lot))
    assert [town.unit(u)["effective"] for u in (load, outer)] == ["general", "general"]
    assert town.unit(outer)["contents"] == {"general": 1}


def test_a_container_does_not_contain_itself(town):
    load = town.load()
    town.refused(town.pack(load, load), "cycle")


def test_a_container_does_not_lie_inside_its_contents(town):
    inner, middle, outer = town.load(), town.load(), town.load()
    town.ok(town.pack(outer, middle))
    town.ok(town.pack(middle, inner))
    town.refused(town.pack(inner, outer), "cycle")


def test_a_unit_has_one_parent(town):
    lot, load, other = town.lot(), town.load(), town.load()
    town.ok(town.pack(load, lot))
    town.refused(town.pack(other, lot), "already_packed")


def test_only_the_holder_packs(town):
    town.refused(town.act(town.pos1, "unit.pack", {"parent": town.load()}, [town.lot()], pos2="second"), "not_holder")


def test_what_another_holds_is_not_packed(town):
    lot, load = town.lot(), town.load()
    town.ok(town.release([lot], (s.POS, s.TRUCK)))
    town.refused(town.pack(load, lot), "already_released")


def test_flagged_goods_are_not_packed(town):
    lot, load = town.lot(), town.load()
    town.ok(town.flag("quarantine.set", [lot]))
    town.refused(town.pack(load, lot), "quarantine")


def test_nothing_is_packed_into_a_flagged_container(town):
    lot, load = town.lot(), town.load()
    town.ok(town.flag("hold.set", [load]))
    town.refused(town.pack(load, lot), "hold")


def test_nothing_is_packed_into_a_sealed_container(town):
    box, _ = town.sealed_box()
    town.refused(town.pack(box, town.lot()), "sealed_parent")


def test_nothing_is_packed_into_a_container_inside_a_sealed_one(town):
    lot, inner, outer = town.lot(), town.load(), town.load()
    town.ok(town.pack(outer, inner))
    town.ok(town.seal(outer, f"O-{outer}"))
    town.refused(town.pack(inner, lot), "sealed_parent")


def test_container_and_contents_are_at_one_place(town):
    lot, load = town.lot(), town.load()
    release = town.release([load], (s.KPU, s.HALL), details={"internal": True}, kpu2="second")
    town.ok(release)
    town.ok(town.accept(release.hash, [load], phone=town.kpu3, place=s.HALL, kpu4="second"))
    town.refused(town.pack(load, lot), "other_place")


def test_a_box_takes_no_box_of_another_station(town):
    box, other = town.box(s.TPS1), town.box(s.TPS2)
    town.refused(town.pack(box, other), "wrong_destination")


def test_a_box_takes_no_ballots_of_another_contest(town):
    lot, box = town.lot(contest="PILWALI", district="DAPIL-1"), town.box(contest="PILGUB")
    town.refused(town.pack(box, lot), "wrong_contest", ("WRONG_KIND", lot, None, s.WAREHOUSE))


def test_a_box_takes_no_ballots_of_another_district(town):
    lot, box = town.lot(contest="PILWALI", district="DAPIL-2"), town.box(contest="PILWALI")
    town.refused(town.pack(box, lot), "dapil_mismatch", ("WRONG_DAPIL", lot, None, s.TPS1))


def test_wrong_ballots_do_not_slip_in_inside_a_carton(town):
    lot, carton, box = town.lot(contest="PILWALI", district="DAPIL-2"), town.load(), town.box(contest="PILWALI")
    town.ok(town.pack(carton, lot))
    town.refused(town.pack(box, carton), "packed")


def test_a_carton_that_went_in_empty_is_checked_when_it_is_filled(town):
    lot, carton, box = town.lot(contest="PILWALI", district="DAPIL-2"), town.load(), town.box(contest="PILWALI")
    town.ok(town.pack(box, carton))
    town.refused(town.pack(carton, lot), "dapil_mismatch", ("WRONG_DAPIL", lot, None, s.TPS1))


def test_damaged_ballots_are_not_packed_for_a_station(town):
    town.refused(town.pack(town.box(), town.lot(condition="damaged")), "not_good")


def test_ballots_are_inspected_before_they_are_packed(town):
    town.refused(town.pack(town.box(), town.lot(checked=False)), "not_checked")


def test_a_voided_unit_is_not_packed(town):
    lot, load = town.lot(), town.load()
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK-1", "reason": "WET"}, [lot], kpu2="second"))
    town.refused(town.pack(load, lot), "state")


def test_only_the_holder_unpacks(town):
    lot, load = town.lot(), town.load()
    town.ok(town.pack(load, lot))
    town.refused(town.act(town.pos1, "unit.unpack", {"parent": load}, [lot], pos2="second"), "not_holder")


def test_nothing_is_taken_out_of_a_sealed_container(town):
    box, lot = town.sealed_box()
    town.refused(town.unpack(box, lot), "sealed_parent")


def test_nothing_is_taken_out_of_a_container_inside_a_sealed_one(town):
    lot, inner, outer = town.lot(), town.load(), town.load()
    town.ok(town.pack(outer, inner))
    town.ok(town.pack(inner, lot))
    town.ok(town.seal(outer, f"U-{outer}"))
    town.refused(town.unpack(inner, lot), "sealed_parent")


def test_nothing_is_taken_out_of_a_flagged_container(town):
    lot, load = town.lot(), town.load()
    town.ok(town.pack(load, lot))
    town.ok(town.flag("hold.set", [load]))
    town.refused(town.unpack(load, lot), "hold")


def test_only_what_is_inside_is_taken_out(town):
    lot, load, other = town.lot(), town.load(), town.load()
    town.ok(town.pack(other, lot))
    town.refused(town.unpack(load, lot), "not_inside")


def unpack_at_the_station(town, parent, child):
    return town.act(town.tps1, "unit.unpack", {"parent": parent}, [child], place=s.TPS1, tps2="second")


def test_ballots_are_not_taken_out_behind_the_secrecy_wall(town):
    box, lot = town.opened_box()
    town.refused(unpack_at_the_station(town, box, lot), "secrecy_wall")


def test_a_carton_inside_the_opened_box_is_behind_the_wall_too(town):
    lot, carton, box = town.lot(), town.load(), town.box()
    town.ok(town.pack(box, carton))
    town.ok(town.pack(carton, lot))
    town.ok(town.seal(box, f"C-{box}"))
    town.deliver(box)
    town.ok(town.open_at_station(box))
    town.refused(unpack_at_the_station(town, carton, lot), "secrecy_wall")
