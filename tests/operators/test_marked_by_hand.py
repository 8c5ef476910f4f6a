"""A task that a person marks success leaves nothing: its follower fails and names the task to clear."""

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

FOLLOWERS: dict[str, tuple[Callable[[], Any], str]] = {
    "map": (lambda: steps.map(None), "extract"),  # type: ignore[arg-type]
    "check": (lambda: steps.check(None), "map"),  # type: ignore[arg-type]
    "load": (lambda: assets.load(None), "check"),  # type: ignore[arg-type]
    "inline": (lambda: assets.inline(None), "begin"),  # type: ignore[arg-type]
    "approve": (lambda: ApprovePush(task_id="approve", push=None).execute({}), "begin"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", FOLLOWERS)
def test_the_follower_fails_at_once_and_names_the_task_to_clear(name: str) -> None:
    follow, before = FOLLOWERS[name]
    with pytest.raises(CorruptBatch, match=rf"The task {before} .* marked success by hand.*clear {before}"):
        follow()


def airflow_says(state: str) -> tuple[Any, Any]:
    """Return the task instance and the run that Airflow hands over, where `begin` is in a state."""
    answer = {"r1": {"begin": state}}
    return SimpleNamespace(get_task_states=lambda **_: answer), SimpleNamespace(dag_id="ecw_pull", run_id="r1")


@pytest.mark.parametrize(("state", "error"), [("success", CorruptBatch), ("failed", AirflowSkipException)])
def test_a_run_that_did_not_begin_is_left_out_only_where_begin_has_failed(state: str, error: type[Exception]) -> None:
    """Otherwise a run whose begin was marked by hand would be green, and have done nothing."""
    ti, dag_run = airflow_says(state)
    with pytest.raises(error):
        ExtractOperator(task_id="extract", pull=None, resource_name="patient").execute({"ti": ti, "dag_run": dag_run})
    with pytest.raises(error):
        collect_or_skip(None, "patient", ti=ti, dag_run=dag_run)
