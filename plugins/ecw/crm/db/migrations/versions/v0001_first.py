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


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text) for name in names]


def _practitioner() -> None:
    business_table(
        "practitioner",
        sa.Column("active", sa.Boolean),
        sa.Column("npi", sa.String(20)),
        *_texts("gender", "last_name", "first_name", "middle_name", "prefix", "suffix", "name_text", "phone"),
        *_texts("email", "address_line1", "address_line2", "city", "state", "postal_code"),
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
        sa.Column("active", sa.Boolean),
        *_texts("name", "description", "npi", "kind", "phone", "fax"),
        *_texts("address_line1", "address_line2", "city", "state", "postal_code", "country"),
        sa.Column("latitude", sa.Numeric(11, 8)),
        sa.Column("longitude", sa.Numeric(11, 8)),
        sa.Column("organization", sa.Text),
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
        sa.Column("active", sa.Boolean),
        sa.Column("deceased", sa.Boolean),
        sa.Column("deceased_on", sa.DateTime(timezone=True)),
        sa.Column("birth_date", sa.Date),
        *_texts("identifier", "mr_number", "first_name", "middle_name", "last_name", "suffix"),
        *_texts("gender", "gender_identity", "birth_sex", "marital_status", "language"),
        *_texts("race", "race_detail", "ethnicity", "ethnicity_detail"),
        *_texts("marital_status_text", "language_text", "race_text", "ethnicity_text"),
        *_texts("phone", "mobile_phone", "work_phone", "email"),
        *_texts("address_line1", "address_line2", "city", "state", "postal_code", "country"),
        *reference("default_location", "location"),
        *reference("practitioner", "practitioner"),
        sa.Column("emr_updates_locked", sa.Boolean),
        sa.Column("emr_status", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
    )


def _insurance() -> None:
    business_table(
        "insurance",
        *reference("patient", "patient", nullable=False),
        *_texts("status", "coverage_type", "relationship", "payer", "payer_reference"),
        *_texts("member_id", "subscriber_id", "subscriber_name", "dependent"),
        *_texts("group_number", "group_name", "plan_number", "plan_name", "network"),
        sa.Column("policy_order", sa.Integer),
        sa.Column("start_date", sa.Date),
        sa.Column("end_date", sa.Date),
        sa.Column("emr_status", sa.Text),
    )


def _encounter() -> None:
    business_table(
        "encounter",
        *reference("patient", "patient", nullable=False),
        *reference("practitioner", "practitioner"),
        *reference("location", "location"),
        sa.Column("start_time", sa.DateTime(timezone=True)),
        sa.Column("end_time", sa.DateTime(timezone=True)),
        *_texts("status", "visit_class", "visit_type", "reason", "treatment_program", "discharge_disposition"),
        sa.Column("emr_status", sa.Text),
    )


def _vob_request() -> None:
    if sa.inspect(crm()).has_table("vob_request"):
        say("left the table vob_request as it is: it is the CRM's own.")
        return
    _, patient_id = reference("patient", "patient")
    op.create_table(
        "vob_request",
        key(),
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
