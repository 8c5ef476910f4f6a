"""The check and the alerts report fewer records than usual with every strategy."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from ecw.alerts.conditions import Monitored, Thresholds, facts
from ecw.crm.state import baselines
from ecw.crm.state.baselines import Seen
from ecw.errors import QualityGateFailed
from ecw.resources import RESOURCES
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

VOLUME = (
    "SELECT rows, usual, verdict FROM ecw_quality_result WHERE rule = 'volume' AND resource = '{}' ORDER BY at DESC"
)


def returned(counts: dict[str, int]) -> int:
    """Return the number of records that eCW returned; deleted ones are counted as fetched and rejected."""
    return counts["fetched"] - counts["rejected"]


def code(pull: Pulling) -> str:
    return str(pull.rows("SELECT DISTINCT practice FROM ecw_run")[0]["practice"])


def alerts(pull: Pulling) -> list[tuple[str, str]]:
    monitored = Monitored(code(pull), timedelta(hours=2), list(RESOURCES), Thresholds())
    with pull.crm.connect() as connection:
        found = facts(connection, datetime.now(UTC), monitored)
    return [(fact.kind, fact.subject) for fact in found]


@on_sqlite
def test_deleted_patients_do_not_count_as_returned(pull: Pulling, sandbox: RunningSandbox) -> None:
    """A name sweep reads known patients that it did not find, and gets a tombstone for each."""
    pull("patient")
    pull("patient")
    for record in sandbox.records("Patient")[:60]:
        sandbox.delete("Patient", record["id"])

    with pytest.raises(QualityGateFailed, match="eCW gave 60 records, usual are 120"):
        pull("patient")

    assert pull.rows(VOLUME.format("patient"))[0] == {"rows": 60, "usual": 120, "verdict": "stop"}
    assert pull.rows("SELECT count(*) AS n FROM ecw_link WHERE status = 'deleted'") == [{"n": 0}]
    assert ("stopped", "patient") in alerts(pull)


@on_sqlite
def test_a_calendar_that_loses_most_of_its_visits_warns_and_opens_an_alert(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    counts = [pull("practitioner", "location", "patient", "encounter")["encounter"]["fetched"]]
    counts += [pull("encounter")["encounter"]["fetched"] for _ in range(3)]
    assert counts[0] > counts[1] == counts[3] >= baselines.LEAST_RECORDS, "the first run covers more days"
    assert alerts(pull) == []
    visits = sandbox.records("Encounter")
    for record in visits[: int(len(visits) * 0.7)]:
        sandbox.delete("Encounter", record["id"])

    found = returned(pull("encounter")["encounter"])

    assert f"encounter: eCW gave {found} records, usual are {counts[3]}." in caplog.messages
    assert pull.rows(VOLUME.format("encounter"))[0] == {"rows": found, "usual": counts[3], "verdict": "warn"}
    assert alerts(pull) == [("volume", "encounter")]


@on_sqlite
def test_the_usual_number_of_insurance_is_per_queried_patient(
    pull: Pulling, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_ECW_TEST"])
    connection["extra"]["pull"] = {"full_cycle_hours": 2}  # every patient is queried in every run
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(connection))
    pull("practitioner", "location", "patient", "insurance")
    usual = [pull("insurance")["insurance"]["fetched"] for _ in range(3)][-1]
    policies = sandbox.records("Coverage")
    for record in policies[: int(len(policies) * 0.7)]:
        sandbox.delete("Coverage", record["id"])

    found = returned(pull("insurance")["insurance"])

    assert pull.rows(VOLUME.format("insurance"))[0] == {"rows": found, "usual": usual, "verdict": "warn"}
    assert alerts(pull) == [("volume", "insurance")]


def run_with(records: int, queried: int | None = None) -> Seen:
    return Seen("r", records, queried, None, "x")


@pytest.mark.parametrize(
    ("runs", "queried", "usual"),
    [
        ([run_with(40)] * 3, None, 40),
        ([run_with(40)] * 2, None, None),  # too few runs
        ([run_with(19)] * 3, None, None),  # too few records for a ratio
        ([run_with(100, 200), run_with(60, 100), run_with(30, 60)], 400, 200),
        ([run_with(100, 200)] * 3, 49, None),  # too few patients
        ([run_with(0, 0)] * 3, 100, None),
    ],
)
def test_the_usual_number_of_a_partial_run_follows_the_queried_patients(
    runs: list[Seen], queried: int | None, usual: int | None
) -> None:
    assert baselines.number(runs, queried, full_scan=False) == usual
