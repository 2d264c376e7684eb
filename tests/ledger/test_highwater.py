"""The high-water mark: what was signed is remembered outside the database, crash in the middle included."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from app.canon import b64url_encode, sha256
from app.errors import ConflictError, MissingError, TamperError
from app.ledger.highwater import SLOT_BYTES, HighWater, Slot, owner_of
from app.ledger.tree import EMPTY_ROOT, MAX_SIZE

ORIGIN = "test.example/ledger/mark"
ROOT = bytes(range(32))
OTHER = bytes(32)
LONGEST = "test.example/ledger/" + "m" * 180
"""As long as an event may name its ledger."""


def founded(path: Path, origin: str = ORIGIN) -> HighWater:
    return HighWater.found(path, origin)


def test_the_newest_mark_survives_a_restart(tmp_path: Path) -> None:
    mark = founded(tmp_path / "disk" / "mark.json")
    for size in (1, 5, 6, 900):
        mark.advance(size, ROOT)
    mark.advance(7, OTHER)
    mark.close()
    again = HighWater(tmp_path / "disk" / "mark.json", ORIGIN)
    assert again.size == 900
    again.refuse_rollback(900, ROOT)
    again.refuse_rollback(901, ROOT)


@pytest.mark.parametrize("cut", range(0, SLOT_BYTES, 17))
def test_a_write_cut_in_the_middle_leaves_the_mark_before_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "mark.json"
    mark = founded(path)
    mark.advance(10, ROOT)
    mark.advance(11, ROOT)
    before = path.read_bytes()
    mark.advance(12, ROOT)
    mark.close()
    after = path.read_bytes()
    at = SLOT_BYTES if before[:SLOT_BYTES] == after[:SLOT_BYTES] else 0
    path.write_bytes(after[: at + cut] + before[at + cut :])
    assert HighWater(path, ORIGIN).size in {11, 12}


def test_a_mark_that_moves_alone_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process wrote itself it does not read again; what another wrote, or damage, it does."""
    mark = HighWater.make(tmp_path / "mark", ORIGIN, 0, ROOT)
    asked, real = [0], Slot.parse

    def counted(data: bytes) -> Slot | None:
        asked[0] += 1
        return real(data)

    monkeypatch.setattr(Slot, "parse", counted)
    for size in range(1, 6):
        mark.advance(size, ROOT)
    assert asked[0] == 0
    other = HighWater(tmp_path / "mark", ORIGIN)
    other.advance(9, ROOT)
    mark.advance(7, ROOT, lambda _: ROOT)
    assert (mark.size, asked[0]) == (9, 4)
    damaged = (tmp_path / "mark").read_bytes().replace(b"9", b"8")
    (tmp_path / "mark").write_bytes(damaged)
    mark.advance(10, ROOT, lambda _: ROOT)
    assert asked[0] == 6


def test_an_older_database_is_refused(tmp_path: Path) -> None:
    mark = founded(tmp_path / "mark.json")
    mark.advance(10, ROOT)
    with pytest.raises(TamperError, match="old backup"):
        mark.refuse_rollback(9, None)
    for root in (OTHER, None):
        with pytest.raises(TamperError, match="another history"):
            mark.refuse_rollback(12, root)


def test_a_file_of_another_ledger_or_damaged_in_both_slots_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    mark = founded(path)
    mark.advance(3, ROOT)
    for opened in (HighWater, HighWater.found):
        with pytest.raises(TamperError, match="another ledger"):
            opened(path, "test.example/ledger/else")
    path.write_bytes(b"\x00garbage" * 64)
    with pytest.raises(TamperError, match="damaged"):
        HighWater(path, ORIGIN)


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    founded(path).advance(1, ROOT)
    assert path.stat().st_mode & 0o077 == 0


# -- only the founding makes it ------------------------------------------------------------------------


def test_a_missing_file_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    """The other disk is not mounted: neither the file nor the folder comes into being below the mount point."""
    path = tmp_path / "not" / "mounted" / "mark.json"
    with pytest.raises(TamperError, match="Is the other disk mounted") as refused:
        HighWater(path, ORIGIN)
    assert str(path) in refused.value.detail
    assert "custody ledger remark" in refused.value.detail
    with pytest.raises(MissingError, match="is the other disk mounted"):
        HighWater.make(path, ORIGIN, 3, ROOT)
    with pytest.raises(TamperError, match="is missing"):  # the mount point is there, and empty
        HighWater(tmp_path / "mark.json", ORIGIN)
    assert list(tmp_path.iterdir()) == []
    founded(path).close()  # control: the founding makes both
    HighWater(path, ORIGIN).close()


