"""Practitioners and locations, and the views that the CRM's dropdowns read."""

import sqlalchemy as sa

from ecw.crm.migrations.helping import business_table, view

revision = "002"
down_revision = "001"


def upgrade() -> None:
    """Create both tables where the CRM has none, and a view of id, label and active over each."""
    business_table(
        "practitioner",
        sa.Column("active", sa.Boolean),
        sa.Column("npi", sa.String(20)),
        *(
            sa.Column(name, sa.Text)
            for name in (
                *("gender", "last_name", "first_name", "middle_name", "prefix", "suffix", "name_text", "phone"),
                *("email", "address_line1", "address_line2", "city", "state", "postal_code"),
            )
        ),
    )
    # eCW may not say whether somebody is active; then they are offered.
    view(
        "practitioner_options",
        "practitioner",
        {"id", "active", "last_name", "first_name", "name_text", "ecw_id"},
        "SELECT id, coalesce(last_name || ', ' || first_name, name_text, last_name, ecw_id) AS label, "
        "coalesce(active, true) AS active FROM practitioner",
    )
    business_table(
        "location",
        sa.Column("active", sa.Boolean),
        *(
            sa.Column(name, sa.Text)
            for name in (
                *("name", "description", "npi", "kind", "phone", "fax"),
                *("address_line1", "address_line2", "city", "state", "postal_code", "country"),
            )
        ),
        sa.Column("latitude", sa.Numeric(11, 8)),
        sa.Column("longitude", sa.Numeric(11, 8)),
        sa.Column("organization", sa.Text),
    )
    view(
        "location_options",
        "location",
        {"id", "active", "name", "description", "ecw_id"},
        "SELECT id, coalesce(name, description, ecw_id) AS label, coalesce(active, true) AS active FROM location",
    )
