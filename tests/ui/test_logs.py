"""The API of the Integration Logs: bounded input, clear errors, and a CSV that is safe in a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert

from ecw.crm.db.tables import ecw_journal
from tests.fixtures.console_data import Scale, fill
from tests.ui.conftest import Client

pytestmark = pytest.mark.both_databases
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def filled(console: Client, crm_engine: Engine) -> Client:
    fill(crm_engine, "P1", Scale(days=1, first_load=70), now=NOW)
    fill(crm_engine, "P2", Scale(days=1, first_load=3), now=NOW)
    return console


def test_runs_are_listed_with_the_number_of_their_entries(filled: Client) -> None:
    page = filled.get("/api/logs/runs", params={"limit": 5}).json()
    assert len(page["runs"]) == 5
    assert page["next"]
    older = filled.get("/api/logs/runs", params={"limit": 5, "cursor": page["next"]}).json()
    ids = [run["run_id"] for run in (*page["runs"], *older["runs"])]
    assert len(ids) == len(set(ids)) == 10
    push = next(run for run in page["runs"] if run["run_id"].startswith("asset_triggered"))
    entries = filled.get("/api/logs", params={"run": push["run_id"]}).json()["entries"]
    assert len(entries) == push["entries"] == 6
    refused = next(entry for entry in entries if entry["outcome"] == "fix the data")
    assert (refused["answer"], refused["code"]) == ("400 Bad Request", "EMRPAT-21")
    assert refused["next_step"].startswith("correct the birth date")
    assert refused["fields"] == ["address_line1", "phone", "email"]
    assert next(entry for entry in entries if entry["outcome"] == "done")["message"] == "200 OK"


def test_decisions_without_a_run_are_listed(filled: Client) -> None:
    [entry] = filled.get("/api/logs", params={"run": "-"}).json()["entries"]
    assert (entry["direction"], entry["decided_by"], entry["after"]) == ("decision", "anna", "pat-4")


def test_the_first_practice_is_the_default(filled: Client) -> None:
    first = filled.get("/api/logs", params={"limit": 1}).json()
    assert first == filled.get("/api/logs", params={"limit": 1, "practice": "P1"}).json()
    assert first != filled.get("/api/logs", params={"limit": 1, "practice": "P2"}).json()
    choices = filled.get("/api/logs/choices").json()
    assert choices["practices"] == ["P1", "P2"]
    assert choices["codes"] == ["EMRPAT-21"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": "yesterday"}, "start: write a time with its zone"),
        ({"end": "2026-11-25T10:00"}, "end: write a time with its zone"),
        ({"cursor": "nonsense"}, "cursor: take it from the previous page"),
        ({"cursor": "2026-11-25T10:00:00 a b"}, "cursor: take it from the previous page"),
        ({"resource": "patients"}, "use practitioner, location"),
    ],
)
def test_an_invalid_parameter_is_named(filled: Client, params: dict[str, str], message: str) -> None:
    answer = filled.get("/api/logs", params=params)
    assert answer.status_code == 400
    assert message in answer.json()["detail"]


@pytest.mark.parametrize("params", [{"limit": 201}, {"limit": 0}, {"run": "x" * 251}, {"record": "x" * 129}])
def test_parameters_have_bounds(console: Client, params: dict[str, str]) -> None:
    assert console.get("/api/logs", params=params).status_code == 422


def test_the_entries_of_a_record_are_not_grouped_by_run(filled: Client) -> None:
    assert filled.get("/api/logs/runs", params={"record": "1"}).status_code == 400
    entries = filled.get("/api/logs", params={"record": "pat-1", "limit": 200}).json()["entries"]
    assert {entry["ecw_id"] for entry in entries} == {"pat-1"}


def test_the_csv_has_the_filtered_entries_and_no_formula(filled: Client, crm_engine: Engine) -> None:
    with crm_engine.begin() as connection:
        connection.execute(
            insert(ecw_journal).values(
                **{"practice": "P1", "entry": "x", "at": NOW, "run_id": "r", "direction": "push", "outcome": "unknown"},
                **{"resource": "patient", "operation": "update", "message": "=HYPERLINK(1)", "ecw_id": "-1+2"},
            )
        )
    answer = filled.get("/api/logs/csv", params={"outcome": "unknown"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["outcome"] for row in rows} == {"unknown"}
    assert len(rows) == 1 + 3
    assert ("'=HYPERLINK(1)", "'-1+2") in {(row["message"], row["ecw_id"]) for row in rows}
    whole = filled.get("/api/logs/csv").text.splitlines()
    assert (
        len(whole) == 1 + 70 + 20 + 11 * 29 + 3 * 6 + 1 + 1
    )  # first load, later runs, pushes, the decision, this test's entry


def test_empty_logs_are_empty_pages(console: Client) -> None:
    assert console.get("/api/logs/runs").json() == {"runs": [], "next": None}
    assert console.get("/api/logs").json() == {"entries": [], "next": None}
    assert console.get("/api/logs/csv").text.count("\n") == 1
