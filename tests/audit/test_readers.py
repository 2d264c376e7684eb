"""Verifying with several processes: the report is that of one process, whatever the ledger is and whoever dies."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from app.audit.ahead import Arrived, pack, unpack
from app.audit.exported import TreeReport, verify_tree
from app.audit.following import Follower
from app.audit.leaf import read_leaf
from app.audit.readers import ROUNDS_EACH, ROUNDS_HERE, ReaderLostError, Readers, Round
from app.audit.replay import replay
from app.canon import jcs
from app.db import Database
from app.errors import ServiceError
from app.ledger.folder import TileFolder
from app.ledger.trust import Trust
from app.units import records
from tests import small as s
from tests.audit.journey import play
from tests.audit.test_following import DAMAGES
from tests.custody.town import Town
from tests.exchange.shelf import VKEY, write_tree

ROOT = Path(__file__).resolve().parents[2]
TRUST = Trust((VKEY,))
SIGHTINGS = 700
FIELDS = ("index", "data", "hash", "value", "jws", "event", "verdict", "links", "received_ms")
Told = tuple[list[object], object, int]


class Story(NamedTuple):
    """The leaves of a ledger, the documents that they name, and the hash of its genesis."""

    leaves: list[bytes]
    documents: dict[str, bytes]
    genesis: str

    @property
    def short(self) -> list[bytes]:
        """The leaves before the many sightings at the end."""
        return self.leaves[:-SIGHTINGS]


@pytest.fixture(scope="module")
def story(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A journey, keys that sign as soon as they are enrolled, keys that end, and goods that are seen again and again."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "custody.db").write_bytes(sqlite_template.read_bytes())
    db = Database(f"sqlite:///{folder / 'custody.db'}")
    town = Town(db, folder / "house").settle()
    play(town)
    for n in range(12):
        fresh = town.enrol(f"OFF-{n}", s.KPU, "LOGISTIK", s.CITY, alg=("Ed25519", "ES256")[n % 2])
        box = town.box()
        town.ok(town.act(fresh, "sighting", {}, [box], capacity="witness"))
        if n % 3 == 0:
            town.ok(town.revoke(fresh))
            town.send(town.act(fresh, "sighting", {}, [box], capacity="witness"))
    box = town.box()
    town.send_all([town.act(town.kpu1, "sighting", {}, [box], capacity="witness") for _ in range(SIGHTINGS)])
    with db.read() as session:
        leaves = [one.recorded.data for one in replay(session, town.recorder.ledger_id)]
        documents = {
            str(name): records.read_document(session, town.recorder.ledger_id, str(name)) or b""
            for (name,) in session.exec_driver_sql("SELECT hash FROM document")
        }
        genesis = str(town.one("SELECT genesis FROM ledger_state"))
    db.close()
    return Story(leaves, documents, genesis)


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    with Readers(2) as made:
        yield made


def one_by_one(story: Story, leaves: list[bytes]) -> Told:
    follower = Follower(story.documents.get, genesis=story.genesis)
    for leaf in leaves:
        follower.take(leaf)
    follower.end()
    return list(follower.told.findings), follower.told.not_checked, follower.size


def by_several(story: Story, leaves: list[bytes], readers: Readers, width: int) -> tuple[Told, int]:
    """Follow in rounds of so many leaves; returns what was told, and how many leaves another process proved."""
    follower = Follower(story.documents.get, genesis=story.genesis)
    rounds = (Round(None, first, leaves[first : first + width]) for first in range(0, len(leaves), width))
    elsewhere = 0
    for one in readers.ahead(rounds, follower.read_ahead, signatures=True):
        assert one.read is not None
        elsewhere += sum(isinstance(leaf, Arrived) and bool(leaf.proven_by) for leaf in one.read)
        follower.take_read(one.leaves, one.read)
    follower.end()
    return (list(follower.told.findings), follower.told.not_checked, follower.size), elsewhere


def type_of(leaf: bytes) -> str:
    return read_leaf(0, leaf).event.type.name


def test_an_honest_ledger_is_clean_and_mostly_proven_elsewhere(story: Story, readers: Readers):
    told, elsewhere = by_several(story, story.leaves, readers, 32)
    assert told == one_by_one(story, story.leaves) == ([], None, len(story.leaves))
    assert elsewhere > len(story.leaves) // 4


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "none"])
def test_a_damaged_leaf_is_told_the_same_way(story: Story, readers: Readers, damage: str):
    rng = random.Random(damage)
    leaves, last = story.short, len(story.short) - 1
    linked = next(i for i, leaf in enumerate(leaves) if DAMAGES["links"](leaf) != leaf)
    found = 0
    for where in (0, 31, 32, linked, last, *rng.sample(range(last), 4)):
        some = [*leaves[:where], DAMAGES[damage](leaves[where]), *leaves[where + 1 :]]
        alone = one_by_one(story, some)
        assert by_several(story, some, readers, 32)[0] == alone, where
        found += bool(alone[0] or alone[1])
    assert found, "the control: one process finds it"


def test_a_leaf_before_its_keys_enrolment_is_unproven_though_others_knew_the_key(story: Story, readers: Readers):
    """The key's bytes are in the same round, or went round before: only the judging process says what is enrolled."""
    leaves = story.short
    enrols = [i for i, leaf in enumerate(leaves) if type_of(leaf) == "key.enrol"]
    tried = 0
    for index in enrols[-6:]:
        for some in (
            leaves[:index] + leaves[index + 1 :],
            [*leaves[:index], *leaves[index + 1 : index + 40], leaves[index]],
        ):
            alone = one_by_one(story, some)
            assert by_several(story, some, readers, 16)[0] == alone
            tried += "unknown_key" in {finding.code for finding in alone[0]}
    assert tried >= 6, "the control: the keys were missed"


