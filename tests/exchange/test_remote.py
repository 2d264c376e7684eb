"""One ledger's doors over real sockets: what comes back is bounded before it is decompressed, and by the whole time."""

import gzip
import json
import threading
import tracemalloc
from contextlib import closing, contextmanager
from itertools import count

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.errors import BusyError, ForbiddenError, MalformedError, TooLargeError
from app.exchange.remote import ClientSecret, FixedToken, Patience, RemoteLedger
from app.ledger.folder import MAX_CHECKPOINT_BYTES
from app.ledger.tiles import BundleCoordinate, TileCoordinate
from tests.exchange.shelf import VKEY, shelving

NOTE = b"a note is not looked at here\n" * 20
TILE, BUNDLE = TileCoordinate(0, 0), BundleCoordinate(0, 3)
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"
GZIP_HEAD = gzip.compress(b"")[:10]


@pytest.fixture
def shelf(tmp_path):
    with shelving(tmp_path) as found:
        yield found


@pytest.fixture
def source(shelf):
    with closing(RemoteLedger(shelf.url, pause=lambda _: None, tries=1)) as found:
        yield found


@contextmanager
def little_memory(most=8_000_000):
    """See that no more is held at once than an answer may have; what the server sends is there before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < most
    finally:
        tracemalloc.stop()


# -- encodings ---------------------------------------------------------------------------------------------


def asked_for(source, path):
    return source.checkpoint() if path == "checkpoint" else source.read(TILE if "entries" not in path else BUNDLE)


@pytest.mark.parametrize("path", ["checkpoint", TILE.path(), BUNDLE.path()])
def test_a_body_is_plain_or_one_gzip(shelf, source, path):
    for body, headers in (
        (NOTE, {}),
        (NOTE, {"Content_Encoding": "identity"}),
        (gzip.compress(NOTE), {"Content_Encoding": "gzip"}),
        (gzip.compress(NOTE), {"Content_Encoding": "GZIP"}),
    ):
        shelf.say(path, 200, body, **headers)
        assert asked_for(source, path) == NOTE


@pytest.mark.parametrize("path", ["checkpoint", TILE.path(), BUNDLE.path()])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(NOTE))),
        ("gzip,identity", gzip.compress(NOTE)),
        ("identity, gzip", gzip.compress(NOTE)),
        ("deflate", NOTE),
        ("br", NOTE),
        ("", NOTE),
        ("gzip", gzip.compress(NOTE)[:-1]),
        ("gzip", gzip.compress(NOTE)[:-9]),
        ("gzip", b""),
        ("gzip", NOTE),
        ("gzip", gzip.compress(NOTE)[:-8] + bytes(8)),
        ("gzip", gzip.compress(NOTE) + b"x"),
        ("gzip", gzip.compress(NOTE) + bytes(3000)),
        ("gzip", gzip.compress(NOTE) + gzip.compress(NOTE)),
    ],
    ids=[
        "twice", "and identity", "identity and", "deflate", "br", "no name", "cut by 1", "cut by 9", "empty", "no gzip",
        "checksum", "one byte behind", "much behind", "second member",
    ],
)  # fmt: skip
def test_any_other_encoding_is_refused(shelf, source, path, encoding, body):
    shelf.say(path, 200, body, Content_Encoding=encoding)
    with pytest.raises(MalformedError):
        asked_for(source, path)


def test_the_gzip_of_much_is_cut_off_before_it_is_much(shelf, source):
    bomb = gzip.compress(bytes(60_000_000), 1)
    assert len(bomb) < 1_000_000
    shelf.say("checkpoint", 200, bomb, Content_Encoding="gzip")
    with little_memory(), pytest.raises(TooLargeError):
        source.checkpoint()


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_is_met_to_the_byte(shelf, source, over):
    body = bytes(MAX_CHECKPOINT_BYTES + over)
    for told, headers in ((body, {}), (gzip.compress(body), {"Content_Encoding": "gzip"})):
        shelf.say("checkpoint", 200, told, **headers)
        if over:
            with pytest.raises(TooLargeError):
                source.checkpoint()
        else:
            assert source.checkpoint() == body


def test_a_gzip_that_comes_to_nothing_is_cut_off(shelf, source):
    shelf.say("checkpoint", 200, GZIP_HEAD + EMPTY_BLOCK * 100_000, Content_Encoding="gzip")
    with pytest.raises(TooLargeError):
        source.checkpoint()


# -- time --------------------------------------------------------------------------------------------------


def test_an_answer_that_drips_is_hung_up_on(shelf):
    """The clock moves by a second whenever it is looked at; the server sends a byte after each look."""
    looks, looked, sent = count(), threading.Semaphore(0), []

    def clock():
        looked.release()
        return float(next(looks))

    def pieces():
        for _ in range(8192):
            if not looked.acquire(timeout=3):
                sent.append("nobody looks at the clock")
                return
            sent.append("x")
            yield b"x"

    shelf.drip("checkpoint", 8192, pieces())
    patience = Patience(5.0, clock)
    with closing(RemoteLedger(shelf.url, tries=1, patience=patience)) as source, pytest.raises(BusyError):
        source.checkpoint()
    assert set(sent) == {"x"}
    assert len(sent) < 20


def test_an_answer_that_comes_too_late_is_none_however_whole(shelf):
    clock = count()
    shelf.say("checkpoint", 200, NOTE, times=2)
    with closing(RemoteLedger(shelf.url, tries=1, patience=Patience(1e6, lambda: next(clock)))) as patient:
        assert patient.checkpoint() == NOTE
    hasty = RemoteLedger(shelf.url, tries=1, patience=Patience(0.5, lambda: next(clock)))
    with closing(hasty), pytest.raises(BusyError, match="ReadTimeout"):
        hasty.checkpoint()


# -- tokens ------------------------------------------------------------------------------------------------


def earning(shelf, patience=None):
    return closing(RemoteLedger(shelf.url, ClientSecret("client", "secret", patience), tries=1, patience=patience))


@pytest.mark.parametrize("told", [{}, {"expires_in": 600}, {"expires_in": "600"}, {"token_type": "bearer"}])
def test_a_token_is_earned_and_shown(shelf, told):
    body = json.dumps({"access_token": "~A-b_!", **told}).encode()
    for sent, headers in ((body, {}), (gzip.compress(body), {"Content_Encoding": "gzip"})):
        shelf.say("/oauth/token", 200, sent, **headers)
        shelf.say(BUNDLE.path(), 200, NOTE)
        with earning(shelf) as source:
            assert source.read(BUNDLE) == NOTE
        assert shelf.shown[-1] == "Bearer ~A-b_!"


@pytest.mark.parametrize(
    "body",
    [
        b'{"access_token":"a","expires_in":1' + b"0" * 400 + b"}",
        b'{"access_token":"a","expires_in":"1' + b"0" * 400 + b'"}',
        b'{"access_token":"a","expires_in":NaN}',
        b'{"access_token":"a","expires_in":"nan"}',
        b'{"access_token":"a","expires_in":null}',
        b'{"access_token":"a","expires_in":[]}',
        '{"access_token":"\u20ac"}'.encode(),
        b'{"access_token":"\\u20ac"}',
        b'{"access_token":"\\ud800"}',
        b'{"access_token":"a\\r\\nX: y"}',
        b'{"access_token":"a b"}',
        b'{"access_token":""}',
        b'{"access_token":7}',
        b'{"access_token":null}',
        b"{}",
        b"[]",
        b"7",
        b"",
        b"\xff",
        b"[" * 8000 + b"]" * 8000,
        b'{"access_token":"' + b"a" * 17_000 + b'"}',
    ],
    ids=count(),
)
def test_an_answer_that_is_no_token_is_refused_as_such(shelf, body):
    shelf.say("/oauth/token", 200, body)
    with earning(shelf) as source, pytest.raises(ForbiddenError):
        source.read(BUNDLE)
    assert shelf.asked == ["/oauth/token"]


@pytest.mark.parametrize("status", [302, 400, 401, 500])
def test_a_client_that_is_not_accepted_is_told(shelf, status):
    shelf.say("/oauth/token", status, b'{"access_token":"a"}', Location="/elsewhere")
    with earning(shelf) as source, pytest.raises(ForbiddenError):
        source.read(BUNDLE)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_token_of_many_bytes_is_cut_off(shelf, encoding):
    body = bytes(60_000_000)
    shelf.say("/oauth/token", 200, gzip.compress(body, 1) if encoding == "gzip" else body, Content_Encoding=encoding)
    with earning(shelf) as source, little_memory(), pytest.raises(ForbiddenError):
        source.read(BUNDLE)


def test_a_token_that_comes_too_late_is_none(shelf):
    shelf.say("/oauth/token", 200, b'{"access_token":"a"}')
    clock = count()
    with earning(shelf, Patience(0.5, lambda: next(clock))) as source, pytest.raises(BusyError, match="ReadTimeout"):
        source.read(BUNDLE)


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "\u20ac", "\x7f"])
def test_a_token_that_no_header_carries_is_refused_before_anything_is_asked(text):
    with pytest.raises(MalformedError):
        FixedToken(text)
    FixedToken("!A~")


# -- addresses ---------------------------------------------------------------------------------------------

WRONG = [
    "http://a..b/l", "http://.a/l", f"http://{'a' * 64}.example/l", "http://xn--a.example/l", "http://[::1/l",
    "http://h:99999/l", "http://h:0/l", "http://h:x/l", "http://\udcff.example/l", "http://h/\udcff", "http://x y/l",
    "http://h/\x01", "http://:secret@h/l", "http://" + "\u00e9" * 100 + "/l",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_an_address_that_no_request_can_be_sent_to_is_refused_at_once(url):
    with pytest.raises(MalformedError):
        RemoteLedger(url)


@pytest.mark.parametrize("url", ["http://[::1]:8080/l", "https://a.example/ledger/x", "http://\u00e9.example/l/"])
def test_an_address_that_can_be_asked_is_taken(url):
    RemoteLedger(url).close()


@pytest.mark.parametrize("url", [url for url in WRONG if "\udcff" not in url])
def test_the_command_tells_a_wrong_address_in_a_sentence(url, tmp_path):
    done = CliRunner().invoke(app, ["ledger", "mirror", url, str(tmp_path / "copy"), "--vkey", VKEY.to_text()])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.output.count("\n") == 1
    assert not (tmp_path / "copy").exists()
