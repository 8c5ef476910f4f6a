"""What is amiss, and who was told; and which runs saw everything that eCW has."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "009"
down_revision = "008"


def upgrade() -> None:
    """Create the tables; their meaning is told in ecw.crm.tables."""
    op.add_column("ecw_run", sa.Column("whole", sa.Boolean))
    op.create_table(
        "ecw_alert",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("alert", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("next_move", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("over_at", sa.DateTime(timezone=True)),
        sa.Column("run_id", sa.String(250)),
    )
    # One open alert for each subject, whatever runs at the same time.
    still_open = sa.text("over_at IS NULL")
    op.create_index(
        "ecw_alert_open",
        "ecw_alert",
        ["practice", "kind", "subject"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_table(
        "ecw_notice",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("alert", sa.String(36), primary_key=True),
        sa.Column("event", sa.String(8), primary_key=True),
        sa.Column("target", sa.String(250), primary_key=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True)),
        sa.Column("told_at", sa.DateTime(timezone=True)),
    )
    say("made the tables ecw_alert and ecw_notice.")
