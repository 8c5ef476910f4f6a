"""Without the right to see values, pages hold no value, and neither do metrics: the tests call every GET route.

All values of the practice are marked, and runs of the pull and the push have failed in every way.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from ecw.errors import EcwError
from ecw.pull import steps
from ecw.push import steps as push_steps
from ecw.reports import metrics
from ecw.resources import RESOURCES
from ecw.ui.access import READ
from ecw.ui.app import app
from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.marking import MARK, MARKS, Marking
from tests.fixtures.pulling import WITHOUT_WAITING, Pulling, connect
from tests.fixtures.sandbox import RunningSandbox
from tests.push.conftest import crm, run  # noqa: F401 - fixtures
from tests.push.names import NAMES, person
from tests.reports.test_metrics import Recorder, recorder  # noqa: F401 - a fixture
from tests.ui.conftest import AsRole, Client

VALUES = (*MARKS, *NAMES, "Topeka", "9135552003")  # eCW's, and those that only the CRM has
# Optional parameters. The values of required ones, and those that name a record or a run, come from the CRM.
WITHOUT = {"task_id", "dag_id", "column", "cursor", "limit", "start", "end", "direction", "outcome", "code", "run"}
STATES = ("open", "dismissed", "resolved")


def is_plain(patient: dict[str, Any]) -> bool:
    """Return True if the patient is active and has exactly one name, the usual one."""
    names = patient.get("name", [])
    return patient.get("active") is not False and len(names) == 1 and names[0].get("use") == "usual"


@pytest.fixture
def disturbed(
    pull: Pulling,
    run: Any,  # noqa: F811
    crm: Any,  # noqa: F811
    sandbox: RunningSandbox,
    marking: Marking,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> Pulling:
    """Return pulls of a practice with failed runs: rejected and refused records, conflicts, held patients."""
    first, second, *_ = sandbox.records("Patient")
    sandbox.put({**first, "birthDate": "1870-01-02"})
    sandbox.put({**second, "gender": {"not": "FHIR"}})
    for record in sandbox.records("Coverage")[:2]:
        sandbox.put({**record, "period": {"start": "2030-01-01", "end": "2020-01-01"}})
    connect(monkeypatch, marking, keys, push=WITHOUT_WAITING)  # type: ignore[arg-type]  # it has a base URL, too
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", os.environ["AIRFLOW_CONN_CRM_TEST"])
    begun = pull.begin()
    for name in RESOURCES:
        pull.resource(begun, name)
    steps.summary(begun)

    # Both sides change a name; a row gets another person; one patient cannot be sent; one is refused.
    linked = pull.rows("SELECT crm_id, ecw_id FROM ecw_link WHERE resource = 'patient' ORDER BY ecw_id")
    plain = [row for row in linked if is_plain(sandbox.record("Patient", row["ecw_id"]))]
    crm.edit(plain[0]["crm_id"], last_name=NAMES[1])
    crm.edit(plain[1]["crm_id"], **person(2) | {"identifier": None, "gender": "Female", "first_name": "Xenia"})
    crm.add(**person(3), gender="Other")
    crm.add(**person(4))
    patient = sandbox.record("Patient", plain[0]["ecw_id"])
    sandbox.put({**patient, "name": [{**patient["name"][0], "family": "Another"}]})
    marking.answer(f"POST .*/fhir/{marking.practice_path}$", 422)
    pushed = run.begin()
    with suppress(EcwError):
        push_steps.send(pushed)
    push_steps.summary(pushed)

    marking.answer("GET .*/Practitioner", 400)
    begun = pull.begin()
    with pytest.raises(EcwError):
        pull.resource(begun, "practitioner")
    pull.resource(begun, "patient")
    steps.summary(begun)
    counts = {name: pull.rows(f"SELECT * FROM {name}") for name in ("ecw_reject", "ecw_conflict", "ecw_push_item")}  # noqa: S608
    assert all(counts.values()), {name: len(rows) for name, rows in counts.items()}
    return pull


def parameters(of: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the names of a route's parameters, also of its models, and True for each required one."""
    for field in (*of.query_params, *of.path_params):
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from ((name, each.is_required()) for name, each in kind.model_fields.items())
        elif is_dataclass(kind):
            yield from ((each.name, False) for each in fields(kind))
        else:
            yield field.name, field.field_info.is_required()
    for inner in of.dependencies:
        yield from parameters(inner)


