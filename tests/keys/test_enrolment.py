"""Enrolment in the database, on both: one claim, and nothing but what was asked for."""

import threading
from dataclasses import replace

import pytest

from app.cli.phone import possession
from app.custody.found import public_jwk
from app.errors import ConflictError, MissingError, RefusedError, UnprovenError
from app.keys import enrolment as use
from app.keys.signing import PrivateKey
from tests import small

NOW, MINUTE = 1_700_000_000_000, 60_000
WANTED = use.Wanted(
    small.KPU, "KPPS", small.TPS1, ("field",), "2024-10-01T00:00:00+08:00", "2025-03-01T00:00:00+08:00", name="Siti"
)


@pytest.fixture
def ledger(house):
    return house.recorder.ledger_id


@pytest.fixture
def opened(house, ledger):
    with house.db.write() as session:
        return use.open_enrolment(session, ledger, WANTED, "registrar", NOW + MINUTE)


def claim(house, ledger, opened, key, *, now_ms=NOW, token=None):
    signature = possession(key, house.origin, opened.enrolment.challenge)["signature"]
    with house.db.write() as session:
        return use.claim(
            session, ledger, house.origin, opened.enrolment.enrolment, token or opened.token, public_jwk(key), signature,
            now_ms,
        )  # fmt: skip


def test_the_token_is_kept_as_a_hash_only_and_the_name_apart(house, ledger, opened):
    with house.db.read() as session:
        rows = str(session.exec_driver_sql("SELECT * FROM enrolment").all())
        names = session.exec_driver_sql("SELECT officer, name FROM officer_name").all()
    assert opened.token not in rows
    assert "Siti" not in rows
    assert [tuple(row) for row in names] == [(opened.enrolment.officer, "Siti")]


def test_pseudonyms_say_nothing_and_do_not_repeat():
    made = {use.new_officer() for _ in range(500)}
    assert len(made) == 500
    assert all(len(one) == 12 for one in made)


def test_of_many_phones_one_claims(house, ledger, opened):
    outcomes = []

    def run():
        key = PrivateKey.generate("Ed25519")
        try:
            outcomes.append(claim(house, ledger, opened, key).match_code)
        except UnprovenError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[1:] == ["enrolment_token"] * 5


def test_an_expired_one_is_not_claimed(house, ledger, opened):
    with pytest.raises(RefusedError) as told:
        claim(house, ledger, opened, PrivateKey.generate("ES256"), now_ms=NOW + MINUTE)
    assert told.value.code == "enrolment_expired"


def test_an_enrolled_key_is_not_claimed_again(house, ledger, opened):
    with pytest.raises(ConflictError) as told:
        claim(house, ledger, opened, house.founders[0].key)
    assert told.value.code == "key_reused"


def test_approval_wants_exactly_the_claim(house, ledger, opened):
    claimed = claim(house, ledger, opened, PrivateKey.generate("ES256"))
    right = use.details_of(claimed)
    use.refuse_difference(claimed, right, NOW)
    for name in right:
        with pytest.raises(ConflictError) as told:
            use.refuse_difference(claimed, {**right, name: "else"}, NOW)
        assert told.value.facts["members"] == [name]
        with pytest.raises(ConflictError):
            use.refuse_difference(claimed, {n: v for n, v in right.items() if n != name}, NOW)
    with pytest.raises(RefusedError):
        use.refuse_difference(claimed, right, claimed.expires_ms)
    with pytest.raises(ConflictError):
        use.refuse_difference(replace(claimed, status="approved"), right, NOW)


def test_an_unknown_enrolment_is_missing(house, ledger):
    with house.db.read() as session, pytest.raises(MissingError):
        use.read_enrolment(session, ledger, "nobody")
