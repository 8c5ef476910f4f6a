"""What is tried again, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.push import intents
from ecw.push.patient.push import push_patient
from ecw.push.plan.outbox import outbox


def test_an_address_that_takes_no_writes_is_not_held_against_the_patient(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.fault("gone", interaction="transaction")
    crm_id = crm.add()
    pushed = push_patient(pushing(), crm_id)
    assert (pushed.status, pushed.outcome.http) == ("failed", 410)
    assert "base URL" in pushed.outcome.next_step
    sandbox.clear_faults()
    assert list(outbox(pushing())) == [crm_id]
    assert push_patient(pushing("r2"), crm_id).status == "created"


def pushes(crm: Any, pushing: Any, crm_id: str) -> list[str]:
    """Push a patient until nothing is left to do, or no end is in sight; return what each push did."""
    status: list[str] = []
    while list(outbox(pushing())) and len(status) < 3 * intents.TRIES:
        status.append(push_patient(pushing(), crm_id).status)
    return status


@pytest.mark.parametrize("operation", ["create", "update"])
def test_a_temporary_failure_that_stays_is_left_to_a_person(
    sandbox: Any, crm: Any, pushing: Any, operation: str
) -> None:
    crm_id = crm.add()
    if operation == "update":
        push_patient(pushing(), crm_id)
        crm.edit(crm_id, city="Lawrence")
    sandbox.fault("write_code", interaction="transaction", value="103")
    sent = sandbox.served("transaction")
    assert pushes(crm, pushing, crm_id) == ["failed", "refused"]
    assert sandbox.served("transaction") - sent == 4, "each was sent once more"
    sandbox.clear_faults()
    crm.edit(crm_id, city="Salina")
    assert pushes(crm, pushing, crm_id) == ["created" if operation == "create" else "updated"]


@pytest.mark.parametrize(("kind", "value", "status"), [("write_code", "999", "unknown"), ("write_code", "2", "failed")])
@pytest.mark.parametrize("operation", ["create", "update"])
def test_what_ecw_never_explains_is_left_to_a_person(
    sandbox: Any, crm: Any, pushing: Any, operation: str, kind: str, value: str, status: str
) -> None:
    crm_id = crm.add()
    if operation == "update":
        push_patient(pushing(), crm_id)
        crm.edit(crm_id, city="Lawrence")
    sandbox.fault(kind, interaction="transaction", value=value)
    sent = sandbox.served("transaction")
    assert pushes(crm, pushing, crm_id) == [status] * intents.TRIES + ["refused"]
    assert sandbox.served("transaction") - sent == intents.TRIES
    sandbox.clear_faults()
    named = pushing("r2", again=True)
    assert push_patient(named, crm_id).status == ("created" if operation == "create" else "updated")


def test_what_did_not_reach_ecw_or_was_done_is_no_try(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    sandbox.set(write_back=False)  # code 308: nobody's patient is taken
    for _ in range(intents.TRIES + 1):
        assert push_patient(pushing(), crm_id).status == "failed"
    sandbox.set(write_back=True)
    assert push_patient(pushing(), crm_id).status == "created"
    [intent] = crm.all("ecw_intent")
    assert intent["attempts"] == 0


@pytest.mark.parametrize("fault", ["too_many", "revoke_token"])
def test_a_push_that_is_turned_away_is_sent_again_and_done_once(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    for status, city in (("created", "Topeka"), ("updated", "Lawrence")):
        crm.edit(crm_id, city=city)
        sandbox.fault(fault, interaction="transaction", times=1)
        pushed = push_patient(pushing(), crm_id)
        if pushed.status == "later":  # an update is read anew first
            pushed = push_patient(pushing(), crm_id)
        assert pushed.status == status
        assert [rule["fired"] for rule in sandbox.faults()] == [1]
        sandbox.clear_faults()
    assert sandbox.held()["Patient"] == patients + 1
    assert sandbox.record("Patient", pushed.ecw_id)["address"][0]["city"] == "Lawrence"


@pytest.mark.parametrize("fault", ["too_many", "revoke_token"])
def test_a_push_that_stays_turned_away_is_left_for_later_and_not_searched_for(
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


def test_a_patient_whom_ecw_merged_into_another_is_not_written_any_more(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    link = [{"other": {"reference": "Patient/e.2"}, "type": "replaced-by"}]
    sandbox.put(sandbox.record("Patient", ecw_id) | {"active": False, "link": link})
    crm.edit(crm_id, city="Lawrence")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, [each.field for each in pushed.findings]) == ("rejected", ["ecw_id"])
    assert sandbox.record("Patient", ecw_id)["address"][0]["city"] == "Topeka"
    assert list(outbox(pushing())) == []
