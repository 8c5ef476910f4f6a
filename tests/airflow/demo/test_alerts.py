"""Alerts in a real Airflow: the monitor reports that an alert begins, the summary of a pull that it is over."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecw.resources import RESOURCES
from include.demo.airflow_api import AirflowApi, wait_until
from tests.airflow.demo.test_demo import second_run
from tests.fixtures.demo import LONG, Demo
from tests.fixtures.receiving import Webhook


def set_alerts(demo: Demo, **options: Any) -> None:
    demo.shell(f"airflow variables set ecw_alerts '{json.dumps(options)}'")


def run(airflow: AirflowApi, dag: str) -> str:
    run_id = airflow.trigger(dag)
    assert wait_until(lambda: airflow.run_state(dag, run_id) in ("success", "failed"), LONG)
    assert airflow.run_state(dag, run_id) == "success"
    return run_id


@pytest.mark.airflow
def test_an_alert_begins_with_its_condition_and_a_second_pull_resolves_it(demo: Demo, webhook: Webhook) -> None:
    airflow = AirflowApi(demo.airflow_url)
    airflow.login()
    demo.shell(f"airflow connections add alerts_http --conn-json '{webhook.connection}'")
    set_alerts(demo, webhook="alerts_http", stale_intervals=0.0001)
    try:
        monitored = run(airflow, "ecw_monitor")
        assert airflow.returned("ecw_monitor", monitored, "monitor")["open"] == len(RESOURCES)
        assert sorted(webhook.events()) == sorted(("begin", "stale", name) for name in RESOURCES)
        assert "location: alert stale since" in demo.shell("ecw status")

        set_alerts(demo, webhook="alerts_http", stale_intervals=3)
        pulled = run(airflow, "ecw_pull")
        assert len(airflow.returned("ecw_pull", pulled, "summary")) == len(RESOURCES)
        assert sorted(webhook.events()[len(RESOURCES) :]) == sorted(("over", "stale", name) for name in RESOURCES)
        assert "alert" not in demo.shell("ecw status")
        second_run(demo, pulled)
    finally:
        demo.shell("airflow variables delete ecw_alerts && airflow connections delete alerts_http")
