"""The rows of ecw_run: a run that begins, loads, fails, or waits for another one."""

import pytest
from sqlalchemy import Engine

from ecw.crm.state import runs
from ecw.errors import ConcurrentRun, ConfigurationError
from ecw.models import Counts
from tests.fixtures.loads import a_row, a_run, everything, load


def states(engine: Engine) -> dict[str, tuple[str, str | None]]:
    return {row["resource"]: (row["state"], row["error"]) for row in everything(engine)["ecw_run"]}


def test_a_run_is_recorded_when_it_begins(crm_engine: Engine) -> None:
    runs.begin(crm_engine, a_run(), ["practitioner", "location"])
    assert states(crm_engine) == {"practitioner": ("running", None), "location": ("running", None)}
    assert runs.numbers(crm_engine, a_run(), "location") is None


def test_a_loaded_run_has_its_counts(crm_engine: Engine) -> None:
    runs.begin(crm_engine, a_run(), ["location"])
    load(crm_engine, [a_row("a")])
    assert states(crm_engine) == {"location": ("loaded", None)}
    assert runs.numbers(crm_engine, a_run(), "location") == Counts(fetched=1, inserted=1)


def test_a_run_that_begins_again_and_loads_the_same_batch_is_loaded_again(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    runs.begin(crm_engine, a_run(), ["location"])
    assert states(crm_engine) == {"location": ("running", None)}
    assert load(crm_engine, [a_row("a")]) == Counts(fetched=1, inserted=1)
    assert states(crm_engine) == {"location": ("loaded", None)}


def test_a_failure_stores_the_message_of_the_projects_errors_and_only_the_class_of_others(crm_engine: Engine) -> None:
    runs.begin(crm_engine, a_run(), ["location", "practitioner"])
    runs.fail(crm_engine, a_run(), "location", ConfigurationError("No key.", next_step="add one."))
    runs.fail(crm_engine, a_run(), "practitioner", KeyError("a patient's name"))
    assert states(crm_engine) == {
        "location": ("failed", "ConfigurationError: No key. Next (data engineer): add one."),
        "practitioner": ("failed", "KeyError"),
    }


def test_a_failure_before_the_run_could_begin_is_recorded_too(crm_engine: Engine) -> None:
    runs.fail(crm_engine, a_run(), "location", KeyError("x"))
    assert states(crm_engine) == {"location": ("failed", "KeyError")}


def test_a_failure_after_the_load_leaves_the_resource_loaded(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    runs.fail(crm_engine, a_run(), "location", KeyError("x"))
    assert states(crm_engine) == {"location": ("loaded", None)}


def test_a_run_is_refused_while_another_run_pulls_the_practice(crm_engine: Engine) -> None:
    """Airflow reports whether the other run still runs; a run that was killed does not block."""
    runs.begin(crm_engine, a_run("first"), ["location"])
    checked_runs: list[str] = []

    def still_runs(run_id: str) -> bool:
        checked_runs.append(run_id)
        return True

    with pytest.raises(ConcurrentRun, match="The run first pulls this practice"):
        runs.begin(crm_engine, a_run("second"), ["location"], goes_on=still_runs)
    assert checked_runs == ["first"]
    assert {row["run_id"] for row in everything(crm_engine)["ecw_run"]} == {"first"}

    runs.begin(crm_engine, a_run("first"), ["location"], goes_on=still_runs)  # begun again, it does not wait for itself
    runs.begin(crm_engine, a_run("killed"), ["location"], goes_on=lambda run_id: False)
    load(crm_engine, [a_row("a")], run=a_run("first"))
    load(crm_engine, [a_row("a")], run=a_run("killed"))
    runs.begin(crm_engine, a_run("backfill", run_type="backfill"), ["location"])
    runs.begin(crm_engine, a_run("second"), ["location"], goes_on=still_runs)
    assert checked_runs == ["first"]
