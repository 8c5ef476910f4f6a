"""What a dry run tells beside what the same run does."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.pull import steps
from ecw.resources import RESOURCES
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.replay.test_steps import nameless


def numbers(pull: Pulling, *, dry_run: bool) -> dict[str, dict[str, Any]]:
    before = pull.run_count
    run = pull.begin(run_id=f"dry-{dry_run}", options={"dry_run": dry_run})
    pull.run_count = before  # both have the same window: who are due depends on it
    for name in RESOURCES:
        pull.resource(run, name)
    told = "fetched", "rejected", "inserted", "updated", "unchanged", "deferred", "deferred_loaded"
    return {row["resource"]: {name: row.get(name, 0) for name in told} for row in steps.summary(run)}


@pytest.mark.parametrize("before", [(), ("practitioner", "encounter")], ids=["first load", "rows wait for patients"])
@pytest.mark.large_practice
def test_a_dry_run_tells_what_the_run_then_does(
    pull: Pulling, sandbox: RunningSandbox, before: tuple[str, ...]
) -> None:
    if before:
        pull(*before)
    nameless(sandbox, 7)
    insured = sandbox.records("Coverage")[0]["beneficiary"]["reference"].removeprefix("Patient/")
    sandbox.put({**sandbox.record("Patient", insured), "birthDate": "1850-01-01"})

    dry = numbers(pull, dry_run=True)
    assert pull.rows("SELECT * FROM patient") == []
    assert numbers(pull, dry_run=False) == dry
    assert (dry["practitioner"]["rejected"], dry["patient"]["rejected"]) == (1, 1)
    assert dry["insurance"]["deferred"] > 0, "they wait for the patient who may not enter"
    assert dry["insurance"]["inserted"] > 0
    assert bool(dry["encounter"]["deferred_loaded"]) == bool(before)
