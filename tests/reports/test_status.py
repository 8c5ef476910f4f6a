from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from ecw.crm.state import runs
from ecw.errors import ConfigurationError
from ecw.models import Counts
from ecw.reports.status import ResourceStatus, status
from tests.fixtures.loads import a_reject, a_row, a_run, load


def of_location(engine: Engine, after: timedelta = timedelta()) -> ResourceStatus:
    [found] = [one for one in status(engine, now=datetime.now(UTC) + after) if one.resource == "location"]
    return found


def test_before_the_first_run_the_next_step_is_to_start_one(crm_engine: Engine) -> None:
    found = status(crm_engine)
    assert {"practitioner", "location"} <= {one.resource for one in found}
    assert {one.state for one in found} == {"never"}
    assert all(one.next_step == "unpause the DAG ecw_pull and trigger it." for one in found)


def test_a_loaded_run_shows_its_counts_and_no_next_step(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")], [a_reject("b")])
    found = of_location(crm_engine)
    assert (found.practice, found.state, found.run_id, found.next_step) == ("P1", "loaded", "r1", None)
    assert found.numbers == Counts(fetched=2, rejected=1, inserted=1)
    assert (found.links, found.open_rejects, found.calls) == (1, 1, 3)
    assert found.reasons == {"map required name": 1}
    assert found.cursor == datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert found.age is not None
    assert timedelta() <= found.age < timedelta(minutes=5)


def test_a_failed_run_shows_its_next_step_and_the_age_of_the_last_load(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    runs.begin(crm_engine, a_run("r2"), ["location"])
    runs.fail(crm_engine, a_run("r2"), "location", ConfigurationError("No key.", next_step="add one."))
    found = of_location(crm_engine)
    assert (found.state, found.numbers) == ("failed", None)
    assert found.loaded_at is not None
    assert found.next_step == "the run r2 failed: ConfigurationError: No key. Next (data engineer): add one."


def test_an_unexpected_error_refers_to_the_log(crm_engine: Engine) -> None:
    runs.fail(crm_engine, a_run("r2"), "location", KeyError("x"))
    assert of_location(crm_engine).next_step == "the run r2 failed: KeyError; read the log of its task in Airflow."


def test_a_run_that_never_ended_is_dead_after_six_hours(crm_engine: Engine) -> None:
    runs.begin(crm_engine, a_run("r1"), ["location"])
    assert of_location(crm_engine).state == "running"
    dead = of_location(crm_engine, after=timedelta(hours=7))
    assert dead.state == "dead"
    assert dead.next_step == "the run r1 began and never ended: read the logs of its tasks in Airflow, and clear it."


def test_a_resource_without_a_load_for_three_intervals_is_reported(crm_engine: Engine) -> None:
    load(crm_engine, [a_row("a")])
    assert of_location(crm_engine, after=timedelta(hours=5)).next_step is None
    assert "for three intervals" in (of_location(crm_engine, after=timedelta(hours=7)).next_step or "")
