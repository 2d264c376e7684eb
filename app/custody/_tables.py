"""Tables of the custody room: events and what rules made of them. Event rows are insert-only.

`event_unit` names every unit that an event names or moves; `seq` is set where the unit's chain grew, so
UNIQUE (ledger_id, unit, seq) makes a forked chain impossible in the database.
"""

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table, UniqueConstraint, text

from app.db import Blob, Flag, Int, JsonText, Str, metadata

META = Table(
    "ledger_state",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("id", Str, nullable=False),
    Column("origin", Str, nullable=False),
    Column("demo", Flag, nullable=False),
    Column("service_kid", Str, nullable=False),
    Column("administrators", JsonText, nullable=False),
    Column("policy_signers", Int, nullable=False),
    Column("policy", Str),
    Column("plans", JsonText, nullable=False),
    Column("closed_index", Int),
    Column("genesis", Str, nullable=False),
    Column("ledger_keys", JsonText, nullable=False, server_default="[]"),
    PrimaryKeyConstraint("ledger_id", "id"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

CHARTER = text("type IN ('policy.publish', 'plan.publish', 'ledger.rekey', 'agency.join', 'founders.change')")
"""What the few events are found by, among millions, that publish a document or change the ledger's keys, agencies or
founders; a query must say just this to be helped, and then which of them it means."""

EVENT = Table(
    "event",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("hash", Str, nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("event_id", Str, nullable=False),
    Column("author", Str, nullable=False),
    Column("officer", Str, nullable=False),
    Column("agency", Str, nullable=False),
    Column("type", Str, nullable=False),
    Column("election", Str, nullable=False),
    Column("place", Str, nullable=False),
    Column("at_ms", Int, nullable=False),
    Column("received_ms", Int, nullable=False),
    Column("result", Str, nullable=False),
    Column("code", Str, nullable=False),
    Column("twin", Int, nullable=False),
    Column("problem", Str),
    PrimaryKeyConstraint("ledger_id", "leaf_index"),
    UniqueConstraint("ledger_id", "hash"),
    UniqueConstraint("ledger_id", "event_id", "author", "twin"),
    Index("ix_event_charter", "ledger_id", "leaf_index", sqlite_where=CHARTER, postgresql_where=CHARTER),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

OUTCOME = Table(
    "event_outcome",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("hash", Str, nullable=False),
    Column("outcome", Str),
    Column("outcome_index", Int),
    Column("retracted_index", Int),
    PrimaryKeyConstraint("ledger_id", "hash"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

EVENT_UNIT = Table(
    "event_unit",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("unit", Str, nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("seq", Int),
    PrimaryKeyConstraint("ledger_id", "unit", "leaf_index"),
    UniqueConstraint("ledger_id", "unit", "seq"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

HANDOVER = Table(
    "handover",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("release", Str, nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("agency", Str, nullable=False),
    Column("officers", JsonText, nullable=False),
    Column("roles", JsonText, nullable=False),
    Column("from_place", Str, nullable=False),
    Column("to_agency", Str, nullable=False),
    Column("to_place", Str, nullable=False),
    Column("to_officer", Str),
    Column("internal", Flag, nullable=False),
    Column("due_ms", Int, nullable=False),
    Column("at_ms", Int, nullable=False),
    Column("sensitivity", Str, nullable=False),
    Column("units", JsonText, nullable=False),
    Column("status", Str, nullable=False),
    Column("closed_index", Int),
    Column("closed_by", Str),
    Column("cancel", Str),
    Column("overdue_index", Int),
    Column("exceptions", JsonText, nullable=False),
    PrimaryKeyConstraint("ledger_id", "release"),
    Index("ix_handover_status", "ledger_id", "status", "leaf_index"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

WAITING = Table(
    "waiting",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("hash", Str, nullable=False),
    Column("awaited", Str),
    Column("due_ms", Int),
    Column("since_ms", Int, nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("alarmed", Flag, nullable=False),
    Column("done_index", Int),
    PrimaryKeyConstraint("ledger_id", "hash"),
    Index("ix_waiting_awaited", "ledger_id", "awaited"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

DISCREPANCY = Table(
    "discrepancy",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("id", Str, nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("event", Str, nullable=False),
    Column("rule", Str, nullable=False),
    Column("severity", Str, nullable=False),
    Column("unit", Str),
    Column("handover", Str),
    Column("place", Str),
    Column("agency", Str),
    Column("at_ms", Int, nullable=False),
    Column("facts", JsonText, nullable=False),
    Column("status", Str, nullable=False),
    Column("ended_index", Int),
    PrimaryKeyConstraint("ledger_id", "id"),
    Index("ix_discrepancy_leaf_index", "ledger_id", "leaf_index"),
    Index("ix_discrepancy_unit", "ledger_id", "unit"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

TALLY = Table(
    "tally",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("id", Str, nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("event", Str, nullable=False),
    Column("figure", Str, nullable=False),
    Column("election", Str, nullable=False),
    Column("item", Str, nullable=False),
    Column("contest", Str),
    Column("unit", Str, nullable=False),
    Column("place", Str),
    Column("quantity", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "id"),
    Index("ix_tally_figure", "ledger_id", "election", "figure", "leaf_index"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

PRIVATE = Table(
    "private_content",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("event", Str, nullable=False),
    Column("name", Str, nullable=False),
    Column("salt", Blob, nullable=False),
    Column("body", Blob, nullable=False),
    PrimaryKeyConstraint("ledger_id", "event", "name"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

HEAD_RECORD = Table(
    "head_record",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("unit", Str, nullable=False),
    Column("position", Int, nullable=False),
    Column("next", Str, nullable=False),
    PrimaryKeyConstraint("ledger_id", "unit"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

HEAD_TILE = Table(
    "head_tile",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("level", Int, nullable=False),
    Column("n", Int, nullable=False),
    Column("bytes", Blob, nullable=False),
    PrimaryKeyConstraint("ledger_id", "level", "n"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

HEAD_COMMIT = Table(
    "head_commit",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("leaf_index", Int, nullable=False),
    Column("size", Int, nullable=False),
    Column("n", Int, nullable=False),
    Column("root", Blob, nullable=False),
    PrimaryKeyConstraint("ledger_id", "leaf_index"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

SHARD = Table(
    "shard",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("origin", Str, nullable=False),
    Column("size", Int, nullable=False),
    Column("root", Str, nullable=False),
    Column("leaf_index", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "origin"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)
