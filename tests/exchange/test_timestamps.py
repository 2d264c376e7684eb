"""Stamps asked for over real HTTP from a real authority, honest and not; kept only when they hold."""

import json
import threading
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from app.audit.stamped import MAX_STAMP_BYTES, read_stamp
from app.cli.main import app
from app.clock import SystemClock
from app.config import Settings
from app.db import Database
from app.errors import BusyError, MalformedError, MissingError, TooLargeError, UnprovenError
from app.exchange.stamp_clock import AGAIN_SECONDS, StampClock
from app.exchange.timestamps import REPLY, Authority, authority_of, roots_in, stamp_newest
from app.ledger import stamps, witnessed
from app.ledger.append import append, create_ledger, read_head
from app.ledger.note import SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from app.worker import Worker
from tests.tsa import AUTHORITY, EXPIRY, Tsa

ORIGIN = "test.example/ledger/stamped"
KEY = SignerKey(ORIGIN, SignatureType.NOTE, bytes(32))
WITNESS = SignerKey("bawaslu.example/w1", SignatureType.COSIGNATURE, b"\x02" * 32)
POLICY = TrustPolicy.parse(
    f"log {KEY.verifier().to_text()}\nwitness w1 {WITNESS.verifier().to_text()}\nquorum w1\n".encode()
)
LEDGER = 1
NOW_MS = 1_767_000_000_000
DATA = b"titik periksa\n"


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return Tsa(tmp_path_factory.mktemp("tsa") / "one")


