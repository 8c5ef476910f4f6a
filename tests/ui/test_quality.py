"""The tab Quality of a run and of a task, on both databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from ecw.crm.state import quality_results, runs
from ecw.crm.state.quality_results import Finding
from ecw.errors import ConfigurationError
from ecw.reports import quality as reports
from ecw.ui.app import app
from tests.fixtures.loads import a_reject, a_row, a_run, load
from tests.ui.conftest import AsRole, Client

pytestmark = pytest.mark.both_databases

RUN = "scheduled__2026-11-22T10:00:00+00:00"
VOLUME = Finding("volume", "", "at least 50% of the usual number", "stop", 12, 0, "pass", usual=12, scope="full")
HOSTILE = "<script>alert('x')</script>"


def rule(**changes: Any) -> Finding:
    values: dict[str, Any] = {"rule": "pattern", "column": "state", "demand": "matches [A-Z]{2}", "on_fail": "reject"}
    return Finding(
        **values
        | {"rows": 12, "broken": 1, "verdict": "reject", "reason": "agreed with the clinic", "max_failed_ratio": 0.05}
        | changes
    )


def test_a_runs_report_shows_rules_counts_and_rejects(console: Client, crm_engine: Engine) -> None:
    run = a_run(RUN)
    quality_results.write(crm_engine, run, "location", [VOLUME, rule(), rule(rule="unique", verdict="pass", broken=0)])
    load(crm_engine, [a_row("a", "Secret Street")], [a_reject("b"), a_reject("c")], run)

    page = console.get("/quality/run", params={"run_id": RUN})

    assert page.status_code == 200
    assert "fetched 3, rejected 2" in page.text
    assert "12 records fetched, usual are 12" in page.text
    for words in (
        "matches [A-Z]{2}",
        "agreed with the clinic",
        "5 %",
        ">reject<",
        ">pass<",
        "Rejected in this run",
        "<td>required</td>",
    ):
        assert words in page.text
    assert "Secret" not in page.text


def test_a_task_shows_its_resource_only(console: Client, crm_engine: Engine) -> None:
    for resource in ("patient", "location"):
        quality_results.write(crm_engine, a_run(RUN), resource, [VOLUME, rule(column=f"column of {resource}")])

    page = console.get("/quality/run", params={"run_id": RUN, "task_id": "patient.check"})
    assert "column of patient" in page.text
    assert "column of location" not in page.text
    for task in ("summary", ""):
        assert "column of location" in console.get("/quality/run", params={"run_id": RUN, "task_id": task}).text


def test_a_stopped_run_shows_the_error_and_its_next_step(console: Client, crm_engine: Engine) -> None:
    run = a_run(RUN)
    error = ConfigurationError("It went wrong.", next_step="fix it.")
    runs.fail(crm_engine, run, "patient", error)
    quality_results.write(
        crm_engine, run, "patient", [Finding("volume", "", "x", "stop", 0, 9, "stop", usual=9, scope="full")]
    )

    page = console.get("/quality/run", params={"run_id": RUN})

    assert "It went wrong. Next (data engineer): fix it." in page.text
    assert "the volume rule stopped the resource" in page.text


def test_the_page_of_a_run_without_a_report_explains_why(console: Client) -> None:
    page = console.get("/quality/run", params={"run_id": "manual__of another DAG"})

    assert page.status_code == 200
    assert "This run has no quality report" in page.text


def test_values_of_the_tables_are_escaped(console: Client, crm_engine: Engine) -> None:
    run = a_run(HOSTILE)
    quality_results.write(crm_engine, run, "patient", [VOLUME, rule(column=HOSTILE, demand=HOSTILE, reason=HOSTILE)])

    page = console.get(f"/quality/run?run_id={HOSTILE}")
    assert HOSTILE not in page.text
    assert "&lt;script&gt;" in page.text


def test_a_wrong_crm_connection_is_an_error_with_the_next_step(
    as_role: AsRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "http", "host": "nowhere"}))
    page = as_role("viewer").get("/quality/run?run_id=x")
    assert page.status_code == 500
    assert "does not say where the CRM" in page.text
    assert "Next (data engineer): use type sqlite" in page.text


@pytest.mark.parametrize("path", ["/api/status?practice=a%00b", "/quality/run?run_id=%00", "/api/status?%00=1"])
def test_a_nul_in_a_parameter_is_a_bad_request(path: str, console: Client) -> None:
    answer = console.get(path)
    assert answer.status_code == 400
    assert "NUL" in answer.text


def test_the_list_of_checked_runs_reads_an_index_only(crm_engine: Engine) -> None:
    with crm_engine.connect() as connection:
        assert "ecw_quality_runs" in {index["name"] for index in inspect(connection).get_indexes("ecw_quality_result")}
        if crm_engine.dialect.name == "sqlite":
            text = reports.runs_statement().compile(crm_engine)
            plan = "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
            assert "USING COVERING INDEX ecw_quality_runs" in plan, plan
            assert "TEMP B-TREE FOR GROUP BY" not in plan, plan


def test_keys_are_published_only_if_the_variable_names_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, path = Client(app), "/.well-known/jwks.json"
    monkeypatch.setenv("AIRFLOW_VAR_ECW_JWKS", str(tmp_path / "nowhere.json"))
    assert client.get(path).status_code == 404
    (tmp_path / "jwks.json").write_text(
        json.dumps({"keys": [{"kty": "RSA", "n": "1", "e": "AQAB", "kid": "a", "d": "x"}]})
    )
    monkeypatch.setenv("AIRFLOW_VAR_ECW_JWKS", str(tmp_path / "jwks.json"))
    assert client.get(path).json() == {"keys": [{"kty": "RSA", "n": "1", "e": "AQAB", "kid": "a"}]}
    (tmp_path / "jwks.json").write_text("no JSON")
    assert client.get(path).status_code == 404
