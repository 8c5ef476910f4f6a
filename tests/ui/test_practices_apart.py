"""Two practices share a CRM: every route of the console shows and changes rows of the requested practice only.

Both practices have the same ids, runs, rejects, conflicts and held matches.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text

from ecw.crm.db import tables as t
from ecw.crm.db.engine import reading
from ecw.crm.db.tables import metadata
from ecw.crm.state import practices
from tests.fixtures.console_data import Scale, fill, run_id
from tests.fixtures.crm import on_sqlite
from tests.ui.conftest import Client

pytestmark = on_sqlite
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
CODES = {"north": "NORTH01", "south": "SOUTH01"}
PATIENTS = {"north": 901, "south": 902}  # their ids in the CRM; both are `pat-9` in their own eCW
URL = "https://fhir.example/fhir/r4/{}"


@pytest.fixture
def shared(console: Client, crm_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client of the console with a CRM of two practices; each has its code in its reasons and demands."""
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_north, ecw_south")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 */2 * * *")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "all")
    for name, code in CODES.items():
        monkeypatch.setenv(
            f"AIRFLOW_CONN_ECW_{name.upper()}", json.dumps({"conn_type": "ecw", "host": URL.format(code)})
        )
        fill(crm_engine, code, Scale(days=1, first_load=6, rejects=8, patients=3), now=NOW)
        key = {"practice": code, "run_id": run_id(NOW), "resource": "patient", "at": NOW}
        rule = {"number": 0, "rule": "volume", "column": "", "demand": f"as {code}", "on_fail": "warn"}
        found = {"reason": "calls", "rows": 9, "broken": 2, "verdict": "warn"}
        link = {"practice": code, "resource": "patient", "ecw_id": "pat-9", "crm_id": str(PATIENTS[name])}
        with crm_engine.begin() as connection:
            practices.claim(connection, code, URL.format(code))
            connection.execute(insert(t.ecw_quality_result).values(key | rule | found))
            connection.execute(
                insert(t.ecw_link).values(link | {"hash": "", "mapping_version": "m", "last_seen_run": ""})
            )
            for table, crm_id in (("ecw_conflict", "11"), ("ecw_intent", "4"), ("ecw_journal", "4")):
                mine = {"id": str(PATIENTS[name]), "code": code, "crm_id": crm_id}
                where = "practice = :code AND crm_id = :crm_id"
                connection.execute(text(f"UPDATE {table} SET crm_id = :id WHERE {where}"), mine)  # noqa: S608
            connection.execute(text("UPDATE ecw_reject SET reason = practice || ' ' || reason"))
            row = {"id": PATIENTS[name], "code": code}
            columns = "id, ecw_id, last_name, first_name, ecw_practice"
            connection.execute(text(f"INSERT INTO patient ({columns}) VALUES (:id, 'pat-9', 'Roe', 'Ann', :code)"), row)  # noqa: S608
    return console


def everything(engine: Engine, code: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of a practice in the project's own tables."""
    with reading(engine) as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table).where(table.c.practice == code))), key=repr)
            for table in metadata.sorted_tables
            if "practice" in table.c
        }


SHOWN = {
    "/api/logs": ({}, "entries"),
    "/api/logs/runs": ({}, "runs"),
    "/api/rejects": ({}, "rejects"),
    "/api/rejects/groups": ({}, "groups"),
    "/api/conflicts": ({}, "conflicts"),
    "/api/matches": ({}, "matches"),
    "/api/quality": ({}, "expectations"),
    "/api/records": ({"id": "pat-9"}, "records"),
    "/api/records/story": ({"resource": "patient", "ecw_id": "pat-9"}, "events"),
    "/api/overview": ({}, ""),
    "/api/status": ({}, ""),
}


@pytest.mark.parametrize("path", SHOWN)
def test_a_page_shows_one_practice_only(shared: Client, crm_engine: Engine, path: str) -> None:
    """The page is the same as without the other practice."""
    options, part = SHOWN[path]
    answers = {name: shared.get(path, params=options | {"practice": code}) for name, code in CODES.items()}
    for name, answer in answers.items():
        [other] = set(CODES) - {name}
        assert answer.status_code == 200, answer.text
        assert not part or answer.json()[part], "the page has something to show"
        if path not in ("/api/overview", "/api/status"):  # these name the practices to choose from
            assert CODES[other] not in answer.text
        assert f'"{PATIENTS[other]}"' not in answer.text
    with crm_engine.begin() as connection:
        for table in [each for each in metadata.sorted_tables if "practice" in each.c and each.name != "ecw_practice"]:
            connection.execute(table.delete().where(table.c.practice == CODES["south"]))
    alone = shared.get(path, params=options | {"practice": CODES["north"]})
    assert counted(alone.json()) == counted(answers["north"].json())


def counted(found: Any) -> Any:
    """Return an answer without its times and without the list of practices."""
    if isinstance(found, dict):
        return {name: counted(value) for name, value in found.items() if name not in ("practices", "at", "age_seconds")}
    return [counted(each) for each in found] if isinstance(found, list) else found


DONE = {
    "/api/rejects/dismiss": ({"resource": "patient", "ids": ["pat-1"], "note": "known"}, "ecw_reject"),
    "/api/conflicts/choose": (
        {"fields": [{"resource": "patient", "crm_id": "901", "column": "phone"}], "winner": "crm"},
        "ecw_conflict",
    ),
    "/api/matches/choose": ({"crm_id": "901", "choice": "pat-44"}, "ecw_intent"),
}


@pytest.mark.parametrize("path", DONE)
def test_a_decision_changes_one_practice_only(shared: Client, crm_engine: Engine, path: str) -> None:
    body, table = DONE[path]
    before = {name: everything(crm_engine, code) for name, code in CODES.items()}
    answer = shared.post(path, body | {"practice": CODES["north"]})
    assert answer.status_code == 200, answer.text
    after = {name: everything(crm_engine, code) for name, code in CODES.items()}
    assert after["south"] == before["south"]
    assert after["north"][table] != before["north"][table]


@pytest.mark.parametrize("path", ["/api/conflicts/choose", "/api/matches/choose"])
def test_a_decision_about_a_patient_of_another_practice_is_refused(
    shared: Client, crm_engine: Engine, path: str
) -> None:
    body, _ = DONE[path]
    before = {name: everything(crm_engine, code) for name, code in CODES.items()}
    answer = shared.post(path, body | {"practice": CODES["south"]})
    assert answer.status_code != 200
    assert {name: everything(crm_engine, code) for name, code in CODES.items()} == before


def test_a_practice_without_its_connection_does_not_block_decisions(
    shared: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_absent, ecw_north, ecw_south")
    body, _ = DONE["/api/matches/choose"]
    assert shared.post("/api/matches/choose", body | {"practice": CODES["north"]}).status_code == 200
