"""Statements of the custody room; nothing outside this room sees them."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from app.custody._tables import (
    DISCREPANCY,
    EVENT,
    EVENT_UNIT,
    GAP,
    HANDOVER,
    INCIDENT,
    INSPECTION,
    META,
    PRIVATE,
    SHARD,
    TALLY,
    WAITING,
)
from app.custody.heads import Place
from app.custody.state import Discrepancy, EventRef, Gap, Handover, Incident, Inspection, Meta, Shard, Tally, Waiting
from app.db import Session, WriteSession, decode_json, encode_json
from app.ledger.amendable import Tiles
from app.rows import RecordTable, among, bulk_insert, run, run_many

METAS = RecordTable(META, Meta, "id")
HANDOVERS = RecordTable(HANDOVER, Handover, "release")
WAITINGS = RecordTable(WAITING, Waiting, "hash")
DISCREPANCIES = RecordTable(DISCREPANCY, Discrepancy, "id")
GAPS = RecordTable(GAP, Gap, "id")
INCIDENTS = RecordTable(INCIDENT, Incident, "id")
INSPECTIONS = RecordTable(INSPECTION, Inspection, "id")
TALLIES = RecordTable(TALLY, Tally, "id")
SHARDS = RecordTable(SHARD, Shard, "origin")

EVENT_COLUMNS = (
    *("hash", "leaf_index", "event_id", "author", "officer", "agency", "type", "election", "place"),
    *("at_ms", "received_ms", "result", "code", "twin"),
)
_columns_of = attrgetter(*EVENT_COLUMNS)
_REF = ", ".join(f"e.{name}" for name in EVENT_COLUMNS)
_FROM = (
    f"SELECT {_REF}, o.outcome, o.outcome_index, o.retracted_index FROM event e "
    "LEFT JOIN event_outcome o ON o.ledger_id = e.ledger_id AND o.hash = e.hash"
)


def refs(session: Session, ledger_id: int, column: str, keys: Iterable[object]) -> list[EventRef]:
    """Return the recorded events whose `hash`, `event_id` or `leaf_index` is among the keys."""
    wanted = sorted(set(keys))  # type: ignore[type-var]
    if not wanted:
        return []
    condition, value = among(session, f"e.{column}", wanted)
    return [EventRef(*row) for row in run(session, f"{_FROM} WHERE e.ledger_id = ? AND {condition}", ledger_id, value)]


def refs_by_id(session: Session, ledger_id: int, names: Iterable[tuple[str, str]]) -> list[EventRef]:
    """Return the recorded events, twins included, that have one of these (author, event id)."""
    wanted = sorted(set(names))
    if not wanted:
        return []
    pair = "(e.author, e.event_id) IN (SELECT"
    if session.dialect.name == "sqlite":
        among_them = f"{pair} json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
        rows = run(session, f"{_FROM} WHERE e.ledger_id = ? AND {among_them}", ledger_id, encode_json(wanted))
    else:
        authors, ids = map(list, zip(*wanted, strict=True))
        among_them = f"{pair} * FROM unnest(?::text[], ?::text[]))"
        rows = run(session, f"{_FROM} WHERE e.ledger_id = ? AND {among_them}", ledger_id, authors, ids)
    return [EventRef(*row) for row in rows]


def times(session: Session, ledger_id: int, indexes: Iterable[int]) -> dict[int, int]:
    """Return received_ms by leaf index."""
    wanted = sorted(set(indexes))
    if not wanted:
        return {}
    condition, value = among(session, "leaf_index", wanted)
    sql = f"SELECT leaf_index, received_ms FROM event WHERE ledger_id = ? AND {condition}"
    return {row[0]: row[1] for row in run(session, sql, ledger_id, value)}


def insert_events(
    session: WriteSession, ledger_id: int, events: Iterable[tuple[EventRef, dict[str, object] | None]]
) -> None:
    """Insert event rows with the problem that a refusal was answered with."""
    rows = [(ledger_id, *_columns_of(ref), encode_json(problem) if problem else None) for ref, problem in events]
    bulk_insert(session, EVENT, ("ledger_id", *EVENT_COLUMNS, "problem"), rows)


def problem_of(session: Session, ledger_id: int, event_hash: str) -> dict[str, object]:
    """Return detail and facts of a refusal, as it was first answered."""
    row = run(session, "SELECT problem FROM event WHERE ledger_id = ? AND hash = ?", ledger_id, event_hash).first()
    return decode_json(row[0]) if row and row[0] else {}  # type: ignore[return-value]


def put_outcomes(session: WriteSession, ledger_id: int, events: Iterable[EventRef]) -> None:
    """Insert or replace what became of pending, held or retracted events."""
    run_many(
        session,
        "INSERT INTO event_outcome (ledger_id, hash, outcome, outcome_index, retracted_index) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (ledger_id, hash) DO UPDATE SET outcome = excluded.outcome, "
        "outcome_index = excluded.outcome_index, retracted_index = excluded.retracted_index",
        [(ledger_id, e.hash, e.outcome, e.outcome_index, e.retracted_index) for e in events],
    )


def insert_event_units(session: WriteSession, rows: Sequence[tuple[int, str, int, int | None]]) -> None:
    """Insert (ledger_id, unit, leaf_index, seq)."""
    bulk_insert(session, EVENT_UNIT, ("ledger_id", "unit", "leaf_index", "seq"), rows)


def insert_private(session: WriteSession, rows: Sequence[tuple[int, str, str, bytes, bytes]]) -> None:
    """Insert (ledger_id, event, name, salt, body) of private contents."""
    bulk_insert(session, PRIVATE, ("ledger_id", "event", "name", "salt", "body"), rows)


def due_waiting(session: Session, ledger_id: int, now_ms: int, since_ms: int) -> list[Waiting]:
    """Return what waits and has fallen due, or has waited for an event since before `since_ms` without alarm."""
    sql = (
        f"SELECT {', '.join(WAITINGS.names)} FROM waiting WHERE ledger_id = ? AND done_index IS NULL AND "
        "(due_ms <= ? OR (awaited IS NOT NULL AND NOT alarmed AND since_ms <= ?)) ORDER BY leaf_index"
    )
    return [WAITINGS.build(row) for row in run(session, sql, ledger_id, now_ms, since_ms)]


def overdue_handovers(session: Session, ledger_id: int, now_ms: int) -> list[str]:
    """Return the releases that are open, due and not yet reported."""
    sql = (
        "SELECT release FROM handover WHERE ledger_id = ? AND status = 'open' AND overdue_index IS NULL "
        "AND due_ms < ? ORDER BY leaf_index"
    )
    return [row[0] for row in run(session, sql, ledger_id, now_ms)]


def head_places(session: Session, ledger_id: int, units: Sequence[str]) -> dict[str, Place]:
    """Return (position, next) of the head records of these units."""
    condition, wanted = among(session, "unit", units)
    sql = f"SELECT unit, position, next FROM head_record WHERE ledger_id = ? AND {condition}"
    return {unit: (position, following) for unit, position, following in run(session, sql, ledger_id, wanted).all()}


def put_head_places(session: WriteSession, ledger_id: int, places: Mapping[str, Place]) -> None:
    """Insert or replace head records."""
    run_many(
        session,
        "INSERT INTO head_record (ledger_id, unit, position, next) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (ledger_id, unit) DO UPDATE SET next = excluded.next",
        [(ledger_id, unit, *place) for unit, place in places.items()],
    )


def latest_links(session: Session, ledger_id: int, units: Sequence[str], size: int) -> dict[str, tuple[int, int]]:
    """Return (leaf index, seq) of each unit's newest link below a size."""
    each = "json_each(?) j" if session.dialect.name == "sqlite" else "unnest(?::text[]) AS j(value)"
    asked: object = encode_json(list(units)) if session.dialect.name == "sqlite" else list(units)
    newest = (
        "SELECT max(x.leaf_index) FROM event_unit x WHERE x.ledger_id = ? AND x.unit = j.value AND x.seq IS NOT NULL "
        "AND x.leaf_index < ?"
    )
    sql = (
        f"SELECT e.unit, e.leaf_index, e.seq FROM {each} CROSS JOIN event_unit e "
        f"WHERE e.ledger_id = ? AND e.unit = j.value AND e.leaf_index = ({newest})"
    )
    rows = run(session, sql, asked, ledger_id, ledger_id, size)
    return {unit: (index, seq) for unit, index, seq in rows.all()}


