"""Edits in the CRM and in eCW at the same time: every column rule, with the same result in both orders of runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ecw.push.patient.push import push_patient
from ecw.push.patient.readback import confirm
from ecw.push.plan.outbox import outbox
from tests.push.names import person

# gender: eCW wins; default_location: the CRM wins; city: the newest edit wins; last_name: a person chooses; birth_sex:
# the first value stays.
CRM: dict[str, Any] = {
    "gender": "Male",
    "default_location": "Location/crm",
    "city": "Lawrence",
    "last_name": "Intake",
    "birth_sex": "Male",
}
MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"


def edit_ecw(sandbox: Any, ecw_id: str) -> None:
    patient = sandbox.record("Patient", ecw_id)
    extensions = [
        each | {"valueReference": {"reference": "Location/emr"}} if each["url"].endswith("defaultFacility") else each
        for each in patient["extension"]
    ]
    changes = {
        "gender": "unknown",
        "extension": extensions,
        "address": [patient["address"][0] | {"city": "Salina"}],
        "name": [patient["name"][0] | {"family": "Clinic"}],
        "maritalStatus": {"coding": [{"system": MARITAL, "code": "M"}]},
    }
    sandbox.put(patient | changes)


def facility(patient: dict[str, Any]) -> str:
    [extension] = [each for each in patient["extension"] if each["url"].endswith("defaultFacility")]
    return str(extension["valueReference"]["reference"])


@pytest.mark.parametrize("newer", ["crm", "emr"])
@pytest.mark.parametrize("order", [("pull", "push"), ("push", "pull")])
def test_every_column_rule_gives_the_same_result_in_both_orders(
    sandbox: Any, crm: Any, run: Any, pull: Any, order: tuple[str, str], newer: str
) -> None:
    for name in ("agreed", "crm", "emr"):
        sandbox.put({"resourceType": "Location", "id": name, "status": "active", "name": name})
    first = {"default_location": "Location/agreed", "birth_sex": "Female"}
    crm_id = crm.add(**person(0) | first)
    run()
    ecw_id = crm.row(crm_id)["ecw_id"]
    if newer == "emr":
        crm.edit(crm_id, **CRM)
        time.sleep(1.1)  # eCW's times are whole seconds
    edit_ecw(sandbox, ecw_id)
    if newer == "crm":
        time.sleep(1.1)
        crm.edit(crm_id, **CRM)
    for direction in (*order, *order):
        if direction == "push":
            run()
        else:
            pull.resource(pull.begin(options={"ids": {"patient": [ecw_id]}}), "patient")
    row, patient = crm.row(crm_id), sandbox.record("Patient", ecw_id)
    assert (row["gender"], patient["gender"]) == ("Unknown", "unknown")
    assert (row["default_location"], facility(patient)) == ("Location/crm", "Location/crm")
    city = "Lawrence" if newer == "crm" else "Salina"
    assert (row["city"], patient["address"][0]["city"]) == (city, city)
    assert (row["last_name"], patient["name"][0]["family"]) == ("Intake", "Clinic"), "until a person chooses"
    birth_sex = [each["valueCode"] for each in patient["extension"] if each["url"].endswith("us-core-birthsex")]
    assert (row["birth_sex"], birth_sex) == ("Male", ["F"]), "each side keeps its first value"
    assert row["marital_status"] == "Married", "an edit of only one side is synchronised"
    conflicts = {each["column"]: (each["state"], each["winner"]) for each in crm.all("ecw_conflict")}
    assert conflicts == {
        "gender": ("settled", "emr"),
        "default_location": ("settled", "crm"),
        "city": ("settled", newer),
        "last_name": ("open", None),
    }


def test_an_edit_of_the_identifier_after_the_create_is_not_sent_and_does_not_stop_other_edits(
    sandbox: Any, crm: Any, pushing: Any
) -> None:
    crm_id = crm.add()
    ecw_id = push_patient(pushing(), crm_id).ecw_id
    confirm(pushing(), crm_id)
    crm.edit(crm_id, identifier="ACC-2")
    assert list(outbox(pushing())) == []
    crm.edit(crm_id, city="Lawrence")
    pushed = push_patient(pushing("r2"), crm_id)
    assert (pushed.status, pushed.fields) == ("updated", ("city",))
    assert sandbox.record("Patient", ecw_id)["address"][0]["city"] == "Lawrence"
    assert (crm.row(crm_id)["identifier"], list(outbox(pushing()))) == ("ACC-2", [])
