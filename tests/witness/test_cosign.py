"""Check, persist, mark, sign: in this order, whatever fails on the way; and what is kept of those who lie."""

import os
import resource
import shutil
import signal
import sqlite3
import threading
from contextlib import suppress
from hashlib import sha256

import pytest

from app.clock import FixedClock
from app.errors import BusyError, ConflictError, MalformedError, MissingError, RefusedError, TamperError
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import Note
from app.ledger.policy import cosigned
from app.witness import _store
from app.witness.cosign import Witness
from app.witness.folder import Folder
from tests.ledger.vectors import LEDGER_KEY, ORIGIN, WITNESS_KEY
from tests.witness.conftest import NOW
from tests.witness.logs import NEXT_KEY, Log, body, fork, honest

HASH = sha256(ORIGIN.encode()).hexdigest()
LOG = honest()


def cosigners(witness, lines, size, log=LOG):
    """Return which keys of the witness rightly cosigned this tree in an answer, and when."""
    text = Note.parse(log.checkpoint(size)).text
    return cosigned(Note(text, lines).to_bytes(), witness.vkeys)


def state(witness):
    [row] = witness.ledgers()
    return row.size, row.root, row.cosigned_at


def test_each_key_cosigns_and_the_newest_checkpoint_bears_all(witness, clock):
    for old, size in ((0, 3), (3, 3), (3, 20), (20, 300)):
        clock.advance(1000)
        lines = witness.add_checkpoint(LOG.request(old, size))
        at = clock.now_ms() // 1000
        assert cosigners(witness, lines, size) == dict.fromkeys(witness.vkeys, at)
        newest = witness.newest(HASH)
        keys = [LEDGER_KEY.verifier(), *witness.vkeys]
        assert open_checkpoint(newest, keys, ORIGIN).size == size
        assert cosigned(newest, witness.vkeys) == dict.fromkeys(witness.vkeys, at)
        assert newest == witness.newest(HASH)
    assert state(witness) == (300, LOG.root(300), clock.now_ms() // 1000)


def test_an_idle_ledger_is_cosigned_anew_with_a_later_time(witness, clock):
    first = witness.add_checkpoint(LOG.request(0, 20))
    clock.advance(600_000)
    again = witness.add_checkpoint(LOG.request(20, 20))
    assert {line.cosigned_at() for line in first} == {NOW}
    assert {line.cosigned_at() for line in again} == {NOW + 600}


def test_a_clock_that_runs_back_signs_nothing_until_it_is_right(witness, clock):
    witness.add_checkpoint(LOG.request(0, 20))
    clock.advance(-1000)
    for data in (LOG.request(20, 20), LOG.request(20, 30)):
        with pytest.raises(BusyError) as refused:
            witness.add_checkpoint(data)
        assert refused.value.code == "clock_behind"
    assert witness.failing() == ["clock"]
    assert state(witness)[0] == 20
    with pytest.raises(RefusedError):  # a lie is a lie at any time
        witness.add_checkpoint(fork().request(20, 30))
    clock.advance(1000)
    assert witness.add_checkpoint(LOG.request(20, 30))
    assert witness.failing() == []


def test_the_clock_is_compared_with_what_was_persisted(folder, witness, clock):
    witness.add_checkpoint(LOG.request(0, 20))
    witness.close()
    later = Witness(folder, FixedClock((NOW - 1) * 1000))
    with pytest.raises(BusyError):
        later.add_checkpoint(LOG.request(20, 20))
    later.close()


def test_a_fork_is_refused_and_kept_with_what_was_held(witness):
    witness.add_checkpoint(LOG.request(0, 20))
    request = fork().request(20, 20)
    for _ in range(3):
        with pytest.raises(RefusedError):
            witness.add_checkpoint(request)
    with pytest.raises(ConflictError):
        witness.add_checkpoint(fork().request(3, 20))
    [row] = witness.evidence()
    assert (row.finding, row.origin, row.size, row.held_size) == ("fork", ORIGIN, 20, 20)
    assert row.body == request
    first, second = (open_checkpoint(data, [LEDGER_KEY.verifier()], ORIGIN) for data in (row.note, row.held_note))
    assert first.size == second.size
    assert first.root != second.root
    assert state(witness)[1] == LOG.root(20)


def test_an_unproven_checkpoint_convicts_as_soon_as_another_of_its_size_is_cosigned(witness):
    witness.add_checkpoint(LOG.request(0, 20))
    for other in (fork().request(20, 30), LOG.request(20, 31, [])):
        with pytest.raises(RefusedError):
            witness.add_checkpoint(other)
    assert [row.finding for row in witness.evidence()] == ["unproven", "unproven"]
    witness.add_checkpoint(LOG.request(20, 30))
    assert witness.evidence_counts() == {(ORIGIN, "unproven"): 2, (ORIGIN, "fork"): 1}
    witness.add_checkpoint(LOG.request(30, 31))  # what only lacked a proof is cleared by one
    *_, row = witness.evidence()
    assert witness.evidence_counts() == {(ORIGIN, "unproven"): 1, (ORIGIN, "fork"): 1}
    assert (row.finding, row.size, row.held_root) == ("fork", 30, LOG.root(30))
    assert row.body == fork().request(20, 30)


def test_evidence_is_bounded_and_the_first_of_it_stays(witness, monkeypatch):
    monkeypatch.setattr(_store, "MAX_EVIDENCE", 4)
    witness.add_checkpoint(LOG.request(0, 20))
    for size in range(21, 30):
        with pytest.raises(RefusedError):
            witness.add_checkpoint(fork().request(20, size))
    assert [row.size for row in witness.evidence()] == [21, 22, 23, 24]
    with pytest.raises(RefusedError):  # a full shelf of doubts leaves room for a conviction
        witness.add_checkpoint(fork().request(20, 20))
    assert [row.finding for row in witness.evidence()][-1] == "fork"


def test_an_unproven_tree_is_kept_once_whatever_was_sent_with_it(witness):
    witness.add_checkpoint(LOG.request(0, 20))
    for n in range(5):
        with pytest.raises(RefusedError):
            witness.add_checkpoint(LOG.request(20, 30, [bytes([n]) * 32]))
    [row] = witness.evidence()
    assert row.body == LOG.request(20, 30, [bytes(32)])


def against(witness, data):
    with pytest.raises(RefusedError):
        witness.add_checkpoint(data)


@pytest.mark.parametrize("strangers", [0, 8])
def test_a_stranger_does_not_use_up_the_places_for_a_real_fork(witness, monkeypatch, strangers):
    """Anybody can send the ledger's own public checkpoint with a wrong proof, before the ledger sends the right one."""
    monkeypatch.setattr(_store, "MAX_EVIDENCE", 4)
    witness.add_checkpoint(LOG.request(0, 20))
    for size in range(21, 21 + strangers):
        against(witness, LOG.request(size - 1, size, [bytes(32)]))
        assert witness.evidence_counts() == {(ORIGIN, "unproven"): 1}
        witness.add_checkpoint(LOG.request(size - 1, size))
        assert witness.evidence_counts() == {}
    held = 20 + strangers
    against(witness, fork().request(held, 350))
    witness.add_checkpoint(LOG.request(held, 350))
    assert witness.evidence_counts() == {(ORIGIN, "unproven"): 1, (ORIGIN, "fork"): 1}


def test_a_cleared_doubt_frees_its_own_place_and_no_other(witness, monkeypatch):
    monkeypatch.setattr(_store, "MAX_EVIDENCE", 4)
    witness.add_checkpoint(LOG.request(0, 20))
    for data in (LOG.request(20, 30, []), *(fork().request(20, size) for size in (30, 31, 32, 33))):
        against(witness, data)
    first = [(row.size, row.root) for row in witness.evidence()]
    assert first == [(30, LOG.root(30)), *((size, fork().root(size)) for size in (30, 31, 32))]
    witness.add_checkpoint(LOG.request(20, 30))
    kept = [(row.finding, row.size, row.root) for row in witness.evidence()]
    assert kept == [*(("unproven", *each) for each in first[1:]), ("fork", 30, fork().root(30))]
    for size in (34, 35):
        against(witness, fork().request(30, size))
    assert [row.size for row in witness.evidence() if row.finding == "unproven"] == [30, 31, 32, 34]


def test_nobody_fills_the_shelf_without_the_ledgers_key(witness):
    witness.add_checkpoint(LOG.request(0, 20))
    forged = fork().checkpoint(20).replace(b"hvh4", b"hvh5")
    for data in (body(20, [], forged), body(20, [bytes(32)], LOG.checkpoint(20)), LOG.request(3, 30)):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whichever refusal, nothing is kept
            witness.add_checkpoint(data)
    assert witness.evidence() == []


def test_a_rotation_trusts_two_keys_and_then_one(witness):
    witness.add_ledger(ORIGIN, NEXT_KEY.verifier())
    old, new = LOG, Log(key=NEXT_KEY)
    witness.add_checkpoint(old.request(0, 20))
    witness.add_checkpoint(new.request(20, 30))
    assert witness.remove_ledger(ORIGIN, LEDGER_KEY.verifier()) == 1
    with pytest.raises(Exception, match="No trusted key"):
        witness.add_checkpoint(old.request(30, 40))
    assert witness.add_checkpoint(new.request(30, 40))


def test_a_removed_ledger_is_unknown_and_never_forgotten(witness):
    witness.add_checkpoint(LOG.request(0, 20))
    assert witness.remove_ledger(ORIGIN) == 1
    with pytest.raises(MissingError):
        witness.add_checkpoint(LOG.request(20, 30))
    witness.add_ledger(ORIGIN, LEDGER_KEY.verifier())
    with pytest.raises(ConflictError):
        witness.add_checkpoint(fork().request(0, 30))
    assert witness.add_checkpoint(LOG.request(20, 30))
    with pytest.raises(MissingError):
        witness.remove_ledger("nobody.example")
    with pytest.raises(MalformedError):
        witness.add_ledger("x", WITNESS_KEY.verifier())


def test_its_own_signature_on_a_tree_that_it_does_not_know_stops_it_for_good(folder, witness, clock):
    """A twin from a copied folder went on: whatever this one signs now could contradict it."""
    [key, _] = folder.signers()
    witness.add_checkpoint(LOG.request(0, 20))
    fine = LOG.checkpoint(20) + f"{key.cosign(Note.parse(LOG.checkpoint(20)).text, NOW).to_text()}\n".encode()
    assert witness.add_checkpoint(body(20, [], fine))
    unknown = LOG.checkpoint(30) + f"{key.cosign(Note.parse(LOG.checkpoint(30)).text, NOW).to_text()}\n".encode()
    for data in (body(20, LOG.proof(20, 30), unknown), LOG.request(20, 30)):
        with pytest.raises(BusyError) as refused:
            witness.add_checkpoint(data)
        assert refused.value.code == "witness_stopped"
    assert witness.failing() == ["stopped"]
    with pytest.raises(BusyError) as refused:  # nor is what it holds signed once more
        witness.newest(HASH)
    assert refused.value.code == "witness_stopped"
    witness.close()
    with pytest.raises(TamperError, match="stopped itself"):
        Witness(folder, clock)


# -- nothing leaves before the commit ---------------------------------------------------------------


class SignsFirst(Witness):
    """Mutant: the signature is made before anything is persisted."""

    def add_checkpoint(self, data):
        lines = tuple(key.cosign(Note.parse(data.partition(b"\n\n")[2]).text, NOW) for key in self._signers)
        try:
            super().add_checkpoint(data)
        except BusyError:
            return lines
        return lines


def test_a_full_disk_is_busy_and_loses_nothing(witness):
    pages = witness._store._db.execute("PRAGMA page_count").fetchone()[0]
    witness._store._db.execute(f"PRAGMA max_page_count = {pages}")

    def fill():
        for n in range(1000):
            witness.add_ledger(f"log.example/more/{n}", NEXT_KEY.verifier())

    with pytest.raises(BusyError) as refused:
        fill()
    assert refused.value.code == "storage"
    witness._store._db.execute("PRAGMA max_page_count = 100000")
    assert witness.add_checkpoint(LOG.request(0, 20))


def test_no_signature_while_another_process_holds_the_database(folder, witness):
    other = sqlite3.connect(folder.database(), isolation_level=None)
    witness._store._db.execute("PRAGMA busy_timeout=50")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(BusyError) as refused:
        witness.add_checkpoint(LOG.request(0, 20))
    assert refused.value.code == "storage"
    assert SignsFirst.add_checkpoint(_as_mutant(witness), LOG.request(0, 20))  # control: signed, and nothing is kept
    other.execute("ROLLBACK")
    other.close()
    assert state(witness)[0] == 0
    assert witness.add_checkpoint(LOG.request(0, 20))


def _as_mutant(witness):
    mutant = SignsFirst.__new__(SignsFirst)
    mutant.__dict__.update(witness.__dict__)
    return mutant


def test_a_failed_commit_is_never_tried_again(folder, witness, clock):
    witness.add_checkpoint(LOG.request(0, 20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    database = witness._store._db
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(BusyError):
            witness.add_checkpoint(LOG.request(20, 30))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    with pytest.raises(BusyError):
        witness.add_checkpoint(LOG.request(20, 30))
    assert witness.failing() == ["storage"]
    witness.close()
    reopened = Witness(folder, clock)
    assert state(reopened)[0] in {20, 30}
    reopened.close()


@pytest.mark.parametrize("broken", ["cannot be written", "cannot be read"])
def test_no_signature_before_the_mark_has_moved(folder, witness, broken):
    full = os.open(folder.mark, os.O_RDONLY) if broken == "cannot be written" else os.open("/dev/full", os.O_RDWR)
    os.dup2(full, witness._mark._file)
    for _ in range(2):
        with pytest.raises(BusyError):
            witness.add_checkpoint(LOG.request(0, 20))
    assert witness.failing() == ["storage"]
    if broken == "cannot be written":
        with pytest.raises(BusyError):  # it is held, and was never signed
            witness.newest(HASH)
    os.close(full)


def test_threads_that_race_with_two_histories_get_one(witness, clock):
    """Sixteen at once for each size: whoever came first decides, and the other history is refused."""
    histories = {"honest": honest(), "fork": fork()}
    signed = {}
    size, winner = 5, honest()
    witness.add_checkpoint(winner.request(0, 5))
    answers = []

    def send(name, log, old, new):
        try:
            witness.add_checkpoint(log.request(old, new))
        except (ConflictError, RefusedError):
            return
        answers.append((name, new))

    for new in range(6, 26):
        threads = [
            threading.Thread(target=send, args=(name, log, size, new))
            for name, log in histories.items()
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert state(witness)[0] == new
        size = new
    for name, new in answers:
        signed.setdefault(new, set()).add(name)
    assert set(signed) == set(range(6, 26))
    assert all(len(names) == 1 for names in signed.values())
    assert len({next(iter(names)) for names in signed.values()}) == 1
    assert len(answers) == len(signed)


def test_two_processes_on_one_folder_sign_one_history(folder, witness, clock):
    """`serve` beside `pull`: each has its own connection and its own view of the mark."""
    beside = Witness(folder, clock)
    witness.add_checkpoint(LOG.request(0, 5))
    answers, size = [], 5

    def send(one, log, old, new):
        with suppress(ConflictError, RefusedError):
            one.add_checkpoint(log.request(old, new))
            answers.append((new, log.root(new)))

    for new in range(6, 20):
        threads = [
            threading.Thread(target=send, args=(one, log, size, new))
            for one, log in ((witness, honest()), (beside, fork()), (witness, fork()), (beside, honest()))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        size = new
    assert [new for new, _ in sorted(answers)] == list(range(6, 20))
    assert witness.newest(HASH).partition(b"\n\n")[0] == beside.newest(HASH).partition(b"\n\n")[0]
    clock.advance(60_000)
    log = honest() if state(witness)[1] == honest().root(19) else fork()
    beside.add_checkpoint(log.request(19, 30))
    newest = witness.newest(HASH)
    assert open_checkpoint(newest, [LEDGER_KEY.verifier()], ORIGIN).size == 30
    assert set(cosigned(newest, witness.vkeys).values()) == {NOW + 60}
    beside.close()
    witness.close()
    Witness(folder, clock).close()


# -- a copy of the folder that names the same mark ---------------------------------------------------


@pytest.fixture
def twin(folder, witness, clock, tmp_path):
    """The same witness, opened from `cp -r` of its folder."""
    witness.add_checkpoint(LOG.request(0, 5))
    shutil.copytree(folder.path, tmp_path / "copy")
    opened = Witness(Folder.read(tmp_path / "copy"), clock)
    assert opened.folder.mark == witness.folder.mark
    yield opened
    opened.close()


def stops(witness, work):
    for _ in range(2):
        with pytest.raises(BusyError) as refused:
            work(witness)
        assert refused.value.code == "witness_stopped"
    assert witness.failing() == ["stopped"]


@pytest.mark.parametrize("rest", [[], [(10, 11), (11, 12)]])
@pytest.mark.parametrize("log", [fork(), honest()])
def test_of_two_copies_of_one_folder_one_signs(witness, twin, clock, tmp_path, log, rest):
    lines = witness.add_checkpoint(LOG.request(5, 10))
    assert cosigners(witness, lines, 10)
    for old, size in rest:  # and the mark is far ahead
        witness.add_checkpoint(LOG.request(old, size))
    stops(twin, lambda twin: twin.add_checkpoint(log.request(5, 10)))
    assert state(twin)[0] == 5, "nothing was taken in"
    twin.close()
    with pytest.raises(TamperError, match="stopped itself"):
        Witness(Folder.read(tmp_path / "copy"), clock)
    size = state(witness)[0]
    assert witness.add_checkpoint(LOG.request(size, 20)), "the other one goes on"
    assert witness.failing() == []


@pytest.mark.parametrize(
    "work",
    [
        lambda one: one.newest(HASH),
        lambda one: one.add_ledger("log.example/other", NEXT_KEY.verifier()),
        lambda one: one.remove_ledger(ORIGIN),
    ],
)
def test_a_copy_that_was_overtaken_signs_and_changes_nothing(witness, twin, work):
    witness.add_checkpoint(LOG.request(5, 10))
    ledgers = twin.ledgers()
    stops(twin, work)
    assert twin.ledgers() == ledgers
    work(witness)  # control


def test_whichever_copy_commits_first_is_the_one_that_goes_on(witness, twin):
    twin.add_checkpoint(fork().request(5, 10))
    stops(witness, lambda one: one.add_checkpoint(LOG.request(5, 10)))
    assert twin.add_checkpoint(fork().request(10, 20))


class Killed(Witness):
    """A process that ends between commit and mark."""

    def _advance(self):
        raise KeyboardInterrupt


def test_a_copy_that_committed_and_was_killed_does_not_go_on_from_there(witness, twin, clock):
    """The mark then tells as many changes as its database has, and others."""
    killed = Killed.__new__(Killed)
    killed.__dict__.update(twin.__dict__)
    with pytest.raises(KeyboardInterrupt):
        killed.add_checkpoint(fork().request(5, 10))
    witness.add_checkpoint(LOG.request(5, 10))
    assert witness._store.identity().sequence == twin._store.identity().sequence
    stops(twin, lambda twin: twin.add_checkpoint(fork().request(10, 20)))
    assert witness.add_checkpoint(LOG.request(10, 20))


class IgnoresTheMark(Witness):
    """Mutant: signs whatever the mark tells."""

    def _refuse_twin(self):
        return

    def _advance(self):
        with suppress(TamperError):
            super()._advance()


def test_a_mutant_that_ignores_the_mark_signs_two_histories(folder, witness, clock, tmp_path):
    witness.add_checkpoint(LOG.request(0, 5))
    shutil.copytree(folder.path, tmp_path / "copy")
    mutant = IgnoresTheMark(Folder.read(tmp_path / "copy"), clock)
    assert cosigners(witness, witness.add_checkpoint(LOG.request(5, 10)), 10)
    assert cosigners(witness, mutant.add_checkpoint(fork().request(5, 10)), 10, fork())
    mutant.close()


def test_two_processes_on_one_database_take_turns(folder, witness, clock):
    """Control: `serve` beside `pull`, with evidence and changes of keys in between."""
    beside = Witness(folder, clock)
    size = 0
    for n, one in enumerate((witness, beside) * 10):
        other = (beside, witness)[n % 2]
        assert one.add_checkpoint(LOG.request(size, size + 5))
        size += 5
        against(other, LOG.request(size, size + 1, []))
        assert other.newest(HASH)
        one.add_ledger(f"log.example/{n}", NEXT_KEY.verifier())
    assert witness.failing() == beside.failing() == []
    beside.close()


def test_a_commit_that_the_other_process_did_not_mark_is_marked_by_this_one(folder, witness, clock):
    """Control: the other process was killed between commit and mark."""
    before = folder.mark.read_bytes()
    beside = Witness(folder, clock)
    beside.add_checkpoint(LOG.request(0, 5))
    beside.close()
    folder.mark.write_bytes(before)
    assert witness.add_checkpoint(LOG.request(5, 10))
    assert witness.newest(HASH)
    witness.close()
    Witness(folder, clock).close()
