"""A server that bends its own records, and a stranger who forges leaves: what a bundle of theirs must not pass.

Every bundle here is whole and signed with the ledger's own key: only judging its events again can tell.
"""

import json
import secrets
from unittest import mock

import pytest

from app.audit.bundle import Bundle
from app.audit.evidence import gather
from app.audit.fsck import fsck
from app.audit.replaying import GrownTree
from app.audit.verify import verify_bundle
from app.canon import b64url_decode, b64url_encode, jcs
from app.clock import rfc3339_ms
from app.custody import walk as walking
from app.custody.rules import judge as judging
from app.custody.serverkeys import ServerKeys
from app.db import Database
from app.ids import new_unit_id
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.proof import TlogProof
from app.ledger.tree import inclusion_path, leaf_hash
from tests import small as s
from tests.audit.test_verify import packed
from tests.custody.town import Town

ZERO = b64url_encode(bytes(32))


@pytest.fixture
def town(sqlite_url, tmp_path):
    db = Database(sqlite_url)
    yield Town(db, tmp_path / "house").settle()
    db.close()


def bundle_of(town, unit):
    with town.db.read() as session:
        return gather(session, town.recorder.ledger_id, unit)


def verified(town, bundle):
    return verify_bundle(packed(bundle), genesis=str(town.one("SELECT genesis FROM ledger_state")))


def codes(report, level):
    return {reason.code for reason in report.reasons if reason.level == level}


def leaf(town, signed, links=(), result="accepted", code=""):
    """Return a leaf as a server could write it."""
    verdict = {"result": result, "code": code, "rules": 1, "policy": str(town.one("SELECT policy FROM ledger_state"))}
    return jcs({
        "v": 1, "event": signed.jws, "verdict": verdict, "links": list(links), "received_at": rfc3339_ms(town.now_ms),
    })  # fmt: skip


def forged(town, more, unit):
    """Return a bundle of the whole ledger and more leaves, under a checkpoint signed with the ledger's key."""
    with town.db.read() as session:
        known = town.recorder.reader.leaves_at(session, list(range(town.size())))
    leaves = [*(known[index] for index in range(len(known))), *more]
    tree = GrownTree()
    for data in leaves:
        tree.append(leaf_hash(data))
    size, root = len(leaves), tree.root(len(leaves))
    note = sign(Checkpoint(town.origin, size, root), ServerKeys.load(town.settings.keys_folder()).ledger)
    genesis = str(town.one("SELECT genesis FROM ledger_state"))
    documents = bundle_of(town, town.box()).documents
    made = Bundle(unit, town.origin, size, b64url_encode(root), genesis, note)
    made.documents.update(documents)
    for index, data in enumerate(leaves):
        made.leaves[index] = data
        made.proofs[index] = TlogProof(index, tuple(inclusion_path(index, size, tree.node)), note).to_bytes()
    return made


def rename(town, label, unit):
    """Let the server take a label for another unit than the one it was bound to."""
    with town.db.write() as session:
        session.exec_driver_sql(f"UPDATE label SET unit = '{unit}' WHERE label = '{label}'")
    town.recorder._remembered.stand_at(b"another")  # as after a restart: the writer remembers what it wrote itself


@pytest.mark.parametrize("with_the_others_chain", [False, True])
def test_an_act_signed_for_one_thing_does_not_count_for_another(town, with_the_others_chain):
    signed_for, recorded_on = town.box(), town.box()
    assert verified(town, bundle_of(town, recorded_on)).result == "PASS"
    rename(town, signed_for, recorded_on)
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [signed_for], kpu2="second"))
    bundle = bundle_of(town, recorded_on)
    if with_the_others_chain:
        rename(town, signed_for, signed_for)
        other = bundle_of(town, signed_for)
        bundle.leaves.update(other.leaves)
        bundle.proofs.update(other.proofs)
    assert verified(town, bundle).result != "PASS"


def test_a_label_of_one_thing_does_not_move_another(town):
    signed_for, recorded_on, label = town.box(), town.box(), town.blanks.pop()
    town.ok(town.commission({"act": "reprint", "unit": label, "of": signed_for}))
    rename(town, label, recorded_on)
    town.ok(town.act(town.kpu1, "unit.void", {"decision": "SK 5", "reason": "LOST"}, [label], kpu2="second"))
    assert verified(town, bundle_of(town, recorded_on)).result != "PASS"


