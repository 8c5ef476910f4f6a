"""The purge deletes rows older than their retention time, in chunks, and no others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Table, func, insert, select

from ecw.crm.db.tables import ecw_alert, ecw_alert_notification, ecw_journal, ecw_quality_result
from ecw.crm.state import retention
from ecw.crm.state.retention import Kept, purge
from ecw.errors import ConfigurationError

NOW = datetime(2026, 11, 28, tzinfo=UTC)
KEPT = Kept(journal=10, quality=5, alert=2)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def fill(crm: Engine) -> None:
    def put(table: Table, rows: list[dict[str, Any]]) -> None:
        with crm.begin() as connection:
            connection.execute(insert(table), rows)

    entry = {"practice": "P", "run_id": "r", "direction": "pull", "resource": "patient", "operation": "update"}
    entry |= {"message": "x", "outcome": "done"}
    put(ecw_journal, [entry | {"entry": str(at), "at": ago(10.5 if at < 7 else 9.5)} for at in range(10)])
    result = {"practice": "P", "run_id": "r", "resource": "patient", "rule": "in", "column": "", "demand": "x"}
    result |= {"on_fail": "warn", "reason": "x", "rows": 1, "broken": 0, "verdict": "pass"}
    put(ecw_quality_result, [result | {"number": at, "at": ago(at + 3.5)} for at in range(4)])
    alert = {
        "practice": "P",
        "kind": "stale",
        "subject": "patient",
        "message": "x",
        "next_step": "x",
        "opened_at": ago(99),
    }
    ended = {"over": ago(3), "fresh": ago(1), "open": None}
    put(ecw_alert, [alert | {"alert": name, "resolved_at": at} for name, at in ended.items()])
    put(
        ecw_alert_notification,
        [{"practice": "P", "alert": name, "event": "begin", "target": "t", "made_at": ago(99)} for name in ended],
    )


def row_counts(crm: Engine) -> dict[str, int]:
    with crm.connect() as connection:
        tables = (ecw_journal, ecw_quality_result, ecw_alert_notification, ecw_alert)
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
        }


def test_older_rows_are_deleted_and_open_alerts_stay(crm_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 3)  # several transactions
    fill(crm_engine)
    assert purge(crm_engine, KEPT, NOW) == {
        "ecw_journal": 7,
        "ecw_quality_result": 2,
        "ecw_alert_notification": 1,
        "ecw_alert": 1,
    }
    assert row_counts(crm_engine) == {
        "ecw_journal": 3,
        "ecw_quality_result": 2,
        "ecw_alert_notification": 2,
        "ecw_alert": 2,
    }
    assert set(purge(crm_engine, KEPT, NOW).values()) == {0}


@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf"])
def test_a_variable_that_is_not_a_positive_number_of_days_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    for name in ("journal", "quality", "alert"):
        monkeypatch.setenv(f"AIRFLOW_VAR_ECW_{name.upper()}_DAYS", "7")
    assert Kept.read() == Kept(7, 7, 7)
    monkeypatch.setenv("AIRFLOW_VAR_ECW_QUALITY_DAYS", value)
    with pytest.raises(ConfigurationError, match="ecw_quality_days"):
        Kept.read()
