"""A create whose outcome is not known: when it is searched for, and by what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ecw.crm.db.engine import reading
from ecw.crm.db.tables import ecw_intent
from ecw.push import intents
from ecw.push.patient.push import push_patient


def latest(crm: Any, pushing: Any, crm_id: str) -> intents.Intent:
    with reading(crm.engine) as connection:
        found = intents.latest(connection, pushing().place, crm_id)
    assert found is not None
    return found


def test_the_time_until_it_is_searched_for_counts_from_the_sending(sandbox: Any, crm: Any, pushing: Any) -> None:
    """A request can wait for the quota after it was decided."""
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    slow = pushing(unknown_outcome_wait_seconds=600)
    send = slow.client.transact

    def an_hour_passes() -> None:
        with crm.engine.begin() as connection:
            connection.execute(ecw_intent.update().values(decided_at=datetime.now(UTC) - timedelta(hours=1)))

    def transact(request: Any, **how: Any) -> Any:
        an_hour_passes()
        return send(request, **how)

    slow.client.transact = transact
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(slow, crm_id).status == "unknown"
    crm.edit(crm_id, identifier="ACC-2")  # eCW itself would not refuse it
    assert push_patient(pushing("r2", unknown_outcome_wait_seconds=600), crm_id).status == "unknown"
    an_hour_passes()
    assert push_patient(pushing("r3", unknown_outcome_wait_seconds=600), crm_id).status == "created"
    assert sandbox.held()["Patient"] == patients + 1


def test_of_a_process_that_died_it_is_not_known_when_it_sent(sandbox: Any, crm: Any, pushing: Any) -> None:
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


def test_a_create_that_may_be_one_of_several_is_still_found_after_the_crm_has_changed(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    sandbox.set(undeclared="Patient.identifier")
    crm_id, patients = crm.add(), sandbox.held()["Patient"]
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing(), crm_id).status == "unknown"
    [mine] = [each for each in sandbox.records("Patient") if each["name"][0]["family"] == "Kowalczyk"]
    sandbox.put(mine | {"id": "namesake", "identifier": [{"use": "usual", "system": "s", "value": "namesake"}]})
    assert push_patient(pushing("r2"), crm_id).status == "held"
    crm.edit(crm_id, birth_date="1980-01-20", gender="Other")
    assert push_patient(pushing("r3"), crm_id).status == "rejected"
    crm.edit(crm_id, gender="Female")
    assert push_patient(pushing("r4"), crm_id).status == "held"
    assert set(latest(crm, pushing, crm_id).candidates) == {mine["id"], "namesake"}
    assert sandbox.held()["Patient"] == patients + 2
    assert intents.choose(crm.engine, pushing().place, crm_id, mine["id"], "tester")
    assert push_patient(pushing("r5"), crm_id).ecw_id == mine["id"]
    assert not latest(crm, pushing, crm_id).maybe_created


def test_what_was_sent_is_forgotten_once_it_is_known_that_ecw_did_not_take_it(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    sandbox.fault("write_code", interaction="transaction", value="118", times=1)
    crm_id = crm.add()
    assert push_patient(pushing(), crm_id).status == "refused"
    assert latest(crm, pushing, crm_id).sent == {}
