"""What a strategy needs must have been fetched itself; else it is red, and fetched again."""

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


def refused(pull: Pulling, run: Run, resource: str, told: str) -> None:
    with pytest.raises(PrerequisiteMissing, match=told):
        pull.resource(run, resource)
    assert pull.rows(f"SELECT * FROM ecw_cursor WHERE resource = '{resource}'") == []  # noqa: S608 - names from below


@pytest.mark.parametrize(("resource", "depends_on"), [("encounter", "practitioner"), ("insurance", "patient")])
def test_a_first_look_by_what_was_never_pulled_is_red_and_comes_with_the_next_run(
    pull: Pulling, sandbox: RunningSandbox, resource: str, depends_on: str
) -> None:
    alone = pull.begin("manual", options={"resources": [resource]})
    refused(
        pull,
        alone,
        resource,
        f"needs the {depends_on} records, and those were never pulled.*pull {depends_on} too",
    )

    assert pull(depends_on, resource)[resource]["fetched"] > 100


def test_a_few_who_were_pulled_by_hand_are_not_everybody(pull: Pulling, sandbox: RunningSandbox) -> None:
    one = sandbox.records("Practitioner")[0]["id"]
    pull.resource(pull.begin("manual", options={"ids": {"practitioner": [one]}}), "practitioner")

    alone = pull.begin("manual", options={"resources": ["encounter"]})

    refused(pull, alone, "encounter", "were never pulled")


def test_a_window_of_ones_own_needs_them_too(pull: Pulling) -> None:
    since = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    run = pull.begin("manual", options={"resources": ["encounter"], "since": since})

    refused(pull, run, "encounter", "were never pulled")


def test_a_practice_without_any_is_green(pull: Pulling, sandbox: RunningSandbox) -> None:
    sandbox.delete_all("Practitioner")
    pull("practitioner")

    for _ in range(2):
        run = pull.begin("manual", options={"resources": ["encounter"]})
        assert pull.resource(run, "encounter")["fetched"] == 0


def test_a_dry_run_whose_practitioners_failed_says_so(pull: Pulling, sandbox: RunningSandbox) -> None:
    run = pull.begin("manual", options={"resources": ["practitioner", "encounter"], "dry_run": True})
    sandbox.fault("gone", resource="Practitioner")
    with pytest.raises(EcwError):
        pull.resource(run, "practitioner")

    refused(pull, run, "encounter", "those did not load in this run")

    sandbox.clear_faults()
    pull.resource(run, "practitioner")
    assert pull.resource(run, "encounter")["fetched"] > 100


def test_a_backfills_interval_is_not_fetched_without_its_practitioners(pull: Pulling, sandbox: RunningSandbox) -> None:
    run = pull.begin("backfill", options={"resources": ["practitioner", "encounter"]})
    sandbox.fault("gone", resource="Practitioner")
    with pytest.raises(EcwError):
        pull.resource(run, "practitioner")
    refused(pull, run, "encounter", "those did not load in this run")

    sandbox.clear_faults()
    second = pull.begin("backfill", options={"resources": ["practitioner", "encounter"]})
    for resource in ("practitioner", "encounter"):
        pull.resource(second, resource)
    again = pull.begin("backfill", run_id=run["run_id"], options={"resources": ["practitioner", "encounter"]})
    pull.resource(again, "encounter")  # the practitioners are the second run's


def begun_with_a_refused_search(pull: Pulling) -> Run:
    """Begin a first look whose first search eCW refuses: a bare list of appointments."""
    options = {"resources": ["encounter"], "max_concurrency": 1, "initial_sync_minutes": 1}
    run = pull.begin("manual", options=options)
    path = filesystem.join(run["staging"], "plan.json")
    planned = batch_file.read_json(path)
    assert planned["resources"]["encounter"]["strategies"] == ["schedule", "per_patient"]
    planned["resources"]["encounter"]["strategies"][0] = "list"
    batch_file.write_json(path, planned)
    return run


def test_who_is_asked_instead_of_a_refused_search_is_known_and_bounded(pull: Pulling) -> None:
    refused(pull, begun_with_a_refused_search(pull), "encounter", "needs the patient records")
    pull("patient")

    batch = steps.extract(begun_with_a_refused_search(pull), "encounter")

    assert (batch.get("strategy"), batch.get("patients_queried")) == ("per_patient", 17)
