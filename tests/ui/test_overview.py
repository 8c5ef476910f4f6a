"""The Overview: what needs a person comes first, and the charts agree with the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, insert, update

from ecw.crm.db.tables import ecw_alert, ecw_intent
from tests.fixtures.console_data import Scale, fill
from tests.ui.conftest import Client

pytestmark = pytest.mark.both_databases


@pytest.fixture
def filled(console: Client, crm_engine: Engine) -> Client:
    fill(crm_engine, "P1", Scale(days=2, patients=50))
    return console


def test_errors_come_before_warnings(filled: Client) -> None:
    items = filled.get("/api/overview").json()["attention"]
    severities = [item["severity"] for item in items]
    assert severities == sorted(severities, key=lambda severity: severity != "error")
    messages = [item["message"] for item in items]
    assert messages[0] == "The last run of encounter failed: eCW answered 503 four times."
    assert items[0]["next_step"] == "it tries again."
    assert items[0]["run_id"].startswith("scheduled__")
    late = next(item for item in items if "last synchronised" in item["message"])
    assert late["message"] == "Encounter was last synchronised 10 hours ago; it is due every 2 hours."
    assert (late["dag_id"], late["conf"]) == ("ecw_pull", {"resources": ["encounter"]})
    assert "1 push without a known outcome." in messages
    assert "1 match held (patient 1)." in messages
    assert "2 records changed on both sides (patient 2)." in messages
    assert "35 records rejected (patient 20, insurance 10, encounter 5)." in messages
    assert [item["page"] for item in items if item["page"]] == ["conflicts", "conflicts", "mappings", "rejects"]
    assert all(item["next_step"] and item["button"] for item in items)


def test_open_alerts_and_the_kill_switch_are_listed(
    filled: Client, crm_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = {"practice": "P1", "alert": "a", "kind": "volume", "subject": "patient", "run_id": "r1"}
    words = {"message": "eCW gave 3 records of patient; 90 are usual.", "next_step": "ask the practice."}
    with crm_engine.begin() as connection:
        connection.execute(insert(ecw_alert).values(**alert, **words, opened_at=datetime.now(UTC)))
        connection.execute(update(ecw_intent).where(ecw_intent.c.state == "held").values(choice="pat-4"))
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PUSH_KILL_SWITCH", "1")
    messages = [item["message"] for item in filled.get("/api/overview").json()["attention"]]
    assert messages[0].startswith("The push is stopped by its kill switch")
    assert words["message"] in messages
    assert "1 record decided and not pushed yet." in messages
    assert "1 match held (patient 1)." not in messages


def test_the_charts_add_up(filled: Client) -> None:
    overview = filled.get("/api/overview", params={"practice": "P1"}).json()
    assert len(overview["runs"]) == 24
    newest = overview["practice"]["resources"][2]["last_run"]
    assert overview["runs"][-1]["run_id"] == newest["run_id"]
    assert sum(age["patients"] for age in overview["insurance"]) == 50
    assert len(overview["quota"]["minutes"]) == 60
    now = overview["quota"]["minutes"][-1]
    assert overview["quota"]["used"] == now["on_demand"] + now["scheduled"] + now["backfill"]
    assert overview["quota"]["used"] + overview["quota"]["left"] == overview["quota"]["limit"] == 250
    pushed = {point["status"]: point["patients"] for point in overview["pushes"]}
    assert set(pushed) == {"created", "updated", "refused", "held", "unknown"}


def test_the_limit_of_the_quota_comes_from_the_connection(filled: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = '{"conn_type": "ecw", "host": "https://fhir.example/fhir/r4/P1", "extra": {"calls_per_minute": 90}}'
    monkeypatch.setenv("AIRFLOW_CONN_ECW_DEFAULT", extra)
    assert filled.get("/api/overview").json()["quota"]["limit"] == 90


def test_an_empty_crm_has_an_empty_overview(console: Client) -> None:
    overview = console.get("/api/overview").json()
    assert (overview["practices"], overview["practice"], overview["attention"]) == ([], None, [])
    assert overview["interval_seconds"] == 7200


def test_the_status_has_the_same_numbers_as_the_overview(filled: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    overview, status = filled.get("/api/overview").json(), filled.get("/api/status").json()
    [practice] = status["practices"]
    assert practice["practice"] == "P1"
    for one, other in zip(practice["resources"], overview["practice"]["resources"], strict=True):
        assert one | {"age_seconds": 0} == other | {"age_seconds": 0}
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", "0 * * * *")
    [practice] = filled.get("/api/status").json()["practices"]
    assert practice["interval_seconds"] == timedelta(hours=1).total_seconds()
    assert filled.get("/api/status", params={"practice": "nowhere"}).json()["practices"] == []
