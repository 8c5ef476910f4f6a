"""A backfill that is stopped and resumed: what a run did not get to is fetched by another, or by itself again."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.utils.types import DagRunType

from ecw.errors import EcwError, SnapshotPending
from ecw.operators.pull import BeginOperator
from ecw.pull import steps
from ecw.pull.plan import plan
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.comparing import expected, rows_of

HELD = ("practitioner", "location", "patient", "insurance")


def stopped(pull: Pulling) -> Any:
    """Run a backfill's first run until a person marks it failed: what has not begun never will, its summary does."""
    run = pull.begin("backfill")
    pull.resource(run, "practitioner")
    steps.summary(run)
    return run


def whole(pull: Pulling, sandbox: RunningSandbox) -> bool:
    return all(rows_of(pull.crm, name) == expected(sandbox, name) for name in HELD)


def test_the_next_run_looks_at_what_a_stopped_one_did_not_get_to(pull: Pulling, sandbox: RunningSandbox) -> None:
    first = stopped(pull)

    second = pull.begin("backfill")

    assert plan.of(second)["covered"] == {"practitioner": first["run_id"]}
    for name in plan.of(second)["resources"]:
        pull.resource(second, name)
    assert whole(pull, sandbox)
    assert pull.rows("SELECT * FROM ecw_cursor") == []


def test_a_stopped_run_that_is_cleared_goes_on(pull: Pulling, sandbox: RunningSandbox) -> None:
    first = stopped(pull)
    third = pull.begin("backfill")
    pull.resource(third, "location")

    pull.run_count = 0
    again = pull.begin("backfill", run_id=first["run_id"])

    assert plan.of(again)["covered"] == dict.fromkeys(("location", "patient", "insurance"), third["run_id"])
    for run, names in ((again, ["practitioner", "encounter"]), (third, ["patient", "insurance", "encounter"])):
        for name in names:
            pull.resource(run, name)
    assert whole(pull, sandbox)
    states = {(row["run_id"], row["resource"]): row["state"] for row in pull.rows("SELECT * FROM ecw_run")}
    assert {states[first["run_id"], name] for name in ("practitioner", "encounter")} == {"loaded"}
    assert {states[third["run_id"], name] for name in RESOURCES if name != "practitioner"} == {"loaded"}


@on_sqlite
@pytest.mark.large_practice
def test_a_second_backfill_that_is_to_map_everything_does_so_however_soon_it_comes(pull: Pulling) -> None:
    pull.resource(pull.begin("backfill", options={"resources": ["location"]}), "location")
    everything = {"resources": ["location"], "mode": "full"}

    second, third = (pull.begin("backfill", options=everything) for _ in range(2))

    assert pull.resource(second, "location")["fetched"] == 12
    assert pull.batches["location"][1]["count"] == 12, "the unchanged are mapped too"
    assert plan.of(third)["covered"] == {"location": second["run_id"]}


def told(run: Any) -> dict[str, tuple[str, str]]:
    return {row["resource"]: (row["state"], row["next"]) for row in steps.summary(run)}


@on_sqlite
def test_a_run_whose_all_another_looks_at_says_what_it_is(pull: Pulling) -> None:
    pull.begin("backfill", options={"resources": ["location"]})
    second = pull.begin("backfill", options={"resources": ["location"]})

    others = dict.fromkeys((name for name in RESOURCES if name != "location"), ("not asked for", ""))
    assert told(second) == {"location": ("once a backfill", ""), **others}


@on_sqlite
def test_what_a_waiting_run_gave_back_and_another_took_is_no_failure(pull: Pulling, sandbox: RunningSandbox) -> None:
    form = {"resources": ["practitioner", "location", "encounter"]}
    first = pull.begin("backfill", options=form)
    sandbox.fault("gone", resource="Location")
    with pytest.raises(EcwError):
        pull.resource(first, "location")
    sandbox.clear_faults()
    with pytest.raises(SnapshotPending):
        pull.begin("backfill", run_id="b", options=form)
    pull.resource(first, "practitioner")

    third = pull.begin("backfill", run_id="c", options=form)
    pull.run_count = 1
    second = pull.begin("backfill", run_id="b", options=form)

    assert "location" in plan.of(third)["resources"]
    assert told(second)["location"] == ("once a backfill", "")


@on_sqlite
def test_begin_waits_without_a_process_for_the_run_that_fetches_the_practitioners(
    pull: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ECW", "CRM"):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}_DEFAULT", os.environ[f"AIRFLOW_CONN_{name}_TEST"])
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", pull.staging)
    pull.begin("backfill")
    start, end = (datetime(2026, 11, 22, hour, tzinfo=UTC) for hour in (4, 6))
    dag_run = SimpleNamespace(
        run_id="b2", run_type=DagRunType.BACKFILL_JOB, data_interval_start=start, data_interval_end=end
    )
    context: Any = {"dag_run": dag_run, "ti": None, "params": {}}

    with pytest.raises(TaskDeferred) as deferred:
        BeginOperator(task_id="begin").execute(context)

    assert (deferred.value.method_name, deferred.value.timeout) == ("go_on", None)
    assert pull.rows("SELECT * FROM ecw_run WHERE run_id = 'b2'") == [], "it holds nothing back meanwhile"
