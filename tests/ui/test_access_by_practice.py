"""Rights to one practice show that practice only: every route, with Airflow's FAB auth manager and rights per DAG.

NORTH1 and SOUTH2 share a CRM, EAST3 has its own. All ids and texts of the other practices contain a mark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.routing import APIRoute
from sqlalchemy import Connection, Engine, MetaData, Text, insert, select, text, update
from sqlalchemy import String as AnyText

from ecw.crm.db import tables as t
from ecw.crm.db.engine import engine_from_url, reading
from ecw.crm.db.migrations import migrate
from ecw.ui import jwks, static_files
from ecw.ui.app import app
from tests.fixtures.console_data import Scale, fill
from tests.fixtures.fab import SEE_VALUES, Users, fab_users, of_dag
from tests.ui.conftest import Client

MARK = "theirs-"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
OTHERS = {"SOUTH2": "south", "EAST3": "east"}  # the code, and the end of the DAG ids
DAGS = ("ecw_pull", "ecw_push_patients", "ecw_replay")
FILES = {route.path for route in static_files.router.routes if isinstance(route, APIRoute)}
ROUTES = [each for each in app.routes if each is not jwks.route and isinstance(each, APIRoute)]
GETS = [route.path for route in ROUTES if "GET" in route.methods and route.path not in FILES]
POSTS = [route.path for route in ROUTES if "POST" in route.methods]
ABOUT_ALL = {"/api/me", "/quality/run"}  # routes without a practice of their own
# Answers without a marked text: only counts, or empty because the record or check does not exist here.
NO_MARK = {
    *("/api/quality", "/api/rejects/groups", "/api/mappings", "/quality/run"),
    *("/api/records", "/api/records/related", "/api/records/story"),
}
ID = f"{MARK}pat-1"
SENT = {"resource": "patient", "id": ID, "ecw_id": ID, "run": "", "run_id": f"{MARK}run"}
BODIES: dict[str, dict[str, Any]] = {
    "/api/records/search": {"text": MARK},
    "/api/sides": {"crm_id": "2", "ecw_ids": []},
    "/api/mappings/try": {"resource": "patient", "json_text": '{"resourceType": "Patient", "id": "a"}'},
    "/api/rejects/dismiss": {"resource": "patient", "ids": [ID, "pat-1"], "note": "a test chart"},
    "/api/rejects/reopen": {"resource": "patient", "ids": [ID, "pat-1"]},
    "/api/conflicts/choose": {
        "winner": "crm",
        "fields": [{"resource": "patient", "crm_id": f"{MARK}11", "column": "phone"}],
    },
    "/api/matches/choose": {"crm_id": f"{MARK}4", "choice": "leave"},
}


@pytest.fixture(scope="module")
def fab() -> Iterator[Users]:
    with pytest.MonkeyPatch.context() as monkeypatch, fab_users(monkeypatch) as users:
        yield users


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Yield the shared CRM of two CRMs with three practices; it also has OLD9, a practice without a connection."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _clinics(tmp_path_factory.mktemp("clinics"), monkeypatch)


def _clinics(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    crm_url, east_url = (f"sqlite:///{folder / name}.db" for name in ("crm", "east"))
    crm_engine, east = engine_from_url(crm_url), engine_from_url(east_url)
    for engine in (crm_engine, east):
        migrate(engine)
    for engine, code in ((crm_engine, "NORTH1"), (crm_engine, "SOUTH2"), (crm_engine, "OLD9"), (east, "EAST3")):
        fill(engine, code, Scale(days=1, first_load=20, patients=5))
        with engine.begin() as connection:
            connection.execute(
                insert(t.ecw_practice).values(
                    practice=code, base_url=host(code), since=datetime(2026, 1, 1, tzinfo=UTC)
                )
            )
            if code != "NORTH1":
                _mark(connection, code)
    with crm_engine.begin() as connection:
        for key, code, name in ((1, "NORTH1", "Ours"), (2, "SOUTH2", f"{MARK}Secret"), (3, None, f"{MARK}Nobody")):
            row = {"id": key, "code": code, "name": name, "ecw_id": f"{'' if key == 1 else MARK}pat-{key}"}
            columns = "INSERT INTO patient (id, ecw_id, ecw_practice, last_name) VALUES (:id, :ecw_id, :code, :name)"
            connection.execute(text(columns), row)
    for name, url in (("crm_default", crm_url), ("crm_east", east_url)):
        document = {"conn_type": "generic", "extra": {"url": url}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(document))
    for name, code in (("north", "NORTH1"), *((name, code) for code, name in OTHERS.items())):
        extra = {"calls_per_minute": len(name) * 10, "client_secret": uuid4().hex}
        document = {"conn_type": "ecw", "host": host(code), "login": "c", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_ECW_{name.upper()}", json.dumps(document))
    file = folder / "practices.yaml"
    file.write_text("practices: {north: {}, south: {}, east: {crm_connection: crm_east, schedule: '0 6 * * *'}}\n")
    monkeypatch.setenv("ECW_PRACTICES", str(file))
    yield crm_engine
    crm_engine.dispose()
    east.dispose()


def host(code: str) -> str:
    return f"http://127.0.0.1:9/fhir/r4/{code}"


def _mark(connection: Connection, code: str) -> None:
    """Mark the ids and texts in the project's own tables of a practice."""
    words = {"ecw_id", "crm_id", "run_id", "first_run", "last_run", "reason", "message", "patient"}
    for table in (t.ecw_run, t.ecw_journal, t.ecw_push_item, t.ecw_reject, t.ecw_conflict, t.ecw_intent, t.ecw_checked):
        marked = {
            column.name: MARK + column
            for column in table.columns
            if column.name in words and isinstance(column.type, AnyText | Text)
        }
        connection.execute(update(table).where(table.c.practice == code).values(marked))


