"""The table of c2sp.org/tlog-witness, in its order, each condition beside the request that just passes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConflictError, ForbiddenError, MalformedError, MissingError, RefusedError, ServiceError
from app.ledger.checkpoint import Checkpoint
from app.ledger.note import Note
from app.ledger.tree import EMPTY_ROOT
from app.web.problems import status_of
from app.witness.decide import Finding, Held, finding, prove, refusal
from tests.ledger.vectors import LEDGER_KEY, ORIGIN, WITNESS_KEY
from tests.witness.logs import NEXT_KEY, STRANGER, Log, body, fork, honest

TRUSTED = {ORIGIN: [LEDGER_KEY.verifier()]}
LOG = honest()
GOOD = LOG.request(7, 20)
AT_7 = Held(7, LOG.root(7))


def keys_of(origin):
    return TRUSTED.get(origin, [])


def judged(data, held):
    """Return the status that a request gets, as the door would answer it."""
    try:
        error = refusal(prove(data, keys_of), held)
    except ServiceError as raised:
        error = raised
    return 200 if error is None else status_of(error)


def signed(text, *keys):
    return Note(text, tuple(key.sign(text) for key in keys)).to_bytes()


def test_the_good_request_is_good():
    assert judged(GOOD, AT_7) == 200
    assert prove(GOOD, keys_of).checkpoint == Checkpoint(ORIGIN, 20, LOG.root(20))


def test_a_proof_is_judged_at_every_pair_of_sizes():
    for new in range(1, 40):
        for old in range(new + 1):
            held = Held(old, LOG.root(old))
            assert judged(LOG.request(old, new), held) == 200, (old, new)
            if new > 5 and 0 < old < new:
                assert judged(fork().request(old, new), held) == (422 if old > 5 else 200), (old, new)


MALFORMED = {
    "nothing": b"",
    "no empty line": GOOD.replace(b"\n\n", b"\n"),
    "no old": GOOD.replace(b"old ", b"", 1),
    "OLD": GOOD.replace(b"old", b"OLD", 1),
    "leading zero": GOOD.replace(b"old 7", b"old 07", 1),
    "plus": GOOD.replace(b"old 7", b"old +7", 1),
    "negative": GOOD.replace(b"old 7", b"old -7", 1),
    "two spaces": GOOD.replace(b"old 7", b"old  7", 1),
    "beyond 63 bits": GOOD.replace(b"old 7", b"old 9223372036854775808", 1),
    "carriage returns": GOOD.replace(b"\n", b"\r\n"),
    "short hash": body(7, [b"x" * 31], LOG.checkpoint(20)),
    "64 hashes": body(7, [b"x" * 32] * 64, LOG.checkpoint(20)),
    "not base64": body(7, [], LOG.checkpoint(20)).replace(b"\n\n", b"\n%%%\n\n", 1),
    "padded base64": GOOD.replace(b"=\n", b"==\n", 1),
    "stray bits": body(7, [bytes(32)], LOG.checkpoint(20)).replace(b"AA=\n", b"AB=\n", 1),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "no checkpoint": GOOD.split(b"\n\n")[0] + b"\n\n",
    "no signature": GOOD[: GOOD.index("\u2014".encode())],
    "cut": GOOD[:-1],
    "more": GOOD + b"x",
    "an empty line more": GOOD + b"\n",
    "too large": GOOD + b"x" * 128 * 1024,
    "size 07": body(0, [], signed(f"{ORIGIN}\n07\n{'A' * 43}=\n", LEDGER_KEY)),
    "an empty line before the checkpoint": GOOD.replace(b"\n\n", b"\n\n\n", 1),
    "an extension line": body(0, [], signed(Checkpoint(ORIGIN, 1, bytes(32)).to_text() + "more\n", LEDGER_KEY)),
    "two lines": body(0, [], signed(f"{ORIGIN}\n7\n", LEDGER_KEY)),
    "short root": body(0, [], signed(f"{ORIGIN}\n7\nAAAA\n", LEDGER_KEY)),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_400_what_is_malformed_comes_before_all_else(data):
    assert judged(data, AT_7) == 400
    with pytest.raises(MalformedError):
        prove(data, lambda _: [])  # even of an unknown ledger


def test_404_an_unknown_origin_comes_before_its_signature():
    stranger = Log(key=STRANGER, size=9)
    assert judged(stranger.request(0, 9), Held()) == 404
    text = Checkpoint("nobody.example", 9, bytes(32)).to_text()
    assert judged(body(99, [], signed(text, LEDGER_KEY)), Held()) == 404  # signed by a key of another ledger
    with pytest.raises(MissingError):
        prove(GOOD, lambda _: [])


def test_403_no_trusted_signature_or_a_wrong_one():
    text = Checkpoint(ORIGIN, 20, LOG.root(20)).to_text()
    good, by_next = LEDGER_KEY.sign(text).to_text(), NEXT_KEY.sign(text).to_text()
    forged = LEDGER_KEY.sign(text.replace("20", "21")).to_text()
    cosigned = WITNESS_KEY.cosign(text, 1).to_text()

    def status(*lines):
        return judged(
            body(7, LOG.proof(7, 20), f"{text}\n{''.join(f'{line}' + chr(10) for line in lines)}".encode()), AT_7
        )

    assert status(by_next) == 403
    assert status(cosigned) == 403
    assert status(forged) == 403
    assert status(good, forged) == 403
    assert status(forged, good) == 403
    assert status(good, by_next, cosigned) == 200
    assert judged(LOG.request(0, 20).replace(b"old 0", b"old 99"), AT_7) == 400
    assert judged(body(99, [], f"{text}\n{by_next}\n".encode()), AT_7) == 403  # before 400 for its old size


def test_any_trusted_key_will_do_while_a_ledger_rotates_but_none_may_be_wrong():
    both = {ORIGIN: [LEDGER_KEY.verifier(), NEXT_KEY.verifier()]}
    old, new = Log(size=20), Log(size=20, key=NEXT_KEY)
    for checkpoint in (old.checkpoint(20), new.checkpoint(20), old.checkpoint(20, NEXT_KEY)):
        request = prove(body(7, LOG.proof(7, 20), checkpoint), lambda origin: both[origin])
        assert refusal(request, AT_7) is None
    wrong = NEXT_KEY.sign("other\n").to_text()
    with pytest.raises(ForbiddenError):
        prove(body(7, [], old.checkpoint(20) + f"{wrong}\n".encode()), lambda origin: both[origin])


def test_400_an_old_size_beyond_the_checkpoint_comes_before_409():
    assert judged(LOG.request(21, 20), AT_7) == 400
    assert judged(LOG.request(21, 20), Held(21, LOG.root(21))) == 400
    assert judged(LOG.request(20, 20), AT_7) == 409


def test_409_another_size_than_the_one_held_and_it_says_which():
    for old in (0, 6, 8, 20):
        error = refusal(prove(LOG.request(old, 20), keys_of), AT_7)
        assert isinstance(error, ConflictError)
        assert (status_of(error), error.facts) == (409, {"size": 7})
    assert judged(LOG.request(1, 20), Held()) == 409  # first contact begins at 0
    assert judged(LOG.request(0, 20), Held()) == 200
    assert judged(body(6, [b"x" * 32], LOG.checkpoint(20)), AT_7) == 409  # before its proof is looked at


def test_422_an_empty_tree_with_a_root():
    empty, other = (
        body(0, [], signed(Checkpoint(ORIGIN, 0, root).to_text(), LEDGER_KEY)) for root in (EMPTY_ROOT, bytes(32))
    )
    assert judged(empty, Held()) == 200
    assert judged(other, Held()) == 422
    assert judged(other, AT_7) == 409


def test_422_proof_lines_from_size_0():
    assert judged(LOG.request(0, 20, [bytes(32)]), Held()) == 422
    assert judged(LOG.request(0, 0, [bytes(32)]), Held()) == 422
    assert judged(LOG.request(0, 20), Held()) == 200


def test_422_the_same_size_with_another_root_or_with_a_proof():
    held = Held(20, LOG.root(20))
    assert judged(LOG.request(20, 20), held) == 200
    assert judged(fork().request(20, 20), held) == 422
    assert judged(LOG.request(20, 20, [bytes(32)]), held) == 422


def test_422_a_proof_that_does_not_hold():
    proof = LOG.proof(7, 20)
    assert judged(LOG.request(7, 20, []), AT_7) == 422
    assert judged(LOG.request(7, 20, proof[:-1]), AT_7) == 422
    assert judged(LOG.request(7, 20, [*proof, bytes(32)]), AT_7) == 422
    assert judged(LOG.request(7, 20, proof[::-1]), AT_7) == 422
    assert judged(LOG.request(7, 20, LOG.proof(7, 21)), AT_7) == 422
    assert judged(LOG.request(7, 20, LOG.proof(6, 20)), AT_7) == 422
    for at in range(len(proof)):
        for bit in range(256):
            changed = int.from_bytes(proof[at], "big") ^ 1 << bit
            data = LOG.request(7, 20, [*proof[:at], changed.to_bytes(32, "big"), *proof[at + 1 :]])
            assert judged(data, AT_7) == 422


def found(data, held):
    request = prove(data, keys_of)
    error = refusal(request, held)
    return finding(request, held) if isinstance(error, ConflictError | RefusedError) else None


def test_what_convicts_a_ledger_and_what_its_client_only_did_wrong():
    empty = body(0, [], signed(Checkpoint(ORIGIN, 0, bytes(32)).to_text(), LEDGER_KEY))
    held = Held(20, LOG.root(20))
    assert found(fork().request(20, 20), held) is Finding.FORK
    assert found(fork().request(3, 20), held) is Finding.FORK  # whatever the client says it starts from
    assert found(empty, held) is Finding.FORK
    assert found(fork().request(20, 30), held) is Finding.UNPROVEN
    assert found(LOG.request(20, 30, []), held) is Finding.UNPROVEN
    assert found(LOG.request(20, 20, [bytes(32)]), held) is None
    assert found(LOG.request(3, 20), held) is None
    assert found(LOG.request(3, 30), held) is None
    assert found(LOG.request(0, 20, [bytes(32)]), Held()) is None
    assert found(LOG.request(20, 30), held) is None


def test_only_verified_signatures_are_kept_each_once():
    text = Checkpoint(ORIGIN, 20, LOG.root(20)).to_text()
    good = LEDGER_KEY.sign(text)
    lines = [WITNESS_KEY.cosign(text, 1), good, NEXT_KEY.sign(text), good]
    request = prove(body(7, LOG.proof(7, 20), Note(text, tuple(lines)).to_bytes()), keys_of)
    assert request.note == Note(text, (good,))


def test_a_ledger_whose_origin_is_not_its_keys_name_is_followed():
    """Trap 6 of ledger.md section 8: sum.golang.org."""
    text = Checkpoint("go.sum database tree", 20, LOG.root(20)).to_text()
    request = prove(body(0, [], signed(text, LEDGER_KEY)), lambda _: [LEDGER_KEY.verifier()])
    assert refusal(request, Held()) is None


@given(st.binary(max_size=120), st.integers(0, len(GOOD)), st.integers(0, 60))
def test_garbage_gets_one_of_the_statuses_and_never_a_pass(garbage, at, cut):
    for data in (garbage, GOOD[:at] + garbage + GOOD[at + cut :]):
        assert judged(data, AT_7) in {400, 403, 404, 409, 422} or data == GOOD


def test_no_single_byte_of_a_good_request_may_change():
    """A byte of the signature line's name or key id makes it a stranger's, hence 403."""
    for at in range(len(GOOD)):
        for other in {GOOD[at] ^ 1, GOOD[at] ^ 0x20, 10, 32, 48} - {GOOD[at]}:
            assert judged(GOOD[:at] + bytes([other]) + GOOD[at + 1 :], AT_7) != 200
        assert judged(GOOD[:at], AT_7) != 200
        assert judged(GOOD[:at] + GOOD[at + 1 :], AT_7) != 200
