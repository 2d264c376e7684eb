"""Pull mode against a real file server: what is verified, what is handed back, and what is never signed."""

from contextlib import ExitStack

import httpx
import pytest

from app.errors import BusyError, ServiceError
from app.ledger.note import Note
from app.ledger.policy import cosigned
from app.witness.pull import FRESH_SECONDS, Puller, fetch
from tests.ledger.vectors import LEDGER_KEY, ORIGIN
from tests.witness.logs import STRANGER, Log, fork, honest
from tests.witness.remote import remote

BIG = Log(shared=70_000, size=70_000)


@pytest.fixture
def pulling(witness, clock):
    """Give `pull(ledger)`, which serves a ledger, points the witness at it and runs rounds."""
    with ExitStack() as stack:
        client = stack.enter_context(httpx.Client(timeout=10, trust_env=False))
        puller = Puller(witness, client, clock)

        def start(log, size, key=LEDGER_KEY):
            told = stack.enter_context(remote(log, size))
            witness.add_ledger(ORIGIN, key.verifier(), told.url + "/")
            return told

        yield start, lambda **how: next(puller.round(**how))


def held(witness):
    [row] = witness.ledgers()
    return row.size


def test_it_follows_a_ledger_and_hands_back_what_it_signed(witness, pulling):
    start, pull = pulling
    ledger = start(honest(), 3)
    for size in (3, 7, 255, 256, 257, 300, 400):
        ledger.size = size
        result = pull()
        assert (result.outcome, result.size, result.fine) == ("cosigned", size, True), result
        assert held(witness) == size
        lines = Note.parse(ledger.got[-1]).signatures
        assert len(lines) == 2
        assert len(cosigned(ledger.got[-1], witness.vkeys)) == 2


def test_a_tree_of_three_levels_costs_few_tiles(witness, pulling):
    start, pull = pulling
    ledger = start(BIG, 65_000)
    assert pull().fine
    ledger.asked.clear()
    ledger.size = 70_000
    assert pull().fine
    assert held(witness) == 70_000
    assert "tile/2/000.p/1" in ledger.asked
    assert len(ledger.asked) == len(set(ledger.asked)) < 12


def test_a_full_tile_serves_where_the_partial_one_is_gone(witness, pulling):
    start, pull = pulling
    ledger = start(honest(), 200)
    whole = b"".join(ledger.tiles[0, 0][i : i + 32] for i in range(0, 8192, 32))
    ledger.bend = lambda path, data: None if path == "tile/0/000.p/200" else whole if path == "tile/0/000" else data
    assert pull().fine
    assert held(witness) == 200


def test_an_unchanged_ledger_is_cosigned_anew_only_when_the_last_time_is_old(pulling, clock):
    start, pull = pulling
    ledger = start(honest(), 20)
    assert [pull().outcome for _ in range(3)] == ["cosigned", "unchanged", "unchanged"]
    clock.advance(FRESH_SECONDS * 1000)
    assert [pull().outcome for _ in range(2)] == ["cosigned", "unchanged"]
    assert pull(anew=True).outcome == "cosigned"
    assert len(ledger.got) == 3


def test_a_cosignature_that_was_not_taken_is_brought_again(pulling):
    start, pull = pulling
    ledger = start(honest(), 20)
    ledger.takes = (409, b'{"code": "other_size", "detail": "<script>"}')
    result = pull()
    assert (result.outcome, result.fine) == ("refused", False)
    assert "409 other_size" in result.detail
    assert "script" not in result.detail
    for body in (b"not json", b"[]", b'{"code": "<b>"}', b"x" * 100_000):
        ledger.takes = (500, body)
        assert pull().detail.endswith("500 .")
    ledger.takes = (204, b"")
    assert pull().outcome == "cosigned"
    assert pull().outcome == "unchanged"


def test_a_fork_in_the_tiles_is_refused_and_kept_as_evidence(witness, pulling):
    start, pull = pulling
    ledger = start(honest(), 20)
    assert pull().fine
    forked = start(fork(), 30)
    result = pull()
    assert (result.outcome, result.fine) == ("inconsistent", False)
    assert [row.finding for row in witness.evidence()] == ["unproven"]
    forked.size = 20
    assert pull().outcome == "inconsistent"
    assert [row.finding for row in witness.evidence()] == ["unproven", "fork"]
    assert forked.got == []
    assert held(witness) == 20
    assert len(ledger.got) == 1


def test_a_ledger_that_shrank_is_told_and_not_signed(witness, pulling):
    start, pull = pulling
    ledger = start(honest(), 30)
    assert pull().fine
    ledger.size = 20
    result = pull()
    assert (result.outcome, result.size) == ("ledger_rollback", 20)
    assert len(ledger.got) == 1
    assert held(witness) == 30


def test_tiles_that_do_not_make_up_the_checkpoint_sign_nothing(witness, pulling):
    start, pull = pulling
    ledger = start(honest(), 300)
    flipped = lambda data: bytes([data[0] ^ 1]) + data[1:]  # noqa: E731
    for bend in (
        lambda path, data: flipped(data) if path == "tile/0/001.p/44" else data,
        lambda path, data: flipped(data) if path == "tile/1/000.p/1" else data,
        lambda path, data: data[:-1] if path == "tile/0/001.p/44" else data,
        lambda path, data: data + bytes(32) if path == "tile/0/001.p/44" else data,
        lambda path, data: b"" if path.startswith("tile/") else data,
        lambda path, data: bytes(9000) if path.startswith("tile/") else data,
        lambda path, data: None if path.startswith("tile/") else data,
        lambda path, data: 500 if path.startswith("tile/") else data,
        lambda path, data: 302 if path.startswith("tile/") else data,
    ):
        ledger.bend = bend
        assert not pull().fine
        assert held(witness) == 0
    assert ledger.got == []
    assert witness.evidence() == []
    ledger.bend = lambda _, data: data
    assert pull().fine


