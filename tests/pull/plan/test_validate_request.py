"""A form with fields that contradict each other is refused with the reason."""

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


def test_without_chosen_resources_a_run_pulls_those_of_the_schedule() -> None:
    assert resources() == list(RESOURCES)
    assert resources(usual=["location"]) == ["location"]
    assert resources(usual=["location"], resources=["insurance"]) == ["insurance"]


def test_a_run_of_patients_pulls_only_resources_that_belong_to_patients() -> None:
    assert resources(mode="patients", patients=["4711"]) == ["patient", "insurance", "encounter"]
    assert resources(mode="schedule", practitioners=["x"], usual=["patient", "encounter"]) == ["patient", "encounter"]
    assert resources(ids={"location": ["x"]}, usual=["patient"]) == ["location"]
    assert resources(ids={"patient": ["x"]}, usual=["insurance"]) == ["patient", "insurance"]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"mode": "patients"}, "Only these patients is empty, and the mode is patients"),
        ({"patients": ["4711"]}, "Only these patients is filled in, and the mode is changes: choose the mode patients"),
        ({"mode": "schedule"}, "Practitioners is empty"),
        ({"mode": "full", "practitioners": ["x"]}, "Practitioners is filled in, and the mode is full"),
        (
            {"mode": "patients", "patients": ["1"], "resources": ["location"]},
            "location under Resources do not belong to patients",
        ),
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
def test_a_wrong_form_is_refused(form: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as error:
        resources(**form)
    assert str(error.value).startswith("The form is refused: ")
    assert "4711" not in str(error.value)


def test_all_errors_of_a_form_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"Practitioners is empty.*Until is not after From"):
        resources(mode="schedule", since="2026-11-02T00:00:00Z", until="2026-11-01T00:00:00Z")


def test_a_backfill_refuses_a_window_in_its_form() -> None:
    assert resources("backfill", resources=["encounter"]) == ["encounter"]
    with pytest.raises(ConfigurationError, match="a backfill covers its intervals"):
        resources("backfill", since="2026-11-01T00:00:00Z")


def test_a_strategy_in_the_connection_does_not_contradict_the_form() -> None:
    connection = {"strategies": {"patient": "bulk"}}
    form = {"mode": "patients", "patients": ["4711"]}
    request = settled(Options.read(connection, form), Options.read(form), "manual", list(RESOURCES), now=NOW)
    assert request.resources == ["patient", "insurance", "encounter"]


def test_the_window_of_a_schedule_is_the_forms_or_the_default() -> None:
    default = window_of(Options(mode="schedule", practitioners=["x"]), NOW)
    chosen = window_of(Options(mode="schedule", practitioners=["x"], since="2026-11-24T00:00:00-05:00"), NOW)

    assert default == ("2026-10-23T10:00:00+00:00", "2027-05-21T10:00:00+00:00")
    assert chosen == ("2026-11-24T05:00:00+00:00", "2027-05-21T10:00:00+00:00")


def test_a_run_of_a_schedule_needs_encounters_among_the_scheduled_or_chosen_resources() -> None:
    with pytest.raises(ConfigurationError, match="the schedule does not pull encounter"):
        resources(mode="schedule", practitioners=["x"], usual=["patient", "insurance"])
    chosen = resources(mode="schedule", practitioners=["x"], usual=["patient"], resources=["encounter"])
    assert chosen == ["encounter"]
