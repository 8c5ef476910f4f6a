"""Reads and searches of the sandbox behave like eCW's."""

from __future__ import annotations

from datetime import datetime

import pytest
import requests

from tests.sandbox.calling import Caller, diagnostics, next_url, resources


def patient_of(caller: Caller, number: int = 0) -> dict:
    return caller.sandbox.records("Patient")[number]


def test_the_pages_of_a_list_hold_every_record(caller):
    pages = caller.pages("Practitioner")
    assert [len(page["entry"]) for page in pages] == [10, 10, 10]
    assert {page["total"] for page in pages} == {30}
    assert resources(pages) == caller.sandbox.records("Practitioner")


def test_the_page_size_can_be_set(caller):
    caller.sandbox.set(page_size=4)
    assert [len(page["entry"]) for page in caller.pages("Location")] == [4, 4, 4]


def test_answers_have_ecws_headers_and_bundle_form(caller):
    answer = caller.get("Location")
    assert answer.headers["Content-Type"] == "application/json+fhir;charset=UTF-8"
    assert answer.headers["Date"].endswith("GMT")
    bundle = answer.json()
    entry = bundle["entry"][0]
    assert (bundle["resourceType"], bundle["type"], entry["search"]["mode"]) == ("Bundle", "searchset", "match")
    assert entry["fullUrl"] == f"{caller.sandbox.base_url}/Location/{entry['resource']['id']}"


def test_links_begin_with_http_although_the_base_url_is_https(caller):
    caller.sandbox.set(public_url="https://ecw.example:8443")
    bundle = caller.get("Practitioner").json()
    assert next_url(bundle).startswith("http://ecw.example:8443/fhir/r4/")
    assert bundle["entry"][0]["fullUrl"].startswith("http://ecw.example:8443/fhir/r4/")


def test_a_next_link_is_refused_because_of_its_count(caller):
    following = next_url(caller.get("Practitioner").json())
    assert "_count=10" in following
    answer = caller.get(following)
    assert answer.status_code == 400
    assert diagnostics(answer) == "Unsupported query parameter(s): _count. These parameters are not allowed."


def test_an_empty_result_has_no_entry(caller):
    bundle = caller.get("Practitioner?_id=nobody").json()
    assert bundle["total"] == 0
    assert "entry" not in bundle


def test_a_trailing_slash_is_accepted(caller):
    assert caller.get("Location/").json()["total"] == 12


PATIENT, DOCTOR = "{patient}", "{doctor}"
ANSWERED = [
    "Practitioner",
    "Practitioner?page=2",
    "Practitioner?_id={doctor}",
    "Practitioner?name=a",
    "Practitioner?identifier=123",
    "Location",
    "Location?_id=x",
    "Location?name=b",
    "Location?address=Albany",
    "Patient?_id={patient}",
    "Patient?name=a",
    "Patient?identifier=10001",
    "Patient?family=a&given=b&birthdate=1980-01-01",
    "Patient?name=a&birthdate=1980-01-01",
    "Patient?phone=5185551234&birthdate=1980-01-01",
    "Coverage?patient={patient}",
    "Coverage?_id=x",
    "Encounter?patient={patient}",
    "Encounter?_id=x",
    "Encounter?practitioner={doctor}&date=ge2026-11-01&date=lt2026-12-01",
]
UNKNOWN = {
    "Practitioner?_lastUpdated=gt2026-01-01": "_lastUpdated",
    "Practitioner?_count=5": "_count",
    "Location?status=active": "status",
    "Patient?name=a&_sort=family&_count=3": "_count, _sort",
    "Coverage?patient=x&page=2": "page",
    "Encounter?status=planned": "status",
}
NOT_TOGETHER = {
    "Patient": "",
    "Patient?page=2": "page",
    "Patient?birthdate=1980-01-01": "birthdate",
    "Patient?gender=male": "gender",
    "Patient?family=a": "family",
    "Patient?family=a&given=b": "family, given",
    "Patient?name=a&gender=male": "gender, name",
    "Practitioner?name=a&identifier=1": "identifier, name",
    "Coverage": "",
    "Encounter": "",
    "Encounter?date=ge2026-11-01&date=lt2026-12-01": "date",
    "Encounter?practitioner=x": "practitioner",
    "Encounter?practitioner=x&date=ge2026-11-01": "date, practitioner",
    "Encounter?practitioner=x&date=2026-11-01&date=2026-11-02": "date, practitioner",
    "Encounter?patient=x&date=ge2026-11-01&date=lt2026-12-01": "date, patient",
}