def test_a_label_that_was_never_issued_commissions_nothing(town):
    unit = new_unit_id(secrets.token_bytes(10))
    signed = town.commission(town.bind(unit, "BOX_TPS", contest="PILGUB", destination=s.TPS1))
    report = verified(town, forged(town, [leaf(town, signed, [{"unit": unit, "seq": 1, "prev": ZERO}])], unit))
    assert report.result == "FAIL"
    assert "unknown_label" in "".join(reason.detail for reason in report.reasons)


@pytest.mark.parametrize("code", ["document_missing", "alias_exists", "ids_missing", "not_named_taker"])
def test_a_wrong_refusal_is_told_whatever_its_code(town, code):
    others = [town.box(None, None), town.box(None, None)]
    town.ok(town.act(town.kpu1, "sighting", {}, others, capacity="witness"))
    release = town.release([others[0]])
    town.ok(release)
    with mock.patch.dict(judging.RULES, {"custody.accept": lambda case: case.refuse(code, "No.")}):
        town.refused(town.accept(release.hash, [others[0]]), code)
    assert verified(town, bundle_of(town, others[0])).result == "FAIL"


def test_containers_in_a_circle_end_the_judging_and_not_the_verifier(town):
    box = town.box(None, None)
    outer, other = town.blanks[-2:]
    acting = town.act(town.kpu1, "unit.unpack", {"parent": box}, [other], kpu2="second")
    waiting = town.act(town.kpu1, "unit.unpack", {"parent": other}, [outer, box], kpu2="second", after=[acting.hash])
    more = [
        leaf(town, town.pack(outer, box)), leaf(town, waiting, (), "pending", "pending_predecessor"),
        leaf(town, acting),
    ]  # fmt: skip
    assert verified(town, forged(town, more, box)).result != "PASS"


def test_the_ledgers_time_does_not_go_back(sqlite_url, tmp_path):
    town = Town(Database(sqlite_url), tmp_path / "house", demo=False).settle()
    box = town.box()
    release = town.release([box])
    town.ok(release)
    now = town.now_ms
    town.now_ms = now - 3_600_000
    town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))
    assert json_ms(town, town.size() - 1) == json_ms(town, town.size() - 2)
    assert verified(town, bundle_of(town, box)).result == "PASS"
    town.now_ms = now
    with mock.patch.object(walking, "max", min, create=True):
        town.now_ms -= 3_600_000
        town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))
    assert verified(town, bundle_of(town, box)).result != "PASS"
    assert not fsck(town.db).clean
    town.db.close()


def test_a_demos_time_is_told_by_whoever_plays_it(town):
    box = town.box()
    town.now_ms -= 3_600_000
    town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))
    assert json_ms(town, town.size() - 1) < json_ms(town, town.size() - 2)


def json_ms(town, index):
    return town.one(f"SELECT received_ms FROM event WHERE leaf_index = {index}")


def test_the_clock_says_nothing_too_early(town):
    box = town.box()
    release = town.release([box])
    town.ok(release)
    town.recorder._sweep_one(release.hash, "overdue", town.now_ms)
    assert town.unit(box)["custody"] == "released"
    assert town.query("SELECT rule FROM discrepancy WHERE rule = 'OVERDUE'") == []


def test_a_tree_that_this_ledger_never_had_is_told(town):
    box = town.box()
    town.kpu1.seen = (10**6, "A" * 43)
    town.ok(town.act(town.kpu1, "sighting", {}, [box], capacity="witness"))
    assert "split_view" in codes(verified(town, bundle_of(town, box)), "note")


def test_how_far_a_container_is_shown_is_told(town):
    box, load = town.box(), town.box(None, None, "LOAD")
    town.ok(town.pack(load, box))
    bundle = bundle_of(town, box)
    last = max(index for index, data in bundle.leaves.items() if load in json.dumps(json.loads(data)["links"]))
    [reason] = [one for one in verified(town, bundle).reasons if one.code == "container_open"]
    assert f"leaf {last};" in reason.detail


def test_a_plan_that_was_left_out_is_told(town):
    bundle = bundle_of(town, town.box())
    assert "plan_unknown" not in codes(verified(town, bundle), "note")
    [index] = [index for index, data in bundle.leaves.items() if event_type(data) == "plan.publish"]
    del bundle.leaves[index], bundle.proofs[index]
    assert "plan_unknown" in codes(verified(town, bundle), "note")


def event_type(data):
    return json.loads(b64url_decode(json.loads(data)["event"]["payload"]))["type"]
