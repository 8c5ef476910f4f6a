"""A patient that is held, and what comes of a person's choice."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from tests.push.conftest import ROW

CLINIC = "e.1"  # the patient that eCW has, and the CRM does not know


@pytest.fixture
def there(sandbox: Any) -> Any:
    """Put a patient into eCW: ROW's name and birth date, less what is said differently."""

    def put(ecw_id: str = CLINIC, given: str = "Ewa", **changes: Any) -> None:
        sandbox.put(
            {
                "resourceType": "Patient",
                "id": ecw_id,
                "identifier": [{"use": "usual", "system": "urn:oid:1", "value": ecw_id}],
                "name": [{"use": "usual", "family": ROW["last_name"], "given": [given]}],
                "birthDate": ROW["birth_date"].isoformat(),
                "gender": "female",
                **changes,
            }
        )

    return put


def chosen(crm: Any, pushing: Any, choice: str) -> str:
    """Push a patient that is held, and choose; return its CRM id."""
    crm_id = crm.add()
    assert push_patient(pushing("r1"), crm_id).status == "held"
    assert intents.choose(crm.engine, pushing().place, crm_id, choice, "tester")
    return str(crm_id)


def held(crm: Any, pushing: Any) -> intents.Intent:
    [(_, found)] = intents.held(crm.engine, pushing().place)
    return found


def test_a_chosen_patient_is_linked(sandbox: Any, crm: Any, pushing: Any, there: Any) -> None:
    there(given="Eva")
    crm_id = chosen(crm, pushing, CLINIC)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.ecw_id) == ("updated", CLINIC)
    assert crm.row(crm_id)["ecw_id"] == CLINIC


def test_an_mr_number_that_is_another_patient_s_keeps_a_namesake_from_being_linked(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    number = {"use": "secondary", "system": "urn:oid:1", "value": "777"}
    there(identifier=[{"use": "usual", "system": "urn:oid:1", "value": CLINIC}, number])
    assert push_patient(pushing(), crm.add(mr_number="778")).status == "held"
    assert held(crm, pushing).candidates == (CLINIC,)
    assert sandbox.served("transaction") == 0


def test_a_chosen_patient_whom_the_searches_find_no_longer_is_asked_about_once_more(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    there(given="Eva")
    crm_id, patients = chosen(crm, pushing, CLINIC), sandbox.held()["Patient"]
    there(given="Eva", birthDate="1980-02-01")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert (held(crm, pushing).candidates, held(crm, pushing).choice) == ((CLINIC,), None)
    assert intents.choose(crm.engine, pushing().place, crm_id, CLINIC, "tester")
    pushed = push_patient(pushing("r3"), crm_id)
    assert (pushed.status, pushed.ecw_id) == ("updated", CLINIC)
    assert sandbox.held()["Patient"] == patients


@pytest.mark.parametrize("how", ["gone", "merged"])
def test_a_chosen_patient_who_is_gone_is_neither_linked_nor_created(
    sandbox: Any, crm: Any, pushing: Any, there: Any, how: str
) -> None:
    there(given="Eva")
    crm_id = chosen(crm, pushing, CLINIC)
    if how == "gone":
        sandbox.delete("Patient", CLINIC)
    else:
        there(given="Eva", link=[{"other": {"reference": "Patient/e.2"}, "type": "replaced-by"}])
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert (held(crm, pushing).candidates, held(crm, pushing).choice) == ((), None)
    assert sandbox.served("transaction") == 0


def test_another_patient_that_is_found_for_certain_does_not_take_the_place_of_the_chosen_one(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    there(given="Eva")
    crm_id = chosen(crm, pushing, CLINIC)
    there("e.2")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, crm.row(crm_id)["ecw_id"]) == ("held", None)
    assert held(crm, pushing).candidates == (CLINIC, "e.2")


def test_a_new_patient_is_not_linked_to_one_that_a_person_has_ruled_out(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    there(gender="male")
    crm_id, patients = chosen(crm, pushing, intents.NEW), sandbox.held()["Patient"]
    there(gender="unknown")  # nothing speaks against it any more
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, sandbox.held()["Patient"]) == ("created", patients + 1)
    assert pushed.ecw_id != CLINIC


def test_a_patient_that_turned_up_since_is_asked_about_beside_the_one_that_was_ruled_out(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    there(given="Eva")
    crm_id = chosen(crm, pushing, intents.NEW)
    there("e.2", given="Ewah")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert held(crm, pushing).candidates == (CLINIC, "e.2")
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    assert push_patient(pushing("r3"), crm_id).status == "created"


@pytest.mark.parametrize(("fault", "status"), [("too_many", "later"), ("server_error", "unknown"), ("lose", "unknown")])
def test_who_is_ruled_out_stays_so_while_the_create_fails(
    sandbox: Any, crm: Any, pushing: Any, there: Any, fault: str, status: str
) -> None:
    there(gender="male")
    crm_id, patients = chosen(crm, pushing, intents.NEW), sandbox.held()["Patient"]
    there(gender="unknown")
    kind = "lose_response" if fault == "lose" else fault
    sandbox.fault(
        kind, interaction="transaction", times=3 if fault == "too_many" else 1
    )  # the client tries three times
    assert push_patient(pushing("r2"), crm_id).status == status
    pushed = push_patient(pushing("r3"), crm_id)
    assert (pushed.status, sandbox.held()["Patient"]) == ("created", patients + 1)
    assert pushed.ecw_id != CLINIC


def test_a_patient_whom_only_the_server_s_condition_finds_is_held_and_linked_when_chosen(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    sandbox.set(profile="fhir", undeclared="Patient.identifier")
    system = pushing().mapping.constants["identifier_system"]
    number = {"use": "usual", "system": system, "value": ROW["identifier"]}
    there(given="Zofia", birthDate="1999-09-09", identifier=[number])
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, sandbox.served("transaction"), sandbox.held()["Patient"]) == ("held", 1, patients)
    assert held(crm, pushing).candidates == (CLINIC,)
    assert intents.choose(crm.engine, pushing().place, crm_id, CLINIC, "tester")
    assert push_patient(pushing("r2"), crm_id).ecw_id == CLINIC
    assert sandbox.held()["Patient"] == patients


def test_ecw_s_word_that_the_patient_exists_is_no_reason_to_link_one_that_was_ruled_out(
    sandbox: Any, crm: Any, pushing: Any, there: Any
) -> None:
    there(gender="male")
    crm_id = chosen(crm, pushing, intents.NEW)
    there(gender="unknown")
    sandbox.fault("write_code", interaction="transaction", value="202", times=1)
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert (held(crm, pushing).candidates, held(crm, pushing).choice) == ((CLINIC,), None)
