"""Fewer records than usual are noticed however they are asked for: by the check, and by the alerts."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from ecw.alerts.conditions import Thresholds, Watched, facts
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


def given(counts: dict[str, int]) -> int:
    """Return how many records eCW gave; those that it no longer has are fetched, and rejected."""
    return counts["fetched"] - counts["rejected"]


def code(pull: Pulling) -> str:
    return str(pull.rows("SELECT DISTINCT practice FROM ecw_run")[0]["practice"])


def alerts(pull: Pulling) -> list[tuple[str, str]]:
    watched = Watched(code(pull), timedelta(hours=2), list(RESOURCES), Thresholds())
    with pull.crm.connect() as connection:
        found = facts(connection, datetime.now(UTC), watched)
    return [(fact.kind, fact.subject) for fact in found]


@on_sqlite
def test_patients_who_vanish_are_not_counted_as_found(pull: Pulling, sandbox: RunningSandbox) -> None:
    """A sweep by names reads whoever did not appear, and finds that eCW has nobody of that id."""
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
def test_a_calendar_that_loses_most_of_its_visits_is_reported(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    counts = [pull("practitioner", "location", "patient", "encounter")["encounter"]["fetched"]]
    counts += [pull("encounter")["encounter"]["fetched"] for _ in range(3)]
    assert counts[0] > counts[1] == counts[3] >= baselines.LEAST_RECORDS, "the first look goes further back"
    assert alerts(pull) == []
    visits = sandbox.records("Encounter")
    for record in visits[: int(len(visits) * 0.7)]:
        sandbox.delete("Encounter", record["id"])

    found = given(pull("encounter")["encounter"])

    assert f"encounter: eCW gave {found} records, usual are {counts[3]}." in caplog.messages
    assert pull.rows(VOLUME.format("encounter"))[0] == {"rows": found, "usual": counts[3], "verdict": "warn"}
    assert alerts(pull) == [("volume", "encounter")]


@on_sqlite
def test_insurance_is_counted_by_the_patient_asked_about(
    pull: Pulling, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.loads(os.environ["AIRFLOW_CONN_ECW_TEST"])
    said["extra"]["pull"] = {"full_cycle_hours": 2}  # everybody's turn is in every run
    monkeypatch.setenv("AIRFLOW_CONN_ECW_TEST", json.dumps(said))
    pull("practitioner", "location", "patient", "insurance")
    usual = [pull("insurance")["insurance"]["fetched"] for _ in range(3)][-1]
    policies = sandbox.records("Coverage")
    for record in policies[: int(len(policies) * 0.7)]:
        sandbox.delete("Coverage", record["id"])

    found = given(pull("insurance")["insurance"])

    assert pull.rows(VOLUME.format("insurance"))[0] == {"rows": found, "usual": usual, "verdict": "warn"}
    assert alerts(pull) == [("volume", "insurance")]


def seen(records: int, asked: int | None = None) -> Seen:
    return Seen("r", records, asked, None, "x")


@pytest.mark.parametrize(
    ("runs", "asked", "usual"),
    [
        ([seen(40)] * 3, None, 40),
        ([seen(40)] * 2, None, None),  # too few runs
        ([seen(19)] * 3, None, None),  # too few records for a share to say something
        ([seen(100, 200), seen(60, 100), seen(30, 60)], 400, 200),
        ([seen(100, 200)] * 3, 49, None),  # too few patients
        ([seen(0, 0)] * 3, 100, None),
    ],
)
def test_what_is_usual_of_a_part(runs: list[Seen], asked: int | None, usual: int | None) -> None:
    assert baselines.number(runs, asked, full_scan=False) == usual
