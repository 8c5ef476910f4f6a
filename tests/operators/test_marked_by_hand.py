"""A task that a person marked as success has no result: the next task fails and names the task to clear."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from ecw.errors import CorruptBatch
from ecw.operators import assets
from ecw.operators.approval import ApprovePush
from ecw.operators.pull import ExtractOperator
from ecw.pull import steps
from ecw.pull.replay.steps import collect_or_skip

NEXT_TASKS: dict[str, tuple[Callable[[], Any], str]] = {
    "map": (lambda: steps.map(None), "extract"),  # type: ignore[arg-type]
    "check": (lambda: steps.check(None), "map"),  # type: ignore[arg-type]
    "load": (lambda: assets.load(None), "check"),  # type: ignore[arg-type]
    "inline": (lambda: assets.inline(None), "begin"),  # type: ignore[arg-type]
    "approve": (lambda: ApprovePush(task_id="approve", push=None).execute({}), "begin"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", NEXT_TASKS)
def test_the_next_task_fails_and_names_the_task_to_clear(name: str) -> None:
    run_next, before = NEXT_TASKS[name]
    with pytest.raises(CorruptBatch, match=rf"The task {before} .* marked success by hand.*clear {before}"):
        run_next()


def begin_in_state(state: str) -> tuple[Any, Any]:
    """Return the task instance and the DAG run that Airflow passes to a task, with `begin` in this state."""
    answer = {"r1": {"begin": state}}
    return SimpleNamespace(get_task_states=lambda **_: answer), SimpleNamespace(dag_id="ecw_pull", run_id="r1")


@pytest.mark.parametrize(("state", "error"), [("success", CorruptBatch), ("failed", AirflowSkipException)])
def test_a_task_without_a_run_is_skipped_only_if_begin_has_failed(state: str, error: type[Exception]) -> None:
    """Otherwise a run whose `begin` was marked as success by hand would be green without any work done."""
    ti, dag_run = begin_in_state(state)
    with pytest.raises(error):
        ExtractOperator(task_id="extract", pull=None, resource_name="patient").execute({"ti": ti, "dag_run": dag_run})
    with pytest.raises(error):
        collect_or_skip(None, "patient", ti=ti, dag_run=dag_run)
