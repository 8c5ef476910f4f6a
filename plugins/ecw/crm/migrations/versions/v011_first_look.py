"""Whom a first look patient by patient leaves to the next runs, and until when."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "011"
down_revision = "010"


def upgrade() -> None:
    """Add the columns; their meaning is told in ecw.crm.tables."""
    op.add_column("ecw_run", sa.Column("later", sa.Integer))
    op.add_column("ecw_run", sa.Column("later_by", sa.DateTime(timezone=True)))
    say("added later and later_by to ecw_run.")
