"""A pull with rejects, a replay and alerts puts no value into logs, tables, XComs or notifications."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecw.alerts import store
from ecw.alerts.conditions import Monitored, Thresholds
from ecw.alerts.notify import document, text
from ecw.pull import steps
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.replay.test_steps import remove_female_code, run_replay
from tests.pull.test_no_patient_data import values

TABLES = (
    "ecw_run",
    "ecw_cursor",
    "ecw_link",
    "ecw_quality_result",
    "ecw_journal",
    "ecw_reject",
    "ecw_alert",
    "ecw_alert_notification",
)
IDENTIFYING_TOO = ("subscriberId",)


def secrets_of(records: list[dict[str, Any]]) -> set[str]:
    """Return the identifying values of the records, without the records' ids, which are not secret."""
    ids = {record["id"] for record in records}
    found = {value for value in values(records) if value not in ids}
    return found | {str(record[name]) for record in records for name in IDENTIFYING_TOO if name in record}


def leaked(secrets: set[str], output: str) -> list[str]:
    """Return the secrets that are in a text as whole words."""
    return sorted(one for one in secrets if re.search(rf"(?<![A-Za-z0-9]){re.escape(one)}(?![A-Za-z0-9])", output))


@pytest.mark.journey
@on_sqlite
@pytest.mark.large_practice
def test_no_value_leaks_from_a_pull_with_rejects_a_replay_and_alerts(
    pull: Pulling, sandbox: RunningSandbox, mappings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    remove_female_code(mappings)
    for record in [one for one in sandbox.records("Patient") if one["gender"] == "male"][:1]:
        sandbox.put({**record, "birthDate": "1870-01-02"})
    for record in sandbox.records("Coverage")[:2]:
        sandbox.put({**record, "period": {"start": "2030-01-01", "end": "2020-01-01"}})
    by_type = {resource.fhir_type: secrets_of(sandbox.records(resource.fhir_type)) for resource in RESOURCES.values()}
    assert {name: bool(found) for name, found in by_type.items()} == dict.fromkeys(by_type, True)
    secrets = set().union(*by_type.values()) - {"unknown"}  # a gender, which the suite lists
    assert len(secrets) > 1000

    run = pull.begin()
    passed = [pull.resource(run, name) for name in RESOURCES]
    table, replayed = steps.summary(run), run_replay(pull)
    limits = Thresholds(reject_least=1, reject_percent=0.1)
    monitored = Monitored(sandbox.practice, timedelta(hours=2), list(RESOURCES), limits, ["webhook x"])
    store.reconcile(pull.crm, datetime.now(UTC), monitored)
    notifications = store.to_send(pull.crm, sandbox.practice, "webhook x")
    assert "rejects" in {notification.alert.kind for notification in notifications}
    assert {row["state"] for row in table} == {"loaded"}
    assert {row["resource"] for row in table if row["rejected"]} >= {"patient", "insurance", "encounter"}

    outputs = {name: json.dumps(pull.rows(f"SELECT * FROM {name}"), default=str) for name in TABLES}  # noqa: S608
    outputs |= {
        "log": caplog.text,
        "XComs": json.dumps([run, passed, pull.batches, table, replayed]),
        "notifications": json.dumps([[document(notification), text(notification)] for notification in notifications]),
    }
    assert {name for name, written in outputs.items() if len(written) < 100} <= {"ecw_cursor"}
    assert {name: leaked(secrets, written) for name, written in outputs.items() if leaked(secrets, written)} == {}
