"""A record's story in the API: found by an id without values; by a name only for who may see values."""

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


def test_an_id_of_either_side_leads_to_the_story(console: Client, crm_engine: Engine) -> None:
    load(crm_engine, rows=[a_row("a")], rejects=[a_reject("x")])
    [found] = console.get("/api/records", params=P1 | {"id": "a"}).json()["records"]
    assert console.get("/api/records", params=P1 | {"id": found["crm_id"]}).json()["records"] == [found]
    for side in ("ecw_id", "crm_id"):
        story = console.get("/api/records/story", params=P1 | {"resource": "location", side: found[side]}).json()
        assert story["record"] == found
        assert [one["kind"] for one in story["events"]] == ["loaded"]
    story = console.get("/api/records/story", params=P1 | {"resource": "location", "ecw_id": "x"}).json()
    assert [one["kind"] for one in story["events"]] == ["rejected"]
    assert console.get("/api/records", params=P1 | {"id": "nobody"}).json()["records"] == []
    assert console.get("/api/practices").json()["practices"] == ["P1"]


@pytest.mark.parametrize("asked", [{}, {"resource": "location"}, {"resource": "claim", "ecw_id": "a"}])
def test_a_story_is_of_one_named_record(console: Client, asked: dict[str, str]) -> None:
    assert console.get("/api/records/story", params=P1 | {"resource": ""} | asked).status_code == 400


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
    asked = practice | {"resource": "patient", "ecw_id": row["ecw_id"]}
    related = page.get("/api/records/related", params=asked).json()["related"]
    assert "insurance" in {one["resource"] for one in related if one["refers"] == "from"}
