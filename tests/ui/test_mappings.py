"""Mappings in the API: a table of each, the state of the crosswalks, and a trial that stores nothing."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ecw.fhir.connection import practice_of
from ecw.resources import RESOURCES
from tests.ui.conftest import AsRole, Client


@pytest.fixture
def page(pull: Any, as_role: AsRole, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client of the console with the connections of the pulls."""
    for name in ("ECW", "CRM"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}_DEFAULT", os.environ[f"AIRFLOW_CONN_{name}_TEST"])
    return as_role("admin")


def test_every_mapping_is_a_table(page: Client, sandbox: Any) -> None:
    practice = {"practice": practice_of(sandbox.base_url)}
    for resource in RESOURCES:
        answer = page.get("/api/mappings", params=practice | {"resource": resource}).json()
        assert answer["mapping"]["resource"] == resource
        assert len(answer["mapping"]["columns"]) > 3
        assert answer["mapping"]["excluded"]
        used = {one["crosswalk"] for one in answer["mapping"]["columns"] if one["crosswalk"]}
        assert {one["name"] for one in answer["crosswalks"]} == used


def test_records_with_an_unmapped_code_are_counted_at_the_crosswalk(page: Client, pull: Any, sandbox: Any) -> None:
    [patient, other, *_] = sandbox.records("Patient")
    sandbox.put(patient | {"gender": "x-unheard-of"})
    sandbox.put(other | {"gender": "male"})
    pull("practitioner", "location", "patient")
    practice = {"practice": practice_of(sandbox.base_url)}
    crosswalks = page.get("/api/mappings", params=practice).json()["crosswalks"]
    assert (crosswalks[0]["name"], crosswalks[0]["records_rejected"]) == ("gender", 1)
    params = practice | {"resource": "patient", "rule": "unmapped code"}
    assert len(page.get("/api/rejects", params=params).json()["rejects"]) == 1
    programs = page.get("/api/mappings", params=practice | {"resource": "encounter"}).json()["crosswalks"][0]
    [(listed,)] = [row.values() for row in pull.rows("SELECT count(*) FROM location WHERE active")]
    assert (programs["name"], programs["unmapped"], len(programs["missing"])) == (
        "treatment_program",
        "default",
        listed,
    )


def test_a_trial_takes_an_id_or_json(page: Client, sandbox: Any) -> None:
    practice = {"practice": practice_of(sandbox.base_url), "resource": "patient"}
    patient = next(one for one in sandbox.records("Patient") if one.get("birthDate"))
    by_id = page.post("/api/mappings/try", practice | {"ecw_id": patient["id"]}).json()
    as_json = page.post("/api/mappings/try", practice | {"json_text": json.dumps(patient)}).json()
    assert by_id == as_json
    born = next(one for one in by_id["columns"] if one["column"] == "birth_date")
    assert (born["value"], born["place"]) == (patient["birthDate"], "birthDate")
    wrong = page.post("/api/mappings/try", practice | {"json_text": json.dumps(patient | {"gender": "x"})}).json()
    assert any("gender" in one for one in wrong["problems"])


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"ecw_id": "a", "json_text": "{}"},
        {"json_text": '{"name": "Kowalczyk"'},
        {"json_text": '["Kowalczyk"]'},
        {"json_text": '{"resourceType": "Observation", "note": "Kowalczyk"}'},
    ],
)
def test_an_invalid_record_is_refused_without_quoting_it(page: Client, sandbox: Any, record: dict[str, str]) -> None:
    answer = page.post("/api/mappings/try", {"practice": practice_of(sandbox.base_url), "resource": "patient"} | record)
    assert answer.status_code == 400
    assert "Kowalczyk" not in answer.text
