"""The simulated nation adds up to what is published, a fraction of it keeps its proportions, and its story counts."""

from collections import Counter
from fractions import Fraction

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.simulate import documents, facts
from app.cli.simulate.counts import ADDED, counts, labels, officers
from app.cli.simulate.facts import GENERAL, REGIONAL, ROWS
from app.cli.simulate.journey import goods_of
from app.cli.simulate.nation import ELECTIONS, nation
from app.cli.simulate.running import refuse_too_large
from app.cli.simulate.sample import boxes, parse_fraction, part, sample
from app.cli.simulate.shares import even, largest_remainder, nested
from app.cli.simulate.story import SIGNATURES, Station, Stops, village_acts
from app.cli.simulate.tables import plan_of
from app.errors import MalformedError, RefusedError
from app.units.documents import document_hash, parse_document

SEED = 2024
SMALL, LARGE = Fraction(1, 4000), Fraction(1, 2000)
weights = st.lists(st.integers(0, 5000), min_size=1, max_size=30).filter(any)


def canon(document):
    return orjson.dumps(document)


# -- facts and shares ------------------------------------------------------------------------------------


def test_the_rows_add_up_to_what_is_published():
    assert len(ROWS) == facts.PROVINCES
    assert len({row.code for row in ROWS}) == len({row.name for row in ROWS}) == facts.PROVINCES
    assert (sum(row.regencies for row in ROWS), sum(row.cities for row in ROWS)) == (416, 98)
    assert sum(row.voters for row in ROWS) == facts.VOTERS_HOME
    assert facts.CITIES == 416 + 98


def test_a_slip_of_the_pen_in_a_row_is_noticed():
    """Control: one voter more, and the sum is another."""
    assert sum(row.voters for row in (ROWS[0]._replace(voters=ROWS[0].voters + 1), *ROWS[1:])) != facts.VOTERS_HOME


def test_the_nation_is_exactly_the_published_one():
    whole = nation()
    home = whole.provinces[:-1]
    assert whole.stations == {GENERAL: 823_220, REGIONAL: 435_296}
    assert whole.boxes[GENERAL] == 4_164_552
    assert len(home) == 38
    assert sum(len(province.cities) for province in home) == 514
    assert sum(province.districts for province in home) == 7_277
    assert sum(province.villages for province in home) == 83_731
    assert whole.provinces[-1].stations(GENERAL) == 3_059
    assert {p.code: p.stations(GENERAL) for p in home if p.published} == {
        r.code: r.stations for r in ROWS if r.stations
    }
    assert all(p.stations(REGIONAL) == r.november for p, r in zip(home, ROWS, strict=True) if r.november)
    assert 1_800_000 < whole.cartons[GENERAL] < 1_820_000  # the reference derives 1.81 M
    assert sum(row["stations_general"] for row in plan_of(whole)["provinces"]) == 823_220
    cities = [city for row in plan_of(whole)["provinces"] for city in row["per_city"]]
    assert sum(city["boxes_general"] for city in cities) == 4_164_552


def test_every_village_has_stations_of_both_elections():
    for province in nation().provinces[:-1]:
        for city in province.cities:
            for election in ELECTIONS:
                assert even(city.stations[election], city.villages)[-1] > 0


@given(st.integers(0, 10**6), weights)
def test_largest_remainders_add_up_and_stay_within_one_of_the_share(total, parts):
    found = largest_remainder(total, parts)
    assert sum(found) == total
    assert all(abs(got - Fraction(total * weight, sum(parts))) < 1 for got, weight in zip(found, parts, strict=True))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any))
def test_a_smaller_sample_lies_inside_a_larger_one(sizes):
    last = [0] * len(sizes)
    for wanted in range(sum(sizes) + 1):
        found = nested(wanted, sizes)
        assert sum(found) == wanted
        assert all(a <= b <= size for a, b, size in zip(last, found, sizes, strict=True))
        shares = [Fraction(wanted * size, sum(sizes)) for size in sizes]
        assert all(abs(got - share) < 1 for got, share in zip(found, shares, strict=True))
        last = found
    assert last == sizes


def test_with_largest_remainders_it_would_not():
    """Control: the paradox for whose sake a sample is taken otherwise."""
    ten, eleven = largest_remainder(10, [6, 6, 2]), largest_remainder(11, [6, 6, 2])
    assert (ten, eleven) == ([4, 4, 2], [5, 5, 1])
    assert nested(10, [6, 6, 2])[2] <= nested(11, [6, 6, 2])[2]


# -- fractions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("1/2000", LARGE), ("0.0005", LARGE), (".5", Fraction(1, 2)), ("1", 1)])
def test_fractions_are_read(text, value):
    assert parse_fraction(text) == value


@pytest.mark.parametrize(
    "text", ["0", "0/5", "0.0", "1/0", "1/00", "2", "3/2", "1.01", "-1/2", "-0.5", "1e-3", "1e-999999999", "", " 1", "x",
             "1/2/3", "½", "١/٢", "nan", "inf", "1/", "/2", "0.", "1_0/20"],
)  # fmt: skip
def test_what_is_no_fraction_of_a_nation_is_refused(text):
    with pytest.raises(MalformedError):
        parse_fraction(text)


