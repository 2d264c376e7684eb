"""A ledger with witnesses, at its doors: cosignatures that are brought, the witnessed checkpoint, proofs under it."""

import shutil
import time
from dataclasses import replace

import pytest

from app.ledger import freezing
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import MAX_NOTE_BYTES, Note, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from app.ledger.proof import TlogProof
from tests import small
from tests.web.live import living
from tests.web.stocked import public_side

NOW_S = int(time.time())
WITNESSES = [
    SignerKey(f"{name}.example/w1", SignatureType.COSIGNATURE, bytes([n]) * 32) for n, name in enumerate("abc", 1)
]
POST_QUANTUM = SignerKey("q.example/w1", SignatureType.MLDSA_COSIGNATURE, b"\x09" * 32)
STRANGER = SignerKey("x.example/w1", SignatureType.COSIGNATURE, b"\x08" * 32)
POLICY = "".join([
    *(f"witness {key.name[0]} {key.verifier().to_text()}\n" for key in (*WITNESSES, POST_QUANTUM)),
    "group two 2 a b c q\n", "quorum two\n",
])  # fmt: skip


@pytest.fixture
def live(sqlite_template, tmp_path):
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    path = tmp_path / "policy.txt"
    path.write_text(POLICY)
    with living(f"sqlite:///{tmp_path / 'custody.db'}", tmp_path / "data", witness_policy=path) as found:
        yield found
        found.house.check()


@pytest.fixture
def base(live):
    return f"/ledger/{live.services.view.name}"


def newest(live, base):
    return Note.parse(live.http.get(f"{base}/checkpoint").content)


def bring(live, base, body, kind="text/plain"):
    return live.http.post(f"{base}/cosignatures", content=body, headers={"Content-Type": kind})


def cosigned(note, *keys, at_s=NOW_S):
    return Note(note.text, tuple(key.cosign(note.text, at_s) for key in keys)).to_bytes()


def test_a_checkpoint_is_witnessed_once_the_policy_is_met(live, base):
    note = newest(live, base)
    size = Checkpoint.parse(note.text).size
    assert live.http.get(f"{base}/policy").text == POLICY
    assert live.http.get(f"{base}/checkpoint.witnessed").status_code == 404
    assert live.http.get("/v1/ledger").json()["witnessed_size"] is None
    answer = bring(live, base, cosigned(note, WITNESSES[0], STRANGER))
    assert (answer.status_code, answer.content) == (204, b"")
    assert live.http.get(f"{base}/checkpoint.witnessed").status_code == 404, "one of two"
    assert bring(live, base, cosigned(note, POST_QUANTUM)).status_code == 204
    witnessed = live.http.get(f"{base}/checkpoint.witnessed")
    assert witnessed.headers["content-type"] == "text/plain; charset=utf-8"
    policy = TrustPolicy.parse(POLICY.encode())
    seen = policy.verify(witnessed.content, live.services.origin, [live.services.keys.ledger.verifier()])
    assert (seen.checkpoint.size, set(seen.witnesses)) == (size, {"a", "q"})
    assert live.http.get(f"{base}/checkpoint").content == witnessed.content
    told = live.http.get("/v1/ledger").json()
    assert told["witnessed_size"] == size
    assert {w["name"]: w["size"] for w in told["witnesses"]} == {"a": size, "b": None, "c": None, "q": size}
    assert live.http.head(f"{base}/checkpoint.witnessed").status_code == 200


def test_the_receipt_and_the_proof_say_witnessed(live, base):
    phone = live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    first = live.ok(live.sighting(phone, "0" * 17))["event"]
    headers = live.headers("auditor")
    assert live.http.get(f"/v1/events/{first}", headers=headers).json()["receipt"]["state"] == "included"
    bring(live, base, cosigned(newest(live, base), *WITNESSES[:2]))
    later = live.ok(live.sighting(phone, "0" * 17))["event"]
    states = [live.http.get(f"/v1/events/{e}", headers=headers).json()["receipt"]["state"] for e in (first, later)]
    assert states == ["witnessed", "included"]
    proof = live.http.get(f"/v1/events/{first}/proof", headers=headers)
    assert proof.status_code == 200
    found = TlogProof.parse(proof.content)
    policy = TrustPolicy.parse(POLICY.encode())
    seen = policy.verify(found.checkpoint, live.services.origin, [live.services.keys.ledger.verifier()])
    assert set(seen.witnesses) == {"a", "b"}


