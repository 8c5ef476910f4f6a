"""Each practice's alerts go to the targets that it names, and are about its own runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import Engine

import ecw.hooks.ecw  # noqa: F401 - the first import of Airflow sets up logging; do it before the tests
from ecw.alerts import store
from ecw.alerts.monitor import monitor
from ecw.alerts.settings import settings
from ecw.settings.practices import of_connection
from tests.fixtures.crm import on_sqlite
from tests.fixtures.loads import a_row, a_run, load
from tests.fixtures.receiving import Webhook, serving

pytestmark = on_sqlite
START = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
PRACTICES = """\
practices:
  north: {alerts: {webhook: hook_north, stale_intervals: 5}}
  south: {}
"""


@pytest.fixture
def north(monkeypatch: pytest.MonkeyPatch, webhook: Webhook, crm_url: str, tmp_path: Path) -> Iterator[Webhook]:
    """Set up two practices in one CRM; `north` has its own webhook, the fixture `webhook` is the default for all."""
    (tmp_path / "practices.yaml").write_text(PRACTICES)
    monkeypatch.setenv("ECW_PRACTICES", str(tmp_path / "practices.yaml"))
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PRACTICES", "ecw_north, ecw_south")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 */2 * * *")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "location")
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", json.dumps({"webhook": "hook_all", "email": ["all@example.org"]}))
    for name in ("north", "south"):
        host = {"conn_type": "ecw", "host": f"https://fhir.example/fhir/r4/{name.upper()}"}
        monkeypatch.setenv(f"AIRFLOW_CONN_ECW_{name.upper()}", json.dumps(host))
    own = Webhook()
    with serving(own):
        monkeypatch.setenv("AIRFLOW_CONN_HOOK_ALL", webhook.connection)
        monkeypatch.setenv("AIRFLOW_CONN_HOOK_NORTH", own.connection)
        yield own


def both_load(crm_engine: Engine) -> None:
    for practice in ("NORTH", "SOUTH"):
        run = a_run("the same id", practice=practice, window_end=datetime.now(UTC).isoformat())
        load(crm_engine, [a_row("1")], run=run)


def test_the_targets_of_a_practice_replace_the_targets_of_all(north: Webhook) -> None:
    assert settings(of_connection("ecw_north")).targets == ["webhook hook_north"]
    assert settings(of_connection("ecw_south")).targets == ["webhook hook_all", "email all@example.org"]
    assert settings(None).targets == ["webhook hook_all", "email all@example.org"]


def test_a_notification_follows_the_target_and_the_threshold_of_its_practice(
    north: Webhook, webhook: Webhook, crm_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", json.dumps({"webhook": "hook_all"}))
    with time_machine.travel(START, tick=False) as clock:
        both_load(crm_engine)
        clock.shift(timedelta(hours=7))
        monitor()
        assert ({one["practice"] for one in webhook.received}, north.received) == ({"SOUTH"}, [])
        assert {alert.practice for alert in store.open_alerts(crm_engine)} == {"SOUTH"}
        clock.shift(timedelta(hours=4))
        monitor()
        assert {one["practice"] for one in north.received} == {"NORTH"}
        assert {one["practice"] for one in webhook.received} == {"SOUTH"}


def test_after_a_run_of_a_practice_only_its_alerts_are_checked(
    north: Webhook, webhook: Webhook, crm_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", json.dumps({"webhook": "hook_all"}))
    with time_machine.travel(START, tick=False) as clock:
        both_load(crm_engine)
        clock.shift(timedelta(hours=11))
        monitor(ecw_conn_id="ecw_north")
        assert {alert.practice for alert in store.open_alerts(crm_engine)} == {"NORTH"}
        assert webhook.received == []
