"""A run of a few records in one task: its error if several resources fail, and its counts after a retry."""

from __future__ import annotations

import pytest

from ecw.errors import ConfigurationError, DatabaseUnavailable, EcwError
from ecw.models import Batch
from ecw.pull import inline_run, steps
from tests.fixtures.crm import on_sqlite
from tests.fixtures.pulling import Pulling
from tests.fixtures.sandbox import RunningSandbox

FIX = ConfigurationError("The mapping is wrong.", next_step="fix it.")
WAIT = DatabaseUnavailable("The CRM is busy.", next_step="wait.")


@pytest.mark.parametrize(
    ("of_patient", "of_insurance", "raised"), [(FIX, WAIT, WAIT), (WAIT, FIX, WAIT), (FIX, FIX, FIX)]
)
@on_sqlite
def test_the_retryable_error_is_raised_even_if_another_resource_needs_a_person(
    pull: Pulling, sandbox: RunningSandbox, of_patient: EcwError, of_insurance: EcwError, raised: EcwError
) -> None:
    one = {"patient": [sandbox.records("Patient")[0]["id"]]}
    run = pull.begin("manual", options={"resources": ["patient", "insurance"], "ids": one})

    def load(batch: Batch) -> dict[str, int]:
        raise {"patient": of_patient, "insurance": of_insurance}[batch["resource"]]

    with pytest.raises(type(raised)) as failed:
        inline_run.pull(run, load)

    assert failed.value is raised


@on_sqlite
@pytest.mark.large_practice
def test_the_retry_of_a_schedules_run_counts_the_patients_that_the_first_attempt_inserted(
    pull: Pulling, sandbox: RunningSandbox
) -> None:
    pull("practitioner", "location")
    one = next(each for each in sandbox.records("Encounter") if each["period"]["start"] > "2026-11-23")
    practitioner = one["participant"][0]["individual"]["reference"].removeprefix("Practitioner/")
    run = pull.begin("manual", options={"mode": "schedule", "practitioners": [practitioner]})

    def load(batch: Batch) -> dict[str, int]:
        if batch["resource"] == "encounter":
            raise WAIT
        return steps.load(batch)

    with pytest.raises(DatabaseUnavailable):
        inline_run.pull(run, load)
    [inserted] = pull.rows("SELECT count(*) AS patients FROM patient")

    counts = inline_run.pull(run)

    assert counts["patient"]["inserted"] == inserted["patients"] > 0
    assert counts["encounter"]["inserted"] > 0
    [policies] = pull.rows("SELECT count(*) AS number FROM insurance")
    assert counts["insurance"]["inserted"] == policies["number"] > 0
