"""Witnesses, completeness, alarms, stamps and shards: what makes the ledger one that others can check.

Why: cosignatures and time stamps come after a checkpoint and stand beside it; alarms (a fork, a rollback) must not
be taken away again; the tree over every unit's latest event is kept so that a thousand changes cost a thousand short
paths; a frozen ledger says so in the row that every writer locks; a ledger's keys may change after its genesis.
"""

import base64
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STR = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BLOB = sa.LargeBinary()

INSERT_ONLY = ("ledger_alarm", "ledger_stamp", "head_commit")
TABLES = (
    "ledger_cosignature", "ledger_witnessed", "ledger_alarm", "ledger_stamp", "head_record", "head_tile",
    "head_commit", "shard",
)  # fmt: skip

revision = "2026_11_24_witnessed"
down_revision = "2026_11_23_backbone"
branch_labels = None
depends_on = None


def guard_sqlite() -> None:
    """Let rows of insert-only tables never change or go."""
    for table in INSERT_ONLY:
        for act, event in (("keep", "DELETE"), ("freeze", "UPDATE")):
            op.execute(
                f"CREATE TRIGGER {table}_{act} BEFORE {event} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} rows are never changed or deleted'); END"
            )


def guard_postgresql() -> None:
    """Do the same with ENABLE ALWAYS triggers, truncation included, and take the privileges away."""
    for table in INSERT_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_keep BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION custody_refuse()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION custody_refuse()"
        )
        for trigger in ("keep", "whole"):
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_{trigger}")
        op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM CURRENT_USER")


def _table(name: str, key: tuple[str, ...], *columns: sa.Column[Any], **options: Any) -> None:
    op.create_table(
        name,
        sa.Column("ledger_id", INT, nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f(f"fk_{name}_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", *key, name=op.f(f"pk_{name}")),
        sqlite_strict=True,
        **options,
    )


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _name_the_genesis_keys() -> None:
    """Write into each ledger's state the key that its genesis names: nothing could change it before."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT ledger_id, leaf FROM ledger_leaf WHERE leaf_index = 0")).all()
    for ledger_id, leaf in rows:
        payload = json.loads(bytes(leaf))["event"]["payload"]
        details = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["details"]
        connection.execute(
            sa.text("UPDATE ledger_state SET ledger_keys = :keys WHERE ledger_id = :ledger_id"),
            {"keys": json.dumps([details["ledger_key"]]), "ledger_id": ledger_id},
        )


def upgrade() -> None:
    """Add the tables, their guards, and two columns."""
    op.add_column("ledger", sa.Column("frozen", STR, nullable=True))
    op.add_column("ledger_state", sa.Column("ledger_keys", sa.Text(), nullable=False, server_default="[]"))
    _name_the_genesis_keys()
    _table(
        "ledger_cosignature", ("size", "key"), _column("size", INT), _column("key", STR), _column("line", STR),
        _column("at_s", INT),
    )  # fmt: skip
    _table("ledger_witnessed", ("size",), _column("size", INT), _column("made_ms", INT))
    _table(
        "ledger_alarm", ("id",), _column("id", INT), _column("at_ms", INT), _column("kind", STR),
        _column("source", STR), _column("detail", STR), _column("body", BLOB, nullable=True),
    )  # fmt: skip
    _table(
        "ledger_stamp", ("size", "authority"), _column("size", INT), _column("authority", STR),
        _column("token", BLOB), _column("stamped", BLOB), _column("at_ms", INT),
    )  # fmt: skip
    _table(
        "head_record", ("unit",), _column("unit", STR), _column("position", INT), _column("next", STR),
        sqlite_with_rowid=False,
    )  # fmt: skip
    _table("head_tile", ("level", "n"), _column("level", INT), _column("n", INT), _column("bytes", BLOB))
    _table(
        "head_commit", ("leaf_index",), _column("leaf_index", INT), _column("size", INT), _column("n", INT),
        _column("root", BLOB),
    )  # fmt: skip
    _table(
        "shard", ("origin",), _column("origin", STR), _column("size", INT), _column("root", STR),
        _column("leaf_index", INT),
    )  # fmt: skip
    if op.get_bind().dialect.name == "sqlite":
        guard_sqlite()
    else:
        guard_postgresql()


def downgrade() -> None:
    """Drop what this revision added; for development, since alarms and stamps go with it."""
    for table in reversed(TABLES):
        op.drop_table(table)
    op.drop_column("ledger_state", "ledger_keys")
    op.drop_column("ledger", "frozen")