def test_a_proof_from_elsewhere_counts_only_under_an_enrolled_key(story: Story):
    index = next(i for i, leaf in reversed(list(enumerate(story.leaves))) if type_of(leaf) == "key.enrol")
    user = next(
        i for i in range(index + 1, len(story.leaves))
        if read_leaf(i, story.leaves[i]).jws.signatures[0].kid not in story.leaves[0].decode()
        and type_of(story.leaves[i]) == "sighting"
    )  # fmt: skip
    for before, codes in ((story.leaves[:user], []), (story.leaves[:index], ["unknown_key"])):
        follower = Follower(story.documents.get)
        follower.take_all(before)
        assert follower.told.findings == []
        recorded = read_leaf(follower.size, story.leaves[user])
        follower.take_read([recorded.data], [unpack(recorded.index, recorded.data, pack(recorded, proven=True))])
        assert [one.code for one in follower.told.findings if one.code == "unknown_key"] == codes


def test_a_leaf_travels_whole(story: Story):
    for index, data in enumerate(story.leaves[:150]):
        recorded = read_leaf(index, data)
        arrived = unpack(index, data, pack(recorded, proven=False))
        for name in FIELDS:
            assert getattr(arrived, name) == getattr(recorded, name), (index, name)
        assert arrived.payload == recorded.payload
        assert arrived.proven_by == ()


def test_rounds_come_back_in_order_and_few_are_under_way(readers: Readers, story: Story):
    made, given = [], []

    def rounds() -> Iterator[Round[int]]:
        for n in range(60):
            made.append(n)
            yield Round(n, n, story.leaves[n : n + 1], is_asked=n % 7 != 3)

    for one in readers.ahead(rounds(), lambda first, leaves: [read_leaf(first, leaves[0])], signatures=False):
        given.append(one.tag)
        assert len(made) - len(given) <= 2 * ROUNDS_EACH + ROUNDS_HERE
        assert (one.read is None) == (one.tag % 7 == 3)
    assert given == list(range(60))


def test_who_stopped_early_does_not_cut_short_who_comes_after(story: Story):
    """The process stands still, with as many rounds of the first as it takes; the second waits for it to go on."""

    def rounds(count: int) -> Iterator[Round[int]]:
        return (Round(n, n, story.leaves[n : n + 1], is_asked=n > 0) for n in range(count))

    def tags(own: Readers, count: int) -> list[int]:
        return [one.tag for one in own.ahead(rounds(count), lambda _first, _leaves: [], signatures=False)]

    with Readers(1) as own:
        assert tags(own, 2) == [0, 1], "and now there is a process"
        pid = own.pids[0]
        os.kill(pid, signal.SIGSTOP)
        first = own.ahead(rounds(20), lambda _first, _leaves: [], signatures=False)
        assert next(first).tag == 0
        first.close()  # type: ignore[attr-defined]
        goes_on = threading.Timer(0.5, os.kill, (pid, signal.SIGCONT))
        goes_on.start()
        assert tags(own, 20) == list(range(20))
        goes_on.join()


# -- trees -------------------------------------------------------------------------------------------------


def verified(folder: Path, story: Story, readers: Readers | None, **more: object) -> TreeReport:
    return verify_tree(TileFolder(folder), TRUST, genesis=story.genesis, readers=readers, **more)  # type: ignore[arg-type]


def written(folder: Path, story: Story, leaves: list[bytes] | None = None) -> Path:
    write_tree(folder, story.leaves if leaves is None else leaves)
    for name, data in story.documents.items():
        TileFolder(folder).keep_document(name, data)
    return folder


def as_told(report: TreeReport) -> dict[str, object]:
    return {**report.as_json(), "milliseconds": 0}


def flipped(path: Path, at: int = 100) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


