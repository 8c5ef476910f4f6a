"""A load tells its asset what it changed; Airflow's own accessors keep the events."""

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


def told(batch: Batch) -> list[tuple[str, dict[str, Any]]]:
    """Load a batch; return what was told about which asset."""
    events = OutletEventAccessors()
    assets.load(batch, events)
    return [(event.dest_asset_key.name, event.extra) for alias in events for event in events[alias].asset_alias_events]


def checked(pull: Pulling, resource: str = "location") -> Batch:
    return steps.check(steps.map(steps.extract(pull.begin(), resource)))


@pytest.mark.large_practice
def test_what_changed_is_reported_and_nothing_changed_is_not(pull: Pulling, sandbox: RunningSandbox) -> None:
    first = checked(pull)
    counts = {"inserted": 12, "updated": 0, "rejected": 0}
    assert told(first) == [
        ("ecw_location__test", {"practice": sandbox.practice, "run_id": first["run"]["run_id"], **counts})
    ]
    assert told(checked(pull)) == []

    sandbox.put({**sandbox.records("Location")[3], "name": "Harbour House"})
    [(_, extra)] = told(checked(pull))
    assert (extra["inserted"], extra["updated"]) == (0, 1)


def test_marks_are_told_too(pull: Pulling, sandbox: RunningSandbox) -> None:
    steps.load(checked(pull, "patient"))
    merged, deleted = [each for each in sandbox.records("Patient") if not what_became(each)][:2]

    sandbox.put({**merged, "link": [{"type": "replaced-by", "other": {"reference": "Patient/other"}}]})
    [(name, extra)] = told(checked(pull, "patient"))
    assert (name, extra["updated"]) == ("ecw_patient__test", 1)

    sandbox.delete("Patient", deleted["id"])
    batch = checked(pull, "patient")
    for _ in range(2):  # the second time as if the first one's answer had been lost
        [(name, extra)] = told(batch)
        assert (name, extra["updated"], extra["rejected"]) == ("ecw_patient__test", 0, 1)
    assert told(checked(pull, "patient")) == []


@pytest.mark.large_practice
def test_a_load_that_was_killed_after_its_commit_tells_when_it_is_tried_again(pull: Pulling) -> None:
    batch = checked(pull)
    steps.load(batch)
    [(name, extra)] = told(batch)
    assert (name, extra["inserted"]) == ("ecw_location__test", 12)


def test_the_numbers_of_a_dry_run_are_told_to_nobody(pull: Pulling) -> None:
    batch = checked(pull)
    rows = [a_row("l1")]
    one = {**batch, "count": 1, "fetched": 1}
    found = load_rows(pull.crm, batch["run"], one, LOCATION, rows, [], dry_run=True)  # type: ignore[arg-type]
    assert found.inserted == 1
    assert not assets._has_changed(batch, {"inserted": 1, "updated": 0, "rejected": 0})
