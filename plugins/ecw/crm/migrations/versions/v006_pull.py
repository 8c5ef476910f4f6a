"""What the whole pull needs: what became of a patient, rows that wait for another record, and more of the ledger."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "006"
down_revision = "005"

_LEDGER = ("locked", "conflicts", "kept", "learned", "parked", "released")


def upgrade() -> None:
    """Create and extend the tables; their meaning is told in ecw.crm.tables."""
    op.add_column("ecw_link", sa.Column("status", sa.String(16)))
    op.add_column("ecw_link", sa.Column("status_reason", sa.Text))
    op.add_column("ecw_run", sa.Column("strategy", sa.String(32)))
    for name in _LEDGER:
        op.add_column("ecw_run", sa.Column(name, sa.Integer))
    op.create_table(
        "ecw_parked",
        sa.Column("practice", sa.String(64), primary_key=True),
        sa.Column("resource", sa.String(64), primary_key=True),
        sa.Column("ecw_id", sa.String(128), primary_key=True),
        sa.Column("missing_resource", sa.String(64), nullable=False),
        sa.Column("missing_id", sa.String(128), nullable=False),
        sa.Column("source_version", sa.DateTime(timezone=True)),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("parked_run", sa.String(250), nullable=False),
    )
    op.create_index("ecw_parked_missing", "ecw_parked", ["practice", "missing_resource", "missing_id"])
    say("made the table ecw_parked and extended ecw_link and ecw_run.")
    _patient()


# What 004 and 005 make of a patient: a table with these very columns is ours, and can get more.
_OURS = {
    *("id", "ecw_id", "active", "deceased", "deceased_on", "birth_date", "identifier", "mr_number", "first_name"),
    *("middle_name", "last_name", "suffix", "gender", "gender_identity", "birth_sex", "marital_status", "language"),
    *("race", "race_detail", "ethnicity", "ethnicity_detail", "phone", "mobile_phone", "work_phone", "email"),
    *("address_line1", "address_line2", "city", "state", "postal_code", "country"),
    *("default_location", "default_location_id", "practitioner", "practitioner_id", "emr_updates_locked"),
}
# The time as SQLAlchemy writes it into SQLite.
_SQLITE_TRIGGER = """
CREATE TRIGGER ecw_patient_touched AFTER UPDATE ON patient FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at BEGIN
    UPDATE patient SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = NEW.id;
END
"""


def _patient() -> None:
    """Give our patient table a mark for the inactive, merged, deceased and vanished, and the time of the last change.

    The time is what the rule `newest` compares, and how a change is noticed; the database keeps it itself, whoever
    changes a row; a row that was never changed has none. The CRM's own table is left as it is.
    """
    bind = op.get_bind()
    if {column["name"] for column in sa.inspect(bind).get_columns("patient")} != _OURS:
        return
    op.add_column("patient", sa.Column("emr_status", sa.Text))
    op.add_column("patient", sa.Column("updated_at", sa.DateTime(timezone=True)))
    if bind.dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ecw_touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN NEW.updated_at := clock_timestamp(); END IF; "
            "RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER ecw_patient_touched BEFORE UPDATE ON patient FOR EACH ROW "
            "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION ecw_touched()"
        )
    else:
        op.execute(_SQLITE_TRIGGER)
    say("added the columns emr_status and updated_at to the table patient.")
