from tests import small as s
def test_a(town):
    box, lot = town.sealed_box()
    town.deliver(box)
    town.ok(town.open_at_station(box))
    print(town.rows(gaps=True))
    x = town.lot()
    town.refused(town.release([x], phone=town.pos1, pos2="second"), "not_holder")
