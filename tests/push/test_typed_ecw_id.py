"""An eCW id that a user typed into the CRM's row: nothing is sent to that patient unless it is the same person."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox
from tests.push.names import person
from tests.push.patient.test_push import INITIAL_PATIENTS, create_patient, ecw_record

# Another person than conftest's ROW.
OTHER: dict[str, Any] = {
    **person(5),
    "identifier": "ACC-2",
    "first_name": "Adam",
    "gender": "Male",
    "phone": "5550001111",
    "city": "Hays",
}


def unlinked_patient(sandbox: Any) -> dict[str, Any]:
    """Return a patient of eCW that the CRM does not have."""
    patient: dict[str, Any] = next(
        one for one in sandbox.records("Patient") if one.get("telecom") and one.get("address")
    )
    return patient


def columns_of(patient: dict[str, Any]) -> dict[str, Any]:
    """Return the CRM columns of a patient of eCW."""
    name = patient["name"][0]
    born = {"last_name": name["family"], "first_name": name["given"][0], "birth_date": patient["birthDate"]}
    return born | {"gender": patient["gender"].capitalize(), "phone": None, "city": None}


def held_patient(crm: Any, pushing: Any) -> tuple[str, intents.Intent]:
    [one] = intents.held(crm.engine, pushing().place)
    return one


def test_a_typed_id_of_a_patient_that_is_linked_to_another_row_is_held(sandbox: Any, crm: Any, pushing: Any) -> None:
    first, ecw_id = create_patient(crm, pushing)
    crm_id = crm.add(**OTHER, ecw_id=ecw_id)
    before = ecw_record(sandbox, ecw_id)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.outcome.message) == (
        "held",
        "Held (eCW id in the CRM): it is linked to another record of the CRM",
    )
    assert ecw_record(sandbox, ecw_id) == before
    assert [row["crm_id"] for row in crm.all("ecw_link")] == [first]
    assert ("hold", "link to existing") in crm.journal()
    assert outbox(pushing()).not_sent == {"held": 1}
    who, intent = held_patient(crm, pushing)
    assert (who, intent.candidates) == (crm_id, (ecw_id,))
    assert intents.choose(crm.engine, pushing().place, crm_id, ecw_id, "tester")
    assert push_patient(pushing("r3"), crm_id).status == "held", "a patient of eCW can be linked to only one row"
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    pushed = push_patient(pushing("r4"), crm_id)
    assert (pushed.status, sandbox.held()["Patient"]) == ("created", INITIAL_PATIENTS + 2)
    assert (crm.row(crm_id)["ecw_id"], ecw_record(sandbox, ecw_id)) == (pushed.ecw_id, before)


def test_a_typed_id_of_another_person_is_held_until_it_is_removed(sandbox: Any, crm: Any, pushing: Any) -> None:
    before = unlinked_patient(sandbox)
    crm_id = crm.add(**OTHER, ecw_id=before["id"])
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, pushed.outcome.message) == (
        "held",
        "Held (eCW id in the CRM): the birth date or the name differs",
    )
    assert (ecw_record(sandbox, before["id"]), crm.all("ecw_link")) == (before, [])
    assert outbox(pushing()).not_sent == {"held": 1}
    crm.edit(crm_id, ecw_id=None)
    assert list(outbox(pushing())) == [crm_id], "a user removed the id from the row"
    assert push_patient(pushing("r2"), crm_id).status == "created"


def test_a_typed_id_is_linked_once_a_person_chooses_it(sandbox: Any, crm: Any, pushing: Any) -> None:
    ecw_id = unlinked_patient(sandbox)["id"]
    crm_id = crm.add(**OTHER, ecw_id=ecw_id, suffix="Jr")
    assert push_patient(pushing(), crm_id).status == "held"
    assert intents.choose(crm.engine, pushing().place, crm_id, ecw_id, "tester")
    assert list(outbox(pushing())) == [crm_id]
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.ecw_id) == ("updated", ecw_id)
    assert "suffix" in pushed.fields
    assert pushed.conflicts, "the names are open conflicts"
    assert [(row["crm_id"], row["ecw_id"]) for row in crm.all("ecw_link")] == [(crm_id, ecw_id)]


def test_a_typed_id_of_the_same_person_is_linked_and_updated(sandbox: Any, crm: Any, pushing: Any) -> None:
    before = unlinked_patient(sandbox)
    crm_id = crm.add(**columns_of(before), ecw_id=before["id"], suffix="Jr")
    assert push_patient(pushing(dry_run=True), crm_id).status == "linked"
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, "suffix" in pushed.fields) == ("updated", True)
    assert ecw_record(sandbox, before["id"])["name"][0]["suffix"] == ["Jr"]
    assert [operation for operation, _ in crm.journal()] == ["link", "update"]


def test_a_choice_for_one_typed_id_does_not_apply_to_another(sandbox: Any, crm: Any, pushing: Any) -> None:
    one, two, *_ = (each for each in sandbox.records("Patient") if each.get("address"))
    crm_id = crm.add(**OTHER, ecw_id=one["id"])
    push_patient(pushing(), crm_id)
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    crm.edit(crm_id, ecw_id=two["id"])
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert held_patient(crm, pushing)[1].candidates == (two["id"],)


@pytest.mark.parametrize("only", ["create", "update"])
def test_an_operation_that_the_options_exclude_is_skipped(sandbox: Any, crm: Any, pushing: Any, only: str) -> None:
    crm_id = crm.add(**OTHER, ecw_id=unlinked_patient(sandbox)["id"])
    if only == "update":
        push_patient(pushing(), crm_id)
        assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    operations = {"create": only == "create", "update": only == "update"}
    assert push_patient(pushing("r2", **operations), crm_id).status == "skipped"
    assert crm.row(crm_id)["ecw_id"]


def test_an_update_whose_link_was_removed_during_the_request_is_in_the_journal(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    other = crm.add(**OTHER)
    crm.edit(crm_id, city="Lawrence")
    run = pushing("r2")
    transact = run.client.transact

    def transact_after_unlink(*request: Any, **options: Any) -> Any:
        with crm.engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE ecw_link SET crm_id = '{other}'")  # noqa: S608
        return transact(*request, **options)

    run.client.transact = transact_after_unlink
    pushed = push_patient(run, crm_id)
    assert (pushed.status, ecw_record(sandbox, ecw_id)["address"][0]["city"]) == ("held", "Lawrence")
    assert crm.journal()[-1] == ("update", "done")
