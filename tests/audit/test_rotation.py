"""A ledger's key rotates, agencies join and founders change: recorded, signed for, re-verified and shown in bundles."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.bundle import write_bundle
from app.audit.evidence import gather
from app.audit.fsck import fsck
from app.audit.report import Report
from app.audit.verify import verify_bundle
from app.cli.phone import Phone
from app.custody.closing import close_ledger
from app.custody.committing import commit_heads
from app.custody.found import public_jwk
from app.custody.record import Recorder
from app.custody.rules import case as rules_case
from app.custody.serverkeys import ServerKeys
from app.errors import RefusedError, TamperError
from app.keys.signing import PrivateKey
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.highwater import HighWater
from app.ledger.note import Note, SignerKey, verified_keys
from tests import small as s
from tests.custody.town import Town


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def reopened(town: Town) -> None:
    """Start the service again, as after a change of its keys folder."""
    town.recorder._high_water.close()
    keys = ServerKeys.load(town.settings.keys_folder())
    high_water = HighWater(town.settings.high_water_file(), town.origin)
    town.recorder = Recorder(town.db, town.settings, keys, high_water)


def by_founders(town: Town, name: str, details: dict, *others: Phone):
    first, second = town.founders
    signers = dict.fromkeys((second, *others), "approver")
    return first.sign(name, details, at_ms=town.tick(), capacity="approver", with_=signers)


def signers(town: Town) -> set[str]:
    keys = town.recorder._keys
    note = Note.parse(town.recorder.published[1])
    return {key.to_text() for key in verified_keys(note, [key.verifier() for key in keys.held.values()])}


def rotated(town: Town) -> tuple[str, str]:
    """Take the first step: both keys sign."""
    old = town.recorder._keys.ledger.verifier().to_text()
    new = town.recorder._keys.make_next(town.settings.keys_folder()).verifier().to_text()
    reopened(town)
    town.ok(by_founders(town, "ledger.rekey", {"keys": [old, new]}))
    return old, new


def evidence(town: Town, unit: str) -> bytes:
    target = io.BytesIO()
    with town.db.read() as session:
        write_bundle(gather(session, town.recorder.ledger_id, unit), target)
    return target.getvalue()


def test_both_keys_sign_and_then_the_new_one_alone(town: Town):
    unit = town.box()
    old, new = rotated(town)
    assert signers(town) == {old, new}
    town.ok(town.inspected([unit]))
    assert signers(town) == {old, new}
    town.ok(by_founders(town, "ledger.rekey", {"keys": [new]}))
    town.ok(town.inspected([unit]))
    assert signers(town) == {new}
    assert fsck(town.db, high_water=town.settings.high_water_file()).clean
    report = verify_bundle(evidence(town, unit), genesis=town.one("SELECT genesis FROM ledger_state"))
    assert report.result == "PASS", report.as_text()


def signed_by(town: Town, unit: str, *keys: SignerKey) -> bytes:
    """Return evidence under a checkpoint that these keys alone signed."""
    with town.db.read() as session:
        bundle = gather(session, town.recorder.ledger_id, unit)
    note = sign(Checkpoint.parse(Note.parse(bundle.checkpoint).text), *keys)
    target = io.BytesIO()
    proofs = {i: p.replace(bundle.checkpoint, note) for i, p in bundle.proofs.items()}
    write_bundle(dataclasses.replace(bundle, checkpoint=note, proofs=proofs), target)
    return target.getvalue()


def wrong_in(report: Report) -> set[str]:
    return {reason.code for reason in report.reasons if reason.level == "fail"}


def test_a_bundle_under_the_retired_key_fails(town: Town):
    unit = town.box()
    old, new = rotated(town)
    town.ok(by_founders(town, "ledger.rekey", {"keys": [new]}))
    town.ok(town.inspected([unit]))
    stale = signed_by(town, unit, town.recorder._keys.ledger)
    genesis = town.one("SELECT genesis FROM ledger_state")
    for pins in ({}, {"ledger_keys": [old]}, {"policy": f"log {old}\nquorum none\n".encode()}):
        assert wrong_in(verify_bundle(stale, genesis=genesis, **pins)) == {"note_signature"}, pins


@pytest.mark.parametrize("signs", ["old", "new"])
def test_who_pins_one_of_two_keys_in_force_wants_that_ones_signature(town: Town, signs: str):
    """Without a pin one of the two is enough, whichever it is."""
    unit = town.box()
    texts = dict(zip(("old", "new"), rotated(town), strict=True))
    town.ok(town.inspected([unit]))
    keys = town.recorder._keys
    assert keys.next_ledger is not None
    data = signed_by(town, unit, {"old": keys.ledger, "new": keys.next_ledger}[signs])
    genesis = town.one("SELECT genesis FROM ledger_state")
    assert verify_bundle(data, genesis=genesis).result == "PASS"
    for name, text in texts.items():
        expected = set() if name == signs else {"ledger_key_mismatch"}
        assert wrong_in(verify_bundle(data, genesis=genesis, ledger_keys=[text])) == expected
        assert wrong_in(verify_bundle(data, genesis=genesis, policy=f"log {text}\nquorum none\n".encode())) == expected
    assert verify_bundle(data, genesis=genesis, ledger_keys=[*texts.values()]).result == "PASS"


def test_a_rotation_under_rules_of_later_is_incomplete_and_no_forgery(town: Town, monkeypatch):
    """A verifier that cannot judge who may rotate takes the leaf's word for the keys, and never says PASS."""
    unit = town.box()
    _, new = rotated(town)
    town.ok(by_founders(town, "ledger.rekey", {"keys": [new]}))
    town.ok(town.inspected([unit]))
    genesis = town.one("SELECT genesis FROM ledger_state")
    keys = town.recorder._keys
    assert keys.next_ledger is not None
    monkeypatch.setattr("app.audit.rejudging.RULES_VERSION", rules_case.RULES_VERSION + 1)
    report = verify_bundle(evidence(town, unit), genesis=genesis)
    assert (report.result, wrong_in(report)) == ("INCOMPLETE", set()), report.as_text()
    stale = verify_bundle(signed_by(town, unit, keys.ledger), genesis=genesis)
    assert wrong_in(stale) == {"note_signature"}


