"""The calls of each clock minute, which all processes share."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "003"
down_revision = "002"


def upgrade() -> None:
    """Create the table; its meaning is told in ecw.crm.tables."""
    op.create_table(
        "ecw_quota",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("minute", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("calls", sa.Integer, nullable=False),
    )
    say("made the table ecw_quota.")
