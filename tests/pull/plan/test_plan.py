"""A run logs the cost of its plan before its first search, and does not begin if the plan takes too long."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from ecw.crm.state import run_history
from ecw.errors import ConfigurationError, PlanExceedsInterval
from ecw.pull import inline_run, run_plan, steps
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

UPCOMING = (
    "SELECT count(DISTINCT patient) AS n FROM encounter WHERE start_time >= '2026-11-22 03:00+00' AND "
    "start_time < '2026-11-29 03:00+00' AND status NOT IN ('cancelled', 'entered-in-error', 'finished')"
)
ALL = ("practitioner", "location", "patient", "insurance", "encounter")


def strategies(pull: Pulling, **options: Any) -> dict[str, str]:
    made = run_plan.of(pull.begin(options=options))
    return {name: line["strategies"][0] for name, line in made["resources"].items()}


def test_the_capability_statement_decides_the_strategies(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    assert strategies(pull) == {
        "practitioner": "list",
        "location": "list",
        "patient": "name_sweep",
        "insurance": "per_patient",
        "encounter": "schedule",
    }
    assert (
        "patient: strategy name_sweep (the server does not declare what last_updated needs _lastUpdated)" in caplog.text
    )

    sandbox.set(profile="fhir")
    assert set(strategies(pull).values()) == {"last_updated"}
    assert strategies(pull, strategies={"patient": "name_sweep"})["patient"] == "name_sweep"
    sandbox.set(profile="ecw", undeclared="Encounter.date")
    assert strategies(pull)["encounter"] == "per_patient"


def test_a_change_of_the_capability_statement_is_logged(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    pull.begin()
    assert "has changed" not in caplog.text

    sandbox.set(build="13.0.0", undeclared="Patient.phone")
    pull.begin()

    assert "The server has changed: software: eClinicalWorks 12.0.3 → eClinicalWorks 13.0.0." in caplog.messages
    assert "The server has changed: Patient: search parameter phone is gone." in caplog.messages


def test_the_calls_of_the_last_runs_are_the_estimate(pull: Pulling) -> None:
    first = run_plan.of(pull.begin())
    pull(*ALL)

    second = run_plan.of(pull.begin())

    calls = {name: line["calls"] for name, line in second["resources"].items()}
    made = {row["resource"]: row["calls"] for row in pull.rows("SELECT resource, calls FROM ecw_run WHERE calls > 0")}
    assert {name: calls[name] for name in ("practitioner", "location", "patient", "encounter")} == {
        name: made[name] for name in ("practitioner", "location", "patient", "encounter")
    }
    urgent = second["resources"]["insurance"]["urgent"]
    assert urgent == pull.rows(UPCOMING)[0]["n"] > 0
    assert calls["insurance"] == 10 + round(urgent * 11 / 12), "a twelfth of 120 patients, and the urgent ones"
    assert second["calls"] == sum(calls.values())
    assert [line["at_least"] for line in first["resources"].values()] == [True] * 5, "no number of records is known yet"
    assert [line["at_least"] for line in second["resources"].values()] == [False] * 5


def test_the_plan_of_a_first_run_names_the_numbers_that_are_not_known_yet(
    pull: Pulling, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ecw.pull.plan.make_plan")

    pull.begin()

    assert caplog.messages[-6:] == [
        "patient: strategy name_sweep (the server does not declare what last_updated needs _lastUpdated), "
        "36 calls or more: the number of Patient records is not known yet.",
        "insurance: strategy per_patient (the server does not declare what last_updated needs _lastUpdated), "
        "0 calls or more: the number of Patient records is not known yet.",
        "insurance: the initial sync queries at most 2743 patients in this run, the last changed first.",
        "insurance: every patient is queried within 24 hours.",
        "encounter: strategy schedule (the server does not declare what last_updated needs _lastUpdated), "
        "1 calls or more: the number of Practitioner records is not known yet.",
        "The run needs 39 calls or more; its duration is not known yet.",
    ]
    pull(*ALL)
    caplog.clear()
    pull.begin()
    assert "not known yet" not in caplog.text
    assert re.fullmatch(r"The run needs about \d+ calls, \d+ minutes\.", caplog.messages[-1])


def test_a_plan_that_exceeds_the_interval_is_refused(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*ALL)
    short = {"every_minutes": 1, "max_concurrency": 1, "full": True}

    with pytest.raises(
        PlanExceedsInterval, match=r"the next one begins after 1. The largest part is insurance: 120 calls"
    ) as error:
        pull.begin(options=short)

    assert "ignore_time_budget" in error.value.next_step
    assert sandbox.served("search", "Coverage") == 120, "only the searches of the first run"
    assert run_plan.of(pull.begin(options={**short, "ignore_time_budget": True}))["minutes"] > 1


def test_after_an_outage_a_run_takes_as_many_turns_as_its_calls_allow(
    pull: Pulling, caplog: pytest.LogCaptureFixture
) -> None:
    pull(*ALL)
    pull.run_count += 5  # an outage: every turn is due
    short = {"every_minutes": 15, "max_concurrency": 1, "full_cycle_hours": 1}

    made = run_plan.of(pull.begin(options=short))

    turns = re.search(r"insurance: the run's calls suffice for (\d) of 4 turns that are due", caplog.text)
    assert turns, caplog.text
    line = made["resources"]["insurance"]
    assert line["calls"] == 30 * int(turns[1]) + round(line["urgent"] * (1 - int(turns[1]) / 4))
    assert made["minutes"] <= 15
    assert "the others follow within 1 hours" in caplog.text


def test_a_run_of_one_patient_moves_no_cursor_and_changes_no_estimate(pull: Pulling, sandbox: RunningSandbox) -> None:
    pull(*ALL)
    before = pull.rows("SELECT resource, position FROM ecw_cursor ORDER BY resource")
    patient = sandbox.records("Coverage")[0]["beneficiary"]["reference"].removeprefix("Patient/")

    run = pull.begin("manual", options={"ids": {"patient": [patient]}})
    fetched = {name: numbers["fetched"] for name, numbers in inline_run.pull(run).items()}

    record_counts = {
        kind: sum(patient in str(record.get(element)) for record in sandbox.records(kind))
        for kind, element in {"Coverage": "beneficiary", "Encounter": "subject"}.items()
    }
    assert fetched == {
        "patient": 1,
        "insurance": record_counts["Coverage"],
        "encounter": record_counts["Encounter"],
    }
    assert pull.rows("SELECT resource, position FROM ecw_cursor ORDER BY resource") == before, (
        "the cursors have not moved"
    )
    following = pull.begin()
    assert run_history.fetched_before(pull.crm, following, "patient") == 120, "the count of the last full run"
    expected = {name: line["calls"] for name, line in run_plan.of(following)["resources"].items()}
    assert (expected["location"] > 0, expected["patient"] > 26) == (True, True), "not the few calls for one patient"


@on_sqlite
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategies": {"patient": "name_swep"}}, "did you mean 'name_sweep'"),
        ({"strategies": {"pateint": "list"}}, "There is no resource 'pateint'"),
        ({"strategies": {"encounter": "last_updated"}}, "_lastUpdated, which the server does not declare"),
    ],
)
def test_wrong_options_are_refused_before_the_run_is_recorded(
    pull: Pulling, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        pull.begin(options=options)

    assert pull.rows("SELECT * FROM ecw_run") == []


def test_an_initial_sync_queries_the_newest_patients_first_and_the_others_in_later_runs(
    pull: Pulling, sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """17 calls in a minute, 120 patients, and a cycle of four runs."""
    options = {"max_concurrency": 1, "initial_sync_minutes": 1, "every_minutes": 60, "full_cycle_hours": 4}
    first = pull.begin(options=options)
    loaded = {name: pull.resource(first, name) for name in ALL}

    newest = pull.rows(
        "SELECT ecw_id FROM ecw_link WHERE resource = 'patient' "
        "ORDER BY (CASE WHEN status IS NULL THEN 0 ELSE 1 END), source_version DESC, ecw_id LIMIT 17"
    )
    covered = [record["beneficiary"]["reference"].removeprefix("Patient/") for record in sandbox.records("Coverage")]
    assert loaded["patient"]["inserted"] == 120
    assert loaded["insurance"]["fetched"] == sum(covered.count(row["ecw_id"]) for row in newest)
    assert sandbox.served("search", "Coverage") == 17
    message = "17 patients were queried, the last changed first; the next runs query the other 103, by"
    assert f"insurance: {message} 2026-11-22 05:00Z." in caplog.messages
    [row] = [row for row in steps.summary(first) if row["resource"] == "insurance"]
    assert row["next"] == "nothing to do: the next runs query the other 103 patients, by 2026-11-22 05:00Z."

    for _ in range(4):
        run = pull.begin(options=options)
        pull.resource(run, "insurance")
        assert all(row["next"] == "" for row in steps.summary(run) if row["resource"] == "insurance")
    assert pull.rows("SELECT COUNT(*) AS n FROM insurance") == [{"n": len(covered)}]


@pytest.mark.parametrize("without_limit", [{"full": True, "ignore_time_budget": True}, {"ignore_time_budget": True}])
def test_an_initial_sync_that_ignores_the_time_budget_queries_every_patient(
    pull: Pulling, without_limit: dict[str, bool]
) -> None:
    line = run_plan.of(pull.begin(options={"max_concurrency": 1, "initial_sync_minutes": 1, **without_limit}))[
        "resources"
    ]["insurance"]
    assert line["max_patients"] is None
