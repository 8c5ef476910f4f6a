"""A form that makes no sense is refused with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ecw.errors import ConfigurationError
from ecw.pull.plan.validate_request import settled, window_of
from ecw.resources import RESOURCES
from ecw.settings.pull import Options

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def resources(run_type: str = "manual", usual: list[str] | None = None, **form: Any) -> list[str]:
    options = Options.read(form)
    return settled(options, options, run_type, usual or list(RESOURCES), now=NOW).resources


def test_nothing_chosen_is_what_the_schedule_pulls() -> None:
    assert resources() == list(RESOURCES)
    assert resources(usual=["location"]) == ["location"]
    assert resources(usual=["location"], resources=["insurance"]) == ["insurance"]


def test_a_run_about_patients_is_about_what_is_of_patients() -> None:
    assert resources(mode="patients", patients=["4711"]) == ["patient", "insurance", "encounter"]
    assert resources(mode="schedule", practitioners=["x"], usual=["patient", "encounter"]) == ["patient", "encounter"]
    assert resources(ids={"location": ["x"]}, usual=["patient"]) == ["location"]
    assert resources(ids={"patient": ["x"]}, usual=["insurance"]) == ["patient", "insurance"]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"mode": "patients"}, "Only these patients is empty, and the mode is patients"),
        ({"patients": ["4711"]}, "Only these patients is filled in, and the mode is changes: choose the mode patients"),
        ({"mode": "schedule"}, "Practitioners is empty"),
        ({"mode": "full", "practitioners": ["x"]}, "Practitioners is filled in, and the mode is full"),
        ({"mode": "patients", "patients": ["1"], "resources": ["location"]}, "location under Resources are not of"),
        (
            {"mode": "schedule", "practitioners": ["x"], "resources": ["patient"]},
            "encounter is not among the Resources",
        ),
        (
            {"mode": "patients", "patients": ["1"], "strategy_patient": "bulk"},
            "a strategy is chosen, and the mode is patients",
        ),
        (
            {"resources": ["location"], "strategy_patient": "bulk"},
            "a strategy is chosen for patient, which is not among the Resources",
        ),
        ({"mode": "full", "since": "2026-11-01T00:00:00Z"}, "From and Until are for the modes changes and schedule"),
        ({"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}, "Until is not after From"),
        ({"since": "2026-11-02T00:00:00Z", "until": "2026-11-02T00:00:00Z"}, "Until is not after From"),
        ({"until": "2026-11-01T00:00:00Z"}, "Until needs From"),
        ({"since": "2026-11-23T00:00:00Z"}, "From is in the future"),
        ({"since": "2026-11-01T00:00:00Z", "until": "2026-11-23T00:00:00Z"}, "Until is in the future"),
        ({"since": "yesterday"}, "From is not a date and time"),
        ({"since": "2026-11-01T00:00:00"}, "From has no time zone"),
    ],
)
def test_a_wrong_form_is_refused(form: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as error:
        resources(**form)
    assert str(error.value).startswith("The form is refused: ")
    assert "4711" not in str(error.value)


def test_everything_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"Practitioners is empty.*Until is not after From"):
        resources(mode="schedule", since="2026-11-02T00:00:00Z", until="2026-11-01T00:00:00Z")


def test_a_backfill_takes_no_window_of_its_own() -> None:
    assert resources("backfill", resources=["encounter"]) == ["encounter"]
    with pytest.raises(ConfigurationError, match="a backfill covers its intervals"):
        resources("backfill", since="2026-11-01T00:00:00Z")


def test_what_the_connection_says_is_not_held_against_the_form() -> None:
    connection = {"strategies": {"patient": "bulk"}}
    form = {"mode": "patients", "patients": ["4711"]}
    found = settled(Options.read(connection, form), Options.read(form), "manual", list(RESOURCES), now=NOW)
    assert found.resources == ["patient", "insurance", "encounter"]


def test_a_schedules_window_is_the_forms_or_as_far_as_usual() -> None:
    usual = window_of(Options(mode="schedule", practitioners=["x"]), NOW)
    asked = window_of(Options(mode="schedule", practitioners=["x"], since="2026-11-24T00:00:00-05:00"), NOW)

    assert usual == ("2026-10-23T10:00:00+00:00", "2027-05-21T10:00:00+00:00")
    assert asked == ("2026-11-24T05:00:00+00:00", "2027-05-21T10:00:00+00:00")


def test_a_schedule_without_appointments_is_refused_also_where_nobody_chose_the_resources() -> None:
    with pytest.raises(ConfigurationError, match="the schedule does not pull encounter"):
        resources(mode="schedule", practitioners=["x"], usual=["patient", "insurance"])
    chosen = resources(mode="schedule", practitioners=["x"], usual=["patient"], resources=["encounter"])
    assert chosen == ["encounter"]
