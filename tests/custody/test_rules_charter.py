"""After the genesis: agencies that join, founders that change, keys that rotate, shards (rules/charter.py)."""

import secrets

import pytest

from app.canon import b64url_encode
from app.cli.phone import EMPTY_ROOT, Phone
from app.clock import parse_rfc3339
from app.custody.events import parse_event
from app.custody.found import genesis_payload, public_jwk
from app.custody.newkeys import introduced
from app.custody.state import Discrepancy, Facts, Meta, Shard
from app.custody.walk import Walk
from app.ids import new_event_id
from app.keys.signing import PrivateKey, sign_jws
from app.keys.state import Key
from app.keys.verify import parse_jws
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import SignatureType, SignerKey
from tests import small as s
from tests.house import START

START_MS = parse_rfc3339(START)


class Young:
    """A ledger over nothing with three founders, one agency, and its service; events are walked, not stored."""

    def __init__(self, town, *, policy_signers=2):
        self.origin, self.now_ms = town.origin, START_MS
        self.keys = town.recorder._keys
        self.founders = [self.phone(f"F-{n}") for n in range(3)]
        self.root = self.phone("ROOT-A")
        self.speaker = Phone(self.keys.service, "SERVICE", "SERVICE", self.origin, "LEDGER", "LEDGER")
        empty = lambda size: (EMPTY_ROOT if size == 0 else None, 0)  # noqa: E731
        self.walk = Walk(Facts(complete=True), 0, empty, lambda _: None)
        founders = [{"officer": p.officer, "agency": s.KPU, "jwk": public_jwk(p.key)} for p in self.founders]
        agencies = [{"agency": "A", "name": "A", "kind": "commission", "jwk": public_jwk(self.root.key)}]
        payload = genesis_payload(
            self.keys, "young", founders, agencies, author=self.founders[0].kid,
            event_id=new_event_id(self.now_ms, secrets.token_bytes(10)), at_ms=self.now_ms, policy_signers=policy_signers,
        )  # fmt: skip
        self.take(sign_jws(payload, [*(p.key for p in self.founders), self.root.key]))
        self.founders[0].seq, self.founders[0].prev = 1, self.meta.genesis

    def phone(self, officer):
        key = PrivateKey.generate("Ed25519")
        return Phone(key, officer, s.KPU, self.origin, s.ELECTION, s.CITY)

    def take(self, jws):
        self.now_ms += 1000
        return self.walk.take(parse_event(parse_jws(jws).payload), jws, self.now_ms)

    def send(self, name, details, first, *others, capacity="approver"):
        signed = first.sign(
            name, details, at_ms=self.now_ms, capacity=capacity, with_=dict.fromkeys(others, "approver")
        )  # fmt: skip
        judgement = self.take(signed.jws).judgement
        return judgement.code or judgement.result

    def service(self, name, details):
        return self.send(name, details, self.speaker, capacity="witness")

    @property
    def meta(self) -> Meta:
        return self.walk.facts.meta

    def key(self, phone) -> Key | None:
        return self.walk.facts.get(Key, phone.kid)


def joining(phone, agency="POLRI"):
    return {"agency": agency, "name": agency, "kind": "police", "jwk": public_jwk(phone.key)}


def test_an_agency_joins_by_founders_and_its_own_key(town):
    young = Young(town)
    one, two, _ = young.founders
    new = young.phone("ROOT-POLRI")
    assert young.send("agency.join", joining(new), one, two, new) == "accepted"
    known = young.key(new)
    assert (known.kind, known.officer, known.agency) == ("root", "ROOT-POLRI", "POLRI")
    assert young.send("agency.join", joining(new), one, two, new) == "key_reused"


def test_an_agency_does_not_join_by_too_few_or_without_its_key(town):
    young = Young(town)
    one, two, _ = young.founders
    new = young.phone("ROOT-POLRI")
    assert young.send("agency.join", joining(new), one, new) == "policy_unmet"
    assert young.send("agency.join", joining(new), one, two) == "signature_set"
    assert young.send("agency.join", joining(new), one, two, young.root, new) == "signature_set"
    unsound = joining(new) | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(bytes(32))}}
    assert young.send("agency.join", unsound, one, two) == "weak_key"
    assert young.key(new) is None


def test_a_stranger_is_not_introduced_by_himself(town):
    young = Young(town)
    new = young.phone("X")
    signed = new.sign("agency.join", joining(new), at_ms=young.now_ms, capacity="approver")
    assert introduced(parse_event(parse_jws(signed.jws).payload)) == {}
    beside = young.founders[0].sign(
        "agency.join", joining(new), at_ms=young.now_ms, capacity="approver", with_={new: "approver"}
    )
    assert list(introduced(parse_event(parse_jws(beside.jws).payload))) == [new.kid]


def changing(add=(), remove=(), policy_signers=2):
    return {
        "add": [{"officer": p.officer, "agency": s.KPU, "jwk": public_jwk(p.key)} for p in add],
        "remove": [p.kid for p in remove], "policy_signers": policy_signers,
    }  # fmt: skip