@pytest.mark.parametrize("search", ANSWERED)
def test_known_combinations_of_parameters_are_answered(caller, search):
    patient, doctor = patient_of(caller)["id"], caller.sandbox.records("Practitioner")[0]["id"]
    answer = caller.get(search.format(patient=patient, doctor=doctor))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("search", UNKNOWN)
def test_unknown_parameters_are_named_in_a_400(caller, search):
    answer = caller.get(search)
    assert answer.status_code == 400
    assert diagnostics(answer) == (
        f"Unsupported query parameter(s): {UNKNOWN[search]}. These parameters are not allowed."
    )


@pytest.mark.parametrize("search", NOT_TOGETHER)
def test_other_combinations_of_parameters_are_named_in_a_400(caller, search):
    answer = caller.get(search)
    assert answer.status_code == 400
    assert diagnostics(answer) == (
        f"Invalid request: Does not know how to handle get operation with parameter [{NOT_TOGETHER[search]}]"
    )


@pytest.mark.parametrize("search", ["Practitioner?page=0", "Practitioner?page=x", "Patient?name=a&birthdate=yesterday"])
def test_invalid_values_are_refused(caller, search):
    answer = caller.get(search)
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == "value"


def test_a_name_matches_from_the_start_of_family_or_given_without_case_and_accents(caller):
    caller.sandbox.put(
        {
            "resourceType": "Patient",
            "id": "accented",
            "name": [{"use": "usual", "family": "Ñandú", "given": ["Élodie"]}],
            "birthDate": "1990-01-01",
        }
    )
    for name in ("n", "Nan", "ÑANDÚ", "e", "elo"):
        assert "accented" in [each["id"] for each in resources(caller.pages(f"Patient?name={name}"))], name
    assert "accented" not in [each["id"] for each in resources(caller.pages("Patient?name=andu"))]


def test_searches_by_the_letters_a_to_z_find_every_patient(caller):
    found_by_letter = {
        patient["id"]: patient
        for letter in "abcdefghijklmnopqrstuvwxyz"
        for patient in resources(caller.pages(f"Patient?name={letter}", caller.token()))
    }
    patients = caller.sandbox.records("Patient")
    assert len(patients) == 120
    assert {each["id"]: each for each in patients} == found_by_letter


def test_patients_are_found_by_the_searches_of_the_push(caller):
    patient = next(each for each in caller.sandbox.records("Patient") if each["name"][0]["use"] == "usual")
    name, phone = patient["name"][0], patient["telecom"][0]["value"]
    born, account = patient["birthDate"], patient["identifier"][1]
    spelled = f"({phone[:3]}) {phone[3:6]}-{phone[6:]}"
    for search in (
        {"_id": patient["id"]},
        {"identifier": account["value"]},
        {"identifier": patient["id"]},
        {"identifier": f"{account['system']}|{account['value']}"},
        {"family": name["family"], "given": name["given"][0], "birthdate": born},
        {"name": name["family"], "birthdate": born},
        {"phone": spelled, "birthdate": born},
    ):
        assert patient in resources([caller.get("Patient", params=search).json()]), search
    assert "entry" not in caller.get("Patient", params={"identifier": f"urn:other|{account['value']}"}).json()
    assert "entry" not in caller.get("Patient", params={"phone": phone, "birthdate": "1900-01-01"}).json()


def test_all_coverage_of_a_patient_is_on_one_page(caller):
    caller.sandbox.set(page_size=1)
    coverages = caller.sandbox.records("Coverage")
    owner = coverages[-1]["beneficiary"]["reference"]
    expected = [each for each in coverages if each["beneficiary"]["reference"] == owner]
    reference = next(ref for ref in {each["beneficiary"]["reference"] for each in coverages} if ref != owner)
    assert resources([caller.get(f"Coverage?patient={owner}").json()]) == expected
    assert all(next_url(caller.get(f"Coverage?patient={each}").json()) is None for each in (owner, reference))


def test_a_schedule_search_takes_a_practitioner_and_a_half_open_range_of_dates(caller):
    doctor = caller.sandbox.records("Practitioner")[3]["id"]
    start, end = "2026-06-01T00:00:00-04:00", "2027-06-01T00:00:00-04:00"
    expected = [
        each
        for each in caller.sandbox.records("Encounter")
        if each["participant"][0]["individual"]["reference"] == f"Practitioner/{doctor}"
        and datetime.fromisoformat(start)
        <= datetime.fromisoformat(each["period"]["start"])
        < datetime.fromisoformat(end)
    ]
    assert expected
    pages = caller.pages(f"Encounter?practitioner={doctor}&date=ge2026-06-01&date=lt2027-06-01")
    assert resources(pages) == expected


