"""Both sides edit, the CRM wins, and the answer is lost or the process dies: the conflict still has eCW's value."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ecw.crm.state import conflicts
from ecw.push.patient.push import push_patient
from tests.push.patient.test_push import create_patient, ecw_record, edit_in_ecw
from tests.push.test_rules import facility

pytestmark = pytest.mark.both_databases


def conflict_rows(crm: Any) -> list[tuple[Any, ...]]:
    return [(row["column"], row["state"], row["winner"], row["emr_value"]) for row in crm.all("ecw_conflict")]


def both_edit_the_city(sandbox: Any, crm: Any, crm_id: str, ecw_id: str) -> None:
    edit_in_ecw(sandbox, ecw_id, address=[ecw_record(sandbox, ecw_id)["address"][0] | {"city": "Salina"}])
    time.sleep(1.1)  # eCW's times are whole seconds
    crm.edit(crm_id, city="Lawrence")


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_a_conflict_that_the_newest_edit_won_is_recorded_after_a_lost_answer(
    sandbox: Any, crm: Any, pushing: Any, pull: Any, direction: str
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    both_edit_the_city(sandbox, crm, crm_id, ecw_id)
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    assert ecw_record(sandbox, ecw_id)["address"][0]["city"] == "Lawrence"
    if direction == "pull":
        pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
    else:
        assert push_patient(pushing("r3"), crm_id).status == "unchanged"
    assert conflict_rows(crm) == [("city", "settled", "crm", '"Salina"')]


def test_a_conflict_that_the_crm_won_is_recorded_after_the_process_died(sandbox: Any, crm: Any, pushing: Any) -> None:
    for name in ("agreed", "crm", "emr"):
        sandbox.put({"resourceType": "Location", "id": name, "status": "active", "name": name})
    crm_id, ecw_id = create_patient(crm, pushing, default_location="Location/agreed")
    extensions = [
        each | {"valueReference": {"reference": "Location/emr"}} if each["url"].endswith("defaultFacility") else each
        for each in ecw_record(sandbox, ecw_id)["extension"]
    ]
    edit_in_ecw(sandbox, ecw_id, extension=extensions)
    crm.edit(crm_id, default_location="Location/crm")
    run = pushing("r2")
    transact = run.client.transact

    def dying(*request: Any, **options: Any) -> Any:
        transact(*request, **options)
        raise KeyboardInterrupt

    run.client.transact = dying
    with pytest.raises(KeyboardInterrupt):
        push_patient(run, crm_id)
    assert push_patient(pushing("r3"), crm_id).status == "unchanged"
    assert facility(ecw_record(sandbox, ecw_id)) == "Location/crm"
    assert conflict_rows(crm) == [("default_location", "settled", "crm", '"Location/emr"')]


@pytest.mark.parametrize("fault", ["lose_response", "server_error"])
def test_a_persons_choice_is_sent_once_even_if_its_answer_was_lost(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    crm_id, ecw_id = create_patient(crm, pushing)
    edit_in_ecw(sandbox, ecw_id, name=[ecw_record(sandbox, ecw_id)["name"][0] | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake")
    push_patient(pushing("r2"), crm_id)
    assert conflicts.choose(
        crm.engine, conflicts.Field(pushing().place.practice, "patient", crm_id, "last_name"), "crm", "tester"
    )
    sandbox.fault(fault, interaction="transaction", times=1)
    assert push_patient(pushing("r3"), crm_id).status == "unknown"
    assert push_patient(pushing("r4"), crm_id).status == ("unchanged" if fault == "lose_response" else "updated")
    assert ecw_record(sandbox, ecw_id)["name"][0]["family"] == "Intake"
    [(column, state, _, value)] = conflict_rows(crm)
    assert (column, state, value) == ("last_name", "settled", '"Clinic"')