def test_what_is_no_checkpoint_of_that_ledger_fetches_no_tile(witness, pulling):
    start, pull = pulling
    ledger = start(honest(), 20)
    stranger = Log(key=STRANGER, size=20)
    witness.add_ledger(STRANGER.name, STRANGER.verifier())
    for bent in (
        b"", b"x" * 70_000, b"\xff", honest().checkpoint(20)[:-1], stranger.checkpoint(20),
        honest().checkpoint(20).replace(b"hvh4", b"hvh5"), 404, 500, 301,
    ):  # fmt: skip
        ledger.bend = lambda path, data, bent=bent: bent if path == "checkpoint" else data
        assert not pull().fine
    assert set(ledger.asked) == {"checkpoint"}
    assert ledger.got == []


def test_one_ledgers_trouble_does_not_hurt_the_next(witness, pulling, clock):
    start, _ = pulling
    good = start(honest(), 20)
    witness.add_ledger("a.example/unreachable", STRANGER.verifier(), "http://127.0.0.1:9")
    witness.add_ledger("z.example/unreachable", STRANGER.verifier(), "http://127.0.0.1:9")
    with httpx.Client(timeout=10, trust_env=False) as client:
        results = {result.origin: result.outcome for result in Puller(witness, client, clock).round()}
    assert results == {
        "a.example/unreachable": "unreachable", ORIGIN: "cosigned", "z.example/unreachable": "unreachable",
    }  # fmt: skip
    assert len(good.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b", "http://[::1", "http://127.0.0.1:99999", f"http://127.0.0.1:{10**20}", "http://",
        "http://xn--a.example", "nonsense", "ftp://x",
    ],
)  # fmt: skip
def test_an_address_that_nobody_can_ask_does_not_hurt_the_next_ledger(witness, pulling, clock, url):
    start, _ = pulling
    good = start(honest(), 20)
    for origin in ("a.example/unusable", "z.example/unusable"):
        witness.add_ledger(origin, STRANGER.verifier(), url)
    with httpx.Client(timeout=10, trust_env=False) as client:
        results = {result.origin: result.outcome for result in Puller(witness, client, clock).round()}
    assert results == {"a.example/unusable": "unreachable", ORIGIN: "cosigned", "z.example/unusable": "unreachable"}
    assert len(good.got) == 1


@pytest.mark.parametrize("slow", ["checkpoint", "tile", "refusal"])
def test_an_answer_that_takes_longer_than_its_bound_is_given_up(witness, pulling, clock, slow):
    """The bound is already over when the first piece comes: nothing here waits, and nothing is measured."""
    start, pull = pulling
    ledger = start(honest(), 300)
    ledger.takes = (409, b"no") if slow == "refusal" else (204, b"")
    with httpx.Client(timeout=10, trust_env=False) as client:
        puller = Puller(witness, client, clock, whole_seconds=-1)
        if slow == "checkpoint":
            result = next(puller.round())
            assert ledger.asked == ["checkpoint"]
            assert (result.outcome, "too slowly" in result.detail) == ("busy", True)
            assert (ledger.got, held(witness)) == ([], 0)
        elif slow == "tile":
            with pytest.raises(BusyError, match="too slowly"):
                fetch(client, f"{ledger.url}/tile/0/000", 8192, -1)
            assert len(fetch(client, f"{ledger.url}/tile/0/000", 8192)) == 8192
        else:
            note = Note.parse(honest().checkpoint(300))
            with pytest.raises(BusyError, match="too slowly"):
                puller._deliver(f"{ledger.url}/cosignatures", note)
    ledger.takes = (204, b"")
    assert pull().fine  # control: the same ledger within the bound


def test_a_removed_ledger_is_not_pulled(witness, pulling, clock):
    start, _ = pulling
    ledger = start(honest(), 20)
    witness.remove_ledger(ORIGIN)
    with httpx.Client(timeout=10, trust_env=False) as client:
        assert list(Puller(witness, client, clock).round()) == []
    assert ledger.asked == []


def test_nothing_is_pulled_by_a_clock_that_runs_back(pulling, clock):
    start, pull = pulling
    ledger = start(honest(), 20)
    assert pull().fine
    clock.advance(-60_000)
    ledger.size = 30
    assert pull().outcome == "clock_behind"
    assert len(ledger.got) == 1


def test_its_own_signature_on_an_unknown_tree_stops_it(folder, witness, pulling):
    """The ledger shows what this witness signed before its memory was set back, mark and all."""
    start, pull = pulling
    ledger = start(honest(), 30)
    [key, _] = folder.signers()
    cosigned_note = honest().checkpoint(30)
    text = cosigned_note.partition(b"\n\n")[0].decode() + "\n"
    ledger.bend = lambda path, data: (
        data + f"{key.cosign(text, 5).to_text()}\n".encode() if path == "checkpoint" else data
    )
    assert pull().outcome == "witness_stopped"
    ledger.bend = lambda _, data: data
    assert pull().outcome == "witness_stopped"
    with pytest.raises(ServiceError):
        witness.add_checkpoint(honest().request(0, 30))
