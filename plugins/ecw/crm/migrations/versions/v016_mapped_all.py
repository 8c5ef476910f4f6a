"""Which of a backfill's looks map everything: a backfill that is to map everything shares no other."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "016"
down_revision = "015"


def upgrade() -> None:
    """Add the column; its meaning is told in ecw.crm.tables."""
    op.add_column("ecw_run", sa.Column("mapped_all", sa.Boolean))
    say("added mapped_all to ecw_run.")
