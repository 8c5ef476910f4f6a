"""Conflicts and held matches in the API: both sides are shown on demand, and the next push applies a choice."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecw.crm.db.engine import reading
from ecw.fhir.connection import practice_of
from ecw.reports.sync_state import Clock, states
from tests.push.conftest import Crm, crm, run  # noqa: F401 - fixtures
from tests.push.names import NAMES, person
from tests.ui.conftest import AsRole, Client


@pytest.fixture
def page(run: Any, as_role: AsRole, monkeypatch: pytest.MonkeyPatch) -> Client:  # noqa: F811
    """Return a client of the console with the connections of the pushes."""
    for name in ("ECW", "CRM"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}_DEFAULT", os.environ[f"AIRFLOW_CONN_{name}_TEST"])
    return as_role("admin")


def test_a_held_match_is_compared_and_linked(page: Client, sandbox: Any, crm: Crm, run: Any) -> None:  # noqa: F811
    crm.add(**person(0) | {"first_name": "Eva"})
    run()
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    run()
    practice = {"practice": practice_of(sandbox.base_url)}
    answer = page.get("/api/matches", params=practice)
    assert NAMES[0] not in answer.text
    [match] = answer.json()["matches"]
    assert (match["crm_id"], match["choice"], match["linked"]) == (near, None, False)
    sides = page.post("/api/sides", practice | {"crm_id": near, "ecw_ids": match["candidates"]}).json()
    [ecw_id] = match["candidates"]
    first = next(one for one in sides["columns"] if one["column"] == "first_name")
    assert (first["crm"], first["emr"], first["differs"]) == ("Ewa", {ecw_id: "Eva"}, True)
    same = next(one for one in sides["columns"] if one["column"] == "birth_date")
    assert same["differs"] is False
    wrong = page.post("/api/matches/choose", practice | {"crm_id": near, "choice": "nobody"})
    assert wrong.status_code == 500
    assert "choose one of" in wrong.json()["detail"]["next_step"]
    assert page.post("/api/matches/choose", practice | {"crm_id": near, "choice": "new"}).json()["decided"] == 1
    assert page.get("/api/matches", params=practice).json()["matches"][0]["choice"] == "new"
    assert run()["counts"] == {"created": 1}
    assert page.get("/api/matches", params=practice).json()["matches"] == []
    assert {row["decided_by"] for row in crm.all("ecw_journal") if row["direction"] == "decision"} == {"uma"}


@pytest.mark.parametrize("winner", ["crm", "emr"])
def test_several_conflicts_are_decided_at_once(
    page: Client,
    sandbox: Any,
    crm: Crm,  # noqa: F811
    run: Any,  # noqa: F811
    winner: str,
) -> None:
    ids = [crm.add(**person(at)) for at in range(2)]
    run()
    linked = {row["crm_id"]: row["ecw_id"] for row in crm.all("ecw_link")}
    for crm_id in ids:
        [stored] = [one for one in sandbox.records("Patient") if one["id"] == linked[crm_id]]
        sandbox.put(stored | {"birthDate": "1950-01-03"})
        crm.edit(crm_id, birth_date="1950-01-04")
    run()
    practice = {"practice": practice_of(sandbox.base_url)}
    answer = page.get("/api/conflicts", params=practice)
    assert "1950" not in answer.text
    page_of_conflicts = answer.json()
    assert [(one["column"], one["waiting"], one["chosen"]) for one in page_of_conflicts["groups"]] == [
        ("birth_date", 2, 0)
    ]
    fields = [{name: one[name] for name in ("resource", "crm_id", "column")} for one in page_of_conflicts["conflicts"]]
    chosen = page.post("/api/conflicts/choose", practice | {"winner": winner, "fields": fields}).json()
    assert chosen == {"decided": 2, "dag": "ecw_push_patients" if winner == "crm" else "ecw_pull"}
    run()
    now = {one["id"]: one["birthDate"] for one in sandbox.records("Patient")}
    assert {now[linked[crm_id]] for crm_id in ids} == {"1950-01-04" if winner == "crm" else "1950-01-03"}
    assert page.get("/api/conflicts", params=practice).json()["groups"] == []
    journal = page.get("/api/logs", params=practice | {"direction": "decision"}).json()["entries"]
    assert sorted((one["decided_by"], one["crm_id"]) for one in journal) == [("uma", crm_id) for crm_id in sorted(ids)]
    assert page.post("/api/conflicts/choose", practice | {"winner": winner, "fields": fields}).status_code == 500


def test_a_held_match_is_linked_left_and_linked_again(page: Client, sandbox: Any, crm: Crm, run: Any) -> None:  # noqa: F811
    crm.add(**person(0) | {"first_name": "Eva"})
    run()
    near = crm.add(**person(0) | {"identifier": "other", "first_name": "Ewa"})
    run()
    practice = {"practice": practice_of(sandbox.base_url)}
    [match] = page.get("/api/matches", params=practice).json()["matches"]
    [ecw_id] = match["candidates"]

    def choose(choice: str) -> tuple[str | None, int, int]:
        """Choose; return the current choice, the number of held patients, and the number that the next push sends."""
        done = page.post("/api/matches/choose", practice | {"crm_id": near, "choice": choice}).json()
        assert done == {"decided": 1, "dag": "ecw_push_patients"}
        [now] = page.get("/api/matches", params=practice).json()["matches"]
        with reading(crm.engine) as connection:
            [state] = states(connection, {practice["practice"]: Clock(datetime.now(UTC), timedelta(hours=2))})
        patient = next(one for one in state.resources if one.resource == "patient")
        return now["choice"], patient.held, patient.decided

    assert choose(ecw_id) == (ecw_id, 0, 1)
    assert choose("leave") == (None, 1, 0)
    assert "created" not in run()["counts"]
    assert choose(ecw_id) == (ecw_id, 0, 1)
    journal = page.get("/api/logs", params=practice | {"direction": "decision"}).json()["entries"]
    assert [(one["decided_by"], one["after"]) for one in journal][::-1] == [
        ("uma", ecw_id),
        ("uma", None),
        ("uma", ecw_id),
    ]
    assert all(one["at"] for one in journal)


def test_records_of_a_practice_without_a_connection_cannot_be_decided(page: Client) -> None:
    for path, body in (
        ("sides", {"crm_id": "1", "ecw_ids": []}),
        ("matches/choose", {"crm_id": "1", "choice": "new"}),
        ("records/search", {"text": "Kowalczyk"}),
    ):
        answer = page.post(f"/api/{path}", {"practice": "OTHER"} | body)
        assert answer.status_code == 500
        assert "OTHER" in answer.json()["detail"]["what"]
