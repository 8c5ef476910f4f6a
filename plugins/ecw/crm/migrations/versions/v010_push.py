"""What a run of the push planned and did, patient by patient."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "010"
down_revision = "009"


def upgrade() -> None:
    """Create the table; its meaning is told in ecw.crm.tables."""
    op.create_table(
        "ecw_push",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("crm_id", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("way", sa.String(16), nullable=False),
        sa.Column("intent", sa.String(64), nullable=False),
        sa.Column("dry", sa.Boolean, nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("did", sa.String(16)),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("ecw_id", sa.String(128)),
        sa.Column("fields", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("next_move", sa.Text),
        sa.Column("confirmed", sa.String(16)),
        sa.Column("learned", sa.Text),
    )
    op.create_index("ecw_push_crm_id", "ecw_push", ["practice", "resource", "crm_id"])
    op.create_index("ecw_push_planned_at", "ecw_push", ["practice", "planned_at"])
    op.create_index("ecw_intent_decided_at", "ecw_intent", ["practice", "resource", "decided_at"])
    say("made the table ecw_push.")