@pytest.mark.parametrize("blank", [b"", b"\x00" * 512, b" \n" * 256])
def test_an_empty_file_is_refused_except_by_a_founding(tmp_path: Path, blank: bytes) -> None:
    path = tmp_path / "mark.json"
    path.write_bytes(blank)
    with pytest.raises(TamperError, match="is empty"):
        HighWater(path, ORIGIN)
    assert path.read_bytes() == blank
    assert founded(path).size == 0


def test_a_founding_that_is_tried_again_goes_on_and_a_founded_ledger_is_not_founded_again(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    founded(path).close()
    mark = founded(path)
    mark.refuse_rollback(0, None)
    mark.refuse_rollback(1, None)  # a crash between the genesis and its mark
    with pytest.raises(TamperError, match="older than the ledger's first checkpoint"):
        mark.refuse_rollback(2, None)
    mark.advance(1, ROOT)
    mark.close()
    with pytest.raises(ConflictError, match="founded once"):
        founded(path)
    HighWater(path, ORIGIN).refuse_rollback(2, ROOT)


def test_a_mark_is_never_made_over_another(tmp_path: Path) -> None:
    path, away = tmp_path / "mark.json", tmp_path / "away"
    HighWater.make(path, ORIGIN, 7, ROOT).close()
    kept = path.read_bytes()
    with pytest.raises(ConflictError):
        HighWater.make(path, ORIGIN, 3, ROOT)
    assert path.read_bytes() == kept
    path.rename(away)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConflictError):
        HighWater.make(path, ORIGIN, 3, ROOT)
    assert {each.name for each in tmp_path.iterdir()} == {"mark.json", "away"}
    assert HighWater(away, ORIGIN).size == 7


# -- several processes ---------------------------------------------------------------------------------


def test_two_writers_of_one_file_never_move_it_back(tmp_path: Path) -> None:
    founded(tmp_path / "mark").close()
    first, second = (HighWater(tmp_path / "mark", ORIGIN) for _ in range(2))
    for size, mark in ((1, first), (2, second), (3, first), (9, second), (4, first), (5, first)):
        mark.advance(size, bytes([size]) * 32, lambda size: bytes([size]) * 32)
    assert first.size == 9
    assert HighWater(tmp_path / "mark", ORIGIN).size == 9


@pytest.mark.parametrize("other", ["another thread", "another process"])
def test_whoever_commits_in_between_keeps_the_mark(tmp_path: Path, other: str) -> None:
    mark = founded(tmp_path / "mark")
    beside = mark if other == "another thread" else HighWater(tmp_path / "mark", ORIGIN)
    thread = threading.Thread(target=beside.advance, args=(5, ROOT))
    with mark.held():
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "it waits"
        mark.advance(4, ROOT)  # control: who holds it does not
        assert mark.size == 4
    thread.join()
    assert beside.size == HighWater(tmp_path / "mark", ORIGIN).size == 5


def test_who_alone_moves_the_mark_is_not_asked_for_roots(tmp_path: Path) -> None:
    mark = founded(tmp_path / "mark")
    for size in (1, 2, 3):
        mark.advance(size, ROOT, lambda size: pytest.fail(f"asked for {size}"))


def test_another_root_of_the_same_size_is_refused(tmp_path: Path) -> None:
    founded(tmp_path / "mark").close()
    first, second = (HighWater(tmp_path / "mark", ORIGIN) for _ in range(2))
    first.advance(5, ROOT)
    second.advance(5, ROOT)  # control: the same tree twice is what a start does
    second.advance(6, OTHER)
    for _ in range(2):
        with pytest.raises(TamperError, match="two services"):
            first.advance(6, ROOT)
    again = HighWater(tmp_path / "mark", ORIGIN)
    again.refuse_rollback(6, OTHER)
    with pytest.raises(TamperError, match="another history"):
        again.refuse_rollback(6, ROOT)


