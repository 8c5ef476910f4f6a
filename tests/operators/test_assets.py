"""A load emits an asset event with its counts if it changed anything; Airflow's own accessors collect the events."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from ecw.models import Batch
from ecw.operators import assets
from ecw.pull import steps
from ecw.pull.map_records import what_became
from tests.fixtures.loads import LOCATION, a_row, load_rows
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox


def load_events(batch: Batch) -> list[tuple[str, dict[str, Any]]]:
    """Load a batch; return the name and the extra of each asset event."""
    events = OutletEventAccessors()
    assets.load(batch, events)
    return [(event.dest_asset_key.name, event.extra) for alias in events for event in events[alias].asset_alias_events]


def checked(pull: Pulling, resource: str = "location") -> Batch:
    return steps.check(steps.map(steps.extract(pull.begin(), resource)))


@pytest.mark.large_practice
def test_a_load_that_changes_rows_emits_an_event_and_one_that_changes_none_does_not(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    first = checked(pull)
    counts = {"inserted": 12, "updated": 0, "rejected": 0}
    assert load_events(first) == [
        ("ecw_location__test", {"practice": sandbox.practice, "run_id": first["run"]["run_id"], **counts})
    ]
    assert load_events(checked(pull)) == []

    sandbox.put({**sandbox.records("Location")[3], "name": "Harbour House"})
    [(_, extra)] = load_events(checked(pull))
    assert (extra["inserted"], extra["updated"]) == (0, 1)


def test_a_load_that_only_marks_rows_emits_an_event(pull: Pulling, sandbox: RunningSandbox) -> None:
    steps.load(checked(pull, "patient"))
    merged, deleted = [each for each in sandbox.records("Patient") if not what_became(each)][:2]

    sandbox.put({**merged, "link": [{"type": "replaced-by", "other": {"reference": "Patient/other"}}]})
    [(name, extra)] = load_events(checked(pull, "patient"))
    assert (name, extra["updated"]) == ("ecw_patient__test", 1)

    sandbox.delete("Patient", deleted["id"])
    batch = checked(pull, "patient")
    for _ in range(2):  # the second time as a retry after a lost connection
        [(name, extra)] = load_events(batch)
        assert (name, extra["updated"], extra["rejected"]) == ("ecw_patient__test", 0, 1)
    assert load_events(checked(pull, "patient")) == []


@pytest.mark.large_practice
def test_the_retry_of_a_load_that_was_killed_after_its_commit_emits_the_event(pull: Pulling) -> None:
    batch = checked(pull)
    steps.load(batch)
    [(name, extra)] = load_events(batch)
    assert (name, extra["inserted"]) == ("ecw_location__test", 12)


def test_a_dry_run_emits_no_event(pull: Pulling) -> None:
    batch = checked(pull)
    rows = [a_row("l1")]
    one = {**batch, "count": 1, "fetched": 1}
    found = load_rows(pull.crm, batch["run"], one, LOCATION, rows, [], dry_run=True)  # type: ignore[arg-type]
    assert found.inserted == 1
    assert not assets._has_changed(batch, {"inserted": 1, "updated": 0, "rejected": 0})
