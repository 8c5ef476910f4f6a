"""The first version: the bookkeeping tables, and the business tables that the CRM lacks.

Until the first release the bookkeeping tables are created from `ecw.crm.db.tables`; the release freezes them here.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ecw.crm.db.business_table import practice_column
from ecw.crm.db.migrations.helpers import business_table, crm, key, made, reference, say, view
from ecw.crm.db.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create all tables, indexes, views and triggers."""
    metadata.create_all(op.get_bind(), checkfirst=False)
    say(f"made the bookkeeping tables {', '.join(table.name for table in metadata.sorted_tables)}.")
    _practitioner()
    _location()
    if _patient():
        _keep_time_of_change()
    _insurance()
    _encounter()
    _vob_request()


def _text(name: str, comment: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, comment=comment)


def _practitioner() -> None:
    business_table(
        "practitioner",
        sa.Column("active", sa.Boolean, comment="Active"),
        sa.Column("npi", sa.String(20), comment="NPI"),
        _text("gender", "Gender"),
        _text("last_name", "Last Name"),
        _text("first_name", "First Name"),
        _text("middle_name", "Middle Name"),
        _text("prefix", "Prefix"),
        _text("suffix", "Credentials"),
        _text("name_text", "Name as eCW shows it"),
        _text("phone", "Phone"),
        _text("email", "Email"),
        _text("address_line1", "Street"),
        _text("address_line2", "Street 2"),
        _text("city", "City"),
        _text("state", "State"),
        _text("postal_code", "Zip Code"),
        comment="The persons who treat patients. The CRM offers active practitioners in its dropdowns.",
    )
    # If eCW does not say who is active, all are offered.
    view(
        "practitioner_options",
        "practitioner",
        {"id", "active", "last_name", "first_name", "name_text", "ecw_id"},
        "SELECT id, coalesce(last_name || ', ' || first_name, name_text, last_name, ecw_id) AS label, "
        "coalesce(active, true) AS active, {practice} AS practice FROM {table}",
    )


def _location() -> None:
    business_table(
        "location",
        sa.Column("active", sa.Boolean, comment="Active"),
        _text("name", "Location"),
        _text("description", "Description"),
        _text("npi", "NPI"),
        _text("kind", "Type"),
        _text("phone", "Phone"),
        _text("fax", "Fax"),
        _text("address_line1", "Street"),
        _text("address_line2", "Street 2"),
        _text("city", "City"),
        _text("state", "State"),
        _text("postal_code", "Zip Code"),
        _text("country", "Country"),
        sa.Column("latitude", sa.Numeric(11, 8), comment="Latitude"),
        sa.Column("longitude", sa.Numeric(11, 8), comment="Longitude"),
        _text("organization", "Organization"),
        comment=(
            "The places of care. The CRM offers active locations in its dropdowns, and treatment programs "
            "point to them."
        ),
    )
    view(
        "location_options",
        "location",
        {"id", "active", "name", "description", "ecw_id"},
        "SELECT id, coalesce(name, description, ecw_id) AS label, coalesce(active, true) AS active, "
        "{practice} AS practice FROM {table}",
    )


# Beside every reference (`Patient/<eCW id>`) is a column for the key of the CRM's row, filled once that row exists.


