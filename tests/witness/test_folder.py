"""A witness is made once, starts only with its newest memory, and never with somebody else's."""

import json
import shutil
import sqlite3

import pytest

from app.errors import ConflictError, MalformedError, MissingError, ServiceError, TamperError
from app.witness.cosign import Witness
from app.witness.folder import Folder, make
from tests.ledger.vectors import LEDGER_KEY, ORIGIN
from tests.witness.conftest import BOTH, NAME
from tests.witness.logs import fork, honest

LOG = honest()


def work(folder, *requests):
    """Open the witness, let it answer, and close it."""
    witness = Witness(folder)
    for request in requests:
        assert witness.add_checkpoint(request)
    witness.close()


def copy(folder, to):
    shutil.copytree(folder.path, to)


def bring_back(folder, copied):
    shutil.rmtree(folder.path)
    shutil.copytree(copied, folder.path)


def test_it_is_made_whole_and_private(folder):
    assert folder == Folder.read(folder.path)
    assert {path.name: path.stat().st_mode & 0o777 for path in (folder.path / "keys").iterdir()} == {
        "ed25519.key": 0o400, "ml-dsa-44.key": 0o400,
    }  # fmt: skip
    assert folder.database().stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert [key.type for key in folder.signers()] == list(BOTH)


@pytest.mark.parametrize("kinds", [BOTH[:1], BOTH[1:]])
def test_either_kind_of_key_is_enough(tmp_path, kinds):
    made = make(tmp_path / "one", NAME, kinds, tmp_path / "elsewhere" / "mark")
    witness = Witness(made)
    witness.add_ledger(ORIGIN, LEDGER_KEY.verifier())
    [line] = witness.add_checkpoint(LOG.request(0, 20))
    [key] = witness.vkeys
    assert (key.type, line.key_id) == (kinds[0], key.key_id)
    assert made.mark == tmp_path / "elsewhere" / "mark"
    witness.close()


def test_it_is_made_once(folder, tmp_path):
    with pytest.raises(ConflictError):
        make(folder.path, NAME, BOTH)
    with pytest.raises(ConflictError):  # somebody else's mark is there
        make(tmp_path / "other", NAME, BOTH, folder.mark)
    assert not (tmp_path / "other").exists()
    with pytest.raises(MalformedError):
        make(tmp_path / "spaced", "no name", BOTH)
    work(folder, LOG.request(0, 20))


def test_a_missing_folder_or_database_is_refused_and_nothing_is_made(folder, tmp_path):
    with pytest.raises(MissingError):
        Folder.read(tmp_path / "nothing")
    folder.database().unlink()
    with pytest.raises(MissingError, match="retire"):
        Witness(folder)
    assert not folder.database().exists()


@pytest.mark.parametrize("change", ["a larger tree", "the same tree again", "evidence", "another ledger"])
def test_an_older_copy_is_refused_whatever_it_lacks(folder, tmp_path, change):
    work(folder, LOG.request(0, 20))
    copy(folder, tmp_path / "backup")
    witness = Witness(folder)
    if change == "another ledger":
        witness.add_ledger("log.example/other", LEDGER_KEY.verifier())
    elif change == "evidence":
        with pytest.raises(ServiceError):
            witness.add_checkpoint(LOG.request(20, 30, []))
    else:
        witness.add_checkpoint(LOG.request(20, 30 if change == "a larger tree" else 20))
    witness.close()
    bring_back(folder, tmp_path / "backup")
    for _ in range(2):
        with pytest.raises(TamperError, match="restored from a backup"):
            Witness(folder)


def test_the_newest_copy_is_none_that_is_older(folder, tmp_path):
    """Control: the same steps without a change after the copy."""
    work(folder, LOG.request(0, 20))
    copy(folder, tmp_path / "backup")
    bring_back(folder, tmp_path / "backup")
    work(folder, LOG.request(20, 30))


