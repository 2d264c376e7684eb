"""Trees of files that a stranger made: what is no file is told, and what was only signed costs nothing."""

import json
import os
import shutil
import socket
import threading
import tracemalloc
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.audit.exported import verify_tree
from app.audit.following import MAX_FINDINGS
from app.audit.readers import Readers
from app.cli.main import app
from app.errors import BusyError, TamperError
from app.ledger.checkpoint import Checkpoint, sign
from app.ledger.folder import TileFolder
from app.ledger.note import Note, SignatureType, SignerKey
from app.ledger.policy import TrustPolicy
from app.ledger.tiles import BundleCoordinate, TileCoordinate
from app.ledger.tree import root_of
from app.ledger.trust import Trust
from tests.exchange.shelf import KEY, ORIGIN, VKEY, files_of, leaves, put, write_tree

TRUST = Trust((VKEY,))
UNREADABLE = Path("/proc/self/mem")
"""A regular file whose first byte nobody can read, root included."""


def folder_(path):
    path.mkdir()


def loop(path):
    path.symlink_to(path.name)


def socket_(path):
    os.chdir(path.parent)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)


def device(path):
    path.symlink_to("/dev/zero")


def verified(tree):
    """Verify in a thread: where a pipe is waited for, the test fails and does not wait. Two processes say the same."""
    found = []

    def verify():
        found.append(verify_tree(TileFolder(tree), TRUST))
        with Readers(1) as readers:
            found.append(verify_tree(TileFolder(tree), TRUST, readers=readers))

    thread = threading.Thread(target=verify, daemon=True)
    thread.start()
    thread.join(timeout=30)
    assert len(found) == 2, "it waits, or ended in an error"
    alone, together = ({**report.as_json(), "milliseconds": 0} for report in found)
    assert alone == together
    return found[0]


@pytest.mark.parametrize("make", [folder_, loop, socket_, device, os.mkfifo])
@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000"])
def test_what_is_no_file_in_a_files_place_is_told_with_its_path(tmp_path, monkeypatch, make, name):
    monkeypatch.chdir(tmp_path)
    write_tree(tmp_path / "tree", leaves(300))
    assert not [each for each in verified(tmp_path / "tree").findings if each.code == "file_differs"], "control"
    place = tmp_path / "tree" / name
    place.unlink()
    make(place)
    report = verified(tmp_path / "tree")
    assert report.result == "FAIL"
    [found] = [each for each in report.findings if each.code == "file_differs"]
    assert str(place) in found.detail


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000", "tile/entries/000"])
def test_a_file_that_cannot_be_read_leaves_it_open(tmp_path, name):
    write_tree(tmp_path, leaves(300))
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(UNREADABLE)
    report = verified(tmp_path)
    assert report.result == "INCOMPLETE"
    assert any(str(tmp_path / name) in what for what in report.not_checked)


