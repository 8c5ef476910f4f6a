"""The mark of insurance and encounters that eCW no longer has."""

import sqlalchemy as sa
from alembic import op

from ecw.crm.migrations.helping import say

revision = "014"
down_revision = "013"

# What 004 makes: a table with these very columns is ours, and can get more.
_OURS = {
    "insurance": {
        *("id", "ecw_id", "patient", "patient_id", "status", "coverage_type", "relationship", "payer"),
        *("payer_reference", "member_id", "subscriber_id", "subscriber_name", "dependent", "group_number"),
        *("group_name", "plan_number", "plan_name", "network", "policy_order", "start_date", "end_date"),
    },
    "encounter": {
        *("id", "ecw_id", "patient", "patient_id", "practitioner", "practitioner_id", "location", "location_id"),
        *("start_time", "end_time", "status", "visit_class", "visit_type", "reason", "treatment_program"),
        "discharge_disposition",
    },
}


def upgrade() -> None:
    """Add the column that patients have had since 006; a table of the CRM's own is left as it is."""
    for name, ours in _OURS.items():
        if {column["name"] for column in sa.inspect(op.get_bind()).get_columns(name)} == ours:
            op.add_column(name, sa.Column("emr_status", sa.Text))
            say(f"added the column emr_status to the table {name}.")
