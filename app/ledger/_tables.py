"""Tables of the ledger room: ledgers, leaves, tiles, checkpoints, and what witnesses and clocks said of these.

Leaves, checkpoints, alarms and stamps are insert-only, tiles extend-only.
"""

from sqlalchemy import Column, ForeignKey, Integer, PrimaryKeyConstraint, Table, UniqueConstraint

from app.db import Blob, Int, Str, metadata

LEDGER = Table(
    "ledger",
    metadata,
    Column("ledger_id", Int, primary_key=True, autoincrement=False),
    Column("name", Str, nullable=False, unique=True),
    Column("origin", Str, nullable=False, unique=True),
    Column("size", Int, nullable=False),
    Column("root", Blob, nullable=False),
    Column("edge", Blob, nullable=False),
    Column("epoch", Int, nullable=False),
    Column("frozen", Str),
    sqlite_strict=True,
)

LEAF = Table(
    "ledger_leaf",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("leaf_hash", Blob, nullable=False),
    Column("leaf", Blob, nullable=False),
    PrimaryKeyConstraint("ledger_id", "leaf_index"),
    sqlite_strict=True,
)

TILE = Table(
    "ledger_tile",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("level", Integer, nullable=False),
    Column("n", Int, nullable=False),
    Column("bytes", Blob, nullable=False),
    PrimaryKeyConstraint("ledger_id", "level", "n"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

CHECKPOINT = Table(
    "ledger_checkpoint",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("size", Int, nullable=False),
    Column("root", Blob, nullable=False),
    Column("note", Blob, nullable=False),
    Column("made_ms", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "size"),
    UniqueConstraint("ledger_id", "size", "root"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

COSIGNATURE = Table(
    "ledger_cosignature",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("size", Int, nullable=False),
    Column("key", Str, nullable=False),
    Column("line", Str, nullable=False),
    Column("at_s", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "size", "key"),
    sqlite_strict=True,
)

WITNESSED = Table(
    "ledger_witnessed",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("size", Int, nullable=False),
    Column("made_ms", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "size"),
    sqlite_strict=True,
)

ALARM = Table(
    "ledger_alarm",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("id", Int, nullable=False),
    Column("at_ms", Int, nullable=False),
    Column("kind", Str, nullable=False),
    Column("source", Str, nullable=False),
    Column("detail", Str, nullable=False),
    Column("body", Blob),
    PrimaryKeyConstraint("ledger_id", "id"),
    sqlite_strict=True,
)

STAMP = Table(
    "ledger_stamp",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("size", Int, nullable=False),
    Column("authority", Str, nullable=False),
    Column("token", Blob, nullable=False),
    Column("stamped", Blob, nullable=False),
    Column("at_ms", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "size", "authority"),
    sqlite_strict=True,
)
