"""The published table drives the rules: every row is used, every type has its rule, model and rows."""

import ast
from pathlib import Path

import pytest

import app.custody.rules as rules_package
from app.custody.events import TYPES
from app.custody.rules.judge import RULES
from app.custody.statetable import LIFECYCLES, NEW, TABLE, as_markdown, next_state
from app.strict import Strict

DOC = Path(__file__).resolve().parents[2] / "docs" / "state-table.md"
ACTS = {act for act, _ in TABLE}
NO_UNITS = {  # types that never move a unit, so they have no row
    "ledger.genesis", "policy.publish", "plan.publish", "key.enrol", "key.revoke", "decision", "labels.issue", "retraction",
    "discrepancy.explain", "incident.update", "incident.close", "inspection.plan", "inspection.open", "inspection.skip", "inspection.close",
    "heads.commit", "agency.join", "founders.change", "ledger.rekey", "shard.checkpoint", "verdict", "ledger.close",
}  # fmt: skip


def test_the_document_is_the_table():
    text = DOC.read_text(encoding="utf-8")
    assert as_markdown() in text, "write it anew: python -m tests.custody.test_statetable"


def test_every_type_has_a_rule_and_a_strict_model():
    assert set(RULES) == set(TYPES)
    assert all(issubclass(each.details, Strict) for each in TYPES.values())
    assert all(each.name == name for name, each in TYPES.items())


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_that_moves_units_has_rows(name):
    rows = {act for act in ACTS if act.partition(":")[0] == name}
    assert bool(rows) == (name not in NO_UNITS)


def test_every_act_is_a_type_with_or_without_a_qualifier():
    assert {act.partition(":")[0] for act in ACTS} <= set(TYPES)


def test_every_act_of_the_table_stands_in_the_rules():
    """An act nobody names is a row nobody uses; observations keep their state and name no act."""
    named = set()
    for path in Path(rules_package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                named.add(node.value)
    observations = {name for name, each in TYPES.items() if each.kind == "observation"}
    assert ACTS - observations <= named


def test_every_state_is_reached_and_no_row_leads_out_of_the_table():
    assert set(TABLE.values()) == set(LIFECYCLES)
    assert {before for _, before in TABLE} == {NEW, *LIFECYCLES}


def test_what_is_destroyed_stays_destroyed():
    moved = {act for (act, before), after in TABLE.items() if before == "destroyed" and after != "destroyed"}
    assert moved == set()
    assert {act for act, before in TABLE if before == "destroyed"} == {
        name for name, each in TYPES.items() if each.kind == "observation"
    }


def test_what_is_voided_is_only_destroyed():
    assert {TABLE[act, before] for act, before in TABLE if before == "voided"} == {"voided", "destroyed"}


def test_an_observation_never_changes_a_state_but_by_a_conforming_check():
    for (act, before), after in TABLE.items():
        if TYPES[act.partition(":")[0]].kind == "observation":
            assert after == before or act == "inspection:conform"


def test_what_is_not_in_the_table_is_forbidden():
    assert next_state("unit.close", "sealed") is None
    assert next_state("no.such.act", "sealed") is None


if __name__ == "__main__":
    intro = DOC.read_text(encoding="utf-8").partition("| act |")[0]
    DOC.write_text(intro + as_markdown() + "\n", encoding="utf-8")
