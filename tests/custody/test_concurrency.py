"""Many at once: one accept of a release takes effect, the ledger never forks, whoever writes (T4, issue 2).

`CUSTODY_ROUNDS` rounds on each database (200 unless set): most through the one writer thread, as the service
does, the others straight into the recorder; a few more with several recorders over one database.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.custody.intake import Intake
from app.custody.prove import ProvenEvent
from app.custody.receipts import Answer
from app.errors import BusyError, ServiceError
from app.ledger import _store as ledger_store
from tests import small as s
from tests.custody.town import second_writer

ROUNDS = int(os.environ.get("CUSTODY_ROUNDS", "200"))
TAKERS = 8
Submit = Callable[[ProvenEvent], Answer]

pytestmark = [pytest.mark.usefixtures("alone")]


@pytest.fixture
def carriers(town):
    """Eight officers of the named agency, each with a phone of his own."""
    return [town.enrol(f"CARRIER-{n}", s.POS, "TRANSPORTIR", s.CITY) for n in range(TAKERS)]


def round_of(town, carriers, load):
    """Release a load back and forth; return the release's hash and eight accepts of it, proven."""
    release = town.release([load], (s.POS, s.TRUCK), pol="escort")
    town.ok(release)
    accepts = [town.accept(release.hash, [load], phone=phone, place=s.TRUCK, gov="witness") for phone in carriers]
    return release.hash, [town.recorder.prover.prove(each.jws, town.now_ms) for each in accepts]


def give_back(town, load, holder):
    back = town.act(
        holder, "custody.release", {"to_agency": s.KPU, "to_place": s.WAREHOUSE, "due_by": "2024-12-31T00:00:00+08:00"},
        [load], place=s.TRUCK,
    )  # fmt: skip
    town.ok(back)
    town.ok(town.accept(back.hash, [load], phone=town.kpu1, place=s.WAREHOUSE, gov="witness"))


def all_at_once(submits: Sequence[Submit], events: Sequence[ProvenEvent], pool: ThreadPoolExecutor) -> list[Answer]:
    """Submit each event from a thread of its own, all released by one barrier; busy ones try again."""
    barrier = threading.Barrier(len(events))

    def one(submit: Submit, event: ProvenEvent) -> Answer:
        barrier.wait(timeout=30)
        for _ in range(50):
            try:
                answer = submit(event)
            except BusyError:
                continue
            if not isinstance(answer, BusyError):
                return answer
        raise AssertionError("busy for ever")

    return [f.result(timeout=60) for f in [pool.submit(one, *pair) for pair in zip(submits, events, strict=True)]]


def compete(town, carriers, rounds: int, submits: Sequence[Submit]) -> None:
    load = town.load()
    with ThreadPoolExecutor(TAKERS) as pool:
        for _ in range(rounds):
            release, events = round_of(town, carriers, load)
            answers = all_at_once(submits, events, pool)
            assert not any(isinstance(a, ServiceError) for a in answers)
            verdicts = sorted((a.result, a.code) for a in answers)
            assert verdicts == [("accepted", "")] + [("refused", "already_accepted")] * (TAKERS - 1)
            winner = next(n for n, a in enumerate(answers) if a.result == "accepted")
            by = {a.facts["by"] for a in answers if a.result == "refused"}
            assert by == {answers[winner].event}
            assert town.one(f"SELECT closed_by FROM handover WHERE release = '{release}'") == answers[winner].event
            assert town.unit(load)["officer"] == carriers[winner].officer
            give_back(town, load, carriers[winner])
    assert sorted({a.index for a in answers}) == sorted(a.index for a in answers)


def test_of_eight_accepts_of_one_release_one_takes_effect_recorded_each_alone(town, carriers):
    compete(town, carriers, ROUNDS // 4, [lambda e: town.recorder.record([e])[0]] * TAKERS)


def test_of_eight_accepts_of_one_release_one_takes_effect_through_the_writer(town, carriers):
    intake = Intake(town.recorder, town.settings)
    intake.start()
    try:
        compete(town, carriers, ROUNDS - ROUNDS // 4, [lambda e: intake.submit([e]).result(30)[0]] * TAKERS)
        assert intake.healthy
    finally:
        intake.stop()


def test_several_writers_over_one_database_never_fork(town, carriers):
    writers = [town.recorder, *(second_writer(town) for _ in range(3))]
    try:
        submits = [lambda e, w=writers[n % 4]: w.record([e])[0] for n in range(TAKERS)]
        compete(town, carriers, max(ROUNDS // 20, 5), submits)
    finally:
        for writer in writers[1:]:
            writer._high_water.close()
            writer.db.close()


def test_whoever_lost_a_race_gets_the_same_receipt_again(town, carriers):
    load = town.load()
    with ThreadPoolExecutor(TAKERS) as pool:
        _, events = round_of(town, carriers, load)
        first = all_at_once([lambda e: town.recorder.record([e])[0]] * TAKERS, events, pool)
        again = all_at_once([lambda e: town.recorder.record([e])[0]] * TAKERS, events, pool)
    assert [a.as_json() for a in again] == [a.as_json() for a in first]


def test_the_same_event_from_eight_threads_is_one_leaf(town):
    event = town.recorder.prover.prove(town.act(town.bws, "sighting", {}, capacity="witness").jws, town.now_ms)
    before = town.size()
    with ThreadPoolExecutor(TAKERS) as pool:
        answers = all_at_once([lambda e: town.recorder.record([e])[0]] * TAKERS, [event] * TAKERS, pool)
    assert town.size() == before + 1
    assert len({a.index for a in answers}) == 1


# -- negative control: without the lock this suite must see it -------------------------------------------


@pytest.mark.postgres
def test_without_the_head_lock_writers_collide(postgres_town_mould, tmp_path, monkeypatch):
    """No lock on the head row: writers do meet, and the constraints catch what the lock prevents."""
    original = ledger_store.head_row
    monkeypatch.setattr(ledger_store, "head_row", lambda session, name, **_: original(session, name, lock=False))
    town = postgres_town_mould.pour(tmp_path)
    sightings = [
        [town.act(phone, "sighting", {}, capacity="witness") for phone in (town.bws, town.pol, town.tni, town.gov)]
        for _ in range(60)
    ]
    collisions = 0
    with ThreadPoolExecutor(4) as pool:
        for four in sightings:
            events = [town.recorder.prover.prove(each.jws, town.now_ms) for each in four]
            barrier = threading.Barrier(4)

            def one(event, barrier=barrier):
                barrier.wait(timeout=30)
                try:
                    return town.recorder.record([event])[0]
                except Exception as error:  # noqa: BLE001 - any of them is the collision
                    return error

            collisions += sum(not hasattr(a, "index") for a in pool.map(one, events))
            if collisions:
                break
    monkeypatch.undo()
    assert collisions, "four writers without a lock never met: this control proves nothing"
    town.check()
    postgres_town_mould.take_back(town)
