"""Records that changed nothing because the CRM has a newer version of them."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "012"
down_revision = "011"


def upgrade() -> None:
    """Add the column; its meaning is told in ecw.crm.tables."""
    op.add_column("ecw_run", sa.Column("older", sa.Integer))
    say("added older to ecw_run.")
