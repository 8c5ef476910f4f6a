"""The faults that a test can set in the sandbox."""

from __future__ import annotations

import pytest
import requests
from requests.exceptions import ChunkedEncodingError, ConnectionError

from include.sandbox.faults.apply import KINDS
from tests.sandbox.calling import BULK, WRITE, code_of, next_url, resources
from tests.sandbox.test_writes import new_patient


def statuses(caller, path: str, calls: int) -> list[int]:
    token = caller.token()
    return [caller.get(path, token).status_code for _ in range(calls)]


def test_nth_every_and_times_decide_which_calls_a_rule_hits(caller):
    caller.sandbox.fault("too_many", resource="Location", nth=2)
    assert statuses(caller, "Location", 4) == [200, 429, 200, 200]
    caller.sandbox.reset()
    caller.sandbox.fault("too_many", resource="Location", every=2, times=2)
    assert statuses(caller, "Location", 7) == [200, 429, 200, 429, 200, 200, 200]
    rule = caller.sandbox.faults()[0]
    assert (rule["seen"], rule["fired"]) == (7, 2)


def test_a_rule_hits_only_its_resource_interaction_and_page(caller):
    caller.sandbox.fault("too_many", resource="Practitioner", interaction="search", page=2)
    ecw_id = next(each["id"] for each in caller.sandbox.records("Practitioner") if "." not in each["id"])
    for path, status in (("Practitioner", 200), ("Practitioner?page=2", 429), ("Location?page=2", 200)):
        assert statuses(caller, path, 1) == [status]
    assert statuses(caller, f"Practitioner/{ecw_id}", 1) == [200]


def test_a_probability_is_seeded(caller):
    def run(seed: int) -> list[int]:
        caller.sandbox.reset()
        caller.sandbox.fault("too_many", resource="Location", probability=0.5, seed=seed)
        return statuses(caller, "Location", 20)

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert set(run(3)) == {200, 429}


def test_the_error_about_an_unknown_fault_lists_the_known_ones(caller):
    with pytest.raises(ValueError, match=r"there is no fault 'gremlins'; there are: .*too_many"):
        caller.sandbox.fault("gremlins")
    with pytest.raises(ValueError, match="nhth"):
        caller.sandbox.fault("too_many", nhth=1)
    with pytest.raises(ValueError, match="needs a value"):
        caller.sandbox.fault("write_answer", value="smile")


def test_each_error_fault_has_its_status_and_content_type(caller):
    for kind, status, content in (
        ("too_many", 429, "application/json+fhir;charset=UTF-8"),
        ("server_error", 500, "text/html; charset=utf-8"),
        ("request_timeout", 408, "application/json+fhir;charset=UTF-8"),
        ("gone", 410, "application/json+fhir;charset=UTF-8"),
    ):
        caller.sandbox.fault(kind, resource="Location", times=1)
        answer = caller.get("Location")
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, content)
        assert caller.get("Location").status_code == 200


def test_the_token_endpoint_can_deny(caller):
    caller.sandbox.fault("access_denied", interaction="token", times=1)
    answer = caller.ask_token()
    assert (answer.status_code, answer.json()["error"]) == (500, "access_denied")


def test_latency_delays_the_answer(caller):
    caller.sandbox.fault("latency", resource="Location", seconds=30)
    headers = {"Authorization": f"Bearer {caller.token()}"}
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{caller.sandbox.base_url}/Location", headers=headers, timeout=0.3)


def test_drop_closes_the_connection_in_the_middle_of_the_body(caller):
    caller.sandbox.fault("drop", resource="Location", times=1)
    with pytest.raises((ChunkedEncodingError, ConnectionError)):
        caller.get("Location")
    assert caller.get("Location").status_code == 200


def test_truncate_cuts_the_json(caller):
    caller.sandbox.fault("truncate", resource="Location", times=1)
    answer = caller.get("Location")
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_revoke_token_refuses_the_token_from_then_on(caller):
    token = caller.token()
    caller.sandbox.fault("revoke_token", resource="Location", nth=2)
    assert [caller.get("Location", token).status_code for _ in range(3)] == [200, 401, 401]
    assert caller.get("Location").status_code == 200


def test_wrong_total_changes_the_total_of_a_bundle(caller):
    caller.sandbox.fault("wrong_total", resource="Location")
    assert caller.get("Location").json()["total"] == 19
    caller.sandbox.fault("wrong_total", resource="Practitioner", value="3")
    assert caller.get("Practitioner").json()["total"] == 3


def test_next_loops_makes_a_next_link_point_to_its_own_page(caller):
    caller.sandbox.fault("next_loops", resource="Practitioner", page=2)
    second = caller.get("Practitioner?page=2").json()
    assert "page=2" in next_url(second)


def test_next_elsewhere_makes_a_next_link_point_to_a_host_that_counts_its_calls(caller):
    caller.sandbox.fault("next_elsewhere", resource="Practitioner")
    following = next_url(caller.get("Practitioner").json())
    assert following.partition("/fhir")[0] == caller.sandbox.token_url.partition("/oauth")[0]
    assert caller.sandbox.counts()["elsewhere"] == 0
    assert caller.get(following).status_code == 404
    assert caller.sandbox.counts()["elsewhere"] == 1
    caller.sandbox.fault("next_elsewhere", resource="Practitioner", value="evil.example")
    assert next_url(caller.get("Practitioner").json()).startswith("http://evil.example/fhir/r4/")