def test_the_command_reports_what_it_cannot_read(tmp_path):
    def custody(*more):
        return CliRunner().invoke(app, ["ledger", "verify", str(tmp_path), "--vkey", VKEY.to_text(), *more])

    loop(tmp_path / "checkpoint")
    done = custody("--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["findings"][0]["code"] == "file_differs"
    assert custody().stdout.startswith("FAIL: ")
    (tmp_path / "checkpoint").unlink()
    (tmp_path / "checkpoint").symlink_to(UNREADABLE)
    done = custody()
    assert done.exit_code == 3
    assert done.stdout.startswith("INCOMPLETE: ")


def test_nothing_is_written_over_what_is_no_file(tmp_path):
    folder, place = TileFolder(tmp_path), TileCoordinate(0, 0, 1)
    (tmp_path / place.path()).mkdir(parents=True)
    with pytest.raises(TamperError):
        folder.keep(place, bytes(32))
    assert (tmp_path / place.path()).is_dir()
    bundle = BundleCoordinate(0, 1)
    held = b"\x00\x01a"
    put(tmp_path / bundle.path(), held)
    for data in (held + b"x", held[:-1], b"", b"\x00\x01b"):
        with pytest.raises(TamperError):
            folder.keep(bundle, data)
    assert folder.keep(bundle, held) is False
    (tmp_path / bundle.path()).unlink()
    (tmp_path / bundle.path()).symlink_to(UNREADABLE)
    with pytest.raises(BusyError):
        folder.read(bundle)


def test_a_document_that_is_no_file_says_nothing_of_the_ledger(tmp_path):
    (tmp_path / "documents" / ("A" * 43)).mkdir(parents=True)
    with pytest.raises(TamperError):
        TileFolder(tmp_path).document("A" * 43)


# -- sizes -------------------------------------------------------------------------------------------------


def test_a_size_that_is_only_signed_costs_one_file(tmp_path):
    put(tmp_path / "checkpoint", sign(Checkpoint(ORIGIN, 2**28, bytes(32)), KEY))
    tracemalloc.start()
    report = verify_tree(TileFolder(tmp_path), TRUST)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000
    assert [(each.index, each.code) for each in report.findings] == [(0, "not_found")]
    assert "tile/3/000.p/16" in report.findings[0].detail
    assert "Leaf 0 and all after it were not judged." in report.not_checked


def hollow(tree, size):
    """A signed size whose highest tile is right, and nothing else."""
    edge = [bytes(32)] * (size >> 24)
    put(tree / "checkpoint", sign(Checkpoint(ORIGIN, size, root_of(edge)), KEY))
    put(tree / f"tile/3/000.p/{len(edge)}", b"".join(edge))
    return tree


def test_findings_about_files_end_at_a_bound(tmp_path):
    """The root is right for the one tile of level 3; below there is nothing: more tiles, and more bundles, than that."""
    report = verify_tree(TileFolder(hollow(tmp_path / "high", 2**26)), TRUST)
    assert len(report.findings) + len(report.not_checked) <= MAX_FINDINGS + 2
    report = verify_tree(TileFolder(hollow(tmp_path / "low", 2**24)), TRUST)
    assert len(report.findings) + len(report.not_checked) <= MAX_FINDINGS + 2
    assert report.result == "FAIL"
    assert "Leaf 0 and all after it were not judged." in report.not_checked


def test_an_empty_tree_has_the_empty_root(tmp_path):
    put(tmp_path / "checkpoint", sign(Checkpoint(ORIGIN, 0, root_of([])), KEY))
    assert verify_tree(TileFolder(tmp_path), TRUST).findings == []
    honest = files_of(tmp_path)["checkpoint"]
    assert honest.startswith(f"{ORIGIN}\n0\n".encode())


def test_hashes_alone_are_proven_and_said_to_be_no_more(tmp_path):
    write_tree(tmp_path, leaves(600))
    shutil.rmtree(tmp_path / "tile" / "entries")
    report = verified(tmp_path)
    assert report.result == "INCOMPLETE"
    assert (report.findings, any("no leaves here" in what for what in report.not_checked)) == ([], True)
    tile = tmp_path / "tile" / "0" / "001"
    tile.write_bytes(bytes([tile.read_bytes()[0] ^ 1]) + tile.read_bytes()[1:])
    assert verified(tmp_path).result == "FAIL", "the control"


def test_too_few_witnesses_say_nothing_against_a_tree(tmp_path):
    write_tree(tmp_path, leaves(3))
    witness = SignerKey("w.example/w1", SignatureType.COSIGNATURE, b"\x07" * 32)
    policy = TrustPolicy.parse(f"log {VKEY.to_text()}\nwitness w {witness.verifier().to_text()}\nquorum w\n".encode())
    report = verify_tree(TileFolder(tmp_path), Trust((), policy))
    codes = {finding.code for finding in report.findings}
    assert ("quorum" not in codes, any("Too few" in what for what in report.not_checked)) == (True, True)
    note = Note.parse((tmp_path / "checkpoint").read_bytes())
    put(tmp_path / "checkpoint", Note(note.text, (*note.signatures, witness.cosign(note.text, 5))).to_bytes())
    again = verify_tree(TileFolder(tmp_path), Trust((), policy))
    assert not any("Too few" in what for what in again.not_checked), "the control"
