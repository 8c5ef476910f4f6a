"""What a push needs: agreed values, intents, the journal, conflicts, and the lock of a patient."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "005"
down_revision = "004"


def upgrade() -> None:
    """Create the tables; their meaning is told in ecw.crm.tables."""
    op.create_table(
        "ecw_agreed",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("ecw_id", sa.String(128), primary_key=True),
        sa.Column("emr", sa.Text, nullable=False),
        sa.Column("crm", sa.Text),
        sa.Column("sent", sa.Text),
    )
    op.create_table(
        "ecw_intent",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("crm_id", sa.String(64), primary_key=True),
        sa.Column("intent", sa.String(64), nullable=False),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("ecw_id", sa.String(128)),
        sa.Column("sent", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("rung", sa.String(64)),
        sa.Column("candidates", sa.Text),
        sa.Column("choice", sa.String(128)),
    )
    op.create_index("ecw_intent_state", "ecw_intent", ["practice", "resource", "state"])
    op.create_table(
        "ecw_journal",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("entry", sa.String(36), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("crm_id", sa.String(64)),
        sa.Column("ecw_id", sa.String(128)),
        sa.Column("http_status", sa.Integer),
        sa.Column("code", sa.String(16)),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("advice", sa.Text),
        sa.Column("fields", sa.Text),
        sa.Column("seconds", sa.Float),
    )
    op.create_index("ecw_journal_at", "ecw_journal", ["practice", "at"])
    op.create_index("ecw_journal_crm_id", "ecw_journal", ["practice", "resource", "crm_id"])
    op.create_table(
        "ecw_conflict",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("crm_id", sa.String(64), primary_key=True),
        sa.Column("column", sa.String(128), primary_key=True),
        sa.Column("ecw_id", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("winner", sa.String(8)),
        sa.Column("crm_value", sa.Text),
        sa.Column("emr_value", sa.Text),
        sa.Column("choice", sa.String(8)),
        sa.Column("first_run", sa.String(250), nullable=False),
        sa.Column("last_run", sa.String(250), nullable=False),
    )
    op.create_index("ecw_conflict_state", "ecw_conflict", ["practice", "resource", "state"])
    say("made the tables ecw_agreed, ecw_intent, ecw_journal and ecw_conflict.")
    _lock()


# What 004 makes of a patient: a table with these very columns is ours, and can get one more.
_OURS = {
    *("id", "ecw_id", "active", "deceased", "deceased_on", "birth_date", "identifier", "mr_number", "first_name"),
    *("middle_name", "last_name", "suffix", "gender", "gender_identity", "birth_sex", "marital_status", "language"),
    *("race", "race_detail", "ethnicity", "ethnicity_detail", "phone", "mobile_phone", "work_phone", "email"),
    *("address_line1", "address_line2", "city", "state", "postal_code", "country"),
    *("default_location", "default_location_id", "practitioner", "practitioner_id"),
}


def _lock() -> None:
    """Give our patient table the column that stops updates; the CRM's own is left as it is."""
    if {column["name"] for column in sa.inspect(op.get_bind()).get_columns("patient")} == _OURS:
        op.add_column("patient", sa.Column("emr_updates_locked", sa.Boolean))
        say("added the column emr_updates_locked to the table patient.")
