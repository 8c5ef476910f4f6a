"""What a step asks Airflow about its own run: whether a person has marked a task, and whether the id is new."""

from __future__ import annotations

from typing import Any

from ecw.models import left_by


def begins_first(ti: Any, dag_run: Any) -> bool:
    """Return True where a run begins for the first time: neither a retry, nor cleared.

    What the CRM knows under the run's id is another run's then, which Airflow has forgotten.
    """
    return getattr(ti, "try_number", 0) == 1 and not getattr(dag_run, "clear_number", 0)


def require_not_marked(task_id: str, ti: Any, dag_run: Any) -> None:
    """Do nothing where the task that left nothing has failed, or was not reached.

    `ti` and `dag_run` are the asking task's, as Airflow hands them over.  Raises CorruptBatch where that task counts as
    a success: a person marked it so.
    """
    states = ti.get_task_states(dag_id=dag_run.dag_id, task_ids=[task_id], run_ids=[dag_run.run_id])
    if states.get(dag_run.run_id, {}).get(task_id) == "success":
        left_by(task_id, None)
