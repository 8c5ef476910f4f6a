"""When the pull runs and what it pulls: settings that need no code."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecw.errors import ConfigurationError
from ecw.resources import RESOURCES
from ecw.settings import schedule


@pytest.mark.parametrize(
    ("written", "shortest", "longest"),
    [
        (None, 2, 2),
        ("", 2, 2),
        ("0 */2 * * *", 2, 2),
        ("@hourly", 1, 1),
        ("*/15 * * * *", 0.25, 0.25),
        ("0 8-18/2 * * 1-5", 2, 14 + 48),
        ("0 */5 * * *", 4, 5),
    ],
)
def test_the_time_between_runs_follows_from_the_cron(written: str | None, shortest: float, longest: float) -> None:
    assert schedule.gaps(schedule.checked(written)) == (timedelta(hours=shortest), timedelta(hours=longest))


@pytest.mark.parametrize("written", ["0 */2 * *", "61 * * * *", "@once", "@continuous", "two", "0 0 * * * *", 5])
def test_a_wrong_cron_is_refused_with_the_next_step(written: object) -> None:
    with pytest.raises(ConfigurationError, match="not a cron expression of five fields") as error:
        schedule.checked(written)
    assert "Admin > Variables" in error.value.next_step


def test_the_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", " 5 * * * * ")
    assert schedule.cron() == schedule.cron_of_dag() == "5 * * * *"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("all", list(RESOURCES)),
        ("insurance, patient", ["patient", "insurance"]),
        ('["encounter"]', ["encounter"]),
        ("location\npractitioner", ["practitioner", "location"]),
    ],
)
def test_what_the_schedule_pulls_is_a_list_of_names(
    monkeypatch: pytest.MonkeyPatch, written: str, expected: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", written)
    assert schedule.resources() == expected


def test_a_wrong_resource_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "patient, insurence")
    with pytest.raises(ConfigurationError, match=r"ecw_pull_resources: There is no resource 'insurence'.*'insurance'"):
        schedule.resources()
