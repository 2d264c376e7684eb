"""Documents that were published are found without reading every event.

Why: the balance of a place begins with the policy and the plan in force and the events that put them there. Without an
index of their own these were looked for among all events: half a second for three hundred thousand.
"""

from alembic import op
from sqlalchemy import text

revision = "2026_11_28_published"
down_revision = "2026_11_28_shape"
branch_labels = None
depends_on = None

PUBLISHES = text("type IN ('policy.publish', 'plan.publish')")


def upgrade() -> None:
    """Index the events that publish a document, and no others."""
    op.create_index(
        "ix_event_published", "event", ["ledger_id", "leaf_index"], sqlite_where=PUBLISHES, postgresql_where=PUBLISHES
    )


def downgrade() -> None:
    """Drop the index."""
    op.drop_index("ix_event_published", "event")