def _patient() -> bool:
    return business_table(
        "patient",
        sa.Column("active", sa.Boolean, comment="Active"),
        sa.Column(
            "deceased",
            sa.Boolean,
            comment="Deceased: Also true if eCW has a date of death; a push does not replace that date.",
        ),
        sa.Column("deceased_on", sa.DateTime(timezone=True), comment="Date of Death"),
        sa.Column("birth_date", sa.Date, comment="DOB"),
        _text(
            "identifier",
            "EMR Identifier: A new patient needs one. eCW replaces it with its own id, so a later edit is not sent.",
        ),
        _text("mr_number", "MR Number: The account number. eCW marks it only by its use, other servers by its type."),
        _text("first_name", "First Name"),
        _text("middle_name", "Middle Name"),
        _text("last_name", "Last Name"),
        _text("suffix", "Suffix"),
        _text("gender", "Gender"),
        _text("gender_identity", "Gender Identity"),
        _text("birth_sex", "Birth Sex"),
        _text("marital_status", "Marital Status"),
        _text("language", "Language"),
        _text("race", "Race"),
        _text("race_detail", "Race Detail"),
        _text("ethnicity", "Ethnicity"),
        _text("ethnicity_detail", "Ethnicity Detail"),
        _text("marital_status_text", "Marital Status as eCW writes it"),
        _text("language_text", "Language as eCW writes it"),
        _text("race_text", "Race as eCW writes it"),
        _text("ethnicity_text", "Ethnicity as eCW writes it"),
        _text("phone", "Phone"),
        _text("mobile_phone", "Mobile Phone"),
        _text("work_phone", "Work Phone"),
        _text("email", "Email"),
        _text("address_line1", "Street"),
        _text("address_line2", "Street 2"),
        _text("city", "City"),
        _text("state", "State"),
        _text("postal_code", "Zip Code"),
        _text("country", "Country"),
        *reference("default_location", "location", comment="Location"),
        *reference(
            "practitioner",
            "practitioner",
            comment=(
                "Practitioner: The first reference to a practitioner, or to a contained role of one; "
                "organizations are ignored."
            ),
        ),
        sa.Column(
            "emr_updates_locked",
            sa.Boolean,
            comment="True: the row takes no updates from eCW, and nothing of it is pushed",
        ),
        _text(
            "emr_status",
            "The record's status in eCW: inactive, merged, deceased or deleted, with the reason",
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), comment="When the row was last changed; a trigger fills it"
        ),
        comment="The person. Demographics are synchronised both ways.",
    )


def _insurance() -> None:
    business_table(
        "insurance",
        *reference("patient", "patient", nullable=False, comment="Account"),
        _text("status", "Status"),
        _text("coverage_type", "Coverage Type"),
        _text("relationship", "Relationship to Subscriber"),
        _text("payer", "Payer: The name of the first payor that has one; for a contained payor, its own name."),
        _text("payer_reference", "Payer in eCW"),
        _text("member_id", "Member ID"),
        _text("subscriber_id", "Subscriber ID"),
        _text("subscriber_name", "Subscriber"),
        _text("dependent", "Dependent"),
        _text("group_number", "Group Number"),
        _text("group_name", "Group"),
        _text("plan_number", "Plan Number"),
        _text("plan_name", "Plan"),
        _text("network", "Network"),
        sa.Column("policy_order", sa.Integer, comment="Order: 1 is the primary insurance."),
        sa.Column("start_date", sa.Date, comment="Effective Date"),
        sa.Column("end_date", sa.Date, comment="Termination Date"),
        _text(
            "emr_status",
            "The record's status in eCW: inactive, merged, deceased or deleted, with the reason",
        ),
        comment="The Insurance Policy. eCW to CRM only; a change opens a verification of benefits.",
    )


def _encounter() -> None:
    business_table(
        "encounter",
        *reference("patient", "patient", nullable=False, comment="Account"),
        *reference(
            "practitioner",
            "practitioner",
            comment=(
                "Practitioner: Who sees the patient: the primary performer, otherwise the attender, the "
                "secondary performer, a participant, one without a type, or any other. Relatives and "
                "organizations are ignored; for a contained role, its practitioner is used."
            ),
        ),
        *reference("location", "location", comment="Location"),
        sa.Column("start_time", sa.DateTime(timezone=True), comment="Start"),
        sa.Column("end_time", sa.DateTime(timezone=True), comment="End"),
        _text("status", "Status: An appointment has the status planned, and keeps it if nobody closes it."),
        _text("visit_class", "Level of Care"),
        _text("visit_type", "Visit Type"),
        _text("reason", "Visit Reason"),
        _text("treatment_program", "Treatment Program"),
        _text("discharge_disposition", "Discharge Disposition"),
        _text(
            "emr_status",
            "The record's status in eCW: inactive, merged, deceased or deleted, with the reason",
        ),
        comment="Visits and appointments. eCW to CRM only.",
    )


