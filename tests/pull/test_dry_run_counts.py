"""The counts of a dry run equal the counts of the same run."""

from __future__ import annotations

from typing import Any

import pytest

from ecw.pull import steps
from ecw.resources import RESOURCES
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.pull.replay.test_steps import remove_family_name


def counts(pull: Pulling, *, dry_run: bool) -> dict[str, dict[str, Any]]:
    before = pull.run_count
    run = pull.begin(run_id=f"dry-{dry_run}", options={"dry_run": dry_run})
    pull.run_count = before  # both runs have the same window, on which the due patients depend
    for name in RESOURCES:
        pull.resource(run, name)
    names = "fetched", "rejected", "inserted", "updated", "unchanged", "deferred", "deferred_loaded"
    return {row["resource"]: {name: row.get(name, 0) for name in names} for row in steps.summary(run)}


@pytest.mark.parametrize("before", [(), ("practitioner", "encounter")], ids=["first load", "rows wait for patients"])
@pytest.mark.large_practice
def test_a_dry_run_has_the_same_counts_as_the_run(
    pull: Pulling, sandbox: RunningSandbox, before: tuple[str, ...]
) -> None:
    if before:
        pull(*before)
    remove_family_name(sandbox, 7)
    insured = sandbox.records("Coverage")[0]["beneficiary"]["reference"].removeprefix("Patient/")
    sandbox.put({**sandbox.record("Patient", insured), "birthDate": "1850-01-01"})

    dry = counts(pull, dry_run=True)
    assert pull.rows("SELECT * FROM patient") == []
    assert counts(pull, dry_run=False) == dry
    assert (dry["practitioner"]["rejected"], dry["patient"]["rejected"]) == (1, 1)
    assert dry["insurance"]["deferred"] > 0, "the insurance of the rejected patient"
    assert dry["insurance"]["inserted"] > 0
    assert bool(dry["encounter"]["deferred_loaded"]) == bool(before)
