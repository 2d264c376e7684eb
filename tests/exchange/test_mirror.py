"""A mirror over real HTTP: it copies, goes on, dies anywhere, and tells forks, tampering and damage apart."""

import json
import os
import subprocess
import sys
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import BusyError, MalformedError, MissingError, TamperError, TooLargeError, UnprovenError
from app.exchange.mirror import Mirror, Wanted
from app.exchange.remote import TRIES, RemoteLedger
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.folder import TileFolder
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from app.ledger.tree import root_of
from app.ledger.trust import Trust
from tests.exchange.shelf import JUNK, KEY, ORIGIN, VKEY, Shelf, files_of, leaves, put, shelving, write_tree

ROOT = Path(__file__).resolve().parents[2]
TRUST = Trust((VKEY,))
BYTES = Wanted(rules=False)


@pytest.fixture
def shelf(tmp_path):
    with shelving(tmp_path / "shelf") as found:
        yield found


@pytest.fixture
def tree(shelf: Shelf) -> Path:
    return shelf.folder / "ledger/kota"


@pytest.fixture
def copy(tmp_path) -> Path:
    return tmp_path / "copy"


def mirrored(shelf, copy, trust=TRUST, wanted=BYTES):
    """Do one round as a new process would."""
    with closing(RemoteLedger(shelf.url, pause=lambda _: None)) as source:
        return Mirror(source, TileFolder(copy), trust, wanted).once()


def refused(kind, code, shelf, copy, **how):
    with pytest.raises(kind) as caught:
        mirrored(shelf, copy, **how)
    assert caught.value.code == code, caught.value.detail
    return caught.value


# -- copying -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 700])
def test_a_copy_is_the_ledger_file_by_file(shelf, tree, copy, size):
    write_tree(tree, leaves(size))
    done = mirrored(shelf, copy)
    assert (done.state, done.size, done.offered) == ("grown", size, size)
    assert files_of(copy) == files_of(tree)
    again = mirrored(shelf, copy)
    assert (again.state, again.written) == ("same", 0)


def test_an_empty_ledger_is_copied_and_grows(shelf, tree, copy):
    put(tree / "checkpoint", sign(Checkpoint(ORIGIN, 0, root_of([])), KEY))
    assert mirrored(shelf, copy).size == 0
    write_tree(tree, leaves(3))
    assert mirrored(shelf, copy).size == 3


@pytest.mark.slow
def test_a_tree_of_three_levels_is_copied(shelf, tree, copy):
    write_tree(tree, leaves(65_536 + 300))
    assert mirrored(shelf, copy, wanted=Wanted(entries=False, rules=False)).size == 65_836
    assert {name for name in files_of(copy) if name.startswith("tile/2")} == {"tile/2/000.p/1"}
    assert not (copy / "tile/entries").exists()