HARMS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda tree: None,
    "no second bundle": lambda tree: (tree / "tile/entries/001").unlink(),
    "another first bundle": lambda tree: flipped(tree / "tile/entries/000"),
    "another tile": lambda tree: flipped(tree / "tile/0/002"),
    "no documents": lambda tree: [path.unlink() for path in (tree / "documents").iterdir()],
    "a document in pieces": lambda tree: [path.write_bytes(b"{}") for path in (tree / "documents").iterdir()],
    "an unreadable bundle": lambda tree: (
        (tree / "tile/entries/002").unlink(), (tree / "tile/entries/002").symlink_to("/proc/self/mem"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_a_tree_is_told_the_same_way_by_several_processes(tmp_path: Path, story: Story, readers: Readers, harm: str):
    tree = written(tmp_path, story)
    assert len(story.leaves) > 3 * 256, "several rounds"
    HARMS[harm](tree)
    ticks: list[tuple[str, int, int]] = []
    alone = verified(tree, story, None)
    together = verified(tree, story, readers, progress=lambda *told: ticks.append(told))
    assert as_told(together) == as_told(alone)
    assert (alone.result == "PASS") == (harm == "nothing"), "the control"
    done = [done for name, done, _ in ticks if name == "events"]
    assert not done or sum(done) <= len(story.leaves)


@pytest.mark.parametrize("where", [255, 256, 257, 511, 512])
def test_another_history_from_the_boundary_of_two_rounds_on(tmp_path: Path, story: Story, readers: Readers, where: int):
    """The tree is whole and signed; from that leaf on its leaves are of another history: one left out, or one twice."""
    for name, leaves in {
        "out": [*story.leaves[:where], *story.leaves[where + 1 :]],
        "twice": [*story.leaves[:where], story.leaves[where], *story.leaves[where:]],
        "unsigned": [*story.leaves[:where], DAMAGES["signature"](story.leaves[where]), *story.leaves[where + 1 :]],
    }.items():
        tree = written(tmp_path / f"{name}{where}", story, leaves)
        alone = verified(tree, story, None)
        assert as_told(verified(tree, story, readers)) == as_told(alone), name
        assert alone.result == "FAIL", name


def test_without_signatures_nothing_is_proven_anywhere(tmp_path: Path, story: Story, readers: Readers):
    leaves = [*story.leaves[:300], DAMAGES["signature"](story.leaves[300]), *story.leaves[301:]]
    tree = written(tmp_path, story, leaves)
    alone = verified(tree, story, None, signatures=False)
    assert as_told(verified(tree, story, readers, signatures=False)) == as_told(alone)
    assert not any(finding.code == "signature" for finding in alone.findings)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_is_never_a_pass(
    tmp_path: Path, story: Story, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.audit.readers.ROUNDS_HERE", 0)  # so that rounds are left to send after its death
    tree = written(tmp_path, story)
    with Readers(1) as own:

        def kill_at_the_first_round(name: str, _done: int, _total: int) -> None:
            if name == "events" and own.pids:
                os.kill(own.pids[0], how)

        report = verified(tree, story, own, progress=kill_at_the_first_round)
    assert report.result == "INCOMPLETE"
    assert any(f"was ended by signal {int(how)}" in what for what in report.not_checked)
    assert report.findings == []
    assert report.size == len(story.leaves)


def test_a_process_that_never_starts_is_told(monkeypatch: pytest.MonkeyPatch, story: Story):
    monkeypatch.setattr("app.audit.readers.READER", "no.such.module")
    with Readers(1) as own, pytest.raises(ReaderLostError, match="ended with 1"):
        by_several(story, story.leaves, own, 32)


def test_processes_end_with_their_context(story: Story):
    with Readers(2) as own:
        by_several(story, story.leaves[:200], own, 32)
        pids = list(own.pids)
        assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_bytes_that_are_no_leaf_stop_a_round_and_hurt_nobody(readers: Readers, story: Story):
    junk = [b"", b"{}", b"[" * 60_000, jcs({"v": 1}), b"\xff" * 70_000]
    for each in junk:
        with pytest.raises(ServiceError):
            read_leaf(0, each)
        some = [*story.leaves[:40], each, *story.leaves[40:80]]
        assert by_several(story, some, readers, 32)[0] == one_by_one(story, some)


def test_an_interrupt_ends_every_process(tmp_path: Path, story: Story):
    """The process that reads is stopped, so the command waits for it; then somebody presses Ctrl-C."""
    tree = written(tmp_path, story)
    command = [sys.executable, "-P", "-m", "app.cli", "ledger", "verify", str(tree), "--processes", "2"]
    command += ["--vkey", VKEY.to_text(), "--genesis", story.genesis]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(5):  # where the machine was so slow that it ended before it could be stopped
        run = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        reader = child_of(run)
        if reader is not None:
            reader.suspend()
            if run.poll() is None:
                break
        run.communicate()
    assert reader is not None
    os.killpg(run.pid, signal.SIGINT)
    try:
        out, error = run.communicate(timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    assert run.returncode != 0
    assert b"PASS" not in out
    assert b"Traceback" not in error
    assert not reader.is_running()


def child_of(run: "subprocess.Popen[bytes]") -> psutil.Process | None:
    """Wait for the process that a command starts; None when the command ends first."""
    while run.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(run.pid).children():
                if "app.audit.reader" in child.cmdline():  # and no longer about to become it
                    return child
        time.sleep(0.005)
    return None
