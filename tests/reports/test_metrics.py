"""The gauges for Airflow's metrics: all documented, each sent with and without tags, none with values of records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk.observability import stats
from sqlalchemy import Engine

from ecw.crm.db.engine import reading
from ecw.reports.metrics import METRICS, emit, gauges
from ecw.reports.sync_state import Clock
from tests.fixtures.console_data import Scale, fill

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"


class Recorder(NoStatsLogger):
    """A metrics backend of Airflow that records the gauges that it gets."""

    sent: list[tuple[str, float, dict[str, str] | None]]

    def __init__(self) -> None:
        self.sent = []

    def gauge(self, stat: str, value: float, *_: Any, tags: dict[str, str] | None = None, **__: Any) -> None:  # type: ignore[override]
        self.sent.append((stat, value, tags))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    backend = Recorder()
    stats.initialize(factory=lambda: backend, export_legacy_names=True)
    yield backend
    stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


def test_each_gauge_is_sent_with_and_without_tags(
    recorder: Recorder, crm_engine: Engine, crm_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    fill(crm_engine, "P.1", Scale(days=1))
    number = emit()
    tagged = {(name, *(tags or {}).values()): value for name, value, tags in recorder.sent if tags}
    plain = {name: value for name, value, tags in recorder.sent if not tags}
    assert len(tagged) == len(plain) == number
    assert tagged["ecw.rejects_open", "P.1", "patient"] == plain["ecw.rejects_open.P__1.patient"] == 20
    assert plain["ecw.late.P__1.encounter"] == 1
    assert plain["ecw.records.P__1.patient.unchanged"] == 140


def test_every_metric_is_documented_and_sent(crm_engine: Engine) -> None:
    fill(crm_engine, "P1", Scale(days=1), now=NOW)
    with reading(crm_engine) as connection:
        names = {gauge.name for gauge in gauges(connection, {"P1": Clock(NOW, timedelta(hours=2))}, {"P1": 90})}
    assert names == set(METRICS)
    page = PAGE.read_text()
    assert [name for name, meaning in METRICS.items() if f"| `{name}` | {meaning} |" not in page] == []


def test_a_crm_without_runs_sends_nothing(
    recorder: Recorder, crm_engine: Engine, crm_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    assert emit() == 0
    assert recorder.sent == []


def test_each_practice_is_measured_by_its_own_schedule_and_quota(
    recorder: Recorder, crm_engine: Engine, crm_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CRM_DEFAULT", json.dumps({"conn_type": "generic", "extra": {"url": crm_url}}))
    for name, calls in (("north", 60), ("south", 90)):
        host = f"https://fhir.example/fhir/r4/{name.upper()}1"
        document = {"conn_type": "ecw", "host": host, "extra": {"calls_per_minute": calls}}
        monkeypatch.setenv(f"AIRFLOW_CONN_ECW_{name.upper()}", json.dumps(document))
        fill(crm_engine, f"{name.upper()}1", Scale(days=1))
    file = tmp_path / "practices.yaml"
    file.write_text(
        "practices: {north: {connection: ecw_north, schedule: '0 0 * * *'}, south: {resources: [patient]}}\n"
    )
    monkeypatch.setenv("ECW_PRACTICES", str(file))
    emit()
    plain = {name: value for name, value, tags in recorder.sent if not tags}
    # The last good sync of encounter is ten hours ago: late with an interval of two hours, not with one of a day, and
    # never late if the schedule does not pull encounters.
    assert (plain["ecw.late.NORTH1.encounter"], plain["ecw.late.SOUTH1.encounter"]) == (0, 0)
    assert (plain["ecw.calls_per_minute_limit.NORTH1"], plain["ecw.calls_per_minute_limit.SOUTH1"]) == (60, 90)
    file.write_text("practices: {north: {schedule: '0 0 * * *'}, south: {}}\n")
    emit()
    plain = {name: value for name, value, tags in recorder.sent if not tags}
    assert (plain["ecw.late.NORTH1.encounter"], plain["ecw.late.SOUTH1.encounter"]) == (0, 1)
