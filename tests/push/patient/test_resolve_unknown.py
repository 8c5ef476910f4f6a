"""A create whose outcome is unknown: when the patient is searched for, and with which values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_intent
from ecw.push import intents
from ecw.push.patient.push import push_patient


def latest(crm: Any, pushing: Any, crm_id: str) -> intents.Intent:
    with reading(crm.engine) as connection:
        intent = intents.latest(connection, pushing().place, crm_id)
    assert intent is not None
    return intent


def test_the_wait_before_the_search_counts_from_the_sending(sandbox: Any, crm: Any, pushing: Any) -> None:
    """Between the decision and the request the push may wait for the quota."""
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    slow = pushing(unknown_outcome_wait_seconds=600)
    send = slow.client.transact

    def let_an_hour_pass() -> None:
        with crm.engine.begin() as connection:
            connection.execute(ecw_intent.update().values(decided_at=datetime.now(UTC) - timedelta(hours=1)))

    def transact(request: Any, **options: Any) -> Any:
        let_an_hour_pass()
        return send(request, **options)

    slow.client.transact = transact
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(slow, crm_id).status == "unknown"
    crm.edit(crm_id, identifier="ACC-2")  # so that eCW itself would not refuse a second create
    assert push_patient(pushing("r2", unknown_outcome_wait_seconds=600), crm_id).status == "unknown"
    let_an_hour_pass()
    assert push_patient(pushing("r3", unknown_outcome_wait_seconds=600), crm_id).status == "created"
    assert sandbox.held()["Patient"] == patients + 1


def test_for_a_process_that_died_the_wait_counts_from_the_discovery(sandbox: Any, crm: Any, pushing: Any) -> None:
    crm_id, place = crm.add(), pushing().place
    with reading(crm.engine) as connection:
        row = pushing().patients.read(connection, crm_id).row
    with crm.engine.begin() as connection:
        intents.decide(connection, place, crm_id, intents.Decision("k", "create", None, row, "r0"))
        connection.execute(ecw_intent.update().values(decided_at=datetime.now(UTC) - timedelta(hours=1)))
    assert push_patient(pushing("r1", unknown_outcome_wait_seconds=600), crm_id).status == "unknown"
    assert latest(crm, pushing, crm_id).state == intents.UNKNOWN
    assert push_patient(pushing("r2", unknown_outcome_wait_seconds=600), crm_id).status == "unknown"
    assert push_patient(pushing("r3", unknown_outcome_wait_seconds=0), crm_id).status == "created"


def test_a_create_with_several_candidates_is_still_found_after_an_edit_of_the_crm(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    sandbox.set(undeclared="Patient.identifier")
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(), crm_id).status == "unknown"
    [created] = [each for each in sandbox.records("Patient") if each["name"][0]["family"] == "Kowalczyk"]
    sandbox.put(created | {"id": "namesake", "identifier": [{"use": "usual", "system": "s", "value": "namesake"}]})
    assert push_patient(pushing("r2"), crm_id).status == "held"
    crm.edit(crm_id, birth_date="1980-01-20", gender="Other")
    assert push_patient(pushing("r3"), crm_id).status == "rejected"
    crm.edit(crm_id, gender="Female")
    assert push_patient(pushing("r4"), crm_id).status == "held"
    assert set(latest(crm, pushing, crm_id).candidates) == {created["id"], "namesake"}
    assert sandbox.held()["Patient"] == patients + 2
    assert intents.choose(crm.engine, pushing().place, crm_id, created["id"], "tester")
    assert push_patient(pushing("r5"), crm_id).ecw_id == created["id"]
    assert not latest(crm, pushing, crm_id).maybe_created


def test_the_sent_values_are_deleted_once_ecw_has_refused_them(sandbox: Any, crm: Any, pushing: Any) -> None:
    sandbox.fault("write_code", interaction="transaction", value="118", times=1)
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "refused"
    assert latest(crm, pushing, crm_id).sent == {}
