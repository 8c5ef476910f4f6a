"""Alerts in a real Airflow: the watch tells that something began, the summary of a pull that it is over."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import pytest

from ecw.resources import RESOURCES
from include.demo.airflow_api import AirflowApi, wait_until
from tests.fixtures.demo import ROOT, Demo
from tests.fixtures.receiving import Webhook


def shell(demo: Demo, command: str) -> str:
    """Run a command with the demo's Airflow, as its user would."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    line = f". '{demo.folder}/env' && {command}"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def say(demo: Demo, **said: Any) -> None:
    shell(demo, f"airflow variables set ecw_alerts '{json.dumps(said)}'")


def run(airflow: AirflowApi, dag: str) -> str:
    run_id = airflow.trigger(dag)
    assert wait_until(lambda: airflow.run_state(dag, run_id) in ("success", "failed"), 600)
    assert airflow.run_state(dag, run_id) == "success"
    return run_id


@pytest.mark.timeout(900)  # a pull, perhaps the demo's first one too, on a machine that may be busy
def test_what_the_watch_finds_begins_and_a_pull_ends_it(demo: Demo, webhook: Webhook) -> None:
    airflow = AirflowApi(demo.airflow_url)
    airflow.login()
    shell(demo, f"airflow connections add alerts_http --conn-json '{webhook.connection}'")
    say(demo, webhook="alerts_http", stale_intervals=0.0001)
    try:
        watched = run(airflow, "ecw_watch")
        assert airflow.returned("ecw_watch", watched, "watch")["open"] == len(RESOURCES)
        assert sorted(webhook.told()) == sorted(("begin", "stale", name) for name in RESOURCES)
        assert "location: alert stale since" in shell(demo, "ecw status")

        say(demo, webhook="alerts_http", stale_intervals=3)
        pulled = run(airflow, "ecw_pull")
        assert len(airflow.returned("ecw_pull", pulled, "summary")) == len(RESOURCES)
        assert sorted(webhook.told()[len(RESOURCES) :]) == sorted(("over", "stale", name) for name in RESOURCES)
        assert "alert" not in shell(demo, "ecw status")
    finally:
        shell(demo, "airflow variables delete ecw_alerts && airflow connections delete alerts_http")
