import json

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from ecw.alerts.monitor import monitor
from ecw.cli import group
from tests.fixtures.loads import a_reject, a_row, load


@pytest.fixture(autouse=True)
def _connection(monkeypatch: pytest.MonkeyPatch, crm_url: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 */2 * * *")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(group, ["status", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result


def test_the_table_shows_the_last_run_of_each_resource(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a", "Secret Street"), a_row("b")], [a_reject("c")])
    output = run().output
    [header] = [line.split() for line in output.splitlines() if line.startswith("practice")]
    [location] = [line.split() for line in output.splitlines() if line.startswith("P1") and " location " in line]
    assert header[:4] == ["practice", "resource", "state", "age"]
    assert location[:3] == ["P1", "location", "loaded"]
    assert location[5:10] == ["3", "1", "2", "0", "0"]
    assert "practitioner: unpause the DAG ecw_pull and trigger it." in output
    assert "location: map required name: 1 rejected" in output.splitlines()
    assert "Secret" not in output


def test_json_has_the_numbers_and_the_age_of_the_last_run(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    [location] = [one for one in json.loads(run("--json").output) if one["resource"] == "location"]
    assert location["numbers"] == {"fetched": 1, "rejected": 0, "inserted": 1, "updated": 0, "unchanged": 0}
    assert location["state"] == "loaded"
    assert 0 <= location["age"] < 300
    assert location["next_step"] is None


def test_open_alerts_are_shown(crm_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_ALERTS", '{"reject_least": 1}')
    load(crm_engine, [a_row("a")], [a_reject("b")])
    monitor()
    assert "1 of 2 records of location are rejected (50 %). Next: `ecw status` names" in run().output
    [location] = [one for one in json.loads(run("--json").output) if one["resource"] == "location"]
    assert [alert["kind"] for alert in location["alerts"]] == ["rejects"]
