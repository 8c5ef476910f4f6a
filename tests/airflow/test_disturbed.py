"""A real Airflow with disturbances: killed tasks, resources that fail, days without a run.

After each of them the CRM must have the same rows as after an undisturbed pull.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from ecw.crm.db.engine import engine_from_url
from ecw.resources import RESOURCES
from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.crm import psql
from tests.fixtures.demo import LONG, Demo, import_before_tasks, serving
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.comparing import Row, Rows, expected, rows_of

pytestmark = pytest.mark.airflow
DAG = "ecw_pull"
# The options of a run that fetches all records.
EVERYTHING = {"mode": "full"}
_numbers = count(1)


class Practice:
    """A demo, with the actions of these tests."""

    def __init__(self, demo: Demo, airflow_database: str) -> None:
        self.demo = demo
        self.airflow_database = airflow_database
        self.sandbox: RunningSandbox = demo.sandbox
        self.airflow = AirflowApi(demo.airflow_url)
        self.airflow.login()

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.demo.folder / "crm.db", timeout=60)) as crm, crm:
            return crm.execute(statement, values).fetchall()

    def ended(self, run_id: str) -> str:
        assert wait_until(lambda: self.airflow.run_state(DAG, run_id) in ("success", "failed"), LONG)
        return self.airflow.run_state(DAG, run_id)

    @contextmanager
    def retried_at_once(self) -> Iterator[None]:
        """Remove the minute that Airflow waits before it retries a killed task."""
        over = threading.Event()
        airflow = engine_from_url(self.airflow_database)
        due = text("UPDATE task_instance SET retry_delay_override = 0 WHERE state = 'up_for_retry'")

        def hurry() -> None:
            while not over.wait(0.5):
                with airflow.begin() as connection:
                    connection.execute(due)

        hurrying = threading.Thread(target=hurry)
        hurrying.start()
        try:
            yield
        finally:
            over.set()
            hurrying.join()
            airflow.dispose()

    def states(self, run_id: str) -> dict[str, str]:
        """Return the state of each resource of a run, from ecw_run."""
        return dict(self.sql("SELECT resource, state FROM ecw_run WHERE run_id = ?", run_id))

    def tasks(self, run_id: str) -> dict[str, dict[str, Any]]:
        listed = self.airflow._call("GET", f"dags/{DAG}/dagRuns/{run_id}/taskInstances?limit=100")
        return {task["task_id"]: task for task in listed["task_instances"]}

    def differences(self) -> dict[str, dict[str, tuple[Row | None, Row | None]]]:
        """Return the rows that differ, by resource and eCW id: the row that the CRM should have, and the one it has."""
        crm = engine_from_url(f"sqlite:///{self.demo.folder / 'crm.db'}")
        try:
            rows_by_name = {name: _differing(expected(self.sandbox, name), rows_of(crm, name)) for name in RESOURCES}
        finally:
            crm.dispose()
        return {name: rows for name, rows in rows_by_name.items() if rows}

    def change(self) -> None:
        """Add one record and change three records of every resource in the practice."""
        number = next(_numbers)
        for name, element in (
            ("practitioner", "name"),
            ("location", "name"),
            ("patient", "maritalStatus"),
            ("insurance", "subscriberId"),
            ("encounter", "status"),
        ):
            records = [record for record in self.sandbox.records(RESOURCES[name].fhir_type) if _is_now(record)]
            for record in records[number : number + 3]:
                self.sandbox.put(record | {element: _changed(name, record.get(element), number)})
            fresh = json.dumps(records[number]).replace(records[number]["id"], f"new-{name}-{number}")
            self.sandbox.put(json.loads(fresh))


def _differing(should_have: Rows, in_crm: Rows) -> dict[str, tuple[Row | None, Row | None]]:
    both = {ecw_id: (should_have.get(ecw_id), in_crm.get(ecw_id)) for ecw_id in should_have.keys() | in_crm.keys()}
    return {ecw_id: pair for ecw_id, pair in both.items() if pair[0] != pair[1]}


def _is_now(record: dict[str, Any]) -> bool:
    """Return True if every run fetches the record: an appointment of long ago is fetched by the first run only."""
    if record["resourceType"] != "Encounter":
        return True
    away = datetime.fromisoformat(record["period"]["start"]) - datetime.now(UTC)
    return timedelta(days=-20) < away < timedelta(days=150)


def _changed(name: str, value: Any, number: int) -> Any:
    match name:
        case "practitioner":
            return [value[0] | {"family": f"Changed{number}"}, *value[1:]]
        case "patient":
            return {"text": f"changed {number}"}
        case "encounter":
            return "finished" if value != "finished" else "cancelled"
    return f"changed {number}"


@pytest.fixture(scope="module")
def practice(tmp_path_factory: pytest.TempPathFactory, postgresql_server: str) -> Iterator[Practice]:
    """A practice that has been pulled once, by an Airflow whose own database is a PostgreSQL."""
    psql(postgresql_server, "CREATE DATABASE airflow")
    folder = tmp_path_factory.mktemp("disturbed")
    import_before_tasks(folder)
    database = postgresql_server.format("airflow")
    with serving(folder, PATIENTS="30", SEED="11", STORY="0", AIRFLOW_DB=database) as demo:
        practice = Practice(demo, database)
        assert wait_until(lambda: {run["state"] for run in practice.airflow.runs(DAG)} == {"success"}, LONG)
        # The sandbox has appointments longer ago, and further ahead, than a pull fetches by default. No test here is
        # about the quota or the monitor.
        practice.sandbox.set(quota=0)
        practice.airflow._call("PATCH", "dags/ecw_monitor", {"is_paused": True})
        wide = {"initial_sync_back_days": 2000, "look_ahead_days": 2000}
        with demo.configured(practice.airflow, pull=wide, calls_per_minute=100_000):
            run_id = practice.airflow.trigger(DAG, resources=["encounter"], **EVERYTHING)
            assert practice.ended(run_id) == "success"
            yield practice


@pytest.fixture(autouse=True)
def faultless(practice: Practice) -> Iterator[None]:
    yield
    practice.sandbox.clear_faults()


def kill(task_ids: set[str]) -> None:
    """Kill the process of each of these task instances once (SIGKILL), as soon as it runs."""
    titles = {f"airflow worker -- {task_id}" for task_id in task_ids}
    end = time.monotonic() + LONG
    while titles and time.monotonic() < end:
        for pid in psutil.pids():
            with suppress(psutil.Error):
                title = " ".join(psutil.Process(pid).cmdline()).strip()
                if title in titles:
                    os.kill(pid, signal.SIGKILL)
                    titles.remove(title)
        time.sleep(0.05)


def test_a_first_load_brings_every_record_of_the_practice(practice: Practice) -> None:
    assert practice.differences() == {}


def test_a_dry_run_shows_the_counts_and_writes_nothing(practice: Practice) -> None:
    """With two resources; tests/pull/test_dry_run_counts.py tests all of them in process."""
    practice.change()
    before = practice.differences()
    assert set(before) == set(RESOURCES)
    resources = ["practitioner", "patient"]

    run_id = practice.airflow.trigger(DAG, dry_run=True, resources=resources, **EVERYTHING)

    assert practice.ended(run_id) == "success"
    assert practice.states(run_id) == dict.fromkeys(resources, "dry")
    table = {row["resource"]: row for row in practice.airflow.returned(DAG, run_id, "summary")}
    assert {name: row["state"] for name, row in table.items()} == dict.fromkeys(RESOURCES, "not asked for") | (
        dict.fromkeys(resources, "dry run")
    )
    assert {name: table[name]["inserted"] for name in resources} == dict.fromkeys(resources, 1)
    assert all(3 <= table[name]["updated"] <= 4 for name in resources), table
    assert practice.differences() == before


def test_a_task_killed_at_any_step_is_retried_and_the_crm_ends_the_same(practice: Practice) -> None:
    practice.change()
    killed = ["begin", "location.extract", "practitioner.map", "insurance.check", "encounter.load"]

    run_id = practice.airflow.trigger(DAG, **EVERYTHING)
    tasks = practice.tasks(run_id)
    killer = threading.Thread(target=kill, args=({tasks[name]["id"] for name in killed},))
    killer.start()

    with practice.retried_at_once():
        assert practice.ended(run_id) == "success"
    killer.join()
    tries = {name: task["try_number"] for name, task in practice.tasks(run_id).items()}
    assert {name: tries[name] for name in killed} == dict.fromkeys(killed, 2)
    assert practice.differences() == {}
    assert set(practice.states(run_id).values()) == {"loaded"}


def test_a_resource_that_fails_stops_no_other_and_the_next_run_makes_up_for_it(practice: Practice) -> None:
    """The next run is in the following test. tests/journeys/test_a_failing_resource.py tests all five resources."""
    failing = "patient"  # others wait for it
    practice.change()
    practice.sandbox.fault("gone", resource=RESOURCES[failing].fhir_type)

    run_id = practice.airflow.trigger(DAG, **EVERYTHING)

    assert practice.ended(run_id) == "failed"
    assert practice.states(run_id) == {name: "failed" if name == failing else "loaded" for name in RESOURCES}
    table = practice.airflow.returned(DAG, run_id, "summary")
    assert {row["resource"]: row["state"] for row in table} == practice.states(run_id)
    [row] = [row for row in table if row["state"] == "failed"]
    assert (row["resource"], "Next (" in row["next"]) == (failing, True)
    assert set(practice.differences()) == {failing}


def test_the_first_run_after_days_without_one_fetches_all_changes(practice: Practice) -> None:
    last = datetime.now(UTC) - timedelta(days=3)
    practice.sql("UPDATE ecw_cursor SET position = ?", last.replace(tzinfo=None).isoformat(sep=" "))
    practice.change()

    run_id = practice.airflow.trigger(DAG)

    assert practice.ended(run_id) == "success"
    assert practice.differences() == {}
    windows = practice.sql("SELECT DISTINCT window_start, window_end FROM ecw_run WHERE run_id = ?", run_id)
    [(start, end)] = [tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in row) for row in windows]
    assert start == last
    assert end - start >= timedelta(days=3) - timedelta(hours=2)
    assert practice.sql("SELECT DISTINCT run_id FROM ecw_cursor") == [(run_id,)]


def test_a_backfill_covers_its_intervals_during_a_live_run_and_after_a_pause(practice: Practice) -> None:
    intervals = 5
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    cursors = dict(practice.sql("SELECT resource, position FROM ecw_cursor"))
    practice.demo.shell(
        f"airflow backfill create --dag-id {DAG} --max-active-runs 2"
        f" --from-date {end - timedelta(hours=2 * intervals - 1):%Y-%m-%dT%H:%M:%SZ} --to-date {end:%Y-%m-%dT%H:%M:%SZ}"
        """ --dag-run-conf '{"resources": ["practitioner", "encounter"]}'"""
    )
    [backfill] = practice.airflow._call("GET", f"backfills?dag_id={DAG}")["backfills"]

    def states() -> Counter[str]:
        behind = f"dags/{DAG}/dagRuns?run_type=backfill&limit=100"
        return Counter(run["state"] for run in practice.airflow._call("GET", behind)["dag_runs"])

    # Paused at once: three intervals must remain, so that one of them begins after the live run.
    assert wait_until(lambda: bool({"running", "success"} & set(states())), LONG, every=0.2)
    practice.airflow._call("PUT", f"backfills/{backfill['id']}/pause")
    assert wait_until(lambda: states()["running"] == 0, LONG)
    paused = states()
    assert set(paused) == {"success", "queued"}
    live = practice.airflow.trigger(DAG, resources=["location"])
    assert practice.ended(live) == "success"
    assert states() == paused
    practice.change()
    practice.airflow._call("PUT", f"backfills/{backfill['id']}/unpause")
    assert wait_until(lambda: states()["running"] > 0, LONG)
    live = practice.airflow.trigger(DAG, **EVERYTHING)

    assert practice.ended(live) == "success"
    assert wait_until(lambda: not {"queued", "running"} & set(states()), LONG), states()
    assert states() == {"success": intervals}
    listed = practice.airflow._call("GET", f"dags/{DAG}/dagRuns?limit=100")["dag_runs"]
    started = {run["dag_run_id"]: run["start_date"] for run in listed}
    behind = [start for run_id, start in started.items() if run_id.startswith("backfill")]
    assert started[live] < max(behind), "the live run waited for no backfill"
    of_it = "FROM ecw_run WHERE run_type = 'backfill' AND state = 'loaded'"
    counts = dict(practice.sql(f"SELECT resource, COUNT(*) {of_it} GROUP BY resource"))
    assert counts == {"practitioner": 1, "encounter": intervals}
    windows = practice.sql(f"SELECT window_start, window_end {of_it} AND resource = 'encounter' ORDER BY 1")
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert {str(run_id) for (run_id,) in practice.sql("SELECT run_id FROM ecw_cursor")} == {live}
    assert all(position > cursors[name] for name, position in practice.sql("SELECT resource, position FROM ecw_cursor"))
    assert practice.differences() == {}