def _vob_request() -> None:
    if sa.inspect(crm()).has_table("vob_request"):
        say("left the table vob_request as it is: it is the CRM's own.")
        return
    _, patient_id = reference("patient", "patient", comment="The patient")
    op.create_table(
        "vob_request",
        key(),
        sa.Column(
            "key",
            sa.String(64),
            nullable=False,
            unique=True,
            comment="The request's own key: one for the changes that one load made to a patient",
        ),
        sa.Column("practice", sa.String(64), nullable=False, comment="The practice: one eCW tenant"),
        patient_id,
        sa.Column("patient_ecw_id", sa.String(128), nullable=False, comment="The patient's eCW id"),
        sa.Column("resource", sa.String(64), nullable=False, comment="The resource that changed: patient or insurance"),
        sa.Column(
            "record_ecw_ids", sa.Text, nullable=False, comment="The eCW ids of the changed records, separated by commas"
        ),
        sa.Column("change", sa.Text, nullable=False, comment="The names of the changed columns, separated by commas"),
        sa.Column("run_id", sa.String(250), nullable=False, comment="The run that loaded the change"),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False, comment="When the request was opened"),
        sa.Column(
            "state", sa.String(16), nullable=False, comment="open when the project writes it; the CRM sets all others"
        ),
        sa.Column(
            "delivery", sa.String(16), nullable=False, comment="To the webhook: waiting, delivered, refused, none"
        ),
        sa.Column("attempts", sa.Integer, nullable=False, comment="How often the delivery was tried"),
        sa.Column("sent_at", sa.DateTime(timezone=True), comment="When it was delivered, none: not yet"),
        sa.Column("delivery_note", sa.Text, comment="Why the last attempt failed"),
        sqlite_autoincrement=True,
        comment="The requests to verify benefits, one for each change of a patient's insurance or demographics.",
    )
    op.create_index("vob_request_delivery", "vob_request", ["practice", "delivery"])
    op.create_index("vob_request_patient_id", "vob_request", ["patient_id"])
    say("made the table vob_request.")


# The time as SQLAlchemy writes it into SQLite.
_SQLITE_TRIGGER = """
CREATE TRIGGER ecw_patient_touched AFTER UPDATE ON patient FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at BEGIN
    UPDATE patient SET updated_at = strftime('%Y-%m-%d %H:%M:%f000', 'now') WHERE id = NEW.id;
END
"""


_NOT_FIELDS = ("id", "ecw_id", "emr_status", "emr_updates_locked", "updated_at")


_SQLITE_FIELDS = """
CREATE TRIGGER ecw_patient_fields AFTER UPDATE ON patient FOR EACH ROW BEGIN
    INSERT INTO ecw_field_change ("table", crm_id, "column", changed_at)
    SELECT 'patient', CAST(NEW.id AS TEXT), field, strftime('%Y-%m-%d %H:%M:%f000', 'now') FROM ({changed}) WHERE true
    ON CONFLICT ("table", crm_id, "column") DO UPDATE SET changed_at = excluded.changed_at;
END
"""


def _not_fields() -> tuple[str, ...]:
    return (*_NOT_FIELDS, practice_column(crm()))


def _sqlite_fields() -> str:
    names = made("patient")
    changed = [f"SELECT '{name}' AS field WHERE NEW.{name} IS NOT OLD.{name}" for name in names]
    fields = [one for name, one in zip(names, changed, strict=True) if name not in _not_fields()]
    return _SQLITE_FIELDS.format(changed=" UNION ALL ".join(fields))


# The project's own writes are no edits: see ecw.crm.state.edit_times. SECURITY DEFINER, because users who may change a
# patient need no rights on the bookkeeping tables.
_POSTGRESQL_FIELDS = """
CREATE FUNCTION ecw_fields_changed() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$ BEGIN
    INSERT INTO ecw_field_change ("table", crm_id, "column", changed_at)
    SELECT TG_TABLE_NAME, NEW.id::text, now_.key, clock_timestamp()
    FROM jsonb_each(to_jsonb(NEW)) now_ JOIN jsonb_each(to_jsonb(OLD)) then_ USING (key)
    WHERE now_.value <> then_.value AND now_.key NOT IN ({not_fields})
    ON CONFLICT ("table", crm_id, "column") DO UPDATE SET changed_at = excluded.changed_at;
    RETURN NULL;
END $$
"""


def _keep_time_of_change() -> None:
    """Create triggers that record when a patient, and each field of a patient, was last changed.

    The rule `newest` compares the times, and the push finds changed rows by them. A row without changes has no time.
    """
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ecw_touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN NEW.updated_at := clock_timestamp(); END IF; "
            "RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER ecw_patient_touched BEFORE UPDATE ON patient FOR EACH ROW "
            "WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION ecw_touched()"
        )
        op.execute(_POSTGRESQL_FIELDS.format(not_fields=", ".join(f"'{name}'" for name in _not_fields())))
        op.execute(
            "CREATE TRIGGER ecw_patient_fields AFTER UPDATE ON patient FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.* "
            "AND current_setting('ecw.own_write', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION ecw_fields_changed()"
        )
    else:
        op.execute(_SQLITE_TRIGGER)
        op.execute(_sqlite_fields())
