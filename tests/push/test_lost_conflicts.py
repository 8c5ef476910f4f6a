"""Both sides edit, the CRM wins, and the answer is lost or the process dies: eCW's value can still be looked up."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ecw.crm.state import conflicts
from ecw.push.patient.push import push_patient
from tests.push.patient.test_push import clinic, created, in_ecw
from tests.push.test_rules import facility

pytestmark = pytest.mark.both_databases


def told(crm: Any) -> list[tuple[Any, ...]]:
    return [(row["column"], row["state"], row["winner"], row["emr_value"]) for row in crm.all("ecw_conflict")]


def both_edit_the_city(sandbox: Any, crm: Any, crm_id: str, ecw_id: str) -> None:
    clinic(sandbox, ecw_id, address=[in_ecw(sandbox, ecw_id)["address"][0] | {"city": "Salina"}])
    time.sleep(1.1)  # eCW's times are whole seconds
    crm.edit(crm_id, city="Lawrence")


@pytest.mark.parametrize("way", ["push", "pull"])
def test_the_newest_wins_and_the_answer_is_lost(sandbox: Any, crm: Any, pushing: Any, pull: Any, way: str) -> None:
    crm_id, ecw_id = created(crm, pushing)
    both_edit_the_city(sandbox, crm, crm_id, ecw_id)
    sandbox.fault("lose_response", interaction="transaction", times=1)
    assert push_patient(pushing("r2"), crm_id).status == "unknown"
    assert in_ecw(sandbox, ecw_id)["address"][0]["city"] == "Lawrence"
    if way == "pull":
        pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
    else:
        assert push_patient(pushing("r3"), crm_id).status == "unchanged"
    assert told(crm) == [("city", "settled", "crm", '"Salina"')]


def test_the_crm_wins_and_the_process_dies_before_it_hears_of_it(sandbox: Any, crm: Any, pushing: Any) -> None:
    for name in ("agreed", "crm", "emr"):
        sandbox.put({"resourceType": "Location", "id": name, "status": "active", "name": name})
    crm_id, ecw_id = created(crm, pushing, default_location="Location/agreed")
    extensions = [
        each | {"valueReference": {"reference": "Location/emr"}} if each["url"].endswith("defaultFacility") else each
        for each in in_ecw(sandbox, ecw_id)["extension"]
    ]
    clinic(sandbox, ecw_id, extension=extensions)
    crm.edit(crm_id, default_location="Location/crm")
    run = pushing("r2")
    transact = run.client.transact

    def dying(*request: Any, **how: Any) -> Any:
        transact(*request, **how)
        raise KeyboardInterrupt

    run.client.transact = dying
    with pytest.raises(KeyboardInterrupt):
        push_patient(run, crm_id)
    assert push_patient(pushing("r3"), crm_id).status == "unchanged"
    assert facility(in_ecw(sandbox, ecw_id)) == "Location/crm"
    assert told(crm) == [("default_location", "settled", "crm", '"Location/emr"')]


@pytest.mark.parametrize("fault", ["lose_response", "server_error"])
def test_a_person_s_choice_is_done_once_although_its_answer_was_lost(
    sandbox: Any, crm: Any, pushing: Any, fault: str
) -> None:
    crm_id, ecw_id = created(crm, pushing)
    clinic(sandbox, ecw_id, name=[in_ecw(sandbox, ecw_id)["name"][0] | {"family": "Clinic"}])
    crm.edit(crm_id, last_name="Intake")
    push_patient(pushing("r2"), crm_id)
    assert conflicts.choose(
        crm.engine, conflicts.Field(pushing().place.practice, "patient", crm_id, "last_name"), "crm", "tester"
    )
    sandbox.fault(fault, interaction="transaction", times=1)
    assert push_patient(pushing("r3"), crm_id).status == "unknown"
    assert push_patient(pushing("r4"), crm_id).status == ("unchanged" if fault == "lose_response" else "updated")
    assert in_ecw(sandbox, ecw_id)["name"][0]["family"] == "Intake"
    [(column, state, _, value)] = told(crm)
    assert (column, state, value) == ("last_name", "settled", '"Clinic"')
