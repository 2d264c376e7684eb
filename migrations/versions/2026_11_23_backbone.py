"""The backbone: ledgers, events, units, keys, and the guards that keep what was written.

Why: the first schema. `ledger_id` leads every key, so that ledgers can be spread over machines later without
moving a key. Event, leaf and tally rows are insert-only and tile rows extend-only, by trigger on both databases and
by privilege on PostgreSQL; that slows an administrator down and stops nobody, the proofs do (security reference
section 1, rule 10).
"""

import sqlalchemy as sa
from alembic import op

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STR = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FLAG = sa.Integer().with_variant(sa.Boolean(), "postgresql")
BLOB = sa.LargeBinary()

INSERT_ONLY = ("event", "event_unit", "ledger_leaf", "ledger_checkpoint", "tally", "document")
EXTEND_ONLY = "ledger_tile"

revision = "2026_11_23_backbone"
down_revision = None
branch_labels = None
depends_on = None


def guard_sqlite() -> None:
    """Let rows of insert-only tables never change or go, and tiles only grow."""
    for table in (*INSERT_ONLY, EXTEND_ONLY):
        op.execute(
            f"CREATE TRIGGER {table}_keep BEFORE DELETE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} rows are never deleted'); END"
        )
    for table in INSERT_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_freeze BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} rows are never changed'); END"
        )
    op.execute(
        f"CREATE TRIGGER {EXTEND_ONLY}_extend BEFORE UPDATE ON {EXTEND_ONLY} "
        "WHEN substr(NEW.bytes, 1, length(OLD.bytes)) <> OLD.bytes OR NEW.ledger_id <> OLD.ledger_id "
        "OR NEW.level <> OLD.level OR NEW.n <> OLD.n "
        "BEGIN SELECT RAISE(ABORT, 'tiles only grow'); END"
    )


def guard_postgresql() -> None:
    """Do the same with ENABLE ALWAYS triggers, truncation included, and take the privileges away."""
    op.execute("""
        CREATE FUNCTION custody_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '% rows are never changed or deleted', TG_TABLE_NAME; END $$
    """)
    op.execute("""
        CREATE FUNCTION custody_extend_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF substr(NEW.bytes, 1, length(OLD.bytes)) <> OLD.bytes OR (NEW.ledger_id, NEW.level, NEW.n)
                IS DISTINCT FROM (OLD.ledger_id, OLD.level, OLD.n)
            THEN RAISE EXCEPTION 'tiles only grow'; END IF;
            RETURN NEW;
        END $$
    """)
    for table in (*INSERT_ONLY, EXTEND_ONLY):
        row_events = "DELETE" if table == EXTEND_ONLY else "UPDATE OR DELETE"
        op.execute(
            f"CREATE TRIGGER {table}_keep BEFORE {row_events} ON {table} FOR EACH ROW EXECUTE FUNCTION custody_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse()"
        )
        for trigger in ("keep", "whole"):
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{trigger}")
        revoked = "DELETE, TRUNCATE" if table == EXTEND_ONLY else "UPDATE, DELETE, TRUNCATE"
        op.execute(f"REVOKE {revoked} ON {table} FROM CURRENT_USER")
    op.execute(
        f"CREATE TRIGGER {EXTEND_ONLY}_extend BEFORE UPDATE ON {EXTEND_ONLY} "
        "FOR EACH ROW EXECUTE FUNCTION custody_extend_only()"
    )
    op.execute(f"ALTER TABLE {EXTEND_ONLY} ENABLE ALWAYS TRIGGER {EXTEND_ONLY}_extend")


