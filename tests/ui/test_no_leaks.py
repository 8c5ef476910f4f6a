"""Pages without the right to see values, and metrics, hold no value: every GET route of the app, as it lists them.

The practice is one in which everything is marked; runs of pull and push have failed in it in each of their ways.
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
from tests.reports.test_metrics import Kept, kept  # noqa: F401 - a fixture
from tests.ui.conftest import AsRole, Client

VALUES = (*MARKS, *NAMES, "Topeka", "9135552003")  # eCW's, and those that only the CRM has
# Of a parameter that a page can do without. What must be given, and what names a record or a run, comes from the CRM.
WITHOUT = {"task_id", "dag_id", "column", "cursor", "limit", "start", "end", "direction", "outcome", "code", "run"}
STATES = ("open", "dismissed", "resolved")


def is_plain(patient: dict[str, Any]) -> bool:
    """Return True if nothing of the patient is odd: one name, the present one, and in use."""
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
    """A practice whose runs failed: records rejected and refused, a run ended by eCW's answer, conflicts, held."""
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

    # Both sides change a name; a row is used for somebody else; one cannot be sent; one is refused.
    linked = pull.rows("SELECT crm_id, ecw_id FROM ecw_link WHERE resource = 'patient' ORDER BY ecw_id")
    plain = [row for row in linked if is_plain(sandbox.record("Patient", row["ecw_id"]))]
    crm.edit(plain[0]["crm_id"], last_name=NAMES[1])
    crm.edit(plain[1]["crm_id"], **person(2) | {"identifier": None, "gender": "Female", "first_name": "Xenia"})
    crm.add(**person(3), gender="Other")
    crm.add(**person(4))
    there = sandbox.record("Patient", plain[0]["ecw_id"])
    sandbox.put({**there, "name": [{**there["name"][0], "family": "Another"}]})
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
    found = {name: pull.rows(f"SELECT * FROM {name}") for name in ("ecw_reject", "ecw_conflict", "ecw_push_item")}  # noqa: S608
    assert all(found.values()), {name: len(rows) for name, rows in found.items()}
    return pull


def parameters(of: Dependant) -> Iterator[tuple[str, bool]]:
    """Yield the names of a route's parameters, those of its models too, and whether they must be given."""
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
    """Return whom and what pages can be asked about: records of every resource, what failed first, and the runs."""
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
    found: list[dict[str, str]] = [{"practice": practice, "path": "console.js"}]
    for row in pull.rows("SELECT DISTINCT resource, step, rule FROM ecw_reject"):
        found += [{"practice": practice, "state": state, **row} for state in STATES]
    found += [{"practice": practice, "run_id": each, "run": each} for each in runs]
    for row in records:
        ids = [str(row[name]) for name in ("ecw_id", "crm_id") if row[name]]
        here = {"practice": practice, "resource": row["resource"]}
        found += [
            here | {"ecw_id": row["ecw_id"] or "", "crm_id": str(row["crm_id"] or ""), "id": each, "record": each}
            for each in ids
        ]
    return found


def asks(of: FastAPI, told: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """Return for each GET route what it is asked with."""
    found: dict[str, list[dict[str, str]]] = {}
    for route in of.routes:
        if not isinstance(route, APIRoute) or "GET" not in route.methods:
            continue
        names = dict(parameters(route.dependant))
        known = set(chain.from_iterable(told))
        assert names.keys() <= known | WITHOUT, f"{route.path}: say in this file what its parameters are asked with"
        each = [{name: said for name, said in one.items() if name in names} for one in told]
        each = [one for one in each if all(name in one for name, required in names.items() if required)]
        found[route.path] = [dict(one) for one in {tuple(sorted(one.items())) for one in each}]
        assert found[route.path], f"{route.path}: nothing to ask it with"
    return found


def shown(client: Client, of: FastAPI, told: list[dict[str, str]]) -> dict[str, list[str]]:
    """Return what each route answers, headers included."""
    answers: dict[str, list[str]] = {}
    for path, questions in asks(of, told).items():
        for one in questions:
            answer = client.get(path.replace("{path:path}", one.get("path", "")), params=one)
            if answer.status_code == 200:
                answers.setdefault(path, []).append(f"{answer.headers} {answer.text}")
    assert answers.keys() == asks(of, told).keys(), "each route answers to something"
    return answers


def without(names: list[str], text: str) -> str:
    """Return a text without these names."""
    for name in names:
        text = text.replace(name, "")
    return text


def leaks(told: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return where a value stands, and which."""
    found = {name: [value for value in VALUES if any(value in text for text in texts)] for name, texts in told.items()}
    return {name: values for name, values in found.items() if values}


@pytest.mark.journey
@on_sqlite
def test_nothing_but_what_the_right_opens_holds_a_value(
    disturbed: Pulling,
    as_role: AsRole,
    kept: Kept,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder := tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    caplog.set_level(logging.DEBUG)
    asked = situations(disturbed)
    # What the practice calls its rooms is no patient's: the mapping page lists those that no crosswalk line has.
    places = [row["name"] for row in disturbed.rows("SELECT name FROM location")]
    assert MARK in str(places)

    # Pages, for those who may read, and for those who may act as well.
    for role in ("viewer", "user"):
        told = shown(as_role(role), app, asked)
        told["/api/mappings"] = [without(places, text) for text in told["/api/mappings"]]
        assert {"/api/status", "/api/logs/csv", "/api/records/story", "/quality/run"} <= told.keys()
        assert leaks(told) == {}

    # Metrics, what was logged meanwhile, and what lies in the folder for temporary files.
    assert metrics.emit("crm_test") > 40
    assert {name for name, _, tags in kept.sent if tags} >= {"ecw.rejects_open", "ecw.conflicts_open", "ecw.pushed"}
    told = {"metrics": [repr(one) for one in kept.sent], "log": [caplog.text]}
    told |= {str(one): [one.read_bytes().decode(errors="replace")] for one in folder.rglob("*") if one.is_file()}
    assert leaks(told) == {}

    # The values are there: for who may see them, and on a route that somebody adds without thinking of it.
    [row] = disturbed.rows("SELECT practice, crm_id, ecw_id FROM ecw_conflict LIMIT 1")
    one = {"practice": row["practice"], "crm_id": row["crm_id"], "ecw_ids": [row["ecw_id"]]}
    assert MARK in as_role("op").post("/api/sides", one).text
    assert as_role("user").post("/api/sides", one).status_code == 403
    more = FastAPI()

    @more.get("/api/new", dependencies=[READ])
    def new(practice: str) -> list[Any]:
        return disturbed.rows("SELECT last_name FROM patient")

    assert MARK in leaks(shown(as_role("viewer", more), more, asked))["/api/new"]


def test_a_new_route_with_an_unknown_parameter_must_be_given_one() -> None:
    more = FastAPI()

    @more.get("/api/new/{novelty}")
    def new(novelty: str) -> str:
        return novelty

    with pytest.raises(AssertionError, match="/api/new/"):
        asks(more, [{"practice": "P"}])
