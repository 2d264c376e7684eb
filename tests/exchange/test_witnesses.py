"""What witnesses of others answer, taken for what it means: statuses, media types, nonsense, and claims without proof."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.errors import BusyError
from app.exchange.witnesses import Contradicted, Cosigned, Stale, Unavailable, ask, client, seen_last
from app.exchange.witnessing import Witnessing
from app.ledger import freezing
from app.ledger.append import read_head
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy, Witness
from app.ledger.submission import Submission, write_answer
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
