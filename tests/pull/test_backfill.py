"""A backfill that is stopped and resumed: another run or a retry fetches the resources that a run did not fetch."""

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
from ecw.pull import run_plan, steps
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.comparing import expected, rows_of

COMPARED = ("practitioner", "location", "patient", "insurance")


def stopped_run(pull: Pulling) -> Any:
    """Run a backfill's first run until a person marks it as failed: only its summary still runs."""
    run = pull.begin("backfill")
    pull.resource(run, "practitioner")
    steps.summary(run)
    return run


def is_complete(pull: Pulling, sandbox: RunningSandbox) -> bool:
    return all(rows_of(pull.crm, name) == expected(sandbox, name) for name in COMPARED)


def test_the_next_run_fetches_the_resources_that_a_stopped_run_did_not(pull: Pulling, sandbox: RunningSandbox) -> None:
    first = stopped_run(pull)

    second = pull.begin("backfill")

    assert run_plan.of(second)["covered"] == {"practitioner": first["run_id"]}
    for name in run_plan.of(second)["resources"]:
        pull.resource(second, name)
    assert is_complete(pull, sandbox)
    assert pull.rows("SELECT * FROM ecw_cursor") == []


def test_a_stopped_run_that_is_cleared_fetches_what_no_other_run_has_claimed(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    first = stopped_run(pull)
    third = pull.begin("backfill")
    pull.resource(third, "location")

    pull.run_count = 0
    again = pull.begin("backfill", run_id=first["run_id"])

    assert run_plan.of(again)["covered"] == dict.fromkeys(("location", "patient", "insurance"), third["run_id"])
    for run, names in ((again, ["practitioner", "encounter"]), (third, ["patient", "insurance", "encounter"])):
        for name in names:
            pull.resource(run, name)
    assert is_complete(pull, sandbox)
    states = {(row["run_id"], row["resource"]): row["state"] for row in pull.rows("SELECT * FROM ecw_run")}
    assert {states[first["run_id"], name] for name in ("practitioner", "encounter")} == {"loaded"}
    assert {states[third["run_id"], name] for name in RESOURCES if name != "practitioner"} == {"loaded"}


@on_sqlite
@pytest.mark.large_practice
def test_a_second_backfill_in_the_mode_full_maps_all_records_again(pull: Pulling) -> None:
    pull.resource(pull.begin("backfill", options={"resources": ["location"]}), "location")
    everything = {"resources": ["location"], "mode": "full"}

    second, third = (pull.begin("backfill", options=everything) for _ in range(2))

    assert pull.resource(second, "location")["fetched"] == 12
    assert pull.batches["location"][1]["count"] == 12, "unchanged records are mapped too"
    assert run_plan.of(third)["covered"] == {"location": second["run_id"]}


def states_of(run: Any) -> dict[str, tuple[str, str]]:
    return {row["resource"]: (row["state"], row["next"]) for row in steps.summary(run)}


@on_sqlite
def test_a_run_whose_resources_another_run_fetches_has_their_state_in_its_summary(pull: Pulling) -> None:
    pull.begin("backfill", options={"resources": ["location"]})
    second = pull.begin("backfill", options={"resources": ["location"]})

    others = dict.fromkeys((name for name in RESOURCES if name != "location"), ("not asked for", ""))
    assert states_of(second) == {"location": ("once a backfill", ""), **others}


@on_sqlite
def test_a_claim_that_moved_to_another_run_is_not_a_failure_of_the_waiting_run(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
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

    assert "location" in run_plan.of(third)["resources"]
    assert states_of(second)["location"] == ("once a backfill", "")


@on_sqlite
def test_begin_defers_until_another_run_has_fetched_the_practitioners(
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
    assert pull.rows("SELECT * FROM ecw_run WHERE run_id = 'b2'") == [], (
        "a waiting run has no row that could block another"
    )