def test_a_copy_that_follows_fetches_what_is_new_and_drops_what_became_full(shelf, tree, copy):
    with closing(RemoteLedger(shelf.url, pause=lambda _: None)) as source:
        mirror = Mirror(source, TileFolder(copy), TRUST, BYTES)
        for size in (3, 200, 256, 300, 300, 513):
            write_tree(tree, leaves(size))
            shelf.asked.clear()
            assert mirror.once().size == size
        assert not [path for path in shelf.asked if path.endswith("/000")], "full tiles are read from the copy"
    kept = set(files_of(copy))
    assert {"tile/0/000", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"} <= kept
    assert not [name for name in kept if name.startswith(("tile/0/000.p", "tile/entries/001.p"))]
    assert TileFolder(copy).checkpoint() == write_tree(tree, leaves(513))


# -- dying -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_mirror_may_be_killed_at_every_file_operation(shelf, tree, tmp_path):
    write_tree(tree, leaves(300))
    done = subprocess.run(
        [sys.executable, "-m", "tests.exchange.dying", shelf.url, VKEY.to_text(), str(tmp_path / "copies")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["wrong"] == [], done.stderr
    assert told["points"] > 15


def test_two_mirrors_do_not_write_one_copy(copy):
    first, second = TileFolder(copy), TileFolder(copy)
    with first.locked(), pytest.raises(BusyError), second.locked():
        pass
    with second.locked():
        pass


# -- forks -------------------------------------------------------------------------------------------------


def evidence(copy):
    [folder] = (copy / "evidence").iterdir()
    return files_of(folder)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(300, 300), (300, 700), (300, 301), (256, 257), (700, 300), (1, 1), (513, 2)]
)
def test_a_fork_is_found_and_both_checkpoints_are_kept(shelf, tree, copy, ours, theirs):
    first = write_tree(tree, leaves(ours))
    mirrored(shelf, copy)
    before = files_of(copy)
    second = write_tree(tree, leaves(theirs, "another history"))
    refused(TamperError, "fork", shelf, copy)
    found = evidence(copy)
    assert (found["kept"], found["seen"]) == (first, second)
    assert {TRUST.open(found[name]).size for name in ("kept", "seen")} == {ours, theirs}
    assert json.loads(found["fork.json"])["kept"]["size"] == ours
    after = {name: data for name, data in files_of(copy).items() if not name.startswith("evidence/")}
    assert after == before, "the copy is as it was"
    refused(TamperError, "fork", shelf, copy)
    assert evidence(copy) == found, "the same fork is kept once"


def test_a_history_that_branches_late_is_a_fork(shelf, tree, copy):
    write_tree(tree, leaves(400))
    mirrored(shelf, copy)
    write_tree(tree, [*leaves(399), b"changed", *leaves(600)[400:]])
    refused(TamperError, "fork", shelf, copy)
    write_tree(tree, leaves(600))
    assert mirrored(shelf, copy).state == "grown", "control: the honest history goes on"


def test_a_ledger_that_shows_less_is_behind_and_nothing_is_lost(shelf, tree, copy):
    newest = write_tree(tree, leaves(600))
    mirrored(shelf, copy)
    before = files_of(copy)
    write_tree(tree, leaves(400))
    done = mirrored(shelf, copy)
    assert (done.state, done.size, done.offered) == ("behind", 600, 400)
    assert files_of(copy) == before
    assert TileFolder(copy).checkpoint() == newest


def test_a_fork_whose_notes_gain_other_lines_with_every_request_is_one_fork(shelf, tree, copy):
    first = write_tree(tree, leaves(300))
    put(tree / "checkpoint", first + JUNK.format("kept").encode())
    mirrored(shelf, copy)
    second = write_tree(tree, leaves(400, "another history"))
    for n in range(3):
        put(tree / "checkpoint", second + JUNK.format(n).encode())
        refused(TamperError, "fork", shelf, copy)
    found = evidence(copy)
    assert found["seen"] == second + JUNK.format(0).encode(), "what was found first stays"
    put(copy / "checkpoint", first)
    refused(TamperError, "fork", shelf, copy)
    assert evidence(copy) == found
    write_tree(tree, leaves(400, "a third history"))
    refused(TamperError, "fork", shelf, copy)
    assert len(list((copy / "evidence").iterdir())) == 2, "control: another fork is news"


# -- tampering ---------------------------------------------------------------------------------------------


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "name", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"]
)
@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_changed_tile_or_leaf_is_found_and_not_kept(shelf, tree, copy, name, at):
    write_tree(tree, leaves(300))
    flip(tree / name, at)
    with pytest.raises((UnprovenError, MalformedError)) as caught:
        mirrored(shelf, copy)
    assert caught.value.code in {"tile", "entry_bundle"}
    assert not (copy / name).exists()
    assert not (copy / "checkpoint").exists()
    flip(tree / name, at)
    assert mirrored(shelf, copy).size == 300
    assert files_of(copy) == files_of(tree)


@pytest.mark.parametrize("damage", [b"", b"x", b"\n" * 40])
@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/001.p/44", "tile/entries/000", "checkpoint"])
def test_what_is_cut_short_or_padded_is_refused(shelf, tree, copy, name, damage):
    write_tree(tree, leaves(300))
    put(tree / name, (tree / name).read_bytes()[:-40] + damage)
    with pytest.raises((UnprovenError, MalformedError)):
        mirrored(shelf, copy)
    assert not (copy / "checkpoint").exists()


def test_a_checkpoint_counts_only_with_the_pinned_key(shelf, tree, copy):
    write_tree(tree, leaves(3), SignerKey(ORIGIN, SignatureType.NOTE, bytes(32)))
    refused(UnprovenError, "note_signature", shelf, copy)
    write_tree(tree, leaves(3), SignerKey("shelf.example/ledger/lain", SignatureType.NOTE, bytes(range(32))))
    refused(UnprovenError, "note_signature", shelf, copy)
    note = write_tree(tree, leaves(3))
    put(tree / "checkpoint", note.replace(b"\n3\n", b"\n2\n"))
    refused(UnprovenError, "note_signature", shelf, copy)
    put(tree / "checkpoint", note)
    assert mirrored(shelf, copy).size == 3


