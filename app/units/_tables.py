"""Tables of the units room: documents, places, units, labels, aliases, seals, containment, sums for the plan."""

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table

from app.db import Blob, Flag, Int, JsonText, Str, metadata

DOCUMENT = Table(
    "document",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("hash", Str, nullable=False),
    Column("kind", Str, nullable=False),
    Column("bytes", Blob, nullable=False),
    PrimaryKeyConstraint("ledger_id", "hash"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

PLACE = Table(
    "place",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("place", Str, nullable=False),
    Column("name", Str, nullable=False),
    Column("kind", Str, nullable=False),
    Column("parent", Str),
    Column("zone", Str, nullable=False),
    Column("region", Str),
    Column("registered", Flag, nullable=False),
    Column("path", Str, nullable=False),
    PrimaryKeyConstraint("ledger_id", "place"),
    Index("ix_place_path", "ledger_id", "path"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

UNIT = Table(
    "unit",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("unit", Str, nullable=False),
    Column("seq", Int, nullable=False),
    Column("head", Str, nullable=False),
    Column("item", Str, nullable=False),
    Column("election", Str, nullable=False),
    Column("contest", Str),
    Column("district", Str),
    Column("quantity", Int, nullable=False),
    Column("source", Str, nullable=False),
    Column("condition", Str, nullable=False),
    Column("lifecycle", Str, nullable=False),
    Column("sensitivity", Str, nullable=False),
    Column("effective", Str, nullable=False),
    Column("destination", Str),
    Column("agency", Str, nullable=False),
    Column("officer", Str, nullable=False),
    Column("place", Str, nullable=False),
    Column("custody", Str, nullable=False),
    Column("since_index", Int, nullable=False),
    Column("handover", Str),
    Column("parent", Str),
    Column("packed_index", Int),
    Column("label", Str),
    Column("children", Int, nullable=False),
    Column("contents", JsonText, nullable=False),
    Column("seals", JsonText, nullable=False),
    Column("flag_since", JsonText, nullable=False),
    Column("agencies", JsonText, nullable=False),
    PrimaryKeyConstraint("ledger_id", "unit"),
    Index("ix_unit_place", "ledger_id", "place"),
    Index("ix_unit_parent", "ledger_id", "parent"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

LABEL = Table(
    "label",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("label", Str, nullable=False),
    Column("block", Str, nullable=False),
    Column("status", Str, nullable=False),
    Column("unit", Str),
    Column("successor", Str),
    PrimaryKeyConstraint("ledger_id", "label"),
    Index("ix_label_block", "ledger_id", "block"),
    Index("ix_label_unit", "ledger_id", "unit"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

ALIAS = Table(
    "alias",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("code", Str, nullable=False),
    Column("unit", Str, nullable=False),
    Column("bound_index", Int, nullable=False),
    PrimaryKeyConstraint("ledger_id", "code"),
    Index("ix_alias_unit", "ledger_id", "unit"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

SEAL = Table(
    "seal",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("number", Str, nullable=False),
    Column("unit", Str, nullable=False),
    Column("point", Int, nullable=False),
    Column("status", Str, nullable=False),
    Column("applied_index", Int, nullable=False),
    Column("ended_index", Int),
    PrimaryKeyConstraint("ledger_id", "number"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

CONTAINMENT = Table(
    "containment",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("id", Str, nullable=False),
    Column("child", Str, nullable=False),
    Column("parent", Str, nullable=False),
    Column("since_index", Int, nullable=False),
    Column("until_index", Int),
    PrimaryKeyConstraint("ledger_id", "id"),
    Index("ix_containment_child", "ledger_id", "child"),
    Index("ix_containment_parent", "ledger_id", "parent"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
)

STOWAGE = Table(
    "stowage",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("unit", Str, nullable=False),
    Column("lines", JsonText, nullable=False),
    PrimaryKeyConstraint("ledger_id", "unit"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

SUPPLY = Table(
    "supply",
    metadata,
    Column("ledger_id", Int, ForeignKey("ledger.ledger_id"), nullable=False),
    Column("id", Str, nullable=False),
    Column("election", Str, nullable=False),
    Column("place", Str, nullable=False),
    Column("bound", JsonText, nullable=False),
    Column("arrived", JsonText, nullable=False),
    PrimaryKeyConstraint("ledger_id", "id"),
    info={"citus": "ledger_id"},
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
