"""The auditor's desk: explanations and objections beside a discrepancy, explained gaps of the balance, incidents.

Why: a gap stays open until the holder's side and another agency have signed an explanation, so who has done so stands
with it; incidents have an owner, a deadline and times by which the answer to them is measured.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STR = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FLAG = sa.Integer().with_variant(sa.Boolean(), "postgresql")

revision = "2026_11_29_desk"
down_revision = "2026_11_29_charter"
branch_labels = None
depends_on = None


def _table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        sa.Column("ledger_id", INT, nullable=False),
        sa.Column("id", STR, nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f(f"fk_{name}_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "id", name=op.f(f"pk_{name}")),
        sqlite_strict=True,
        info={"citus": "ledger_id"},
    )


def _column(name: str, kind: sa.types.TypeEngine[Any], *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _maybe(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return _column(name, kind, nullable=True)


def upgrade() -> None:
    """Add two columns and two tables."""
    for name in ("explained", "objections"):
        op.add_column("discrepancy", sa.Column(name, sa.Text(), nullable=False, server_default="[]"))
    _table(
        "gap", _column("leaf_index", INT), _column("election", STR), _column("contest", STR), _column("identity", INT),
        _maybe("place", STR), _column("difference", INT), _column("size", INT), _column("explained", sa.Text()),
        _maybe("closed_index", INT),
    )  # fmt: skip
    _table(
        "incident", _column("leaf_index", INT), _column("category", STR), _column("severity", STR),
        _column("status", STR), _column("election", STR), _column("place", STR), _maybe("agency", STR),
        _maybe("owner", STR), _column("source", STR), _column("confidential", FLAG), _column("units", sa.Text()),
        _column("links", sa.Text()), _column("at_ms", INT), _column("opened_ms", INT), _maybe("due_ms", INT),
        _maybe("triaged_ms", INT), _maybe("assigned_ms", INT), _maybe("resolved_ms", INT), _maybe("closed_ms", INT),
        _column("latest_index", INT), _column("events", sa.Text()),
    )  # fmt: skip
    op.create_index("ix_incident_leaf_index", "incident", ["ledger_id", "leaf_index"])


def downgrade() -> None:
    """Drop what this revision added."""
    op.drop_table("incident")
    op.drop_table("gap")
    for name in ("objections", "explained"):
        op.drop_column("discrepancy", name)
