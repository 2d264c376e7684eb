"""Tables of the ledger room: ledgers, leaves, tiles, checkpoints, and what witnesses and clocks said of these.

Leaves, checkpoints, alarms and stamps are insert-only, tiles extend-only. `ledger_name` is the directory of all
ledgers and the one table of the database that belongs to none of them (ADR 22); its names stand in `ledger`, too,
and a foreign key holds the two together.
"""

from typing import cast

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from app.db import Blob, Int, Str, metadata
from app.ledger.packing import pack, unpack


class PackedLeaf(TypeDecorator[bytes]):
    """A leaf as `app.ledger.packing` keeps it; statements that are plain text pack and unpack for themselves."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: object) -> bytes | None:
        """Pack a leaf."""
        del dialect
        return None if value is None else pack(value)

    def process_result_value(self, value: object, dialect: object) -> bytes | None:
        """Unpack a leaf."""
        del dialect
        return None if value is None else unpack(bytes(cast("bytes", value)))


LEDGER_NAME = Table(
    "ledger_name",
    metadata,
    Column("ledger_id", Int, primary_key=True, autoincrement=False),
    Column("name", Str, nullable=False, unique=True),
    Column("origin", Str, nullable=False, unique=True),
    UniqueConstraint("ledger_id", "name", "origin"),
    info={"citus": "reference"},
    sqlite_strict=True,
)

LEDGER = Table(
    "ledger",
    metadata,
    Column("ledger_id", Int, primary_key=True, autoincrement=False),
    Column("name", Str, nullable=False),
    Column("origin", Str, nullable=False),
    Column("size", Int, nullable=False),
    Column("root", Blob, nullable=False),
    Column("edge", Blob, nullable=False),
    Column("epoch", Int, nullable=False),
    Column("frozen", Str),
    ForeignKeyConstraint(
        ["ledger_id", "name", "origin"], ["ledger_name.ledger_id", "ledger_name.name", "ledger_name.origin"]
    ),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

LEAF = Table(
    "ledger_leaf",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("leaf_hash", Blob, nullable=False),
    Column("leaf", PackedLeaf, nullable=False),
    PrimaryKeyConstraint("ledger_id", "leaf_index"),
    postgresql_partition_by="RANGE (leaf_index)",
    info={"citus": "ledger_id"},
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
    info={"citus": "ledger_id"},
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
    info={"citus": "ledger_id"},
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
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

WITNESSED = Table(
    "ledger_witnessed",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("size", Int, nullable=False),
    Column("made_ms", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "size"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
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
    info={"citus": "ledger_id"},
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
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)
