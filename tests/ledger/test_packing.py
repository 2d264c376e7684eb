"""A leaf comes back from its row as it was, whatever its bytes are, and damage to the row gives another leaf."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canon import b64url_encode
from app.ledger import packing
from app.ledger.packing import MARK, pack, unpack


def a_leaf(payload: bytes, signers: list[tuple[bytes, bytes]], tail: str = "") -> bytes:
    """Spell a leaf of any payload, headers and signatures, as the canonical form has it."""
    signatures = [
        {"protected": b64url_encode(header), "signature": b64url_encode(signature)} for header, signature in signers
    ]
    event = {"payload": b64url_encode(payload), "signatures": signatures}
    rest = (
        tail
        or '{"prev":"p","seq":1,"unit":"U"}],"received_at":"t","v":1,"verdict":{"code":"","policy":"","result":"accepted","rules":1}}'
    )
    return b'{"event":%s,"links":[%s' % (json.dumps(event, separators=(",", ":")).encode(), rest.encode())


signers = st.lists(st.tuples(st.binary(max_size=300), st.binary(min_size=64, max_size=64)), max_size=20)


@given(st.binary(max_size=3000), signers)
def test_an_envelope_comes_back_as_it_was_and_is_smaller(payload, signed):
    leaf = a_leaf(payload, signed)
    assert unpack(pack(leaf)) == leaf
    if signed and all(len(header) < 200 and min(header, default=9) > 8 for header, _ in signed):
        assert pack(leaf).startswith(MARK)
        assert len(pack(leaf)) < len(leaf)


@given(st.binary(max_size=400))
def test_any_bytes_come_back_as_they_were(data):
    for leaf in (data, b"{" + data, b"\x00" + data, MARK + data):
        assert unpack(pack(leaf)) == leaf


@given(st.binary(max_size=200), st.integers(0, 10**6), st.binary(min_size=1, max_size=3))
def test_a_leaf_that_is_nearly_of_the_form_comes_back_as_it_was(payload, where, other):
    """Cut, and with strange bytes in it: padding, signs that stand for phrases, base64 that has another spelling."""
    leaf = a_leaf(payload, [(b'{"alg":"ES256","kid":"k","typ":"custody-event+json"}', bytes(64))] * 2)
    at = where % len(leaf)
    for changed in (leaf[:at], leaf[at:], leaf[:at] + other + leaf[at:], leaf[:at] + other + leaf[at + 1 :]):
        assert unpack(pack(changed)) == changed


def test_spellings_of_the_same_bytes_are_kept_apart():
    """`QQ` and `QR` decode to the same byte; only one of them is what the decoder would spell."""
    leaf = a_leaf(b"A", [(b"A", bytes(64))])
    assert pack(leaf).startswith(MARK)
    other = leaf.replace(b'"payload":"QQ"', b'"payload":"QR"')
    assert other != leaf
    assert pack(other) == other


def test_without_the_trial_a_leaf_would_come_back_changed(monkeypatch: pytest.MonkeyPatch):
    """Control: it is the trial in `pack` that keeps such leaves whole."""
    other = a_leaf(b"A", [(b"A", bytes(64))]).replace(b'"payload":"QQ"', b'"payload":"QR"')
    monkeypatch.setattr(packing, "_comes_back", lambda _data, _text: True)
    assert unpack(pack(other)) != other


def test_damage_to_what_is_stored_is_damage_to_the_leaf():
    leaf = a_leaf(b'{"a":1}' * 40, [(b'{"alg":"ES256","kid":"k","typ":"custody-event+json"}', bytes(range(64)))] * 2)
    stored = pack(leaf)
    rng = random.Random(5)
    for at in range(len(stored)):
        damaged = stored[:at] + bytes([stored[at] ^ 1 << rng.randrange(8)]) + stored[at + 1 :]
        assert unpack(damaged) != leaf, at
    for at in range(len(stored)):
        assert unpack(stored[:at]) != leaf


@given(st.binary(max_size=500))
def test_nothing_that_is_stored_makes_reading_fail(data):
    assert isinstance(unpack(data), bytes)
    assert isinstance(unpack(MARK + data), bytes)


def test_the_form_is_for_ever():
    """A packed leaf of the first day, as bytes: what is on disks must be read for decades."""
    vector = json.loads((Path(__file__).parent.parent / "vectors/ledger/packed_leaf.json").read_text())
    assert unpack(bytes.fromhex(vector["stored"])) == vector["leaf"].encode()
    assert pack(vector["leaf"].encode()) == bytes.fromhex(vector["stored"])
