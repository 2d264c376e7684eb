"""Evidence is found without reading every event, or every label.

Why: a bundle needs whatever put a policy or plan in force or changed the ledger's keys, agencies and founders, and
every label that its goods ever had. Both were looked for among all events and all labels: three seconds a bundle on a
ledger of ten million. The few events of a ledger's charter get one index, in place of the one for published documents
alone.
"""

from alembic import op
from sqlalchemy import text

revision = "2026_11_29_charter"
down_revision = "2026_11_28_published"
branch_labels = None
depends_on = None

PUBLISHES = text("type IN ('policy.publish', 'plan.publish')")
CHARTER = text("type IN ('policy.publish', 'plan.publish', 'ledger.rekey', 'agency.join', 'founders.change')")


def upgrade() -> None:
    """Index the events of the charter and no others, and labels by unit."""
    op.drop_index("ix_event_published", "event")
    op.create_index(
        "ix_event_charter", "event", ["ledger_id", "leaf_index"], sqlite_where=CHARTER, postgresql_where=CHARTER
    )
    op.create_index("ix_label_unit", "label", ["ledger_id", "unit"])


def downgrade() -> None:
    """Go back to the index of published documents."""
    op.drop_index("ix_label_unit", "label")
    op.drop_index("ix_event_charter", "event")
    op.create_index(
        "ix_event_published", "event", ["ledger_id", "leaf_index"], sqlite_where=PUBLISHES, postgresql_where=PUBLISHES
    )
