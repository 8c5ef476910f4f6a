"""A resource that fails in eCW stops no other, and the next run makes up for it: for each of the five resources.

tests/airflow/test_disturbed.py shows the same for one resource in a real Airflow.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from ecw.errors import EcwError
from ecw.models import Run
from ecw.pull import steps
from ecw.resources import RESOURCES
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox
from tests.journeys.comparing import expected, rows_of

EVERY_DAY = {"initial_sync_back_days": 2000, "look_back_days": 2000, "look_ahead_days": 2000, "full": True}


def pulled(pull: Pulling) -> Run:
    """Pull every resource as the DAG does: a failed resource skips only its own later steps."""
    run = pull.begin(options=EVERY_DAY)
    for name in RESOURCES:
        with suppress(EcwError):
            pull.resource(run, name)
    return run


def differing(pull: Pulling, sandbox: RunningSandbox) -> set[str]:
    return {name for name in RESOURCES if expected(sandbox, name) != rows_of(pull.crm, name)}


@pytest.mark.journey  # in a real Airflow: test_disturbed
@pytest.mark.parametrize("failing", RESOURCES)
def test_a_resource_that_fails_stops_no_other_and_the_next_run_makes_up_for_it(
    pull: Pulling, sandbox: RunningSandbox, failing: str
) -> None:
    pulled(pull)
    assert differing(pull, sandbox) == set()
    for name, element in (("practitioner", "gender"), ("location", "name"), ("patient", "maritalStatus")):
        record = sandbox.records(RESOURCES[name].fhir_type)[0]
        value = {"text": "changed"} if name == "patient" else "other" if name == "practitioner" else "changed"
        sandbox.put(record | {element: value})
    [policy, *_] = sandbox.records("Coverage")
    sandbox.put(policy | {"subscriberId": "changed"})
    [visit, *_] = sandbox.records("Encounter")
    sandbox.put(visit | {"status": "cancelled" if visit["status"] != "cancelled" else "finished"})
    assert differing(pull, sandbox) == set(RESOURCES)
    sandbox.fault("gone", resource=RESOURCES[failing].fhir_type)

    run = pulled(pull)

    assert differing(pull, sandbox) == {failing}
    states = {
        row["resource"]: row["state"] for row in pull.rows("SELECT * FROM ecw_run") if row["run_id"] == run["run_id"]
    }
    assert states[failing] == "failed", "its own step recorded the failure, not the summary"
    table = {row["resource"]: row for row in steps.summary(run)}
    assert {name: row["state"] for name, row in table.items()} == dict.fromkeys(RESOURCES, "loaded") | {
        failing: "failed"
    }
    assert "Next (" in table[failing]["next"]

    sandbox.clear_faults()
    pulled(pull)
    assert differing(pull, sandbox) == set()
