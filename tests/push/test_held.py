"""A patient that is held, and the results of a person's choice."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from tests.push.conftest import ROW

CLINIC = "e.1"  # a patient that eCW has and that has no link


@pytest.fixture
def put_into_ecw(sandbox: Any) -> Any:
    """Return a function that puts a patient with ROW's name and birth date into eCW, with these changes."""

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


def hold_and_choose(crm: Any, pushing: Any, choice: str) -> str:
    """Push a patient that is held, and choose; return its CRM id."""
    crm_id = crm.add()
    assert push_patient(pushing("r1"), crm_id).status == "held"
    assert intents.choose(crm.engine, pushing().place, crm_id, choice, "tester")
    return str(crm_id)


def held_intent(crm: Any, pushing: Any) -> intents.Intent:
    [(_, found)] = intents.held(crm.engine, pushing().place)
    return found


def test_the_chosen_patient_is_linked(sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any) -> None:
    put_into_ecw(given="Eva")
    crm_id = hold_and_choose(crm, pushing, CLINIC)
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.ecw_id) == ("updated", CLINIC)
    assert crm.row(crm_id)["ecw_id"] == CLINIC


def test_a_namesake_with_another_mr_number_is_held_and_not_linked(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    number = {"use": "secondary", "system": "urn:oid:1", "value": "777"}
    put_into_ecw(identifier=[{"use": "usual", "system": "urn:oid:1", "value": CLINIC}, number])
    assert push_patient(pushing(), crm.add(mr_number="778")).status == "held"
    assert held_intent(crm, pushing).candidates == (CLINIC,)
    assert sandbox.served("transaction") == 0


def test_a_chosen_patient_that_the_searches_no_longer_find_needs_the_choice_again(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(given="Eva")
    crm_id, patients = hold_and_choose(crm, pushing, CLINIC), sandbox.held()["Patient"]
    put_into_ecw(given="Eva", birthDate="1980-02-01")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert (held_intent(crm, pushing).candidates, held_intent(crm, pushing).choice) == ((CLINIC,), None)
    assert intents.choose(crm.engine, pushing().place, crm_id, CLINIC, "tester")
    pushed = push_patient(pushing("r3"), crm_id)
    assert (pushed.status, pushed.ecw_id) == ("updated", CLINIC)
    assert sandbox.held()["Patient"] == patients


@pytest.mark.parametrize("kind", ["deleted", "merged"])
def test_a_chosen_patient_that_was_deleted_or_merged_is_neither_linked_nor_created(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any, kind: str
) -> None:
    put_into_ecw(given="Eva")
    crm_id = hold_and_choose(crm, pushing, CLINIC)
    if kind == "deleted":
        sandbox.delete("Patient", CLINIC)
    else:
        put_into_ecw(given="Eva", link=[{"other": {"reference": "Patient/e.2"}, "type": "replaced-by"}])
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert (held_intent(crm, pushing).candidates, held_intent(crm, pushing).choice) == ((), None)
    assert sandbox.served("transaction") == 0


def test_a_certain_match_does_not_replace_the_chosen_patient(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(given="Eva")
    crm_id = hold_and_choose(crm, pushing, CLINIC)
    put_into_ecw("e.2")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, crm.row(crm_id)["ecw_id"]) == ("held", None)
    assert held_intent(crm, pushing).candidates == (CLINIC, "e.2")


def test_after_the_choice_new_the_patient_is_not_linked_to_the_candidate(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(gender="male")
    crm_id, patients = hold_and_choose(crm, pushing, intents.NEW), sandbox.held()["Patient"]
    put_into_ecw(gender="unknown")  # now a certain match
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, sandbox.held()["Patient"]) == ("created", patients + 1)
    assert pushed.ecw_id != CLINIC


def test_a_new_candidate_after_the_choice_new_needs_another_choice(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(given="Eva")
    crm_id = hold_and_choose(crm, pushing, intents.NEW)
    put_into_ecw("e.2", given="Ewah")
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert held_intent(crm, pushing).candidates == (CLINIC, "e.2")
    assert intents.choose(crm.engine, pushing().place, crm_id, intents.NEW, "tester")
    assert push_patient(pushing("r3"), crm_id).status == "created"


@pytest.mark.parametrize(("fault", "status"), [("too_many", "later"), ("server_error", "unknown"), ("lose", "unknown")])
def test_the_choice_new_holds_after_a_failed_create(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any, fault: str, status: str
) -> None:
    put_into_ecw(gender="male")
    crm_id, patients = hold_and_choose(crm, pushing, intents.NEW), sandbox.held()["Patient"]
    put_into_ecw(gender="unknown")
    kind = "lose_response" if fault == "lose" else fault
    sandbox.fault(
        kind, interaction="transaction", times=3 if fault == "too_many" else 1
    )  # the client tries three times
    assert push_patient(pushing("r2"), crm_id).status == status
    pushed = push_patient(pushing("r3"), crm_id)
    assert (pushed.status, sandbox.held()["Patient"]) == ("created", patients + 1)
    assert pushed.ecw_id != CLINIC


def test_a_patient_that_only_the_servers_condition_finds_is_held_and_linked_when_chosen(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    sandbox.set(profile="fhir", undeclared="Patient.identifier")
    system = pushing().mapping.constants["identifier_system"]
    number = {"use": "usual", "system": system, "value": ROW["identifier"]}
    put_into_ecw(given="Zofia", birthDate="1999-09-09", identifier=[number])
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, sandbox.served("transaction"), sandbox.held()["Patient"]) == ("held", 1, patients)
    assert held_intent(crm, pushing).candidates == (CLINIC,)
    assert intents.choose(crm.engine, pushing().place, crm_id, CLINIC, "tester")
    assert push_patient(pushing("r2"), crm_id).ecw_id == CLINIC
    assert sandbox.held()["Patient"] == patients


def test_code_202_does_not_link_a_candidate_that_a_person_excluded(
    sandbox: Any, crm: Any, pushing: Any, put_into_ecw: Any
) -> None:
    put_into_ecw(gender="male")
    crm_id = hold_and_choose(crm, pushing, intents.NEW)
    put_into_ecw(gender="unknown")
    sandbox.fault("write_code", interaction="transaction", value="202", times=1)
    assert push_patient(pushing("r2"), crm_id).status == "held"
    assert (held_intent(crm, pushing).candidates, held_intent(crm, pushing).choice) == ((CLINIC,), None)
