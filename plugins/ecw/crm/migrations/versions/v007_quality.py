"""The quality reports of the runs."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "007"
down_revision = "006"


def upgrade() -> None:
    """Create the table; its meaning is told in ecw.crm.tables."""
    op.create_table(
        "ecw_quality",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rule", sa.String(32), nullable=False),
        sa.Column("column", sa.Text, nullable=False),
        sa.Column("demand", sa.Text, nullable=False),
        sa.Column("otherwise", sa.String(16), nullable=False),
        sa.Column("stop_above", sa.Float),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("broken", sa.Integer, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("usual", sa.Integer),
        sa.Column("scope", sa.String(16)),
    )
    op.create_index("ecw_quality_at", "ecw_quality", ["practice", "resource", "at"])
    op.create_index("ecw_quality_run", "ecw_quality", ["run_id"])
    say("made the table ecw_quality.")
