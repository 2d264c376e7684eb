"""The auditor's desk's part of the journey: one of every event that is made there."""

import json

from app.canon import b64url_encode
from app.cli.phone import Signed, ids_commitment
from app.custody.inspections import InspectionOpen, plan_commitment
from tests import small as s
from tests.custody.town import Town

SALT = b64url_encode(bytes(range(32)))


def play_at_the_desk(town: Town, units: dict[str, str]) -> None:
    """Report and end an incident, explain and object, attest and refuse, inspect by surprise."""
    lot = units["inspected"] = town.lot(12)
    _incident(town, lot)
    _explanations(town)
    seen = town.inspected([lot])
    town.ok(seen)
    town.ok(town.act(town.bws, "witness.attest", {"event": seen.hash, "saw": "COUNT"}, [lot], capacity="witness"))
    town.ok(town.act(town.pol, "witness.refuse", {"reason": "NOT_LET_IN"}, [lot], capacity="witness"))
    _inspection(town, lot, town.lot(3))


def _incident(town: Town, lot: str) -> None:
    told = {"category": "FIRE", "severity": "tinggi", "owner": s.KPU}
    report = town.act(town.pos1, "incident.report", told, [lot], capacity="witness")
    town.ok(report)
    named = {"incident": report.hash}
    town.ok(town.act(town.kpu1, "incident.update", {**named, "status": "resolved"}, capacity="approver"))
    over = {**named, "outcome": "PUT_OUT"}
    town.no(town.act(town.kpu1, "incident.close", over, capacity="approver"), "policy_unmet")
    town.ok(town.act(town.kpu1, "incident.close", over, capacity="approver", bws="witness"))


def _explanations(town: Town) -> None:
    found = town.one("SELECT id FROM discrepancy WHERE status = 'open' AND rule = 'RETIRED_LABEL' ORDER BY leaf_index")
    found = found or town.one("SELECT id FROM discrepancy WHERE status = 'open' ORDER BY leaf_index")
    about = {"what": "discrepancy", "discrepancy": found}
    gap = {"what": "gap", "contest": "PILGUB", "identity": 2, "difference": -3, "size": 9}
    town.ok(town.act(town.pos1, "objection", {"about": about, "reason": "NOT_OURS"}, capacity="witness"))
    for told in (about, gap):
        for phone in (town.kpu1, town.bws):
            details = {"about": told, "reason": "LOOKED_INTO"}
            town.ok(town.act(phone, "discrepancy.explain", details, capacity="approver"))


def _inspection(town: Town, first: str, second: str) -> None:
    terms = {
        "kind": "surprise", "inventory": {"n": 2, "hash": ids_commitment([first, second])}, "confidence": 95, "rate": 10,
    }  # fmt: skip
    commitment = plan_commitment(
        SALT, s.WAREHOUSE, s.ELECTION, InspectionOpen.model_validate_json(json.dumps(terms))
    )  # fmt: skip
    plan = _by_supervisor(town, "inspection.plan", {"commitment": commitment}, place=s.CITY)
    _by_supervisor(town, "inspection.open", {**terms, "plan": plan.hash, "salt": SALT})
    look = {"kind": "surprise", "things": [{"what": "SEAL", "conform": True}], "of": plan.hash}
    town.ok(town.act(town.bws, "inspection", look, [first], capacity="witness"))
    left_out = {"inspection": plan.hash, "lines": [{"unit": second, "reason": "OUT_OF_REACH"}]}
    _by_supervisor(town, "inspection.skip", left_out)
    _by_supervisor(town, "inspection.close", {
        "inspection": plan.hash, "sample": terms["inventory"], "inspected": 1, "found": 0, "minutes": "BA-7/2024",
    })  # fmt: skip


def _by_supervisor(town: Town, type_: str, details: dict[str, object], *, place: str = s.WAREHOUSE) -> Signed:
    signed = town.act(town.bws, type_, details, place=place, capacity="witness")
    town.ok(signed)
    return signed
