"""The high-water mark: what was signed is remembered outside the database, crash in the middle included."""

from pathlib import Path

import pytest

from app.errors import TamperError
from app.ledger.highwater import SLOT_BYTES, HighWater

ORIGIN = "test.example/ledger/mark"
ROOT = bytes(range(32))


def test_the_newest_mark_survives_a_restart(tmp_path: Path) -> None:
    mark = HighWater(tmp_path / "disk" / "mark.json", ORIGIN)
    for size in (1, 5, 6, 900):
        mark.advance(size, ROOT)
    mark.advance(7, bytes(32))
    mark.close()
    again = HighWater(tmp_path / "disk" / "mark.json", ORIGIN)
    assert again.size == 900
    again.refuse_rollback(900, ROOT)
    again.refuse_rollback(901, ROOT)


@pytest.mark.parametrize("cut", range(0, SLOT_BYTES, 17))
def test_a_write_cut_in_the_middle_leaves_the_mark_before_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "mark.json"
    mark = HighWater(path, ORIGIN)
    mark.advance(10, ROOT)
    mark.advance(11, ROOT)
    before = path.read_bytes()
    mark.advance(12, ROOT)
    mark.close()
    after = path.read_bytes()
    torn = after[:cut] + before[cut:]
    path.write_bytes(torn)
    assert HighWater(path, ORIGIN).size in {11, 12}


def test_an_older_database_is_refused(tmp_path: Path) -> None:
    mark = HighWater(tmp_path / "mark.json", ORIGIN)
    mark.advance(10, ROOT)
    with pytest.raises(TamperError, match="old backup"):
        mark.refuse_rollback(9, None)
    with pytest.raises(TamperError, match="another history"):
        mark.refuse_rollback(12, bytes(32))


def test_a_file_of_another_ledger_or_damaged_in_both_slots_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    mark = HighWater(path, ORIGIN)
    mark.advance(3, ROOT)
    with pytest.raises(TamperError, match="another ledger"):
        HighWater(path, "test.example/ledger/else")
    path.write_bytes(b"\x00garbage" * 64)
    with pytest.raises(TamperError, match="damaged"):
        HighWater(path, ORIGIN)


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    HighWater(path, ORIGIN).advance(1, ROOT)
    assert path.stat().st_mode & 0o077 == 0


def test_two_writers_of_one_file_never_move_it_back(tmp_path: Path) -> None:
    first, second = (HighWater(tmp_path / "mark", "o/ledger/x") for _ in range(2))
    for size, mark in ((1, first), (2, second), (3, first), (9, second), (4, first), (5, first)):
        mark.advance(size, bytes([size]) * 32)
    assert first.size == 9
    assert HighWater(tmp_path / "mark", "o/ledger/x").size == 9