def test_a_database_without_its_log_is_older(folder, tmp_path):
    """A copy of the one file, while the witness ran, lacks what was only in the write-ahead log."""
    witness = Witness(folder)
    witness.add_checkpoint(LOG.request(0, 20))
    shutil.copyfile(folder.database(), tmp_path / "copied.db")
    witness.close()
    shutil.copyfile(tmp_path / "copied.db", folder.database())
    with pytest.raises(TamperError):
        Witness(folder)


def test_another_history_of_the_same_length_is_refused(folder, tmp_path):
    copy(folder, tmp_path / "twin")
    shutil.copyfile(folder.mark, tmp_path / "twin.mark")
    work(folder, LOG.request(0, 20))
    twin = Folder(tmp_path / "twin", NAME, tmp_path / "twin.mark")
    work(twin, LOG.request(0, 30))
    bring_back(folder, twin.path)
    with pytest.raises(TamperError, match="another history"):
        Witness(folder)


def test_a_missing_or_foreign_mark_is_refused(folder, tmp_path):
    work(folder, LOG.request(0, 20))
    kept = folder.mark.read_bytes()
    folder.mark.unlink()
    with pytest.raises(TamperError, match="mark"):
        Witness(folder)
    assert not folder.mark.exists()
    other = make(tmp_path / "other", "other.example/w", BOTH)
    shutil.copyfile(other.mark, folder.mark)
    with pytest.raises(TamperError):
        Witness(folder)
    folder.mark.write_bytes(kept)
    work(folder, LOG.request(20, 30))


@pytest.mark.parametrize("data", [b"", b"\x00" * 512, b"garbage" * 100])
def test_an_empty_or_damaged_mark_is_no_fresh_one(folder, data):
    work(folder, LOG.request(0, 20))
    kept = folder.mark.read_bytes()
    folder.mark.write_bytes(data)
    with pytest.raises(TamperError, match="Retire this witness") as refused:
        Witness(folder)
    assert "custody ledger" not in refused.value.detail
    assert folder.mark.read_bytes() == data
    folder.mark.write_bytes(kept)
    work(folder, LOG.request(20, 30))


def test_a_crash_between_commit_and_mark_is_no_rollback(folder):
    before = folder.mark.read_bytes()
    work(folder, LOG.request(0, 20))
    folder.mark.write_bytes(before)
    work(folder, LOG.request(20, 30))


def test_other_keys_than_its_own_are_refused(folder, tmp_path):
    other = make(tmp_path / "other", NAME, BOTH)
    kept = tmp_path / "kept"
    shutil.move(folder.path / "keys", kept)
    with pytest.raises(MissingError, match="lost key"):
        Witness(folder)
    shutil.copytree(other.path / "keys", folder.path / "keys")
    with pytest.raises(TamperError, match="not those of its database"):
        Witness(folder)
    shutil.rmtree(folder.path / "keys")
    shutil.copytree(kept, folder.path / "keys")
    (folder.path / "keys" / "ed25519.key").chmod(0o444)
    with pytest.raises(TamperError, match="chmod 400"):
        Witness(folder)
    (folder.path / "keys" / "ed25519.key").chmod(0o400)
    work(folder, LOG.request(0, 20))


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100, "middle", "empty"])
def test_a_damaged_database_is_refused(folder, damage):
    work(folder, LOG.request(0, 20))
    path = folder.database()
    if damage == "middle":
        data = bytearray(path.read_bytes())
        data[4096:8192] = b"\xff" * 4096
        path.write_bytes(data)
    elif damage == "empty":
        path.unlink()
        sqlite3.connect(path).close()
        path.touch()
    else:
        path.write_bytes(damage)
    with pytest.raises(ServiceError) as refused:
        Witness(folder)
    assert isinstance(refused.value, TamperError | MissingError)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": 1}'])
def test_a_damaged_description_is_refused(folder, text):
    (folder.path / "witness.json").write_text(text)
    with pytest.raises(MalformedError):
        Folder.read(folder.path)