def names_before(session: Session, ledger_id: int, units: Sequence[str]) -> dict[str, tuple[str, int, str]]:
    """Return by unit id the unit, position and next unit of the largest head record below it."""
    below = "(SELECT r.unit FROM head_record r WHERE r.ledger_id = ? AND r.unit < j.value ORDER BY r.unit DESC LIMIT 1)"
    each = "json_each(?) j" if session.dialect.name == "sqlite" else "unnest(?::text[]) AS j(value)"
    asked: object = encode_json(list(units)) if session.dialect.name == "sqlite" else list(units)
    sql = (
        f"SELECT j.value, h.unit, h.position, h.next FROM {each} CROSS JOIN head_record h "
        f"WHERE h.ledger_id = ? AND h.unit = {below}"
    )
    return {row[0]: (row[1], row[2], row[3]) for row in run(session, sql, asked, ledger_id, ledger_id).all()}


def head_tiles(session: Session, ledger_id: int, level: int, numbers: Sequence[int]) -> dict[int, bytes]:
    """Return tiles of the tree over units by number."""
    condition, wanted = among(session, "n", numbers)
    sql = f"SELECT n, bytes FROM head_tile WHERE ledger_id = ? AND level = ? AND {condition}"
    return {n: bytes(data) for n, data in run(session, sql, ledger_id, level, wanted).all()}


def put_head_tiles(session: WriteSession, ledger_id: int, tiles: Tiles) -> None:
    """Insert or replace tiles of the tree over units."""
    run_many(
        session,
        "INSERT INTO head_tile (ledger_id, level, n, bytes) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (ledger_id, level, n) DO UPDATE SET bytes = excluded.bytes",
        [(ledger_id, level, n, data) for (level, n), data in tiles.items()],
    )


def last_head_commit(session: Session, ledger_id: int) -> tuple[int, int, int, bytes] | None:
    """Return (leaf index, size, n, root) of the newest commitment."""
    sql = "SELECT leaf_index, size, n, root FROM head_commit WHERE ledger_id = ? ORDER BY leaf_index DESC LIMIT 1"
    row = run(session, sql, ledger_id).first()
    return (row[0], row[1], row[2], bytes(row[3])) if row else None


def insert_head_commit(session: WriteSession, ledger_id: int, commit: tuple[int, int, int, bytes]) -> None:
    """Insert (leaf index, size, n, root) of a commitment."""
    sql = "INSERT INTO head_commit (ledger_id, leaf_index, size, n, root) VALUES (?, ?, ?, ?, ?)"
    run(session, sql, ledger_id, *commit)