@pytest.mark.parametrize("size", [7, 3])
def test_a_mark_that_another_process_moved_must_be_of_the_same_tree(tmp_path: Path, size: int) -> None:
    """The sizes of two services on two copies need not meet; their trees differ all the same."""
    founded(tmp_path / "mark").close()
    first, second = (HighWater(tmp_path / "mark", ORIGIN) for _ in range(2))
    second.advance(6, OTHER)
    kept = (tmp_path / "mark").read_bytes()
    for root_at in (lambda _: ROOT, lambda _: None):
        for _ in range(2):  # and it stays refused
            with pytest.raises(TamperError, match="two services"):
                first.advance(size, ROOT, root_at)
    assert (tmp_path / "mark").read_bytes() == kept
    first.advance(size, ROOT, lambda asked: OTHER if asked == 6 else None)  # control: one tree
    assert HighWater(tmp_path / "mark", ORIGIN).size == max(size, 6)


# -- the slot ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 100, 144, 145, 146, 147, 160, 199, 200])
def test_an_origin_of_any_length_has_room_for_every_size(tmp_path: Path, length: int) -> None:
    origin = LONGEST[:length]
    mark = founded(tmp_path / "mark", origin)
    for size in (1, 2, 9, 10, 99, 100, 10**6, 2**53 - 1, 2**53, MAX_SIZE - 1, MAX_SIZE):
        mark.advance(size, ROOT)
        mark.close()
        mark = HighWater(tmp_path / "mark", origin)
        mark.refuse_rollback(size, ROOT)
    assert (tmp_path / "mark").stat().st_size == 2 * SLOT_BYTES
    with pytest.raises(TamperError, match="another ledger"):
        HighWater(tmp_path / "mark", LONGEST[: length - 1] + "n")


def test_an_origin_that_takes_more_bytes_than_letters_has_room_too(tmp_path: Path) -> None:
    mark = founded(tmp_path / "mark", "\N{SNOWMAN}" * 200)
    mark.advance(MAX_SIZE, ROOT)
    assert HighWater(tmp_path / "mark", "\N{SNOWMAN}" * 200).size == MAX_SIZE


def test_an_origin_is_told_in_clear_where_there_is_room(tmp_path: Path) -> None:
    assert owner_of(ORIGIN) == ORIGIN
    assert owner_of(LONGEST) == f"sha256:{b64url_encode(sha256(LONGEST.encode()))}"
    assert owner_of(LONGEST[:-1] + "n") != owner_of(LONGEST)
    founded(tmp_path / "mark")
    assert ORIGIN.encode() in (tmp_path / "mark").read_bytes()


def written_before(origin: str, size: int) -> bytes:
    """Write a slot as it was once, with any origin in clear."""
    body = json.dumps({"origin": origin, "size": size, "root": b64url_encode(ROOT)}, separators=(",", ":")).encode()
    return (body + b" " + b64url_encode(sha256(body))[:16].encode()).ljust(SLOT_BYTES - 1) + b"\n"


@pytest.mark.parametrize("origin", [ORIGIN, LONGEST[:155]])
def test_a_mark_from_before_is_read_and_goes_on(tmp_path: Path, origin: str) -> None:
    path = tmp_path / "mark"
    path.write_bytes(written_before(origin, 11) + written_before(origin, 12))
    assert path.stat().st_size == 2 * SLOT_BYTES
    mark = HighWater(path, origin)
    assert mark.size == 12
    for size in (13, 2**53):
        mark.advance(size, ROOT)
        assert HighWater(path, origin).size == size
    shutil.copy(path, tmp_path / "copy")
    with pytest.raises(TamperError, match="another ledger"):
        HighWater(tmp_path / "copy", ORIGIN + "x")


@pytest.mark.parametrize(
    "told", [b"{}", b"[]", b"1", b'{"origin":"x"}', b'{"origin":"x","size":"y","root":"z"}', b"no"]
)
def test_a_slot_that_says_something_else_is_damaged(told: bytes) -> None:
    assert Slot.parse(told + b" " + b64url_encode(sha256(told))[:16].encode()) is None
    assert Slot.parse(Slot(ORIGIN, 0, b64url_encode(EMPTY_ROOT)).to_bytes()) is not None
