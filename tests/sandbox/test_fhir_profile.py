"""The sandbox as a plain R4 server."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.sandbox.calling import Caller, next_url, resources
from tests.sandbox.test_writes import new_patient

SCOPE = "system/*.rs system/Patient.cruds"


@pytest.fixture
def plain(caller) -> Caller:
    caller.sandbox.set(profile="fhir")
    return caller


def send(plain: Caller, method: str, path: str, body: Any, **headers: str) -> requests.Response:
    headers["Authorization"] = f"Bearer {plain.token(SCOPE)}"
    return requests.request(method, f"{plain.sandbox.base_url}/{path}", json=body, headers=headers, timeout=600)


def test_the_statement_declares_last_updated_count_and_writes(plain):
    statement = requests.get(f"{plain.sandbox.base_url}/metadata", timeout=600).json()
    declared = {each["type"]: each for each in statement["rest"][0]["resource"]}
    for each in declared.values():
        assert {"_lastUpdated", "_count"} <= {param["name"] for param in each["searchParam"]}
    assert declared["Patient"]["conditionalCreate"] is True
    assert {"create", "update"} <= {each["code"] for each in declared["Patient"]["interaction"]}


def test_last_updated_and_count_are_respected(plain):
    changed = plain.sandbox.put(plain.sandbox.records("Patient")[5])
    answer = plain.get("Patient?_lastUpdated=ge2026-11-20", plain.token(SCOPE))
    assert answer.headers["Content-Type"] == "application/fhir+json"
    assert resources([answer.json()]) == [changed]
    pages = plain.pages("Patient?_lastUpdated=lt2026-11-20&_count=50", plain.token(SCOPE))
    assert [len(page["entry"]) for page in pages] == [50, 50, 19]
    assert "_count=50" in next_url(pages[0])


def test_searches_without_parameters_or_with_any_one_are_answered(plain):
    token = plain.token(SCOPE)
    for kind in ("Patient", "Coverage", "Encounter", "Organization"):
        assert resources(plain.pages(f"{kind}?_count=200", token)) == plain.sandbox.records(kind)
    assert plain.get("Patient?gender=male&birthdate=ge1990-01-01", token).json()["total"] > 0


def test_an_unknown_parameter_is_left_out_of_the_self_link(plain):
    bundle = plain.get("Location?unknown=1&name=a", plain.token(SCOPE)).json()
    own = next(link["url"] for link in bundle["link"] if link["relation"] == "self")
    assert own.endswith("/Location?name=a")


def test_links_keep_the_public_scheme(plain):
    plain.sandbox.set(public_url="https://fhir.example")
    assert next_url(plain.get("Patient", plain.token(SCOPE)).json()).startswith("https://fhir.example/")


def test_dotted_practitioners_and_groups_are_read(plain):
    dotted = next(each for each in plain.sandbox.records("Practitioner") if "." in each["id"])
    assert plain.get(f"Practitioner/{dotted['id']}", plain.token(SCOPE)).json() == dotted


def test_a_deleted_record_is_answered_410(plain):
    patient = plain.sandbox.records("Patient")[0]
    plain.sandbox.delete("Patient", patient["id"])
    assert plain.get(f"Patient/{patient['id']}", plain.token(SCOPE)).status_code == 410
    assert plain.get("Patient/never", plain.token(SCOPE)).status_code == 404


def test_creates_and_updates_are_answered_with_http_statuses(plain):
    created = send(plain, "POST", "Patient", new_patient())
    assert created.status_code == 201
    patient = created.json()
    assert created.headers["Location"].endswith(f"/Patient/{patient['id']}")
    assert patient["identifier"] == new_patient()["identifier"]
    updated = send(plain, "PUT", f"Patient/{patient['id']}", {**patient, "gender": "other"})
    assert updated.status_code == 200
    assert plain.get(f"Patient/{patient['id']}", plain.token(SCOPE)).json()["gender"] == "other"
    assert send(plain, "PUT", "Patient/x", {**patient, "id": "x"}).status_code == 404
    assert send(plain, "PUT", "Patient/x", patient).status_code == 400
    assert send(plain, "POST", "Patient", {"resourceType": "Location"}).status_code == 400
    assert send(plain, "POST", "Patient", {"resourceType": "Patient"}).status_code == 422


def test_a_repeated_conditional_create_makes_one_patient(plain):
    condition = "identifier=CRM-1"
    first = send(plain, "POST", "Patient", new_patient(), **{"If-None-Exist": condition})
    again = send(plain, "POST", "Patient", new_patient(), **{"If-None-Exist": condition})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    plain.sandbox.put({**first.json(), "id": "copy"})
    assert send(plain, "POST", "Patient", new_patient(), **{"If-None-Exist": condition}).status_code == 412
    assert send(plain, "POST", "Patient", new_patient(), **{"If-None-Exist": "unknown=1"}).status_code == 400


def test_transactions_are_answered_with_http_statuses(plain):
    created = plain.write("POST", new_patient(), token=plain.token(SCOPE)).json()["entry"][0]["response"]
    assert created["status"] == "201 Created"
    patient = {**new_patient(), "id": created["location"].removeprefix("Patient/")}
    updated = plain.write("PUT", patient, url=created["location"], token=plain.token(SCOPE))
    assert updated.json()["entry"][0]["response"]["status"] == "200 OK"


def test_the_profile_can_be_chosen_at_the_start(sandbox_factory):
    sandbox = sandbox_factory(profile="fhir", patients=3)
    assert sandbox.held()["Patient"] == 3
    assert "_lastUpdated" in requests.get(f"{sandbox.base_url}/metadata", timeout=600).text
