"""Statements of the ledger room; nothing outside this room sees them."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from app.db import Session, WriteSession
from app.ledger._tables import CHECKPOINT, LEAF, LEDGER, LEDGER_NAME
from app.ledger.packing import pack, unpack
from app.rows import among, bulk_insert, one_value, run, run_many


def insert_ledger(session: WriteSession, ledger_id: int, name: str, origin: str, root: bytes, edge: bytes) -> None:
    """Insert the head row of an empty ledger, and its line in the directory."""
    session.execute(insert(LEDGER_NAME).values(ledger_id=ledger_id, name=name, origin=origin))
    session.execute(insert(LEDGER).values(
        ledger_id=ledger_id, name=name, origin=origin, size=0, root=root, edge=edge, epoch=0,
    ))  # fmt: skip


def next_ledger_id(session: Session) -> int:
    """Return the next free ledger id; ids are small and given by hand of the operator."""
    return int(session.execute(select(func.coalesce(func.max(LEDGER_NAME.c.ledger_id), 0))).scalar_one()) + 1


def ledger_named(session: Session, name: str | None) -> int | None:
    """Return the number of the ledger of this name, or of the only one; None when there is none, or several.

    It stands in the directory: a lock must name its ledger by number, or a database that is spread over several
    machines could not tell where to take it.
    """
    if name is None:
        named = run(session, "SELECT ledger_id FROM ledger_name LIMIT 2").all()
    else:
        named = run(session, "SELECT ledger_id FROM ledger_name WHERE name = ?", name).all()
    return int(named[0][0]) if len(named) == 1 else None


def head_row(session: Session, ledger_id: int, *, lock: bool) -> Sequence[object] | None:
    """Return the head row of a ledger, locked FOR UPDATE where asked."""
    sql = "SELECT ledger_id, name, origin, size, root, edge, epoch, frozen FROM ledger WHERE ledger_id = ?"
    if lock and session.dialect.name != "sqlite":
        sql += " FOR UPDATE"
    return run(session, sql, ledger_id).first()


def has_ledger(session: Session, name: str, origin: str) -> bool:
    """Say whether a ledger has this name or this origin."""
    return bool(run(session, "SELECT 1 FROM ledger_name WHERE name = ? OR origin = ?", name, origin).all())


def ledger_names(session: Session) -> list[str]:
    """Return the names of all ledgers, by code point."""
    return sorted(str(row[0]) for row in run(session, "SELECT name FROM ledger_name"))


def move_head(session: WriteSession, ledger_id: int, old: tuple[int, int], new: tuple[int, bytes, bytes]) -> bool:
    """Move a head from (size, epoch) to (size, root, edge); False when somebody else moved it."""
    sql = "UPDATE ledger SET size = ?, root = ?, edge = ? WHERE ledger_id = ? AND size = ? AND epoch = ?"
    return run(session, sql, *new, ledger_id, *old).rowcount == 1


def set_epoch(session: WriteSession, ledger_id: int, epoch: int) -> None:
    """Set where a ledger is written; its head is locked."""
    run(session, "UPDATE ledger SET epoch = ? WHERE ledger_id = ?", epoch, ledger_id)


def insert_leaves(
    session: WriteSession, ledger_id: int, first: int, leaves: Sequence[bytes], hashes: Sequence[bytes]
) -> None:
    """Insert leaves from an index on."""
    pairs = zip(leaves, hashes, strict=True)
    rows = [(ledger_id, index, digest, pack(leaf)) for index, (leaf, digest) in enumerate(pairs, first)]
    bulk_insert(session, LEAF, ("ledger_id", "leaf_index", "leaf_hash", "leaf"), rows)


def read_tile(session: Session, ledger_id: int, level: int, n: int) -> bytes:
    """Return a tile's bytes, empty when there is none."""
    sql = "SELECT bytes FROM ledger_tile WHERE ledger_id = ? AND level = ? AND n = ?"
    found = run(session, sql, ledger_id, level, n).scalar()
    return bytes(found) if found is not None else b""


def put_tiles(session: WriteSession, ledger_id: int, tiles: Sequence[tuple[int, int, bytes]]) -> None:
    """Insert tiles or extend them."""
    sql = (
        "INSERT INTO ledger_tile (ledger_id, level, n, bytes) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (ledger_id, level, n) DO UPDATE SET bytes = excluded.bytes"
    )
    run_many(session, sql, [(ledger_id, level, n, data) for level, n, data in tiles])