def test_encounters_of_a_patient_are_paged(caller):
    caller.sandbox.set(page_size=2)
    encounters = caller.sandbox.records("Encounter")
    patient = max(
        (each["subject"]["reference"] for each in encounters), key=[e["subject"]["reference"] for e in encounters].count
    )
    expected = [each for each in encounters if each["subject"]["reference"] == patient]
    assert len(expected) > 2
    assert resources(caller.pages(f"Encounter?patient={patient.removeprefix('Patient/')}")) == expected


@pytest.mark.parametrize("kind", ["Patient", "Location", "Encounter", "Coverage"])
def test_a_record_is_read_by_its_path(caller, kind):
    record = caller.sandbox.records(kind)[1]
    assert caller.get(f"{kind}/{record['id']}").json() == record
    answer = caller.get(f"{kind}/nobody")
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-found"


def test_ids_are_case_sensitive(caller):
    ecw_id = patient_of(caller)["id"]
    assert caller.get(f"Patient/{ecw_id.swapcase()}").status_code == 404


def test_a_practitioner_with_a_dot_in_the_id_is_read_by_search_only(caller):
    practitioners = caller.sandbox.records("Practitioner")
    dotted = next(each for each in practitioners if "." in each["id"])
    plain = next(each for each in practitioners if "." not in each["id"])
    assert caller.get(f"Practitioner/{plain['id']}").json() == plain
    answer = caller.get(f"Practitioner/{dotted['id']}")
    assert answer.status_code == 500
    assert diagnostics(answer) == "String index out of range: -1"
    assert resources([caller.get(f"Practitioner?_id={dotted['id']}").json()]) == [dotted]


def test_organizations_are_read_and_searched_by_one_parameter(caller):
    token = caller.token("system/Organization.read")
    payer = caller.sandbox.records("Organization")[1]
    assert caller.get(f"Organization/{payer['id']}", token).json() == payer
    assert payer in resources([caller.get("Organization", token, params={"name": payer["name"]}).json()])
    assert payer in resources([caller.get("Organization?type=pay", token).json()])
    assert payer not in resources([caller.get("Organization?type=prov", token).json()])
    assert caller.get("Organization", token).status_code == 400


def test_reads_and_searches_show_changes_and_deletions(caller):
    patient = patient_of(caller)
    stored = caller.sandbox.put({**patient, "gender": "unknown", "name": [{"family": "Qqq", "given": ["Qqq"]}]})
    assert stored["meta"]["lastUpdated"] > patient["meta"]["lastUpdated"]
    assert caller.get(f"Patient/{patient['id']}").json() == stored
    assert resources(caller.pages("Patient?name=qqq")) == [stored]
    caller.sandbox.delete("Patient", patient["id"])
    assert caller.get(f"Patient/{patient['id']}").status_code == 404
    assert resources(caller.pages("Patient?name=qqq")) == []
    assert caller.sandbox.held()["Patient"] == 119


def test_later_pages_do_not_shift_when_a_record_of_an_earlier_page_is_deleted(caller):
    token = caller.token()
    first = caller.get("Practitioner", token).json()
    second = caller.get("Practitioner?page=2", token).json()
    caller.sandbox.delete("Practitioner", first["entry"][0]["resource"]["id"])
    assert resources([caller.get("Practitioner?page=2", token).json()]) == resources([second])
    assert caller.get("Practitioner", token).json()["total"] == 29


@pytest.mark.parametrize("path", ["Observation", "Practitioner/x/y", "Group/1", "Patient/_search"])
def test_a_path_that_ecw_does_not_have_is_refused(caller, path):
    assert caller.get(path, caller.token("system/Group.read") if "Group" in path else None).status_code in (403, 404)


def test_another_practice_is_answered_404(caller):
    other = caller.sandbox.base_url.replace(caller.sandbox.practice, "OTHERP")
    for path in ("metadata", ".well-known/smart-configuration", "Location"):
        assert caller.get(f"{other}/{path}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(caller, method):
    headers = {"Authorization": f"Bearer {caller.token()}"}
    answer = requests.request(method, f"{caller.sandbox.base_url}/Patient/1", headers=headers, timeout=600)
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"
