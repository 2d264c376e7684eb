"""The synthetic split reproduces the published figures, and the plan made of it is whole."""

import json
import re
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from app.cli.demo import documents as doc
from app.cli.demo import figures, irregular, trips
from app.cli.demo.chapters.c04_sorting import DAMAGED
from app.cli.demo.figures import FILE, load_figures
from app.cli.demo.plan import evenly, largest_remainder, stations, totals
from app.units.documents import Plan, Policy, parse_document
from app.units.plancheck import check

FIGURES = load_figures()
NOVEMBER = FIGURES["election_nov_2024"]
SPLIT = NOVEMBER["synthetic_split"]
STATIONS = stations(FIGURES)


def test_there_are_277_stations_with_134567_voters_and_3507_ballots_in_reserve():
    assert len(STATIONS) == NOVEMBER["polling_stations"] == 277
    assert sum(s.voters for s in STATIONS) == NOVEMBER["voters"] == 134_567
    assert sum(s.reserve for s in STATIONS) == NOVEMBER["ballots_breakdown"]["reserve"] == 3_507
    assert sum(s.ballots for s in STATIONS) == 138_074
    assert max(s.voters for s in STATIONS) == SPLIT["largest_station"] == 524


def test_districts_have_the_voters_that_the_file_says():
    found = totals(STATIONS)
    assert {code: found[code] for code in SPLIT["districts"]} == SPLIT["districts"]
    assert sorted(SPLIT["districts"].values()) == [21_979, 50_739, 60_589]
    assert found["prison"] == 3 * 420


@pytest.mark.parametrize("village", FIGURES["villages"], ids=lambda v: v["name"])
def test_a_village_has_the_voters_and_stations_that_the_file_says(village):
    mine = [s for s in STATIONS if s.village == village["code"]]
    assert sum(s.voters for s in mine) == village["voters_nov_2024_synthetic"]
    assert [s.number for s in mine] == list(range(1, village["tps_nov_2024"] + 1))
    assert [s.voters for s in mine] == sorted((s.voters for s in mine), reverse=True)
    assert max(s.voters for s in mine) - min(s.voters for s in mine) <= 1


def test_the_prison_stations_hang_on_the_city():
    prison = [s for s in STATIONS if s.village is None]
    assert [(s.number, s.voters, s.district) for s in prison] == [(n, 420, None) for n in (601, 602, 603)]


def test_largest_remainder_gives_the_odd_ones_to_the_largest_remainders():
    assert largest_remainder(10, [1, 1, 1]) == [4, 3, 3]
    assert largest_remainder(7, [60, 30, 10]) == [4, 2, 1]
    assert evenly(8, 3) == [3, 3, 2]


def test_policy_and_plan_are_documents_that_the_service_takes():
    policy = parse_document(json.dumps(doc.policy_document(FIGURES, STATIONS)).encode())
    plan = parse_document(json.dumps(doc.plan_document(FIGURES, STATIONS)).encode())
    assert isinstance(policy, Policy)
    assert isinstance(plan, Plan)
    assert plan.synthetic
    assert Counter(p.kind for p in policy.places)["TPS"] == 274
    assert all(policy.within(s.place, doc.CITY) for s in plan.stations)
    assert sum(line.quantity for s in plan.stations for line in s.kit if line.item == doc.BALLOT) == 2 * 138_074


def test_the_plan_agrees_with_the_policy():
    policy, plan = (
        parse_document(json.dumps(made(FIGURES, STATIONS)).encode())
        for made in (doc.policy_document, doc.plan_document)
    )
    assert check(plan, policy) == []
    assert {len(station.route) for station in plan.stations} == {0, 2}


def test_the_plan_takes_what_was_received_and_leaves_the_published_surplus():
    plan = doc.plan_document(FIGURES, STATIONS)
    needed: Counter[str] = Counter()
    for station in plan["stations"]:
        needed.update({line["item"]: line["quantity"] for line in station["kit"] if line["item"] != doc.BALLOT})
    left = {item: NOVEMBER["equipment_received"][item] - n for item, n in needed.items()}
    assert left == {doc.BOX: 6, doc.BOOTH: 0, doc.INK: 0, doc.TIE: 0, doc.STICKER: 45}


def test_nine_truck_runs_take_58_to_60_boxes_and_boats_and_the_prison_the_rest():
    trucks, boats = trips.by_truck(STATIONS), trips.by_boat(STATIONS)
    boxes = {
        run: 2 * sum(len(load.stations) for load in loads) for run, loads in groupby(trucks, lambda load: load.run)
    }
    assert len(boxes) == 9
    assert set(boxes.values()) <= {58, 60}
    assert sum(boxes.values()) + 2 * sum(len(load.stations) for load in boats) + 6 == 554
    assert [load.stations[0].island for load in boats] == ["Pulau Gusung", "Selangan", "Tihi-Tihi", "Malahing"]
    first = [s.village for load in trucks[:3] for s in load.stations]
    assert list(dict.fromkeys(first))[:3] == ["64.74.01.1003", "64.74.01.1004", "64.74.01.1006"]
    served = [s.place for load in (*trucks, *boats) for s in load.stations]
    assert sorted(served) == sorted(s.place for s in STATIONS if s.village)


def test_the_unescorted_run_and_the_late_village_are_one_load_each():
    trucks = trips.by_truck(STATIONS)
    assert len([load for load in trucks if load.run == irregular.UNESCORTED_RUN]) == 1
    late = [load for load in trucks if any(s.village == irregular.LATE_VILLAGE for s in load.stations)]
    assert [load.run for load in late] == [9]


def test_damage_by_reason_adds_up_to_the_published_sums():
    assert {contest: sum(n for _, n in by) for contest, by in DAMAGED.items()} == NOVEMBER["damaged_destroyed"]
    destroyed = [*NOVEMBER["damaged_destroyed"].values(), *NOVEMBER["excess_destroyed"].values()]
    assert sum(destroyed) == NOVEMBER["destroyed_total"] == 407


def test_the_packaged_figures_keep_their_sources_and_licences():
    text = (Path(figures.__file__).parent / "data" / FILE).read_text(encoding="utf-8")
    assert json.loads(text) == FIGURES
    assert "ODbL" in FIGURES["licence"]
    assert len(FIGURES["sources"]) >= 10


def test_the_demonstration_is_a_client_but_for_the_operators_part():
    folder = Path(figures.__file__).parent
    rooms = re.compile(r"^(?:from|import) app\.(custody|db|ledger|audit|web|exchange)\b", re.MULTILINE)
    inside = {path.name: set(rooms.findall(path.read_text(encoding="utf-8"))) for path in folder.rglob("*.py")}
    assert {name: found for name, found in inside.items() if found} == {
        "founding.py": {"custody", "db", "ledger"},  # the operator: tables, keys, genesis
        "prove.py": {"audit"},  # the offline verifier, which anybody may run
    }
