"""The project's own writes are not edits of the CRM, and an edit of one field does not date another field."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ecw.crm.db.business_table import Mapped
from ecw.models import Counts
from tests.crm.load.test_three_way import (
    COLUMNS,
    FIRST,
    PATIENT,
    RULES,
    a_staged_row,
    base_of_a,
    crm_row,
    edit,
    load,
    run_row,
    table,
)
from tests.fixtures.crm import on_postgresql
from tests.fixtures.loads import a_batch, a_reject, a_run, load_rows

# A CRM may have its own trigger, which sets updated_at at every write.
OWN_TRIGGER = {
    "sqlite": (
        "DROP TRIGGER ecw_patient_touched",
        "DROP TRIGGER ecw_patient_fields",
        "CREATE TRIGGER own AFTER UPDATE ON patient FOR EACH ROW WHEN NEW.updated_at IS OLD.updated_at BEGIN "
        "UPDATE patient SET updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = NEW.id; END",
    ),
    "postgresql": (
        "DROP TRIGGER ecw_patient_touched ON patient",
        "DROP TRIGGER ecw_patient_fields ON patient",
        "ALTER TABLE patient ALTER COLUMN updated_at SET DEFAULT now()",
        "CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at := clock_timestamp(); "
        "RETURN NEW; END $$",
        "CREATE TRIGGER own BEFORE UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION own()",
    ),
}
UPPER = {
    "sqlite": (
        "CREATE TRIGGER upper_i AFTER INSERT ON patient FOR EACH ROW BEGIN "
        "UPDATE patient SET last_name = upper(last_name) WHERE id = NEW.id; END",
        "CREATE TRIGGER upper_u AFTER UPDATE OF last_name ON patient FOR EACH ROW BEGIN "
        "UPDATE patient SET last_name = upper(last_name) WHERE id = NEW.id; END",
    ),
    "postgresql": (
        "CREATE FUNCTION upper_name() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "NEW.last_name := upper(NEW.last_name); RETURN NEW; END $$",
        "CREATE TRIGGER upper_name BEFORE INSERT OR UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION upper_name()",
    ),
}


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture(params=["the project's trigger", "the CRM's own trigger"])
def engine(request: pytest.FixtureRequest, crm_engine: Engine) -> Engine:
    if request.param != "the project's trigger":
        execute(crm_engine, *OWN_TRIGGER[crm_engine.dialect.name])
    return crm_engine


def set_updated_at(engine: Engine, moment: str) -> None:
    """Set the time of the CRM row's last change, without firing triggers."""
    off, on = {
        "sqlite": ("", ""),
        "postgresql": ("ALTER TABLE patient DISABLE TRIGGER USER", "ALTER TABLE patient ENABLE TRIGGER USER"),
    }[engine.dialect.name]
    execute(engine, *filter(None, (off, f"UPDATE patient SET updated_at = '{moment}'", on)))  # noqa: S608
    execute(engine, "DELETE FROM ecw_field_change")


def marked(engine: Engine) -> None:
    load(engine, a_staged_row(11) | {"status": ["inactive", "eCW has deactivated it"]}, run_id="r2")


def deleted(engine: Engine) -> None:
    reject = a_reject("a", rule="deleted", column=None, hour=11)
    load_rows(engine, a_run("r2"), a_batch([], [reject], resource="patient"), PATIENT, [], [reject])


def updated(engine: Engine) -> None:
    load(engine, a_staged_row(11, last_name="Ruiz"), run_id="r2")


def resolved(engine: Engine) -> None:
    names = (*COLUMNS, "practitioner")
    mapped = Mapped("patient", "ecw_id", names, "m2", references=frozenset({"practitioner"}), rules=RULES)
    load(engine, a_staged_row(11, practitioner="Practitioner/p"), run_id="r2", mapped=mapped)
    batch = a_batch([], [], resource="practitioner")
    staged = {"ecw_id": "p", "version": None, "hash": "p", "row": {"ecw_id": "p", "last_name": "Who"}}
    practitioner = Mapped("practitioner", "ecw_id", ("ecw_id", "last_name"), "m1")
    load_rows(engine, a_run("r3"), batch | {"fetched": 1, "count": 1}, practitioner, [staged], [])
    load(engine, a_staged_row(12, ecw_id="b"), run_id="r4", mapped=mapped)
    [link] = [row for row in table(engine, "ecw_link") if row["ecw_id"] == "p"]
    with engine.connect() as connection:
        key = connection.execute(text("SELECT practitioner_id FROM patient WHERE ecw_id = 'a'")).scalar()
    assert str(key) == link["crm_id"], "the row of an earlier load was written"


@pytest.mark.parametrize("write", [marked, deleted, updated, resolved])
def test_a_write_of_the_load_is_not_an_edit_of_the_crm(engine: Engine, write: Callable[[Engine], None]) -> None:
    load(engine, a_staged_row())
    edit(engine, phone="222")
    set_updated_at(engine, "2020-01-01 00:00:00.000000")
    write(engine)
    load(engine, a_staged_row(13, phone="333"), run_id="r9")
    assert crm_row(engine)["phone"] == "333", "eCW's edit is of 2026, the CRM's of 2020"
    [conflict] = [row for row in table(engine, "ecw_conflict") if row["column"] == "phone"]
    assert conflict["winner"] == "emr"


