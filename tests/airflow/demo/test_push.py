"""A patient of the CRM reaches eCW through a real Airflow: noticed, pushed, read back, unchanged in the next pull."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests

from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.demo import LONG, Demo

DAG = "ecw_push_patients"
# The example of the public sample data, without its location, which belongs to another practice.
SEED: dict[str, Any] = {
    "active": True,
    "identifier": "Lt2IFR5Ah76n4d8TFP5g",
    "last_name": "LaliTest",
    "first_name": "DazEcccw",
    "birth_date": "2001-05-27",
    "gender": "Male",
    "deceased": False,
    "marital_status": "Married",
    "phone": "9135552003",
    "email": "daz.ecccw@example.com",
    "address_line1": "2222 HOME STREET",
    "city": "LAWRENCE",
    "language": "English",
    "ethnicity": "Hispanic or Latino",
    "race": "Declined to Specify",
    "birth_sex": "Male",
}


class Watched:
    """The demo with the push switched on."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.airflow = AirflowApi(demo.airflow_url)
        self.airflow.login()
        runs = self.call("GET", f"dags/{DAG}/dagRuns?order_by=run_after")["dag_runs"]
        self.first = runs[0]["dag_run_id"]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.demo.folder / "crm.db", timeout=600)) as crm, crm:
            return crm.execute(statement, values).fetchall()

    def add(self, **row: Any) -> int:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        [(crm_id,)] = self.sql(
            f"INSERT INTO patient ({names}) VALUES ({marks}) RETURNING id",  # noqa: S608
            *row.values(),
        )
        return int(crm_id)

    def ecw_id(self, crm_id: int) -> str | None:
        found = self.sql("SELECT ecw_id FROM ecw_link WHERE resource = 'patient' AND crm_id = ?", str(crm_id))
        return str(found[0][0]) if found else None

    def run_of(self, crm_id: int) -> str:
        """Return the run that pushed a patient."""
        [(run_id,)] = self.sql("SELECT run_id FROM ecw_push_item WHERE crm_id = ?", str(crm_id))
        return str(run_id)

    def patients(self) -> dict[str, dict[str, Any]]:
        """Return the patients of eCW, by id."""
        url = f"http://127.0.0.1:{self.demo.sandbox_port + 1}/admin/records/Patient"
        lines = requests.get(url, timeout=600).content.split(b"\n")
        return {each["id"]: each for each in map(json.loads, filter(None, lines))}

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs since the demo's own."""
        all_runs = list(self.call("GET", f"dags/{DAG}/dagRuns?order_by=run_after")["dag_runs"])
        return [run for run in all_runs if run["dag_run_id"] != self.first]

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return self.airflow._call(method, path, body)

    def trigger(self, **conf: Any) -> str:
        return str(self.call("POST", f"dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})["dag_run_id"])

    def ended(self, dag: str, run_id: str) -> str:
        wait_until(lambda: self.airflow.run_state(dag, run_id) in ("success", "failed"), LONG)
        return self.airflow.run_state(dag, run_id)

    def answered(self, run_id: str, choice: str) -> str:
        """Answer the run's open question, if it has one; return the run's state."""
        path = f"dags/{DAG}/dagRuns/{run_id}"
        for question in self.call("GET", f"{path}/hitlDetails")["hitl_details"]:
            if question["task_instance"]["state"] == "awaiting_input" and not question["response_received"]:
                self.call("PATCH", f"{path}/taskInstances/approve/-1/hitlDetails", {"chosen_options": [choice]})
        return self.airflow.run_state(DAG, run_id)

    def table(self, run_id: str) -> dict[str, Any]:
        return dict(self.airflow.returned(DAG, run_id, "summary"))


@pytest.fixture
def watched(demo: Demo) -> Iterator[Watched]:
    watched = Watched(demo)
    watched.airflow.unpause(DAG)
    watched.airflow.read_again(DAG)  # so that its watcher starts
    yield watched
    watched.call("PATCH", f"dags/{DAG}", {"is_paused": True})


@pytest.mark.airflow  # the demo's own start, in `make test`, pulls and pushes
def test_a_row_written_by_sql_is_pushed_automatically_and_pulling_it_back_changes_nothing(watched: Watched) -> None:
    before = watched.patients()
    crm_id = watched.add(**SEED)
    assert wait_until(lambda: watched.ecw_id(crm_id) is not None, LONG), watched.runs()
    ecw_id = watched.ecw_id(crm_id)
    now = watched.patients()
    assert set(now) - set(before) == {ecw_id}
    assert now[str(ecw_id)]["name"][0]["family"] == "LaliTest"
    first = watched.run_of(crm_id)
    assert first.startswith("asset_triggered")
    assert watched.ended(DAG, first) == "success"
    table = watched.table(first)  # edits of other tests with this demo may be in it
    assert (table["counts"]["created"], table["confirmed"]) == (1, {"complete": 1})

    pulled = watched.airflow.trigger("ecw_pull")
    assert watched.ended("ecw_pull", pulled) == "success"
    changed = "SELECT operation FROM ecw_journal WHERE run_id = ? AND direction = 'pull' AND ecw_id = ?"
    assert watched.sql(changed, pulled, ecw_id) == []
    # The watcher finds only the next new patient: the writes of the push and the pull start no push.
    other = watched.add(**SEED | {"identifier": "N-2", "last_name": "Next", "birth_date": "1971-03-04"})
    assert wait_until(lambda: watched.ecw_id(other) is not None, LONG), watched.runs()
    second = watched.run_of(other)
    assert watched.ended(DAG, second) == "success"
    assert (second != first, watched.table(second)["counts"]) == (True, {"created": 1})
    started = [run["dag_run_id"] for run in watched.runs() if run["run_type"] == "asset_triggered"]
    assert started[started.index(first) :] == [first, second]


@pytest.mark.airflow
def test_a_large_push_waits_for_a_person_in_airflow(watched: Watched) -> None:
    with watched.demo.configured(watched.airflow, push={"max_creates": 0}):
        crm_id = watched.add(**SEED | {"identifier": "W-1", "last_name": "Waiting", "birth_date": "1960-02-03"})
        run_id = watched.trigger(patients=[f"crm:{crm_id}"])
        assert wait_until(lambda: watched.airflow.task_states(DAG, run_id).get("approve") == "awaiting_input", LONG), (
            watched.airflow.task_states(DAG, run_id)
        )
        [question] = watched.call("GET", f"dags/{DAG}/dagRuns/{run_id}/hitlDetails")["hitl_details"]
        assert question["subject"] == "Push 1 new and 0 changed patients to eCW (practice DEMO01)?"
        for value in ("Waiting", "W-1", "1960-02-03", SEED["phone"], SEED["city"]):
            assert value not in json.dumps(question)
        assert watched.ecw_id(crm_id) is None
        # Airflow needs seconds to resume a task with an answer; until then it shows the question again.
        wait_until(lambda: watched.answered(run_id, "Approve") in ("success", "failed"), LONG, every=10)
        assert watched.airflow.run_state(DAG, run_id) == "success"
        assert watched.table(run_id)["counts"] == {"created": 1}
        assert watched.ecw_id(crm_id) in watched.patients()