@pytest.mark.parametrize("fraction", ["1/999999999", "1/100000", "1/4000", "1/2000", "1/333", "1/100", "1"])
def test_a_sample_keeps_the_proportions_and_is_never_empty(fraction):
    exact = parse_fraction(fraction)
    found = sample(nation(), exact, SEED)
    for election in ELECTIONS:
        assert found.stations(election) == max(1, part(exact, nation().stations[election]))
        for province in nation().provinces:
            mine = sum(v.stations[election] for v in found.villages if v.city.province == province.code)
            assert abs(mine - exact * province.stations(election)) <= 1
    assert sum(found.spares.values()) == part(exact, 88_395)
    if exact == 1:
        assert (boxes(found, GENERAL), len(found.villages)) == (4_164_552, 83_731 + 128)


def shape(found):
    return {village.place: tuple(village.stations.items()) for village in found.villages}


def test_the_small_sample_is_a_part_of_the_large_one_down_to_the_labels():
    few, many = (sample(nation(), fraction, SEED) for fraction in (SMALL, LARGE))
    held = {village.place: village.stations for village in many.villages}
    for village in few.villages:
        assert all(village.stations[election] <= held[village.place][election] for election in ELECTIONS)
    assert set(goods_of(few, "field", SEED).lines) < set(goods_of(many, "field", SEED).lines)
    assert set(dict(officers(few))) < set(dict(officers(many)))


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another():
    first, again, other = (sample(nation(), SMALL, seed) for seed in (1, 1, 2))
    assert shape(first) == shape(again) != shape(other)
    assert goods_of(first, "field", 1).lines == goods_of(again, "field", 1).lines != goods_of(first, "field", 2).lines
    assert first.stations(GENERAL) == other.stations(GENERAL)


# -- the story -------------------------------------------------------------------------------------------


def test_at_box_grain_a_box_has_the_sixteen_events_of_the_reference_and_three_more():
    acts = list(village_acts(Stops("c", "d", "v"), [Station("s", ["a", "b"], "k")], "box"))
    mine = Counter(act.type for act in acts if "b" in act.units)
    sixteen = {
        "count": 1,
        "seal.apply": 1,
        "inspection": 1,
        "seal.inspect": 1,
        "custody.release": 6,
        "custody.accept": 6,
    }
    assert mine == {**sixteen, "unit.commission": 1, "unit.open": 1, "unit.close": 1}
    assert sum(sixteen.values()) == 16


def test_at_field_grain_a_lorry_is_one_event():
    stations = [Station(f"s{n}", [f"{n}a", f"{n}b"], f"k{n}") for n in range(7)]
    acts = list(village_acts(Stops("c", "d", "v"), stations, "field"))
    [load] = [act for act in acts if act.type == "custody.release" and act.by == "c"]
    assert len(load.units) == 14
    releases = [act.handover for act in acts if act.type == "custody.release"]
    assert sorted(releases) == sorted(act.handover for act in acts if act.type == "custody.accept")
    assert len(set(releases)) == len(releases)


@pytest.mark.parametrize("grain", ["field", "box"])
def test_what_is_counted_is_what_the_goods_of_a_sample_do(grain):
    found = sample(nation(), LARGE, SEED)
    told, goods = counts(found, grain), goods_of(found, grain, SEED)
    acts = [(election, act) for (election, _), mine in goods.acts.items() for act in mine]
    for election in ELECTIONS:
        for phase in {act.phase for _, act in acts}:
            mine = [act for of, act in acts if (of, act.phase) == (election, phase)]
            links = sum(len(act.units) + (act.type == "unit.pack") for act in mine)
            signatures = sum(SIGNATURES[act.type] for act in mine)
            assert [told.phases[election, phase][what] for what in ADDED] == [len(mine), links, signatures]
    assert told.things["officers"] == sum(dict(officers(found)).values())
    assert told.things["units"] == len(goods.lines) == sum(labels(found).values())
    assert told.things["boxes"] == sum(line["item"] == documents.BOX for line in goods.lines.values())


def test_both_grains_make_the_same_links():
    found = sample(nation(), LARGE, SEED)
    field, box = counts(found, "field"), counts(found, "box")
    assert field.total("links") == box.total("links")
    assert field.total("events") < box.total("events")


# -- documents -------------------------------------------------------------------------------------------


def test_policy_and_plans_are_documents_that_the_rules_read():
    found = sample(nation(), LARGE, SEED)
    policy = parse_document(canon(documents.policy_document(found)))
    assert [election.date for election in policy.elections] == ["2024-02-14", "2024-11-27"]
    for election in ELECTIONS:
        plan = parse_document(canon(documents.plan_document(found, election)))
        assert len(plan.stations) == found.stations(election)
        assert {station.place for station in plan.stations} <= set(policy.place_by_id)
    assert {
        line["destination"] for line in goods_of(found, "field", SEED).lines.values() if "destination" in line
    } <= set(policy.place_by_id)
    assert document_hash(canon(documents.policy_document(found))) == document_hash(
        canon(documents.policy_document(sample(nation(), LARGE, SEED)))
    )


def test_a_city_of_average_size_fits_a_ledger_and_jawa_barat_does_not():
    rows = {row["code"]: row for row in plan_of(nation())["provinces"]}
    assert rows["11"]["ledgers"] == 1
    assert rows["32"]["ledgers"] > 1
    assert max(documents.places_of(city) for p in nation().provinces for city in p.cities) < documents.MAX_PLACES


def test_a_fraction_that_no_ledger_holds_is_refused_with_its_number():
    refuse_too_large([sample(nation(), Fraction(1, 50), SEED)])
    with pytest.raises(RefusedError, match="places"):
        refuse_too_large([sample(nation(), Fraction(1, 30), SEED)])
