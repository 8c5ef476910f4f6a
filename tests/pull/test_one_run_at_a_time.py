"""Runs that pull the whole practice run one after the other, also after earlier runs failed or were killed."""

from __future__ import annotations

import pytest

from ecw.errors import ConcurrentRun
from ecw.models import PullRequest, Run
from ecw.pull import steps
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling

pytestmark = on_sqlite


class Airflow:
    """A stand-in for Airflow: the runs that are running, and the start of a run."""

    def __init__(self, pull: Pulling) -> None:
        self.pull = pull
        self.running: set[str] = set()

    def begin(self, name: str) -> Run:
        self.running.add(name)
        ends = {"a": "02", "b": "04"}[name]
        request = PullRequest(
            name,
            "scheduled",
            "2026-11-22T00:00:00+00:00",
            f"2026-11-22T{ends}:00:00+00:00",
            ecw_conn_id="ecw_test",
            crm_conn_id="crm_test",
            staging=self.pull.staging,
        )
        return steps.begin(request, lambda run_id: run_id in self.running)

    def waits(self, name: str) -> bool:
        try:
            self.begin(name)
        except ConcurrentRun:
            return True
        return False


@pytest.mark.parametrize("killed", [True, False])
def test_of_two_cleared_runs_one_waits_for_the_other(pull: Pulling, killed: bool) -> None:
    airflow = Airflow(pull)
    for name in ("a", "b"):
        run = airflow.begin(name)
        if not killed:  # marked failed by a person: Airflow runs the summary
            steps.summary(run)
        airflow.running.clear()

    airflow.running = {"a", "b"}
    first, *again = [name for name in ("a", "b", "a") if not airflow.waits(name)]

    assert set(again) <= {first}
    [second] = airflow.running - {first}
    assert airflow.waits(second), "the first is running"
    airflow.running.remove(first)
    assert not airflow.waits(second)