def test_the_mark_may_be_moved_to_another_disk(folder, tmp_path):
    shutil.move(folder.mark, tmp_path / "moved.mark")
    told = json.loads((folder.path / "witness.json").read_text())
    (folder.path / "witness.json").write_text(json.dumps({**told, "mark": str(tmp_path / "moved.mark")}))
    work(Folder.read(folder.path), LOG.request(0, 20))


def test_the_database_itself_refuses_to_go_back(folder):
    """Whatever the code above it does: size, root, time and evidence only ever grow."""
    work(folder, LOG.request(0, 20))
    db = sqlite3.connect(folder.database(), isolation_level=None)
    for statement in (
        "UPDATE ledger SET size = 19", "UPDATE ledger SET root = zeroblob(32)", "UPDATE ledger SET cosigned_at = 1",
        "DELETE FROM ledger",
    ):  # fmt: skip
        with pytest.raises(sqlite3.IntegrityError):
            db.execute(statement)
    db.execute("UPDATE ledger SET size = 21, root = zeroblob(32)")  # control
    db.close()


def doubted(folder):
    """Fill a shelf: unproven at 30 with the honest root and with the other, unproven at 31, a fork at 20."""
    witness = Witness(folder)
    witness.add_checkpoint(LOG.request(0, 20))
    for data in (LOG.request(20, 30, []), fork().request(20, 30), LOG.request(20, 31, []), fork().request(20, 20)):
        with pytest.raises(ServiceError):
            witness.add_checkpoint(data)
    witness.close()


def test_the_database_itself_gives_up_no_evidence_but_a_cleared_doubt(folder):
    doubted(folder)
    db = sqlite3.connect(folder.database(), isolation_level=None)
    for where in ("size = 31", "finding = 'fork'", "1", "size = 30"):
        with pytest.raises(sqlite3.IntegrityError, match="evidence is kept"):
            db.execute(f"DELETE FROM evidence WHERE {where}")
    for change in ("finding = 'unproven'", "size = 20", "body = zeroblob(1)"):
        with pytest.raises(sqlite3.IntegrityError, match="evidence is kept"):
            db.execute(f"UPDATE evidence SET {change}")
    db.execute("UPDATE ledger SET size = 30, root = ?", (LOG.root(30),))
    db.execute(
        "INSERT INTO evidence SELECT 99, origin, 'fork', size, root, kept_at, note, body, held_size, held_root, held_note "
        "FROM evidence WHERE size = 30 AND root = ?", (LOG.root(30),),
    )  # fmt: skip
    with pytest.raises(sqlite3.IntegrityError, match="evidence is kept"):
        db.execute("DELETE FROM evidence WHERE id = 99")
    for where in ("finding = 'fork'", "1", "size = 30", "size = 31"):
        with pytest.raises(sqlite3.IntegrityError, match="evidence is kept"):
            db.execute(f"DELETE FROM evidence WHERE {where}")
    done = db.execute("DELETE FROM evidence WHERE size = 30 AND root = ? AND id < 99", (LOG.root(30),))  # control
    assert done.rowcount == 1
    db.close()


def test_a_database_from_before_doubts_were_cleared_goes_on(folder):
    doubted(folder)
    db = sqlite3.connect(folder.database(), isolation_level=None)
    db.execute("DROP TRIGGER evidence_stays")
    db.execute(
        "CREATE TRIGGER evidence_stays BEFORE DELETE ON evidence BEGIN SELECT RAISE(ABORT, 'evidence is kept'); END"
    )
    db.close()
    work(folder, LOG.request(20, 30))
    witness = Witness(folder)
    assert [(row.finding, row.size) for row in witness.evidence()] == [
        ("unproven", 30), ("unproven", 31), ("fork", 20), ("fork", 30),
    ]  # fmt: skip
    witness.close()
    db = sqlite3.connect(folder.database(), isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="evidence is kept"):
        db.execute("DELETE FROM evidence WHERE finding = 'fork'")
    db.close()
