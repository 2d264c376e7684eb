"""Requests to witnesses and their answers: what comes back unchanged, and everything that is none."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedError
from app.ledger.submission import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_LINES,
    MAX_SUBMISSION_BYTES,
    Submission,
    read_answer,
    read_size,
    write_answer,
)
from tests.ledger.vectors import WITNESS_KEY, load

NOTE = load("checkpoint")["note"].encode()
TEXT = NOTE.decode().split("\n\n")[0] + "\n"
PROOF = (bytes(range(32)), bytes(range(1, 33)))
GOOD = Submission(7, PROOF, NOTE)
DATA = GOOD.to_bytes()
HASH = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
LINES = (WITNESS_KEY.cosign(TEXT, 1), WITNESS_KEY.cosign(TEXT, 2))
ANSWER = write_answer(LINES)


def test_a_request_is_these_bytes():
    assert DATA == b"old 7\n" + HASH + b"\nAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n\n" + NOTE
    assert Submission.parse(DATA) == GOOD
    assert Submission(0, (), NOTE).to_bytes() == b"old 0\n\n" + NOTE


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"\n\n", b"old 0", b"old 0\n", b"old 0\n\n", b"old 0\n" + NOTE,
        b"old 00\n\n" + NOTE, b"old 07\n\n" + NOTE, b"old -1\n\n" + NOTE, b"old +1\n\n" + NOTE, b"old 1.0\n\n" + NOTE,
        b"old 1e3\n\n" + NOTE, b"old 1_0\n\n" + NOTE, b"old  1\n\n" + NOTE, b"old 1 \n\n" + NOTE, b"old \n\n" + NOTE,
        b"old\n\n" + NOTE, b"old\t1\n\n" + NOTE, b"Old 1\n\n" + NOTE, b" old 1\n\n" + NOTE, b"new 1\n\n" + NOTE,
        b"old 9223372036854775808\n\n" + NOTE, b"old 18446744073709551616\n\n" + NOTE, b"old " + b"9" * 5000 + b"\n\n" + NOTE,
        "old \u0661\n\n".encode() + NOTE, b"old 1\n\xff\n\n" + NOTE, b"\xef\xbb\xbfold 1\n\n" + NOTE,
        b"old 1\r\n\r\n" + NOTE, b"\nold 1\n\n" + NOTE,
        b"old 1\n" + HASH[:-1] + b"\n\n" + NOTE, b"old 1\n" + HASH + b"=\n\n" + NOTE, b"old 1\n" + HASH + b" \n\n" + NOTE,
        b"old 1\n " + HASH + b"\n\n" + NOTE, b"old 1\n" + HASH.replace(b"8=", b"9=") + b"\n\n" + NOTE,
        b"old 1\n" + HASH.replace(b"A", b"-", 1) + b"\n\n" + NOTE, b"old 1\n" + HASH[:-4] + b"\n\n" + NOTE,
        b"old 1\n" + HASH + HASH + b"\n\n" + NOTE, b"old 1\nAA==\n\n" + NOTE, b"old 1\n" + (HASH + b"\n") * 64 + b"\n" + NOTE,
        b"old 1\n" + (HASH + b"\n") * 2000 + b"\n" + NOTE, DATA[:-1], DATA + b"\n", DATA + b"x", DATA.replace(b"\n", b"\r\n"),
        b"old 0\n\n" + NOTE.partition(b"\n\n")[0] + b"\n", b"old 0\n\n" + NOTE + b"x" * MAX_SUBMISSION_BYTES,
    ],
)  # fmt: skip
def test_a_malformed_request_is_refused(data):
    with pytest.raises(MalformedError):
        Submission.parse(data)


def test_limits_are_exact():
    most = Submission(2**63 - 1, (bytes(32),) * 63, NOTE)
    assert Submission.parse(most.to_bytes()) == most
    for proof in ((bytes(32),) * 64, (bytes(31),), (bytes(33),), (b"",)):
        with pytest.raises(MalformedError):
            Submission(1, proof, NOTE)
    for note in (b"", b"x", NOTE[:-1], b"\n\n"):
        with pytest.raises(MalformedError):
            Submission(1, (), note)


def test_every_single_byte_counts():
    for at in range(len(DATA)):
        for other in {*b"\n\r =+/0Aa\0\x80\xff", DATA[at] ^ 1, DATA[at] ^ 0x20} - {DATA[at]}:
            changed = DATA[:at] + bytes([other]) + DATA[at + 1 :]
            try:
                found = Submission.parse(changed)
            except MalformedError:
                continue
            assert found != GOOD
            assert found.to_bytes() == changed


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_any_request_comes_back(old, proof):
    request = Submission(old, tuple(proof), NOTE)
    assert Submission.parse(request.to_bytes()) == request


@given(st.binary(max_size=100), st.integers(0, len(DATA)), st.integers(0, 60))
def test_garbage_is_malformed_and_what_parses_comes_back(garbage, at, cut):
    for data in (garbage, DATA[:at] + garbage + DATA[at + cut :]):
        with suppress(MalformedError):
            assert Submission.parse(data).to_bytes() == data


def test_an_answer_is_signature_lines():
    assert write_answer(LINES) == f"{LINES[0].to_text()}\n{LINES[1].to_text()}\n".encode()
    assert read_answer(ANSWER) == LINES
    assert read_answer(write_answer(LINES[:1] * MAX_ANSWER_LINES)) == LINES[:1] * MAX_ANSWER_LINES


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n", b"ok", b"ok\n", ANSWER[:-1], ANSWER + b"\n", b"\n" + ANSWER, ANSWER + b"x\n", ANSWER.replace(b"\n", b"\r\n"),
        ANSWER.replace("\u2014".encode(), b"-"), ANSWER.replace("\u2014 ".encode(), "\u2014".encode()), b"\xff" + ANSWER,
        ANSWER.replace(b"=", b""), ANSWER.replace(b" Eg", b"  Eg"), write_answer(LINES[:1] * (MAX_ANSWER_LINES + 1)),
        b"x" * MAX_ANSWER_BYTES + b"\n", ANSWER * 500, "\u2014 w.example AAAA\n".encode(), "\u2014  AAAAAAAA\n".encode(),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused(body):
    with pytest.raises(MalformedError):
        read_answer(body)


@given(st.binary(max_size=200), st.integers(0, len(ANSWER)), st.integers(0, 60))
def test_garbage_is_no_answer(garbage, at, cut):
    for data in (garbage, ANSWER[:at] + garbage + ANSWER[at + cut :]):
        with suppress(MalformedError):
            assert write_answer(read_answer(data)) == data


def test_the_size_of_a_409_is_read_and_its_absence_tolerated():
    """Trap 3 of ledger.md section 8: some witnesses answer 409 without a size."""
    for size in (0, 1, 20, 2**63 - 1):
        assert read_size(f"{size}\n".encode()) == size
    for body in (
        b"", b"\n", b"20", b"020\n", b"-1\n", b"+1\n", b"20\n\n", b" 20\n", b"20 \n", b"0x14\n", b"2e1\n", b"\xff\n", b"9" * 23 + b"\n",
        b"9223372036854775808\n", b"roots do not match\n", "\u0662\u0660\n".encode(), b"9" * 100_000 + b"\n",
    ):  # fmt: skip
        assert read_size(body) is None
