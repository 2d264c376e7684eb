"""Two ledgers in one database, with the same places and agencies: the desk's readers of one tell nothing of the other."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.audit.activity import Activity
from app.audit.claims import Asked, state
from app.audit.holdings import holdings
from app.audit.incidents import list_incidents, one_incident
from app.audit.inspections import inspection_sample, list_inspections, one_inspection
from app.audit.inventory import Terms, standing
from app.audit.outstanding import outstanding
from app.audit.overview import overview
from app.audit.plans import list_plans
from app.cli.phone import ids_commitment
from app.db import Database
from app.errors import MissingError, ServiceError
from app.keys.grants import Viewer
from app.units.documents import parse_document
from tests import small as s
from tests.audit.books import ask, auditor, officer
from tests.audit.journey import play
from tests.custody.town import Town

VIEWERS = (auditor(), auditor(s.CITY), officer(s.KPU, s.CITY), officer(s.POS, s.CITY), officer(s.BWS))
PLAN = parse_document(json.dumps(s.plan()).encode())


@pytest.fixture
def quiet(db: Database, tmp_path) -> Iterator[Town]:
    """A ledger on which one lorry is late, one store was inspected, and little else has happened."""
    own = Town(db, tmp_path / "quiet", name="prov-64").settle()
    lot, box = own.lot(), own.box()
    own.ok(own.release([box]))
    told = {"category": "LATE_DELIVERY", "severity": "sedang", "owner": s.POS, "due_by": "2024-10-20T09:00:00+08:00"}
    report = own.act(own.pos1, "incident.report", told, [box], capacity="witness")
    own.ok(report)
    terms = {
        "kind": "full", "inventory": {"n": 1, "hash": ids_commitment([lot])}, "confidence": 95, "rate": 10,
    }  # fmt: skip
    opened = own.act(own.bws, "inspection.open", terms, capacity="witness")
    own.ok(opened)
    own.tick(60 * 24)
    own.ok(own.act(own.kpu1, "sighting", {}, [lot], capacity="witness"))
    own.named = {"incident": report.hash, "inspection": opened.hash, "box": box}
    yield own
    own.recorder._high_water.close()


def told(town: Town, viewer: Viewer, activity: Activity) -> list[Any]:
    """Ask every reader of the desk; what is not there is told, too."""
    incident, inspection = town.named["incident"], town.named["inspection"]
    now = {"now_ms": town.now_ms}
    questions = [
        (list_incidents, (viewer,), now), (one_incident, (viewer, incident), now), (list_inspections, (viewer,), {}),
        (one_inspection, (viewer, inspection), {"witnesses": False}),
        (inspection_sample, (viewer, inspection), {"witnesses": False}),
        (standing, (viewer, Terms(s.CITY, contents=True)), {}), (outstanding, (viewer,), {}),
        (outstanding, (viewer,), {"election": s.ELECTION, "place": s.CITY}),
        (holdings, (viewer,), {"place": None, "plans": [PLAN]}), (holdings, (viewer,), {"place": s.CITY}),
        (overview, (viewer,), now), (overview, (viewer,), {**now, "activity": activity}), (list_plans, (), {}),
        (state, ("no_unit_of_item", Asked(item="LOAD")), {}), (state, ("no_unit_in_region", Asked(place="64")), {}),
        (state, ("no_unit_in_region", Asked(place="64.74.01")), {}), (state, ("no_unit_outside_registered_places", Asked()), {}),
    ]  # fmt: skip
    answers: list[Any] = []
    for question, args, more in questions:
        try:
            answers.append((question.__name__, ask(town, question, *args, **more)))
        except MissingError as error:
            answers.append((question.__name__, error.code))
    return answers


def test_what_happens_on_another_ledger_changes_no_answer_of_this_one(quiet: Town, db: Database, tmp_path):
    kept = Activity()
    before = [told(quiet, viewer, kept) for viewer in VIEWERS]
    busy = Town(db, tmp_path / "busy", name="prov-65").settle()
    play(busy)
    report = {"category": "LOSS", "severity": "sedang", "owner": s.POS, "due_by": "2024-10-20T09:00:00+08:00"}
    busy.ok(busy.act(busy.kpu1, "incident.report", report, capacity="witness"))
    busy.tick(60 * 24 * 40)
    busy.recorder.sweep(busy.now_ms)
    for viewer, known in zip(VIEWERS, before, strict=True):
        for was, now in zip(known, told(quiet, viewer, kept), strict=True):
            assert now == was, (viewer, now[0])
    for reader, named in ((one_incident, "incident"), (one_inspection, "inspection")):
        more = {"now_ms": quiet.now_ms} if named == "incident" else {"witnesses": False}
        with pytest.raises(ServiceError):
            ask(busy, reader, auditor(), quiet.named[named], **more)
    label = Asked(label=quiet.named["box"])
    assert (ask(busy, state, "no_label", label)["holds"], ask(quiet, state, "no_label", label)["holds"]) == (
        True,
        False,
    )
    busy.recorder._high_water.close()
