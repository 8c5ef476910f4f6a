"""Whole runs in Airflow: the state in which a run ends, and the values that Airflow shows."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.crm import on_sqlite
from tests.fixtures.keys import Keys
from tests.fixtures.sandbox import RunningSandbox
from tests.push.names import NAMES, person

ROOT = Path(__file__).parents[2]
RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
run = DagBag(sys.argv[1]).dags["ecw_push_patients"].test(run_conf=json.loads(sys.argv[2]))
print(json.dumps([run.state, {ti.task_id: ti.state for ti in run.get_task_instances()}]))
"""
Ended = tuple[str, dict[str, str]]
pytestmark = [
    on_sqlite,  # the end of a run does not depend on the CRM's database
    pytest.mark.airflow,  # tests/dags/test_deciding.py tests the same without running tasks
]


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an empty Airflow."""
    home = tmp_path_factory.mktemp("airflow")
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], env=os.environ | {"AIRFLOW_HOME": str(home)}, check=True)
    return home


@pytest.fixture
def airflow_run(airflow_home: Path, sandbox: RunningSandbox, keys: Keys, run: Any) -> Callable[..., Ended]:
    """Return a function that runs the DAG with a form and returns the states of the run and of its tasks."""

    def run_dag(**form: Any) -> Ended:
        env = os.environ | {
            "AIRFLOW_HOME": str(airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW_CONN_ECW_DEFAULT": os.environ["AIRFLOW_CONN_ECW_TEST"],
            "AIRFLOW_CONN_CRM_DEFAULT": os.environ["AIRFLOW_CONN_CRM_TEST"],
        }
        command = [sys.executable, "-c", RUN, str(ROOT / "dags"), json.dumps(form)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        state, tasks = json.loads(done.stdout.splitlines()[-1])
        return state, tasks

    return run_dag


def shown(home: Path) -> str:
    """Return everything that Airflow shows of its tasks' templates and results."""
    with closing(sqlite3.connect(home / "airflow.db")) as airflow:
        fields = airflow.execute("SELECT rendered_fields FROM rendered_task_instance_fields").fetchall()
        results = airflow.execute("SELECT value FROM xcom").fetchall()
    assert fields
    assert results
    return repr(fields) + repr(results)


def test_a_run_that_did_not_begin_is_red(airflow_run: Any, crm: Any) -> None:
    state, tasks = airflow_run(resource="encounter")
    assert (state, tasks["begin"], tasks["send"]) == ("failed", "failed", "upstream_failed")
    assert (tasks["confirm"], tasks["summary"]) == ("success", "success")


def test_a_run_that_could_send_nothing_is_red_and_airflow_shows_no_patient_data(
    airflow_run: Any, airflow_home: Path, sandbox: RunningSandbox, crm: Any
) -> None:
    sandbox.set(write_back=False)
    state, tasks = airflow_run(patients=[crm.add(**person(at)) for at in range(8)])
    assert (state, tasks["begin"], tasks["send"]) == ("failed", "success", "failed")
    assert tasks["summary"] == "success"
    for value in ("P-000", *NAMES[:8], "Topeka", "1950"):
        assert value not in shown(airflow_home)


def test_a_successful_run_is_green(airflow_run: Any, crm: Any) -> None:
    crm.add(**person(0))
    state, tasks = airflow_run()
    assert (state, set(tasks.values())) == ("success", {"success"})
    assert len(crm.all("ecw_link")) == 1