def test_next_gone_answers_the_next_page_with_410(caller):
    caller.sandbox.fault("next_gone", resource="Practitioner", times=1)
    assert caller.get("Practitioner").status_code == 200
    assert caller.get("Practitioner?page=2").status_code == 410


def test_repeat_returns_records_of_the_page_before_again(caller):
    caller.sandbox.fault("repeat", resource="Practitioner")
    pages = caller.pages("Practitioner")
    assert [len(page["entry"]) for page in pages] == [10, 15, 15]
    assert len({each["id"] for each in resources(pages)}) == 30


def test_ignore_filter_ignores_all_or_one_parameter(caller):
    caller.sandbox.fault("ignore_filter", resource="Location")
    assert caller.get("Location?name=nowhere").json()["total"] == 12
    doctor = caller.sandbox.records("Practitioner")[0]["id"]
    narrow = f"Encounter?practitioner={doctor}&date=ge2030-01-01&date=lt2031-01-01"
    assert caller.get(narrow).json()["total"] == 0
    caller.sandbox.fault("ignore_filter", resource="Encounter", value="date")
    found = resources(caller.pages(narrow))
    assert found
    assert {each["participant"][0]["individual"]["reference"] for each in found} == {f"Practitioner/{doctor}"}


@pytest.mark.parametrize("kind", ["merge_next", "deactivate_next", "delete_next"])
def test_a_fault_between_pages_merges_deactivates_or_deletes_a_patient(caller, kind):
    caller.sandbox.set(page_size=2)
    before = resources(caller.pages("Patient?name=s"))
    caller.sandbox.fault(kind, resource="Patient", times=1)
    after = resources(caller.pages("Patient?name=s"))
    (touched,) = caller.sandbox.faults()[0]["touched"]
    assert before[2]["id"] == touched
    if kind == "delete_next":
        assert [each["id"] for each in after] == [each["id"] for each in before if each["id"] != touched]
        assert caller.get(f"Patient/{touched}").status_code == 404
    else:
        assert [each["id"] for each in after] == [each["id"] for each in before]
        assert after[2]["active"] is False
        assert ("link" in after[2]) == (kind == "merge_next")


def test_expire_export_answers_the_status_with_404(caller):
    token = caller.token(BULK)
    group = caller.get("Group", token).json()["entry"][0]["resource"]["identifier"][0]["value"]
    poll = caller.get(f"Group/{group}/$export", token, headers={"Prefer": "respond-async"}).headers["Content-Location"]
    caller.sandbox.fault("expire_export", interaction="export-status", nth=2)
    assert [caller.get(poll, token).status_code for _ in range(2)] == [202, 404]


def test_lose_response_stores_the_patient_and_drops_the_answer(caller):
    token = caller.token(WRITE)
    caller.sandbox.fault("lose_response", interaction="transaction", times=1)
    with pytest.raises(ConnectionError):
        caller.write("POST", new_patient(), token=token)
    assert caller.sandbox.held()["Patient"] == 121
    assert code_of(caller.write("POST", new_patient(), token=token)) == "202"


def test_hang_stores_no_patient(caller):
    token = caller.token(WRITE)
    caller.sandbox.fault("hang", interaction="transaction", times=1, seconds=0.1)
    with pytest.raises(ConnectionError):
        caller.write("POST", new_patient(), token=token)
    assert caller.sandbox.held()["Patient"] == 120
    assert code_of(caller.write("POST", new_patient(), token=token)) == "1"


def test_write_code_answers_a_code_and_stores_no_patient(caller):
    caller.sandbox.fault("write_code", interaction="transaction", value="103", times=1)
    assert code_of(caller.write("POST", new_patient())) == "103"
    assert caller.sandbox.held()["Patient"] == 120


def test_write_answer_stores_the_patient_and_changes_the_shape_of_the_answer(caller):
    def answer(shape: str, number: int) -> dict:
        caller.sandbox.fault("write_answer", interaction="transaction", value=shape, times=1)
        identifier = [{"use": "usual", "system": "urn:x", "value": str(number)}]
        written = caller.write("POST", new_patient(identifier=identifier))
        assert written.status_code == 200
        return written.json()

    assert answer("outcome", 1)["resourceType"] == "OperationOutcome"
    assert "entry" not in answer("empty", 2)
    assert answer("entry_outcome", 3)["entry"][0]["resource"]["resourceType"] == "OperationOutcome"
    assert answer("no_location", 4)["entry"][0]["response"] == {"status": "1"}
    assert answer("absolute", 5)["entry"][0]["response"]["location"].startswith(caller.sandbox.base_url)
    assert answer("history", 6)["entry"][0]["response"]["location"].endswith("/_history/1")
    assert caller.sandbox.held()["Patient"] == 126


def test_the_readme_of_the_sandbox_lists_exactly_the_faults(request):
    page = (request.config.rootpath / "include/sandbox/README.md").read_text()
    table = page.partition("## Faults")[2]
    listed = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    assert listed == KINDS
