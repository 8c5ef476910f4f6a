"""The schedule and the resources of the pull, from Variables."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ecw.errors import ConfigurationError
from ecw.resources import RESOURCES
from ecw.settings import schedule


@pytest.mark.parametrize(
    ("cron", "shortest", "longest"),
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
def test_the_time_between_runs_follows_from_the_cron(cron: str | None, shortest: float, longest: float) -> None:
    assert schedule.gaps(schedule.checked(cron)) == (timedelta(hours=shortest), timedelta(hours=longest))


@pytest.mark.parametrize("cron", ["0 */2 * *", "61 * * * *", "@once", "@continuous", "two", "0 0 * * * *", 5])
def test_a_wrong_cron_is_refused_with_the_next_step(cron: object) -> None:
    with pytest.raises(ConfigurationError, match="not a cron expression of five fields") as error:
        schedule.checked(cron)
    assert "Admin > Variables" in error.value.next_step


def test_the_cron_is_read_from_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_SCHEDULE", " 5 * * * * ")
    assert schedule.cron() == schedule.cron_of_dag() == "5 * * * *"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("all", list(RESOURCES)),
        ("insurance, patient", ["patient", "insurance"]),
        ('["encounter"]', ["encounter"]),
        ("location\npractitioner", ["practitioner", "location"]),
    ],
)
def test_the_resources_of_the_schedule_are_a_list_of_names(
    monkeypatch: pytest.MonkeyPatch, variable: str, expected: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", variable)
    assert schedule.resources() == expected


def test_a_wrong_resource_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ECW_PULL_RESOURCES", "patient, insurence")
    with pytest.raises(ConfigurationError, match=r"ecw_pull_resources: There is no resource 'insurence'.*'insurance'"):
        schedule.resources()
