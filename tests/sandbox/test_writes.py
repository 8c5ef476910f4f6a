"""Writes of patients to the sandbox behave like eCW's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.sandbox.calling import READ, code_of, diagnostics, resources

OID = "urn:oid:2.16.840.1.113883.4.391.326070"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"


def new_patient(**changes: Any) -> dict[str, Any]:
    """Return a patient that eCW accepts, with these changes; None removes an element."""
    patient = {
        "resourceType": "Patient",
        "identifier": [{"use": "usual", "system": OID, "value": "CRM-1"}],
        "name": [{"use": "usual", "family": "Testing", "given": ["Tess"]}],
        "gender": "female",
        "birthDate": "2001-05-27",
        **changes,
    }
    return {name: value for name, value in patient.items() if value is not None}


def create_patient(caller, **changes: Any) -> str:
    answer = caller.write("POST", new_patient(**changes))
    assert code_of(answer) == "1"
    return str(answer.json()["entry"][0]["response"]["location"]).removeprefix("Patient/")


def test_a_create_is_answered_200_with_code_1_and_a_location_and_searches_find_the_patient(caller):
    ecw_id = create_patient(caller)
    patient = caller.get(f"Patient/{ecw_id}").json()
    assert patient["identifier"] == [
        {"use": "usual", "system": OID, "value": ecw_id},
        {"use": "secondary", "system": OID, "value": "CRM-1"},
    ]
    assert patient["meta"]["lastUpdated"]
    assert len(ecw_id) == 43
    assert resources(caller.pages("Patient?identifier=CRM-1")) == [patient]
    assert resources(caller.pages("Patient?family=testing&given=tess&birthdate=2001-05-27")) == [patient]
    assert caller.sandbox.held()["Patient"] == 121


def test_a_created_patient_cannot_be_read_before_create_delay(caller):
    caller.sandbox.set(create_delay=600)
    ecw_id = create_patient(caller)
    assert caller.get(f"Patient/{ecw_id}").status_code == 404
    assert resources(caller.pages("Patient?name=testing")) == []
    assert code_of(caller.write("POST", new_patient())) == "202", "the patient exists already"
    token = caller.token()
    caller.sandbox.set(clock_offset=601, token_seconds=900)
    assert caller.get(f"Patient/{ecw_id}", token).status_code == 401
    caller.sandbox.set(create_delay=0, clock_offset=0)
    assert caller.get(f"Patient/{ecw_id}").status_code == 404


def test_the_secondary_identifier_is_the_account_number(caller):
    both = [{"use": "usual", "system": OID, "value": "A"}, {"use": "secondary", "system": OID, "value": "B"}]
    create_patient(caller, identifier=both)
    assert len(resources(caller.pages("Patient?identifier=B"))) == 1
    assert resources(caller.pages("Patient?identifier=A")) == []


def test_elements_that_ecw_does_not_store_are_ignored(caller):
    ecw_id = create_patient(caller, photo=[{"title": "x"}], multipleBirthInteger=2)
    assert not {"photo", "multipleBirthInteger"} & set(caller.get(f"Patient/{ecw_id}").json())


def test_the_same_account_number_and_birth_date_are_a_duplicate(caller):
    create_patient(caller)
    assert code_of(caller.write("POST", new_patient())) == "202"
    assert code_of(caller.write("POST", new_patient(name=[{"family": "Other", "given": ["O"]}]))) == "202"
    assert code_of(caller.write("POST", new_patient(birthDate="2001-05-28"))) == "1"
    other = [{"use": "usual", "system": OID, "value": "CRM-2"}]
    assert code_of(caller.write("POST", new_patient(identifier=other))) == "1"
    assert caller.sandbox.held()["Patient"] == 123


def test_several_patients_with_the_account_number_and_birth_date_are_answered_201(caller):
    first = caller.sandbox.records("Patient")[0]
    caller.sandbox.put({**first, "id": "copy"})
    account = [{"use": "secondary", "system": OID, "value": first["identifier"][1]["value"]}]
    refused = caller.write("POST", new_patient(identifier=account, birthDate=first["birthDate"]))
    assert code_of(refused) == "201"


def _extension(name: str, **value: Any) -> list[dict[str, Any]]:
    return [{"url": f"{US_CORE}/{name}", **value}]


def _facility(reference: str) -> list[dict[str, Any]]:
    url = "http://eclinicalworks.com/supportingInfo/defaultFacility"
    return [{"url": url, "valueReference": {"reference": reference}}]


def _marital(system: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": "M"}]}


INVALID = {
    "no identifier": (605, {"identifier": None}),
    "an identifier without value": (605, {"identifier": [{"use": "usual", "system": OID}]}),
    "an identifier without system": (605, {"identifier": [{"use": "usual", "value": "1"}]}),
    "no name": (118, {"name": None}),
    "only an old name": (118, {"name": [{"use": "old", "family": "A", "given": ["B"]}]}),
    "no family": (118, {"name": [{"use": "usual", "given": ["B"]}]}),
    "no given": (118, {"name": [{"use": "usual", "family": "A", "given": []}]}),
    "no gender": (117, {"gender": None}),
    "gender other": (117, {"gender": "other"}),
    "no birth date": (119, {"birthDate": None}),
    "a birth date to come": (119, {"birthDate": "2999-01-01"}),
    "no such day": (119, {"birthDate": "2001-02-30"}),
    "only a year": (204, {"birthDate": "2001"}),
    "a day written another way": (204, {"birthDate": "05/27/2001"}),
    "odd characters": (108, {"name": [{"use": "usual", "family": "<b>", "given": ["B"]}]}),
    "an emoji": (614, {"name": [{"use": "usual", "family": "A", "given": ["\N{GRINNING FACE}"]}]}),
    "too long": (109, {"address": [{"line": ["x" * 101]}]}),
    "an unknown code system": (102, {"maritalStatus": _marital("http://example.com")}),
    "an unknown practitioner": (101, {"generalPractitioner": [{"reference": "Practitioner/nobody"}]}),
    "an unknown facility": (107, {"extension": _facility("Location/nowhere")}),
    "an unknown birth sex": (132, {"extension": _extension("us-core-birthsex", valueCode="X")}),
    "a race without text": (151, {"extension": _extension("us-core-race", extension=[])}),
    "an ethnicity without text": (152, {"extension": _extension("us-core-ethnicity", extension=[])}),
    "another resource": (203, {"resourceType": "Practitioner"}),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_patient_is_answered_200_with_ecws_code_and_not_stored(caller, case):
    code, changes = INVALID[case]
    answer = caller.write("POST", new_patient(**changes))
    assert code_of(answer) == str(code)
    assert "location" not in answer.json()["entry"][0]["response"]
    assert caller.sandbox.held()["Patient"] == 120


def test_a_practice_without_a_write_back_user_answers_308(caller):
    caller.sandbox.set(write_back=False)
    assert code_of(caller.write("POST", new_patient())) == "308"
    patient = caller.sandbox.records("Patient")[0]
    assert code_of(caller.write("PUT", patient)) == "308"


def test_the_request_of_the_seed_is_accepted(caller, seed_bundle):
    """Its location must exist."""
    assert code_of(caller.post(seed_bundle)) == "107"
    caller.sandbox.put(
        {"resourceType": "Location", "id": "Lt2IFR5Ah76n4d8TFP5gBCYrEVzcfmSY9rj1Q7MpBZg", "name": "Home"}
    )
    assert code_of(caller.post(seed_bundle)) == "1"
    assert code_of(caller.post(seed_bundle)) == "202"


@pytest.fixture
def seed_bundle() -> dict[str, Any]:
    facility = "Location/Lt2IFR5Ah76n4d8TFP5gBCYrEVzcfmSY9rj1Q7MpBZg"
    patient = new_patient(
        name=[{"text": "Tess", "family": "Testing", "given": ["Tess"]}],
        extension=_facility(facility),
        deceasedBoolean=False,
        communication=[{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "ENG"}]}, "preferred": True}],
    )
    entry = {"resource": patient, "request": {"method": "POST", "url": "Patient"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def test_an_update_changes_the_patient_named_in_the_body(caller):
    patient = caller.sandbox.records("Patient")[0]
    answer = caller.write("PUT", {**patient, "gender": "unknown"})
    assert answer.json()["entry"][0]["response"] == {"status": "1", "location": f"Patient/{patient['id']}"}
    stored = caller.get(f"Patient/{patient['id']}").json()
    assert stored["gender"] == "unknown"
    assert stored["meta"]["lastUpdated"] > patient["meta"]["lastUpdated"]
    assert {**stored, "gender": 0, "meta": 0} == {**patient, "gender": 0, "meta": 0}


def test_an_update_replaces_or_merges(caller):
    patient = caller.sandbox.records("Patient")[0]
    less = {name: value for name, value in patient.items() if name not in ("telecom", "address")}
    assert code_of(caller.write("PUT", less)) == "1"
    assert "telecom" not in caller.get(f"Patient/{patient['id']}").json()
    caller.sandbox.put(patient)
    caller.sandbox.set(update_mode="merge")
    assert code_of(caller.write("PUT", less)) == "1"
    assert caller.get(f"Patient/{patient['id']}").json()["telecom"] == patient["telecom"]


def test_updates_that_name_no_patient_or_the_wrong_one_have_their_codes(caller):
    first, second = caller.sandbox.records("Patient")[:2]
    assert code_of(caller.write("PUT", {**first, "id": "A" * 43})) == "100"
    assert code_of(caller.write("PUT", {**first, "id": "not an id"})) == "165"
    assert code_of(caller.write("PUT", {name: value for name, value in first.items() if name != "id"})) == "165"
    assert code_of(caller.write("PUT", first, url=f"Patient/{second['id']}")) == "608"
    assert code_of(caller.write("PUT", {**first, "identifier": second["identifier"]})) == "608"
    assert code_of(caller.write("PUT", {**first, "gender": "other"})) == "117"


def test_a_patient_without_an_identifier_can_be_updated(caller):
    bare = new_patient(id="bare.1", identifier=None)
    caller.sandbox.put(bare)
    assert code_of(caller.write("PUT", new_patient(id="bare.1", gender="male"))) == "1"
    assert caller.get("Patient/bare.1").json()["gender"] == "male"


def test_a_tenant_can_require_the_id_in_the_url(caller):
    patient = caller.sandbox.records("Patient")[0]
    caller.sandbox.set(update_by="url")
    assert code_of(caller.write("PUT", patient)) == "100"
    assert code_of(caller.write("PUT", patient, url=f"Patient/{patient['id']}")) == "1"


def test_only_a_transaction_with_one_post_or_put_of_a_patient_is_accepted(caller):
    entry = {"resource": new_patient(), "request": {"method": "POST", "url": "Patient"}}
    bundle = {"resourceType": "Bundle", "type": "transaction"}
    for refused in (
        new_patient(),
        {**bundle, "type": "batch", "entry": [entry]},
        {**bundle, "entry": [entry, entry]},
        {**bundle, "entry": []},
        bundle,
        {**bundle, "entry": [{**entry, "request": {"method": "DELETE", "url": "Patient"}}]},
        {**bundle, "entry": [{**entry, "request": {"method": "POST", "url": "Encounter"}}]},
        {**bundle, "entry": [{"resource": new_patient()}]},
    ):
        answer = caller.post(refused)
        assert answer.status_code == 400
        assert diagnostics(answer)
    assert caller.sandbox.held()["Patient"] == 120


def test_a_body_that_is_not_json_is_refused(caller):
    headers = {"Authorization": f"Bearer {caller.token(READ)}"}
    assert requests.post(caller.sandbox.base_url, "{", headers=headers, timeout=600).status_code == 400


def test_writes_need_the_write_scopes(caller):
    create, update = caller.token("system/Patient.c"), caller.token("system/Patient.u")
    patient = caller.sandbox.records("Patient")[0]
    assert caller.write("POST", new_patient(), token=caller.token(READ)).status_code == 403
    assert caller.write("POST", new_patient(), token=update).status_code == 403
    assert caller.write("PUT", patient, token=create).status_code == 403
    assert code_of(caller.write("POST", new_patient(), token=create)) == "1"
    assert code_of(caller.write("PUT", patient, token=update)) == "1"


def test_a_rest_create_is_refused(caller):
    headers = {"Authorization": f"Bearer {caller.token('system/Patient.c')}", "If-None-Exist": "identifier=CRM-1"}
    posted = requests.post(f"{caller.sandbox.base_url}/Patient", json=new_patient(), headers=headers, timeout=600)
    assert posted.status_code == 404
    assert caller.sandbox.held()["Patient"] == 120


def test_answers_quote_no_value_of_the_patient(caller):
    odd = new_patient(name=[{"use": "usual", "family": "Secret<", "given": ["Name"]}])
    assert "Secret" not in json.dumps(caller.write("POST", odd).json())


@pytest.mark.parametrize("status", [409, 412])
def test_with_versions_an_update_of_another_version_is_refused(caller, status):
    caller.sandbox.set(versions=True, stale_status=status)
    ecw_id = create_patient(caller)
    first = caller.get(f"Patient/{ecw_id}").json()
    assert first["meta"]["versionId"] == "1"
    assert code_of(caller.write("PUT", first, ifMatch='W/"1"')) == "1"
    assert caller.get(f"Patient/{ecw_id}").json()["meta"]["versionId"] == "2"
    assert caller.write("PUT", first, ifMatch='W/"1"').status_code == status
    assert code_of(caller.write("PUT", first)) == "1", "without a condition"
    caller.sandbox.delete("Patient", ecw_id)
    assert caller.write("PUT", first, ifMatch='W/"3"').status_code == status


def test_a_repeated_search_is_answered_from_the_cache_unless_it_requests_no_cache(caller):
    caller.sandbox.set(cache_seconds=600)
    search = "Patient?family=testing&given=tess&birthdate=2001-05-27"
    assert resources(caller.pages(search)) == []
    create_patient(caller)
    assert resources(caller.pages(search)) == []
    assert caller.get(search, headers={"Cache-Control": "no-cache"}).json()["total"] == 1
    assert len(resources(caller.pages(search))) == 1
