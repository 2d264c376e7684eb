"""Appending: tree, tiles and checkpoint in one transaction, verified a second way before anything is signed."""

import secrets

import pytest

from app.db import Database
from app.errors import BusyError, MissingError, TamperError
from app.ledger import append as subject
from app.ledger import tiles
from app.ledger.append import Reader, append, create_ledger, read_head
from app.ledger.checkpoint import open_checkpoint
from app.ledger.note import SignatureType, SignerKey
from app.ledger.tiles import TileMemo, TileNodes
from app.ledger.tree import inclusion_path, leaf_hash, root_of, verify_inclusion

ORIGIN = "test.example/ledger/append"
KEY = SignerKey(ORIGIN, SignatureType.NOTE, bytes(32))


@pytest.fixture
def ledger(db: Database) -> Database:
    """An empty ledger."""
    with db.write() as session:
        create_ledger(session, "append", ORIGIN)
    return db


def _grow(db: Database, leaves: list[bytes], before: TileMemo | None = None) -> subject.Appended:
    with db.write() as session:
        return append(session, read_head(session, lock=True), leaves, [KEY], 1_700_000_000_000, before)


@pytest.mark.parametrize("steps", [[1], [1, 1, 1], [255, 1, 1], [256, 300], [1, 700, 3]])
def test_growth_by_any_steps_gives_the_tree_of_all_leaves(ledger: Database, steps: list[int]) -> None:
    leaves: list[bytes] = []
    for step in steps:
        fresh = [secrets.token_bytes(20) for _ in range(step)]
        leaves += fresh
        appended = _grow(ledger, fresh)
        checkpoint = open_checkpoint(appended.note, [KEY.verifier()], ORIGIN)
        assert (checkpoint.size, checkpoint.root) == (len(leaves), root_of([leaf_hash(leaf) for leaf in leaves]))
    reader = Reader(1)
    with ledger.read() as session:
        nodes = reader.nodes(session)
        for index in {0, len(leaves) // 2, len(leaves) - 1}:
            path = inclusion_path(index, len(leaves), nodes.node)
            verify_inclusion(index, len(leaves), leaf_hash(leaves[index]), path, checkpoint.root)
        assert [leaf for _, leaf, _ in reader.leaves(session, 0, len(leaves))] == leaves
        assert reader.last_checkpoint(session) == (len(leaves), appended.note, 1_700_000_000_000)


def test_what_was_hashed_before_a_rollback_is_taken_over_only_for_the_same_bytes(ledger: Database) -> None:
    leaves, memo = [secrets.token_bytes(20) for _ in range(250)], None
    memo = _grow(ledger, leaves).memo
    for step in (1, 3, 2, 7, 300):
        lost = [secrets.token_bytes(20) for _ in range(step)]
        with ledger.write() as session:
            memo = append(session, read_head(session, lock=True), lost, [KEY], 0, memo).memo
            session.rollback()
        kept = [secrets.token_bytes(20) for _ in range(step)]
        leaves += kept
        appended = _grow(ledger, kept, memo)
        memo = appended.memo
        assert appended.head.root == root_of([leaf_hash(leaf) for leaf in leaves])


def test_what_is_taken_over_saves_the_hashing(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: a tile of two hundred leaves is hashed once, and not with every leaf that follows."""
    first, count, real = _grow(ledger, [secrets.token_bytes(20) for _ in range(200)]), [0], tiles.node_hash

    def counted(left: bytes, right: bytes) -> bytes:
        count[0] += 1
        return real(left, right)

    monkeypatch.setattr(tiles, "node_hash", counted)
    second = _grow(ledger, [b"next"], first.memo)
    assert count[0] <= 8
    count[0] = 0
    _grow(ledger, [b"one more"])
    assert count[0] > 150
    assert second.head.size == 201


@pytest.mark.parametrize("remembers", [False, True])
def test_a_flipped_bit_in_a_stored_tile_stops_the_signing(ledger: Database, remembers: bool) -> None:
    memo = _grow(ledger, [b"a", b"b", b"c"]).memo
    with ledger.write() as session:
        flip = "CAST(x'ff' || substr(bytes, 2) AS BLOB)" if ledger.is_sqlite else "'\\xff'::bytea || substr(bytes, 2)"
        for sql in _guards_off(ledger):
            session.exec_driver_sql(sql)
        session.exec_driver_sql(f"UPDATE ledger_tile SET bytes = {flip}")
    with pytest.raises(TamperError):
        _grow(ledger, [b"d"], memo if remembers else None)
    with ledger.read() as session:
        assert read_head(session).size == 3


def _guards_off(db: Database) -> list[str]:
    if db.is_sqlite:
        return ["DROP TRIGGER ledger_tile_extend"]
    return ["ALTER TABLE ledger_tile DISABLE TRIGGER ALL"]


def test_without_the_second_way_the_flipped_bit_would_be_signed(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: the check is what stops it."""
    _grow(ledger, [b"a", b"b", b"c"])
    monkeypatch.setattr(TileNodes, "root", lambda self, size: b"\xff" * 32)
    with pytest.raises(TamperError):
        _grow(ledger, [b"d"])
    monkeypatch.setattr(subject, "_verify_growth", lambda *_: None)
    assert _grow(ledger, [b"d"]).head.size == 4


def test_a_sequencer_that_was_fenced_off_cannot_move_the_head(ledger: Database) -> None:
    _grow(ledger, [b"a"])

    def overtaken() -> None:
        with ledger.write() as session:
            head = read_head(session, lock=True)
            session.exec_driver_sql("UPDATE ledger SET epoch = epoch + 1")
            append(session, head, [b"b"], [KEY], 0)

    with pytest.raises(BusyError):
        overtaken()


def test_a_head_row_that_contradicts_itself_is_an_alarm(ledger: Database) -> None:
    _grow(ledger, [b"a", b"b"])
    with ledger.write() as session:
        session.exec_driver_sql("UPDATE ledger SET size = 3")
    with pytest.raises(TamperError), ledger.read() as session:
        read_head(session)


def test_without_a_name_there_must_be_one_ledger(ledger: Database) -> None:
    with ledger.write() as session:
        create_ledger(session, "other", "test.example/ledger/other")
    with ledger.read() as session:
        assert read_head(session, "other").origin == "test.example/ledger/other"
        with pytest.raises(MissingError):
            read_head(session)
        with pytest.raises(MissingError):
            read_head(session, "third")


def test_roots_of_sizes_that_were_never_published_are_computed(ledger: Database) -> None:
    leaves = [bytes([i]) for i in range(10)]
    _grow(ledger, leaves)
    with ledger.read() as session:
        found = Reader(1).roots_at(session, [0, 4, 10, 11], 10)
    assert {size: root for size, (root, _) in found.items()} == {
        size: root_of([leaf_hash(leaf) for leaf in leaves[:size]]) for size in (0, 4, 10)
    }
