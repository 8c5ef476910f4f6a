"""Failures that are tried again, and the number of attempts."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox


def test_a_server_that_accepts_no_writes_does_not_count_against_the_patient(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    sandbox.fault("gone", interaction="transaction")
    crm_id = crm.add()
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, pushed.outcome.http) == ("failed", 410)
    assert "base URL" in pushed.outcome.next_step
    sandbox.clear_faults()
    assert list(outbox(pushing())) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).status == "created"


def push_until_done(crm: Any, pushing: Any, crm_id: str) -> list[str]:
    """Push a patient until it is no longer due, or too many times; return the status of each push."""
    status: list[str] = []
    while list(outbox(pushing())) and len(status) < 3 * intents.TRIES:
        status.append(push_patient(pushing(), crm_id).status)
    return status


@pytest.mark.parametrize("operation", ["create", "update"])
def test_a_temporary_failure_that_persists_is_left_to_a_person(
    sandbox: Any, crm: Any, pushing: Any, operation: str
) -> None:
    crm_id = crm.add()
    if operation == "update":
        push_patient(pushing(), crm_id)
        crm.edit(crm_id, city="Lawrence")
    sandbox.fault("write_code", interaction="transaction", value="103")
    sent = sandbox.served("transaction")
    assert push_until_done(crm, pushing, crm_id) == ["failed", "refused"]
    assert sandbox.served("transaction") - sent == 4, "each push sent it twice"
    sandbox.clear_faults()
    crm.edit(crm_id, city="Salina")
    assert push_until_done(crm, pushing, crm_id) == ["created" if operation == "create" else "updated"]


@pytest.mark.parametrize(("kind", "value", "status"), [("write_code", "999", "unknown"), ("write_code", "2", "failed")])
@pytest.mark.parametrize("operation", ["create", "update"])
def test_a_patient_with_an_unexplained_failure_is_left_to_a_person_after_all_attempts(
    sandbox: Any, crm: Any, pushing: Any, operation: str, kind: str, value: str, status: str
) -> None:
    crm_id = crm.add()
    if operation == "update":
        push_patient(pushing(), crm_id)
        crm.edit(crm_id, city="Lawrence")
    sandbox.fault(kind, interaction="transaction", value=value)
    sent = sandbox.served("transaction")
    assert push_until_done(crm, pushing, crm_id) == [status] * intents.TRIES + ["refused"]
    assert sandbox.served("transaction") - sent == intents.TRIES
    sandbox.clear_faults()
    named = pushing("r2", again=True)
    assert push_patient(named, crm_id).status == ("created" if operation == "create" else "updated")


def test_refusals_that_do_not_depend_on_the_patient_count_as_no_attempt(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    sandbox.set(write_back=False)  # code 308: no patient is accepted
    for _ in range(intents.TRIES + 1):
        assert push_patient(pushing(), crm_id).status == "failed"
    sandbox.set(write_back=True)
    assert push_patient(pushing(), crm_id).status == "created"
    [intent] = crm.all("ecw_intent")
    assert intent["attempts"] == 0


@pytest.mark.parametrize("fault", ["too_many", "revoke_token"])
def test_a_push_that_was_not_processed_is_sent_again_and_done_once(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    for status, city in (("created", "Topeka"), ("updated", "Lawrence")):
        crm.edit(crm_id, city=city)
        sandbox.fault(fault, interaction="transaction", times=1)
        pushed = push_patient(pushing(), crm_id)
        if pushed.status == "later":  # an update reads the patient again first
            pushed = push_patient(pushing(), crm_id)
        assert pushed.status == status
        assert [rule["fired"] for rule in sandbox.faults()] == [1]
        sandbox.clear_faults()
    assert sandbox.held()["Patient"] == patients + 1
    assert sandbox.record("Patient", pushed.ecw_id)["address"][0]["city"] == "Lawrence"


@pytest.mark.parametrize("fault", ["too_many", "revoke_token"])
def test_a_push_that_is_never_processed_stays_due_and_has_no_unknown_outcome(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    sandbox.fault(fault, interaction="transaction")
    first = pushing()
    assert push_patient(first, crm_id).status == ("later" if fault == "too_many" else "failed")
    [rule] = sandbox.faults()
    assert rule["fired"] > 1
    assert intents.unsettled(crm.engine, pushing().place) == []
    sandbox.clear_faults()
    assert push_patient(pushing("r2"), crm_id).status == "created"
    assert sandbox.held()["Patient"] == patients + 1


def test_a_patient_that_ecw_merged_into_another_is_not_updated(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    link = [{"other": {"reference": "Patient/e.2"}, "type": "replaced-by"}]
    sandbox.put(sandbox.record("Patient", ecw_id) | {"active": False, "link": link})
    crm.edit(crm_id, city="Lawrence")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, [each.field for each in pushed.findings]) == ("rejected", ["ecw_id"])
    assert sandbox.record("Patient", ecw_id)["address"][0]["city"] == "Topeka"
    assert list(outbox(pushing())) == []
