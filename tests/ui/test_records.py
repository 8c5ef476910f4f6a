"""A record's story in the API: found by an id, or by a name for a user who may see values."""

from __future__ import annotations

import os
from typing import Any

import pytest
from sqlalchemy import Engine

from ecw.fhir.connection import practice_of
from ecw.resources import RESOURCES
from tests.fixtures.loads import a_reject, a_row, load
from tests.ui.conftest import AsRole, Client

P1 = {"practice": "P1"}


def test_the_story_is_found_by_the_id_of_either_side(console: Client, crm_engine: Engine) -> None:
    load(crm_engine, rows=[a_row("a")], rejects=[a_reject("x")])
    [record] = console.get("/api/records", params=P1 | {"id": "a"}).json()["records"]
    assert console.get("/api/records", params=P1 | {"id": record["crm_id"]}).json()["records"] == [record]
    for side in ("ecw_id", "crm_id"):
        story = console.get("/api/records/story", params=P1 | {"resource": "location", side: record[side]}).json()
        assert story["record"] == record
        assert [one["kind"] for one in story["events"]] == ["loaded"]
    story = console.get("/api/records/story", params=P1 | {"resource": "location", "ecw_id": "x"}).json()
    assert [one["kind"] for one in story["events"]] == ["rejected"]
    assert console.get("/api/records", params=P1 | {"id": "nobody"}).json()["records"] == []
    assert console.get("/api/practices").json()["practices"] == ["P1"]


@pytest.mark.parametrize("params", [{}, {"resource": "location"}, {"resource": "claim", "ecw_id": "a"}])
def test_a_story_needs_a_resource_and_an_id(console: Client, params: dict[str, str]) -> None:
    assert console.get("/api/records/story", params=P1 | {"resource": ""} | params).status_code == 400


def test_a_patient_is_found_by_name_and_has_policies(
    pull: Any, as_role: AsRole, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(*RESOURCES)
    for name in ("ECW", "CRM"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}_DEFAULT", os.environ[f"AIRFLOW_CONN_{name}_TEST"])
    practice, page = {"practice": practice_of(sandbox.base_url)}, as_role("admin")
    [row] = pull.rows(
        "SELECT p.ecw_id, p.last_name FROM patient p JOIN insurance i ON i.patient = 'Patient/' || p.ecw_id "
        "WHERE p.last_name IS NOT NULL ORDER BY p.id LIMIT 1"
    )
    answer = page.post("/api/records/search", practice | {"text": row["last_name"], "resource": "patient"})
    assert row["last_name"] not in answer.text
    assert row["ecw_id"] in {one["ecw_id"] for one in answer.json()["records"]}
    params = practice | {"resource": "patient", "ecw_id": row["ecw_id"]}
    related = page.get("/api/records/related", params=params).json()["related"]
    assert "insurance" in {one["resource"] for one in related if one["refers"] == "from"}