def insert_checkpoint(session: WriteSession, ledger_id: int, size: int, root: bytes, note: bytes, made_ms: int) -> None:
    """Insert a signed checkpoint."""
    sql = "INSERT INTO ledger_checkpoint (ledger_id, size, root, note, made_ms) VALUES (?, ?, ?, ?, ?)"
    run(session, sql, ledger_id, size, root, note, made_ms)


def checkpoint_rows(session: Session, ledger_id: int, sizes: Sequence[int]) -> list[tuple[int, bytes, int]]:
    """Return (size, root, made_ms) of the checkpoints of these sizes."""
    if not sizes:
        return []
    condition, wanted = among(session, "size", sizes)
    sql = f"SELECT size, root, made_ms FROM ledger_checkpoint WHERE ledger_id = ? AND {condition}"
    return [(size, bytes(root), made) for size, root, made in run(session, sql, ledger_id, wanted)]


def first_checkpoint_from(session: Session, ledger_id: int, size: int) -> tuple[int, bytes] | None:
    """Return (size, note) of the first checkpoint at or beyond a size."""
    row = session.execute(
        select(CHECKPOINT.c.size, CHECKPOINT.c.note)
        .where(CHECKPOINT.c.ledger_id == ledger_id, CHECKPOINT.c.size >= size)
        .order_by(CHECKPOINT.c.size).limit(1)
    ).first()  # fmt: skip
    return (row[0], bytes(row[1])) if row else None


def made_from(session: Session, ledger_id: int, size: int) -> int | None:
    """Return when the first checkpoint at or beyond a size was made, UTC milliseconds; None when there is none."""
    sql = "SELECT made_ms FROM ledger_checkpoint WHERE ledger_id = ? AND size >= ? ORDER BY size LIMIT 1"
    found = run(session, sql, ledger_id, size).first()
    return int(found[0]) if found else None


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
    condition, wanted = among(session, "leaf_index", indexes)
    sql = f"SELECT leaf_index, leaf FROM ledger_leaf WHERE ledger_id = ? AND {condition}"
    return {index: unpack(bytes(leaf)) for index, leaf in run(session, sql, ledger_id, wanted)}


def leaf_hashes_at(session: Session, ledger_id: int, indexes: Sequence[int]) -> dict[int, bytes]:
    """Return leaf hashes by index."""
    condition, wanted = among(session, "leaf_index", indexes)
    sql = f"SELECT leaf_index, leaf_hash FROM ledger_leaf WHERE ledger_id = ? AND {condition}"
    return {index: bytes(digest) for index, digest in run(session, sql, ledger_id, wanted).all()}


def put_cosignatures(session: WriteSession, ledger_id: int, size: int, lines: Sequence[tuple[str, str, int]]) -> None:
    """Insert (key, signature line, POSIX seconds), or replace an older one by the same key for the same size."""
    run_many(
        session,
        "INSERT INTO ledger_cosignature (ledger_id, size, key, line, at_s) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (ledger_id, size, key) DO UPDATE SET line = excluded.line, at_s = excluded.at_s "
        "WHERE excluded.at_s > ledger_cosignature.at_s",
        [(ledger_id, size, *line) for line in lines],
    )


def cosignature_lines(session: Session, ledger_id: int, size: int) -> list[str]:
    """Return the signature lines of witnesses for one size, in the order of their keys."""
    sql = "SELECT line FROM ledger_cosignature WHERE ledger_id = ? AND size = ? ORDER BY key"
    return [row[0] for row in run(session, sql, ledger_id, size)]


def cosignature_times(session: Session, ledger_id: int, size: int) -> dict[str, int]:
    """Return the POSIX seconds of the cosignature that is kept for a size, by witness key."""
    sql = "SELECT key, at_s FROM ledger_cosignature WHERE ledger_id = ? AND size = ?"
    return {row[0]: row[1] for row in run(session, sql, ledger_id, size)}


def newest_by_key(session: Session, ledger_id: int) -> list[tuple[str, int, int]]:
    """Return (key, size, POSIX seconds) of each witness key's largest size."""
    sql = (
        "SELECT c.key, c.size, c.at_s FROM ledger_cosignature c WHERE c.ledger_id = ? AND c.size = "
        "(SELECT max(d.size) FROM ledger_cosignature d WHERE d.ledger_id = c.ledger_id AND d.key = c.key) "
        "ORDER BY c.key"
    )
    return [(row[0], row[1], row[2]) for row in run(session, sql, ledger_id)]


def note_of(session: Session, ledger_id: int, size: int) -> bytes | None:
    """Return the checkpoint of one size as the ledger signed it."""
    found = run(
        session, "SELECT note FROM ledger_checkpoint WHERE ledger_id = ? AND size = ?", ledger_id, size
    ).scalar()
    return bytes(found) if found is not None else None


