"""Evidence of any unit passes under the pinned genesis, is the same bytes each time, and shows only what may be seen."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.bundle import read_bundle
from app.audit.evidence import build_evidence
from app.audit.leaf import read_leaf
from app.audit.verify import verify_bundle
from app.errors import MissingError
from app.keys.grants import Viewer
from tests import small as s
from tests.audit.books import BACKENDS, new_town, plan_steps, statements, walks
from tests.audit.journey import play, wander
from tests.custody.town import Town

AUDITOR = Viewer("auditor", s.BWS, None, frozenset({"auditor"}))
QUIET = {"policy_not_pinned", "container_open", "not_latest", "not_revoked", "device_gaps", "refusal_not_rejudged"}


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def genesis(town: Town) -> str:
    return str(town.one("SELECT genesis FROM ledger_state"))


def every_unit(town: Town) -> list[str]:
    return [row[0] for row in town.query("SELECT label FROM unit ORDER BY unit")]


def evidence(town: Town, unit: str, viewer: Viewer = AUDITOR, *, private: bool = False) -> bytes:
    with town.db.read() as session:
        return build_evidence(session, town.recorder.ledger_id, viewer, unit, private=private)


def check_all(town: Town) -> None:
    pinned = genesis(town)
    for unit in every_unit(town):
        report = verify_bundle(evidence(town, unit, private=True), genesis=pinned, origin=town.origin)
        assert report.result == "PASS", report.as_text()
        assert {reason.code for reason in report.reasons} <= QUIET, report.as_text()
        chain = town.query(f"SELECT leaf_index FROM event_unit WHERE unit = '{report.unit}' ORDER BY leaf_index")
        assert [event["index"] for event in report.story if event["via"] is None] == [row[0] for row in chain]


def test_evidence_of_every_unit_of_a_journey_passes(town: Town):
    units = play(town)
    check_all(town)
    data = evidence(town, units["box"])
    assert data == evidence(town, units["box"])
    assert read_bundle(data).private == {}


@pytest.mark.parametrize("seed", range(3))
def test_evidence_of_every_unit_of_a_random_journey_passes(town: Town, seed: int):
    wander(town, random.Random(seed), 80)
    check_all(town)


def test_the_story_tells_what_happened_to_the_container_meanwhile(town: Town):
    units = play(town)
    report = verify_bundle(evidence(town, units["lot"]), genesis=genesis(town))
    told = [(event["type"], event["via"]) for event in report.story]
    assert ("custody.release", units["load"]) in told
    assert ("custody.release", units["box"]) in told
    assert ("unit.pack", units["box"]) in told
    assert ("unit.commission", units["box"]) not in told


def test_evidence_is_found_by_label_and_by_foreign_code(town: Town):
    units = play(town)
    by_label = read_bundle(evidence(town, units["reprinted"]))
    assert by_label.unit == units["inner"]
    with pytest.raises(MissingError, match="retired"):
        evidence(town, units["inner"])
    assert read_bundle(evidence(town, "KPU/BOX/17")).unit == units["box"]


def test_what_a_viewer_does_not_see_does_not_exist(town: Town):
    units = play(town)
    stranger = Viewer("x", s.TNI, s.CITY, frozenset({"field"}))
    for unit in (units["alone"], town.fresh_ids(1)[0]):
        with pytest.raises(MissingError):
            evidence(town, unit, stranger)


def test_naming_an_event_gives_nobody_its_private_contents(town: Town):
    """An event may cite any other; the leaf comes along, which the rules may need, and what it holds back does not."""
    units = play(town)
    ((index, _),) = read_bundle(evidence(town, units["bulk"], private=True)).private
    cited = read_bundle(evidence(town, units["bulk"])).leaves[index]
    own = town.lot(3)
    town.ok(town.act(town.kpu1, "sighting", {}, [own], capacity="witness", after=[read_leaf(index, cited).event.hash]))
    found = read_bundle(evidence(town, own, private=True))
    assert index in found.leaves
    assert found.private == {}


def test_private_contents_are_put_in_only_when_asked_for(town: Town):
    units = play(town)
    assert read_bundle(evidence(town, units["bulk"])).private == {}
    ((index, name),) = read_bundle(evidence(town, units["bulk"], private=True)).private
    assert name == "coordinates"
    assert index in read_bundle(evidence(town, units["bulk"])).leaves


def test_capacity_is_never_contradicted_by_goods_that_a_bundle_does_not_tell_of(town: Town):
    limited(town)
    box, load = town.box(), town.load()
    mine, others = town.lot(60), [town.lot(40), town.lot(60)]
    town.ok(town.pack(box, mine, others[0]))
    town.no(town.pack(box, others[1]), "capacity_exceeded")
    town.ok(town.pack(box, others[1], override="TALL_BOX"))
    town.ok(town.pack(load, box))
    check_all(town)


def test_a_refusal_for_what_filled_the_box_meanwhile_is_believed(town: Town):
    """How much the box held of other goods is in no bundle of the lot."""
    limited(town)
    box, mine, other = town.blanks.pop(), town.blanks.pop(), town.lot(90)
    town.ok(town.commission(
        town.bind(box, "BOX_TPS", contest="PILGUB", destination=s.TPS1),
        town.bind(mine, "BALLOT", contest="PILGUB", district="64", quantity=60),
    ))  # fmt: skip
    town.ok(town.inspected([mine]))
    town.ok(town.pack(box, mine))
    town.ok(town.unpack(box, mine))
    town.ok(town.pack(box, other))
    town.no(town.pack(box, mine), "capacity_exceeded")
    town.ok(town.unpack(box, other))
    town.ok(town.pack(box, mine))
    check_all(town)


def test_a_packing_is_not_contradicted_by_what_was_taken_out_meanwhile(town: Town):
    """A lot that was bound in the same event is known to the bundle with its quantity, and so is when it left."""
    limited(town)
    source = town.lot(500)
    box, mine, other = (town.blanks.pop() for _ in range(3))
    lots = [
        town.bind(lot, "BALLOT", contest="PILGUB", district="64", quantity=n) for lot, n in ((mine, 60), (other, 40))
    ]
    town.ok(town.commission(town.bind(box, "BOX_TPS", contest="PILGUB", destination=s.TPS1), *lots))
    town.ok(town.inspected([mine, other]))
    town.ok(town.pack(box, mine, other))
    town.ok(town.unpack(box, mine))
    town.ok(town.unpack(box, other))
    town.ok(town.move(source, mine, 30))
    town.ok(town.pack(box, mine))
    check_all(town)


def limited(town: Town) -> None:
    town.put_plan(s.plan(capacity=[{"container": "BOX_TPS", "item": "BALLOT", "quantity": 100}]))


@pytest.mark.parametrize("backend", BACKENDS[:1])
def test_evidence_never_walks_the_ledger(backend, request, tmp_path):
    """Every step over a growing table goes in by a key or by the index of the few; on ten million it was three seconds."""
    request.param = backend
    with new_town(request, tmp_path) as town:
        units = play(town)
        with statements(town) as ran:
            evidence(town, units["bulk"], private=True)
        steps = plan_steps(town, ran)
    tables = ("event", "event_unit", "ledger_leaf", "label", "containment", "unit", "signing_key")
    assert len(steps) > 20
    assert [step for step in walks(steps, tables) if "ix_event_charter" not in step] == []