def test_a_rotation_to_a_key_that_is_not_there_is_not_recorded(town: Town):
    old = town.recorder._keys.ledger.verifier().to_text()
    foreign = dataclasses.replace(town.recorder._keys.ledger, seed=b"\x0f" * 32).verifier().to_text()
    size = town.size()
    answer = town.send(by_founders(town, "ledger.rekey", {"keys": [old, foreign]}))
    assert isinstance(answer, RefusedError)
    assert (answer.code, town.size()) == ("ledger_key_missing", size)


def test_without_a_key_that_is_in_force_nothing_is_signed(town: Town):
    rotated(town)
    (town.settings.keys_folder() / "ledger-next.key").unlink()
    reopened(town)
    with pytest.raises(TamperError):
        town.box()


def test_fsck_finds_a_checkpoint_that_one_key_did_not_sign(town: Town):
    rotated(town)
    town.box()
    town.recorder._keys = dataclasses.replace(town.recorder._keys)
    only_old = sign(Checkpoint.parse(Note.parse(town.recorder.published[1]).text), town.recorder._keys.ledger)
    with town.db.write() as session:
        for guard in ("freeze", "keep"):
            if town.db.is_sqlite:
                session.exec_driver_sql(f"DROP TRIGGER ledger_checkpoint_{guard}")
        if not town.db.is_sqlite:
            session.exec_driver_sql("ALTER TABLE ledger_checkpoint DISABLE TRIGGER ALL")
        mark = "?" if town.db.is_sqlite else "%s"
        session.exec_driver_sql(f"UPDATE ledger_checkpoint SET note = {mark} WHERE size = {town.size()}", (only_old,))
    found = fsck(town.db, signatures=False).findings
    assert {(f.table, f.what) for f in found} == {("ledger_checkpoint", "signers")}


def test_an_agency_that_joined_enrols_its_own_people(town: Town):
    key = PrivateKey.generate("Ed25519")
    root = Phone(key, "ROOT-X", s.PROV, town.origin, s.ELECTION, s.CITY)
    details = {"agency": s.PROV, "name": "PROV", "kind": "commission", "jwk": public_jwk(key)}
    town.ok(by_founders(town, "agency.join", details, root))
    unit = town.box()
    assert town.query("SELECT kind, agency FROM signing_key WHERE officer = 'ROOT-" + s.PROV + "'") == [
        ("root", s.PROV)
    ]
    assert fsck(town.db).clean
    report = verify_bundle(evidence(town, unit), genesis=town.one("SELECT genesis FROM ledger_state"))
    assert report.result == "PASS", report.as_text()


def test_a_closed_ledger_says_its_last_word_once(town: Town):
    town.box()
    final = close_ledger(town.recorder, "ELECTION_OVER", town.tick())
    assert Checkpoint.parse(Note.parse(final).text).size == town.size()
    assert town.query("SELECT type FROM event ORDER BY leaf_index DESC LIMIT 2") == [
        ("ledger.close",),
        ("heads.commit",),
    ]
    assert commit_heads(town.recorder, town.tick()) is None
    with pytest.raises(RefusedError):
        close_ledger(town.recorder, "AGAIN", town.tick())
    assert fsck(town.db).clean