def upgrade() -> None:
    """Create every table, then its guards."""
    op.create_table(
        "ledger",
        sa.Column("ledger_id", INT, autoincrement=False, nullable=False),
        sa.Column("name", STR, nullable=False),
        sa.Column("origin", STR, nullable=False),
        sa.Column("size", INT, nullable=False),
        sa.Column("root", BLOB, nullable=False),
        sa.Column("edge", BLOB, nullable=False),
        sa.Column("epoch", INT, nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("name", name=op.f("uq_ledger_name")),
        sa.UniqueConstraint("origin", name=op.f("uq_ledger_origin")),
        sqlite_strict=True,
    )
    op.create_table(
        "access_token",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("token_hash", BLOB, nullable=False),
        sa.Column("subject", STR, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("place", STR, nullable=True),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("expires_ms", INT, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_access_token_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "token_hash", name=op.f("pk_access_token")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_access_token_expires", "access_token", ["ledger_id", "expires_ms"], unique=False)

    op.create_table(
        "alias",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("code", STR, nullable=False),
        sa.Column("unit", STR, nullable=False),
        sa.Column("bound_index", INT, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_alias_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "code", name=op.f("pk_alias")),
        sqlite_strict=True,
    )
    op.create_index("ix_alias_unit", "alias", ["ledger_id", "unit"], unique=False)

    op.create_table(
        "api_client",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("client", STR, nullable=False),
        sa.Column("secret_hash", BLOB, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("place", STR, nullable=True),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("revoked_ms", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_api_client_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "client", name=op.f("pk_api_client")),
        sqlite_strict=True,
    )
    op.create_table(
        "client_assertion",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("jti_hash", BLOB, nullable=False),
        sa.Column("expires_ms", INT, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_client_assertion_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "jti_hash", name=op.f("pk_client_assertion")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "containment",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("id", STR, nullable=False),
        sa.Column("child", STR, nullable=False),
        sa.Column("parent", STR, nullable=False),
        sa.Column("since_index", INT, nullable=False),
        sa.Column("until_index", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_containment_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "id", name=op.f("pk_containment")),
        sqlite_strict=True,
    )
    op.create_index("ix_containment_child", "containment", ["ledger_id", "child"], unique=False)
    op.create_index("ix_containment_parent", "containment", ["ledger_id", "parent"], unique=False)

    op.create_table(
        "device",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("kid", STR, nullable=False),
        sa.Column("seq", INT, nullable=False),
        sa.Column("hash", STR, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("missing", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_device_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "kid", name=op.f("pk_device")),
        sqlite_strict=True,
    )
    op.create_table(
        "discrepancy",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("id", STR, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("event", STR, nullable=False),
        sa.Column("rule", STR, nullable=False),
        sa.Column("severity", STR, nullable=False),
        sa.Column("unit", STR, nullable=True),
        sa.Column("handover", STR, nullable=True),
        sa.Column("place", STR, nullable=True),
        sa.Column("agency", STR, nullable=True),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("status", STR, nullable=False),
        sa.Column("ended_index", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_discrepancy_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "id", name=op.f("pk_discrepancy")),
        sqlite_strict=True,
    )
    op.create_index("ix_discrepancy_leaf_index", "discrepancy", ["ledger_id", "leaf_index"], unique=False)
    op.create_index("ix_discrepancy_unit", "discrepancy", ["ledger_id", "unit"], unique=False)

    op.create_table(
        "document",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("hash", STR, nullable=False),
        sa.Column("kind", STR, nullable=False),
        sa.Column("bytes", BLOB, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_document_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "hash", name=op.f("pk_document")),
        sqlite_strict=True,
    )
    op.create_table(
        "enrolment",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("enrolment", STR, nullable=False),
        sa.Column("token_hash", BLOB, nullable=False),
        sa.Column("officer", STR, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("role", STR, nullable=False),
        sa.Column("place", STR, nullable=False),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("valid_from", STR, nullable=False),
        sa.Column("valid_until", STR, nullable=False),
        sa.Column("challenge", STR, nullable=False),
        sa.Column("status", STR, nullable=False),
        sa.Column("jwk", sa.Text(), nullable=True),
        sa.Column("signature", STR, nullable=True),
        sa.Column("match_code", STR, nullable=True),
        sa.Column("requested_by", STR, nullable=False),
        sa.Column("expires_ms", INT, nullable=False),
        sa.Column("event", STR, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_enrolment_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "enrolment", name=op.f("pk_enrolment")),
        sqlite_strict=True,
    )
    op.create_table(
        "event",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("hash", STR, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("event_id", STR, nullable=False),
        sa.Column("author", STR, nullable=False),
        sa.Column("officer", STR, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("type", STR, nullable=False),
        sa.Column("election", STR, nullable=False),
        sa.Column("place", STR, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("received_ms", INT, nullable=False),
        sa.Column("result", STR, nullable=False),
        sa.Column("code", STR, nullable=False),
        sa.Column("twin", INT, nullable=False),
        sa.Column("problem", STR, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_event_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "leaf_index", name=op.f("pk_event")),
        sa.UniqueConstraint(
            "ledger_id", "author", "event_id", "twin", name=op.f("uq_event_ledger_id_author_event_id_twin")
        ),
        sa.UniqueConstraint("ledger_id", "hash", name=op.f("uq_event_ledger_id_hash")),
        sqlite_strict=True,
    )
    op.create_table(
        "event_outcome",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("hash", STR, nullable=False),
        sa.Column("outcome", STR, nullable=True),
        sa.Column("outcome_index", INT, nullable=True),
        sa.Column("retracted_index", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_event_outcome_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "hash", name=op.f("pk_event_outcome")),
        sqlite_strict=True,
    )
    op.create_table(
        "event_unit",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("unit", STR, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("seq", INT, nullable=True),
        sa.Column("prev", STR, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_event_unit_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "unit", "leaf_index", name=op.f("pk_event_unit")),
        sa.UniqueConstraint("ledger_id", "unit", "seq", name=op.f("uq_event_unit_ledger_id_unit_seq")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "handover",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("release", STR, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("officers", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("from_place", STR, nullable=False),
        sa.Column("to_agency", STR, nullable=False),
        sa.Column("to_place", STR, nullable=False),
        sa.Column("to_officer", STR, nullable=True),
        sa.Column("internal", FLAG, nullable=False),
        sa.Column("due_ms", INT, nullable=False),
        sa.Column("at_ms", INT, nullable=False),
        sa.Column("sensitivity", STR, nullable=False),
        sa.Column("units", sa.Text(), nullable=False),
        sa.Column("status", STR, nullable=False),
        sa.Column("closed_index", INT, nullable=True),
        sa.Column("closed_by", STR, nullable=True),
        sa.Column("cancel", STR, nullable=True),
        sa.Column("overdue_index", INT, nullable=True),
        sa.Column("exceptions", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_handover_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "release", name=op.f("pk_handover")),
        sqlite_strict=True,
    )
    op.create_index("ix_handover_status", "handover", ["ledger_id", "status", "leaf_index"], unique=False)

    op.create_table(
        "label",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("label", STR, nullable=False),
        sa.Column("block", STR, nullable=False),
        sa.Column("status", STR, nullable=False),
        sa.Column("unit", STR, nullable=True),
        sa.Column("successor", STR, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_label_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "label", name=op.f("pk_label")),
        sqlite_strict=True,
    )
    op.create_index("ix_label_block", "label", ["ledger_id", "block"], unique=False)

    op.create_table(
        "ledger_checkpoint",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("size", INT, nullable=False),
        sa.Column("root", BLOB, nullable=False),
        sa.Column("note", BLOB, nullable=False),
        sa.Column("made_ms", INT, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_ledger_checkpoint_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "size", name=op.f("pk_ledger_checkpoint")),
        sa.UniqueConstraint("ledger_id", "size", "root", name=op.f("uq_ledger_checkpoint_ledger_id_size_root")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_leaf",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("leaf_hash", BLOB, nullable=False),
        sa.Column("leaf", BLOB, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_ledger_leaf_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "leaf_index", name=op.f("pk_ledger_leaf")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_state",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("id", STR, nullable=False),
        sa.Column("origin", STR, nullable=False),
        sa.Column("demo", FLAG, nullable=False),
        sa.Column("service_kid", STR, nullable=False),
        sa.Column("administrators", sa.Text(), nullable=False),
        sa.Column("policy_signers", INT, nullable=False),
        sa.Column("policy", STR, nullable=True),
        sa.Column("plans", sa.Text(), nullable=False),
        sa.Column("closed_index", INT, nullable=True),
        sa.Column("genesis", STR, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_ledger_state_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "id", name=op.f("pk_ledger_state")),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_tile",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("n", INT, nullable=False),
        sa.Column("bytes", BLOB, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_ledger_tile_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "level", "n", name=op.f("pk_ledger_tile")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "officer_name",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("officer", STR, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("name", STR, nullable=True),
        sa.Column("erased_ms", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_officer_name_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "officer", name=op.f("pk_officer_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "place",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("place", STR, nullable=False),
        sa.Column("name", STR, nullable=False),
        sa.Column("kind", STR, nullable=False),
        sa.Column("parent", STR, nullable=True),
        sa.Column("zone", STR, nullable=False),
        sa.Column("region", STR, nullable=True),
        sa.Column("registered", FLAG, nullable=False),
        sa.Column("path", STR, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_place_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "place", name=op.f("pk_place")),
        sqlite_strict=True,
    )
    op.create_index("ix_place_path", "place", ["ledger_id", "path"], unique=False)

    op.create_table(
        "private_content",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("event", STR, nullable=False),
        sa.Column("name", STR, nullable=False),
        sa.Column("salt", BLOB, nullable=False),
        sa.Column("body", BLOB, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_private_content_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "event", "name", name=op.f("pk_private_content")),
        sqlite_strict=True,
    )
    op.create_table(
        "seal",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("number", STR, nullable=False),
        sa.Column("unit", STR, nullable=False),
        sa.Column("point", INT, nullable=False),
        sa.Column("status", STR, nullable=False),
        sa.Column("applied_index", INT, nullable=False),
        sa.Column("ended_index", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_seal_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "number", name=op.f("pk_seal")),
        sqlite_strict=True,
    )
    op.create_table(
        "signing_key",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("kid", STR, nullable=False),
        sa.Column("alg", STR, nullable=False),
        sa.Column("raw", STR, nullable=False),
        sa.Column("kind", STR, nullable=False),
        sa.Column("officer", STR, nullable=False),
        sa.Column("agency", STR, nullable=False),
        sa.Column("role", STR, nullable=False),
        sa.Column("place", STR, nullable=True),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("valid_from_ms", INT, nullable=False),
        sa.Column("valid_until_ms", INT, nullable=False),
        sa.Column("enrolled_index", INT, nullable=False),
        sa.Column("revoked_index", INT, nullable=True),
        sa.Column("compromised_since_ms", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_signing_key_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "kid", name=op.f("pk_signing_key")),
        sqlite_strict=True,
    )
    op.create_index("ix_signing_key_officer", "signing_key", ["ledger_id", "officer"], unique=False)

    op.create_table(
        "tally",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("id", STR, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("event", STR, nullable=False),
        sa.Column("figure", STR, nullable=False),
        sa.Column("election", STR, nullable=False),
        sa.Column("item", STR, nullable=False),
        sa.Column("contest", STR, nullable=True),
        sa.Column("unit", STR, nullable=False),
        sa.Column("place", STR, nullable=True),
        sa.Column("quantity", INT, nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_tally_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "id", name=op.f("pk_tally")),
        sqlite_strict=True,
    )
    op.create_index("ix_tally_figure", "tally", ["ledger_id", "election", "figure", "leaf_index"], unique=False)

    op.create_table(
        "unit",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("unit", STR, nullable=False),
        sa.Column("seq", INT, nullable=False),
        sa.Column("head", STR, nullable=False),
        sa.Column("item", STR, nullable=False),
        sa.Column("election", STR, nullable=False),
        sa.Column("contest", STR, nullable=True),
        sa.Column("district", STR, nullable=True),
        sa.Column("quantity", INT, nullable=False),
        sa.Column("source", STR, nullable=False),
        sa.Column("condition", STR, nullable=False),
        sa.Column("lifecycle", STR, nullable=False),
        sa.Column("sensitivity", STR, nullable=False),
        sa.Column("effective", STR, nullable=False),
        sa.Column("destination", STR, nullable=True),
        sa.Column("agency", STR, nullable=False),
        sa.Column("officer", STR, nullable=False),
        sa.Column("place", STR, nullable=False),
        sa.Column("custody", STR, nullable=False),
        sa.Column("since_index", INT, nullable=False),
        sa.Column("handover", STR, nullable=True),
        sa.Column("parent", STR, nullable=True),
        sa.Column("packed_index", INT, nullable=True),
        sa.Column("label", STR, nullable=True),
        sa.Column("children", INT, nullable=False),
        sa.Column("contents", sa.Text(), nullable=False),
        sa.Column("seals", sa.Text(), nullable=False),
        sa.Column("flag_since", sa.Text(), nullable=False),
        sa.Column("agencies", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_unit_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "unit", name=op.f("pk_unit")),
        sqlite_strict=True,
    )
    op.create_index("ix_unit_parent", "unit", ["ledger_id", "parent"], unique=False)
    op.create_index("ix_unit_place", "unit", ["ledger_id", "place"], unique=False)

    op.create_table(
        "waiting",
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("hash", STR, nullable=False),
        sa.Column("awaited", STR, nullable=True),
        sa.Column("due_ms", INT, nullable=True),
        sa.Column("since_ms", INT, nullable=False),
        sa.Column("leaf_index", INT, nullable=False),
        sa.Column("alarmed", FLAG, nullable=False),
        sa.Column("done_index", INT, nullable=True),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_waiting_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "hash", name=op.f("pk_waiting")),
        sqlite_strict=True,
    )
    op.create_index("ix_waiting_awaited", "waiting", ["ledger_id", "awaited"], unique=False)

    if op.get_bind().dialect.name == "sqlite":
        guard_sqlite()
    else:
        guard_postgresql()


def downgrade() -> None:
    """Drop everything; for an empty installation only."""
    op.drop_index("ix_waiting_awaited", "waiting")

    op.drop_table("waiting")
    op.drop_index("ix_unit_place", "unit")
    op.drop_index("ix_unit_parent", "unit")

    op.drop_table("unit")
    op.drop_index("ix_tally_figure", "tally")

    op.drop_table("tally")
    op.drop_index("ix_signing_key_officer", "signing_key")

    op.drop_table("signing_key")
    op.drop_table("seal")
    op.drop_table("private_content")
    op.drop_index("ix_place_path", "place")

    op.drop_table("place")
    op.drop_table("officer_name")
    op.drop_table("ledger_tile")
    op.drop_table("ledger_state")
    op.drop_table("ledger_leaf")
    op.drop_table("ledger_checkpoint")
    op.drop_index("ix_label_block", "label")

    op.drop_table("label")
    op.drop_index("ix_handover_status", "handover")

    op.drop_table("handover")
    op.drop_table("event_unit")
    op.drop_table("event_outcome")
    op.drop_table("event")
    op.drop_table("enrolment")
    op.drop_table("document")
    op.drop_index("ix_discrepancy_unit", "discrepancy")
    op.drop_index("ix_discrepancy_leaf_index", "discrepancy")

    op.drop_table("discrepancy")
    op.drop_table("device")
    op.drop_index("ix_containment_parent", "containment")
    op.drop_index("ix_containment_child", "containment")

    op.drop_table("containment")
    op.drop_table("client_assertion")
    op.drop_table("api_client")
    op.drop_index("ix_alias_unit", "alias")

    op.drop_table("alias")
    op.drop_index("ix_access_token_expires", "access_token")

    op.drop_table("access_token")
    op.drop_table("ledger")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION custody_refuse")
        op.execute("DROP FUNCTION custody_extend_only")