class Desk:
    """What the authority's server answers; `asked` keeps the queries and their media types."""

    def __init__(self, tsa):
        self.tsa = tsa
        self.asked = []
        self.status, self.headers = 200, {"Content-Type": REPLY}
        self.answer = tsa.reply
        self.release = threading.Event()
        self.url = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args, desk, **kwargs):
        self.desk = desk
        super().__init__(*args, **kwargs)

    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"]))
        self.desk.asked.append((query, self.headers["Content-Type"]))
        body = self.desk.answer(query)
        self.send_response(self.desk.status)
        for name, value in self.desk.headers.items():
            self.send_header(name, value)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.close_connection = True
        self.end_headers()
        for piece in body:
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, *_):
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing of clients that hang up: they are what is tested."""


@pytest.fixture
def desk(tsa):
    found = Desk(tsa)
    with _Server(("127.0.0.1", 0), partial(_Handler, desk=found)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/tsa"
        try:
            yield found
        finally:
            found.release.set()
            server.shutdown()
            thread.join()


@contextmanager
def asking(desk, roots=None, **bounds):
    authority = Authority(desk.url, desk.tsa.roots if roots is None else roots, **bounds)
    try:
        yield authority
    finally:
        authority.close()


def refusal(desk, kind, code, roots=None, **bounds):
    with asking(desk, roots, **bounds) as authority, pytest.raises(kind) as caught:
        authority.stamp(DATA)
    assert type(caught.value) is kind
    assert caught.value.code == code
    return caught.value.detail


# -- one authority -------------------------------------------------------------------------------------


def test_an_honest_authority_is_asked_as_rfc_3161_says_and_its_stamp_holds(desk, tsa):
    with asking(desk) as authority:
        stamp = authority.stamp(DATA)
    assert (stamp.authority, stamp.stamped) == (AUTHORITY, DATA)
    assert tsa.verifies(stamp.token, DATA)
    assert not tsa.verifies(stamp.token, DATA + b" "), "control: openssl does say no"
    assert read_stamp(stamp.token, DATA, tsa.roots).at_ms == stamp.at_ms
    ((query, kind),) = desk.asked
    assert kind == "application/timestamp-query"
    assert sha256(DATA).digest() in query
    assert query.endswith(b"\x01\x01\xff"), "the certificate is asked for"


def test_no_two_requests_have_one_nonce(desk):
    with asking(desk) as authority:
        authority.stamp(DATA)
        authority.stamp(DATA)
    assert desk.asked[0] != desk.asked[1]


def flipped(query):
    """Return a query with another nonce: its last byte stands before the BOOLEAN at the end."""
    return query[:-4] + bytes([query[-4] ^ 1]) + query[-3:]


def test_an_answer_to_another_request_is_refused(desk, tsa):
    desk.answer = lambda query: tsa.reply(flipped(query))
    assert "another request" in refusal(desk, UnprovenError, "stamp")


def test_an_answer_of_yesterday_is_refused(desk, tsa):
    old = tsa.stamp(DATA)
    desk.answer = lambda query: old
    assert "another request" in refusal(desk, UnprovenError, "stamp")


def test_a_stamp_over_something_else_is_refused(desk, tsa):
    other = sha256(b"something else").digest()
    desk.answer = lambda query: tsa.reply(query.replace(sha256(DATA).digest(), other))
    assert "other bytes" in refusal(desk, UnprovenError, "stamp")


def test_a_stamp_under_another_ca_is_refused(desk, tmp_path):
    twin = Tsa(tmp_path / "twin")
    desk.answer = twin.reply
    refusal(desk, UnprovenError, "stamp")
    other = Tsa(tmp_path / "other", "/C=ID/O=Lain/CN=Akar Lain")
    desk.answer = other.reply
    refusal(desk, MissingError, "stamp_roots")
    with asking(desk, other.roots) as authority:
        assert authority.stamp(DATA).authority == AUTHORITY


def test_an_expired_certificate_is_refused(desk, tsa):
    tsa.issue("expired", end=EXPIRY)
    desk.answer = lambda query: tsa.reply(query, "expired")
    refusal(desk, UnprovenError, "stamp")


def test_a_certificate_without_the_purpose_is_refused(desk, tsa):
    tsa.issue("purposeless", "plain")
    desk.answer = lambda query: tsa.forge(tsa.said(tsa.reply(query)), "purposeless")
    refusal(desk, UnprovenError, "stamp")
    desk.answer = lambda query: tsa.forge(tsa.said(tsa.reply(query)), "good")  # control
    with asking(desk) as authority:
        assert authority.stamp(DATA).authority == AUTHORITY


def test_a_refusal_by_the_authority_is_told(desk, tsa):
    picky = tsa.put("picky", (tsa.folder / "config").read_bytes().replace(b"sha1, sha256, sha384,", b""))
    desk.answer = lambda query: tsa.reply(query, config=picky.name)
    assert "status 2" in refusal(desk, UnprovenError, "stamp")


@pytest.mark.parametrize("body", [b"", b"garbage", b"<html>busy</html>", bytes(5000)])
def test_garbage_is_refused(desk, body):
    desk.answer = lambda query: body
    refusal(desk, MalformedError, "stamp")


def test_another_media_type_is_refused(desk):
    desk.headers = {"Content-Type": "text/html"}
    refusal(desk, MalformedError, "stamp")


@pytest.mark.parametrize("status", [204, 301, 302, 307, 401, 404, 500, 503])
def test_another_status_is_no_answer_and_no_redirect_is_followed(desk, status):
    desk.status, desk.headers = status, {"Content-Type": REPLY, "Location": f"{desk.url}/elsewhere"}
    if status == 204:
        desk.answer = lambda query: b""
    assert str(status) in refusal(desk, BusyError, "busy")
    assert len(desk.asked) == 1


def test_an_endless_answer_is_cut_off(desk):
    desk.answer = lambda query: iter(lambda: bytes(4096), None)
    refusal(desk, TooLargeError, "too_large")
    desk.answer = lambda query: bytes(MAX_STAMP_BYTES + 1)
    refusal(desk, TooLargeError, "too_large")


def test_silence_ends(desk):
    desk.answer = lambda query: desk.release.wait(30) and b""
    refusal(desk, BusyError, "busy", step_seconds=0.2)


def test_an_answer_that_drips_ends(desk):
    def drips(query):
        while not desk.release.wait(0.02):
            yield b"0"

    desk.answer = drips
    refusal(desk, BusyError, "busy", answer_seconds=0.2)


def test_nobody_there_and_no_address_are_told_without_the_address(desk):
    for url in ("http://user:secret@127.0.0.1:9/tsa", "http://[secret", "ftp://secret.example/"):
        authority = Authority(url, desk.tsa.roots)
        with pytest.raises(BusyError) as caught:
            authority.stamp(DATA)
        authority.close()
        assert "secret" not in caught.value.detail


def test_settings_without_roots_ask_nobody(tmp_path, tsa):
    for more in ({"tsa_roots": None}, {"tsa_roots": tmp_path / "gone"}):
        with pytest.raises(MissingError) as caught:
            authority_of(Settings(data_dir=tmp_path, tsa_url="http://127.0.0.1:9/", **more))
        assert caught.value.code == "stamp_roots"
    assert roots_in(tsa.put("kept.pem", tsa.roots)) == tsa.roots


# -- the ledger ----------------------------------------------------------------------------------------


@pytest.fixture
def ledger(db):
    """A ledger of three leaves without cosignatures."""
    with_leaves(db)
    return db


def with_leaves(db):
    with db.write() as session:
        create_ledger(session, "stamped", ORIGIN)
        append(session, read_head(session, lock=True), [b"a", b"b", b"c"], [KEY], NOW_MS)


def cosign(db, size=3, at=NOW_MS // 1000):
    with db.write() as session:
        text = witnessed.cosigned_note(session, LEDGER, size).split(b"\n\n")[0].decode() + "\n"
        witnessed.keep(session, LEDGER, POLICY, size, {WITNESS.verifier(): WITNESS.cosign(text, at)}, NOW_MS)


def kept(db, size=3):
    with db.read() as session:
        return stamps.stamps_of(session, LEDGER, size)


def stamp(db, desk):
    return stamp_newest(db, LEDGER, lambda: Authority(desk.url, desk.tsa.roots))


def test_only_a_witnessed_checkpoint_is_stamped_and_once(ledger, desk, tsa):
    assert stamp(ledger, desk) is None
    assert desk.asked == []
    cosign(ledger)
    made = stamp(ledger, desk)
    assert (made.size, made.authority) == (3, AUTHORITY)
    assert stamp(ledger, desk) is None
    assert len(desk.asked) == 1
    with ledger.read() as session:
        note = witnessed.cosigned_note(session, LEDGER, 3)
        assert stamps.newest_stamped(session, LEDGER) == made
    (found,) = kept(ledger)
    assert (found.stamped, found.at_ms, found.authority) == (note, made.at_ms, AUTHORITY)
    assert tsa.verifies(found.token, note)


def test_what_was_stamped_stays_when_cosignatures_are_renewed(ledger, desk, tsa):
    cosign(ledger)
    stamp(ledger, desk)
    before = kept(ledger)
    cosign(ledger, at=NOW_MS // 1000 + 600)
    with ledger.read() as session:
        assert witnessed.cosigned_note(session, LEDGER, 3) != before[0].stamped
    assert kept(ledger) == before
    with ledger.write() as session:
        assert not stamps.keep(session, LEDGER, 3, before[0])
    assert read_stamp(before[0].token, before[0].stamped, tsa.roots).authority == AUTHORITY


def test_stamps_are_listed_newest_first(ledger, desk):
    cosign(ledger)
    first = stamp(ledger, desk)
    with ledger.write() as session:
        append(session, read_head(session, lock=True), [b"d"], [KEY], NOW_MS)
    cosign(ledger, 4)
    second = stamp(ledger, desk)
    with ledger.read() as session:
        assert stamps.list_stamps(session, LEDGER) == [second, first]
        assert stamps.list_stamps(session, LEDGER, 1) == [second]


def test_a_stamp_that_does_not_hold_is_not_kept(ledger, desk, tsa):
    cosign(ledger)
    desk.answer = lambda query: tsa.reply(flipped(query))
    with pytest.raises(UnprovenError):
        stamp(ledger, desk)
    assert kept(ledger) == []
    desk.answer = tsa.reply
    assert stamp(ledger, desk)


def test_a_stamp_is_never_changed_or_taken_away(ledger, desk):
    cosign(ledger)
    stamp(ledger, desk)
    for sql in ("UPDATE ledger_stamp SET at_ms = 0", "DELETE FROM ledger_stamp"):
        with pytest.raises(Exception, match=r"never|denied|append"), ledger.write() as session:
            session.exec_driver_sql(sql)
    assert len(kept(ledger)) == 1


# -- the clock -----------------------------------------------------------------------------------------


def clock_of(db, desk, tmp_path, **more):
    roots = tmp_path / "roots.pem"
    roots.write_bytes(desk.tsa.roots)
    settings = Settings(data_dir=tmp_path, tsa_url=desk.url, **{"tsa_roots": roots, **more})
    return StampClock(settings, SystemClock(), db, LEDGER)


def test_the_clock_stamps_and_then_waits_over_restarts(ledger, desk, tmp_path):
    clock = clock_of(ledger, desk, tmp_path)
    assert clock.round() == AGAIN_SECONDS, "nothing is witnessed yet"
    cosign(ledger)
    assert clock.round() == 3600
    with ledger.write() as session:
        append(session, read_head(session, lock=True), [b"d"], [KEY], NOW_MS)
    cosign(ledger, 4)
    again = clock_of(ledger, desk, tmp_path)
    assert 0 < again.round() <= 3600
    assert len(desk.asked) == 1
    assert kept(ledger, 4) == []


@pytest.mark.parametrize("trouble", ["down", "garbage", "roots gone meanwhile"])
def test_no_trouble_of_the_authority_reaches_the_caller(ledger, desk, tmp_path, trouble):
    cosign(ledger)
    desk.status = 503 if trouble == "down" else 200
    desk.answer = lambda query: b"garbage"
    clock = clock_of(ledger, desk, tmp_path)
    if trouble == "roots gone meanwhile":
        (tmp_path / "roots.pem").unlink()
    assert clock.round() == AGAIN_SECONDS
    assert kept(ledger) == []


def test_the_thread_stamps_by_itself_and_ends(ledger, desk, tmp_path):
    asked = threading.Event()
    desk.answer = lambda query: (desk.tsa.reply(query), asked.set())[0]
    cosign(ledger)
    clock = clock_of(ledger, desk, tmp_path, tsa_seconds=1)
    clock.start()
    assert asked.wait(30)
    clock.stop()
    assert len(kept(ledger)) == 1


def test_the_writer_has_the_clock_only_when_an_authority_is_set(house, desk, tmp_path):
    (tmp_path / "roots.pem").write_bytes(desk.tsa.roots)
    for roots in (None, tmp_path / "gone"):
        settings = house.settings.model_copy(update={"tsa_url": desk.url, "tsa_roots": roots})
        with pytest.raises(MissingError):
            Worker(settings, SystemClock(), house.db)
    for url, is_there in ((desk.url, True), ("", False)):
        settings = house.settings.model_copy(update={"tsa_url": url, "tsa_roots": tmp_path / "roots.pem"})
        worker = Worker(settings, SystemClock(), house.db)
        worker.start()
        assert (worker.stamps is not None) is is_there
        worker.stop()


# -- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def on_disk(sqlite_url):
    """The same ledger where the command finds it."""
    db = Database(sqlite_url)
    with_leaves(db)
    yield db
    db.close()


@pytest.fixture
def run(on_disk, desk, tmp_path, monkeypatch):
    """Run a command of `custody ledger`."""
    roots = tmp_path / "roots.pem"
    roots.write_bytes(desk.tsa.roots)
    for name, value in {"DATA_DIR": tmp_path, "TSA_URL": desk.url, "TSA_ROOTS": roots}.items():
        monkeypatch.setenv(f"CUSTODY_{name}", str(value))
    return lambda *words: CliRunner().invoke(app, ["ledger", *words])


def test_the_commands_stamp_and_list(on_disk, run):
    early = run("stamp")
    assert early.exit_code == 2
    assert "witnessed" in early.output
    assert "No checkpoint" in run("stamps").output
    cosign(on_disk)
    made = json.loads(run("stamp", "--json").output)
    assert (made["stamped"], made["size"], made["authority"]) == (True, 3, AUTHORITY)
    assert json.loads(run("stamp", "--json").output) == {"stamped": False}
    assert "already" in run("stamp").output
    (listed,) = json.loads(run("stamps", "--json").output)
    assert listed == {name: made[name] for name in ("size", "at", "authority")}
    assert AUTHORITY in run("stamps").output


def test_the_command_says_what_went_wrong(on_disk, run, desk, monkeypatch):
    cosign(on_disk)
    desk.answer = lambda query: b"garbage"
    failed = run("stamp")
    assert failed.exit_code == 1
    assert "no answer of a time-stamping authority" in failed.output
    monkeypatch.setenv("CUSTODY_TSA_ROOTS", "/nowhere/roots.pem")
    assert run("stamp").exit_code == 2
    assert run("stamps", "--ledger", "other").exit_code == 2