def test_founders_come_and_go_by_more_than_half(town):
    young = Young(town, policy_signers=1)
    one, two, three = young.founders
    new = young.phone("F-9")
    assert young.send("founders.change", changing([new]), one, new) == "policy_unmet"
    assert young.send("founders.change", changing([new], [three]), one, two, new) == "accepted"
    assert (young.meta.administrators, young.meta.policy_signers) == (("F-0", "F-1", "F-9"), 2)
    assert young.key(three).revoked_index == 2
    assert (young.key(new).kind, young.key(new).revoked_index) == ("administrator", None)
    assert young.send("founders.change", changing([], [new]), two, three) == "key_revoked"
    assert young.send("founders.change", changing([], [one]), two, new) == "accepted"


def test_founders_do_not_change_into_nonsense(town):
    young = Young(town)
    one, two, three = young.founders
    new, twin = young.phone("F-9"), young.phone("F-0")
    everybody = (one, two, three)
    assert young.send("founders.change", changing(), *everybody) == "founders"
    assert young.send("founders.change", changing([new, new]), *everybody, new) == "founders"
    assert young.send("founders.change", changing([], [one, one]), *everybody) == "founders"
    assert young.send("founders.change", changing([twin]), *everybody, twin) == "founders"
    assert young.send("founders.change", changing([], [young.root]), *everybody) == "unknown_key"
    assert young.send("founders.change", changing([], [new]), *everybody) == "unknown_key"
    assert young.send("founders.change", changing([], [two, three], 2), *everybody) == "policy_unmet"
    assert young.send("founders.change", changing([new]), *everybody) == "signature_set"
    assert young.send("founders.change", changing([twin], [one]), *everybody, twin) == "accepted"
    assert young.send("founders.change", changing([], [one]), two, three) == "unknown_key"


def vkey(origin, seed=1, kind=SignatureType.NOTE):
    return SignerKey(origin, kind, bytes([seed]) * 32).verifier().to_text()


def test_a_key_rotates_by_founders_and_keeps_one_that_is_in_force(town):
    young = Young(town)
    one, two, _ = young.founders
    (old,) = young.meta.ledger_keys
    new = vkey(young.origin)
    assert young.send("ledger.rekey", {"keys": [new]}, one, two) == "ledger_key"
    assert young.send("ledger.rekey", {"keys": [old, new]}, one) == "policy_unmet"
    assert young.send("ledger.rekey", {"keys": [old, new]}, one, two, young.root) == "signature_set"
    assert young.send("ledger.rekey", {"keys": [old, new]}, one, two) == "accepted"
    assert young.meta.ledger_keys == (old, new)
    assert young.send("ledger.rekey", {"keys": [new]}, one, two) == "accepted"
    assert young.meta.ledger_keys == (new,)


@pytest.mark.parametrize("other", ["name", "kind", "twice", "text"])
def test_a_key_of_checkpoints_is_the_ledgers_own(town, other):
    young = Young(town)
    one, two, _ = young.founders
    (old,) = young.meta.ledger_keys
    wrong = {
        "name": vkey("other.example/ledger/x"), "kind": vkey(young.origin, 1, SignatureType.COSIGNATURE), "twice": old,
        "text": "x" * 40,
    }[other]  # fmt: skip
    assert young.send("ledger.rekey", {"keys": [old, wrong]}, one, two) == "ledger_key"
    assert young.meta.ledger_keys == (old,)


SHARD = SignerKey("kpu.example/ledger/64", SignatureType.NOTE, b"\7" * 32)


def shard(size, by=b"\1" * 32, /, **changes):
    key = SHARD
    note = sign(Checkpoint(key.name, size, by), key).decode()
    told = {
        "origin": key.name,
        "size": size,
        "root": b64url_encode(by),
        "key": key.verifier().to_text(),
        "note": note,
    }
    return told | changes


def test_a_shard_grows_on_the_national_ledger(town):
    young = Young(town)
    assert young.service("shard.checkpoint", shard(5)) == "accepted"
    assert young.service("shard.checkpoint", shard(9, b"\2" * 32)) == "accepted"
    assert young.service("shard.checkpoint", shard(9, b"\2" * 32)) == "accepted"
    found = young.walk.facts.get(Shard, SHARD.name)
    assert (found.size, found.leaf_index) == (9, 3)


@pytest.mark.parametrize("told", [shard(8), shard(9, b"\3" * 32)], ids=["shrank", "forked"])
def test_a_shard_that_shrinks_or_forks_is_refused_and_reported(town, told):
    young = Young(town)
    young.service("shard.checkpoint", shard(9))
    assert young.service("shard.checkpoint", told) == "shard_checkpoint"
    assert young.walk.facts.get(Shard, SHARD.name).root == b64url_encode(b"\1" * 32)
    assert [d.rule for d in young.walk.facts.kinds[Discrepancy].values()] == ["SHARD_FORK"]


@pytest.mark.parametrize(
    "told",
    [shard(9, size=10), shard(9, root=b64url_encode(bytes(32))), shard(9, origin="kpu.example/ledger/65"), shard(9, key="x" * 30),
     shard(9, key=vkey(SHARD.name, 9)), shard(9, note="x\n")],
    ids=["size", "root", "origin", "no key", "another key", "no note"],
)  # fmt: skip
def test_a_shards_checkpoint_is_what_its_key_signed(town, told):
    young = Young(town)
    assert young.service("shard.checkpoint", told) == "shard_checkpoint"
    assert young.walk.facts.get(Shard, told["origin"]) is None


def test_only_the_service_records_a_shard(town):
    young = Young(town)
    assert young.send("shard.checkpoint", shard(5), young.founders[0]) == "role"
