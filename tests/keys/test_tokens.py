"""Tokens, assertions and clients in the database, on both."""

import threading

import pytest

from app.errors import MalformedError, MissingError, UnprovenError
from app.keys import tokens as use
from app.keys.clients import add_client, all_clients, prove_secret, revoke_client
from app.keys.grants import Viewer
from tests import small
from tests.web.live import assertion

HOUR = 3_600_000


@pytest.fixture
def ledger(house):
    return house.recorder.ledger_id


def spend(house, ledger, text, now_ms):
    with house.db.write() as session:
        found = use.prove_assertion(session, ledger, text, {house.origin}, now_ms, house.now_ms)
        use.spend_assertion(session, ledger, found)
        return found


def test_a_token_gives_back_its_viewer_until_it_expires(house, ledger):
    with house.db.write() as session:
        client, _ = add_client(session, ledger, small.BWS, ["auditor", "field"], small.CITY)
        token = use.issue_token(session, ledger, client.viewer(), 5 * HOUR)
    with house.db.read() as session:
        viewer = use.find_viewer(session, ledger, token, 5 * HOUR - 1, 0)
        assert viewer == Viewer(client.client, small.BWS, small.CITY, frozenset({"auditor", "field"}))
        for shown, now in ((token, 5 * HOUR), (token + "x", 0), ("", 0), ("\udcff", 0), ("\x00", 0)):
            with pytest.raises(UnprovenError):
                use.find_viewer(session, ledger, shown, now, 0)


def test_a_token_is_kept_as_a_hash_only(house, ledger):
    with house.db.write() as session:
        token = use.issue_token(session, ledger, Viewer("client-x", small.KPU, None, frozenset({"field"})), HOUR)
        rows = session.exec_driver_sql("SELECT * FROM access_token").all()
    assert token not in str(rows)
    assert token.encode() not in b"".join(
        bytes(one) for row in rows for one in row if isinstance(one, bytes | memoryview)
    )


def test_a_token_ends_with_its_key_its_mandate_and_its_client(house, ledger):
    phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY, access=("field",))
    with house.db.write() as session:
        token = use.issue_token(session, ledger, Viewer(phone.kid, small.KPU, None, frozenset({"field"})), 9**15)

    def look(mandate_ms):
        with house.db.read() as session:
            return use.find_viewer(session, ledger, token, 0, mandate_ms)

    assert look(house.now_ms)
    for lapsed in (0, house.now_ms + 400 * 24 * HOUR):
        with pytest.raises(UnprovenError):
            look(lapsed)
    author = house.founders[0]
    house.ok(author.sign("key.revoke", {"kid": phone.kid, "reason": "lost"}, at_ms=house.tick(), capacity="approver"))
    with pytest.raises(UnprovenError):
        look(house.now_ms)


def test_of_many_who_show_one_assertion_one_gets_in(house, ledger):
    phone = house.enrol("OFF-1", small.KPU, "LOGISTIK", small.CITY)
    text, now_ms = assertion(phone.key, house.origin), __import__("time").time_ns() // 1_000_000
    outcomes = []

    def run():
        try:
            spend(house, ledger, text, now_ms)
            outcomes.append("in")
        except UnprovenError:
            outcomes.append("out")

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["in"] + ["out"] * 7


def test_what_expired_is_forgotten_and_nothing_else(house, ledger):
    with house.db.write() as session:
        viewer = Viewer("client-x", small.KPU, None, frozenset({"field"}))
        use.issue_token(session, ledger, viewer, HOUR)
        use.issue_token(session, ledger, viewer, 3 * HOUR)
        assert use.purge(session, ledger, 2 * HOUR) == 1
        assert use.purge(session, ledger, 2 * HOUR) == 0
        assert session.exec_driver_sql("SELECT count(*) FROM access_token").scalar() == 1


def test_a_scope_only_narrows():
    viewer = Viewer("x", "a", None, frozenset({"field", "auditor"}))
    assert use.narrowed(viewer, "") == viewer
    assert use.narrowed(viewer, "field field").access == {"field"}
    with pytest.raises(MalformedError):
        use.narrowed(viewer, "operator")


def test_clients_prove_their_secret_until_they_are_revoked(house, ledger):
    with house.db.write() as session:
        client, secret = add_client(session, ledger, small.BWS, ["auditor"])
        other, _ = add_client(session, ledger, small.BWS, ["auditor"])
        assert prove_secret(session, ledger, client.client, secret) == client
        assert prove_secret(session, ledger, other.client, secret) is None
        assert prove_secret(session, ledger, "nobody", secret) is None
        assert prove_secret(session, ledger, client.client, "") is None
        revoke_client(session, ledger, client.client, 5)
        assert prove_secret(session, ledger, client.client, secret) is None
        assert {one.revoked_ms for one in all_clients(session, ledger)} == {5, None}
        with pytest.raises(MissingError):
            revoke_client(session, ledger, "nobody", 5)


@pytest.mark.parametrize("access", [[], ["root"], ["auditor", "god"]])
def test_a_client_has_known_access_roles(house, ledger, access):
    with house.db.write() as session, pytest.raises(MalformedError):
        add_client(session, ledger, small.BWS, access)


@pytest.mark.parametrize(
    ("header", "pair"),
    [
        ("Basic YTpi", ("a", "b")),
        ("basic YTpiOmM=", ("a", "b:c")),
        ("Basic YQ==", ("a", "")),
        ("Bearer YTpi", None),
        ("Basic !", None),
        ("Basic", ("", "")),
        ("Basic /////w==", None),
    ],
)
def test_basic_headers(header, pair):
    assert use.decode_basic(header) == pair
