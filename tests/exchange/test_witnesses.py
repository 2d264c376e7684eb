"""What witnesses of others answer, taken for what it means: statuses, media types, nonsense, and claims without proof."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.clock import FixedClock
from app.custody.committing import commit_heads
from app.errors import BusyError, MalformedError
from app.exchange.witness_clock import WitnessClock
from app.exchange.witnesses import Contradicted, Cosigned, Stale, Unavailable, ask, client, seen_last
from app.exchange.witnessing import Witnessing, push
from app.ledger import freezing
from app.ledger.append import read_head
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.note import Note, SignatureType, SignerKey, VerifierKey
from app.ledger.policy import TrustPolicy, Witness
from app.ledger.submission import Submission, write_answer
from app.worker import Worker
from tests.custody.town import Town
from tests.ledger.vectors import LEDGER_KEY, ORIGIN, load

NOTE = load("checkpoint")["note"].encode()
KEY = SignerKey("w.example/1", SignatureType.COSIGNATURE, b"\x11" * 32)
NOW = 1_800_000_000_000


@contextmanager
def answering(status: int, body: bytes = b"", kind: str = "", posts: list[bytes] | None = None) -> Iterator[str]:
    """Run the other side of the wire: every POST gets this answer, every GET a 404."""

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self):
            data = self.rfile.read(int(self.headers["content-length"]))
            if posts is not None:
                posts.append(data)
            self._say(status, body, kind)

        def do_GET(self):
            self._say(404, b"", "")

        def _say(self, code, data, media):
            self.send_response(code)
            if media:
                self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def asked(status, body=b"", kind=""):
    with answering(status, body, kind) as url, client(5) as http:
        return ask(http, Witness("w", KEY.verifier(), url), Submission(0, (), NOTE))


LINE = write_answer((KEY.cosign(Note.parse(NOTE).text, 1_800_000_000),))


@pytest.mark.parametrize(
    ("status", "body", "kind", "expected"),
    [
        (200, LINE, "text/plain", Cosigned),
        (409, b"7\n", "text/x.tlog.size", Stale), (409, b"7\n", "text/x.tlog.size; charset=utf-8", Stale),
        (409, b"7\n", "", Stale), (409, b"7\n", "text/plain", Stale),
        (409, b"", "", Contradicted), (409, b"07\n", "text/x.tlog.size", Contradicted), (409, b"7", "", Contradicted),
        (409, b"7\n", "text/html", Contradicted), (422, b"no", "", Contradicted),
        (200, b"", "", Unavailable), (200, b"hello\n", "", Unavailable), (200, LINE[:-3] + b"\n", "", Unavailable),
        (200, LINE * 17, "", Unavailable), (200, b"x" * 100_000, "", Unavailable),
        (400, b"", "", Unavailable), (403, b"", "", Unavailable), (404, b"", "", Unavailable), (500, b"", "", Unavailable),
        (503, b"", "", Unavailable), (302, b"", "", Unavailable),
    ],
)  # fmt: skip
def test_an_answer_is_taken_for_what_it_means(status, body, kind, expected):
    assert isinstance(asked(status, body, kind), expected)


def test_nobody_at_home_is_unavailable():
    with client(1) as http:
        nobody = Witness("w", KEY.verifier(), "http://127.0.0.1:9")
        assert isinstance(ask(http, nobody, Submission(0, (), NOTE)), Unavailable)
        assert seen_last(http, nobody, ORIGIN, [LEDGER_KEY.verifier()]) is None


@pytest.fixture
def town(db, tmp_path: Path) -> Iterator[Town]:
    own = Town(db, tmp_path / "house").settle()
    yield own
    own.recorder._high_water.close()


def policy_of(*urls: str) -> TrustPolicy:
    keys = [SignerKey(f"w{n}.example/1", SignatureType.COSIGNATURE, bytes([n]) * 32) for n in range(1, len(urls) + 1)]
    lines = [
        f"witness w{n} {key.verifier().to_text()} {url}" for n, (key, url) in enumerate(zip(keys, urls, strict=True), 1)
    ]
    members = " ".join(f"w{n}" for n in range(1, len(urls) + 1))
    return TrustPolicy.parse("\n".join([*lines, f"group g 2 {members}", "quorum g", ""]).encode())


def one_round(town: Town, policy: TrustPolicy):
    rounds = Witnessing(town.db, town.recorder.ledger_id, town.origin, policy, timeout_seconds=5)
    try:
        return rounds.round(NOW, [town.recorder._keys.ledger.verifier()])
    finally:
        rounds.close()


@pytest.mark.parametrize(("status", "body"), [(409, b""), (422, b"no")])
def test_one_claim_raises_an_alarm_and_freezes_nothing(town: Town, status: int, body: bytes):
    with answering(status, body) as liar, answering(503) as down, answering(503) as other:
        done = one_round(town, policy_of(liar, down, other))
    assert [(c.kind, c.witness.name) for c in done.contradictions] == [("claim", "w1")]
    with town.db.read() as session:
        assert read_head(session).frozen is None
        found = freezing.alarms(session, town.recorder.ledger_id)
    assert [(a.kind, a.source, a.body) for a in found] == [("claim", "w1", body)]


def test_claims_of_a_quorum_freeze(town: Town):
    with answering(422) as one, answering(409) as two, answering(503) as down:
        one_round(town, policy_of(one, two, down))
    with town.db.read() as session:
        assert read_head(session).frozen is not None
        assert len(freezing.alarms(session, town.recorder.ledger_id)) == 2
    with pytest.raises(BusyError), town.recorder.writing():
        pass


def test_a_larger_size_alone_is_a_claim(town: Town):
    with answering(409, b"999999\n", "text/x.tlog.size") as liar, answering(503) as down, answering(503) as other:
        done = one_round(town, policy_of(liar, down, other))
    assert [c.kind for c in done.contradictions] == ["claim"]


def test_only_our_own_signature_goes_out(town: Town):
    """Some witnesses take 16 KiB: other agencies' cosignatures do not travel to them."""
    posts: list[bytes] = []
    with answering(503, posts=posts) as url:
        policy = policy_of(url, url + "/2")
        one_round(town, policy)
    assert posts
    assert all(len(Note.parse(Submission.parse(post).checkpoint).signatures) == 1 for post in posts)


