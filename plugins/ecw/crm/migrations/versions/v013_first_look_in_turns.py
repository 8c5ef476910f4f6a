"""Whose insurance is still to be looked at for the first time, and what a run asked about and found gone."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "013"
down_revision = "012"


def upgrade() -> None:
    """Create the table and the columns; their meaning is told in ecw.crm.tables."""
    op.create_table(
        "ecw_first_look",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("patient", sa.String(128), primary_key=True),
        sa.Column("run_id", sa.String(250)),
    )
    op.create_index(
        "ecw_first_look_due",
        "ecw_first_look",
        ["practice"],
        postgresql_where=sa.text("run_id IS NULL"),
        sqlite_where=sa.text("run_id IS NULL"),
    )
    op.add_column("ecw_journal", sa.Column("first_look", sa.Boolean))
    op.add_column("ecw_run", sa.Column("asked", sa.Integer))
    op.add_column("ecw_run", sa.Column("gone", sa.Integer))
    # Where insurance was loaded before, its first look is over.
    op.execute(
        "INSERT INTO ecw_first_look (practice, patient, run_id) "
        "SELECT practice, '', min(run_id) FROM ecw_run r WHERE resource = 'insurance' AND state = 'loaded' "
        "AND ended_at = (SELECT min(ended_at) FROM ecw_run f WHERE f.practice = r.practice "
        "AND f.resource = 'insurance' AND f.state = 'loaded') GROUP BY practice"
    )
    op.execute(
        "UPDATE ecw_journal SET first_look = true WHERE direction = 'pull' AND vob IS NULL AND EXISTS "
        "(SELECT 1 FROM ecw_first_look f WHERE f.practice = ecw_journal.practice AND f.run_id = ecw_journal.run_id)"
    )
    say("made the table ecw_first_look; added first_look to ecw_journal, asked and gone to ecw_run.")