def client_of(user: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setitem(app.dependency_overrides, get_user, lambda: user)
    return Client(app)


@pytest.fixture
def north(clinics: Engine, fab: Users, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return a client of the console for a user with all rights to NORTH1 and none to another practice."""
    rights = [right for dag in DAGS for right in of_dag(f"{dag}__north", trigger=True)]
    return client_of(fab.with_rights([*rights, *SEE_VALUES]), monkeypatch)


def contents(engine: Engine) -> dict[str, list[Any]]:
    """Return all rows of the project's own tables that belong to another practice than NORTH1."""
    rows_of_tables = {}
    everything = MetaData()
    with reading(engine) as connection:
        everything.reflect(connection)
        for table in everything.sorted_tables:
            if "practice" in table.c:
                rows = connection.execute(select(table).where(table.c.practice != "NORTH1"))
                rows_of_tables[table.name] = sorted(map(repr, rows))
    return rows_of_tables


def leaks(answer: Any, sent: dict[str, Any]) -> list[str]:
    """Return the marks of other practices in an answer, without those that were sent in the request."""
    text = answer.text
    for value in sent.values():
        if isinstance(value, str) and value:
            text = text.replace(value, "")
    return [word for word in (MARK, *OTHERS, *(f"__{name}" for name in OTHERS.values()), "OLD9") if word in text]


def test_there_are_routes_and_each_that_acts_has_its_body_here() -> None:
    assert len(GETS) > 10
    assert set(BODIES) == set(POSTS)


@pytest.mark.parametrize("path", GETS)
def test_a_user_reads_only_the_own_practice(
    path: str, north: Client, fab: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = dict(SENT)
    for params in ({}, {"practice": "NORTH1"}, {"practice": "NORTH1"} | sent):
        answer = north.get(path, params=params)
        assert answer.status_code in (200, 400, 422), answer.text
        assert leaks(answer, params) == []
    for code, name in OTHERS.items():
        params = {"practice": code, "dag_id": f"ecw_pull__{name}"} | sent
        answer = north.get(path, params=params)
        assert answer.status_code == (200 if path == "/api/me" else 403), answer.text
        assert leaks(answer, params) == []
        # A user with the rights to that practice gets it, so the route does have something to hide.
        other = client_of(fab.with_rights(of_dag(f"ecw_pull__{name}")), monkeypatch)
        answer = other.get(path, params={"practice": code, "dag_id": f"ecw_pull__{name}"})
        assert answer.status_code in (200, 400, 422)
        assert path in NO_MARK or answer.status_code != 200 or leaks(answer, {})
        north = client_of(fab.with_rights(of_dag("ecw_pull__north")), monkeypatch)
    assert path in ABOUT_ALL or north.get(path, params={"practice": "OLD9"}).status_code == 403


@pytest.mark.parametrize("path", POSTS)
def test_a_user_acts_and_sees_values_only_in_the_own_practice(path: str, north: Client, clinics: Engine) -> None:
    before = contents(clinics)
    for code in (*OTHERS, "OLD9", "NOBODY"):
        answer = north.post(path, BODIES[path] | {"practice": code})
        assert answer.status_code == 403
        assert leaks(answer, {"practice": code}) == []
    answer = north.post(path, BODIES[path] | {"practice": "NORTH1"})
    assert answer.status_code in (200, 500), answer.text
    assert answer.status_code == 200 or answer.json()["detail"]["kind"] == "ConfigurationError"
    assert leaks(answer, {"a": MARK + "4", "b": MARK + "11"}) == []
    assert contents(clinics) == before


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("practice", [{}, {"practice": ""}, {"practice": ["SOUTH2"]}, {"practice": "NORTH1\0"}])
def test_an_action_without_a_practice_is_refused(
    path: str, practice: dict[str, Any], north: Client, clinics: Engine
) -> None:
    assert north.post(path, BODIES[path] | practice).status_code in (400, 422)


def test_a_search_in_a_shared_table_finds_only_rows_of_the_practice(north: Client, clinics: Engine) -> None:
    records = [
        north.post("/api/records/search", {"practice": "NORTH1", "resource": "patient", "text": name}).json()["records"]
        for name in ("Ours", f"{MARK}Secret", f"{MARK}Nobody")
    ]
    assert [[one["crm_id"] for one in each] for each in records] == [["1"], [], []]
    sides = [
        north.post("/api/sides", {"practice": "NORTH1", "crm_id": crm_id, "ecw_ids": []}).text
        for crm_id in ("1", "2", "3")
    ]
    assert ["Ours" in each for each in sides] == [True, False, False]
    assert not any(MARK in each for each in sides)


def test_pages_show_the_own_practice_and_its_dags(north: Client) -> None:
    [rights] = north.get("/api/me").json()["practices"]
    assert rights == {
        "practice": "NORTH1",
        "suffix": "__north",
        "crm": "crm_default",
        "act": [f"{dag}__north" for dag in DAGS],
        "values": True,
    }
    overview = north.get("/api/overview").json()
    assert (overview["name"], overview["practices"], overview["quota"]["limit"]) == ("NORTH1", ["NORTH1"], 50)
    assert {item["dag_id"] for item in overview["attention"] if item["dag_id"]} == {
        "ecw_pull__north",
        "ecw_push_patients__north",
    }
    status = north.get("/api/status").json()
    assert [each["practice"] for each in status["practices"]] == list(status["calls"]) == ["NORTH1"]
    assert status["calls"]["NORTH1"]["limit"] == 50
    assert north.get("/api/logs/choices").json()["practices"] == ["NORTH1"]
    assert north.get("/api/practices").json() == {"practice": "NORTH1", "practices": ["NORTH1"], "ran": True}


def test_the_right_to_read_a_practice_does_not_include_the_right_to_act(
    clinics: Engine, fab: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client_of(fab.with_rights(of_dag("ecw_pull__north")), monkeypatch)
    assert page.get("/api/status").status_code == 200
    for path in POSTS:
        assert page.post(path, BODIES[path] | {"practice": "NORTH1"}).status_code == 403
    # The right to trigger another practice's DAG is none to this one's.
    rights = [*of_dag("ecw_pull__north"), *(right for dag in DAGS for right in of_dag(f"{dag}__south", trigger=True))]
    page = client_of(fab.with_rights(rights), monkeypatch)
    for path in POSTS:
        assert page.post(path, BODIES[path] | {"practice": "NORTH1"}).status_code == 403


def test_a_user_with_all_practices_reads_each_from_its_own_crm(
    clinics: Engine, fab: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client_of(fab.of_role("Admin"), monkeypatch)
    status = page.get("/api/status").json()
    assert {each["practice"]: each["interval_seconds"] for each in status["practices"]} == {
        **{"EAST3": 86400, "NORTH1": 7200, "OLD9": 7200, "SOUTH2": 7200}
    }
    assert {code: calls["limit"] for code, calls in status["calls"].items()} == {
        **{"EAST3": 40, "NORTH1": 50, "OLD9": 250, "SOUTH2": 50}
    }
    east = page.get("/api/logs", params={"practice": "EAST3"}).json()["entries"]
    assert east
    assert page.get("/api/logs", params={"practice": "OLD9"}).json()["entries"]
    monkeypatch.setenv("AIRFLOW_CONN_CRM_EAST", json.dumps({"conn_type": "http", "host": "nowhere"}))
    status = page.get("/api/status").json()
    assert [each["practice"] for each in status["practices"]] == ["NORTH1", "OLD9", "SOUTH2"]
    [unreachable] = status["unreachable"]
    assert (unreachable["practices"], unreachable["who"]) == (["EAST3"], "data engineer")
    assert page.get("/api/logs", params={"practice": "EAST3"}).status_code == 500


@pytest.mark.parametrize(
    ("role", "reads", "acts", "values"),
    [
        ("Public", False, False, False),
        ("Viewer", True, False, False),
        ("User", True, True, False),
        ("Op", True, True, True),
        ("Admin", True, True, True),
    ],
)
def test_airflows_own_roles_open_what_the_docs_say(
    role: str, reads: bool, acts: bool, values: bool, clinics: Engine, fab: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = client_of(fab.of_role(role), monkeypatch)
    for path in GETS:
        assert (page.get(path, params={"run_id": "r"}).status_code == 403) == (not reads)
    for path in POSTS:
        needed = values if path in ("/api/sides", "/api/mappings/try", "/api/records/search") else acts
        assert (page.post(path, BODIES[path] | {"practice": "NORTH1"}).status_code == 403) == (not needed)
    if reads:
        for one in page.get("/api/me").json()["practices"]:
            assert (bool(one["act"]), one["values"]) == (acts, values)
