"""Three witness processes beside the ledger: cosignatures, a fork and a rollback, each with real keys and real HTTP.

A fork is two ledgers on copies of one database, with the same keys, that go on apart. A rollback is an old copy that
is started again. Both are found by the witnesses alone: the high-water file of the copy knows nothing.
"""

import time

import httpx
import pytest

from app.audit.events import one_event
from app.audit.evidence import build_absence, build_evidence
from app.audit.verify import verify_bundle
from app.clock import FixedClock
from app.custody.committing import commit_heads
from app.errors import BusyError, TamperError, UnprovenError
from app.exchange.witnessing import Witnessing, push
from app.ids import new_unit_id
from app.keys.grants import Viewer
from app.ledger import freezing
from app.ledger.append import read_head
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from app.ledger.witnessed import cosigned_note, newest_witnessed, progress
from app.worker import Worker
from tests import small as s
from tests.journeys.agencies import witnesses
from tests.journeys.killing import running

NOW = int(time.time() * 1000)
"""Witnesses go by their own clocks."""
AUDITOR = Viewer("auditor", s.BWS, None, frozenset({"auditor"}))


@pytest.fixture
def town(stocked, tmp_path):
    own = stocked.pour(tmp_path / "own")
    yield own
    own.check()
    stocked.take_back(own)


@pytest.fixture
def twin(stocked, tmp_path):
    """Another service on a copy of the same database, with the same keys."""
    own = stocked.pour(tmp_path / "twin")
    yield own
    stocked.take_back(own)


def key_of(town):
    return town.recorder._keys.ledger.verifier()


def asking(town, policy, **how):
    return Witnessing(town.db, town.recorder.ledger_id, town.origin, policy, timeout_seconds=10, **how)


def head(town):
    with town.db.read() as session:
        return read_head(session)


def alarms(town):
    with town.db.read() as session:
        return freezing.alarms(session, town.recorder.ledger_id)


def move(town):
    """Let something happen on this ledger."""
    town.accepted(town.inspected([town.box()]))


def test_three_witnesses_cosign_and_everything_says_so(town, tmp_path):
    unit = next(iter(town.stock))
    commit_heads(town.recorder, town.tick())
    with witnesses(tmp_path, town.origin, key_of(town)) as policy:
        rounds = asking(town, policy)
        done = rounds.round(NOW, [key_of(town)])
        assert (done.cosigned, done.unavailable, done.contradictions) == (3, {}, [])
        assert rounds.round(NOW, [key_of(town)]) is None, "nobody is asked again about the same tree"
        move(town)
        assert rounds.round(NOW, [key_of(town)]).cosigned == 3, "a grown tree is cosigned from where they were"
        rounds.close()
    ledger_id = town.recorder.ledger_id
    with town.db.read() as session:
        size, _ = newest_witnessed(session, ledger_id)
        assert size == town.size()
        seen = policy.verify(cosigned_note(session, ledger_id, size), town.origin)
        data = build_evidence(session, ledger_id, AUDITOR, unit, policy=policy.source)
        absence = build_absence(session, ledger_id, new_unit_id(bytes(10)), policy=policy.source)
        event = town.one(f"SELECT hash FROM event WHERE leaf_index = {size - 1}")
        told = one_event(session, ledger_id, AUDITOR, event, reader=town.recorder.reader, origin=town.origin)
    assert set(seen.witnesses) == {"bawaslu", "polri", "univ"}
    genesis = town.one("SELECT genesis FROM ledger_state")
    report = verify_bundle(data, genesis=genesis, policy=policy.source)
    assert report.result == "PASS", report.as_text()
    assert (set(report.witnesses), report.latest is not None) == ({"bawaslu", "polri", "univ"}, True)
    nothing = verify_bundle(absence, genesis=genesis, policy=policy.source)
    assert (nothing.result, nothing.absent) == ("PASS", True), nothing.as_text()
    assert told["receipt"]["state"] == "witnessed"
    assert policy.verify(told["receipt"]["proof"]["checkpoint"].encode(), town.origin).checkpoint.size == size
    stricter = policy.source.replace(b"group agencies 2", b"witness other %b\ngroup agencies 4" % other_key()).replace(
        b"bawaslu polri univ\n", b"bawaslu polri univ other\n"
    )
    assert verify_bundle(data, genesis=genesis, policy=stricter).result == "INCOMPLETE"


def other_key():
    return SignerKey("other.example/w1", SignatureType.COSIGNATURE, b"\x09" * 32).verifier().to_text().encode()


def test_an_idle_ledger_is_cosigned_anew(town, tmp_path):
    with witnesses(tmp_path, town.origin, key_of(town), ("bawaslu", "polri")) as policy:
        rounds = asking(town, policy, recosign_seconds=1)
        rounds.round(NOW, [key_of(town)])
        with town.db.read() as session:
            first = progress(session, town.recorder.ledger_id)
        time.sleep(1.1)  # a cosignature counts whole seconds
        assert rounds.round(int(time.time() * 1000) + 2000, [key_of(town)]).cosigned == 2
        with town.db.read() as session:
            again = progress(session, town.recorder.ledger_id)
        rounds.close()
    assert all(again[key].at_s > first[key].at_s and again[key].size == first[key].size for key in first)


