"""How many bytes each family of tables holds, indexes included, how much log was written, and what was recorded."""

from collections import Counter

from sqlalchemy import text

from app.db import Database

FAMILIES = {
    "events": ("event", "event_unit", "event_outcome", "waiting", "private_content"),
    "ledger": ("ledger", "ledger_leaf", "ledger_tile", "ledger_checkpoint", "ledger_state", "ledger_witnessed"),
    "units": (
        "unit", "label", "alias", "seal", "containment", "handover", "tally", "discrepancy", "stowage", "supply", "gap",
        "incident", "inspection",
    ),
    "people": ("signing_key", "device", "officer_name", "enrolment"),
    "documents": ("document", "place"),
    "heads": ("head_record", "head_tile", "head_commit"),
}  # fmt: skip
OTHER = "other"
_FAMILY = {table: family for family, tables in FAMILIES.items() for table in tables}

# A partition counts for the table that it is a part of.
_POSTGRES = text(
    "SELECT root.relname, sum(pg_total_relation_size(part.oid)) FROM pg_class part "
    "JOIN pg_class root ON root.oid = coalesce(pg_partition_root(part.oid), part.oid) "
    "JOIN pg_namespace home ON home.oid = root.relnamespace "
    "WHERE part.relkind IN ('r', 'p') AND home.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') "
    "GROUP BY root.relname"
)
_SQLITE = text("SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name GROUP BY 1")


def stored(db: Database) -> dict[str, int]:
    """Return bytes by family of tables; what belongs to none is `other`."""
    with db.read() as session:
        rows = session.execute(_SQLITE if db.is_sqlite else _POSTGRES).all()
    found: Counter[str] = Counter(dict.fromkeys((*FAMILIES, OTHER), 0))
    for table, size in rows:
        found[family(str(table))] += int(size)
    return dict(found)


def family(table: str) -> str:
    """Return the family of a table; one that is not named above goes by the beginning of its name."""
    begun = {"event": "events", "ledger": "ledger", "head": "heads"}
    return _FAMILY.get(table) or begun.get(table.partition("_")[0], OTHER)


def log_position(db: Database) -> int | None:
    """Return how many bytes PostgreSQL has ever written to its log; None on SQLite, which keeps none."""
    if db.is_sqlite:
        return None
    with db.read() as session:
        return int(session.exec_driver_sql("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").scalar() or 0)


OWN_EVENTS = ("heads.commit", "verdict")
"""What the service says by itself, as time passes; everything else in a ledger somebody sent."""
_EVENTS = text("SELECT type, count(*) FROM event GROUP BY type")
_LINKS = text("SELECT count(*) FROM event_unit WHERE seq IS NOT NULL")


def recorded(db: Database) -> dict[str, int]:
    """Return how many events the ledger has that somebody sent, and how many links the chains of its units have."""
    with db.read() as session:
        by_type = {str(type_): int(count) for type_, count in session.execute(_EVENTS)}
        links = int(session.execute(_LINKS).scalar() or 0)
    return {"events": sum(count for type_, count in by_type.items() if type_ not in OWN_EVENTS), "links": links}
