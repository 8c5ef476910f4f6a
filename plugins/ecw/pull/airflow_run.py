"""Questions that a step asks Airflow about its own run: is it the first try, and did a person mark a task?"""

from __future__ import annotations

from typing import Any

from ecw.models import left_by


def begins_first(ti: Any, dag_run: Any) -> bool:
    """Return True if the run begins for the first time: it is not a retry and was not cleared.

    Data under the same run id in the CRM then belongs to an earlier run that was deleted from Airflow.
    """
    return getattr(ti, "try_number", 0) == 1 and not getattr(dag_run, "clear_number", 0)


def require_not_marked(task_id: str, ti: Any, dag_run: Any) -> None:
    """Raise CorruptBatch if the task `task_id` succeeded without a result: a person marked it as successful.

    Do nothing if that task failed or was not reached. `ti` and `dag_run` are those of the calling task, from Airflow's
    context.
    """
    states = ti.get_task_states(dag_id=dag_run.dag_id, task_ids=[task_id], run_ids=[dag_run.run_id])
    if states.get(dag_run.run_id, {}).get(task_id) == "success":
        left_by(task_id, None)