def situations(pull: Pulling) -> list[dict[str, str]]:
    """Return values for the parameters of pages: records of every resource, failed ones first, and runs."""
    [practice] = {row["practice"] for row in pull.rows("SELECT practice FROM ecw_link")}
    records = pull.rows(
        "SELECT resource, ecw_id, NULL AS crm_id FROM ecw_reject "
        "UNION SELECT resource, ecw_id, crm_id FROM ecw_conflict UNION SELECT resource, NULL, crm_id FROM ecw_push_item"
    )
    for name in RESOURCES:
        records += pull.rows(f"SELECT resource, ecw_id, crm_id FROM ecw_link WHERE resource = '{name}' LIMIT 2")  # noqa: S608
    runs = [
        row["run_id"] for row in pull.rows("SELECT DISTINCT run_id FROM ecw_run UNION SELECT run_id FROM ecw_push_item")
    ]
    values: list[dict[str, str]] = [{"practice": practice, "path": "console.js"}]
    for row in pull.rows("SELECT DISTINCT resource, step, rule FROM ecw_reject"):
        values += [{"practice": practice, "state": state, **row} for state in STATES]
    values += [{"practice": practice, "run_id": each, "run": each} for each in runs]
    for row in records:
        ids = [str(row[name]) for name in ("ecw_id", "crm_id") if row[name]]
        here = {"practice": practice, "resource": row["resource"]}
        values += [
            here | {"ecw_id": row["ecw_id"] or "", "crm_id": str(row["crm_id"] or ""), "id": each, "record": each}
            for each in ids
        ]
    return values


def queries_of(of: FastAPI, values: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return the queries for each GET route: every combination that the values allow."""
    queries: dict[str, list[dict[str, str]]] = {}
    for route in of.routes:
        if not isinstance(route, APIRoute) or "GET" not in route.methods:
            continue
        names = dict(parameters(route.dependant))
        known = set(chain.from_iterable(values))
        assert names.keys() <= known | WITHOUT, f"{route.path}: add values for its parameters in this file"
        each = [{name: value for name, value in one.items() if name in names} for one in values]
        each = [one for one in each if all(name in one for name, required in names.items() if required)]
        queries[route.path] = [dict(one) for one in {tuple(sorted(one.items())) for one in each}]
        assert queries[route.path], f"{route.path}: no values for its required parameters"
    return queries


def responses(client: Client, of: FastAPI, values: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return the successful responses of each route, with headers."""
    answers: dict[str, list[str]] = {}
    for path, questions in queries_of(of, values).items():
        for one in questions:
            answer = client.get(path.replace("{path:path}", one.get("path", "")), params=one)
            if answer.status_code == 200:
                answers.setdefault(path, []).append(f"{answer.headers} {answer.text}")
    assert answers.keys() == queries_of(of, values).keys(), "each route answers at least one query"
    return answers


def without(names: list[str], text: str) -> str:
    """Return a text without these names."""
    for name in names:
        text = text.replace(name, "")
    return text


def leaks(texts_of: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the values that were found, by the name of the text."""
    hits = {
        name: [value for value in VALUES if any(value in text for text in texts)] for name, texts in texts_of.items()
    }
    return {name: values for name, values in hits.items() if values}


@pytest.mark.journey
@on_sqlite
def test_values_appear_only_where_the_user_has_the_right(
    disturbed: Pulling,
    as_role: AsRole,
    recorder: Recorder,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    caplog.set_level(logging.DEBUG)
    queries = situations(disturbed)
    # The names of locations are no patient data: the mapping page lists those without a crosswalk line.
    places = [row["name"] for row in disturbed.rows("SELECT name FROM location")]
    assert MARK in str(places)

    # Pages, for a user who may read and for one who may also act.
    for role in ("viewer", "user"):
        texts = responses(as_role(role), app, queries)
        texts["/api/mappings"] = [without(places, text) for text in texts["/api/mappings"]]
        assert {"/api/status", "/api/logs/csv", "/api/records/story", "/quality/run"} <= texts.keys()
        assert leaks(texts) == {}

    # Metrics, the log, and the folder for temporary files.
    assert metrics.emit("crm_test") > 40
    assert {name for name, _, tags in recorder.sent if tags} >= {"ecw.rejects_open", "ecw.conflicts_open", "ecw.pushed"}
    texts = {"metrics": [repr(one) for one in recorder.sent], "log": [caplog.text]}
    texts |= {str(one): [one.read_bytes().decode(errors="replace")] for one in folder.rglob("*") if one.is_file()}
    assert leaks(texts) == {}

    # The values do appear with the right to see them, and on a careless new route, so the search works.
    [row] = disturbed.rows("SELECT practice, crm_id, ecw_id FROM ecw_conflict LIMIT 1")
    one = {"practice": row["practice"], "crm_id": row["crm_id"], "ecw_ids": [row["ecw_id"]]}
    assert MARK in as_role("op").post("/api/sides", one).text
    assert as_role("user").post("/api/sides", one).status_code == 403
    more = FastAPI()

    @more.get("/api/new", dependencies=[READ])
    def new(practice: str) -> list[Any]:
        return disturbed.rows("SELECT last_name FROM patient")

    assert MARK in leaks(responses(as_role("viewer", more), more, queries))["/api/new"]


def test_a_new_route_needs_a_value_for_its_parameters() -> None:
    more = FastAPI()

    @more.get("/api/new/{novelty}")
    def new(novelty: str) -> str:
        return novelty

    with pytest.raises(AssertionError, match="/api/new/"):
        queries_of(more, [{"practice": "P"}])
