"""A resource whose searches need the records of another resource fails if those were never fetched."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ecw.errors import EcwError, PrerequisiteMissing
from ecw.models import Run
from ecw.pull import steps
from ecw.staging import batch_file, filesystem
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

pytestmark = on_sqlite


def assert_refused(pull: Pulling, run: Run, resource: str, message: str) -> None:
    with pytest.raises(PrerequisiteMissing, match=message):
        pull.resource(run, resource)
    assert pull.rows(f"SELECT * FROM ecw_cursor WHERE resource = '{resource}'") == []  # noqa: S608 - names from below


@pytest.mark.parametrize(("resource", "depends_on"), [("encounter", "practitioner"), ("insurance", "patient")])
def test_a_first_run_fails_without_the_records_that_its_searches_need_and_works_with_them(
    pull: Pulling, sandbox: RunningSandbox, resource: str, depends_on: str
) -> None:
    run = pull.begin("manual", options={"resources": [resource]})
    assert_refused(
        pull,
        run,
        resource,
        f"needs the {depends_on} records, and those were never pulled.*pull {depends_on} too",
    )

    assert pull(depends_on, resource)[resource]["fetched"] > 100


def test_records_that_were_pulled_by_id_do_not_count_as_all(pull: Pulling, sandbox: RunningSandbox) -> None:
    one = sandbox.records("Practitioner")[0]["id"]
    pull.resource(pull.begin("manual", options={"ids": {"practitioner": [one]}}), "practitioner")

    run = pull.begin("manual", options={"resources": ["encounter"]})

    assert_refused(pull, run, "encounter", "were never pulled")


def test_a_run_with_its_own_window_needs_them_too(pull: Pulling) -> None:
    since = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    run = pull.begin("manual", options={"resources": ["encounter"], "since": since})

    assert_refused(pull, run, "encounter", "were never pulled")


def test_a_practice_without_practitioners_has_no_encounters_and_does_not_fail(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    sandbox.delete_all("Practitioner")
    pull("practitioner")

    for _ in range(2):
        run = pull.begin("manual", options={"resources": ["encounter"]})
        assert pull.resource(run, "encounter")["fetched"] == 0


def test_a_dry_run_fails_if_its_practitioners_failed(pull: Pulling, sandbox: RunningSandbox) -> None:
    run = pull.begin("manual", options={"resources": ["practitioner", "encounter"], "dry_run": True})
    sandbox.fault("gone", resource="Practitioner")
    with pytest.raises(EcwError):
        pull.resource(run, "practitioner")

    assert_refused(pull, run, "encounter", "those did not load in this run")

    sandbox.clear_faults()
    pull.resource(run, "practitioner")
    assert pull.resource(run, "encounter")["fetched"] > 100


def test_a_backfill_run_does_not_fetch_encounters_without_its_practitioners(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    run = pull.begin("backfill", options={"resources": ["practitioner", "encounter"]})
    sandbox.fault("gone", resource="Practitioner")
    with pytest.raises(EcwError):
        pull.resource(run, "practitioner")
    assert_refused(pull, run, "encounter", "those did not load in this run")

    sandbox.clear_faults()
    second = pull.begin("backfill", options={"resources": ["practitioner", "encounter"]})
    for resource in ("practitioner", "encounter"):
        pull.resource(second, resource)
    again = pull.begin("backfill", run_id=run["run_id"], options={"resources": ["practitioner", "encounter"]})
    pull.resource(again, "encounter")  # the second run has loaded the practitioners


def begin_with_a_refused_search(pull: Pulling) -> Run:
    """Begin an initial sync whose first search, a list of encounters without parameters, eCW refuses."""
    options = {"resources": ["encounter"], "max_concurrency": 1, "initial_sync_minutes": 1}
    run = pull.begin("manual", options=options)
    path = filesystem.join(run["staging"], "plan.json")
    planned = batch_file.read_json(path)
    assert planned["resources"]["encounter"]["strategies"] == ["schedule", "per_patient"]
    planned["resources"]["encounter"]["strategies"][0] = "list"
    batch_file.write_json(path, planned)
    return run


def test_the_strategy_after_a_refused_search_needs_its_records_and_keeps_the_limit(pull: Pulling) -> None:
    assert_refused(pull, begin_with_a_refused_search(pull), "encounter", "needs the patient records")
    pull("patient")

    batch = steps.extract(begin_with_a_refused_search(pull), "encounter")

    assert (batch.get("strategy"), batch.get("patients_queried")) == ("per_patient", 17)
