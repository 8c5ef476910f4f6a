"""The pull after a push: pushed values are no change, make no second row, and are not pushed again."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import steps
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox
from ecw.vob.steps import open_vob
from tests.push.names import person


def pull_entries(crm: Any) -> list[tuple[str, str]]:
    rows = crm.all("ecw_journal")
    return [(row["operation"], row["crm_id"]) for row in rows if row["direction"] == "pull" and row["crm_id"]]


def test_a_pull_of_pushed_patients_changes_no_row(sandbox: Any, crm: Any, run: Any, pull: Any, pushing: Any) -> None:
    pull("patient")
    patients, journal = len(pull.rows("SELECT id FROM patient")), len(pull_entries(crm))
    crm_id, unread = crm.add(**person(0)), crm.add(**person(1))
    run(patients=[crm_id])
    steps.send(run.begin(patients=[unread]))  # killed before the readback
    before = crm.row(crm_id)
    numbers = pull("patient")["patient"]
    assert (numbers["inserted"], numbers["rejected"]) == (0, 0)
    assert crm.row(crm_id) == before, "updated_at included"
    assert len(pull.rows("SELECT id FROM patient")) == patients + 2
    assert [crm_id for _, crm_id in pull_entries(crm)[journal:]] == [unread], "eCW added its account number"
    assert list(outbox(pushing())) == []
    assert pull("patient")["patient"]["updated"] == 0
    assert crm.all("ecw_conflict") == []


def test_a_pull_of_pushed_patients_opens_no_vob_request_and_an_edit_of_the_clinic_does(
    sandbox: Any, crm: Any, run: Any, pull: Any, pushing: Any
) -> None:
    pull("patient")
    crm_id, unread = crm.add(**person(0)), crm.add(**person(1))
    run(patients=[crm_id])
    steps.send(run.begin(patients=[unread]))  # killed before the readback
    pull("patient")
    crm.edit(crm_id, phone="785-555-0142")
    assert run(patients=[crm_id])["counts"] == {"updated": 1}
    pull("patient")

    assert open_vob("", "ecw_test", "crm_test", "no_webhook") == {"opened": 0, "include_initial_sync": 0, "too_many": 0}

    ecw_id = crm.row(crm_id)["ecw_id"]
    [stored] = [each for each in sandbox.records("Patient") if each["id"] == ecw_id]
    sandbox.put(stored | {"birthDate": "1971-01-02"})
    pull("patient")
    assert open_vob("", "ecw_test", "crm_test", "no_webhook")["opened"] == 1
    assert pull.rows("SELECT patient_ecw_id, change FROM vob_request") == [
        {"patient_ecw_id": ecw_id, "change": "birth_date"}
    ]


def test_ecws_spelling_of_a_pushed_value_is_learned_and_counted(
    sandbox: Any, crm: Any, run: Any, pull: Any, pushing: Any
) -> None:
    crm_id = crm.add(**person(0) | {"city": "St. Louis"})
    push = run.begin()
    steps.send(push)
    [stored] = [each for each in sandbox.records("Patient") if each["id"] == crm.row(crm_id)["ecw_id"]]
    sandbox.put(stored | {"address": [stored["address"][0] | {"city": "ST LOUIS"}]})
    steps.confirm(push)
    assert steps.summary(push)["normalized_fields"]["city"] == 1
    assert pull("patient")["patient"]["updated"] == 0
    assert crm.row(crm_id)["city"] == "St. Louis"
    assert list(outbox(pushing())) == []


@pytest.mark.parametrize("died", [True, False])
def test_a_pull_links_a_patient_whose_answer_was_lost_and_inserts_no_second_row(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, died: bool
) -> None:
    crm_id, other = crm.add(**person(0)), crm.add(**person(1))
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(), crm_id).status == "unknown"
    if died:
        with crm.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE ecw_intent SET state = 'sending'")
    crm.edit(crm_id, city="Lawrence")  # this edit must not be lost
    pull("patient")
    [ecw_id] = [each["id"] for each in sandbox.records("Patient") if each["name"][0]["family"] == "Abernathy"]
    assert [row["id"] for row in pull.rows("SELECT id FROM patient WHERE last_name = 'Abernathy'")] == [int(crm_id)]
    assert (crm.row(crm_id)["ecw_id"], crm.row(crm_id)["city"]) == (ecw_id, "Lawrence")
    assert [row["state"] for row in crm.all("ecw_intent")] == ["done"]
    found = outbox(pushing())
    assert (found.unsettled, found.creates, found.updates) == ([], [other], [crm_id])
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields) == ("updated", ("city",))


def test_of_two_candidates_for_a_lost_create_the_pull_links_none_and_the_push_that_with_its_number(
    sandbox: Any, crm: Any, pull: Any, pushing: Any
) -> None:
    crm_id = crm.add(**person(0))
    sandbox.fault("lose_response", interaction="transaction", times=1)
    push_patient(pushing(), crm_id)
    [one] = [each for each in sandbox.records("Patient") if each["name"][0]["family"] == "Abernathy"]
    sandbox.put(one | {"id": "another", "identifier": [{"use": "usual", "system": "s", "value": "another"}]})
    pull("patient")
    assert crm.row(crm_id)["ecw_id"] is None
    assert not {link["ecw_id"] for link in crm.all("ecw_link")} & {one["id"], "another"}
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.ecw_id) == ("created", one["id"])
    pull("patient")
    links = {link["ecw_id"]: link["crm_id"] for link in crm.all("ecw_link")}
    assert (links[one["id"]], links["another"] != crm_id) == (crm_id, True)


def test_a_patient_whose_answer_was_lost_is_recognised_in_ecws_spelling(
    sandbox: Any, crm: Any, pull: Any, pushing: Any
) -> None:
    crm_id = crm.add(**person(0))
    sandbox.fault("lose_response", interaction="transaction", times=1)
    push_patient(pushing(), crm_id)
    [one] = [each for each in sandbox.records("Patient") if each["name"][0]["family"] == "Abernathy"]
    sandbox.put(one | {"name": [one["name"][0] | {"family": "ABERNATHY", "given": ["ÉWA"]}]})
    pull("patient")
    assert pull.rows("SELECT id FROM patient WHERE upper(last_name) = 'ABERNATHY'") == [{"id": int(crm_id)}]
    assert (crm.row(crm_id)["ecw_id"], crm.row(crm_id)["last_name"]) == (one["id"], "Abernathy")
    assert list(outbox(pushing())) == []


def test_a_pull_of_pushed_changes_opens_no_vob_request_and_an_edit_of_the_clinic_does(
    sandbox: Any, crm: Any, run: Any, pull: Any
) -> None:
    def opened_requests() -> int:
        return open_vob("", "ecw_test", "crm_test", "ecw_test")["opened"]

    pull("patient", "insurance")
    assert opened_requests() == 0, "the initial sync"
    insured = "SELECT patient.id FROM patient JOIN insurance ON patient = 'Patient/' || patient.ecw_id"
    crm_id = str(pull.rows(f"{insured} WHERE phone IS NOT NULL AND city IS NOT NULL ORDER BY patient.id")[0]["id"])
    crm.edit(crm_id, city="Lawrence", phone="7855550199")
    crm.add(**person(0))
    assert run()["counts"] == {"created": 1, "updated": 1}
    pull("patient", "insurance")
    assert opened_requests() == 0
    patient = sandbox.record("Patient", crm.row(crm_id)["ecw_id"])
    assert "Lawrence" in [each["city"] for each in patient["address"]]
    moved = [each | {"city": "Hays"} if each["city"] == "Lawrence" else each for each in patient["address"]]
    sandbox.put(patient | {"address": moved})
    pull("patient", "insurance")
    assert opened_requests() == 1