def test_an_older_cosignature_never_takes_the_place_of_a_newer_one(live, base):
    note = newest(live, base)
    bring(live, base, cosigned(note, WITNESSES[0], at_s=NOW_S))
    assert bring(live, base, cosigned(note, WITNESSES[0], at_s=NOW_S - 100)).status_code == 204
    times = [line.cosigned_at() for line in newest(live, base).signatures if line.name == WITNESSES[0].name]
    assert times == [NOW_S]
    bring(live, base, cosigned(note, WITNESSES[0], at_s=NOW_S + 5))
    times = [line.cosigned_at() for line in newest(live, base).signatures if line.name == WITNESSES[0].name]
    assert times == [NOW_S + 5]


def counted(live):
    lines = [line.split(" ") for line in live.http.get("/metrics").text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines if name.startswith(("custody_witnessed", "custody_ledger"))}


def test_operators_see_how_far_the_witnesses_are_and_what_is_wrong(live, base):
    size = Checkpoint.parse(newest(live, base).text).size
    before = counted(live)
    assert before["custody_witnessed_size"] == 0
    assert before["custody_witnessed_lag_seconds"] > 0
    bring(live, base, cosigned(newest(live, base), *WITNESSES[:2]))
    assert counted(live) == {
        "custody_ledger_frozen": 0, "custody_ledger_alarms": 0, "custody_witnessed_size": size,
        "custody_witnessed_lag_seconds": 0,
    }  # fmt: skip
    live.house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    assert counted(live)["custody_witnessed_size"] == size
    with live.db.write() as session:
        freezing.raise_alarm(session, live.services.ledger_id, 0, kind="claim", source="a", detail="told")
        freezing.freeze(session, live.services.ledger_id, "told")
    found = counted(live)
    assert (found["custody_ledger_frozen"], found["custody_ledger_alarms"]) == (1, 1)
    with live.db.write() as session:
        freezing.thaw(session, live.services.ledger_id)


def test_what_is_no_cosignature_is_refused_and_leaves_nothing(live, base):
    note = newest(live, base)
    good = cosigned(note, WITNESSES[0])
    other_size = note.text.replace(f"\n{Checkpoint.parse(note.text).size}\n", "\n999999\n")
    other_root = note.text.replace(note.text.split("\n")[2], "A" * 43 + "=")
    (line,) = Note.parse(good).signatures
    bent = Note(note.text, (replace(line, blob=line.blob[:-1] + bytes([line.blob[-1] ^ 1])),)).to_bytes()
    for body, status, code in (
        (b"", 400, "note"),
        (b"nonsense", 400, "note"),
        (bytes(range(256)), 400, "note"),
        (good[:-1], 400, None),
        (good + b"\n", 400, None),
        (good.replace(b"\n", b"\r\n"), 400, None),
        (bent, 401, "cosignature"),
        (cosigned(note, STRANGER), 401, "cosignature"),
        (Note(note.text, note.signatures).to_bytes(), 401, "cosignature"),
        (cosigned(Note(other_size, note.signatures), WITNESSES[0]), 404, "no_checkpoint"),
        (cosigned(Note(other_root, note.signatures), WITNESSES[0]), 401, "cosignature"),
        (b"a" * (MAX_NOTE_BYTES + 1), None, None),
    ):
        answer = bring(live, base, body)
        assert answer.status_code == status or (status is None and answer.status_code in {400, 413}), (
            body[:80],
            answer.text,
        )
        assert answer.headers["content-type"] == "application/problem+json"
        assert code is None or answer.json()["code"] == code, (body[:80], answer.text)
    assert bring(live, base, good, "application/json").status_code == 415
    assert live.http.get(f"{base}/cosignatures").status_code == 405
    assert newest(live, base) == note
    assert bring(live, base, good).status_code == 204, "the control"


def test_a_list_that_went_bad_is_no_fault_of_the_callers(sqlite_template, tmp_path):
    shutil.copyfile(sqlite_template, tmp_path / "custody.db")
    more = public_side(tmp_path)
    with living(f"sqlite:///{tmp_path / 'custody.db'}", tmp_path / "data", **more) as live:
        good = live.http.get("/v1/ledgers")
        assert (good.status_code, good.content) == (200, more["ledgers"].read_bytes())
        for data in (good.content[:-9] + b"AAAAAAA=\n", b"nonsense", b""):
            more["ledgers"].write_bytes(data)
            answer = live.http.get("/v1/ledgers")
            assert (answer.status_code, answer.json()["code"]) == (404, "no_list"), data
        more["ledgers"].unlink()
        assert live.http.get("/v1/ledgers").json()["code"] == "no_list"


def test_a_ledger_without_witnesses_has_none_of_these_doors(lite):
    base = f"/ledger/{lite.services.view.name}"
    for path in ("policy", "checkpoint.witnessed"):
        assert lite.http.get(f"{base}/{path}").status_code == 404
    assert bring(lite, base, b"x").status_code == 404