@pytest.mark.parametrize("name", ["tile/0/000", "tile/1/000.p/2", "tile/0/002.p/88", "tile/entries/001", "checkpoint"])
def test_damage_of_the_copy_is_found_and_never_written_over(shelf, tree, copy, name):
    write_tree(tree, leaves(600))
    mirrored(shelf, copy)
    flip(copy / name)
    damaged = (copy / name).read_bytes()
    error = refused(TamperError, "file_differs", shelf, copy)
    assert name in error.detail
    assert (copy / name).read_bytes() == damaged
    (copy / name).unlink()
    assert mirrored(shelf, copy).size == 600, "what is missing is fetched again"
    assert files_of(copy) == files_of(tree)


HUGE = 2**28  # large enough to tell a list of its tiles from none, and harmless where the test fails


def test_a_size_that_is_only_signed_costs_one_request(shelf, tree, copy):
    put(tree / "checkpoint", sign(Checkpoint(ORIGIN, HUGE, bytes(32)), KEY))
    asked = ["/ledger/kota/checkpoint", "/ledger/kota/tile/3/000.p/16"]
    for wanted in (BYTES, Wanted(entries=False, rules=False)):
        shelf.asked.clear()
        tracemalloc.start()
        with pytest.raises(MissingError):
            mirrored(shelf, copy, wanted=wanted)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
        tracemalloc.stop()
        assert shelf.asked == asked
    put(tree / "tile/3/000.p/16", bytes(16 * 32))
    shelf.asked.clear()
    refused(UnprovenError, "tile", shelf, copy)
    assert shelf.asked == asked


def test_the_edge_is_proven_before_a_bundle_is_asked_for(shelf, tree, copy):
    write_tree(tree, leaves(100))
    put(tree / "checkpoint", sign(Checkpoint(ORIGIN, 100, bytes(32)), KEY))
    refused(UnprovenError, "tile", shelf, copy)
    assert shelf.asked == ["/ledger/kota/checkpoint", "/ledger/kota/tile/0/000.p/100"]


def test_a_copy_under_an_earlier_key_is_not_called_damaged(shelf, tree, copy):
    """After a rotation: the copy was signed by the old key alone, and only the new one is pinned."""
    fresh = SignerKey(ORIGIN, SignatureType.NOTE, bytes([7]) * 32)
    write_tree(tree, leaves(3))
    mirrored(shelf, copy)
    before = files_of(copy)
    write_tree(tree, leaves(5), fresh)
    error = refused(UnprovenError, "note_signature", shelf, copy, trust=Trust((fresh.verifier(),)))
    assert "none of the pinned keys" in error.detail
    assert "--vkey once for each" in error.detail
    assert "damage" not in error.detail
    assert files_of(copy) == before
    assert mirrored(shelf, copy, trust=Trust((fresh.verifier(), VKEY))).size == 5


# -- the network -------------------------------------------------------------------------------------------


def test_what_may_pass_is_tried_again(shelf, tree, copy):
    write_tree(tree, leaves(300))
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        shelf.say(path, 503, times=2, Retry_After="1")
    shelf.say("tile/0/001.p/44", 429)
    assert mirrored(shelf, copy).size == 300
    shelf.say("checkpoint", 500, times=TRIES)
    with pytest.raises(BusyError):
        mirrored(shelf, copy)


def test_a_ledger_that_is_not_there_is_told(shelf, copy, tmp_path):
    with pytest.raises(MissingError):
        mirrored(shelf, copy)
    with closing(RemoteLedger("http://127.0.0.1:1/ledger/x", pause=lambda _: None)) as nobody, pytest.raises(BusyError):
        nobody.checkpoint()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(shelf, tree, copy, status):
    write_tree(tree, leaves(3))
    shelf.say("checkpoint", status, Location=f"{shelf.origin_url}/elsewhere")
    with pytest.raises(MalformedError):
        mirrored(shelf, copy)
    assert shelf.asked == ["/ledger/kota/checkpoint"]


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"])
def test_an_answer_that_does_not_end_is_cut_off(shelf, tree, copy, path):
    write_tree(tree, leaves(3))
    shelf.say(path, 200, b"x" * (20 * 1024 * 1024))
    with pytest.raises(TooLargeError):
        mirrored(shelf, copy)


@pytest.mark.parametrize("url", ["ftp://x/l", "file:///etc", "https://", "https://a:b@x/l", "https://x/l?q", "x/l", ""])
def test_an_address_is_a_plain_one(url):
    with pytest.raises(MalformedError):
        RemoteLedger(url)


# -- trust -------------------------------------------------------------------------------------------------

WITNESSES = [SignerKey(f"w{n}.example", SignatureType.COSIGNATURE, bytes([n]) * 32) for n in (1, 2, 3)]
POLICY = "\n".join([
    f"log {VKEY.to_text()}", *(f"witness w{n} {key.verifier().to_text()}" for n, key in enumerate(WITNESSES)),
    "group two 2 w0 w1 w2", "quorum two", "",
]).encode()  # fmt: skip


