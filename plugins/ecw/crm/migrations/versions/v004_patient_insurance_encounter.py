"""Patients, their insurance and their encounters."""

import sqlalchemy as sa

from ecw.crm.migrations.helping import business_table, reference

revision = "004"
down_revision = "003"


def upgrade() -> None:
    """Create the tables where the CRM has none.

    Beside every reference (`Patient/<eCW id>`) stands the key of the CRM's row that it means, once that row is here.
    """
    business_table(
        "patient",
        sa.Column("active", sa.Boolean),
        sa.Column("deceased", sa.Boolean),
        sa.Column("deceased_on", sa.DateTime(timezone=True)),
        sa.Column("birth_date", sa.Date),
        *(
            sa.Column(name, sa.Text)
            for name in (
                *("identifier", "mr_number", "first_name", "middle_name", "last_name", "suffix"),
                *("gender", "gender_identity", "birth_sex", "marital_status", "language"),
                *("race", "race_detail", "ethnicity", "ethnicity_detail"),
                *("phone", "mobile_phone", "work_phone", "email"),
                *("address_line1", "address_line2", "city", "state", "postal_code", "country"),
            )
        ),
        *reference("default_location", "location"),
        *reference("practitioner", "practitioner"),
    )
    business_table(
        "insurance",
        *reference("patient", "patient", nullable=False),
        *(
            sa.Column(name, sa.Text)
            for name in (
                *("status", "coverage_type", "relationship", "payer", "payer_reference"),
                *("member_id", "subscriber_id", "subscriber_name", "dependent"),
                *("group_number", "group_name", "plan_number", "plan_name", "network"),
            )
        ),
        sa.Column("policy_order", sa.Integer),
        sa.Column("start_date", sa.Date),
        sa.Column("end_date", sa.Date),
    )
    business_table(
        "encounter",
        *reference("patient", "patient", nullable=False),
        *reference("practitioner", "practitioner"),
        *reference("location", "location"),
        sa.Column("start_time", sa.DateTime(timezone=True)),
        sa.Column("end_time", sa.DateTime(timezone=True)),
        *(
            sa.Column(name, sa.Text)
            for name in ("status", "visit_class", "visit_type", "reason", "treatment_program", "discharge_disposition")
        ),
    )
