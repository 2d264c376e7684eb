"""Inspections: one row from the hidden plan, or the opening, to the minutes.

Why: a sample that nobody chose needs an inventory that was frozen before the seed was there, and what was looked at,
left out and found stands beside it until the minutes are written.
"""

import sqlalchemy as sa
from alembic import op

INT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
STR = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
FLAG = sa.Integer().with_variant(sa.Boolean(), "postgresql")

revision = "2026_11_29_inspections"
down_revision = "2026_11_29_plans"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "inspection",
        sa.Column("ledger_id", INT, nullable=False),
        *(sa.Column(name, STR, nullable=False) for name in ("id", "kind", "status", "election", "place", "agency")),
        sa.Column("officer", STR, nullable=False),
        *(sa.Column(name, STR) for name in ("commitment", "opened", "ids_hash", "sample_hash", "minutes")),
        *(sa.Column(name, INT, nullable=False) for name in ("leaf_index", "confidence", "rate", "n", "latest_index")),
        *(sa.Column(name, INT) for name in ("frozen_index", "opened_ms", "sample_n", "inspected_n", "found_n")),
        *(sa.Column(name, INT) for name in ("left_n", "closed_index", "closed_ms")),
        sa.Column("contents", FLAG, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("items", "inspected", "failed", "skipped", "events")),
        sa.ForeignKeyConstraint(["ledger_id"], ["ledger.ledger_id"], name=op.f("fk_inspection_ledger_id")),
        sa.PrimaryKeyConstraint("ledger_id", "id", name=op.f("pk_inspection")),
        sqlite_strict=True,
        info={"citus": "ledger_id"},
    )
    op.create_index("ix_inspection_leaf_index", "inspection", ["ledger_id", "leaf_index"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("inspection")