def cosigned(note, *keys):
    parsed = Note.parse(note)
    return Note(parsed.text, (*parsed.signatures, *(key.cosign(parsed.text, 1_767_000_000) for key in keys))).to_bytes()


def test_a_policy_asks_for_its_quorum_and_takes_the_witnessed_checkpoint(shelf, tree, copy):
    trust = Trust(policy=TrustPolicy.parse(POLICY))
    older = write_tree(tree, leaves(300))
    newest = write_tree(tree, leaves(310))
    put(tree / "checkpoint", cosigned(newest, WITNESSES[0]))
    refused(UnprovenError, "quorum", shelf, copy, trust=trust)
    put(tree / "checkpoint.witnessed", cosigned(older, *WITNESSES[:2]))
    assert mirrored(shelf, copy, trust=trust).size == 300
    put(tree / "checkpoint", cosigned(newest, *WITNESSES[1:]))
    assert mirrored(shelf, copy, trust=trust).size == 310
    put(tree / "checkpoint", cosigned(newest, *WITNESSES))
    assert mirrored(shelf, copy, trust=trust).written == 1, "more cosignatures on one tree are kept"
    put(tree / "checkpoint", cosigned(newest, *WITNESSES[:2]))
    assert mirrored(shelf, copy, trust=trust).written == 0, "fewer are not"
    assert TileFolder(copy).checkpoint() == cosigned(newest, *WITNESSES)


def test_lines_that_nobody_verifies_replace_no_checkpoint(shelf, tree, copy):
    note = write_tree(tree, leaves(3))
    junk = "".join(JUNK.format(n) for n in range(5)).encode()
    wrong = Note.parse(note + WITNESSES[2].cosign(Note.parse(note).text, 5).to_text().encode()[:-8] + b"AAAAAAA=\n")
    for trust in (TRUST, Trust((VKEY,), TrustPolicy.parse(POLICY.replace(b"quorum two", b"quorum none")))):
        folder = copy / str(trust.policy is None)
        put(tree / "checkpoint", cosigned(note, WITNESSES[0]))
        mirrored(shelf, folder, trust=trust)
        for other in (note + junk, note, cosigned(note) + junk, cosigned(note, WITNESSES[1]) + junk):
            put(tree / "checkpoint", other)
            assert mirrored(shelf, folder, trust=trust).written == 0
            assert TileFolder(folder).checkpoint() == cosigned(note, WITNESSES[0])
    put(tree / "checkpoint", wrong.to_bytes())
    refused(UnprovenError, "note_signature", shelf, folder, trust=trust)
    put(tree / "checkpoint", cosigned(note, *WITNESSES[:2]))
    assert mirrored(shelf, copy / "True").written == 0, "without a policy the first stays"
    assert mirrored(shelf, folder, trust=trust).written == 1, "control: two that verify are more than one"


def test_a_checkpoint_with_its_quorum_replaces_one_without(shelf, tree, copy):
    note = write_tree(tree, leaves(3))
    put(tree / "checkpoint", cosigned(note, WITNESSES[0], WITNESSES[1]))
    mirrored(shelf, copy)
    policy = POLICY.replace(b"group two 2 w0 w1 w2", b"group two 1 w2")
    put(tree / "checkpoint", cosigned(note, WITNESSES[2]))
    mirrored(shelf, copy, trust=Trust(policy=TrustPolicy.parse(policy)))
    assert TileFolder(copy).checkpoint() == cosigned(note, WITNESSES[2])


def test_a_trust_names_one_ledger():
    other = SignerKey("other.example", SignatureType.NOTE, bytes(32)).verifier()
    for keys in ((), (VKEY, other), (WITNESSES[0].verifier(),)):
        with pytest.raises(MalformedError):
            Trust(keys)
    with pytest.raises(MalformedError):
        Trust((other,), TrustPolicy.parse(POLICY))
    assert Trust((VKEY,), TrustPolicy.parse(POLICY)).ledger_keys == (VKEY,)


def test_bytes_that_are_no_leaves_are_told_when_they_are_judged(shelf, tree, copy):
    write_tree(tree, leaves(5))
    with closing(RemoteLedger(shelf.url, pause=lambda _: None)) as source:
        mirror = Mirror(source, TileFolder(copy), TRUST, Wanted())
        assert mirror.once().size == 5
    assert mirror.told.findings[0].index == 0
    assert not mirror.told.complete
    refused(UnprovenError, "genesis_mismatch", shelf, copy, wanted=Wanted(genesis="A" * 43))
