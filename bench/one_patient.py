"""Duration of an on-demand pull of one patient: from *Trigger* to the patient in the CRM."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench.result import Result
from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.demo import Demo, serving

TIMES = 5
MOST = 30.0  # seconds


def results() -> list[Result]:
    """Measure in the demo's real Airflow, which has pulled 200 patients and is idle."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), PATIENTS="200", SEED="7") as demo:
        airflow = AirflowApi(demo.airflow_url)
        airflow.login()
        assert wait_until(lambda: {run["state"] for run in airflow.runs("ecw_pull")} == {"success"}, 600)
        seconds = sorted(one(demo, airflow, record) for record in demo.sandbox.records("Patient")[:TIMES])
    value = median(seconds)
    return [
        Result(
            name="one_patient_trigger_to_loaded_s",
            value=round(value, 1),
            unit="s",
            baseline=MOST,
            ratio=round(value / MOST, 2),
            how=f"make run's Airflow, 200 patients: a changed patient by eCW id, median of {TIMES} "
            f"({seconds[0]:.1f} to {seconds[-1]:.1f} s); baseline: the limit",
        )
    ]


def one(demo: Demo, airflow: AirflowApi, record: dict[str, Any]) -> float:
    """Change a patient in the practice, pull them by eCW id, and return the seconds until the CRM has the change."""
    name = f"Waiting{time.monotonic_ns()}"
    demo.sandbox.put(record | {"name": [called | {"family": name} for called in record["name"]]})
    with closing(sqlite3.connect(demo.folder / "crm.db", timeout=60)) as crm:
        last_name = "SELECT last_name FROM patient WHERE ecw_id = ?"
        begun = time.monotonic()
        run_id = airflow.trigger("ecw_pull", mode="patients", patients=[record["id"]])
        assert wait_until(lambda: crm.execute(last_name, (record["id"],)).fetchone() == (name,), 300, every=0.1)
        seconds = time.monotonic() - begun
    assert wait_until(lambda: airflow.run_state("ecw_pull", run_id) == "success", 300)
    return seconds
