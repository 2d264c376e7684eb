"""Receipts that a load was answered with are verified, and a wrong one ends the run; questions are held to their sums."""

from types import SimpleNamespace

import orjson
import pytest

from app.canon import b64url_encode
from app.cli.bench import charter
from app.cli.bench.proofs import verify_sample
from app.cli.bench.reading import balanced
from app.cli.bench.sending import Answered, as_expected, hold
from app.cli.bench.traffic import Ask, Event, get, post, post_batch
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import SignatureType, SignerKey
from app.ledger.tree import inclusion_path, leaf_hash, range_root, root_of

ORIGIN = "bench.test/ledger/one"
KEY, OTHER = (SignerKey(ORIGIN, SignatureType.NOTE, bytes([n]) * 32) for n in (1, 2))
LEAVES = [leaf_hash(bytes([n])) for n in range(11)]
ALL = len(LEAVES)
EVENTS = [Event(f"H{n}".encode(), b"{}") for n in range(len(LEAVES))]


def node(level, number):
    """Return the root of a complete subtree of these leaves."""
    return root_of(LEAVES[number << level : (number + 1) << level])


def note(size=ALL, key=KEY, root=None):
    return sign(Checkpoint(ORIGIN, size, root or range_root(0, size, node)), key).decode()


def receipt(n, size=ALL, **more):
    path = [b64url_encode(each) for each in inclusion_path(n, size, node)]
    found = {
        "state": "included", "ledger": ORIGIN, "event": f"H{n}", "index": n,
        "leaf_hash": b64url_encode(LEAVES[n]), "result": "accepted", "proof": {"tree_size": size, "path": path},
    }  # fmt: skip
    return {**found, **more}


def answer(body, status=b"200"):
    return b"HTTP/1.1 " + status + b" \r\ncontent-length: 0\r\n\r\n" + orjson.dumps(body)


def alone(n, checkpoint=None, **more):
    found = receipt(n, **more)
    found["proof"]["checkpoint"] = checkpoint or note()
    return post(EVENTS[n], ""), answer(found, b"201")


def batch(*receipts, checkpoint=None):
    body = {"results": [{"status": 201, "receipt": one} for one in receipts], "checkpoint": checkpoint or note()}
    return post_batch(EVENTS[: len(receipts)], ""), answer(body)


def test_right_receipts_verify_alone_and_in_batches_and_others_have_none():
    answered = [alone(3), batch(*(receipt(n) for n in range(4)))]
    assert all(as_expected(*one) for one in answered)
    question = get("/v1/units/U", "")
    assert verify_sample([*answered, (question, answer({}))], KEY.verifier()) == 1 + 4
    assert verify_sample([(question, answer({}))], KEY.verifier()) == 0


def wrong_receipts():
    path = receipt(3)["proof"]["path"]
    yield "another leaf", alone(3, leaf_hash=b64url_encode(LEAVES[4]))
    yield "another place", alone(3, index=4)
    yield "another path", alone(3, proof={"tree_size": ALL, "path": path[1:]})
    yield "a checkpoint by another key", alone(3, note(key=OTHER))
    yield "a checkpoint of another size", alone(3, note(8))
    yield "a checkpoint of another tree", alone(3, note(root=bytes(32)))
    yield "no checkpoint at all", alone(3, "nothing")
    yield "another ledger", alone(3, ledger="bench.test/ledger/two")
    yield "within a batch", batch(receipt(0), receipt(1, index=2))
    yield "a batch by another key", batch(receipt(0), receipt(1), checkpoint=note(key=OTHER))


@pytest.mark.parametrize(("what", "answered"), list(wrong_receipts()))
def test_a_receipt_that_does_not_verify_ends_the_run(what, answered):
    ask, text = answered
    with pytest.raises(RuntimeError, match=r"receipt of H\d+"):
        hold([Answered(ask, text, 0, 0, 1)], KEY.verifier())
    hold([Answered(ask, text, 0, 0, 1)])  # control: nothing else is wrong with it


def test_an_answer_without_its_proof_is_not_as_expected():
    ask, text = alone(3)
    body = orjson.loads(text.partition(b"\r\n\r\n")[2])
    del body["proof"]
    assert as_expected(ask, text)
    assert not as_expected(ask, answer(body, b"201"))


def balance(**wrong):
    """Return the answer to whether a city adds up; `wrong` replaces a total of one contest."""
    ballots, voters = charter.STATIONS * charter.ballots(), charter.STATIONS * charter.VOTERS
    contests = []
    for contest in sorted(charter.CONTESTS):
        totals = {"voters": voters, "reserve": ballots - voters, "ordered": ballots, "over": 0, "good": ballots}
        totals |= wrong.get(contest, {})
        figures = [{"figure": name, "quantity": total, "count": 1} for name, total in totals.items()]
        holds = {"number": 1, "name": "print_ceiling", "difference": 0, "holds": True}
        contests.append({"contest": contest, "figures": figures, "identities": [holds]})
    return answer({"contests": contests})


def test_the_balance_of_a_city_is_held_to_all_five_contests_each_with_its_totals():
    ask = Ask(b"", 200, (), tuple(piece for contest in sorted(charter.CONTESTS) for piece in balanced(contest)))
    assert as_expected(ask, balance())
    for contest in charter.CONTESTS:
        for figure in ("voters", "reserve", "ordered", "good"):
            assert not as_expected(ask, balance(**{contest: {figure: 7}})), (contest, figure)
    assert not as_expected(ask, balance().replace(b'"contest":"PRESIDENT"', b'"contest":"ANOTHER"'))
    assert not as_expected(ask, balance().replace(b'"difference":0,"holds":true', b'"difference":1,"holds":false'))


def test_every_station_of_the_plan_votes_in_every_contest():
    assert tuple(one["id"] for one in charter.policy("2026-01-01")["elections"][0]["contests"]) == charter.CONTESTS
    stations = [SimpleNamespace(**station) for station in charter.plan()["stations"]]
    assert {tuple(one["contest"] for one in station.districts) for station in stations} == {charter.CONTESTS}
