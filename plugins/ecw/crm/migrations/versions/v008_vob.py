"""Requests to verify benefits."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import reference, say

revision = "008"
down_revision = "007"


def upgrade() -> None:
    """Create the table where the CRM has none, and let the journal say which change opened which request."""
    op.add_column("ecw_journal", sa.Column("vob", sa.String(64)))
    not_seen = sa.text("vob IS NULL AND direction = 'pull'")
    op.create_index(
        "ecw_journal_vob",
        "ecw_journal",
        ["practice", "resource", "run_id"],
        postgresql_where=not_seen,
        sqlite_where=not_seen,
    )
    if sa.inspect(op.get_bind()).has_table("vob_request"):
        say("left the table vob_request as it is: it is the CRM's own.")
        return
    _, patient_id = reference("patient", "patient")
    op.create_table(
        "vob_request",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("practice", sa.String(64), nullable=False),
        patient_id,
        sa.Column("patient_ecw_id", sa.String(128), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("record_ecw_ids", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("delivery", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("delivery_note", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("vob_request_delivery", "vob_request", ["practice", "delivery"])
    op.create_index("vob_request_patient_id", "vob_request", ["patient_id"])
    say("made the table vob_request.")
