"""Evidence with the legal time: the stamp travels in the bundle, over these very bytes, and counts under pinned roots."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.audit.bundle import read_bundle, write_bundle
from app.audit.evidence import build_evidence
from app.audit.stamped import read_stamp
from app.audit.verify import verify_bundle
from app.keys.grants import Viewer
from app.ledger import stamps, witnessed
from app.ledger.note import SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from tests import small as s
from tests.custody.town import Town
from tests.tsa import AUTHORITY, Tsa

AUDITOR = Viewer("auditor", s.BWS, None, frozenset({"auditor"}))
WITNESS = SignerKey("bawaslu.example/w1", SignatureType.COSIGNATURE, b"\x02" * 32)
POLICY = TrustPolicy.parse(f"witness w {WITNESS.verifier().to_text()}\nquorum w\n".encode())


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return Tsa(tmp_path_factory.mktemp("tsa") / "one")


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.check()
    own.recorder._high_water.close()


def witness(town: Town, at_s: int = 1_732_000_000) -> int:
    """Have the newest checkpoint cosigned; return its size."""
    ledger_id, size = town.recorder.ledger_id, town.size()
    with town.db.write() as session:
        text = witnessed.checkpoint_text(session, ledger_id, size)
        lines = witnessed.proven(text, POLICY, [WITNESS.cosign(text, at_s)])
        witnessed.keep(session, ledger_id, POLICY, size, lines, town.now_ms)
    return size


def stamp(town: Town, tsa: Tsa, size: int) -> None:
    ledger_id = town.recorder.ledger_id
    with town.db.write() as session:
        note = witnessed.cosigned_note(session, ledger_id, size)
        token = tsa.stamp(note)
        read = read_stamp(token, note, tsa.roots)
        assert stamps.keep(session, ledger_id, size, stamps.KeptStamp(read.authority, read.at_ms, token, note))


def evidence(town: Town, unit: str, *, stamped: bool) -> bytes:
    with town.db.read() as session:
        return build_evidence(session, town.recorder.ledger_id, AUDITOR, unit, policy=POLICY.source, stamped=stamped)


def told(town: Town, data: bytes, roots: bytes | None) -> tuple[str, list[str], set[str]]:
    """Return the result, the authorities that are told, and the codes that speak of stamps."""
    genesis = town.one("SELECT genesis FROM ledger_state")
    report = verify_bundle(data, genesis=genesis, policy=POLICY.source, tsa_roots=roots)
    codes = {reason.code for reason in report.reasons if reason.code.startswith("stamp")}
    return report.result, [authority for authority, _ in report.stamps], codes


def test_a_stamp_travels_with_the_evidence_and_counts_under_pinned_roots(town: Town, tsa: Tsa, tmp_path: Path):
    unit = town.box()
    stamp(town, tsa, witness(town))
    data = evidence(town, unit, stamped=True)
    assert told(town, data, tsa.roots) == ("PASS", [AUTHORITY], set())
    assert told(town, data, None) == ("PASS", [], {"stamp_unchecked"})
    other = Tsa(tmp_path / "other", "/CN=Other root")
    assert told(town, data, other.roots) == ("INCOMPLETE", [], {"stamp_roots"})


def test_later_cosignatures_and_later_trees_leave_the_stamp_what_it_was(town: Town, tsa: Tsa):
    unit = town.box()
    stamp(town, tsa, witness(town))
    witness(town, 1_732_009_999)  # the same tree, cosigned anew: the stamp is over the note as it was
    assert told(town, evidence(town, unit, stamped=True), tsa.roots)[0] == "PASS"
    town.ok(town.inspected([unit]))
    witness(town)
    assert told(town, evidence(town, unit, stamped=True), tsa.roots) == ("PASS", [AUTHORITY], set())
    newest = evidence(town, unit, stamped=False)
    assert told(town, newest, tsa.roots) == ("INCOMPLETE", [], {"stamp_missing"}), "the newer tree has none"
    assert told(town, newest, None)[0] == "PASS"


def test_a_stamp_of_something_else_fails_the_bundle(town: Town, tsa: Tsa):
    unit = town.box()
    stamp(town, tsa, witness(town))
    bundle = read_bundle(evidence(town, unit, stamped=True))
    for token in (tsa.stamp(b"something else"), bundle.stamps[0][:-1] + bytes([bundle.stamps[0][-1] ^ 1]), b"junk"):
        target = io.BytesIO()
        write_bundle(dataclasses.replace(bundle, stamps={0: token}), target)
        result, authorities, codes = told(town, target.getvalue(), tsa.roots)
        assert (result, authorities, codes) == ("FAIL", [], {"stamp"})
