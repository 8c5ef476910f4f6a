"""The ledger, the cursor, the links and the rejects."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "001"
down_revision = None


def upgrade() -> None:
    """Create the four tables; their meaning is told in ecw.crm.tables."""
    op.create_table(
        "ecw_run",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("run_type", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True)),
        sa.Column("window_end", sa.DateTime(timezone=True)),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("fetched", sa.Integer),
        sa.Column("rejected", sa.Integer),
        sa.Column("inserted", sa.Integer),
        sa.Column("updated", sa.Integer),
        sa.Column("unchanged", sa.Integer),
        sa.Column("calls", sa.Integer),
        sa.Column("seconds", sa.Float),
        sa.Column("mapping_version", sa.String(64)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("error", sa.Text),
    )
    op.create_index("ecw_run_latest", "ecw_run", ["practice", "resource", "started_at"])
    op.create_table(
        "ecw_cursor",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("position", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "ecw_link",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("ecw_id", sa.String(128), primary_key=True),
        sa.Column("crm_id", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(128), nullable=False),
        sa.Column("mapping_version", sa.String(64), nullable=False),
        sa.Column("source_version", sa.DateTime(timezone=True)),
        sa.Column("inserted_run", sa.String(250)),
        sa.Column("updated_run", sa.String(250)),
        sa.Column("seen_run", sa.String(250), nullable=False),
    )
    op.create_index("ecw_link_crm_id", "ecw_link", ["crm_id", "resource", "practice"])
    op.create_table(
        "ecw_reject",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("ecw_id", sa.String(128), primary_key=True),
        sa.Column("step", sa.String(16), primary_key=True),
        sa.Column("rule", sa.String(128), primary_key=True),
        sa.Column("column", sa.String(128), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("hash", sa.String(128)),
        sa.Column("source_version", sa.DateTime(timezone=True)),
        sa.Column("batch", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("first_run", sa.String(250), nullable=False),
        sa.Column("last_run", sa.String(250), nullable=False),
        sa.Column("resolved_run", sa.String(250)),
    )
    say("made the bookkeeping tables ecw_run, ecw_cursor, ecw_link and ecw_reject.")
