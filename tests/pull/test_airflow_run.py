"""A run id that Airflow uses a second time means another run, unless the task is retried or cleared."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG
from airflow.utils.db_cleanup import run_cleanup
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from sqlalchemy import delete, func, select

from ecw.operators.pull import BeginOperator
from ecw.pull.airflow_run import begins_first
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling

RUN = "manual__again"
FORM = {"resources": ["location"], "mode": "changes", "dry_run": False, "ignore_time_budget": False}


@pytest.mark.parametrize(
    ("try_number", "clear_number", "first"), [(1, 0, True), (2, 0, False), (1, 1, False), (3, 2, False)]
)
def test_a_retried_or_cleared_task_does_not_begin_first(try_number: int, clear_number: int, first: bool) -> None:
    ti, dag_run = SimpleNamespace(try_number=try_number), SimpleNamespace(clear_number=clear_number)
    assert begins_first(ti, dag_run) is first


def test_a_caller_without_airflow_does_not_begin_first() -> None:
    assert not begins_first(None, None)


@pytest.fixture
def in_airflow(airflow_db: None, pull: Pulling, crm_url: str, monkeypatch: pytest.MonkeyPatch) -> Pulling:
    """Return a Pulling with the default connections, beside Airflow's own database."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_STAGING", str(Path(pull.staging)))
    return pull


def runs_in_airflow() -> int:
    with create_session() as session:
        return int(session.scalar(select(func.count()).select_from(DagRun).where(DagRun.run_id == RUN)) or 0)


def begin(pull: Pulling, try_number: int = 1, clear_number: int = 0) -> dict[str, int]:
    """Run `begin` as Airflow does, then load locations; return the counts."""
    with DAG("ecw_pull", schedule=None):
        operator = BeginOperator(task_id="begin", ecw_conn_id="ecw_test")
    pushed: list[Any] = []
    ti = SimpleNamespace(
        try_number=try_number,
        get_dr_count=lambda *_, **__: 0,
        xcom_push=lambda _key, value: pushed.append(value),
    )
    dag_run: Any = SimpleNamespace(
        dag_id="ecw_pull",
        run_id=RUN,
        run_type=DagRunType.MANUAL,
        clear_number=clear_number,
        data_interval_start=None,
        data_interval_end=datetime(2026, 11, 22, 10, tzinfo=UTC),
    )
    operator.execute({"ti": ti, "dag_run": dag_run, "params": FORM})  # type: ignore[typeddict-item]
    return pull.resource(pushed[-1], "location")


def inserted_by_run(pull: Pulling) -> dict[str, int]:
    rows = pull.rows("SELECT run_id, inserted FROM ecw_run WHERE resource = 'location'")
    return {row["run_id"]: row["inserted"] for row in rows}


@on_sqlite
def test_a_run_that_airflow_db_clean_deleted_keeps_its_row_in_the_run_table(in_airflow: Pulling) -> None:
    began = datetime.now(UTC) - timedelta(days=90)
    with create_session() as session:
        session.execute(delete(DagRun))
        for run_id, age in ((RUN, 0), ("manual__last", 30)):  # the last run of a DAG is always kept
            at = began + timedelta(days=age)
            session.add(DagRun(dag_id="ecw_pull", run_id=run_id, run_type="manual", start_date=at, run_after=at))
    first = begin(in_airflow)
    assert runs_in_airflow() == 1
    run_cleanup(
        clean_before_timestamp=began + timedelta(days=10),
        table_names=["dag_run"],
        confirm=False,
        skip_archive=True,
        error_on_cleanup_failure=True,
    )
    assert runs_in_airflow() == 0

    second = begin(in_airflow)
    assert second["unchanged"] == first["inserted"] > 0
    inserted = inserted_by_run(in_airflow)
    assert inserted.pop(RUN) == 0
    assert list(inserted.values()) == [first["inserted"]], "the first run's row now has another id"


@on_sqlite
@pytest.mark.parametrize("again", [{"try_number": 2}, {"clear_number": 1}])
def test_a_retried_or_cleared_run_keeps_its_own_row(in_airflow: Pulling, again: dict[str, int]) -> None:
    first = begin(in_airflow)
    begin(in_airflow, **again)
    assert inserted_by_run(in_airflow) == {RUN: first["inserted"]}
