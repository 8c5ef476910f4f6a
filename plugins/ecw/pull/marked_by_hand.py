"""A task that a person marked success has left nothing: what follows must not take that for a run without work."""

from __future__ import annotations

from typing import Any

from ecw.models import left_by


def require_not_marked(task_id: str, ti: Any, dag_run: Any) -> None:
    """Do nothing where the task that left nothing has failed, or was not reached.

    `ti` and `dag_run` are the asking task's, as Airflow hands them over.  Raises CorruptBatch where that task counts as
    a success: a person marked it so.
    """
    states = ti.get_task_states(dag_id=dag_run.dag_id, task_ids=[task_id], run_ids=[dag_run.run_id])
    if states.get(dag_run.run_id, {}).get(task_id) == "success":
        left_by(task_id, None)
