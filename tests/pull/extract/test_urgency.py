"""Patients whose insurance is fetched first, and the age of the insurance that the CRM has."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from ecw.errors import ConfigurationError
from ecw.models import Run
from ecw.pull import steps
from ecw.pull.context import PullContext
from ecw.pull.extract import urgency
from ecw.pull.extract.context import ExtractContext
from ecw.resources import Resource
from ecw.settings.pull import Options
from ecw.staging import batch_file
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.extract.test_strategies import FixedIds, extract_context, params, rounds

ALL = ("practitioner", "location", "patient", "encounter", "insurance")


def appoint(sandbox: RunningSandbox, patient: str, when: datetime, status: str = "planned") -> None:
    doctor = {"individual": {"reference": f"Practitioner/{sandbox.records('Practitioner')[0]['id']}"}}
    visit = {
        "resourceType": "Encounter",
        "id": f"visit.{patient[:20]}.{status}",
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient}"},
        "participant": [doctor],
        "period": {"start": when.isoformat(), "end": (when + timedelta(hours=1)).isoformat()},
    }
    sandbox.put(visit)


def run_of(pull: Pulling, **options: Any) -> Run:
    return pull.begin(options=options)


def queried_patients(run: Run) -> list[str]:
    path = f"{run['staging']}/insurance/asked.ndjson.gz"
    return [line["patient"] for line in batch_file.read(path)]


@pytest.fixture
def practice(pull: Pulling, sandbox: RunningSandbox) -> list[str]:
    """Pull a practice without appointments once, and return the ids of its patients."""
    sandbox.delete_all("Encounter")
    pull(*ALL)
    return [record["id"] for record in sandbox.records("Patient")]


def pulled(pull: Pulling, **options: Any) -> Run:
    run = run_of(pull, **options)
    for name in ("encounter", "insurance"):
        pull.resource(run, name)
    return run


@on_sqlite
def test_patients_with_an_appointment_within_a_week_are_queried_in_every_run_the_next_first(
    pull: Pulling, sandbox: RunningSandbox, practice: list[str]
) -> None:
    today = datetime(2026, 11, 22, 12, tzinfo=UTC)
    soon, tomorrow, later, cancelled = practice[3], practice[40], practice[50], practice[60]
    appoint(sandbox, soon, today + timedelta(days=6))
    appoint(sandbox, tomorrow, today + timedelta(days=1))
    appoint(sandbox, later, today + timedelta(days=9))
    appoint(sandbox, cancelled, today + timedelta(days=1), "cancelled")
    pull.resource(run_of(pull), "encounter")

    for _ in range(3):
        run = pulled(pull)
        assert queried_patients(run)[:2] == [tomorrow, soon]
        assert len(queried_patients(run)) < 60, "the other patients take turns"
        assert not set(queried_patients(run)[2:]) & {tomorrow, soon}, "no patient is queried twice"


@on_sqlite
@pytest.mark.parametrize(
    ("days", "number"), [(3, 1), *(pytest.param(*each, marks=pytest.mark.journey) for each in ((1, 0), (14, 2)))]
)
def test_appointment_days_sets_how_soon_an_appointment_must_be(
    pull: Pulling, sandbox: RunningSandbox, practice: list[str], days: int, number: int
) -> None:
    today = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for patient, ahead in ((practice[3], 2), (practice[4], 10)):
        appoint(sandbox, patient, today + timedelta(days=ahead))
    pull.resource(run_of(pull), "encounter")

    urgent = urgency.urgent(PullContext.of(run_of(pull), pull.crm, Options(appointment_days=days)))

    assert len(urgent["appointment"]) == number


@on_sqlite
def test_patients_with_an_open_intake_in_the_crm_are_queried_first_too(pull: Pulling, practice: list[str]) -> None:
    with pull.crm.begin() as connection:
        connection.execute(text("ALTER TABLE patient ADD COLUMN intake TEXT"))
        for number, state in ((5, "open"), (6, "waiting"), (7, "closed")):
            connection.execute(
                text("UPDATE patient SET intake = :state WHERE ecw_id = :id"), {"state": state, "id": practice[number]}
            )
        connection.execute(text("CREATE TABLE opportunity (patient_id INTEGER, stage TEXT)"))
        opened = text("INSERT INTO opportunity SELECT id, 'New' FROM patient WHERE ecw_id = :id")
        connection.execute(opened, {"id": practice[8]})
    where = {"intake": ["open", "waiting"], "opportunity.stage": ["New"]}

    run = pulled(pull, intake_open=where)

    assert set(queried_patients(run)) >= {practice[5], practice[6], practice[8]}
    assert urgency.urgent(PullContext.of(run, pull.crm, Options(intake_open=where)))["intake"] == [
        *sorted([practice[5], practice[6]]),
        practice[8],
    ]


@on_sqlite
@pytest.mark.parametrize("place", ["stage", "opportunity.stage", "location.name"])
def test_an_intake_column_that_the_crm_does_not_have_is_refused(pull: Pulling, place: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'intake_open' names {place}, which the CRM does not have"):
        urgency.urgent(PullContext.of(run_of(pull), pull.crm, Options(intake_open={place: ["open"]})))


@on_sqlite
def test_the_summary_reports_the_age_of_each_group_without_ids(
    pull: Pulling, sandbox: RunningSandbox, practice: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    today = datetime(2026, 11, 22, 12, tzinfo=UTC)
    appoint(sandbox, practice[40], today + timedelta(days=1))
    pull.resource(run_of(pull), "encounter")
    run = pulled(pull)

    report = urgency.report(PullContext.of(run, pull.crm, Options()), now=datetime.fromisoformat(run["window_end"]))

    assert report.startswith("fetched longest ago, of patients with an appointment within 7 days (1): 0.0 h; ")
    assert re.search(r"anybody \(\d+\): 2\.0 h", report)
    caplog.set_level(logging.INFO)
    rows = steps.summary(run)
    assert "an appointment within 7 days (1): " in next(row["oldest"] for row in rows if row["resource"] == "insurance")
    assert "insurance: fetched longest ago, of patients with" in caplog.text
    assert not any(ecw_id in caplog.text for ecw_id in practice)


@on_sqlite
def test_the_insurance_of_patients_with_an_appointment_tomorrow_is_fetched_in_every_run(
    pull: Pulling, sandbox: RunningSandbox, practice: list[str]
) -> None:
    today = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for patient in practice[10:30]:
        appoint(sandbox, patient, today + timedelta(days=1))
    pull.resource(run_of(pull), "encounter")

    for _ in range(3):
        run = pulled(pull)
        checked = pull.rows("SELECT patient, checked_at FROM ecw_checked WHERE resource = 'insurance'")
        checked_at = [str(row["checked_at"])[:16] for row in checked if row["patient"] in practice[10:30]]
        assert checked_at == [run["window_end"][:16].replace("T", " ")] * 20


def context_of(
    known_ids: FixedIds, name: str, start: str | None = None, end: str = "2026-11-22T10:00:00+00:00", **more: Any
) -> ExtractContext:
    return replace(extract_context("Coverage", known_ids, start, end), resource=Resource(name, "Coverage", ()), **more)


def test_an_initial_sync_begins_with_the_urgent_patients() -> None:
    known_ids = FixedIds({"patient": ["a", "b", "c", "d"]}, urgent_patients=["d", "elsewhere", "c"])

    [first] = rounds("per_patient", context_of(known_ids, "insurance", max_patients=3))

    assert [each["patient"] for each in params(first)] == ["d", "c", "a"]


def test_of_too_many_urgent_patients_the_first_are_queried_and_only_for_insurance() -> None:
    known_ids = FixedIds({"patient": []}, urgent_patients=["d", "c", "b"])
    window = ("2026-11-22T08:00:00+00:00", "2026-11-22T10:00:00+00:00")

    first, *_ = rounds("per_patient", context_of(known_ids, "insurance", *window, urgent=2))
    assert [each["patient"] for each in params(first)] == ["d", "c"]
    first, *_ = rounds("per_patient", context_of(known_ids, "encounter", *window))
    assert params(first) == []