def test_witnesses_that_are_down_stop_nothing(town, tmp_path):
    with witnesses(tmp_path, town.origin, key_of(town)) as policy:
        pass  # their processes have ended
    rounds = asking(town, policy)
    done = rounds.round(NOW, [key_of(town)])
    assert (done.cosigned, set(done.unavailable)) == (0, {"bawaslu", "polri", "univ"})
    assert rounds.refuse_rollback([key_of(town)]) == ["bawaslu", "polri", "univ"]
    rounds.close()
    move(town)
    assert (head(town).frozen, alarms(town)) == (None, [])


def test_a_fork_is_found_proven_and_frozen(town, twin, tmp_path):
    with witnesses(tmp_path, town.origin, key_of(town)) as policy:
        ours, theirs = asking(town, policy), asking(twin, policy)
        assert ours.round(NOW, [key_of(town)]).cosigned == 3
        move(town)
        assert ours.round(NOW, [key_of(town)]).cosigned == 3
        move(twin)
        move(twin)
        found = theirs.round(NOW, [key_of(town)])
        ours.close()
        theirs.close()
    assert found.cosigned == 0
    assert {c.kind for c in found.contradictions} <= {"fork", "rollback"}
    assert len(found.contradictions) == 3
    assert (head(town).frozen, head(twin).frozen is None) == (None, False)
    with pytest.raises(BusyError) as caught:
        commit_heads(twin.recorder, twin.tick())
    assert caught.value.code == "ledger_frozen"
    proof = alarms(twin)[0]
    signed = open_checkpoint(proof.body, [key_of(town)], town.origin)
    with twin.db.read() as session:
        held = twin.recorder.reader.nodes(session).root(signed.size)
    assert signed.root != held, "anybody who has the ledger's key sees that it signed two trees"


def test_two_running_services_on_copies_of_one_database_are_told_apart(town, twin, tmp_path):
    """The same with both services as they run for real: each asks the witnesses by itself."""
    with witnesses(tmp_path, town.origin, key_of(town)) as policy:
        path = tmp_path / "policy"
        path.write_bytes(policy.source)
        move(town)
        move(twin)
        how = {
            "witness_policy": str(path),
            "witness_seconds": "0.1",
            "witness_timeout_seconds": "10",
            "heads_seconds": "0",
        }
        urls = [own.db.url.render_as_string(hide_password=False) for own in (town, twin)]
        with running(town, urls[0], **how) as (_, port):
            first = until(port, lambda told: told["witnessed_size"] == town.size())
            assert first["frozen"] is None
            checkpoint = httpx.get(f"http://127.0.0.1:{port}/ledger/{first['name']}/checkpoint.witnessed").content
            assert policy.verify(checkpoint, town.origin).checkpoint.size == town.size()
        with pytest.raises(AssertionError), running(twin, urls[1], **how):
            pass  # it refuses to start: a witness has seen another tree of its size
        with running(twin, urls[1], heads_seconds="0") as (_, port):
            assert told_by(port)["frozen"] is None, "control: without witnesses nobody notices"


def told_by(port):
    return httpx.get(f"http://127.0.0.1:{port}/v1/ledger").json()


def until(port, fits):
    deadline = time.monotonic() + 30
    while not fits(told := told_by(port)):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def test_a_restored_copy_does_not_start(town, twin, tmp_path):
    with witnesses(tmp_path, town.origin, key_of(town)) as policy:
        rounds = asking(town, policy)
        move(town)
        rounds.round(NOW, [key_of(town)])
        rounds.close()
        path = tmp_path / "policy"
        path.write_bytes(policy.source)
        settings = twin.settings.model_copy(
            update={"witness_policy": path, "witness_timeout_seconds": 10.0, "ledger": ""}
        )
        clock = FixedClock(twin.now_ms)
        with pytest.raises(TamperError) as caught:
            Worker(settings, clock, twin.db)
        assert caught.value.code == "rollback"
        assert "Bring back the newest one" in caught.value.detail
        fresh = Worker(town.settings.model_copy(update={"witness_policy": path}), clock, town.db)
        fresh.witnesses.stop()
        Worker(twin.settings, clock, twin.db)  # control: the copy's own high-water file knows nothing of it


def test_a_witness_behind_nat_brings_its_cosignatures(town):
    inside = [
        SignerKey(f"{name}.example/w1", SignatureType.COSIGNATURE, bytes([n]) * 32) for n, name in enumerate("ab", 1)
    ]
    lines = [f"witness {key.name[0]} {key.verifier().to_text()}" for key in inside]
    policy = TrustPolicy.parse("\n".join([*lines, "group g all a b", "quorum g", ""]).encode())
    ledger_id, note = town.recorder.ledger_id, Note.parse(town.recorder.published[1])

    def brought(*keys, text=note.text):
        body = Note(text, tuple(key.cosign(text, 1_800_000_000) for key in keys)).to_bytes()
        return push(town.db, ledger_id, policy, body, NOW)

    stranger = SignerKey("x.example/w1", SignatureType.COSIGNATURE, b"\x07" * 32)
    with pytest.raises(UnprovenError):
        brought(stranger)
    with pytest.raises(UnprovenError):
        brought(inside[0], text=note.text.replace(note.text.split("\n")[2], "A" * 43 + "="))
    assert brought(inside[0], stranger) == [inside[0].verifier()]
    with town.db.read() as session:
        assert newest_witnessed(session, ledger_id) is None
    brought(inside[1])
    with town.db.read() as session:
        assert newest_witnessed(session, ledger_id)[0] == town.size()
