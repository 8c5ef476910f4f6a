"""Which pushes no person had asked for: they are counted together, however small each run is."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "015"
down_revision = "014"


def upgrade() -> None:
    """Add the column; its meaning is told in ecw.crm.tables."""
    op.add_column("ecw_push", sa.Column("unasked", sa.Boolean))
    say("added unasked to ecw_push.")