def mark_witnessed(session: WriteSession, ledger_id: int, size: int, made_ms: int) -> None:
    """Note that the checkpoint of a size has met the policy; once is enough."""
    sql = "INSERT INTO ledger_witnessed (ledger_id, size, made_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    run(session, sql, ledger_id, size, made_ms)


def witnessed_from(session: Session, ledger_id: int, size: int, *, newest: bool) -> tuple[int, int] | None:
    """Return (size, made_ms) of the newest, or the first, witnessed checkpoint of at least a size."""
    order = "DESC" if newest else "ASC"
    sql = f"SELECT size, made_ms FROM ledger_witnessed WHERE ledger_id = ? AND size >= ? ORDER BY size {order} LIMIT 1"
    row = run(session, sql, ledger_id, size).first()
    return (row[0], row[1]) if row else None


def first_witnessed(session: Session, ledger_id: int, size: int) -> int | None:
    """Return the size, at least so many leaves, of the checkpoint that met the policy before all others did."""
    sql = "SELECT size FROM ledger_witnessed WHERE ledger_id = ? AND size >= ? ORDER BY made_ms, size LIMIT 1"
    row = run(session, sql, ledger_id, size).first()
    return int(row[0]) if row else None


def freeze(session: WriteSession, ledger_id: int, reason: str | None) -> None:
    """Set why nothing may be written, or let writing go on."""
    run(session, "UPDATE ledger SET frozen = ? WHERE ledger_id = ?", reason, ledger_id)


def insert_alarm(
    session: WriteSession, ledger_id: int, at_ms: int, told: tuple[str, str, str], body: bytes | None
) -> int:
    """Insert an alarm (kind, source, detail) with its evidence and return its number."""
    sql = "SELECT coalesce(max(id), 0) + 1 FROM ledger_alarm WHERE ledger_id = ?"
    number = int(run(session, sql, ledger_id).scalar() or 1)
    sql = "INSERT INTO ledger_alarm (ledger_id, id, at_ms, kind, source, detail, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
    run(session, sql, ledger_id, number, at_ms, *told, body)
    return number


def alarms_by(session: Session, ledger_id: int, kind: str, source: str, body: bytes) -> tuple[bool, int]:
    """Return whether there is an alarm of this kind and source with this evidence, and how many of theirs there are."""
    sql = "SELECT body FROM ledger_alarm WHERE ledger_id = ? AND kind = ? AND source = ?"
    bodies = [bytes(row[0] or b"") for row in run(session, sql, ledger_id, kind, source)]
    return body in bodies, len(bodies)


def alarm_count(session: Session, ledger_id: int) -> int:
    """Return how many alarms there are."""
    return int(
        one_value(session, "SELECT count(*) FROM ledger_alarm WHERE ledger_id = :ledger_id", ledger_id=ledger_id)
    )


def alarm_rows(session: Session, ledger_id: int) -> list[tuple[int, int, str, str, str, bytes | None]]:
    """Return (number, at_ms, kind, source, detail, body) of every alarm, oldest first."""
    sql = "SELECT id, at_ms, kind, source, detail, body FROM ledger_alarm WHERE ledger_id = ? ORDER BY id"
    return [(*row[:5], bytes(row[5]) if row[5] is not None else None) for row in run(session, sql, ledger_id)]


def put_stamp(
    session: WriteSession, ledger_id: int, size: int, authority: str, token: bytes, stamped: bytes, at_ms: int
) -> bool:
    """Insert a time stamp; False when that authority has stamped that size already."""
    sql = (
        "INSERT INTO ledger_stamp (ledger_id, size, authority, token, stamped, at_ms) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING"
    )
    return run(session, sql, ledger_id, size, authority, token, stamped, at_ms).rowcount == 1


def stamp_rows(session: Session, ledger_id: int, size: int) -> list[tuple[str, int, bytes, bytes]]:
    """Return (authority, at_ms, token, stamped) of one size, in the order of authorities."""
    sql = (
        "SELECT authority, at_ms, token, stamped FROM ledger_stamp WHERE ledger_id = ? AND size = ? ORDER BY authority"
    )
    return [(row[0], row[1], bytes(row[2]), bytes(row[3])) for row in run(session, sql, ledger_id, size)]


def stamp_times(session: Session, ledger_id: int, limit: int) -> list[tuple[int, str, int]]:
    """Return (size, authority, at_ms) of the newest stamps, newest first."""
    sql = "SELECT size, authority, at_ms FROM ledger_stamp WHERE ledger_id = ? ORDER BY size DESC, authority LIMIT ?"
    return [(row[0], row[1], row[2]) for row in run(session, sql, ledger_id, limit)]
