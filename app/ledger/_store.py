"""Statements of the ledger room; nothing outside this room sees them."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select, update

from app.db import Session, WriteSession, bulk_insert
from app.ledger._tables import CHECKPOINT, LEAF, LEDGER, TILE


def insert_ledger(session: WriteSession, ledger_id: int, name: str, origin: str, root: bytes, edge: bytes) -> None:
    """Insert the head row of an empty ledger."""
    session.execute(insert(LEDGER).values(
        ledger_id=ledger_id, name=name, origin=origin, size=0, root=root, edge=edge, epoch=0,
    ))  # fmt: skip


def next_ledger_id(session: Session) -> int:
    """Return the next free ledger id; ids are small and given by hand of the operator."""
    return int(session.execute(select(func.coalesce(func.max(LEDGER.c.ledger_id), 0))).scalar_one()) + 1


def head_row(session: Session, name: str | None, *, lock: bool) -> Sequence[object] | None:
    """Return the head row of a ledger by name (or the only one), locked FOR UPDATE where asked."""
    statement = select(
        LEDGER.c.ledger_id, LEDGER.c.name, LEDGER.c.origin, LEDGER.c.size, LEDGER.c.root, LEDGER.c.edge, LEDGER.c.epoch
    )
    if name:
        statement = statement.where(LEDGER.c.name == name)
    rows = session.execute(statement.with_for_update() if lock else statement).fetchmany(2)
    return tuple(rows[0]) if len(rows) == 1 else None


def move_head(session: WriteSession, ledger_id: int, old: tuple[int, int], new: tuple[int, bytes, bytes]) -> bool:
    """Move a head from (size, epoch) to (size, root, edge); False when somebody else moved it."""
    changed = session.execute(
        update(LEDGER)
        .where(LEDGER.c.ledger_id == ledger_id, LEDGER.c.size == old[0], LEDGER.c.epoch == old[1])
        .values(size=new[0], root=new[1], edge=new[2])
    )
    return changed.rowcount == 1


def insert_leaves(
    session: WriteSession, ledger_id: int, first: int, leaves: Sequence[bytes], hashes: Sequence[bytes]
) -> None:
    """Insert leaves from an index on."""
    rows = [(ledger_id, first + i, digest, leaf) for i, (leaf, digest) in enumerate(zip(leaves, hashes, strict=True))]
    bulk_insert(session, LEAF, ("ledger_id", "leaf_index", "leaf_hash", "leaf"), rows)


def read_tile(session: Session, ledger_id: int, level: int, n: int) -> bytes:
    """Return a tile's bytes, empty when there is none."""
    found = session.execute(
        select(TILE.c.bytes).where(TILE.c.ledger_id == ledger_id, TILE.c.level == level, TILE.c.n == n)
    ).scalar()
    return bytes(found) if found is not None else b""


def put_tiles(session: WriteSession, ledger_id: int, tiles: Sequence[tuple[int, int, bytes]]) -> None:
    """Insert tiles or extend them."""
    mark = "?" if session.dialect.name == "sqlite" else "%s"
    sql = (
        f"INSERT INTO ledger_tile (ledger_id, level, n, bytes) VALUES ({mark}, {mark}, {mark}, {mark}) "
        "ON CONFLICT (ledger_id, level, n) DO UPDATE SET bytes = excluded.bytes"
    )
    session.exec_driver_sql(sql, [(ledger_id, level, n, data) for level, n, data in tiles])


def insert_checkpoint(session: WriteSession, ledger_id: int, size: int, root: bytes, note: bytes, made_ms: int) -> None:
    """Insert a signed checkpoint."""
    session.execute(insert(CHECKPOINT).values(ledger_id=ledger_id, size=size, root=root, note=note, made_ms=made_ms))


def checkpoint_rows(session: Session, ledger_id: int, sizes: Sequence[int]) -> list[tuple[int, bytes, int]]:
    """Return (size, root, made_ms) of the checkpoints of these sizes."""
    rows = session.execute(
        select(CHECKPOINT.c.size, CHECKPOINT.c.root, CHECKPOINT.c.made_ms).where(
            CHECKPOINT.c.ledger_id == ledger_id, CHECKPOINT.c.size.in_(list(sizes))
        )
    )
    return [(size, bytes(root), made) for size, root, made in rows]


def first_checkpoint_from(session: Session, ledger_id: int, size: int) -> tuple[int, bytes] | None:
    """Return (size, note) of the first checkpoint at or beyond a size."""
    row = session.execute(
        select(CHECKPOINT.c.size, CHECKPOINT.c.note)
        .where(CHECKPOINT.c.ledger_id == ledger_id, CHECKPOINT.c.size >= size)
        .order_by(CHECKPOINT.c.size).limit(1)
    ).first()  # fmt: skip
    return (row[0], bytes(row[1])) if row else None


def last_checkpoint(session: Session, ledger_id: int, *, until_ms: int | None = None) -> tuple[int, bytes, int] | None:
    """Return (size, note, made_ms) of the newest checkpoint, or of the newest made until a time."""
    statement = select(CHECKPOINT.c.size, CHECKPOINT.c.note, CHECKPOINT.c.made_ms).where(
        CHECKPOINT.c.ledger_id == ledger_id
    )
    if until_ms is not None:
        statement = statement.where(CHECKPOINT.c.made_ms <= until_ms)
    row = session.execute(statement.order_by(CHECKPOINT.c.size.desc()).limit(1)).first()
    return (row[0], bytes(row[1]), row[2]) if row else None


def leaf_rows(session: Session, ledger_id: int, first: int, end: int) -> list[tuple[int, bytes, bytes]]:
    """Return (index, leaf, leaf_hash) for first ≤ index < end."""
    rows = session.execute(
        select(LEAF.c.leaf_index, LEAF.c.leaf, LEAF.c.leaf_hash)
        .where(LEAF.c.ledger_id == ledger_id, LEAF.c.leaf_index >= first, LEAF.c.leaf_index < end)
        .order_by(LEAF.c.leaf_index)
    )
    return [(index, bytes(leaf), bytes(digest)) for index, leaf, digest in rows]


def leaves_at(session: Session, ledger_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
    """Return leaves by index."""
    rows = session.execute(
        select(LEAF.c.leaf_index, LEAF.c.leaf).where(
            LEAF.c.ledger_id == ledger_id, LEAF.c.leaf_index.in_(list(indexes))
        )
    )
    return {index: bytes(leaf) for index, leaf in rows}