def test_a_crm_edit_after_an_insert_is_newer_than_the_pulled_version(engine: Engine) -> None:
    load(engine, a_staged_row())
    edit(engine, phone="222")
    load(engine, a_staged_row(11, phone="333"), run_id="r2")
    assert crm_row(engine)["phone"] == "222", "an edit of today, after a version of the 22nd"


def test_a_crm_edit_after_a_write_of_the_load_counts(engine: Engine) -> None:
    load(engine, a_staged_row())
    edit(engine, phone="222")
    set_updated_at(engine, "2020-01-01 00:00:00.000000")
    updated(engine)
    edit(engine, phone="444")
    load(engine, a_staged_row(13, last_name="Ruiz", phone="333"), run_id="r9")
    assert crm_row(engine)["phone"] == "444"


def test_an_edit_of_another_field_does_not_make_a_value_newer(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    edit(crm_engine, phone="222")
    execute(crm_engine, "UPDATE ecw_field_change SET changed_at = '2020-01-01 00:00:00.000000'")
    edit(crm_engine, city="Salina")  # now
    load(crm_engine, a_staged_row(11, phone="333"), run_id="r2")
    assert crm_row(crm_engine) == FIRST | {"phone": "333", "city": "Salina"}


def test_a_field_without_an_edit_time_is_older_than_the_edited_field(crm_engine: Engine) -> None:
    execute(crm_engine, "INSERT INTO patient (ecw_id, last_name, phone) VALUES ('a', 'Reyes', '222')")
    edit(crm_engine, mr_number="M1")
    execute(crm_engine, "UPDATE ecw_field_change SET changed_at = '2021-01-01 00:00:00.000000'")
    load(crm_engine, a_staged_row(11, phone="333"), run_id="r1")
    assert crm_row(crm_engine)["phone"] == "333", "the phone was last edited in 2021 or before"


@pytest.fixture
def uppercasing(crm_engine: Engine) -> Engine:
    """A CRM whose trigger writes every family name in capitals."""
    execute(crm_engine, *UPPER[crm_engine.dialect.name])
    return crm_engine


def test_the_merge_base_holds_the_values_that_a_trigger_wrote(uppercasing: Engine, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        assert load(uppercasing, a_staged_row(), a_staged_row(ecw_id="b", last_name="Ruiz")) == Counts(
            fetched=2, inserted=2
        )
    assert crm_row(uppercasing)["last_name"] == "REYES"
    assert (base_of_a(uppercasing).crm["last_name"], base_of_a(uppercasing).emr["last_name"]) == ("REYES", "Reyes")
    assert run_row(uppercasing, "r")["rewritten"] == "last_name 2"
    warnings = [record.getMessage() for record in caplog.records if "another value in last_name" in record.getMessage()]
    assert len(warnings) == 1, "one warning for a column, not one for each row"
    assert not any("REYES" in record.getMessage() or "Reyes" in record.getMessage() for record in caplog.records)

    assert load(uppercasing, a_staged_row(11, phone="222"), run_id="r2") == Counts(fetched=1, updated=1)
    assert (run_row(uppercasing, "r2")["pending_push"], run_row(uppercasing, "r2")["conflicts"]) == (0, 0)
    assert load(uppercasing, a_staged_row(12, phone="222", last_name="Rios"), run_id="r3") == Counts(
        fetched=1, updated=1
    )
    assert (crm_row(uppercasing)["last_name"], base_of_a(uppercasing).crm["last_name"]) == ("RIOS", "RIOS")
    assert load(uppercasing, a_staged_row(13, phone="222", last_name="Rios"), run_id="r4") == Counts(
        fetched=1, unchanged=1
    )


def test_a_load_does_not_put_a_crm_edit_that_is_still_to_be_pushed_into_the_merge_base(uppercasing: Engine) -> None:
    load(uppercasing, a_staged_row())
    edit(uppercasing, last_name="ours")
    load(uppercasing, a_staged_row(11, phone="222"), run_id="r2")
    assert (crm_row(uppercasing)["last_name"], base_of_a(uppercasing).crm["last_name"]) == ("OURS", "REYES")


@on_postgresql
def test_a_user_who_may_update_patients_needs_no_right_on_the_projects_tables(crm_engine: Engine) -> None:
    load(crm_engine, a_staged_row())
    execute(crm_engine, "DROP ROLE IF EXISTS intake", "CREATE ROLE intake", "GRANT SELECT, UPDATE ON patient TO intake")
    with crm_engine.begin() as connection:
        connection.execute(text("SET LOCAL ROLE intake"))
        connection.execute(text("UPDATE patient SET phone = '222'"))
    assert [row["column"] for row in table(crm_engine, "ecw_field_change")] == ["phone"]
    execute(crm_engine, "DROP OWNED BY intake", "DROP ROLE intake")
