"""Answers of a plain FHIR server to writes: failed conditions, refused elements, unknown profiles."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.crm.db.enums import JournalOutcome
from ecw.errors import BadRequest
from ecw.fhir.responses import places_of
from ecw.push.patient.push import push_patient
from ecw.push.rules.outcome import raised, understand
from tests.fixtures.crm import on_sqlite

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
SECRET = "Kowalczyk 1980-01-02"


@pytest.fixture
def plain(sandbox: Any) -> Any:
    sandbox.set(profile="fhir")
    return sandbox


def push_patient_to_both(plain: Any, crm: Any, pushing: Any) -> tuple[str, str]:
    """Push a patient; return its CRM id and its eCW id."""
    crm_id = crm.add()
    pushed = push_patient(pushing(), crm_id)
    assert pushed.status == "created"
    return crm_id, str(pushed.ecw_id)


# -- 412


@on_sqlite
def test_an_update_whose_condition_failed_is_sent_again_by_the_next_push(plain: Any, crm: Any, pushing: Any) -> None:
    crm_id, ecw_id = push_patient_to_both(plain, crm, pushing)
    crm.edit(crm_id, phone="9135550000")
    plain.fault("refuse", interaction="transaction", value="412")

    assert push_patient(pushing("r2"), crm_id).status == "later"

    plain.clear_faults()
    assert push_patient(pushing("r3"), crm_id).status == "updated"
    assert "9135550000" in str(plain.record("Patient", ecw_id))


@on_sqlite
def test_a_create_whose_condition_several_patients_meet_is_held(plain: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    plain.fault("refuse", interaction="transaction", value="412")

    assert push_patient(pushing(), crm_id).status == "held"


@pytest.mark.parametrize(("sent_id", "kind"), [("p1", JournalOutcome.LATER), (None, JournalOutcome.LINK)])
def test_the_entry_status_412_means_later_for_an_update_and_a_match_for_a_create(
    sent_id: str | None, kind: JournalOutcome
) -> None:
    body = {"resourceType": "Bundle", "entry": [{"response": {"status": "412 Precondition Failed"}}]}

    assert understand(body, plain=True, sent_id=sent_id).kind is kind


# -- 422


@on_sqlite
@pytest.mark.parametrize("place", ["Patient.birthDate", "Patient.name[0].family", "Patient.telecom[1].value"])
def test_the_message_of_a_refusal_names_the_element_and_quotes_no_text_of_the_server(
    plain: Any, crm: Any, pushing: Any, place: str
) -> None:
    crm_id = crm.add()
    plain.fault("refuse", interaction="transaction", value=f"422 {place}")

    pushed = push_patient(pushing(), crm_id)

    assert pushed.status == "refused"
    [row] = [row for row in crm.all("ecw_journal") if row["http_status"] == 422]
    assert place in row["message"]
    assert row["outcome"] == JournalOutcome.FIX_DATA
    assert "Kowalczyk" not in str(crm.all("ecw_journal"))


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("Patient.birthDate", "Patient.birthDate"),
        ("Bundle.entry[0].resource.ofType(Patient).name[0].given[1]", ""),
        ("Bundle.entry[0].resource/*Patient/null*/.name", ""),
        ("Patient.name.where(family='Kowalczyk')", "Patient.name"),
        ("Patient.Kowalczyk", "Patient"),
        ("Patient.extension[0].valueCode", "Patient.extension[0].valueCode"),
        ("/f:Bundle/f:entry/f:resource/f:Patient/f:gender", "Patient.gender"),
        ("Kowalczyk", ""),
        (7, ""),
    ],
)
@pytest.mark.parametrize("key", ["expression", "location"])
def test_only_element_names_of_fhir_are_taken_from_an_issues_place(expression: Any, place: str, key: str) -> None:
    assert places_of([{"severity": "error", key: [expression], "diagnostics": SECRET}]) == ([place] if place else [])


def test_the_element_is_named_wherever_the_refusal_is() -> None:
    issue = {"severity": "error", "code": "invariant", "expression": ["Patient.gender"], "diagnostics": SECRET}
    outcome = {"resourceType": "OperationOutcome", "issue": [issue]}
    entry = {"response": {"status": "422", "outcome": outcome}}

    for found in (
        understand({"resourceType": "Bundle", "entry": [entry]}, plain=True),
        understand(outcome),
        raised(BadRequest("POST x: refused (HTTP 422, invariant), at Patient.gender.", next_step="fix it.")),
    ):
        assert found.kind is JournalOutcome.FIX_DATA
        assert found.places == ("Patient.gender",)
        assert "at Patient.gender" in found.message
        assert SECRET not in found.message + found.next_step


# -- profiles


@on_sqlite
@pytest.mark.parametrize("known", ["", "http://example.org/profiles/patient", f"{US_CORE},http://example.org/other"])
def test_a_profile_that_the_server_does_not_declare_is_not_sent(plain: Any, crm: Any, pushing: Any, known: str) -> None:
    plain.set(meta_profiles=known)

    pushed = push_patient(pushing(), crm.add())

    assert pushed.status == "created"
    claimed = plain.record("Patient", str(pushed.ecw_id))["meta"].get("profile", [])
    assert claimed == ([] if known == "http://example.org/profiles/patient" else [US_CORE])


# -- names, genders and identifiers that the check of a create refuses


@on_sqlite
@pytest.mark.parametrize(
    "element",
    [
        {"name": [{"use": "official", "family": "Kowalczyk", "given": ["Ewa"]}]},
        {"gender": "other"},
        {"identifier": [{"value": "ACC-1"}]},
        {"name": [{"use": "official", "family": "Kowalczyk", "given": ["Ewa"], "prefix": ["Mrs."]}], "gender": "other"},
    ],
    ids=str,
)
def test_a_patient_that_a_create_could_not_have_made_can_be_updated(
    plain: Any, crm: Any, pushing: Any, element: dict[str, Any]
) -> None:
    crm_id, ecw_id = push_patient_to_both(plain, crm, pushing)
    plain.put(plain.record("Patient", ecw_id) | element)
    crm.edit(crm_id, phone="9135550000")

    assert push_patient(pushing("r2"), crm_id).status == "updated"

    found = plain.record("Patient", ecw_id)
    assert any(each["value"].endswith("9135550000") for each in found["telecom"])
    assert {name: found[name] for name in element} == element
