"""What was pushed comes back in the next pull: no change, no second row, no push again."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import steps
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox
from ecw.vob.steps import open_vob
from tests.push.names import person


def pulled(crm: Any) -> list[tuple[str, str]]:
    rows = crm.all("ecw_journal")
    return [(row["operation"], row["crm_id"]) for row in rows if row["direction"] == "pull" and row["crm_id"]]


def test_the_echo_of_a_push_is_no_change(sandbox: Any, crm: Any, run: Any, pull: Any, pushing: Any) -> None:
    pull("patient")
    people, journal = len(pull.rows("SELECT id FROM patient")), len(pulled(crm))
    crm_id, unread = crm.add(**person(0)), crm.add(**person(1))
    run(patients=[crm_id])
    steps.send(run.begin(patients=[unread]))  # and killed before it was read back
    before = crm.row(crm_id)
    numbers = pull("patient")["patient"]
    assert (numbers["inserted"], numbers["rejected"]) == (0, 0)
    assert crm.row(crm_id) == before, "updated_at included"
    assert len(pull.rows("SELECT id FROM patient")) == people + 2
    assert [who for _, who in pulled(crm)[journal:]] == [unread], "what eCW added to it: its account number"
    assert list(outbox(pushing())) == []
    assert pull("patient")["patient"]["updated"] == 0
    assert crm.all("ecw_conflict") == []


def test_the_echo_of_a_push_opens_no_request_to_verify_benefits_and_the_clinics_edit_does(
    sandbox: Any, crm: Any, run: Any, pull: Any, pushing: Any
) -> None:
    pull("patient")
    crm_id, unread = crm.add(**person(0)), crm.add(**person(1))
    run(patients=[crm_id])
    steps.send(run.begin(patients=[unread]))  # and killed before it was read back
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


def test_what_ecw_spells_in_its_own_way_is_learned_and_counted(
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
def test_a_pull_that_comes_upon_a_patient_whose_answer_was_lost_links_it_instead_of_making_a_second_row(
    sandbox: Any, crm: Any, pull: Any, pushing: Any, died: bool
) -> None:
    crm_id, other = crm.add(**person(0)), crm.add(**person(1))
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(), crm_id).status == "unknown"
    if died:
        with crm.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE ecw_intent SET state = 'sending'")
    crm.edit(crm_id, city="Lawrence")  # meanwhile: it must not be lost
    pull("patient")
    [ecw_id] = [each["id"] for each in sandbox.records("Patient") if each["name"][0]["family"] == "Abernathy"]
    assert [row["id"] for row in pull.rows("SELECT id FROM patient WHERE last_name = 'Abernathy'")] == [int(crm_id)]
    assert (crm.row(crm_id)["ecw_id"], crm.row(crm_id)["city"]) == (ecw_id, "Lawrence")
    assert [row["state"] for row in crm.all("ecw_intent")] == ["done"]
    found = outbox(pushing())
    assert (found.unsettled, found.creates, found.updates) == ([], [other], [crm_id])
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields) == ("updated", ("city",))


def test_of_two_who_may_be_the_one_that_was_sent_the_pull_takes_none_and_the_push_the_one_with_its_number(
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


def test_a_lost_answer_is_recognised_though_ecw_spells_the_name_in_its_own_way(
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


def test_the_echo_of_a_push_verifies_no_benefits_and_an_edit_of_the_clinic_does(
    sandbox: Any, crm: Any, run: Any, pull: Any
) -> None:
    def opened() -> int:
        return open_vob("", "ecw_test", "crm_test", "ecw_test")["opened"]

    pull("patient", "insurance")
    assert opened() == 0, "a first load"
    insured = "SELECT patient.id FROM patient JOIN insurance ON patient = 'Patient/' || patient.ecw_id"
    crm_id = str(pull.rows(f"{insured} WHERE phone IS NOT NULL AND city IS NOT NULL ORDER BY patient.id")[0]["id"])
    crm.edit(crm_id, city="Lawrence", phone="7855550199")
    crm.add(**person(0))
    assert run()["counts"] == {"created": 1, "updated": 1}
    pull("patient", "insurance")
    assert opened() == 0
    patient = sandbox.record("Patient", crm.row(crm_id)["ecw_id"])
    assert "Lawrence" in [each["city"] for each in patient["address"]]
    moved = [each | {"city": "Hays"} if each["city"] == "Lawrence" else each for each in patient["address"]]
    sandbox.put(patient | {"address": moved})
    pull("patient", "insurance")
    assert opened() == 1
