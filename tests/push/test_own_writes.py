"""The push's own writes to the CRM are not edits, and the value that a CRM trigger makes of them is not pushed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.crm.state.test_edit_times import OWN_TRIGGER, execute, set_updated_at
from tests.push.patient.test_push import create_patient, ecw_record, edit_in_ecw, phone_of


def remove_link(engine: Engine) -> None:
    """Remove the link and its bookkeeping, as if the row had never been linked."""
    execute(engine, "DELETE FROM ecw_link", "DELETE FROM ecw_merge_base", "DELETE FROM ecw_intent")
    execute(engine, "UPDATE patient SET ecw_id = NULL")


@pytest.mark.parametrize("own_trigger", [False, True])
def test_writing_a_link_does_not_make_the_crms_values_newer(
    sandbox: Any, crm: Any, crm_engine: Engine, pushing: Any, own_trigger: bool
) -> None:
    if own_trigger:
        execute(crm_engine, *OWN_TRIGGER[crm_engine.dialect.name])
    crm_id, ecw_id = create_patient(crm, pushing)
    remove_link(crm_engine)
    crm.edit(crm_id, city="Salina")
    set_updated_at(crm_engine, "2020-01-01 00:00:00.000000")
    address = ecw_record(sandbox, ecw_id)["address"][0]
    edit_in_ecw(sandbox, ecw_id, address=[address | {"city": "Lawrence"}])
    push_patient(pushing("r2"), crm_id)
    assert crm.row(crm_id)["ecw_id"] == ecw_id
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Lawrence", "the clinic's edit of today stays"
    assert [row["winner"] for row in crm.all("ecw_conflict")] == ["emr"]


def test_an_edit_of_the_crm_that_is_newer_than_the_clinics_wins_when_the_row_is_linked(
    sandbox: Any, crm: Any, crm_engine: Engine, pushing: Any
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    remove_link(crm_engine)
    crm.edit(crm_id, phone="(913) 555-7777")
    push_patient(pushing("r2"), crm_id)
    assert phone_of(ecw_record(sandbox, ecw_id)) == "9135557777"


def test_a_trigger_that_changes_columns_during_the_pushs_write_makes_no_patient_due(
    sandbox: Any, crm: Any, crm_engine: Engine, pushing: Any
) -> None:
    crm_id = crm.add(mr_number=None)
    execute(
        crm_engine,
        *{
            "sqlite": (
                "CREATE TRIGGER shout AFTER UPDATE ON patient FOR EACH ROW WHEN NEW.city IS NOT upper(NEW.city) BEGIN "
                "UPDATE patient SET city = upper(city), mr_number = 'MR ' || mr_number WHERE id = NEW.id; END",
            ),
            "postgresql": (
                "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "NEW.city := upper(NEW.city); RETURN NEW; END $$",
                "CREATE TRIGGER shout BEFORE UPDATE ON patient FOR EACH ROW EXECUTE FUNCTION shout()",
            ),
        }[crm_engine.dialect.name],
    )
    assert push_patient(pushing(), crm_id).status == "created"
    assert crm.row(crm_id)["city"] == "TOPEKA", "the link was written, and the trigger ran"
    assert list(outbox(pushing())) == []
    assert confirm(pushing(), crm_id).seen
    assert list(outbox(pushing())) == []