def test_a_wrong_cosignature_is_not_kept(town: Town):
    wrong = write_answer((SignerKey("w1.example/1", SignatureType.COSIGNATURE, b"\1" * 32).cosign("x\n", 5),))
    with answering(200, wrong) as url, answering(503) as down:
        done = one_round(town, policy_of(url, down))
    assert (done.cosigned, "w1" in done.unavailable) == (0, True)


# -- dishonest witnesses ----------------------------------------------------------------------------------


class Liar:
    """A witness that answers as a test tells it, request by request; `seen` is what it shows as cosigned last."""

    def __init__(self) -> None:
        self.answers: Callable[[bytes], tuple[int, bytes]] = lambda _: (503, b"")
        self.seen: Callable[[], bytes] = lambda: b""
        self.drip: threading.Event | None = None

    @contextmanager
    def running(self) -> Iterator[str]:
        """Run it and give its address."""
        liar = self

        class Desk(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if liar.drip is not None:
                    self._drip(liar.drip)
                    return
                self._say(*liar.answers(body))

            def do_GET(self):
                shown = liar.seen()
                self._say(200 if shown else 404, shown)

            def _drip(self, until):
                """Send one byte of a header now and then, until told to stop: each step alone is in time."""
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
                while not until.wait(0.05):
                    try:
                        self.wfile.write(b"x")
                    except OSError:
                        return

            def _say(self, code, data):
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            if self.drip is not None:
                self.drip.set()
            server.shutdown()
            server.server_close()


def state(town: Town) -> tuple[str | None, list[tuple[str, str]]]:
    with town.db.read() as session:
        found = freezing.alarms(session, town.recorder.ledger_id)
        return read_head(session).frozen, [(alarm.kind, alarm.source) for alarm in found]


def test_our_own_growth_is_no_proof_of_a_rollback(town: Town):
    """It claims more leaves than we have, and shows our newest public checkpoint once we have grown a little."""
    liar = Liar()
    liar.answers = lambda _: (409, b"999999\n")

    def grown():
        commit_heads(town.recorder, town.tick())
        return town.recorder.published[1]

    liar.seen = grown
    with liar.running() as url, answering(503) as down, answering(503) as other:
        done = one_round(town, policy_of(url, down, other))
    assert [c.kind for c in done.contradictions] == ["claim"]
    assert state(town) == (None, [("claim", "w1")])


def test_a_larger_checkpoint_that_our_key_signed_is_one(town: Town):
    """The control: what we never held, signed by us, freezes at once."""
    liar = Liar()
    liar.answers = lambda _: (409, b"999999\n")
    larger = sign(Checkpoint(town.origin, town.size() + 5, bytes(32)), town.recorder._keys.ledger)
    liar.seen = lambda: larger
    with liar.running() as url, answering(503) as down, answering(503) as other:
        done = one_round(town, policy_of(url, down, other))
    assert [c.kind for c in done.contradictions] == ["rollback"]
    frozen, alarms = state(town)
    assert (frozen is not None, alarms) == (True, [("rollback", "w1")])


def test_the_same_evidence_is_kept_once_and_without_what_others_put_on_it(town: Town):
    liar, ours = Liar(), town.recorder._keys.ledger
    liar.answers = lambda _: (422, b"")
    text = Checkpoint(town.origin, town.size(), bytes(32)).to_text()
    junk = iter(range(1, 100))

    def shown():
        other = SignerKey("junk.example/x", SignatureType.COSIGNATURE, bytes([7]) * 32)
        return Note(text, (other.cosign(text, next(junk)), ours.sign(text))).to_bytes()

    liar.seen = shown
    with liar.running() as url, answering(503) as down:
        rounds = Witnessing(town.db, town.recorder.ledger_id, town.origin, policy_of(url, down), timeout_seconds=5)
        for _ in range(3):
            rounds.round(NOW, [ours.verifier()])
        rounds.close()
    assert state(town)[1] == [("fork", "w1")]
    with town.db.read() as session:
        (alarm,) = freezing.alarms(session, town.recorder.ledger_id)
    assert alarm.body == Note(text, (ours.sign(text),)).to_bytes()


def test_a_source_that_always_says_something_new_is_bounded(town: Town):
    ledger_id, most = town.recorder.ledger_id, freezing.MAX_ALARMS_OF_A_SOURCE
    with town.db.write() as session:
        kept = [
            freezing.raise_once(session, ledger_id, NOW, kind="claim", source="w1", detail="x", body=str(n).encode())
            for n in range(most + 10)
        ]
        assert kept == [True] * most + [False] * 10
        assert freezing.raise_once(session, ledger_id, NOW, kind="claim", source="w2", detail="x", body=b"0")


def test_a_claim_that_was_taken_back_counts_no_more(town: Town):
    first, second, key = Liar(), Liar(), SignerKey("w1.example/1", SignatureType.COSIGNATURE, b"\1" * 32)
    with first.running() as one, second.running() as two, answering(503) as down:
        rounds = Witnessing(town.db, town.recorder.ledger_id, town.origin, policy_of(one, two, down), timeout_seconds=5)
        keys = [town.recorder._keys.ledger.verifier()]
        first.answers = lambda _: (422, b"no")
        rounds.round(NOW, keys)
        first.answers = lambda body: (
            200,
            write_answer((key.cosign(Note.parse(Submission.parse(body).checkpoint).text, 5),)),
        )
        assert rounds.round(NOW, keys).cosigned == 1
        second.answers = lambda _: (422, b"no")
        rounds.round(NOW, keys)
        assert state(town)[0] is None, "one claim that stands, and one that was taken back, are no quorum"
        commit_heads(town.recorder, town.tick())
        first.answers = lambda _: (422, b"no")
        rounds.round(NOW, keys)
        assert state(town)[0] is not None, "the control: two that stand are"
        rounds.close()


def test_a_witness_that_drips_holds_nobody_up(town: Town):
    slow, good, key = Liar(), Liar(), SignerKey("w2.example/1", SignatureType.COSIGNATURE, b"\2" * 32)
    slow.drip = threading.Event()
    good.answers = lambda body: (
        200,
        write_answer((key.cosign(Note.parse(Submission.parse(body).checkpoint).text, 5),)),
    )
    with slow.running() as one, good.running() as two:
        rounds = Witnessing(town.db, town.recorder.ledger_id, town.origin, policy_of(one, two), timeout_seconds=1)
        keys = [town.recorder._keys.ledger.verifier()]
        done = rounds.round(NOW, keys)
        assert (done.cosigned, done.unavailable) == (1, {"w1": "has not answered in time"})
        commit_heads(town.recorder, town.tick())
        again = rounds.round(NOW, keys)
        assert (again.cosigned, set(again.unavailable)) == (1, {"w1"}), "it is left alone while it drips"
        assert not slow.drip.is_set()
        rounds.close()


def test_a_witness_that_repeats_itself_is_told(town: Town):
    with answering(409, b"0\n", "text/x.tlog.size") as url, answering(503) as down:
        done = one_round(town, policy_of(url, down))
    assert "again and again" in done.unavailable["w1"]
    assert done.contradictions == []


# -- cosignatures that are brought ------------------------------------------------------------------------


def test_what_is_public_may_be_brought_as_often_as_anybody_likes(town: Town, monkeypatch: pytest.MonkeyPatch):
    """A cosignature that is kept already never waits for the writer's lock, and a hundred copies are verified once."""
    key = SignerKey("w1.example/1", SignatureType.COSIGNATURE, b"\1" * 32)
    policy = policy_of("http://127.0.0.1:9", "http://127.0.0.1:9")
    text = Note.parse(town.recorder.published[1]).text
    body = Note(text, (key.cosign(text, 1_800_000_000),) * 99).to_bytes()
    writes, verified = [], []
    write, accepts = town.db.write, VerifierKey.accepts
    monkeypatch.setattr(town.db, "write", lambda: writes.append(1) or write())
    monkeypatch.setattr(VerifierKey, "accepts", lambda *args: verified.append(1) or accepts(*args))
    ledger_id = town.recorder.ledger_id
    assert push(town.db, ledger_id, policy, body, NOW) == [key.verifier()]
    assert (len(writes), len(verified)) == (1, 1)
    assert push(town.db, ledger_id, policy, body, NOW) == [key.verifier()]
    assert (len(writes), len(verified)) == (1, 2)
    later = Note(text, (key.cosign(text, 1_800_000_001),)).to_bytes()
    push(town.db, ledger_id, policy, later, NOW)
    assert len(writes) == 2, "the control: a later one is news"


# -- policies that cannot work ----------------------------------------------------------------------------


def starting(town: Town, tmp_path: Path, policy: str) -> Worker:
    path = tmp_path / "policy"
    path.write_text(policy)
    return Worker(town.settings.model_copy(update={"witness_policy": path}), FixedClock(NOW), town.db)


def test_a_policy_that_cannot_work_is_refused_at_the_start(town: Town, tmp_path: Path):
    def keys(count, kind):
        return [SignerKey(f"w{n}.example/1", kind, bytes([n]) * 32).verifier().to_text() for n in range(1, count + 1)]

    def policy(vkeys, *more, url=""):
        lines = [f"witness w{n} {vkey} {url}".rstrip() for n, vkey in enumerate(vkeys, 1)]
        return "\n".join([*more, *lines, "quorum w1", ""])

    quantum = SignatureType.MLDSA_COSIGNATURE
    one, ours = keys(1, SignatureType.COSIGNATURE), town.recorder._keys.ledger.verifier().to_text()
    other = SignerKey("other.example/ledger/x", SignatureType.NOTE, b"\7" * 32).verifier().to_text()
    for text in (
        policy(keys(20, quantum)),
        policy(one, f"log {other}"),
        *(policy(one, url=url) for url in ("http://a..b", "ftp://w.example", "w.example", "http://[::1", "http://")),
    ):
        with pytest.raises(MalformedError) as caught:
            starting(town, tmp_path, text)
        assert caught.value.code == "tlog_policy", text[:80]
    starting(town, tmp_path, policy(keys(18, quantum), f"log {other}", f"log {ours}", url="")).witnesses.stop()


def test_a_check_that_meets_a_busy_database_is_made_again_and_rounds_go_on(town: Town, monkeypatch):
    """In each life of a database the witnesses are asked again; once it closed what it asks by, and no event came in."""
    with answering(503) as down:
        settings = town.settings.model_copy(update={"witness_timeout_seconds": 1})
        clock = WitnessClock(
            settings, FixedClock(NOW), town.db, town.recorder.ledger_id, town.origin, policy_of(down, down)
        )
        try:
            with monkeypatch.context() as away:
                away.setattr(clock, "_keys", _busy)
                with pytest.raises(BusyError):
                    clock.check()
            clock.check()
            clock.round()
        finally:
            clock.stop()


def _busy() -> list[VerifierKey]:
    raise BusyError("Every database connection is in use; try again.")
