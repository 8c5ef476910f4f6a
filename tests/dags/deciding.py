"""Print which tasks Airflow would start, given the states of a run's tasks. No task is executed.

Reads from stdin a list of [DAG, [{task: state to set}, ...]]; prints, for each step, the tasks that are ready, the
state of the run and the states of its tasks.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.models.dagbag import DBDagBag
from airflow.models.dagbundle import DagBundleModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy.orm import Session


def decided(dag_id: str, steps: list[dict[str, str]], session: Session) -> list[dict[str, Any]]:
    """Return for each step the tasks that Airflow would start, and the states of the run and of its tasks."""
    dag: Any = DBDagBag().get_latest_version_of_dag(dag_id, session=session)
    now = datetime.now(UTC)
    run = dag.create_dagrun(
        run_id=f"{now:%H%M%S.%f}",
        logical_date=now,
        data_interval=(now - timedelta(hours=2), now),
        run_after=now,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    results = []
    for step in steps:
        for task_id, state in step.items():
            run.get_task_instance(task_id, session=session).set_state(state, session=session)
        before = None
        # Each update passes a failure on to one more task; repeat until an update changes nothing.
        while before != (states := {ti.task_id: ti.state for ti in run.get_task_instances(session=session)}):
            before = states
            ready, _ = run.update_state(session=session, execute_callbacks=False)
            session.flush()
        results.append({"ready": sorted(ti.task_id for ti in ready), "run": run.state, "tasks": states})
    return results


if __name__ == "__main__":
    initdb()
    bag = DagBag(dag_folder=str(Path(__file__).resolve().parents[2] / "dags"))
    with create_session() as session:
        session.add(DagBundleModel(name="dags"))
    sync_bag_to_db(bag, "dags", None)
    with create_session() as session:
        results = [decided(dag_id, steps, session) for dag_id, steps in json.load(sys.stdin)]
    sys.stdout.write(f"\n{json.dumps(results)}\n")
